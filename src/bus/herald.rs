//! Wakes large audiences a few seats at a time. Whoever publishes to thousands would otherwise hold up everybody else on
//! its thread, and the audience's lock, for as long as it takes to wake them all; and those who are woken a few at a time
//! run while what woke them is still in the processor's cache.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::channel::Channel;

/// The most seats that are woken in one go.
pub const AT_ONCE_MAX: usize = 128;
/// After so many goes in a row what came from outside has its turn.
const GOES_MAX: usize = 8;

/// Where channels wait whose audience is not woken to the end. A channel waits once, so they are bounded by the channels.
#[derive(Debug, Default)]
pub struct Herald {
    /// Nothing while nobody runs it: then audiences are woken on the spot.
    waiting: Mutex<Option<VecDeque<Arc<Channel>>>>,
    bell: Notify,
}

impl Herald {
    /// Wakes the audience of a channel that has something new: a small one before this returns, a large one soon. Call it
    /// after the log's lock was given back.
    pub fn announce(&self, channel: &Arc<Channel>) {
        if !channel.announce(AT_ONCE_MAX) {
            return;
        }
        let is_run = match &mut *self.waiting.lock() {
            Some(waiting) => {
                waiting.push_back(Arc::clone(channel));
                true
            }
            None => false,
        };
        if is_run {
            self.bell.notify_one();
        } else {
            while channel.wake_some(AT_ONCE_MAX) {}
        }
    }

    /// Wakes what waits, without an end. One at a time may run; dropped, it leaves nobody asleep.
    pub async fn run(&self) {
        let _run = Run::begin(self);
        let mut goes = 0;
        loop {
            let Some(channel) = self.next() else {
                goes = 0;
                self.bell.notified().await;
                continue;
            };
            if channel.wake_some(AT_ONCE_MAX)
                && let Some(waiting) = &mut *self.waiting.lock()
            {
                waiting.push_back(channel);
            }
            goes += 1;
            if goes % GOES_MAX == 0 {
                tokio::task::yield_now().await;
            } else {
                go_last().await;
            }
        }
    }

    fn next(&self) -> Option<Arc<Channel>> {
        self.waiting.lock().as_mut()?.pop_front()
    }
}

/// Lets all go first that can run already, those who were just woken among them. Unlike the runtime's own way to yield it
/// does not have the worker look at what came from outside: who has the message already asks for the next one, and
/// everybody else's message comes before that.
async fn go_last() {
    let mut has_waited = false;
    poll_fn(|cx| {
        if has_waited {
            return Poll::Ready(());
        }
        has_waited = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// While this is there, somebody runs the herald.
struct Run<'a>(&'a Herald);

impl<'a> Run<'a> {
    fn begin(herald: &'a Herald) -> Self {
        herald.waiting.lock().get_or_insert_default();
        Self(herald)
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        let left = self.0.waiting.lock().take();
        for channel in left.into_iter().flatten() {
            while channel.wake_some(AT_ONCE_MAX) {}
        }
    }
}

#[cfg(test)]
mod tests;
