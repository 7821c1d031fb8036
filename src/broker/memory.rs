//! The memory broker: the node's own logs assign the offsets, so a publication is applied in the same step.

use std::sync::Arc;

use crate::bus::log::Appended;
use crate::bus::name::ChannelName;
use crate::bus::position::Position;
use crate::bus::publication::Draft;
use crate::bus::store::{Full, Store};

/// Assigns offsets in a store of this process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Memory {
    store: Arc<Store>,
}

impl Memory {
    /// A broker over the store that the bus reads from.
    pub fn new(store: Arc<Store>) -> Self {
        Self { store }
    }

    /// Appends to the channel's log and wakes its audience.
    ///
    /// # Errors
    /// [`Full`].
    pub fn publish(&self, channel: &ChannelName, draft: &Draft) -> Result<Appended, Full> {
        self.store.append(channel, draft)
    }

    /// Drops all messages of a channel's log. Returns its head and how many there were.
    pub fn purge(&self, channel: &ChannelName) -> (Position, usize) {
        self.store.purge(channel)
    }
}
