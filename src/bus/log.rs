//! The log of one channel: a ring of publications, bounded by count, bytes and age. No I/O and no clock.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::time::Instant;

use super::keys::{Keys, Recall};
use super::name::ChannelName;
use super::position::{Epoch, Position, Start};
use super::publication::{Draft, Publication};
use super::retention::Retention;

/// A moment, read once by the caller: by the monotonic clock for ages, and by the wall clock for readers.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Monotonic time, for ages.
    pub instant: Instant,
    /// Milliseconds since 1970, for a message's `time`.
    pub unix_ms: u64,
}

/// Why a reader's position cannot be read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GapReason {
    /// The position is of another life of the log.
    Epoch,
    /// What follows the position is not kept any more.
    History,
    /// The position is above the head: it was never given out.
    Ahead,
}

impl GapReason {
    /// All reasons.
    pub const ALL: [Self; 3] = [Self::Epoch, Self::History, Self::Ahead];

    /// The reason's name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Epoch => "epoch",
            Self::History => "history",
            Self::Ahead => "ahead",
        }
    }
}

/// A position that was lost: where reading goes on, and how many messages were missed if that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// Why.
    pub reason: GapReason,
    /// Reading goes on after this.
    pub resume: Position,
    /// The number of messages missed, if it can be known.
    pub count: Option<u64>,
}

/// What became of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// A new publication.
    New(Position),
    /// A repeat of an earlier one with the same key: its position.
    Repeat(Position),
    /// The key was used with another payload.
    KeyConflict,
}

/// How a read ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadEnd {
    /// There is nothing after what was read.
    CaughtUp,
    /// There is more.
    More,
}

/// The log of one channel.
#[derive(Debug)]
pub struct Log {
    epoch: Epoch,
    /// How much it keeps.
    keep: Arc<Retention>,
    /// The newest offset given out.
    head: u64,
    /// Contiguous; the last one is `head`.
    entries: VecDeque<Entry>,
    /// What `entries` cost to keep.
    bytes: usize,
    keys: Keys,
    /// True if it is to be missed, even without a publication.
    seen: bool,
}

/// What a purge took out of a log.
#[derive(Debug)]
pub struct Purged(VecDeque<Entry>);

impl Purged {
    /// The number of publications.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

#[derive(Debug)]
struct Entry {
    publication: Arc<Publication>,
    kept_since: Instant,
    /// What it costs to keep, with the encodings that were made since.
    bytes: usize,
}

impl Log {
    /// An empty log at offset 0.
    pub fn new(epoch: Epoch, keep: Arc<Retention>) -> Self {
        Self {
            epoch,
            keep,
            head: 0,
            entries: VecDeque::new(),
            bytes: 0,
            keys: Keys::default(),
            seen: false,
        }
    }

    /// The position after the newest publication.
    pub fn head(&self) -> Position {
        self.at(self.head)
    }

    /// The position before the oldest publication that is kept.
    pub fn tail(&self) -> Position {
        self.at(self.head - self.entries.len() as u64)
    }

    /// What it costs to keep, in bytes: publications and keys.
    pub fn kept_bytes(&self) -> usize {
        self.bytes + self.keys.kept_bytes()
    }

    /// True if nobody would miss it: no offset was ever given out, and it was not noted as seen.
    pub fn is_pristine(&self) -> bool {
        self.head == 0 && !self.seen
    }

    /// Notes that it is to be missed.
    pub fn see(&mut self) {
        self.seen = true;
    }

    /// What an append of this draft would return without appending, if its key is known.
    pub fn recall(&self, draft: &Draft) -> Option<Appended> {
        let key = draft.key.as_ref()?;
        match self.keys.recall(key)? {
            Recall::Same(offset) => Some(Appended::Repeat(self.at(offset))),
            Recall::OtherPayload => Some(Appended::KeyConflict),
        }
    }

    /// Gives a draft the next offset and keeps it, then drops what is over the retention.
    pub fn append(&mut self, channel: &ChannelName, draft: &Draft, now: Moment) -> Appended {
        self.expire(now.instant);
        if let Some(known) = self.recall(draft) {
            return known;
        }
        self.head += 1;
        let publication = Arc::new(Publication::encode(channel, self.head, now.unix_ms, draft));
        let bytes = publication.kept_bytes();
        self.bytes += bytes;
        self.entries.push_back(Entry {
            publication,
            kept_since: now.instant,
            bytes,
        });
        if let Some(key) = &draft.key {
            self.keys
                .remember(key, self.head, self.keep.keys_max, now.instant);
        }
        self.trim(self.keep.count_max, self.keep.bytes_max);
        Appended::New(self.head())
    }

