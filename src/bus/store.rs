//! All channels of this node, and the totals that bound them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;

use super::channel::Channel;
use super::herald::Herald;
use super::log::{Appended, Log, Moment};
use super::name::ChannelName;
use super::position::{Epoch, Position};
use super::publication::Draft;
use super::retention::{Retention, Retentions};

mod list;

pub use list::{ChannelPage, ChannelStatus};

/// The bounds of a [`Store`].
#[derive(Debug, Clone)]
pub struct Bounds {
    /// What each channel keeps, unless [`Store::keep`] says otherwise.
    pub retention: Retention,
    /// Most channels that have state.
    pub channels_max: usize,
    /// Most bytes kept by all channels together.
    pub bytes_max: usize,
    /// How long a channel's epoch and head outlive its last use.
    pub forget_after: Duration,
    /// How long no room is looked for after a look in vain.
    pub rest_after_full: Duration,
}

#[cfg(test)]
impl Bounds {
    /// Small ones, for tests.
    pub(crate) fn small() -> Self {
        Self {
            retention: Retention {
                count_max: 10,
                bytes_max: 1 << 20,
                age_max: Duration::from_secs(100),
                keys_max: 10,
                key_age_max: Duration::from_secs(60),
            },
            channels_max: 10,
            bytes_max: 1 << 20,
            forget_after: Duration::from_secs(300),
            rest_after_full: Duration::ZERO,
        }
    }
}

/// The store is full and nothing in it can go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// What a message costs beyond its payload: its names, its numbers and the book-keeping.
const ENVELOPE_BYTES_MAX: usize = 2048;

/// All channels of this node.
#[derive(Debug)]
pub struct Store {
    bounds: Bounds,
    started: Instant,
    table: RwLock<Table>,
    /// What all logs cost to keep.
    bytes: AtomicUsize,
    /// How many channels have state. Those that are only attended have none; they are bounded by who attends them.
    with_state: AtomicUsize,
    /// When room was last looked for in vain. Held while somebody looks, so that one does at a time.
    last_full: Mutex<Option<Instant>>,
    herald: Herald,
}

#[derive(Debug)]
struct Table {
    channels: HashMap<ChannelName, Arc<Channel>>,
    /// The names of all channels in order, so that a list can go on where it stopped.
    names: BTreeSet<ChannelName>,
    /// The epoch of channels created from now on. It changes when a channel is forgotten.
    epoch: Epoch,
    retentions: Retentions,
}

/// A channel, and when it was last used as it was looked at.
#[derive(Debug)]
struct Idle {
    channel: Arc<Channel>,
    since_ms: u64,
}

impl Idle {
    fn new(channel: &Arc<Channel>) -> Self {
        Self {
            channel: Arc::clone(channel),
            since_ms: channel.active_ms(),
        }
    }
}

impl Table {
    fn remove(&mut self, name: &ChannelName) {
        self.channels.remove(name);
        self.names.remove(name);
    }
}

impl Store {
    /// An empty store.
    pub fn new(bounds: Bounds) -> Self {
        let table = Table {
            channels: HashMap::new(),
            names: BTreeSet::new(),
            epoch: Epoch::random(),
            retentions: Retentions::new(bounds.retention.clone()),
        };
        Self {
            bounds,
            started: Instant::now(),
            table: RwLock::new(table),
            bytes: AtomicUsize::new(0),
            with_state: AtomicUsize::new(0),
            last_full: Mutex::new(None),
            herald: Herald::default(),
        }
    }

    /// Has each channel keep so much from now on.
    pub fn keep(&self, retentions: Retentions) {
        let channels: Vec<Arc<Channel>> = {
            let mut table = self.table.write();
            table.retentions = retentions.clone();
            table.channels.values().cloned().collect()
        };
        for channel in channels {
            let keep = Arc::clone(retentions.of(&channel.name));
            channel.log().set_retention(keep);
        }
    }

    /// An empty log at the position of a channel without state.
    pub fn vacant_log(&self, vacant: Position) -> Log {
        let keep = Arc::clone(self.table.read().retentions.others());
        Log::new(vacant.epoch, keep)
    }

    /// The number of channels and the bytes they keep.
    pub fn totals(&self) -> (usize, usize) {
        let with_state = self.with_state.load(Ordering::Relaxed);
        (with_state, self.bytes.load(Ordering::Relaxed))
    }

    /// A channel that has state, or the position at which one without state stands.
    ///
    /// # Errors
    /// The position `<store epoch>.0`.
    pub fn find(&self, name: &ChannelName) -> Result<Arc<Channel>, Position> {
        let table = self.table.read();
        table.channels.get(name).cloned().ok_or(Position {
            epoch: table.epoch,
            offset: 0,
        })
    }

    /// A channel to attach or to publish to. It is made if it has no state; it goes again when the last reader leaves, if
    /// nothing was published by then. Such channels are bounded by the number of attachments.
    pub fn find_or_make(&self, name: &ChannelName) -> Arc<Channel> {
        self.find(name)
            .unwrap_or_else(|_| self.make(&mut self.table.write(), name))
    }

