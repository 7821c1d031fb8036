//! The model: every message there ever was, in a list, and what is still kept of it, by counting.

use std::collections::{BTreeMap, HashSet};

use everyway::bus::{Bounds, ChannelName, Draft, Epoch, GapReason, Lost, Position, Publication};
use everyway::bus::{Retention, Start};
use tokio::time::Instant;

/// What a reader is told, as the model has it.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    Message(u64, String),
    Gap(Lost),
}

/// What the model knows of all channels.
pub struct Naive {
    pub bounds: Bounds,
    pub lives: BTreeMap<ChannelName, Life>,
    /// The epoch of channels that are made from now on.
    pub epoch: Epoch,
    epochs: HashSet<Epoch>,
}

/// One life of a channel: from its first use until it is forgotten.
pub struct Life {
    pub epoch: Epoch,
    /// All messages; the first has offset 1.
    messages: Vec<Message>,
    /// The offset before the oldest kept.
    pub tail: u64,
    keys: Vec<UsedKey>,
    pub active: Instant,
    pub audience: usize,
}

struct Message {
    payload: String,
    json_bytes: usize,
    kept_bytes: usize,
    at: Instant,
}

struct UsedKey {
    key: u8,
    payload: String,
    offset: u64,
    at: Instant,
}

/// What a known key says about a publish.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Known {
    Repeat(Position),
    Conflict,
}

impl Naive {
    pub fn new(bounds: Bounds, epoch: Epoch) -> Self {
        Self {
            bounds,
            lives: BTreeMap::new(),
            epoch,
            epochs: HashSet::from([epoch]),
        }
    }

    /// The life of a channel, or the empty one that a reader of an unknown channel sees.
    pub fn look<T>(&mut self, name: &ChannelName, look: impl FnOnce(&Life) -> T) -> T {
        match self.lives.get_mut(name) {
            Some(life) => {
                life.expire(&self.bounds.retention);
                look(life)
            }
            None => look(&Life::new(self.epoch)),
        }
    }

    pub fn life_or_new(&mut self, name: &ChannelName) -> &mut Life {
        let epoch = self.epoch;
        let lives = self.lives.entry(name.clone());
        lives.or_insert_with(|| Life::new(epoch))
    }

    pub fn attach(&mut self, name: &ChannelName, start: Start) -> Position {
        let life = self.life_or_new(name);
        life.audience += 1;
        self.look(name, |life| life.locate(start))
    }

    /// A channel goes with its last reader if nothing was ever published to it.
    pub fn detach(&mut self, name: &ChannelName) {
        let life = self.lives.get_mut(name).expect("an attended channel stays");
        life.audience -= 1;
        if life.audience == 0 {
            life.active = Instant::now();
            if life.messages.is_empty() {
                self.lives.remove(name);
            }
        }
    }

    pub fn known(&mut self, name: &ChannelName, key: Option<u8>, payload: &str) -> Option<Known> {
        let key = key?;
        self.look(name, |life| {
            let used = life.keys.iter().find(|used| used.key == key)?;
            Some(if used.payload == payload {
                Known::Repeat(life.at(used.offset))
            } else {
                Known::Conflict
            })
        })
    }

    /// How many channels were ever published to. Those that are only attended have no state.
    pub fn with_state(&self) -> usize {
        self.lives.values().filter(|life| life.head() > 0).count()
    }

