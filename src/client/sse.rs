//! Following by Server-Sent Events.

use bytes::Bytes;
use futures_util::StreamExt;
use http::Method;
use sse_stream::{Sse, SseStream};
use tokio::time::timeout;

use super::attachment::{Attachment, Disconnect, Ended, PROOF_WITHIN};
use super::endpoint::Failure;
use crate::transport::Transport;

/// A stream is dead when it was silent for this many of its heartbeats.
const HEARTBEATS_MISSED: f64 = 2.5;

pub(super) async fn attach(attachment: Attachment<'_>) -> Ended {
    let target = attachment
        .endpoint
        .target(Transport::Sse.path(), &attachment.query(&[]));
    let opened = attachment.endpoint.send(
        Method::GET,
        &target,
        &[("accept", "text/event-stream")],
        Bytes::new(),
    );
    let response = match timeout(PROOF_WITHIN, opened).await {
        Ok(Ok(response)) => response,
        Ok(Err(failure)) => return Ended::failed(failure, false),
        Err(_) => return Ended::failed(Failure::broken("no answer"), false),
    };
    let mut stream = SseStream::new(response.into_body());
    let mut silence_max = PROOF_WITHIN;
    let mut was_proven = false;
    loop {
        let event = match timeout(silence_max, stream.next()).await {
            Ok(Some(Ok(event))) => event,
            Ok(Some(Err(error))) => return Ended::failed(Failure::broken(error), was_proven),
            Ok(None) => return Ended::failed(Failure::broken("the stream ended"), was_proven),
            Err(_) => return Ended::failed(Failure::broken("the stream is silent"), was_proven),
        };
        if let Some(heartbeat_s) = heartbeat_s(&event) {
            silence_max = std::time::Duration::from_secs_f64(heartbeat_s * HEARTBEATS_MISSED);
        }
        was_proven = true;
        if let Some(ended) = take(&attachment_parts(&event), attachment.follower) {
            return ended;
        }
        if let Some(id) = event.id.filter(|id| !id.is_empty()) {
            *attachment.cursor = id;
        }
    }
}

/// The event's name and data.
fn attachment_parts(event: &Sse) -> (&str, &str) {
    (
        event.event.as_deref().unwrap_or("message"),
        event.data.as_deref().unwrap_or_default(),
    )
}

fn take((name, data): &(&str, &str), follower: &mut dyn super::Follower) -> Option<Ended> {
    match *name {
        "message" | "gap" if !data.is_empty() => (!follower.object(data)).then_some(Ended::Enough),
        "disconnect" => Some(match serde_json::from_str::<Disconnect>(data) {
            Ok(disconnect) => disconnect.ended(),
            Err(error) => Ended::failed(Failure::broken(error), true),
        }),
        _ => None,
    }
}

fn heartbeat_s(event: &Sse) -> Option<f64> {
    if event.event.as_deref() != Some("welcome") {
        return None;
    }
    let welcome: serde_json::Value = serde_json::from_str(event.data.as_deref()?).ok()?;
    welcome.get("heartbeat_s")?.as_f64()
}
