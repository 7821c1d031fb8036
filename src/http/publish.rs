//! `POST /v1/publish`: from a body to the bus.

use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{Response, StatusCode, Version};
use http_body::Body as _;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::aside::aside;
use crate::auth::Action;
use crate::bus::{Bus, ChannelName, Draft, Position};
use crate::code::Code;
use crate::gateway::Gateway;
use crate::limits::Standing;
use crate::peer::Peer;
use crate::problem::Problem;
use crate::protocol::payload;

use super::body::Body;
use super::discard::discard;
use super::ops::json_response;
use super::{credentials, error, route, standing};

/// Publishes a body to the channels of the request. Everything is checked before anything is published.
pub async fn publish(
    gateway: &Gateway,
    peer: Peer,
    parts: Parts,
    mut body: Incoming,
) -> Response<Body> {
    let version = parts.version;
    let (channels, draft, standing) = match prepare(gateway, peer, parts, &mut body).await {
        Ok(prepared) => prepared,
        Err(problem) => {
            discard(&mut body, version).await;
            return error::response(&problem);
        }
    };
    let mut published = Vec::with_capacity(channels.len());
    for channel in &channels {
        match gateway.bus.publish(channel, &draft).await {
            Ok(position) => published.push(answer(channel, position)),
            Err(failure) => {
                let problem = Problem::from(failure).about(channel);
                let published = (!published.is_empty()).then_some(Value::Array(published));
                return error::response_with(&problem, published.as_ref());
            }
        }
        gateway.metrics.published_http.inc();
    }
    let answer = if published.len() == 1 {
        published.remove(0)
    } else {
        Value::Array(published)
    };
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
) -> Result<(Vec<ChannelName>, Draft, Option<Standing>), Problem> {
    if gateway.is_draining() {
        // What is published now would go down with us.
        return Err(gateway.going_down().into());
    }
    let request = route::publish(&parts, super::route_limits(&gateway.config()))?;
    let credential = credentials::read(&parts)?;
    let principal = gateway.auth.principal(credential.as_ref(), request.user)?;
    let sender = principal.sender(request.from)?;
    for channel in &request.channels {
        principal.may(Action::Publish, channel)?;
    }
    let body = read(gateway, &parts, body).await?;
    let bytes_max = gateway.config().limits.message_bytes_max;
    let (payload, key) = aside(body.len(), || {
        let payload = payload::read_body(request.kind, &body, bytes_max)?;
        let key = request
            .key
            .map(|key| payload::key(&principal.identity(), &key, &payload));
        Ok::<_, Problem>((payload, key))
    })?;
    let draft = Draft {
        from: payload::sender(sender.as_ref()),
        payload,
        key,
    };
    check_keys(&gateway.bus, &request.channels, &draft)?;
    // Last, so that only what will be published is counted.
    let user = principal.user.as_ref();
    let standing = gateway
        .limits
        .publish(user, peer.address, request.channels.len())?;
    Ok((request.channels, draft, standing))
}

/// Reads a body within its bounds. One that says it is too large is refused before it is read.
pub(super) async fn read(
    gateway: &Gateway,
    parts: &Parts,
    body: &mut Incoming,
) -> Result<bytes::Bytes, Problem> {
    let bytes_max = gateway.body_bytes_max();
    let too_large = || {
        Problem::new(
            Code::TooLarge,
            format!("a body has at most {bytes_max} bytes"),
        )
    };
    let declared = parts
        .headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|declared| declared > bytes_max as u64) {
        return Err(too_large());
    }
    let wait = gateway.config().timeouts.body_s.duration();
    let broke_off = || Problem::bad_request("the body broke off");
    let limited = Limited::new(&mut *body, bytes_max);
    let collected = tokio::time::timeout(wait, limited.collect()).await;
    match collected {
        Err(_) => Err(Problem::bad_request("the body did not arrive in time")),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(broke_off()),
        // hyper takes a stream that is reset without an error for one that ended (RFC 9113, section 8.1.1).
        Ok(Ok(_)) if parts.version == Version::HTTP_2 && !body.is_end_stream() => Err(broke_off()),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
    }
}

/// A key used with another payload in any of the channels refuses the whole request.
fn check_keys(bus: &Bus, channels: &[ChannelName], draft: &Draft) -> Result<(), Problem> {
    if draft.key.is_none() {
        return Ok(());
    }
    match channels
        .iter()
        .find(|channel| bus.has_key_conflict(channel, draft))
    {
        Some(channel) => {
            Err(Problem::from(crate::broker::PublishError::KeyConflict).about(channel))
        }
        None => Ok(()),
    }
}

fn answer(channel: &ChannelName, position: Position) -> Value {
    json!({"channel": channel.as_str(), "epoch": position.epoch.as_str(), "offset": position.offset})
}
