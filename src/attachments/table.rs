//! The table of all attachments: slots of the heartbeat, each with its places.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use slab::Slab;

use super::Holder;
use crate::bus::Signal;
use crate::code::{Code, End};
use crate::problem::Problem;
use crate::transport::Transport;

#[derive(Debug, Default)]
pub(super) struct Table {
    pub slots: [Slab<Attached>; SLOTS],
    /// The slot whose heartbeat was last. Newcomers join it, because it is the one with the longest time ahead.
    pub slot: usize,
    pub count: usize,
    /// When attachments end by themselves, in seconds since 1970, the next one first.
    pub ends: BTreeSet<(u64, Place)>,
    /// Set when the gateway goes down: newcomers are turned away, with a delay up to this.
    pub draining: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct Attached {
    pub signal: Arc<Signal>,
    pub transport: Transport,
    pub holder: Holder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub slot: usize,
    pub key: usize,
}

/// A heartbeat has so many ticks, and each tick serves its share of the attachments.
pub(super) const SLOTS: usize = 16;

impl Table {
    /// Turns newcomers away while the gateway goes down.
    pub fn check_draining(&self) -> Result<(), Problem> {
        match self.draining {
            Some(spread) => Err(End::jittered(Code::Shutdown, spread).into()),
            None => Ok(()),
        }
    }

    /// Takes an attachment in.
    pub fn insert(&mut self, attached: Attached) -> Place {
        self.count += 1;
        let slot = self.slot;
        let ends_at_s = attached.holder.ends_at_s;
        let key = self.slots[slot].insert(attached);
        let place = Place { slot, key };
        self.ends.extend(ends_at_s.map(|end| (end, place)));
        place
    }

    /// Lets an attachment go.
    pub fn remove(&mut self, place: Place) {
        self.count -= 1;
        let slot = &mut self.slots[place.slot];
        let attached = slot.remove(place.key);
        if let Some(end) = attached.holder.ends_at_s {
            self.ends.remove(&(end, place));
        }
        if slot.is_empty() {
            // A crowd that left must not leave its places behind.
            slot.shrink_to_fit();
        }
    }
}
