//! A WebSocket by a client that shares no code with the gateway: compressed, over HTTP/2, or both.

use std::net::SocketAddr;

use futures_util::SinkExt;
use serde_json::Value;
use yawc::{Frame, HttpVersion, HttpWebSocket, OpCode, Options, WebSocket};

use super::within;

/// The largest message that is taken.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// A client's WebSocket.
pub struct Yawc {
    stream: HttpWebSocket,
}

impl Yawc {
    pub async fn open(
        address: SocketAddr,
        target: &str,
        version: HttpVersion,
        deflate: bool,
    ) -> Self {
        let url = format!("ws://{address}{target}");
        let options = if deflate {
            Options::default().with_balanced_compression()
        } else {
            Options::default().without_compression()
        };
        let options = options.with_limits(BYTES_MAX, 2 * BYTES_MAX);
        let opening = WebSocket::connect(url.parse().expect("a URL"))
            .with_options(options)
            .http_version(version);
        let opened = within(&format!("the handshake of {url} by {version:?}"), opening).await;
        Self {
            stream: opened.expect("a WebSocket"),
        }
    }

    pub async fn send(&mut self, command: Value) {
        let frame = Frame::text(command.to_string());
        within("the WebSocket to take a message", self.stream.send(frame))
            .await
            .expect("an open WebSocket");
    }

    /// Sends to a gateway that may have closed already.
    pub async fn send_or_not(&mut self, command: Value) {
        let frame = Frame::text(command.to_string());
        let sending = self.stream.send(frame);
        drop(within("the WebSocket to take a message", sending).await);
    }

    /// The next object.
    pub async fn json(&mut self) -> Value {
        match self.next_json().await {
            Ok(value) => value,
            Err(close) => panic!("closed with {close:?} while an object was expected"),
        }
    }

    /// The next object, or the close code and reason; code 1006 for a connection that broke.
    pub async fn next_json(&mut self) -> Result<Value, (u16, String)> {
        loop {
            let frame = within("a WebSocket message", self.stream.next_frame()).await;
            let Ok(frame) = frame else {
                return Err((1006, String::new()));
            };
            match frame.opcode() {
                OpCode::Text => {
                    return Ok(serde_json::from_slice(frame.payload()).expect("a JSON object"));
                }
                OpCode::Close => {
                    let code = frame.close_code().expect("a close code");
                    let reason = frame.close_reason().expect("text").unwrap_or_default();
                    return Err((code.into(), reason.to_owned()));
                }
                _ => {}
            }
        }
    }

    /// Reads to the end: the last object before the close frame, and the frame.
    pub async fn end(&mut self) -> (Value, u16, String) {
        let mut last = Value::Null;
        loop {
            match self.next_json().await {
                Ok(object) => last = object,
                Err((code, reason)) => return (last, code, reason),
            }
        }
    }
}
