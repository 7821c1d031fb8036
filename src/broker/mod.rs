//! The broker: where offsets are assigned.
//!
//! A closed set, because each one changes what the gateway promises. Today there is one, in memory. A broker that lives
//! elsewhere fits the same calls: [`Broker::publish`] waits for the store's answer and may fail, [`Broker::join`] declares
//! this node's interest in a channel, and what others published comes back on a bounded stream that one task applies to
//! the node's logs in order of offset.

mod memory;

pub use memory::Memory;

use crate::bus::log::Appended;
use crate::bus::name::ChannelName;
use crate::bus::position::Position;
use crate::bus::publication::Draft;
use crate::bus::store::Full;

/// Where offsets are assigned.
#[derive(Debug, Clone)]
pub enum Broker {
    /// In this process. Messages live as long as it does.
    Memory(Memory),
}

/// Why a message was not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// A total is reached and nothing in the store can go.
    #[error(
        "the store is full: raise history.bytes_total_max or history.channels_max, or publish less"
    )]
    Full,
    /// The key was used with another payload.
    #[error("this Idempotency-Key was used with another payload: use a new key for a new message")]
    KeyConflict,
    /// The broker cannot be reached.
    #[error("the broker cannot be reached: try again")]
    Unavailable,
}

impl Broker {
    /// Assigns the next offset of a channel to a draft and returns its position, or the position of the first one if the
    /// draft repeats a key. Not cancel safe: a publish that is dropped may have happened.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish(
        &self,
        channel: &ChannelName,
        draft: &Draft,
    ) -> Result<Position, PublishError> {
        let appended = match self {
            Self::Memory(memory) => memory.publish(channel, draft)?,
        };
        match appended {
            Appended::New(position) | Appended::Repeat(position) => Ok(position),
            Appended::KeyConflict => Err(PublishError::KeyConflict),
        }
    }

    /// Drops all messages of a channel; its epoch and its head stay. Returns the head, and how many messages there were. Not
    /// cancel safe: a purge that is dropped may have happened.
    ///
    /// # Errors
    /// [`PublishError::Unavailable`]. The memory broker never fails.
    pub async fn purge(&self, channel: &ChannelName) -> Result<(Position, usize), PublishError> {
        match self {
            Self::Memory(memory) => Ok(memory.purge(channel)),
        }
    }

    /// True if this node is told by now what is published to a channel.
    pub fn has_joined(&self, _channel: &ChannelName) -> bool {
        match self {
            // The log of the memory broker is the node's own.
            Self::Memory(_) => true,
        }
    }

    /// Makes this node receive what is published to a channel. Returns once nothing published later can be missed.
    ///
    /// # Errors
    /// [`PublishError::Unavailable`].
    pub async fn join(&self, _channel: &ChannelName) -> Result<(), PublishError> {
        match self {
            // The log of the memory broker is the node's own: there is nothing to join.
            Self::Memory(_) => Ok(()),
        }
    }
}

impl From<Full> for PublishError {
    fn from(_: Full) -> Self {
        Self::Full
    }
}
