//! A WebSocket as a client speaks it.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::within;

/// A client's WebSocket.
pub struct Ws {
    stream: WebSocketStream<TcpStream>,
}

impl Ws {
    pub async fn open(address: SocketAddr, target: &str) -> Self {
        Self::with(address, target, &[]).await.0
    }

    /// Opens with more header fields, and returns those of the answer, too.
    pub async fn with(
        address: SocketAddr,
        target: &str,
        headers: &[(&'static str, &str)],
    ) -> (Self, http::HeaderMap) {
        let stream = TcpStream::connect(address)
            .await
            .expect("the gateway listens");
        Self::begin(stream, address, target, headers).await
    }

    /// Opens over a connection that is there.
    pub async fn over(stream: TcpStream, address: SocketAddr, target: &str) -> Self {
        Self::begin(stream, address, target, &[]).await.0
    }

    async fn begin(
        stream: TcpStream,
        address: SocketAddr,
        target: &str,
        headers: &[(&'static str, &str)],
    ) -> (Self, http::HeaderMap) {
        let url = format!("ws://{address}{target}");
        let mut request = url.as_str().into_client_request().expect("a URL");
        for (name, value) in headers {
            let value = value.parse().expect("a header");
            request.headers_mut().insert(*name, value);
        }
        let opened = within(
            &format!("the handshake of {url}"),
            client_async(request, stream),
        )
        .await;
        let (stream, response) = opened.expect("an upgrade");
        (Self { stream }, response.headers().clone())
    }

    /// Opens, and reads `welcome`.
    pub async fn welcomed(address: SocketAddr, target: &str) -> (Self, Value) {
        let mut ws = Self::open(address, target).await;
        let welcome = ws.json().await;
        assert_eq!(welcome["type"], "welcome", "{welcome}");
        (ws, welcome)
    }

    pub async fn send(&mut self, text: impl Into<String>) {
        let message = Message::text(text.into());
        within("the WebSocket to take a message", self.stream.send(message))
            .await
            .expect("an open WebSocket");
    }

    /// Sends to a gateway that may have closed already.
    pub async fn send_or_not(&mut self, text: impl Into<String>) {
        let message = Message::text(text.into());
        let sent = within("the WebSocket to take a message", self.stream.send(message)).await;
        drop(sent);
    }

    pub async fn send_message(&mut self, message: Message) {
        within("the WebSocket to take a message", self.stream.send(message))
            .await
            .expect("an open WebSocket");
    }

    /// Sends a command and returns the next object.
    pub async fn ask(&mut self, command: Value) -> Value {
        self.send(command.to_string()).await;
        self.json().await
    }

    /// The next message, control frames included.
    pub async fn message(&mut self) -> Option<Message> {
        within("a WebSocket message", self.stream.next())
            .await
            .and_then(Result::ok)
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
            match self.message().await {
                Some(Message::Text(text)) => {
                    return Ok(serde_json::from_str(&text).expect("a JSON object"));
                }
                Some(Message::Close(frame)) => {
                    let frame = frame.expect("a close code");
                    return Err((frame.code.into(), frame.reason.to_string()));
                }
                Some(_) => {}
                None => return Err((1006, String::new())),
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

    /// Begins to close with 1000, at a gateway that may have closed already. What comes until its close frame can be read.
    pub async fn begin_close(&mut self) {
        let frame = CloseFrame {
            code: CloseCode::Normal,
            reason: "".into(),
        };
        let sending = self.stream.send(Message::Close(Some(frame)));
        drop(within("the WebSocket to take a close frame", sending).await);
    }

    /// Closes, and reads the gateway's own close frame, which has to come (RFC 6455, section 5.5.1).
    pub async fn close(mut self) {
        let frame = CloseFrame {
            code: CloseCode::Normal,
            reason: "".into(),
        };
        within("the WebSocket to close", self.stream.close(Some(frame)))
            .await
            .expect("an open WebSocket");
        while let Some(message) = self.message().await {
            if let Message::Close(reply) = message {
                assert_eq!(reply.expect("a code").code, CloseCode::Normal);
                assert_eq!(self.message().await, None, "nothing after it");
                return;
            }
        }
        panic!("the gateway did not answer the close frame");
    }
}
