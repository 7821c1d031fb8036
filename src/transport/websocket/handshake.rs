//! The opening handshake (RFC 6455, section 4.2), checked and answered.

use http::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::deflate::Agreement;
use crate::problem::Problem;

/// The subprotocol that is chosen when it is offered.
const SUBPROTOCOL: &str = "everyway.v1";
/// The only version there is (RFC 6455, section 4.1).
const VERSION: &str = "13";

/// A well-formed request for a WebSocket.
#[derive(Debug)]
pub struct Handshake {
    kind: Kind,
    offers_subprotocol: bool,
    /// What was agreed on compression, if it was offered.
    pub agreement: Option<Agreement>,
}

#[derive(Debug)]
enum Kind {
    /// An HTTP/1.1 upgrade, with its accept key.
    Upgrade(HeaderValue),
    /// An extended CONNECT over HTTP/2 (RFC 8441).
    Connect,
}

/// A request for a WebSocket that is none.
#[derive(Debug)]
pub struct Refusal {
    /// 400, or 426 if the client should ask for an upgrade, or for another version.
    pub status: StatusCode,
    /// What to do.
    pub problem: Problem,
}

impl Refusal {
    fn malformed(message: &'static str) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            problem: Problem::bad_request(message),
        }
    }

    fn upgrade(message: &'static str) -> Self {
        Self {
            status: StatusCode::UPGRADE_REQUIRED,
            problem: Problem::bad_request(message),
        }
    }

    /// What a 426 has to say (RFC 9110, section 15.5.22; RFC 6455, section 4.4).
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if self.status == StatusCode::UPGRADE_REQUIRED {
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
        }
        headers
    }
}

impl Handshake {
    /// Checks a request. With `deflate`, an offer of compression is agreed to.
    ///
    /// # Errors
    /// The [`Refusal`] to answer with.
    pub fn read(parts: &Parts, deflate: bool) -> Result<Self, Refusal> {
        let headers = &parts.headers;
        let kind = if parts.method == Method::CONNECT {
            read_connect(parts)?
        } else {
            read_upgrade(parts)?
        };
        let offers = headers
            .get_all(SEC_WEBSOCKET_EXTENSIONS)
            .iter()
            .filter_map(|value| value.to_str().ok());
        Ok(Self {
            kind,
            offers_subprotocol: has_subprotocol(headers),
            agreement: if deflate {
                Agreement::from_offers(offers)
            } else {
                None
            },
        })
    }

    /// The answer that switches protocols: 101, or 200 to an extended CONNECT.
    pub fn accept(self) -> Response<()> {
        let mut response = Response::new(());
        if let Kind::Upgrade(accept) = self.kind {
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let headers = response.headers_mut();
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        }
        let headers = response.headers_mut();
        if self.offers_subprotocol {
            headers.insert(
                SEC_WEBSOCKET_PROTOCOL,
                HeaderValue::from_static(SUBPROTOCOL),
            );
        }
        if let Some(agreement) = self.agreement {
            headers.insert(SEC_WEBSOCKET_EXTENSIONS, agreement.header());
        }
        response
    }
}

fn read_upgrade(parts: &Parts) -> Result<Kind, Refusal> {
    let headers = &parts.headers;
    if !has_token(headers, &UPGRADE, "websocket") || !has_token(headers, &CONNECTION, "upgrade") {
        return Err(Refusal::upgrade(
            "this path takes WebSocket upgrades: use a WebSocket client, or /v1/sse",
        ));
    }
    if parts.version != http::Version::HTTP_11 {
        return Err(Refusal::malformed("a WebSocket upgrade needs HTTP/1.1"));
    }
    check_version(headers)?;
    let key = only(headers, &SEC_WEBSOCKET_KEY).filter(|key| is_key(key));
    let key =
        key.ok_or_else(|| Refusal::malformed("Sec-WebSocket-Key must be 16 bytes in base64"))?;
    // An accept key is base64.
    let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes()))
        .map_err(|_| Refusal::malformed("Sec-WebSocket-Key cannot be answered"))?;
    Ok(Kind::Upgrade(accept))
}