    /// Keeps another amount from now on. What is over its count or its bytes goes with the next message, what is too old at
    /// the next look.
    pub fn set_retention(&mut self, keep: Arc<Retention>) {
        self.keep = keep;
    }

    /// The number of publications that are kept.
    pub fn kept(&self) -> usize {
        self.entries.len()
    }

    /// Drops what is too old.
    pub fn expire(&mut self, now: Instant) {
        while self
            .entries
            .front()
            .is_some_and(|entry| now.duration_since(entry.kept_since) >= self.keep.age_max)
        {
            self.drop_oldest();
        }
        self.keys.expire(self.keep.key_age_max, now);
    }

    /// Adds the cost of an encoding that was made for a publication, if that is still kept.
    pub fn charge(&mut self, offset: u64, bytes: usize) {
        let index = offset.checked_sub(self.tail().offset + 1);
        let entry = index.and_then(|index| self.entries.get_mut(index as usize));
        if let Some(entry) = entry {
            entry.bytes += bytes;
            self.bytes += bytes;
            self.trim(self.keep.count_max, self.keep.bytes_max);
        }
    }

    /// Drops all publications, and returns them so that they go after the lock. Offsets go on after the head, and the keys
    /// stay: who repeats a publish that was answered must not bring its message back.
    pub fn purge(&mut self) -> Purged {
        self.bytes = 0;
        Purged(std::mem::take(&mut self.entries))
    }

    /// Drops all publications but the newest.
    pub fn shed(&mut self) {
        self.trim(1, usize::MAX);
    }

    /// Where reading starts.
    pub fn locate(&self, start: Start) -> Position {
        match start {
            Start::Now => self.head(),
            Start::Earliest => self.tail(),
            Start::After(position) => position,
        }
    }

    /// Checks that reading can go on from a position.
    ///
    /// # Errors
    /// [`Lost`] with the reason and the place where reading goes on: before the oldest message kept.
    pub fn check(&self, from: Position) -> Result<(), Lost> {
        let tail = self.tail();
        let (reason, count) = if from.epoch != self.epoch {
            (GapReason::Epoch, None)
        } else if from.offset > self.head {
            (GapReason::Ahead, None)
        } else if from.offset < tail.offset {
            (GapReason::History, Some(tail.offset - from.offset))
        } else {
            return Ok(());
        };
        Err(Lost {
            reason,
            resume: tail,
            count,
        })
    }

    /// The publications after an offset that [`Log::check`] accepted, oldest first.
    pub fn after(&self, offset: u64) -> impl Iterator<Item = &Arc<Publication>> {
        // The ring is at most 2^32 entries long by its configuration, so the index fits.
        let first = offset.saturating_sub(self.tail().offset) as usize;
        self.entries
            .range(first.min(self.entries.len())..)
            .map(|entry| &entry.publication)
    }

    /// The publications below an offset, newest first.
    pub fn before(&self, offset: u64) -> impl Iterator<Item = &Arc<Publication>> {
        let end = offset.saturating_sub(1).saturating_sub(self.tail().offset) as usize;
        self.entries
            .range(..end.min(self.entries.len()))
            .rev()
            .map(|entry| &entry.publication)
    }

    fn at(&self, offset: u64) -> Position {
        Position {
            epoch: self.epoch,
            offset,
        }
    }

    /// Drops the oldest until both bounds hold. The newest survives any bound on bytes.
    fn trim(&mut self, count_max: usize, bytes_max: usize) {
        while self.entries.len() > count_max || (self.bytes > bytes_max && self.entries.len() > 1) {
            self.drop_oldest();
        }
        // A burst that is long gone must not hold its memory.
        if self.entries.capacity() > 64 && self.entries.len() < self.entries.capacity() / 4 {
            self.entries.shrink_to(self.entries.len() * 2);
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.bytes -= entry.bytes;
        }
        if self.entries.is_empty() {
            // A channel that is quiet for long holds no room for messages.
            self.entries = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests;
