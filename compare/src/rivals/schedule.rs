//! When which message is to be published, and how late each came.

use std::time::{Duration, Instant};

use crowd::Arrival;

use super::rig::Rig;

/// Messages at even distances. The first of them warm up.
#[derive(Debug)]
pub struct Schedule {
    start: Instant,
    period: Duration,
    messages: u32,
    /// So many of the messages come first, and do not count.
    warm_up: u32,
    published: u32,
    /// The number of the first message.
    first: u64,
    subscribers: usize,
    /// Deliveries so far.
    arrived: usize,
    latencies: Latencies,
}

impl Schedule {
    /// The first message is due after one period.
    pub fn new(rig: &Rig, per_s: f64, warm_up: Duration, lasts: Duration) -> Self {
        let during = |time: Duration| (per_s * time.as_secs_f64()).round().max(1.0) as u32;
        let (warm_up, counted) = (during(warm_up), during(lasts));
        let period = Duration::from_secs_f64(1.0 / per_s);
        let subscribers = rig.crowd.len();
        Self {
            start: Instant::now() + period,
            period,
            messages: warm_up + counted,
            warm_up,
            published: 0,
            first: rig.publisher.published(),
            subscribers,
            arrived: 0,
            latencies: Latencies(Vec::with_capacity(counted as usize * subscribers)),
        }
    }

    fn due_at(&self, message: u32) -> Instant {
        self.start + self.period * message
    }

    /// When the last message was over, at this distance.
    pub fn ended_at(&self) -> Instant {
        self.due_at(self.messages)
    }

    /// Whether a message is to be published now.
    pub fn is_due(&self) -> bool {
        self.published < self.messages && Instant::now() >= self.due_at(self.published)
    }

    /// Notes that the next message was published.
    pub fn publish(&mut self) {
        self.published += 1;
    }

    /// How many deliveries there will be.
    pub fn deliveries(&self) -> usize {
        self.messages as usize * self.subscribers
    }

    /// How many there were.
    pub fn arrived(&self) -> usize {
        self.arrived
    }

    /// Whether everybody has all.
    pub fn is_done(&self) -> bool {
        self.arrived >= self.deliveries()
    }

    /// How long to wait for what comes. The system waits in whole milliseconds, so the last one is spent looking.
    pub fn pause(&self) -> Duration {
        const MILLISECOND: Duration = Duration::from_millis(1);
        if self.published == self.messages {
            return Duration::from_millis(100);
        }
        let left = self
            .due_at(self.published)
            .saturating_duration_since(Instant::now());
        let whole = Duration::from_millis(left.as_millis() as u64);
        whole.saturating_sub(MILLISECOND)
    }

    /// Notes what came.
    pub fn arrive(&mut self, arrival: &Arrival) {
        for number in arrival.numbers.clone() {
            self.arrived += 1;
            // No number lies below the first, and all are within the turn: everybody had all messages before it.
            let message = (number - self.first) as u32;
            if message >= self.warm_up {
                let latency = arrival.at.saturating_duration_since(self.due_at(message));
                self.latencies.note(latency, arrival.late_max);
            }
        }
    }

    /// What was measured.
    pub fn latencies(self) -> Latencies {
        self.latencies
    }
}

/// Latencies, each with the part that the load itself may have added.
#[derive(Debug, Default)]
pub struct Latencies(Vec<(Duration, Duration)>);

/// A latency that a share of all does not exceed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Value {
    /// The latency.
    pub ms: f64,
    /// How much of it the load may have added by being late, from 0 to 1.
    pub late_share: f64,
}

impl Latencies {
    fn note(&mut self, latency: Duration, late_max: Duration) {
        self.0.push((latency, late_max));
    }

    /// The smallest latency that at least this share of all does not exceed; zero if there is none. It is compared with what
    /// it would be if the load had never been late.
    pub fn quantile(&self, quantile: f64) -> Value {
        let of = |latency: fn(&(Duration, Duration)) -> Duration| {
            let mut sorted: Vec<Duration> = self.0.iter().map(latency).collect();
            sorted.sort_unstable();
            let rank = (quantile * sorted.len() as f64).ceil() as usize;
            let value = sorted.get(rank.max(1) - 1).or(sorted.last());
            value.map_or(0.0, Duration::as_secs_f64) * 1e3
        };
        let ms = of(|(latency, _)| *latency);
        let in_time = of(|(latency, late_max)| latency.saturating_sub(*late_max));
        let late_share = if ms > 0.0 { 1.0 - in_time / ms } else { 0.0 };
        Value { ms, late_share }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latencies(all: impl Iterator<Item = (u64, u64)>) -> Latencies {
        let ms = Duration::from_millis;
        Latencies(all.map(|(latency, late)| (ms(latency), ms(late))).collect())
    }

    #[test]
    fn a_quantile_is_a_latency_that_occurred() {
        let all = latencies((1..=200).map(|ms| (ms, 0)));
        assert_eq!(all.quantile(0.5).ms, 100.0);
        assert_eq!(all.quantile(0.99).ms, 198.0);
        assert_eq!(latencies([(1, 0)].into_iter()).quantile(0.99).ms, 1.0);
        assert_eq!(Latencies::default().quantile(0.99).ms, 0.0);
    }

    #[test]
    fn what_the_load_may_have_added_is_told_at_each_quantile() {
        // It was late for the slower half only, by a fourth of what they took.
        let all = latencies((1..=200).map(|ms| (ms, if ms > 100 { ms / 4 } else { 0 })));
        assert_eq!(all.quantile(0.25).late_share, 0.0);
        let late = all.quantile(0.99).late_share;
        assert!((late - 0.25).abs() < 0.01, "{late}");
        // More than all of it is not possible.
        assert_eq!(
            latencies([(10, 11)].into_iter()).quantile(0.5).late_share,
            1.0
        );
    }

    #[test]
    fn latency_counts_from_the_moment_that_was_intended_and_after_the_warm_up() {
        let at = Instant::now();
        let mut schedule = Schedule {
            start: at - Duration::from_millis(350),
            period: Duration::from_millis(100),
            messages: 3,
            warm_up: 1,
            published: 3,
            first: 39,
            subscribers: 1,
            arrived: 0,
            latencies: Latencies::default(),
        };
        // All were published late and came together: the second is 250 ms late, the third 150 ms. The first warms up.
        schedule.arrive(&Arrival {
            numbers: 39..42,
            at,
            late_max: Duration::ZERO,
        });
        assert!(schedule.is_done());
        let latencies = schedule.latencies();
        assert_eq!(latencies.0.len(), 2);
        assert_eq!(latencies.quantile(0.5).ms, 150.0);
        assert_eq!(latencies.quantile(0.99).ms, 250.0);
    }
}
