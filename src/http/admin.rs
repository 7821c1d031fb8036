//! What administrators see and do: lists of channels and of attachments, and the purge of a channel.

use std::net::IpAddr;
use std::sync::Arc;

use http::StatusCode;
use http::request::Parts;
use hyper::body::Incoming;
use serde::Serialize;
use serde_json::json;
use tracing::Instrument;

use super::discard::discard;
use super::ops::json_response;
use super::route::admin as route;
use super::{Handled, access, error};
use crate::attachments::{LOOKED_AT_MAX, Listed};
use crate::bus::{ChannelName, ChannelStatus, PublicId, UserName};
use crate::gateway::Gateway;
use crate::peer::Peer;
use crate::problem::Problem;

/// Most places that a request looks at on its way to a page, so that no list costs more however few are found.
const PLACES_MAX: usize = 64 * 1024;
/// How many of them under one lock.
const SLICE_PLACES: usize = LOOKED_AT_MAX;

/// What an administrator asks for.
#[derive(Debug, Clone, Copy)]
pub enum Ask {
    /// `GET /v1/admin/channels`.
    Channels,
    /// `GET /v1/admin/sessions`.
    Sessions,
    /// `DELETE /v1/history`.
    Purge,
}

/// Answers an administrator, and nobody else.
pub fn handle(
    gateway: &Arc<Gateway>,
    peer: Peer,
    parts: Parts,
    mut body: Incoming,
    ask: Ask,
) -> Handled {
    let gateway = Arc::clone(gateway);
    let answering = async move {
        let done = match access::must_be_admin(&gateway, peer, &parts) {
            Ok(()) => answer(&gateway, &parts, ask).await,
            Err(problem) => Err(problem),
        };
        discard(&mut body, parts.version).await;
        match done {
            Ok(json) => json_response(StatusCode::OK, json),
            Err(problem) => error::response(&problem),
        }
    };
    Handled::Later(Box::pin(answering.in_current_span()))
}

async fn answer(gateway: &Gateway, parts: &Parts, ask: Ask) -> Result<Vec<u8>, Problem> {
    match ask {
        Ask::Channels => Ok(channels(gateway, &route::channel_list(parts)?)),
        Ask::Sessions => Ok(sessions(gateway, route::session_list(parts)?).await),
        Ask::Purge => purge(gateway, &route::purge(parts)?).await,
    }
}

async fn purge(gateway: &Gateway, channel: &ChannelName) -> Result<Vec<u8>, Problem> {
    let purged = gateway.bus.purge(channel).await;
    let (head, purged) = purged.map_err(|failure| Problem::from(failure).about(channel))?;
    tracing::info!(%channel, %head, purged, "an administrator purged a channel");
    let (epoch, offset) = (head.epoch.as_str(), head.offset);
    let answer =
        json!({"channel": channel.as_str(), "epoch": epoch, "offset": offset, "purged": purged});
    Ok(answer.to_string().into_bytes())
}

fn channels(gateway: &Gateway, request: &route::ChannelList) -> Vec<u8> {
    let after = request.after.as_deref();
    let page = gateway.bus.list(&request.prefix, after, request.limit);
    let after = page.after.as_ref().map(ChannelName::as_str);
    to_json(&ChannelsPage {
        channels: page.channels.iter().map(ChannelRow::from).collect(),
        more: after.is_some(),
        after,
    })
}

/// Looks at slices until the page is full, nobody is left, or enough was looked at; others go on between two slices. Cancel
/// safe.
async fn sessions(gateway: &Gateway, request: route::SessionList) -> Vec<u8> {
    // The last number has nothing after it.
    let mut from = request.after.map_or(Some(0), |after| after.checked_add(1));
    let mut listed: Vec<(u64, Listed)> = Vec::new();
    let mut left = PLACES_MAX / SLICE_PLACES;
    while let Some(number) = from
        && listed.len() <= request.limit
        && left > 0
    {
        let (found, next) = slice(gateway, &request, number);
        listed.extend(found);
        (from, left) = (next, left - 1);
        tokio::task::yield_now().await;
    }
    let mut after = from.and_then(|from| from.checked_sub(1));
    if listed.len() > request.limit {
        listed.truncate(request.limit);
        after = listed.last().map(|(number, _)| *number);
    }
    to_json(&SessionsPage {
        sessions: listed.iter().map(|(_, listed)| listed.into()).collect(),
        more: after.is_some(),
        after: after.map(|after| after.to_string()),
    })
}

/// Some attachments from a number on, each with its own, and the number to go on from: that of a place in the table, or of a
/// seat in the channel.
fn slice(
    gateway: &Gateway,
    request: &route::SessionList,
    from: u64,
) -> (Vec<(u64, Listed)>, Option<u64>) {
    let user = request.user.as_ref();
    let Some(channel) = &request.channel else {
        return gateway.attachments.list(from, user);
    };
    let from = usize::try_from(from).unwrap_or(usize::MAX);
    let (sitters, next) = gateway.bus.audience(channel, from, SLICE_PLACES);
    let listed = gateway.attachments.behind(&sitters, user);
    (listed, next.map(|next| next as u64))
}

#[derive(Serialize)]
struct ChannelsPage<'a> {
    channels: Vec<ChannelRow<'a>>,
    #[serde(skip_serializing_if = "is_false")]
    more: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<&'a str>,
}

#[derive(Serialize)]
struct ChannelRow<'a> {
    channel: &'a str,
    epoch: &'a str,
    offset: u64,
    messages: usize,
    bytes: usize,
    subscribers: usize,
    idle_s: u64,
}

impl<'a> From<&'a ChannelStatus> for ChannelRow<'a> {
    fn from(channel: &'a ChannelStatus) -> Self {
        Self {
            channel: channel.name.as_str(),
            epoch: channel.head.epoch.as_str(),
            offset: channel.head.offset,
            messages: channel.messages,
            bytes: channel.bytes,
            subscribers: channel.subscribers,
            idle_s: channel.idle.as_secs(),
        }
    }
}

#[derive(Serialize)]
struct SessionsPage<'a> {
    sessions: Vec<SessionRow<'a>>,
    #[serde(skip_serializing_if = "is_false")]
    more: bool,
    /// Text, because not every client can hold the number.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
}

#[derive(Serialize)]
struct SessionRow<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    transport: &'static str,
    address: IpAddr,
    channels: u32,
    /// Milliseconds since 1970, as a message's `time`.
    since: u64,
    /// The same.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<&'a str>,
}

impl<'a> From<&'a Listed> for SessionRow<'a> {
    fn from(listed: &'a Listed) -> Self {
        Self {
            session: listed.public_id.as_ref().map(PublicId::as_str),
            user: listed.user.as_ref().map(UserName::as_str),
            transport: listed.transport.as_str(),
            address: listed.address,
            channels: listed.channels,
            since: listed.since_ms,
            until: listed.ends_at_s.map(|at_s| at_s.saturating_mul(1000)),
            jti: listed.token_id.as_deref(),
        }
    }
}

/// Strings and numbers always serialize.
fn to_json(page: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(page).unwrap_or_default()
}

fn is_false(more: &bool) -> bool {
    !more
}
