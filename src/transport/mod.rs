//! The four transports. Each one is an encoder and a stopping rule over [`Session::next`](crate::session::Session::next).

mod client;
pub mod poll;
pub mod sse;
pub mod websocket;

pub use client::{Client, holder, visitor};
use serde::{Deserialize, Serialize};

/// A way to reach the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// WebSocket (RFC 6455).
    WebSocket,
    /// Server-Sent Events (WHATWG HTML, section 9.2).
    Sse,
    /// A request that waits for an answer.
    LongPoll,
    /// A request that is answered at once.
    Poll,
}

impl Transport {
    /// All transports, in order of preference.
    pub const ALL: [Self; 4] = [Self::WebSocket, Self::Sse, Self::LongPoll, Self::Poll];

    /// Its name on the wire, in the configuration and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::Sse => "sse",
            Self::LongPoll => "longpoll",
            Self::Poll => "poll",
        }
    }

    /// Its path.
    pub const fn path(self) -> &'static str {
        match self {
            Self::WebSocket => "/v1/ws",
            Self::Sse => "/v1/sse",
            Self::LongPoll => "/v1/longpoll",
            Self::Poll => "/v1/poll",
        }
    }

    /// True if a client can also send over it.
    pub const fn sends(self) -> bool {
        matches!(self, Self::WebSocket)
    }
}
