//! What a rival does in its turn.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use crowd::PATIENCE;
use crowd::cpu::Cpu;

use super::rig::Rig;
use super::schedule::Schedule;
use super::series::{Shares, Turn};

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
        late_shares: Vec::new(),
        shares: Some(shares),
        kept_up: true,
    })
}

/// Messages at even distances, whether those before have come or not, for `lasts` after a warm-up. The values are the
/// latencies, from the moment when a message was to be published, below which half of the deliveries lie, and 99 of 100,
/// in ms.
pub fn latency(rig: &mut Rig, per_s: f64, warm_up: Duration, lasts: Duration) -> Result<Turn> {
    /// Later than this after the last message was due, the server did not keep up.
    const CATCH_UP_MAX: Duration = Duration::from_secs(1);
    let watch = Watch::start(rig)?;
    let mut schedule = Schedule::new(rig, per_s, warm_up, lasts);
    let mut last_progress = Instant::now();
    while !schedule.is_done() {
        if schedule.is_due() {
            rig.publisher.publish(1)?;
            schedule.publish();
        }
        let (before, pause) = (schedule.arrived(), schedule.pause());
        rig.crowd
            .serve(pause, |arrival| schedule.arrive(&arrival))?;
        rig.publisher.serve()?;
        if schedule.arrived() > before {
            last_progress = Instant::now();
        }
        ensure!(
            last_progress.elapsed() < PATIENCE,
            "{} of {} deliveries did not come in {} s",
            schedule.deliveries() - schedule.arrived(),
            schedule.deliveries(),
            PATIENCE.as_secs()
        );
    }
    let kept_up = schedule.ended_at().elapsed() < CATCH_UP_MAX;
    let (_, shares) = watch.stop(rig)?;
    let latencies = schedule.latencies();
    let values = [0.5, 0.99].map(|quantile| latencies.quantile(quantile));
    Ok(Turn {
        values: values.map(|value| value.ms).to_vec(),
        late_shares: values.map(|value| value.late_share).to_vec(),
        shares: Some(shares),
        kept_up,
    })
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