    /// Appends to a channel and wakes its audience.
    ///
    /// # Errors
    /// [`Full`] if a total is reached and nothing can go.
    pub fn append(&self, name: &ChannelName, draft: &Draft) -> Result<Appended, Full> {
        loop {
            let channel = self.find_or_make(name);
            let Ok(mut log) = channel.log_to_append() else {
                continue;
            };
            let now = self.now();
            // Before the recall: a key that ran out stands for its message no more.
            self.account(&mut log, |log| {
                log.expire(now.instant);
            });
            if let Some(known) = log.recall(draft) {
                return Ok(known);
            }
            let is_first = log.is_pristine();
            if is_first && self.with_state.load(Ordering::Relaxed) >= self.bounds.channels_max {
                drop(log);
                if let Err(full) = self.forget_idle() {
                    self.tidy(&channel);
                    return Err(full);
                }
                continue;
            }
            let needed = draft.payload.text().len() + ENVELOPE_BYTES_MAX;
            if self.bytes.load(Ordering::Relaxed) + needed > self.bounds.bytes_max {
                drop(log);
                if let Err(full) = self.make_room(needed, &channel) {
                    self.tidy(&channel);
                    return Err(full);
                }
                continue;
            }
            let appended = self.account(&mut log, |log| log.append(name, draft, now));
            if is_first {
                self.with_state.fetch_add(1, Ordering::Relaxed);
            }
            // Under the lock: who looks for idle channels sees the message or the touch.
            channel.touch(self.now_ms());
            drop(log);
            self.herald.announce(&channel);
            return Ok(appended);
        }
    }

    /// Gives a channel state, so that it is found for as long as one is kept from its last use.
    ///
    /// # Errors
    /// [`Full`] if there are too many channels and none can go.
    pub fn see(&self, name: &ChannelName) -> Result<(), Full> {
        loop {
            let channel = self.find_or_make(name);
            let Ok(mut log) = channel.log_to_append() else {
                continue;
            };
            if log.is_pristine() {
                if self.with_state.load(Ordering::Relaxed) >= self.bounds.channels_max {
                    drop(log);
                    if let Err(full) = self.forget_idle() {
                        self.tidy(&channel);
                        return Err(full);
                    }
                    continue;
                }
                log.see();
                self.with_state.fetch_add(1, Ordering::Relaxed);
            }
            channel.touch(self.now_ms());
            return Ok(());
        }
    }

    /// Drops all messages of a channel, and says where its head is and how many there were. Nobody is woken: who stands at
    /// the head missed nothing, and who does not will find the gap at its next look.
    pub fn purge(&self, name: &ChannelName) -> (Position, usize) {
        loop {
            let channel = match self.find(name) {
                Ok(channel) => channel,
                Err(vacant) => return (vacant, 0),
            };
            let Ok(mut log) = channel.log_to_append() else {
                continue;
            };
            let purged = self.account(&mut log, |log| {
                // What is too old is gone already.
                log.expire(Instant::now());
                log.purge()
            });
            let head = log.head();
            drop(log);
            return (head, purged.count());
        }
    }

    /// Reads or changes a log with what is too old dropped first.
    pub fn with_log<T>(&self, channel: &Channel, read: impl FnOnce(&mut Log) -> T) -> T {
        self.change(channel, |log| {
            log.expire(Instant::now());
            read(log)
        })
    }

    /// What wakes large audiences.
    pub fn herald(&self) -> &Herald {
        &self.herald
    }

    /// Charges a channel for an encoding that was made for one of its publications, and drops what is over its bounds now.
    pub fn charge(&self, channel: &Channel, offset: u64, bytes: usize) {
        self.change(channel, |log| log.charge(offset, bytes));
    }

    /// Removes a channel that nobody attends and nobody ever published to.
    pub fn tidy(&self, channel: &Channel) {
        if !channel.log().is_pristine() {
            return;
        }
        let mut table = self.table.write();
        if channel.retire_if(Log::is_pristine) {
            table.remove(&channel.name);
        }
    }

    /// Gives a seat of a channel back.
    pub fn leave(&self, channel: &Channel, key: usize) {
        let was_last = channel.stand(key, || self.now_ms());
        if was_last {
            self.tidy(channel);
        }
    }

    /// Drops what is too old in all channels, and forgets the channels that were idle too long. Gives way to other tasks
    /// between chunks.
    pub async fn sweep(&self) {
        const CHUNK: usize = 1024;
        let channels: Vec<Arc<Channel>> = self.table.read().channels.values().cloned().collect();
        let forget_after_ms = self.bounds.forget_after.as_millis() as u64;
        for chunk in channels.chunks(CHUNK) {
            for channel in chunk {
                self.with_log(channel, |_| ());
                let idle = Idle::new(channel);
                if self.now_ms().saturating_sub(idle.since_ms) >= forget_after_ms {
                    self.forget(&idle);
                }
            }
            tokio::task::yield_now().await;
        }
    }

