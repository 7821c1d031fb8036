//! All rooms, and what is due in them. No clock and no I/O: what happens now is said by whoever calls.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use super::change::Change;
use super::ends::{Ends, Place, Queue};
use super::member::{Leaving, Member};
use super::page::Row;
use super::roster::Roster;
use super::{Full, Visitor};
use crate::bus::{ChannelName, UserName};

/// A change in a quiet room is told after so long, so that a crowd that comes at once is told at once.
pub const SETTLE: Duration = Duration::from_millis(50);
/// Between two messages of a room, at least.
pub const REST: Duration = Duration::from_secs(1);

/// All rooms.
#[derive(Debug, Default)]
pub struct Rooms {
    rooms: HashMap<ChannelName, Roster>,
    /// When rooms are to be looked at: each has at most one place.
    dues: BTreeSet<(Instant, ChannelName)>,
    ends: Ends,
    /// How much is kept in all rooms.
    kept: usize,
    /// How many users are in all rooms, one for each user and room.
    present: usize,
}

/// How a room stands when its time has come.
#[derive(Debug)]
pub enum Due {
    /// There is something to tell: do it, then say how it went.
    Tell(ChannelName, Change),
    /// There is nothing to tell.
    Quiet,
}

/// How many users are shown, after whom.
#[derive(Debug, Clone, Copy)]
pub struct Window<'a> {
    /// After this user; from the first on if absent.
    pub after: Option<&'a UserName>,
    /// At most so many.
    pub limit: usize,
}

impl Rooms {
    /// How many users are in all rooms, one for each user and room.
    pub fn present(&self) -> usize {
        self.present
    }

    /// When something is to be done next.
    pub fn next(&self) -> Option<Instant> {
        let due = self.dues.first().map(|(at, _)| *at);
        due.into_iter().chain(self.ends.first()).min()
    }

    /// Somebody attaches to a channel.
    ///
    /// # Errors
    /// [`Full`] if more would be kept than this.
    pub fn attach(
        &mut self,
        channel: &ChannelName,
        visitor: &Visitor,
        kept_max: usize,
        now: Instant,
    ) -> Result<(), Full> {
        self.check_room(channel, visitor, kept_max)?;
        self.change(channel, &visitor.user, now, |member, _| {
            member.show(visitor.info.as_ref());
            member.attach(visitor.public_id, visitor.transport);
        });
        Ok(())
    }

    /// Somebody is not attached to a channel any more.
    pub fn detach(
        &mut self,
        channel: &ChannelName,
        visitor: &Visitor,
        leaving: Leaving,
        now: Instant,
    ) {
        if self.rooms.contains_key(channel) {
            self.change(channel, &visitor.user, now, |member, queue| {
                member.detach(visitor.public_id, visitor.transport, leaving, queue);
            });
        }
    }

    /// Somebody polled, and is there until then.
    ///
    /// # Errors
    /// [`Full`] if more would be kept than this.
    pub fn lease(
        &mut self,
        channel: &ChannelName,
        visitor: &Visitor,
        until: Instant,
        kept_max: usize,
        now: Instant,
    ) -> Result<(), Full> {
        self.check_room(channel, visitor, kept_max)?;
        self.change(channel, &visitor.user, now, |member, queue| {
            member.show(visitor.info.as_ref());
            member.lease(visitor.public_id, visitor.transport, until, queue);
        });
        Ok(())
    }

    /// Shows what is to be shown of somebody now, who is attached to a channel.
    pub fn show_info(&mut self, channel: &ChannelName, visitor: &Visitor, now: Instant) {
        let is_there = |room: &Roster| room.member(&visitor.user).is_some();
        if self.rooms.get(channel).is_some_and(is_there) {
            self.change(channel, &visitor.user, now, |member, _| {
                member.show(visitor.info.as_ref());
            });
        }
    }

    /// How many are in a room, some of them, and whether there are more.
    pub fn show(&mut self, channel: &ChannelName, window: Window) -> (usize, Vec<Row>, bool) {
        let Some(room) = self.rooms.get_mut(channel) else {
            return (0, Vec::new(), false);
        };
        let (rows, more) = room.show(window.after, window.limit);
        (room.present(), rows, more)
    }

