//! Who gets in and who is thrown out: tickets, and what administrators do.

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{Response, StatusCode};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::json;

use super::body::Body;
use super::discard::discard;
use super::ops::json_response;
use super::query::Query;
use super::{credentials, error, upload};
use crate::attachments::Whom;
use crate::auth::Revoked;
use crate::bus::{UserName, Wanted};
use crate::code::{Code, End};
use crate::gateway::Gateway;
use crate::peer::{Entrance, Peer};
use crate::problem::Problem;

/// The longest time that something may be revoked for, in seconds: a year. A token that is good for longer is one to change
/// the key for.
const REVOKE_S_MAX: u64 = 366 * 86_400;

/// `POST /v1/ticket`.
pub async fn ticket(
    gateway: &Gateway,
    peer: Peer,
    parts: Parts,
    mut body: Incoming,
) -> Response<Body> {
    match issue(gateway, peer, &parts, &mut body).await {
        Ok(json) => json_response(StatusCode::OK, json),
        Err(problem) => {
            discard(&mut body, parts.version).await;
            error::response(&problem)
        }
    }
}

#[derive(Deserialize)]
struct TicketRequest {
    channels: Vec<String>,
}

async fn issue(
    gateway: &Gateway,
    peer: Peer,
    parts: &Parts,
    body: &mut Incoming,
) -> Result<String, Problem> {
    let credential = credentials::read(parts)?;
    let principal = gateway.auth.principal(credential.as_ref(), None)?;
    let upload = upload::read(gateway, peer, parts, body).await?;
    let wanted: TicketRequest = serde_json::from_slice(&upload.bytes).map_err(|_| {
        Problem::new(
            Code::BadJson,
            "the body is the channels that the ticket is for: {\"channels\":[\"news\"]}",
        )
    })?;
    let channels_max = gateway.config().limits.channels_max;
    if !(1..=channels_max).contains(&wanted.channels.len()) {
        let message = format!("a ticket is for 1 to {channels_max} channels");
        return Err(Problem::bad_request(message));
    }
    let channels = wanted.channels.iter();
    let channels = channels.map(|name| Wanted::parse(name)?.of(principal.user.as_ref()));
    let channels = channels.collect::<Result<_, _>>()?;
    let (ticket, life) = gateway.auth.issue_ticket(&principal, channels)?;
    // Rounded down, so that nobody comes too late.
    let expires_in_s = life.as_secs();
    Ok(json!({"ticket": ticket.reveal(), "expires_in_s": expires_in_s}).to_string())
}

/// `POST /v1/disconnect`.
pub fn disconnect(gateway: &Gateway, peer: Peer, parts: &Parts) -> Response<Body> {
    match must_be_admin(gateway, peer, parts).and_then(|()| end(gateway, parts)) {
        Ok(ended) => json_response(StatusCode::OK, json!({ "ended": ended }).to_string()),
        Err(problem) => error::response(&problem),
    }
}

/// Revokes before it ends, so that who comes back at once is refused.
fn end(gateway: &Gateway, parts: &Parts) -> Result<usize, Problem> {
    let query = Query::parse(parts.uri.query().unwrap_or_default())?;
    let user = query.single("user")?.map(UserName::parse).transpose()?;
    let (session, token) = (query.single("session")?, query.single("jti")?);
    let whom = match (&user, session, token) {
        (Some(user), None, None) => Whom::User(user),
        (None, Some(session), None) => Whom::Session(session),
        (None, None, Some(token)) => Whom::Token(token),
        _ => {
            let message = "say whom, in one way: user=NAME, session=PUBLIC_ID or jti=TOKEN_ID";
            return Err(Problem::bad_request(message));
        }
    };
    let revoked_for = query.single("revoke")?.map(parse_revoke).transpose()?;
    if let Some(time) = revoked_for {
        gateway.auth.revoke(revoked(whom)?, time)?;
    }
    let end = End {
        message: Some("an administrator ended this session".into()),
        ..End::from(Code::Disconnected)
    };
    let ended = gateway.attachments.end(whom, &end);
    // What names nobody may be anything, a secret id by mistake.
    let whom = (ended > 0 || !matches!(whom, Whom::Session(_))).then_some(whom);
    let revoke_s = revoked_for.map(|time| time.as_secs());
    tracing::info!(?whom, revoke_s, ended, "an administrator ended attachments");
    Ok(ended)
}

fn revoked(whom: Whom) -> Result<Revoked, Problem> {
    match whom {
        Whom::User(user) => Ok(Revoked::User(user.clone())),
        Whom::Token(id) => Ok(Revoked::Token(Arc::from(id))),
        Whom::Session(_) | Whom::Withdrawn => Err(Problem::bad_request(
            "revoke= goes with user= or jti=: a session has no credentials of its own",
        )),
    }
}

fn parse_revoke(text: &str) -> Result<Duration, Problem> {
    let seconds = text.parse().ok();
    let seconds = seconds.filter(|seconds| (1..=REVOKE_S_MAX).contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| {
        Problem::bad_request(format!(
            "revoke is a number of seconds from 1 to {REVOKE_S_MAX}"
        ))
    })
}

/// Checks that a request is an administrator's: by what it presents, or by the listener that it came by, where what it
/// presents does not matter.
///
/// # Errors
/// As for any credentials, and `forbidden`.
pub fn must_be_admin(gateway: &Gateway, peer: Peer, parts: &Parts) -> Result<(), Problem> {
    if peer.entrance == Entrance::Admin {
        return Ok(());
    }
    let credential = credentials::read(parts)?;
    let principal = gateway.auth.principal(credential.as_ref(), None)?;
    principal.must_be_admin()
}
