//! One rule for how often something may be done, applied to each key by itself.
//!
//! The rule is a GCRA, not a window: after a quiet time a whole burst passes at once, and one more for each interval from
//! then on. Under `100/60s` up to 199 can pass in the first 60 seconds, and 100 in every 60 seconds after them. For at
//! most `n` in any 60 seconds, choose a burst `b` and a number `r` per second with `b + 60 r ≤ n`.

use std::hash::Hash;
use std::num::NonZeroU32;

use governor::clock::{Clock, MonotonicClock};
use governor::middleware::StateInformationMiddleware;
use governor::{Quota, RateLimiter};

use super::refused::Refused;
use super::standing::Standing;
use super::store::Store;
use crate::config::{Pace, RateRule};

/// A rule with what each key has left.
#[derive(Debug)]
pub struct Rate<K, C = MonotonicClock>
where
    K: Hash + Eq + Clone,
    C: Clock,
{
    name: &'static str,
    rule: RateRule,
    keys_max: usize,
    limiter: Option<Limiter<K, C>>,
}

#[derive(Debug)]
struct Limiter<K, C>
where
    K: Hash + Eq + Clone,
    C: Clock,
{
    pace: Pace,
    states: RateLimiter<K, Store<K>, C, StateInformationMiddleware>,
}

impl<K: Hash + Eq + Clone, C: Clock> Rate<K, C> {
    /// A rule whose keys have everything left. It keeps `keys_max` keys apart, and is called `name` in headers and
    /// metrics.
    pub fn new(name: &'static str, rule: RateRule, keys_max: usize, clock: C) -> Self {
        let limiter = match rule {
            RateRule::Off => None,
            RateRule::Per(pace) => Quota::with_period(pace.interval()).map(|quota| {
                let quota = quota.allow_burst(pace.burst());
                let states = RateLimiter::new(quota, Store::new(keys_max), clock);
                Limiter { pace, states }
            }),
        };
        Self {
            name,
            rule,
            keys_max,
            limiter,
        }
    }

    /// True if it was made with these numbers.
    pub fn is(&self, rule: RateRule, keys_max: usize) -> bool {
        self.rule == rule && self.keys_max == keys_max
    }

    /// Takes `cost` from what the key has left, or nothing. Returns where the key stands then, if there is a rule.
    ///
    /// # Errors
    /// [`Refused::Wait`] if so many are not left now, [`Refused::Never`] if so many are never left.
    pub fn take(&self, key: &K, cost: NonZeroU32) -> Result<Option<Standing>, Refused> {
        let Some(Limiter { pace, states }) = &self.limiter else {
            return Ok(None);
        };
        match states.check_key_n(key, cost) {
            Ok(Ok(state)) => {
                let remaining = state.remaining_burst_capacity();
                Ok(Some(Standing::left(self.name, *pace, remaining)))
            }
            Ok(Err(not_until)) => {
                let after = not_until.wait_time_from(states.clock().now());
                Err(Refused::Wait(
                    Standing::spent(self.name, *pace, after),
                    after,
                ))
            }
            Err(_) => Err(Refused::Never {
                cost: cost.get(),
                burst: pace.burst().get(),
            }),
        }
    }

    /// Forgets keys that have everything left, and gives their room back.
    pub fn sweep(&self) {
        if let Some(limiter) = &self.limiter {
            limiter.states.retain_recent();
            limiter.states.shrink_to_fit();
        }
    }

