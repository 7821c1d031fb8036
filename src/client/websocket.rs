//! Following by WebSocket.

use futures_util::{SinkExt, StreamExt};
use tokio::time::timeout;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::attachment::{Attachment, Disconnect, Ended, PROOF_WITHIN};
use super::endpoint::{Endpoint, Failure};
use super::positions::{Positions, Seen};
use crate::transport::Transport;

/// A socket is dead when it was silent for this many of its heartbeats. Pings count as words.
const HEARTBEATS_MISSED: f64 = 2.5;

pub(super) async fn attach(attachment: Attachment<'_>) -> Ended {
    let target = attachment
        .endpoint
        .target(Transport::WebSocket.path(), &attachment.query(&[]));
    // The stream may be an encrypted one, which the handshake need not know.
    let url = format!("ws://{}{target}", attachment.endpoint.authority());
    let open = async {
        let authorization = attachment.endpoint.authorization()?;
        let stream = attachment.endpoint.connect().await?;
        let mut request = url.into_client_request().map_err(Failure::broken)?;
        let subprotocol = http::HeaderValue::from_static("everyway.v1");
        request
            .headers_mut()
            .insert(http::header::SEC_WEBSOCKET_PROTOCOL, subprotocol);
        if let Some(value) = authorization {
            request
                .headers_mut()
                .insert(http::header::AUTHORIZATION, value);
        }
        let opened = client_async(request, stream).await;
        opened.map_err(|error| refused(attachment.endpoint, error))
    };
    let mut socket = match timeout(PROOF_WITHIN, open).await {
        Ok(Ok((socket, _))) => socket,
        Ok(Err(failure)) => return Ended::failed(failure, false),
        Err(_) => return Ended::failed(Failure::broken("no answer"), false),
    };
    let mut positions = Positions::default();
    let mut silence_max = PROOF_WITHIN;
    let mut was_proven = false;
    loop {
        let text = match timeout(silence_max, socket.next()).await {
            Ok(Some(Ok(Message::Text(text)))) => text,
            Ok(Some(Ok(Message::Close(_))) | None) => {
                return Ended::failed(Failure::broken("the WebSocket closed"), was_proven);
            }
            Ok(Some(Ok(_))) => continue,
            Ok(Some(Err(error))) => return Ended::failed(Failure::broken(error), was_proven),
            Err(_) => return Ended::failed(Failure::broken("the WebSocket is silent"), was_proven),
        };
        let seen: Seen = match serde_json::from_str(&text) {
            Ok(seen) => seen,
            Err(error) => return Ended::failed(Failure::broken(error), was_proven),
        };
        was_proven = true;
        match seen.kind.as_str() {
            "welcome" => {
                let heartbeat_s = heartbeat_s(&text);
                silence_max = heartbeat_s.map_or(silence_max, |s| {
                    std::time::Duration::from_secs_f64(s * HEARTBEATS_MISSED)
                });
            }
            "message" | "gap" if !attachment.follower.object(&text) => {
                // We leave as the protocol wants it; if that fails we leave all the same.
                let _ = timeout(PROOF_WITHIN, socket.close(None)).await;
                let _ = timeout(PROOF_WITHIN, socket.flush()).await;
                return Ended::Enough;
            }
            "disconnect" => {
                return match serde_json::from_str::<Disconnect>(&text) {
                    Ok(disconnect) => disconnect.ended(),
                    Err(error) => Ended::failed(Failure::broken(error), true),
                };
            }
            _ => {}
        }
        positions.see(&seen);
        if let Some(cursor) = positions.cursor() {
            *attachment.cursor = cursor;
        }
    }
}

fn heartbeat_s(welcome: &str) -> Option<f64> {
    serde_json::from_str::<serde_json::Value>(welcome)
        .ok()?
        .get("heartbeat_s")?
        .as_f64()
}

/// Why there is no WebSocket: what the gateway says, if it was the gateway that answered.
fn refused(endpoint: &Endpoint, error: Error) -> Failure {
    match error {
        Error::Http(response) => Failure::answered(
            response.status(),
            response.body().as_deref().unwrap_or_default(),
        ),
        Error::Protocol(ProtocolError::HttparseError(error)) => endpoint.not_http(error),
        other => Failure::broken(other),
    }
}
