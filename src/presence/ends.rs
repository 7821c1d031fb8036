//! When sessions without an attachment end: a queue for all rooms.

use std::collections::BTreeSet;

use tokio::time::Instant;

use crate::bus::{ChannelName, PublicId, UserName};

/// When sessions have to be looked at, the earliest first. One has at most one place here, which may be earlier than its
/// end: whoever comes again before it has moved nothing.
#[derive(Debug, Default)]
pub struct Ends(BTreeSet<Place>);

/// A session's place in the queue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When it is to be looked at.
    pub at: Instant,
    /// In which room.
    pub channel: ChannelName,
    /// Whose it is.
    pub user: UserName,
    /// Which one.
    pub id: PublicId,
}

/// The queue for the sessions of one user in one room.
#[derive(Debug)]
pub struct Queue<'a> {
    /// All of it.
    pub ends: &'a mut Ends,
    /// The room.
    pub channel: &'a ChannelName,
    /// The user.
    pub user: &'a UserName,
}

impl Ends {
    /// When the first one is to be looked at.
    pub fn first(&self) -> Option<Instant> {
        self.0.first().map(|place| place.at)
    }

    /// Takes out the first one if its time has come.
    pub fn pop(&mut self, now: Instant) -> Option<Place> {
        let is_due = self.first().is_some_and(|at| at <= now);
        if is_due { self.0.pop_first() } else { None }
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl Queue<'_> {
    /// Puts a session in.
    pub fn put(&mut self, at: Instant, id: PublicId) {
        self.ends.0.insert(self.place(at, id));
    }

    /// Takes a session out.
    pub fn take(&mut self, at: Instant, id: PublicId) {
        let place = self.place(at, id);
        self.ends.0.remove(&place);
    }

    fn place(&self, at: Instant, id: PublicId) -> Place {
        Place {
            at,
            channel: self.channel.clone(),
            user: self.user.clone(),
            id,
        }
    }
}