    /// The number of keys that are kept apart.
    pub fn len(&self) -> usize {
        self.limiter
            .as_ref()
            .map_or(0, |limiter| limiter.states.len())
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;
    use std::time::Duration;

    fn rate(rule: &str, keys_max: usize) -> (Rate<u32, FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let rate = Rate::new("test", rule.parse().unwrap(), keys_max, clock.clone());
        (rate, clock)
    }

    const ONE: NonZeroU32 = NonZeroU32::MIN;

    /// How many of so many pass now.
    fn passed(rate: &Rate<u32, FakeRelativeClock>, key: u32, of: u32) -> usize {
        (0..of).filter(|_| rate.take(&key, ONE).is_ok()).count()
    }

    #[test]
    fn a_burst_passes_and_then_one_an_interval() {
        let (rate, clock) = rate("50/s burst 100", 10);
        assert_eq!(passed(&rate, 1, 200), 100);
        clock.advance(Duration::from_millis(19));
        assert_eq!(passed(&rate, 1, 10), 0);
        clock.advance(Duration::from_millis(1));
        assert_eq!(passed(&rate, 1, 10), 1);
        assert_eq!(passed(&rate, 2, 200), 100, "another key has its own");
    }

    #[test]
    fn a_hundred_in_sixty_seconds_lets_so_many_through() {
        let (rate, clock) = rate("100/60s", 10);
        let mut count = 0;
        for _ in 0..600 {
            count += passed(&rate, 1, 200);
            clock.advance(Duration::from_millis(100));
        }
        assert_eq!(count, 199);
        let later: usize = (0..600)
            .map(|_| {
                let count = passed(&rate, 1, 200);
                clock.advance(Duration::from_millis(100));
                count
            })
            .sum();
        assert_eq!(later, 100);
    }

    #[test]
    fn a_strict_bound_is_a_burst_and_a_rate_that_add_up() {
        let (rate, clock) = rate("50/60s burst 50", 10);
        let mut count = 0;
        for _ in 0..600 {
            count += passed(&rate, 1, 200);
            clock.advance(Duration::from_millis(100));
        }
        assert!(count <= 100, "{count}");
    }

    #[test]
    fn the_wait_is_right_to_the_moment() {
        let (rate, clock) = rate("1/10s burst 3", 10);
        assert_eq!(passed(&rate, 1, 3), 3);
        let two = NonZeroU32::new(2).unwrap();
        let Err(Refused::Wait(standing, after)) = rate.take(&1, two) else {
            panic!("refused")
        };
        assert_eq!(after, Duration::from_secs(20));
        assert_eq!(standing.reset_s, 20);
        clock.advance(after - Duration::from_nanos(1));
        assert!(rate.take(&1, two).is_err());
        clock.advance(Duration::from_nanos(1));
        assert!(rate.take(&1, two).is_ok());
    }

    #[test]
    fn a_refusal_costs_nothing_and_what_is_left_is_told() {
        let (rate, _) = rate("1/s burst 10", 10);
        let [seven, four] = [7, 4].map(|n| NonZeroU32::new(n).unwrap());
        assert_eq!(rate.take(&1, seven).unwrap().unwrap().remaining, 3);
        assert!(rate.take(&1, four).is_err());
        assert_eq!(rate.take(&1, ONE).unwrap().unwrap().remaining, 2);
    }

    #[test]
    fn more_than_a_burst_is_refused_for_good() {
        let (rate, _) = rate("1/s burst 10", 10);
        let eleven = NonZeroU32::new(11).unwrap();
        let refused = Refused::Never {
            cost: 11,
            burst: 10,
        };
        assert_eq!(rate.take(&1, eleven), Err(refused));
        assert_eq!(passed(&rate, 1, 20), 10);
    }

    #[test]
    fn a_flood_of_keys_stays_within_the_cap_and_passes_little() {
        let (rate, clock) = rate("1/s burst 2", 100);
        assert_eq!(passed(&rate, 0, 1), 1);
        let flood: usize = (1..100_000).map(|key| passed(&rate, key, 1)).sum();
        assert_eq!(rate.len(), 100);
        // 99 with a place of their own, and 2 for each shared allowance.
        assert!(flood <= 99 + 2 * 1024, "{flood}");
        assert_eq!(passed(&rate, 0, 5), 1, "who was there keeps its own");
        clock.advance(Duration::from_secs(3));
        assert_eq!(passed(&rate, 777_777, 5), 2, "a newcomer is let in later");
        rate.sweep();
        assert_eq!(rate.len(), 0, "nobody is kept that has everything left");
        assert_eq!(passed(&rate, 888_888, 5), 2);
        assert_eq!(rate.len(), 1);
    }

    #[test]
    fn a_key_that_has_something_spent_is_not_forgotten() {
        let (rate, clock) = rate("1/10s burst 2", 100);
        assert_eq!(passed(&rate, 1, 2), 2);
        clock.advance(Duration::from_secs(9));
        rate.sweep();
        assert_eq!(passed(&rate, 1, 2), 0);
        clock.advance(Duration::from_secs(22));
        rate.sweep();
        assert_eq!(rate.len(), 0);
    }

    #[test]
    fn off_is_off() {
        let (rate, _) = rate("off", 1);
        assert_eq!(passed(&rate, 1, 10_000), 10_000);
        assert!(rate.is_empty());
    }
}
