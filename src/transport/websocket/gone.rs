//! The ways a WebSocket comes to its end by itself, and how they show.

use std::io;

use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};

use crate::limits::Counted;

/// What stands for a close code where a close frame has none (RFC 6455, section 7.1.5).
pub const NO_CODE: u16 = 1005;

/// How a socket came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// The client closed, with this code or [`NO_CODE`]; our reply is queued.
    Closed(u16),
    /// The client broke the protocol: the close code it is told (RFC 6455, section 7.4.1).
    Misbehaved(u16),
    /// A message was over its limit.
    TooLarge,
    /// There was no room for a message.
    Full(Counted),
    /// The client took nothing for too long.
    Stalled,
    /// The connection broke.
    Broken,
}

impl From<io::Error> for Gone {
    /// A peer that takes nothing may be given up by the system first (RFC 5482), while there is still room for what we write.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Self::Stalled,
            _ => Self::Broken,
        }
    }
}

impl From<Error> for Gone {
    fn from(error: Error) -> Self {
        match error {
            Error::ConnectionClosed | Error::AlreadyClosed => Self::Closed(NO_CODE),
            Error::Capacity(CapacityError::MessageTooLong { .. }) => Self::TooLarge,
            Error::Utf8(_) => Self::Misbehaved(1007),
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Self::Broken,
            Error::Protocol(_) => Self::Misbehaved(1002),
            Error::Io(error) => error.into(),
            _ => Self::Broken,
        }
    }
}
