//! The timer of a connection: for what it waits for itself, and for the requests on it that wait.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;

use super::patience::Patience;

/// The timer of a connection, all in one task. It waits for a head, or a request on it waits, or it waits for the next
/// request: one after the other, and most waits are over long before their time.
#[derive(Debug, Default)]
pub struct Alarm(Mutex<Patience>);

/// The time of one wait.
#[derive(Debug)]
pub struct WaitTime {
    alarm: Arc<Alarm>,
    wait: Duration,
    has_begun: bool,
}

impl Alarm {
    /// An alarm that waits from now on.
    pub fn new(within: Duration) -> Self {
        Self(Mutex::new(Patience::new(within)))
    }

    /// Makes a wait, which begins when it is first polled.
    pub fn wait(self: &Arc<Self>, wait: Duration) -> WaitTime {
        WaitTime {
            alarm: Arc::clone(self),
            wait,
            has_begun: false,
        }
    }

    /// Something is waited for, from now on or as before; what was waited for until now is not any more. Nobody says so
    /// when a wait is over, because by then somebody else may wait. Ready once it is due.
    pub fn poll_waiting(&self, cx: &mut Context<'_>, within: Duration, anew: bool) -> Poll<()> {
        let mut patience = self.0.lock();
        if anew {
            patience.rest();
        }
        patience.poll_waiting(cx, within)
    }
}

impl WaitTime {
    /// Ready once the time is up.
    pub fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let anew = !std::mem::replace(&mut self.has_begun, true);
        self.alarm.poll_waiting(cx, self.wait, anew)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::time::{Instant, timeout};

    async fn over(mut time: WaitTime) -> Duration {
        let begin = Instant::now();
        poll_fn(|cx| time.poll_over(cx)).await;
        begin.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn each_wait_has_its_own_time() {
        let alarm = Arc::new(Alarm::default());
        for (wait_s, given_up_after_s) in [(25, 1), (55, 24), (55, 2), (3, 1), (25, 24)] {
            let wait = over(alarm.wait(Duration::from_secs(wait_s)));
            let early = timeout(Duration::from_secs(given_up_after_s), wait);
            assert!(early.await.is_err(), "{wait_s}");
        }
        for wait_s in [25, 2, 55, 55] {
            let wait = over(alarm.wait(Duration::from_secs(wait_s)));
            assert_eq!(wait.await.as_secs(), wait_s);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_fired_between_two_waits_is_set_again() {
        let alarm = Arc::new(Alarm::default());
        let wait = |wait_s| over(alarm.wait(Duration::from_secs(wait_s)));
        assert!(timeout(Duration::from_secs(1), wait(10)).await.is_err());
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(wait(5).await.as_secs(), 5);
    }
}
