//! `POST /v1/send`: from a body to the inbox of a user.

use http::request::Parts;
use http::{Response, StatusCode};
use hyper::body::Incoming;
use serde_json::json;

use crate::bus::{Draft, UserName};
use crate::gateway::Gateway;
use crate::limits::Standing;
use crate::peer::Peer;
use crate::problem::Problem;
use crate::protocol::payload;

use super::body::Body;
use super::discard::discard;
use super::ops::json_response;
use super::upload::{self, Held};
use super::{credentials, error, route, standing};

/// Sends a body to a user. The answer is the same whether anybody has that name or not.
pub async fn send(
    gateway: &Gateway,
    peer: Peer,
    parts: Parts,
    mut body: Incoming,
) -> Response<Body> {
    let version = parts.version;
    let (to, draft, standing, _held) = match prepare(gateway, peer, parts, &mut body).await {
        Ok(prepared) => prepared,
        Err(problem) => {
            discard(&mut body, version).await;
            return error::response(&problem);
        }
    };
    if let Err(failure) = gateway.send(&to, &draft).await {
        return error::response(&failure.into());
    }
    gateway.metrics.published_http.inc();
    let answer = json!({"to": to.as_str()});
    let mut response = json_response(StatusCode::OK, answer.to_string());
    if let Some(standing) = &standing {
        standing::tell(response.headers_mut(), standing);
    }
    response
}

async fn prepare(
    gateway: &Gateway,
    peer: Peer,
    parts: Parts,
    body: &mut Incoming,
) -> Result<(UserName, Draft, Option<Standing>, Held), Problem> {
    if gateway.is_draining() {
        // What is sent now would go down with us.
        return Err(gateway.going_down().into());
    }
    let request = route::send(&parts)?;
    let credential = credentials::read(&parts)?;
    let principal = gateway.auth.principal(credential.as_ref(), request.user)?;
    let sender = principal.sender(request.from)?;
    principal.may_send(&request.to)?;
    let upload = upload::read(gateway, peer, &parts, body).await?;
    let bytes_max = gateway.config().limits.message_bytes_max;
    let payload = payload::read_body(request.kind, &upload.bytes, bytes_max)?;
    let key = request
        .key
        .map(|key| payload::key(&principal.identity(), &key, &payload));
    let draft = Draft {
        from: payload::sender(sender.as_ref()),
        payload,
        key,
    };
    // Last, so that only what will be sent is counted.
    let user = principal.user.as_ref();
    let standing = gateway.limits.publish(user, peer.address, 1)?;
    Ok((request.to, draft, standing, upload.held))
}
