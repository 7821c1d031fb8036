//! The table of all attachments: slots of the heartbeat, each with its places.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use slab::Slab;

use super::ends::Ends;
use super::fence::{Fence, Leaving};
use super::{Holder, LOOKED_AT_MAX};
use crate::bus::{PublicId, Signal};
use crate::code::{Code, End};
use crate::problem::Problem;
use crate::transport::Transport;

#[derive(Debug, Default)]
pub(super) struct Table {
    pub slots: [Slab<Attached>; SLOTS],
    /// The slot whose heartbeat was last. Newcomers join it, because it is the one with the longest time ahead.
    pub slot: usize,
    pub count: usize,
    /// When attachments end with their tokens, in seconds since 1970.
    pub token_ends: Ends,
    /// When attachments end by their age, in seconds since the start.
    pub age_ends: Ends,
    /// Which attachment each session has.
    pub fence: Fence,
    /// Set when the gateway goes down: newcomers are turned away, with a delay up to this.
    pub draining: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct Attached {
    pub signal: Arc<Signal>,
    pub holder: Holder,
    /// When it came, in milliseconds since 1970.
    pub since_ms: u64,
    /// When it ends by its age, in seconds since the start.
    retires_at_s: Option<NonZeroU32>,
    pub transport: Transport,
}

/// Where an attachment is, for as long as it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub slot: usize,
    pub key: usize,
}

/// A heartbeat has so many ticks, and each tick serves its share of the attachments.
pub(super) const SLOTS: usize = 16;
/// A place's key has so many bits in its number: no memory holds more attachments.
const KEY_BITS: u32 = 32;

impl Place {
    /// The first of all.
    pub const FIRST: Self = Self { slot: 0, key: 0 };

    /// As a number, in the same order.
    pub fn number(self) -> u64 {
        (self.slot as u64) << KEY_BITS | self.key as u64
    }

    /// The place of a number, which may be one that nobody has.
    pub fn of(number: u64) -> Self {
        Self {
            slot: (number >> KEY_BITS) as usize,
            key: (number & ((1 << KEY_BITS) - 1)) as usize,
        }
    }
}

impl Table {
    /// Turns newcomers away while the gateway goes down.
    pub fn check_draining(&self) -> Result<(), Problem> {
        match self.draining {
            Some(spread) => Err(End::jittered(Code::Shutdown, spread).into()),
            None => Ok(()),
        }
    }

    /// How many places more than the limits there are for a newcomer, whose older attachment is about to go.
    pub fn spare_for(&self, session: &PublicId) -> usize {
        usize::from(self.fence.holds(session))
    }

    /// Takes an attachment in.
    pub fn insert(
        &mut self,
        transport: Transport,
        holder: Holder,
        retires_at_s: Option<NonZeroU32>,
    ) -> (Place, Arc<Signal>) {
        self.count += 1;
        let slot = &mut self.slots[self.slot];
        let entry = slot.vacant_entry();
        let place = Place {
            slot: self.slot,
            key: entry.key(),
        };
        let signal = Arc::new(Signal::new(place.number()));
        self.token_ends.add(holder.ends_at_s, place);
        self.age_ends.add(retires_at_s.map(seconds), place);
        entry.insert(Attached {
            signal: Arc::clone(&signal),
            holder,
            since_ms: unix_now_ms(),
            retires_at_s,
            transport,
        });
        (place, signal)
    }

    /// Notes that an attachment is at its end, though it has its place still. Returns who waits for that.
    pub fn left(&mut self, place: Place) -> Option<Leaving> {
        let session = self.at(place)?.holder.fenced()?;
        self.fence.left(session, place)
    }

    /// Lets an attachment go. Returns who waits for that.
    pub fn remove(&mut self, place: Place) -> Option<Leaving> {
        let leaving = self.left(place);
        self.count -= 1;
        let slot = &mut self.slots[place.slot];
        let attached = slot.remove(place.key);
        self.token_ends.remove(attached.holder.ends_at_s, place);
        self.age_ends
            .remove(attached.retires_at_s.map(seconds), place);
        if slot.is_empty() {
            // A crowd that left must not leave its places behind.
            slot.shrink_to_fit();
        }
        leaving
    }

    /// Who is at a place.
    pub fn at(&self, place: Place) -> Option<&Attached> {
        self.slots.get(place.slot)?.get(place.key)
    }

    /// Some of the attachments: of so many places as may be looked at under one lock, from one on. Also the place to go on
    /// from; nothing at the end. Nobody moves, so who stays is met exactly once on the way through all of them.
    pub fn slice(&self, from: Place) -> (impl Iterator<Item = (Place, &Attached)>, Option<Place>) {
        let Place { slot, key } = from;
        let end = self.slots.get(slot).map_or(0, Slab::capacity);
        let until = (key + LOOKED_AT_MAX).min(end);
        let places = (key..until).map(move |key| Place { slot, key });
        let next = if until < end {
            Some(Place { slot, key: until })
        } else {
            (slot + 1 < SLOTS).then_some(Place {
                slot: slot + 1,
                key: 0,
            })
        };
        (
            places.filter_map(|place| Some((place, self.at(place)?))),
            next,
        )
    }
}

fn seconds(at: NonZeroU32) -> u64 {
    at.get().into()
}

fn unix_now_ms() -> u64 {
    // A clock before 1970 is a broken one; lists then say 1970.
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
