//! A channel: its log, and the audience that is woken when the log grows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};
use slab::Slab;

use super::log::Log;
use super::name::ChannelName;
use super::position::Epoch;
use super::retention::Retention;
use super::signal::{Seat, Signal};

/// A channel. The log and the audience have a lock each, so that waking ten thousand readers does not stop them reading.
/// Where both are taken, the audience comes first.
#[derive(Debug)]
pub struct Channel {
    /// Its name.
    pub name: ChannelName,
    log: Mutex<Log>,
    audience: Mutex<Audience>,
    /// Set under both locks when the channel leaves the store. Who finds it set looks the channel up again.
    retired: AtomicBool,
    /// When it was last published or attached to, in milliseconds since the store began.
    active_ms: AtomicU64,
}

/// Who is woken when the log grows. A round wakes every seat once, some at a time, and begins anew with each message: who
/// was woken by an earlier round and did not look since is marked already, which costs little.
#[derive(Debug, Default)]
struct Audience {
    seats: Slab<Seat>,
    /// The place of the next seat in the round.
    at: usize,
    /// How many places the round still has to visit.
    left: usize,
    /// How many places there were when the round was last looked at.
    places: usize,
}

/// The channel left the store between the look-up and the lock.
#[derive(Debug)]
pub struct Retired;

impl Channel {
    /// A channel without messages.
    pub fn new(name: ChannelName, epoch: Epoch, keep: Arc<Retention>, now_ms: u64) -> Self {
        Self {
            name,
            log: Mutex::new(Log::new(epoch, keep)),
            audience: Mutex::default(),
            retired: AtomicBool::new(false),
            active_ms: AtomicU64::new(now_ms),
        }
    }

    /// The log, to read. A retired channel may still be read: what it kept is what there was.
    pub fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock()
    }

    /// The log, to append to.
    ///
    /// # Errors
    /// [`Retired`]: an append would be lost.
    pub fn log_to_append(&self) -> Result<MutexGuard<'_, Log>, Retired> {
        let log = self.log.lock();
        if self.is_retired() {
            Err(Retired)
        } else {
            Ok(log)
        }
    }

    /// Takes a seat in the audience and returns its key.
    ///
    /// # Errors
    /// [`Retired`]: the seat would never be marked.
    pub fn sit(&self, seat: Seat) -> Result<usize, Retired> {
        let mut audience = self.audience.lock();
        if self.is_retired() {
            Err(Retired)
        } else {
            Ok(audience.seats.insert(seat))
        }
    }

    /// Gives a seat back and says whether the audience is empty now. From `now_ms` on the channel is idle then.
    pub fn stand(&self, key: usize, now_ms: impl FnOnce() -> u64) -> bool {
        let seats = &mut self.audience.lock().seats;
        seats.remove(key);
        if seats.is_empty() {
            // Under the lock: who looks for idle channels sees the seat or the touch.
            self.touch(now_ms());
            // Ten thousand readers that left must not leave their seats behind.
            seats.shrink_to_fit();
        }
        seats.is_empty()
    }

    /// Begins a round and visits up to `at_once_max` places. True if [`Channel::wake_some`] has to be called for the rest and
    /// nobody is about to.
    pub fn announce(&self, at_once_max: usize) -> bool {
        let mut audience = self.audience.lock();
        let was_on = audience.left > 0;
        audience.left = audience.seats.capacity();
        audience.wake_some(at_once_max) && !was_on
    }

    /// Visits up to `at_once_max` more places of the round. False if it is over.
    pub fn wake_some(&self, at_once_max: usize) -> bool {
        self.audience.lock().wake_some(at_once_max)
    }

    /// The number of readers attached.
    pub fn audience_len(&self) -> usize {
        self.audience.lock().seats.len()
    }

    /// Some of who sits here, each with its key: of so many keys, from one on. Also the key to go on from; nothing at the end.
    pub fn sitters(&self, from: usize, count: usize) -> (Vec<(usize, Arc<Signal>)>, Option<usize>) {
        let audience = self.audience.lock();
        let end = audience.seats.capacity();
        let until = from.saturating_add(count).min(end);
        let seats = (from..until).filter_map(|key| Some((key, audience.seats.get(key)?)));
        let sitters = seats.map(|(key, seat)| (key, Arc::clone(seat.signal())));
        (sitters.collect(), (until < end).then_some(until))
    }

    /// True once the channel left the store. Stable while the log or the audience is locked.
    pub fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    /// Retires the channel, once, if nobody is attached and `may_go` agrees. The caller holds the store's lock.
    pub fn retire_if(&self, may_go: impl FnOnce(&Log) -> bool) -> bool {
        let audience = self.audience.lock();
        let log = self.log.lock();
        let goes = !self.is_retired() && audience.seats.is_empty() && may_go(&log);
        if goes {
            self.retired.store(true, Ordering::Release);
        }
        goes
    }

    /// Notes that somebody published or attached.
    pub fn touch(&self, now_ms: u64) {
        self.active_ms.store(now_ms, Ordering::Relaxed);
    }

    /// When it was last published or attached to.
    pub fn active_ms(&self) -> u64 {
        self.active_ms.load(Ordering::Relaxed)
    }
}

impl Audience {
    fn wake_some(&mut self, at_once_max: usize) -> bool {
        let places = self.seats.capacity();
        if self.left > 0 && self.places != places {
            // Newcomers made the round longer, or it is about nobody any more: so many places from here are not the old ones.
            self.left = places;
        }
        self.places = places;
        for _ in 0..self.left.min(at_once_max) {
            if self.at >= places {
                self.at = 0;
            }
            if let Some(seat) = self.seats.get(self.at) {
                seat.mark();
            }
            self.at += 1;
            self.left -= 1;
        }
        self.left > 0
    }
}
