//! How long a client is told that it is too fast, before it is closed.

use std::time::Duration;

use tokio::time::Instant;

/// Refusals are counted anew after this long.
const REFUSALS_WITHIN: Duration = Duration::from_secs(10);

/// The refusals of one client, lately.
#[derive(Debug)]
pub struct Patience {
    since: Instant,
    refusals: usize,
}

impl Patience {
    /// No refusals yet.
    pub fn new() -> Self {
        Self {
            since: Instant::now(),
            refusals: 0,
        }
    }

    /// Counts a refusal. False if it was one more than `refusals_max` in the time.
    pub fn bears(&mut self, refusals_max: usize) -> bool {
        if self.since.elapsed() >= REFUSALS_WITHIN {
            *self = Self::new();
        }
        self.refusals += 1;
        self.refusals <= refusals_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn so_many_in_the_time_and_no_more() {
        let mut patience = Patience::new();
        assert!((0..3).all(|_| patience.bears(3)));
        assert!(!patience.bears(3));
        tokio::time::advance(REFUSALS_WITHIN).await;
        assert!((0..3).all(|_| patience.bears(3)));
        tokio::time::advance(REFUSALS_WITHIN - Duration::from_millis(1)).await;
        assert!(!patience.bears(3));
    }
}
