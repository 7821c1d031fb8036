//! The four transports. Each one is an encoder and a stopping rule over [`Session::next`](crate::session::Session::next).

pub mod poll;
pub mod sse;
pub mod websocket;

use serde::{Deserialize, Serialize};

use crate::auth::Principal;
use crate::bus::{PublicId, SessionId};

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

/// Who is at the other end of a stream.
#[derive(Debug)]
pub struct Client {
    /// Who, and what they may do.
    pub principal: Principal,
    /// What everybody may see of the session.
    pub public_id: PublicId,
}

impl Client {
    /// A client with the session id it brought, or a fresh one.
    pub fn new(principal: Principal, session: Option<SessionId>) -> Self {
        let session = session.unwrap_or_else(SessionId::random);
        Self {
            public_id: PublicId::of(principal.user.as_ref(), &session),
            principal,
        }
    }
}
