//! What a client presents, and where: a header, the query, or the subprotocol of a WebSocket.

use http::header::{AUTHORIZATION, HeaderMap, SEC_WEBSOCKET_PROTOCOL};
use http::request::Parts;

use super::query::Query;
use crate::auth::Credential;
use crate::code::Code;
use crate::problem::Problem;
use crate::secret::Secret;

/// How the subprotocol begins that is a token.
const SUBPROTOCOL_PREFIX: &str = "bearer.";

/// The credential of a request, if it has one.
///
/// # Errors
/// `bad_request` for more than one, `unauthorized` for an `Authorization` that is no bearer's.
pub fn read(parts: &Parts) -> Result<Option<Credential>, Problem> {
    read_of(&Query::of(parts)?, &parts.headers)
}

/// The same, for who has read the query already.
///
/// # Errors
/// As [`read`].
pub fn read_of(query: &Query, headers: &HeaderMap) -> Result<Option<Credential>, Problem> {
    let token = query.single("token")?.map(Secret::new);
    let ticket = query.single("ticket")?.map(Secret::new);
    let presented = [
        header(headers)?.map(Credential::Bearer),
        token.map(Credential::Bearer),
        ticket.map(Credential::Ticket),
    ];
    only(presented.into_iter().flatten())
}

/// The same for a WebSocket, which has one more place: pages cannot set its headers, but they choose its subprotocols.
///
/// # Errors
/// As [`read`].
pub fn read_websocket(parts: &Parts) -> Result<Option<Credential>, Problem> {
    let offers = parts.headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let offers = offers.filter_map(|value| value.to_str().ok());
    let offers = offers.flat_map(|value| value.split(',')).map(str::trim);
    let tokens = offers.filter_map(|offer| offer.strip_prefix(SUBPROTOCOL_PREFIX));
    let tokens = tokens.map(|token| Credential::Bearer(Secret::new(token)));
    only(read(parts)?.into_iter().chain(tokens))
}

/// With two credentials it would be a guess which one counts.
fn only(mut presented: impl Iterator<Item = Credential>) -> Result<Option<Credential>, Problem> {
    match (presented.next(), presented.next()) {
        (first, None) => Ok(first),
        _ => Err(Problem::bad_request(
            "there is more than one credential: send one of Authorization, token, ticket and bearer subprotocol",
        )),
    }
}

/// `Authorization: Bearer` (RFC 6750, section 2.1).
fn header(headers: &HeaderMap) -> Result<Option<Secret>, Problem> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        let message = "the header Authorization is given twice: give it once";
        return Err(Problem::bad_request(message));
    }
    let parsed = value.to_str().ok().and_then(|value| value.split_once(' '));
    match parsed {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
            Ok(Some(Secret::new(token.trim())))
        }
        _ => Err(Problem::new(
            Code::Unauthorized,
            "the header Authorization must be Bearer and a token",
        )),
    }
}
