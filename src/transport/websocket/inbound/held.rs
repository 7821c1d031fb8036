//! What the messages of a WebSocket take of the room for all that is on its way in.

use crate::limits::{Counted, FREE_BYTES, Inlet, Share};

/// What messages take of the room for all, beyond the free part of a WebSocket.
#[derive(Debug)]
pub struct Held {
    inlet: Inlet,
    /// What came in of the message that is not complete.
    message_bytes: usize,
    share: Option<Box<Share>>,
    /// The share of a message that is complete, until it is handed out.
    complete: Option<Box<Share>>,
}

impl Held {
    /// Nothing came in yet.
    pub fn new(inlet: Inlet) -> Self {
        Self {
            inlet,
            message_bytes: 0,
            share: None,
            complete: None,
        }
    }

    /// True if a message with a share waits to be handed out.
    pub fn has_complete(&self) -> bool {
        self.complete.is_some()
    }

    /// The share of a message of so many bytes that was handed out just now.
    pub fn take_complete(&mut self, message_bytes: usize) -> Option<Box<Share>> {
        // Small messages that were decoded with a large one come before it, and have none.
        if message_bytes > FREE_BYTES {
            self.complete.take()
        } else {
            None
        }
    }

    /// More is asked for, so what was complete was handed out.
    pub fn handed_out(&mut self) {
        self.complete = None;
    }

    /// Holds so many bytes more of a message, of which there may be `bytes_max`. One that is larger for being compressed counts
    /// as a message of the greatest length, so that it has room wherever such a message has.
    ///
    /// # Errors
    /// What there is too much of.
    pub fn grow(&mut self, bytes: usize, bytes_max: usize) -> Result<(), Counted> {
        self.message_bytes += bytes;
        let held = self.message_bytes.min(bytes_max);
        self.hold(held)
    }

    /// Holds so many bytes of a message in all, or more.
    ///
    /// # Errors
    /// What there is too much of.
    pub fn hold(&mut self, bytes: usize) -> Result<(), Counted> {
        if bytes <= FREE_BYTES {
            return Ok(());
        }
        let inlet = &self.inlet;
        let share = self.share.get_or_insert_with(|| Box::new(inlet.share()));
        share.cover(bytes - FREE_BYTES)
    }

    /// The message has so many bytes, and holds no more from now on.
    pub fn shrink(&mut self, bytes: usize) {
        match &mut self.share {
            Some(share) if bytes > FREE_BYTES => share.shrink(bytes - FREE_BYTES),
            share => *share = None,
        }
    }

    /// The message is complete.
    pub fn complete(&mut self) {
        self.message_bytes = 0;
        self.complete = self.share.take();
    }
}