/// There is no key to answer: the connection is HTTP/2 already, and nothing else can be at its other end (RFC 8441,
/// section 5).
fn read_connect(parts: &Parts) -> Result<Kind, Refusal> {
    let protocol = parts.extensions.get::<hyper::ext::Protocol>();
    if protocol.is_none_or(|protocol| protocol.as_str() != "websocket") {
        return Err(Refusal::malformed(
            "CONNECT is for WebSockets here, with :protocol websocket",
        ));
    }
    check_version(&parts.headers)?;
    Ok(Kind::Connect)
}

fn check_version(headers: &HeaderMap) -> Result<(), Refusal> {
    if only(headers, &SEC_WEBSOCKET_VERSION) == Some(VERSION) {
        return Ok(());
    }
    Err(Refusal::upgrade("Sec-WebSocket-Version must be 13"))
}

/// Subprotocols are case-sensitive (RFC 6455, section 1.9).
fn has_subprotocol(headers: &HeaderMap) -> bool {
    tokens(headers, &SEC_WEBSOCKET_PROTOCOL).any(|token| token == SUBPROTOCOL)
}

fn has_token(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    tokens(headers, name).any(|token| token.eq_ignore_ascii_case(wanted))
}

fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok().map(str::trim),
        _ => None,
    }
}

fn is_key(key: &str) -> bool {
    STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn read(change: impl FnOnce(&mut HeaderMap)) -> Result<Response<()>, StatusCode> {
        let mut request = Request::new(());
        let headers = request.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive, Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("WebSocket"));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        headers.insert(
            SEC_WEBSOCKET_KEY,
            HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="),
        );
        change(headers);
        Handshake::read(&request.into_parts().0, true)
            .map(Handshake::accept)
            .map_err(|refusal| refusal.status)
    }

    #[test]
    fn the_accept_key_is_the_one_of_the_rfc() {
        let response = read(|_| ()).unwrap();
        assert_eq!(
            response.headers()[SEC_WEBSOCKET_ACCEPT],
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        assert!(!response.headers().contains_key(SEC_WEBSOCKET_PROTOCOL));
    }

    #[test]
    fn our_subprotocol_is_chosen_and_a_bearer_is_never_echoed() {
        let offer =
            |value| read(|headers| drop(headers.insert(SEC_WEBSOCKET_PROTOCOL, value))).unwrap();
        let response = offer(HeaderValue::from_static("bearer.secret, everyway.v1"));
        assert_eq!(response.headers()[SEC_WEBSOCKET_PROTOCOL], "everyway.v1");
        assert!(
            !offer(HeaderValue::from_static("bearer.secret"))
                .headers()
                .contains_key(SEC_WEBSOCKET_PROTOCOL)
        );
    }

    #[test]
    fn malformed_upgrades_are_told_apart() {
        let without = |name: HeaderName| {
            read(|headers| drop(headers.remove(name)))
                .err()
                .map(|status| status.as_u16())
        };
        assert_eq!(without(UPGRADE), Some(426));
        assert_eq!(without(CONNECTION), Some(426));
        assert_eq!(without(SEC_WEBSOCKET_VERSION), Some(426));
        assert_eq!(without(SEC_WEBSOCKET_KEY), Some(400));
        let with = |name: HeaderName, value| {
            read(|headers| drop(headers.insert(name, HeaderValue::from_static(value))))
                .err()
                .map(|s| s.as_u16())
        };
        assert_eq!(with(SEC_WEBSOCKET_VERSION, "8"), Some(426));
        for key in [
            "",
            "short",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZXg=",
        ] {
            assert_eq!(with(SEC_WEBSOCKET_KEY, key), Some(400), "{key}");
        }
    }
}
