//! `POST /v1/publish`: from a body to the bus.

use http::request::Parts;
use http::{Response, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::aside::aside;
use crate::auth::Action;
use crate::bus::{Bus, ChannelName, Draft, Position};
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

/// Publishes a body to the channels of the request. Everything is checked before anything is published.
pub async fn publish(
    gateway: &Gateway,
    peer: Peer,
    parts: Parts,
    mut body: Incoming,
) -> Response<Body> {
    let version = parts.version;
    let Prepared {
        channels,
        draft,
        standing,
        held: _held,
    } = match prepare(gateway, peer, parts, &mut body).await {
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

/// What is published, checked.
struct Prepared {
    channels: Vec<ChannelName>,
    draft: Draft,
    standing: Option<Standing>,
    /// Until it is published.
    held: Held,
}

async fn prepare(
    gateway: &Gateway,
    peer: Peer,
    parts: Parts,
    body: &mut Incoming,
) -> Result<Prepared, Problem> {
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
    let upload = upload::read(gateway, peer, &parts, body).await?;
    let bytes_max = gateway.config().limits.message_bytes_max;
    let (payload, key) = aside(upload.bytes.len(), || {
        let payload = payload::read_body(request.kind, &upload.bytes, bytes_max)?;
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
    Ok(Prepared {
        channels: request.channels,
        draft,
        standing,
        held: upload.held,
    })
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