    /// Looks at one session whose place in the queue has come, and says whether there was one.
    pub fn end_next(&mut self, now: Instant) -> bool {
        let Some(Place {
            channel, user, id, ..
        }) = self.ends.pop(now)
        else {
            return false;
        };
        if self.rooms.contains_key(&channel) {
            self.change(&channel, &user, now, |member, queue| {
                member.look(id, now, queue);
            });
        }
        true
    }

    /// Looks at one room whose time has come, if there is one. A room in which nothing may be told is forgotten.
    pub fn tell_next(
        &mut self,
        now: Instant,
        bytes_max: usize,
        may_tell: impl FnOnce(&ChannelName) -> bool,
    ) -> Option<Due> {
        if self.dues.first().is_none_or(|(at, _)| *at > now) {
            return None;
        }
        let (_, channel) = self.dues.pop_first()?;
        let Some(room) = self.rooms.get_mut(&channel) else {
            return Some(Due::Quiet);
        };
        room.due = None;
        if !may_tell(&channel) {
            self.forget(&channel);
        } else if room.wants_to_tell() {
            let change = room.tell(bytes_max);
            return Some(Due::Tell(channel, change));
        } else if room.is_vacant() {
            self.forget(&channel);
        }
        Some(Due::Quiet)
    }

    /// A room's message is there, or it is not and comes later.
    pub fn told(&mut self, channel: &ChannelName, change: Change, is_there: bool, now: Instant) {
        let Some(room) = self.rooms.get_mut(channel) else {
            return;
        };
        let kept = room.kept();
        if is_there {
            room.told(change);
        } else {
            room.untold(change);
        }
        self.kept = self.kept - kept + room.kept();
        // Even an empty room is kept for the rest: it might have something to tell at once.
        self.dues.insert((now + REST, channel.clone()));
        room.due = Some(now + REST);
    }

    /// How many rooms, places in the two queues, and presences there are.
    #[cfg(test)]
    pub fn sizes(&self) -> [usize; 4] {
        let queues = [self.dues.len(), self.ends.len()];
        [self.rooms.len(), queues[0], queues[1], self.kept]
    }

    /// Changes a user in a room, which may come or go by it.
    fn change(
        &mut self,
        channel: &ChannelName,
        user: &UserName,
        now: Instant,
        change: impl FnOnce(&mut Member, &mut Queue),
    ) {
        let mut queue = Queue {
            ends: &mut self.ends,
            channel,
            user,
        };
        let room = match self.rooms.get_mut(channel) {
            Some(room) => room,
            None => self.rooms.entry(channel.clone()).or_default(),
        };
        let (kept, present) = (room.kept(), room.present());
        room.change(user, |member| change(member, &mut queue));
        self.kept = self.kept - kept + room.kept();
        self.present = self.present - present + room.present();
        if room.due.is_some() {
            return;
        }
        if room.wants_to_tell() {
            self.dues.insert((now + SETTLE, channel.clone()));
            room.due = Some(now + SETTLE);
        } else if room.is_vacant() {
            self.forget(channel);
        }
    }

    fn check_room(
        &self,
        channel: &ChannelName,
        visitor: &Visitor,
        kept_max: usize,
    ) -> Result<(), Full> {
        let is_there = |room: &Roster| {
            let member = room.member(&visitor.user);
            member.is_some_and(|member| member.has(visitor.public_id))
        };
        let is_new = !self.rooms.get(channel).is_some_and(is_there);
        if is_new && self.kept >= kept_max {
            return Err(Full);
        }
        Ok(())
    }

    /// Lets go of a room with all who are in it. Who is attached still and leaves later finds nothing to leave; what the
    /// queue holds of it ends the same way.
    fn forget(&mut self, channel: &ChannelName) {
        if let Some(room) = self.rooms.remove(channel) {
            self.kept -= room.kept();
            self.present -= room.present();
        }
    }
}

#[cfg(test)]
mod tests;
