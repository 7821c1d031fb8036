//! The one read primitive: from a position in each of several channels, what comes next, fairly, within a budget.

use std::sync::Arc;

use super::channel::Channel;
use super::log::{GapReason, Lost, ReadEnd};
use super::name::ChannelName;
use super::position::Position;
use super::publication::Publication;
use super::store::Store;

/// A position in one channel.
#[derive(Debug)]
pub struct Reader {
    /// The channel's name.
    pub name: ChannelName,
    /// Everything up to here was handed out. It may be a lost one, until the reader was told.
    pub position: Position,
    source: Source,
}

/// Where a reader reads.
#[derive(Debug)]
pub enum Source {
    /// A channel with state.
    Channel(Arc<Channel>),
    /// A channel without state stands at this position and holds nothing.
    Vacant(Position),
}

/// A position was lost. Nothing is ever lost without one of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// In which channel.
    pub channel: ChannelName,
    /// Why, where reading goes on, and how much was missed.
    pub lost: Lost,
}

/// One thing that a reader is told.
#[derive(Debug, Clone)]
pub enum Item {
    /// A message.
    Message(Arc<Publication>),
    /// Messages were missed.
    Gap(Gap),
}

/// What a read returned, in order within each channel.
#[derive(Debug, Default)]
pub struct Batch {
    /// The items, each with the index of its reader.
    pub items: Vec<(u32, Item)>,
    /// True if the budget ended the read before the readers were caught up.
    pub more: bool,
}

/// How much one read may return.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Most messages.
    pub messages: usize,
    /// Most bytes of messages as JSON. The first message is returned even if it alone is larger.
    pub bytes: usize,
}

impl Reader {
    /// A reader at a position.
    pub fn new(name: ChannelName, source: Source, position: Position) -> Self {
        Self {
            name,
            position,
            source,
        }
    }

    /// The channel that it reads, if it has state.
    pub(super) fn channel(&self) -> Option<&Arc<Channel>> {
        match &self.source {
            Source::Channel(channel) => Some(channel),
            Source::Vacant(_) => None,
        }
    }

    /// Reads up to `count` messages and moves the position past them. Stops once `share_bytes` are passed, and never
    /// passes `left_bytes` unless the batch is still empty.
    fn read(&mut self, store: &Store, index: u32, turn: &mut Turn, batch: &mut Batch) -> ReadEnd {
        let Self {
            name,
            position,
            source,
        } = self;
        let tell_gap = |position: &mut Position, lost: Lost, batch: &mut Batch| {
            *position = lost.resume;
            let channel = name.clone();
            batch.items.push((index, Item::Gap(Gap { channel, lost })));
        };
        let channel = match source {
            Source::Channel(channel) => channel,
            Source::Vacant(head) => {
                if position != head {
                    let reason = if position.epoch == head.epoch {
                        GapReason::Ahead
                    } else {
                        GapReason::Epoch
                    };
                    let lost = Lost {
                        reason,
                        resume: *head,
                        count: None,
                    };
                    tell_gap(position, lost, batch);
                }
                return ReadEnd::CaughtUp;
            }
        };
        store.with_log(channel, |log| {
            if let Err(lost) = log.check(*position) {
                tell_gap(position, lost, batch);
            }
            for publication in log.after(position.offset) {
                if !turn.admit(publication.json().len()) {
                    return ReadEnd::More;
                }
                position.offset = publication.offset;
                let message = Item::Message(Arc::clone(publication));
                batch.items.push((index, message));
            }
            ReadEnd::CaughtUp
        })
    }

    /// When the message was published that this reader would read next.
    fn next_time_ms(&self) -> Option<u64> {
        let Source::Channel(channel) = &self.source else {
            return None;
        };
        let log = channel.log();
        log.after(self.position.offset)
            .next()
            .map(|publication| publication.time_ms)
    }
}

/// What one reader may take in one turn, and what is left for all.
struct Turn {
    share: Budget,
    left: Budget,
    /// True until the first message: it is taken whatever its size, so that reading always goes on.
    first: bool,
}

impl Turn {
    fn admit(&mut self, bytes: usize) -> bool {
        let fits = self.share.messages > 0
            && self.share.bytes > 0
            && (bytes <= self.left.bytes || self.first);
        if fits {
            self.share.messages -= 1;
            self.share.bytes = self.share.bytes.saturating_sub(bytes);
            self.left.messages -= 1;
            self.left.bytes = self.left.bytes.saturating_sub(bytes);
            self.first = false;
        }
        fits
    }
}

/// Reads from one reader. [`Batch::more`] says that it is not caught up.
pub fn read_one(store: &Store, index: u32, reader: &mut Reader, budget: Budget) -> Batch {
    let mut batch = Batch::default();
    if budget.messages == 0 {
        // Not even a gap is told: who has no room would be told of one after the other.
        batch.more = true;
        return batch;
    }
    let mut turn = Turn {
        share: budget,
        left: budget,
        first: true,
    };
    batch.more = reader.read(store, index, &mut turn, &mut batch) == ReadEnd::More;
    batch
}

/// Reads from several readers, those whose next message is oldest first, so that a busy channel never starves another
/// however small the budget. Of `k` with something to read each gets at least ⌊`messages`/`k`⌋ while the bytes last.
/// On return `ready` holds the readers that are not caught up.
pub fn read_fair(store: &Store, ready: &mut Vec<(u32, &mut Reader)>, budget: Budget) -> Batch {
    if ready.len() > 1 {
        ready.sort_by_cached_key(|(_, reader)| reader.next_time_ms());
    }
    let mut batch = Batch::default();
    let mut left = budget;
    let mut first = true;
    while !ready.is_empty() && left.messages > 0 {
        let share = Budget {
            messages: (left.messages / ready.len()).max(1),
            bytes: (left.bytes / ready.len()).max(1),
        };
        let before = left.messages;
        ready.retain_mut(|(index, reader)| {
            let mut turn = Turn { share, left, first };
            turn.share.messages = turn.share.messages.min(left.messages);
            let end = reader.read(store, *index, &mut turn, &mut batch);
            (left, first) = (turn.left, turn.first);
            end == ReadEnd::More
        });
        if left.messages == before {
            break;
        }
    }
    batch.more = !ready.is_empty();
    batch
}
