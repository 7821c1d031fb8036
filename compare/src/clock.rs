//! Waiting for a moment more exactly than tokio's timers, which are for whole milliseconds: a message that is published up
//! to a millisecond late would look slow over every transport.

use anyhow::Result;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use std::os::fd::OwnedFd;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

/// A timer of the system's, good to some tens of microseconds.
#[derive(Debug)]
pub struct Clock(AsyncFd<OwnedFd>);

impl Clock {
    /// A timer for one waiter.
    pub fn new() -> Result<Self> {
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        #[expect(
            deprecated,
            reason = "what replaced it is unsafe; the descriptor is owned, so nobody closes it meanwhile"
        )]
        let timer = AsyncFd::new(timer)?;
        Ok(Self(timer))
    }

    /// Waits until `moment`. Cancel safe.
    pub async fn sleep_until(&mut self, moment: Instant) -> Result<()> {
        loop {
            let left = moment.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            let once = Itimerspec {
                it_interval: Timespec {
                    tv_sec: 0,
                    tv_nsec: 0,
                },
                it_value: Timespec {
                    tv_sec: left.as_secs() as i64,
                    tv_nsec: left.subsec_nanos().into(),
                },
            };
            timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &once)?;
            // Setting it anew takes back what it told before, so a stale readiness only makes another turn.
            self.0.readable().await?.clear_ready();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn a_moment_is_met_and_one_that_has_passed_is_not_waited_for() {
        let mut clock = Clock::new().expect("a timer");
        let start = Instant::now();
        clock.sleep_until(start).await.expect("no wait");
        clock
            .sleep_until(start + Duration::from_millis(5))
            .await
            .expect("a wait");
        assert!(start.elapsed() >= Duration::from_millis(5));
    }
}
