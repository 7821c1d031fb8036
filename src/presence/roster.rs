//! One room: who is there, and what the world was told of it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use tokio::time::Instant;

use super::change::{Change, Standing};
use super::member::Member;
use super::page::Row;
use crate::bus::UserName;

/// Who is in a room.
///
/// What changed since the last message waits in `pending`, so a user who leaves and comes back in between costs nothing.
/// Whoever was shown what no message has told yet would then never hear the end of it: from that look on, changes are told
/// even if they cancel out. Telling one twice does no harm.
#[derive(Debug, Default)]
pub struct Roster {
    /// Those who are there, and those of whom the world does not know yet that they are not.
    members: BTreeMap<UserName, Member>,
    /// How many of them are there.
    present: usize,
    /// How much they count against the limit: one for each session, and for each user without one.
    kept: usize,
    /// Whom the next message is about. All users are in it of whom the world was told something else.
    pending: BTreeSet<UserName>,
    /// True while a message is on its way.
    is_telling: bool,
    /// True if somebody was shown what no message has told yet.
    was_shown: bool,
    /// Where the last message ended, so that every user's turn comes however many change.
    told_up_to: Option<UserName>,
    /// When the next message is due, or the rest after the last one is over.
    pub due: Option<Instant>,
}

impl Roster {
    /// How many users are there.
    pub fn present(&self) -> usize {
        self.present
    }

    /// How much is kept.
    pub fn kept(&self) -> usize {
        self.kept
    }

    /// True if there is something to tell, and nobody is about to.
    pub fn wants_to_tell(&self) -> bool {
        !self.pending.is_empty() && !self.is_telling
    }

    /// True if nobody would miss it.
    pub fn is_vacant(&self) -> bool {
        self.members.is_empty() && self.pending.is_empty() && !self.is_telling
    }

    /// The user's place, if it has one.
    pub fn member(&self, user: &UserName) -> Option<&Member> {
        self.members.get(user)
    }

    /// Changes a user, who may come or go by it.
    pub fn change(&mut self, user: &UserName, change: impl FnOnce(&mut Member)) {
        let is_new = !self.members.contains_key(user);
        let member = self.members.entry(user.clone()).or_default();
        let (kept, before) = (if is_new { 0 } else { kept(member) }, member.standing());
        change(member);
        let after = member.standing();
        self.kept = self.kept - kept + self::kept(member);
        let is_there = |standing: &Standing| usize::from(*standing != Standing::Absent);
        self.present = self.present - is_there(&before) + is_there(&after);
        if after == member.told && !self.is_telling && !self.was_shown {
            self.pending.remove(user);
        } else if before != after {
            self.pending.insert(user.clone());
        }
        self.forget(user);
    }

    /// The next message: as many users as fit, in turn. It is on its way until [`Roster::told`] or [`Roster::untold`].
    pub fn tell(&mut self, bytes_max: usize) -> Change {
        let mut change = Change::new(self.present);
        let (rest, up_to) = match &self.told_up_to {
            Some(user) => {
                let rest = (Bound::Excluded(user), Bound::Unbounded);
                (self.pending.range(rest), Some(self.pending.range(..=user)))
            }
            None => (self.pending.range::<UserName, _>(..), None),
        };
        for user in rest.chain(up_to.into_iter().flatten()) {
            let member = self.members.get(user);
            let standing = member.map_or(Standing::Absent, Member::standing);
            if !change.push(user, standing, bytes_max) {
                break;
            }
        }
        for (user, _) in &change.told {
            self.pending.remove(user);
        }
        self.told_up_to = change.told.last().map(|(user, _)| user.clone());
        self.is_telling = true;
        self.was_shown &= !self.pending.is_empty();
        change
    }

    /// The message is there.
    pub fn told(&mut self, change: Change) {
        self.is_telling = false;
        for (user, standing) in change.told {
            if let Some(member) = self.members.get_mut(&user) {
                member.told = standing;
            }
            self.forget(&user);
        }
        // Who was shown something since is told all of it: it is pending, or did not change.
        self.was_shown &= !self.pending.is_empty();
    }

    /// The message is not there, or may not be.
    pub fn untold(&mut self, change: Change) {
        self.is_telling = false;
        self.was_shown = true;
        let users = change.told.into_iter().map(|(user, _)| user);
        self.pending.extend(users);
    }

    /// So many of those who are there, after a user, and whether there are more.
    pub fn show(&mut self, after: Option<&UserName>, limit: usize) -> (Vec<Row>, bool) {
        // What is on its way is what is shown, unless it changed since: then it is pending.
        self.was_shown |= !self.pending.is_empty();
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let members = self.members.range((after, Bound::Unbounded));
        let mut there = members.filter(|(_, member)| member.sessions() > 0);
        let rows = there.by_ref().take(limit);
        let rows = rows.map(|(user, member)| Row::new(user, member)).collect();
        (rows, there.next().is_some())
    }

    /// Lets a user go who is not there, if the world knows.
    fn forget(&mut self, user: &UserName) {
        let is_known = |member: &Member| member.sessions() == 0 && member.told == Standing::Absent;
        let is_over = self.members.get(user).is_some_and(is_known);
        if is_over && !self.pending.contains(user) {
            self.kept -= 1;
            self.members.remove(user);
        }
    }
}

/// How much a user counts against the limit.
fn kept(member: &Member) -> usize {
    member.sessions().max(1)
}