    fn make(&self, table: &mut Table, name: &ChannelName) -> Arc<Channel> {
        if let Some(channel) = table.channels.get(name) {
            // Somebody else made it since we looked.
            return Arc::clone(channel);
        }
        let keep = Arc::clone(table.retentions.of(name));
        let channel = Channel::new(name.clone(), table.epoch, keep, self.now_ms());
        let channel = Arc::new(channel);
        table.channels.insert(name.clone(), Arc::clone(&channel));
        table.names.insert(name.clone());
        channel
    }

    /// Forgets a channel that nobody attends: its messages, its epoch and its head. One that was used since it was found
    /// idle stays.
    fn forget(&self, Idle { channel, since_ms }: &Idle) -> bool {
        let mut table = self.table.write();
        let mut kept_bytes = 0;
        let mut was_used = false;
        let goes = channel.retire_if(|log| {
            kept_bytes = log.kept_bytes();
            was_used = !log.is_pristine();
            channel.active_ms() == *since_ms
        });
        if goes {
            table.remove(&channel.name);
            self.bytes.fetch_sub(kept_bytes, Ordering::Relaxed);
            if was_used {
                self.with_state.fetch_sub(1, Ordering::Relaxed);
                // Its offsets start again at 1, so nobody may take new ones for the old ones.
                table.epoch = Epoch::random();
            }
        }
        goes
    }

    /// Forgets the longest idle of the channels that nobody attends. A few at once, because finding them reads them all.
    fn forget_idle(&self) -> Result<(), Full> {
        self.look_for_room(|| {
            let most = self.bounds.channels_max - (self.bounds.channels_max / 256).max(1);
            for idle in self.longest_idle_first() {
                if self.with_state.load(Ordering::Relaxed) <= most {
                    break;
                }
                self.forget(&idle);
            }
            self.with_state.load(Ordering::Relaxed) < self.bounds.channels_max
        })
    }

    /// Makes `needed` bytes fit, and a few more, because looking for them reads all channels: the longest idle ones lose
    /// all but their newest message, the one that is published to last; then the longest idle of those that nobody
    /// attends are forgotten.
    fn make_room(&self, needed: usize, publishing: &Arc<Channel>) -> Result<(), Full> {
        // A message that is larger than everything together never fits, whatever goes.
        let wanted = self.bounds.bytes_max.checked_sub(needed).ok_or(Full)?;
        let low = wanted.saturating_sub(self.bounds.bytes_max / 64);
        let kept = || self.bytes.load(Ordering::Relaxed);
        self.look_for_room(|| {
            let mut others = self.longest_idle_first();
            others.retain(|idle| !Arc::ptr_eq(&idle.channel, publishing));
            for channel in others.iter().map(|idle| &idle.channel).chain([publishing]) {
                if kept() <= low {
                    return true;
                }
                self.with_log(channel, Log::shed);
            }
            for idle in &others {
                if kept() <= wanted {
                    return true;
                }
                self.forget(idle);
            }
            kept() <= wanted
        })
    }

    /// Runs a look for room, one at a time. After one in vain the next waits a while: it reads all channels, and whoever
    /// publishes meanwhile is refused without it.
    fn look_for_room(&self, look: impl FnOnce() -> bool) -> Result<(), Full> {
        let mut last_full = self.last_full.lock();
        let is_soon = |at: Instant| at.elapsed() < self.bounds.rest_after_full;
        if last_full.is_some_and(is_soon) {
            return Err(Full);
        }
        let found = look();
        *last_full = (!found).then(Instant::now);
        if found { Ok(()) } else { Err(Full) }
    }

    fn longest_idle_first(&self) -> Vec<Idle> {
        let mut channels: Vec<Idle> = self.table.read().channels.values().map(Idle::new).collect();
        channels.retain(|idle| !idle.channel.log().is_pristine());
        // Those that somebody attends come last, whenever they were published to.
        channels.sort_by_cached_key(|idle| (idle.channel.audience_len() > 0, idle.since_ms));
        channels
    }

    /// Changes a log and carries the change of its size over to the total, which a retired log is no longer part of.
    fn change<T>(&self, channel: &Channel, change: impl FnOnce(&mut Log) -> T) -> T {
        let mut log = channel.log();
        if channel.is_retired() {
            change(&mut log)
        } else {
            self.account(&mut log, change)
        }
    }

    fn account<T>(&self, log: &mut Log, change: impl FnOnce(&mut Log) -> T) -> T {
        let before = log.kept_bytes();
        let result = change(log);
        let after = log.kept_bytes();
        if after > before {
            self.bytes.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.bytes.fetch_sub(before - after, Ordering::Relaxed);
        }
        result
    }

    fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    fn now(&self) -> Moment {
        // A wall clock before 1970 is a broken one; messages then say 1970 and everything else still works.
        let unix_ms = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_millis() as u64);
        Moment {
            instant: Instant::now(),
            unix_ms,
        }
    }
}

#[cfg(test)]
mod tests;
