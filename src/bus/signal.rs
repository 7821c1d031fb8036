//! How a session is woken: which of its subscriptions have something to read, that its client sent something, that a
//! heartbeat is due, or that it has to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Wake, Waker};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use super::marks::Marks;
use crate::code::End;

/// A session's wake handle. Many publishers mark it, one session waits on it.
#[derive(Debug, Default)]
pub struct Signal {
    pending: Mutex<Pending>,
    waker: AtomicWaker,
    /// True if the client may have sent something.
    input: AtomicBool,
    /// How many seats it has: the session's subscriptions.
    seats: AtomicU32,
    /// By what number its owner finds it.
    number: u64,
}

/// What a session has been told since it last looked.
#[derive(Debug, Default)]
struct Pending {
    marks: Marks,
    beats: Beats,
    end: Option<Box<End>>,
}

/// What is due for a session so that it and its client know of each other.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Beats {
    /// The answer to the last ping must be there by now.
    pub check: bool,
    /// The next ping is to be sent. It comes after the check.
    pub ping: bool,
}

impl Beats {
    /// A check.
    pub const CHECK: Self = Self {
        check: true,
        ping: false,
    };
    /// A ping.
    pub const PING: Self = Self {
        check: false,
        ping: true,
    };

    /// Both what was due and what is due now.
    pub fn join(&mut self, other: Self) {
        self.check |= other.check;
        self.ping |= other.ping;
    }
}

impl Signal {
    /// A signal that its owner finds by a number.
    pub fn new(number: u64) -> Self {
        Self {
            number,
            ..Self::default()
        }
    }

    /// By what number its owner finds it.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The number of the session's subscriptions.
    pub fn subscriptions(&self) -> u32 {
        self.seats.load(Ordering::Relaxed)
    }

    /// Ends the session. The first end counts, and says so by true.
    pub fn end(&self, end: End) -> bool {
        let is_first = {
            let mut pending = self.pending.lock();
            let is_first = pending.end.is_none();
            pending.end.get_or_insert_with(|| Box::new(end));
            is_first
        };
        self.waker.wake();
        is_first
    }

    /// The end of the session, if there is one already.
    pub fn asked_end(&self) -> Option<End> {
        self.pending.lock().end.as_deref().cloned()
    }

    /// Says what is due.
    pub fn beat(&self, beats: Beats) {
        self.pending.lock().beats.join(beats);
        self.waker.wake();
    }

    /// Registers who is to be woken next. Call it before [`Signal::take`], or a mark may be missed.
    pub fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Moves the marks into `marks` and returns what is due, or says why the session has to end. A session takes its marks
    /// *before* it reads: what is published during the read marks it again.
    ///
    /// # Errors
    /// The [`End`] that was asked for.
    pub fn take(&self, marks: &mut Marks) -> Result<Beats, End> {
        let mut pending = self.pending.lock();
        if let Some(end) = &pending.end {
            return Err(End::clone(end));
        }
        marks.take(&mut pending.marks);
        Ok(std::mem::take(&mut pending.beats))
    }

    /// True if the client may have sent something since the last call.
    pub fn take_input(&self) -> bool {
        // The load spares the many wake-ups without input the write.
        self.input.load(Ordering::Acquire) && self.input.swap(false, Ordering::AcqRel)
    }

    /// Says that a subscription may have something to read. One that is marked already was not looked at since, so a burst
    /// wakes a session once.
    pub(super) fn mark(&self, index: u32) {
        let was_marked = {
            let mut pending = self.pending.lock();
            let was_marked = !pending.marks.is_empty();
            pending.marks.insert(index);
            was_marked
        };
        if !was_marked {
            self.waker.wake();
        }
    }
}

/// As a waker it is the client's: it says that there is input.
impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.input.store(true, Ordering::Release);
        self.waker.wake();
    }
}

/// A session's place in the audience of one channel, counted until it is dropped.
#[derive(Debug)]
pub struct Seat {
    signal: Arc<Signal>,
    index: u32,
}

impl Seat {
    /// A seat for the subscription that the session calls `index`.
    pub fn new(signal: Arc<Signal>, index: u32) -> Self {
        signal.seats.fetch_add(1, Ordering::Relaxed);
        Self { signal, index }
    }

    /// Whose it is.
    pub fn signal(&self) -> &Arc<Signal> {
        &self.signal
    }

    /// Says that there may be something to read.
    pub fn mark(&self) {
        self.signal.mark(self.index);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.signal.seats.fetch_sub(1, Ordering::Relaxed);
    }
}
