//! Notices a peer that takes nothing: a write that waits, with no progress, for too long.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

/// A timer that exists only while a write waits, so that the many connections that do not wait pay nothing for it.
#[derive(Debug)]
pub struct Stall {
    after: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Stall {
    /// Fires `after` this long without progress.
    pub fn new(after: Duration) -> Self {
        Self { after, timer: None }
    }

    /// Something was written.
    pub fn progress(&mut self) {
        self.timer = None;
    }

    /// True while a write waits.
    pub fn is_waiting(&self) -> bool {
        self.timer.is_some()
    }

    /// A write waits. Ready once it waited too long.
    pub fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep(self.after)));
        timer.as_mut().poll(cx)
    }
}