    /// The channels of which the next one to be forgotten is one: the longest idle that nobody attends.
    pub fn next_to_forget(&self) -> Vec<ChannelName> {
        let idle = || {
            self.lives
                .iter()
                .filter(|(_, life)| life.audience == 0 && life.head() > 0)
        };
        let longest = idle().map(|(_, life)| life.active).min();
        idle()
            .filter(|(_, life)| Some(life.active) == longest)
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Takes note of the store's epoch, which changes exactly when a channel was forgotten, and is then a fresh one.
    pub fn see_epoch(&mut self, epoch: Epoch, has_forgotten: bool) {
        if has_forgotten {
            assert!(self.epochs.insert(epoch), "{epoch} comes a second time");
            self.epoch = epoch;
        }
        assert_eq!(
            epoch, self.epoch,
            "the epoch changed and nothing was forgotten"
        );
    }

    /// Expires everything, forgets what was idle too long, and says whether anything was forgotten.
    pub fn sweep(&mut self) -> bool {
        let before = self.lives.len();
        let forget_after = self.bounds.forget_after;
        self.lives
            .retain(|_, life| life.audience > 0 || life.active.elapsed() < forget_after);
        self.expire();
        self.lives.len() < before
    }

    pub fn expire(&mut self) {
        for life in self.lives.values_mut() {
            life.expire(&self.bounds.retention);
        }
    }

    /// The least and the most that everything kept may cost; what a key costs is not promised.
    pub fn kept_bytes(&self) -> std::ops::RangeInclusive<usize> {
        const KEY_BYTES_MAX: usize = 256;
        let messages: usize = self.lives.values().map(Life::kept_bytes).sum();
        let keys: usize = self.lives.values().map(|life| life.keys.len()).sum();
        messages + keys..=messages + keys * KEY_BYTES_MAX
    }
}

impl Life {
    fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            messages: Vec::new(),
            tail: 0,
            keys: Vec::new(),
            active: Instant::now(),
            audience: 0,
        }
    }

    pub fn at(&self, offset: u64) -> Position {
        Position {
            epoch: self.epoch,
            offset,
        }
    }

    pub fn head(&self) -> u64 {
        self.messages.len() as u64
    }

    pub fn kept(&self) -> u64 {
        self.head() - self.tail
    }

    /// The tail after all but the newest were shed.
    pub fn shed_tail(&self) -> u64 {
        self.tail.max(self.head().saturating_sub(1))
    }

    pub fn json_bytes(&self, offset: u64) -> usize {
        self.messages[offset as usize - 1].json_bytes
    }

    /// Offsets that are kept and larger, with their payloads.
    pub fn after(&self, offset: u64) -> impl DoubleEndedIterator<Item = (u64, String)> {
        let kept = offset.max(self.tail) + 1..=self.head();
        kept.map(|offset| (offset, self.messages[offset as usize - 1].payload.clone()))
    }

    pub fn locate(&self, start: Start) -> Position {
        match start {
            Start::Now => self.at(self.head()),
            Start::Earliest => self.at(self.tail),
            Start::After(position) => position,
        }
    }

    /// Everything that a reader at a position has to be told, in order.
    pub fn owes(&self, position: Position) -> Vec<Told> {
        let lost = |reason, count| {
            let resume = self.at(self.tail);
            vec![Told::Gap(Lost {
                reason,
                resume,
                count,
            })]
        };
        let (mut owed, from) = if position.epoch != self.epoch {
            (lost(GapReason::Epoch, None), self.tail)
        } else if position.offset > self.head() {
            (lost(GapReason::Ahead, None), self.tail)
        } else if position.offset < self.tail {
            let count = Some(self.tail - position.offset);
            (lost(GapReason::History, count), self.tail)
        } else {
            (Vec::new(), position.offset)
        };
        let messages = self.after(from);
        owed.extend(messages.map(|(offset, payload)| Told::Message(offset, payload)));
        owed
    }

    /// Keeps a message and drops what is over the bounds.
    pub fn append(&mut self, name: &ChannelName, draft: &Draft, key: Option<u8>, keep: &Retention) {
        const THIRTEEN_DIGITS: u64 = 1_763_800_000_123;
        self.expire(keep);
        let offset = self.head() + 1;
        let sample = Publication::encode(name, offset, THIRTEEN_DIGITS, draft);
        let payload = String::from_utf8(draft.payload.text().to_vec()).unwrap();
        let at = Instant::now();
        if let Some(key) = key {
            let payload = payload.clone();
            self.keys.push(UsedKey {
                key,
                payload,
                offset,
                at,
            });
            let too_many = self.keys.len().saturating_sub(keep.keys_max);
            self.keys.drain(..too_many);
        }
        self.messages.push(Message {
            payload,
            json_bytes: sample.json().len(),
            kept_bytes: sample.kept_bytes(),
            at,
        });
        self.active = at;
        self.trim(keep);
    }

    /// Drops all messages and says how many there were. The keys stay.
    pub fn purge(&mut self, keep: &Retention) -> usize {
        self.expire(keep);
        let kept = self.kept();
        self.tail = self.head();
        kept as usize
    }

    /// Drops what is over the count or the bytes, but never the newest.
    pub fn trim(&mut self, keep: &Retention) {
        while self.kept() > keep.count_max as u64
            || (self.kept_bytes() > keep.bytes_max && self.kept() > 1)
        {
            self.tail += 1;
        }
    }

    fn kept_bytes(&self) -> usize {
        let kept = &self.messages[self.tail as usize..];
        kept.iter().map(|message| message.kept_bytes).sum()
    }

    fn expire(&mut self, keep: &Retention) {
        while self.kept() > 0 && self.messages[self.tail as usize].at.elapsed() >= keep.age_max {
            self.tail += 1;
        }
        self.keys
            .retain(|used| used.at.elapsed() < keep.key_age_max);
    }
}
