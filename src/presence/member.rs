//! A user in a room: one, however many sessions it has there.

use std::sync::Arc;

use tokio::time::Instant;

use super::change::Standing;
use super::ends::Queue;
use crate::bus::PublicId;
use crate::transport::Transport;

/// Most sessions of a user in a room that are kept without an attachment. Past it the one that would end first goes, and
/// the user stays.
pub const UNATTACHED_MAX: usize = 100;

/// A user in a room.
#[derive(Debug, Default)]
pub struct Member {
    info: Option<Arc<str>>,
    /// In the order of their ids.
    stays: Vec<Stay>,
    /// What the world was told last.
    pub told: Standing,
}

/// How a session leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// On purpose.
    AtOnce,
    /// Perhaps not for long: it stays until then.
    Until(Instant),
}

/// One session of the user in the room.
#[derive(Debug)]
struct Stay {
    id: PublicId,
    /// Its attachments, by transport.
    attached: [u32; Transport::ALL.len()],
    /// How it came last.
    last: Transport,
    /// Without an attachment it stays until then.
    until: Option<Instant>,
    /// Its place in the queue, at its end or before it.
    queued: Option<Instant>,
}

impl Member {
    /// How the user stands.
    pub fn standing(&self) -> Standing {
        if self.stays.is_empty() {
            Standing::Absent
        } else {
            Standing::Present(self.info.clone())
        }
    }

    /// The number of sessions.
    pub fn sessions(&self) -> usize {
        self.stays.len()
    }

    /// What is shown of the user.
    pub fn info(&self) -> Option<&Arc<str>> {
        self.info.as_ref()
    }

    /// True if the session is there.
    pub fn has(&self, id: PublicId) -> bool {
        self.find(id).is_ok()
    }

    /// True if a session is there by this transport: attached by it, or it came by it last if it is not attached.
    pub fn is_there_by(&self, transport: Transport) -> bool {
        self.stays.iter().any(|stay| {
            let came_last = !stay.is_attached() && stay.last == transport;
            came_last || stay.attached[transport as usize] > 0
        })
    }

    /// Shows this of the user from now on.
    pub fn show(&mut self, info: Option<&Arc<str>>) {
        if self.info.as_ref() != info {
            self.info = info.cloned();
        }
    }

    /// An attachment of a session comes.
    pub fn attach(&mut self, id: PublicId, transport: Transport) {
        let stay = self.stay(id, transport);
        stay.attached[transport as usize] += 1;
        // Its place in the queue is left: when its time comes there is nothing to end.
        stay.until = None;
    }

    /// An attachment of a session goes. With the last one the session goes, or stays a while.
    pub fn detach(
        &mut self,
        id: PublicId,
        transport: Transport,
        leaving: Leaving,
        queue: &mut Queue,
    ) {
        let Ok(at) = self.find(id) else {
            return;
        };
        let stay = &mut self.stays[at];
        let attached = &mut stay.attached[transport as usize];
        *attached = attached.saturating_sub(1);
        if stay.is_attached() {
            return;
        }
        match leaving {
            Leaving::AtOnce => self.remove(at, queue),
            Leaving::Until(until) => {
                // A poll of the session may have been promised more.
                stay.stay_until(stay.until.map_or(until, |at| at.max(until)), queue);
                self.bound(queue);
            }
        }
    }

    /// A session that polls stays until then, whatever it was promised before.
    pub fn lease(&mut self, id: PublicId, transport: Transport, until: Instant, queue: &mut Queue) {
        self.stay(id, transport).stay_until(until, queue);
        self.bound(queue);
    }

    /// The time of a session's place in the queue has come: it goes, or gets another place.
    pub fn look(&mut self, id: PublicId, now: Instant, queue: &mut Queue) {
        let Ok(at) = self.find(id) else {
            return;
        };
        let stay = &mut self.stays[at];
        stay.queued = None;
        match stay.until {
            Some(until) if until > now => stay.stay_until(until, queue),
            Some(_) if !stay.is_attached() => self.remove(at, queue),
            // What a poll was promised is over, and a stream goes on.
            _ => stay.until = None,
        }
    }

    /// The session, which comes by this transport.
    fn stay(&mut self, id: PublicId, transport: Transport) -> &mut Stay {
        let at = self.find(id).unwrap_or_else(|at| {
            // Most users have one.
            self.stays.reserve_exact(usize::from(self.stays.is_empty()));
            self.stays.insert(at, Stay::new(id, transport));
            at
        });
        self.stays[at].last = transport;
        &mut self.stays[at]
    }

    /// Lets the session go that would end first, if there are too many.
    fn bound(&mut self, queue: &mut Queue) {
        let unattached = || self.stays.iter().filter(|stay| !stay.is_attached());
        if unattached().count() <= UNATTACHED_MAX {
            return;
        }
        let first = unattached().min_by_key(|stay| stay.until);
        if let Some(at) = first.and_then(|stay| self.find(stay.id).ok()) {
            self.remove(at, queue);
        }
    }

    fn remove(&mut self, at: usize, queue: &mut Queue) {
        let stay = self.stays.remove(at);
        if let Some(queued) = stay.queued {
            queue.take(queued, stay.id);
        }
    }

    fn find(&self, id: PublicId) -> Result<usize, usize> {
        self.stays.binary_search_by_key(&id, |stay| stay.id)
    }
}

impl Stay {
    fn new(id: PublicId, transport: Transport) -> Self {
        Self {
            id,
            attached: [0; Transport::ALL.len()],
            last: transport,
            until: None,
            queued: None,
        }
    }

    fn is_attached(&self) -> bool {
        self.attached.iter().any(|attached| *attached > 0)
    }

    /// A place in the queue that is early enough is left.
    fn stay_until(&mut self, until: Instant, queue: &mut Queue) {
        self.until = Some(until);
        match self.queued {
            Some(queued) if queued <= until => return,
            Some(queued) => queue.take(queued, self.id),
            None => {}
        }
        queue.put(until, self.id);
        self.queued = Some(until);
    }
}
