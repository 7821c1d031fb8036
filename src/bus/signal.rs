//! How a session is woken: which of its subscriptions have something to read, or that it has to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use crate::code::End;

/// A session's wake handle. Many publishers mark it, one session waits on it.
#[derive(Debug, Default)]
pub struct Signal {
    pending: Mutex<Pending>,
    waker: AtomicWaker,
}

/// What a session has been told since it last looked. Each subscription is listed at most once, by its seat's flag.
#[derive(Debug, Default)]
struct Pending {
    marked: Vec<u32>,
    end: Option<End>,
}

impl Signal {
    /// Ends the session. The first end counts.
    pub fn end(&self, end: End) {
        self.pending.lock().end.get_or_insert(end);
        self.waker.wake();
    }

    /// Registers who is to be woken by the next mark or end. Call it before [`Signal::take`], or a mark may be missed.
    pub fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Moves the marked subscriptions into `marked`, or says why the session has to end.
    ///
    /// # Errors
    /// The [`End`] that was asked for.
    pub fn take(&self, marked: &mut Vec<u32>) -> Result<(), End> {
        let mut pending = self.pending.lock();
        if let Some(end) = &pending.end {
            return Err(end.clone());
        }
        marked.append(&mut pending.marked);
        Ok(())
    }

    fn mark(&self, index: u32) {
        self.pending.lock().marked.push(index);
        self.waker.wake();
    }
}

/// A session's place in the audience of one channel.
#[derive(Debug)]
pub struct Seat {
    signal: Arc<Signal>,
    index: u32,
    /// Set while the subscription is listed in the signal, so that a burst wakes a session once.
    marked: AtomicBool,
}

impl Seat {
    /// A seat for the subscription that the session calls `index`.
    pub fn new(signal: Arc<Signal>, index: u32) -> Self {
        Self {
            signal,
            index,
            marked: AtomicBool::new(false),
        }
    }

    /// Says that there may be something to read.
    pub fn mark(&self) {
        // The load spares a burst the write. It cannot miss an unmark that matters: a session that read before this
        // publication was appended unmarked before that, and the log's lock orders the two.
        if !self.marked.load(Ordering::Acquire) && !self.marked.swap(true, Ordering::AcqRel) {
            self.signal.mark(self.index);
        }
    }

    /// Takes the mark back. The session does so *before* it reads: what is published during the read marks it again.
    pub fn unmark(&self) {
        self.marked.swap(false, Ordering::AcqRel);
    }
}
