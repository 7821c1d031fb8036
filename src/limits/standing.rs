//! Where somebody stands under a rule.

use std::time::Duration;

use crate::config::Pace;

/// Where somebody stands under a rule, as clients are told (draft-ietf-httpapi-ratelimit-headers).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The rule's name.
    pub name: &'static str,
    /// How many may be done at once after a quiet time.
    pub quota: u32,
    /// The seconds after which the whole quota is there again.
    pub window_s: u64,
    /// How many may be done now.
    pub remaining: u32,
    /// The seconds until the whole quota is there again; after a refusal, until what was asked for is.
    pub reset_s: u64,
}

impl Standing {
    /// Somebody who has so many left.
    pub fn left(name: &'static str, pace: Pace, remaining: u32) -> Self {
        let quota = pace.burst().get();
        Self {
            name,
            quota,
            window_s: seconds(pace.refill()),
            remaining,
            reset_s: seconds(pace.interval() * quota.saturating_sub(remaining)),
        }
    }

    /// Somebody who was refused, and has to wait. Told as having nothing left, because what is left was not enough.
    pub fn spent(name: &'static str, pace: Pace, after: Duration) -> Self {
        Self {
            reset_s: seconds(after).max(1),
            ..Self::left(name, pace, 0)
        }
    }
}

/// Rounded up, so that nobody comes back too early.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
