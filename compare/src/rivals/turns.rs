//! What a rival does in its turn.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use crowd::PATIENCE;
use crowd::cpu::Cpu;

use super::rig::Rig;
use super::rounds::{Shares, Turn};

/// Bursts of `messages`, one after the other, for at least so long. The value is the CPU time of the server for each
/// delivery, in µs, the share of the publishing included.
///
/// If subscribers poll, the next burst waits until the server has taken their polls in: else a part of them, and not the same
/// for each server, would find the next message there and not wait for it, which costs less.
pub fn cpu(rig: &mut Rig, messages: u64, at_least: Duration, polls: bool) -> Result<Turn> {
    let server = rig.process.threads()?;
    let watch = Watch::start(rig)?;
    let mut bursts = 0_u32;
    while bursts == 0 || watch.began.elapsed() < at_least {
        if polls {
            rig.settle(&server)?;
        }
        rig.burst(messages)?;
        bursts += 1;
    }
    let (ran, shares) = watch.stop(rig)?;
    let deliveries = f64::from(bursts) * messages as f64 * rig.crowd.len() as f64;
    Ok(Turn {
        values: vec![ran.as_secs_f64() * 1e6 / deliveries],
        shares: Some(shares),
        kept_up: true,
    })
}

/// Messages at even distances, whether those before have come or not. The values are the latencies, from the moment when a
/// message was to be published, below which half of the deliveries lie, and 99 of 100, in ms.
pub fn latency(rig: &mut Rig, per_s: f64, lasts: Duration) -> Result<Turn> {
    /// Later than this after the last message was due, the server did not keep up.
    const CATCH_UP_MAX: Duration = Duration::from_secs(1);
    let watch = Watch::start(rig)?;
    let mut schedule = Schedule::new(rig, per_s, lasts);
    let mut last_progress = Instant::now();
    while !schedule.is_done() {
        if schedule.is_due() {
            schedule.publish(rig)?;
        }
        let before = schedule.latencies.len();
        let pause = schedule.pause();
        rig.crowd
            .serve(pause, |numbers| schedule.arrived(numbers))?;
        rig.publisher.serve()?;
        if schedule.latencies.len() > before {
            last_progress = Instant::now();
        }
        ensure!(
            last_progress.elapsed() < PATIENCE,
            "{} of {} deliveries did not come in {} s",
            schedule.deliveries - schedule.latencies.len(),
            schedule.deliveries,
            PATIENCE.as_secs()
        );
    }
    let kept_up = schedule.due_at(schedule.messages).elapsed() < CATCH_UP_MAX;
    let (_, shares) = watch.stop(rig)?;
    let mut latencies = schedule.latencies;
    latencies.sort_unstable();
    let quantiles = [0.5, 0.99].map(|quantile| quantile_ms(&latencies, quantile));
    Ok(Turn {
        values: quantiles.to_vec(),
        shares: Some(shares),
        kept_up,
    })
}

/// The smallest latency that at least this share of all does not exceed; `sorted` is not empty.
fn quantile_ms(sorted: &[Duration], quantile: f64) -> f64 {
    let rank = (quantile * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1].as_secs_f64() * 1e3
}

/// When which message is to be published, and what came.
#[derive(Debug)]
struct Schedule {
    start: Instant,
    period: Duration,
    messages: u32,
    published: u32,
    /// The number of the first message.
    first: u64,
    /// How many will come.
    deliveries: usize,
    latencies: Vec<Duration>,
}

impl Schedule {
    fn new(rig: &Rig, per_s: f64, lasts: Duration) -> Self {
        let messages = (per_s * lasts.as_secs_f64()).round().max(1.0) as u32;
        let deliveries = messages as usize * rig.crowd.len();
        let period = Duration::from_secs_f64(1.0 / per_s);
        Self {
            start: Instant::now() + period,
            period,
            messages,
            published: 0,
            first: rig.publisher.published(),
            deliveries,
            latencies: Vec::with_capacity(deliveries),
        }
    }

    fn due_at(&self, message: u32) -> Instant {
        self.start + self.period * message
    }

    fn is_due(&self) -> bool {
        self.published < self.messages && Instant::now() >= self.due_at(self.published)
    }

    fn is_done(&self) -> bool {
        self.latencies.len() >= self.deliveries
    }

    fn publish(&mut self, rig: &mut Rig) -> Result<()> {
        self.published += 1;
        rig.publisher.publish(1)
    }

    /// How long to wait for what comes. The system waits in whole milliseconds, so the last one is spent looking.
    fn pause(&self) -> Duration {
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

    fn arrived(&mut self, numbers: Range<u64>) {
        let now = Instant::now();
        for number in numbers {
            // No number lies below the first, and all are within the turn: everybody had all messages before it.
            let due = self.due_at((number - self.first) as u32);
            self.latencies.push(now.saturating_duration_since(due));
        }
    }
}

/// What both sides use, from a moment on.
struct Watch {
    began: Instant,
    load: Cpu,
    server: Cpu,
}

impl Watch {
    fn start(rig: &Rig) -> Result<Self> {
        let (server, load) = (rig.process.cpu()?, Cpu::of_self()?);
        Ok(Self {
            began: Instant::now(),
            load,
            server,
        })
    }

    /// The time that the server ran, and how both sides fared.
    fn stop(self, rig: &Rig) -> Result<(Duration, Shares)> {
        let elapsed = self.began.elapsed().as_secs_f64();
        let load = Cpu::of_self()?.since(&self.load);
        let server = rig.process.cpu()?.since(&self.server);
        let waited = load.waited.max(server.waited);
        let shares = Shares {
            load: load.ran.as_secs_f64() / elapsed,
            // Several threads may wait at once.
            waited: (waited.as_secs_f64() / elapsed).min(1.0),
        };
        Ok((server.ran, shares))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_a_latency_that_occurred() {
        let latencies: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(quantile_ms(&latencies, 0.5), 100.0);
        assert_eq!(quantile_ms(&latencies, 0.99), 198.0);
        assert_eq!(quantile_ms(&latencies[..1], 0.99), 1.0);
    }

    #[test]
    fn latency_counts_from_the_moment_that_was_intended() {
        let start = Instant::now() - Duration::from_millis(250);
        let mut schedule = Schedule {
            start,
            period: Duration::from_millis(100),
            messages: 2,
            published: 2,
            first: 40,
            deliveries: 2,
            latencies: Vec::new(),
        };
        // Both were published late and came together: the first is 250 ms late, the second 150 ms.
        schedule.arrived(40..42);
        let [first, second] = schedule.latencies[..] else {
            panic!("two deliveries");
        };
        assert_eq!(first - second, Duration::from_millis(100));
        assert!(second >= Duration::from_millis(150), "{second:?}");
        assert!(schedule.is_done());
    }
}
