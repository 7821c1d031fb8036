//! How long is waited for something, by one timer that is set seldom.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// A time by which something has to come. Most comes long before, and the next time is later: the timer stays as it is
/// meanwhile, is not even looked at, and is set anew when it fires. All who wait are one task: a timer that is set has its
/// waker.
#[derive(Debug, Default)]
pub struct Patience {
    /// Nothing while nothing is waited for.
    due: Option<Instant>,
    timer: Option<Timer>,
}

#[derive(Debug)]
struct Timer {
    fires: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl Patience {
    /// Patience from now on.
    pub fn new(within: Duration) -> Self {
        Self {
            due: Some(Instant::now() + within),
            timer: None,
        }
    }

    /// Nothing is waited for, until something is again.
    pub fn rest(&mut self) {
        self.due = None;
    }

    /// Something is waited for: from now on, if it was not before. Ready once it is due.
    pub fn poll_waiting(&mut self, cx: &mut Context<'_>, within: Duration) -> Poll<()> {
        let due = match self.due {
            Some(due) => due,
            None => {
                let now = Instant::now();
                let due = *self.due.insert(now + within);
                let is_set = |timer: &Timer| now < timer.fires && timer.fires <= due;
                if self.timer.as_ref().is_some_and(is_set) {
                    // It wakes us before it is due, and we see then how long it is.
                    return Poll::Pending;
                }
                due
            }
        };
        let timer = self.timer.get_or_insert_with(|| Timer {
            fires: due,
            sleep: Box::pin(sleep_until(due)),
        });
        if timer.fires > due {
            timer.set(due);
        }
        loop {
            ready!(timer.sleep.as_mut().poll(cx));
            if timer.fires == due {
                return Poll::Ready(());
            }
            timer.set(due);
        }
    }
}

impl Timer {
    fn set(&mut self, fires: Instant) {
        self.fires = fires;
        self.sleep.as_mut().reset(fires);
    }
}
