//! From the repeats of a cell to its figures.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::awake;
use crate::cell::{Cell, Rate};
use crate::expect::{self, Measured};
use crate::meter::{Count, Way};
use crate::results::{ByteKinds, Bytes, CellResult, Deliveries, Figure, Figures, LatencyBucket};
use crate::run::{Outcome, Timing};
use crate::warning;

/// Digits of a latency that are kept over all repeats.
const DIGITS: u8 = 3;
/// Buckets of latency between a power of ten and the next.
pub const BUCKETS_PER_DECADE: f64 = 20.0;

/// What one repeat found, of which the outcome's own histogram was added to that of the cell.
#[derive(Debug, Clone)]
pub struct Repeat {
    /// Its figures.
    pub figures: RepeatFigures,
    /// What was delivered.
    pub deliveries: Deliveries,
    /// What clients said when they failed.
    pub failures: Vec<String>,
    /// Share of its core that the gateway used.
    pub server_cpu_share: Option<f64>,
    /// Share of one core that others used meanwhile.
    pub others_cpu_share: f64,
    /// Share of one core that the host took.
    pub stolen_share: f64,
    /// Messages that were to go out in a second.
    pub planned_per_s: f64,
    /// Different messages that count.
    pub messages: u64,
    /// Bytes that were said to be heads or payload and never passed over the wire.
    pub overcounted_bytes: u64,
}

/// A percentile is told if so many different messages are behind it, in all repeats together. A message to a hundred
/// clients is one event: what delays it delays it for all.
const MESSAGES_MIN_P99: u64 = 20;
const MESSAGES_MIN_P999: u64 = 100;

/// The figures of one repeat, by the names of [`Figures`].
#[derive(Debug, Clone, Default)]
pub struct RepeatFigures {
    latency_p50_ms: Option<f64>,
    latency_p90_ms: Option<f64>,
    latency_p99_ms: Option<f64>,
    latency_p999_ms: Option<f64>,
    latency_max_ms: Option<f64>,
    cold_start_ms: Option<f64>,
    resume_ms: Option<f64>,
    up: Option<RepeatBytes>,
    down: Option<RepeatBytes>,
    packets_per_message: Option<f64>,
    requests_per_message: Option<f64>,
    connections_per_message: Option<f64>,
    idle_bytes_per_hour: Option<f64>,
    wakeups_per_minute: Option<f64>,
    server_cpu_us_per_message: Option<f64>,
    server_memory_kib_per_client: Option<f64>,
    achieved_per_s: Option<f64>,
    load_cpu_share: Option<f64>,
}

#[derive(Debug, Clone, Copy)]
struct RepeatBytes {
    wire: f64,
    handshake: f64,
    headers: f64,
    framing: f64,
    payload: f64,
}

/// A cell and what was found so far.
#[derive(Debug)]
pub struct Found {
    cell: Cell,
    timing: Timing,
    repeats: Vec<Repeat>,
    latency_us: Histogram<u64>,
}

impl Found {
    /// Nothing yet. `timing` is that of each repeat.
    pub fn nothing(cell: Cell, timing: Timing) -> Self {
        Self {
            cell,
            timing,
            repeats: Vec::new(),
            // Fails for more than 5 digits only.
            latency_us: Histogram::new(DIGITS).expect("a histogram may have 3 digits"),
        }
    }

    /// The cell.
    pub fn cell(&self) -> &Cell {
        &self.cell
    }

    /// Adds a repeat.
    pub fn add(&mut self, outcome: &Outcome) {
        // Neither histogram has an upper end.
        let _ = self.latency_us.add(&outcome.delivered.latency_us);
        self.repeats.push(Repeat::of(&self.cell, outcome));
    }

    /// The result so far; nothing before the first repeat.
    pub fn result(&self) -> Option<CellResult> {
        if self.repeats.is_empty() {
            return None;
        }
        let figures = self.figures();
        let mut deliveries = Deliveries::default();
        for repeat in &self.repeats {
            add(&mut deliveries, &repeat.deliveries);
        }
        Some(CellResult {
            expected: expect::expectations(&self.cell, &figures, &self.measured(&deliveries)),
            warnings: warning::warnings(&self.cell, &self.repeats, &deliveries, &figures),
            cell: self.cell.clone(),
            repeats: self.repeats.len(),
            warm_up_s: self.timing.warm_up.as_secs_f64(),
            measure_s: self.timing.measure.as_secs_f64(),
            deliveries,
            latencies: buckets(&self.latency_us),
            figures,
        })
    }

    /// What was done to get the figures. Each repeat planned the same number of messages.
    fn measured(&self, deliveries: &Deliveries) -> Measured {
        let measure = self.timing.measure;
        let planned_per_s = self
            .repeats
            .first()
            .map_or(0.0, |first| first.planned_per_s);
        Measured {
            measure,
            messages: planned_per_s * measure.as_secs_f64(),
            delivered: deliveries.delivered,
            repeats: self.repeats.len(),
            is_watched: self
                .repeats
                .iter()
                .any(|repeat| repeat.server_cpu_share.is_some()),
            others_share: self
                .repeats
                .iter()
                .map(|repeat| repeat.others_cpu_share + repeat.stolen_share)
                .fold(0.0, f64::max),
        }
    }

    fn figures(&self) -> Figures {
        let of = |pick: fn(&RepeatFigures) -> Option<f64>| {
            Figure::of(
                self.repeats
                    .iter()
                    .filter_map(|repeat| pick(&repeat.figures))
                    .collect(),
            )
        };
        let kinds = |way: fn(&RepeatFigures) -> Option<RepeatBytes>| {
            let kind = |pick: fn(RepeatBytes) -> f64| {
                let ways = self
                    .repeats
                    .iter()
                    .filter_map(|repeat| way(&repeat.figures));
                Figure::of(ways.map(pick).collect())
            };
            Some(ByteKinds {
                wire: kind(|way| way.wire)?,
                handshake: kind(|way| way.handshake)?,
                headers: kind(|way| way.headers)?,
                framing: kind(|way| way.framing)?,
                payload: kind(|way| way.payload)?,
            })
        };
        let bytes = kinds(|figures| figures.up).zip(kinds(|figures| figures.down));
        let messages: u64 = self.repeats.iter().map(|repeat| repeat.messages).sum();
        let of_many = |least: u64, pick: fn(&RepeatFigures) -> Option<f64>| {
            of(pick).filter(|_| messages >= least)
        };
        Figures {
            latency_p50_ms: of(|figures| figures.latency_p50_ms),
            latency_p90_ms: of(|figures| figures.latency_p90_ms),
            latency_p99_ms: of_many(MESSAGES_MIN_P99, |figures| figures.latency_p99_ms),
            latency_p999_ms: of_many(MESSAGES_MIN_P999, |figures| figures.latency_p999_ms),
            latency_max_ms: of(|figures| figures.latency_max_ms),
            cold_start_ms: of(|figures| figures.cold_start_ms),
            resume_ms: of(|figures| figures.resume_ms),
            bytes: bytes.map(|(up, down)| Bytes { up, down }),
            packets_per_message: of(|figures| figures.packets_per_message),
            requests_per_message: of(|figures| figures.requests_per_message),
            connections_per_message: of(|figures| figures.connections_per_message),
            idle_bytes_per_hour: of(|figures| figures.idle_bytes_per_hour),
            wakeups_per_minute: of(|figures| figures.wakeups_per_minute),
            server_cpu_us_per_message: of(|figures| figures.server_cpu_us_per_message),
            server_memory_kib_per_client: of(|figures| figures.server_memory_kib_per_client),
            achieved_per_s: of(|figures| figures.achieved_per_s),
            load_cpu_share: of(|figures| figures.load_cpu_share),
        }
    }
}

impl Figure {
    /// The median and the ends; nothing of nothing.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            (values[middle - 1] + values[middle]) / 2.0
        };
        Some(Self { median, min, max })
    }
}

impl Repeat {
    fn of(cell: &Cell, outcome: &Outcome) -> Self {
        let share = |time: Duration| time.as_secs_f64() / outcome.elapsed.as_secs_f64();
        let others = outcome.others.unwrap_or_default();
        Self {
            figures: RepeatFigures::of(cell, outcome),
            deliveries: outcome.delivered.deliveries,
            failures: outcome.delivered.failures.clone(),
            server_cpu_share: outcome.server_cpu.map(share),
            others_cpu_share: share(others.busy),
            stolen_share: share(others.stolen),
            planned_per_s: outcome.planned_per_s,
            messages: outcome.delivered.deliveries.expected / cell.subscribers.max(1) as u64,
            overcounted_bytes: outcome.overcounted_bytes,
        }
    }
}

impl RepeatFigures {
    fn of(cell: &Cell, outcome: &Outcome) -> Self {
        let mut figures = Self {
            server_memory_kib_per_client: outcome
                .memory_bytes_per_client
                .map(|bytes| bytes / 1024.0),
            load_cpu_share: Some(outcome.load_cpu.as_secs_f64() / outcome.elapsed.as_secs_f64()),
            cold_start_ms: median_ms(&outcome.starts.cold),
            resume_ms: median_ms(&outcome.starts.resume),
            wakeups_per_minute: wakeups_per_minute(cell, outcome),
            ..Self::default()
        };
        if cell.rate == Rate::Idle {
            let bytes = outcome.window.up.wire + outcome.window.down.wire;
            figures.idle_bytes_per_hour = Some(per_client_second(cell, outcome, bytes) * 3600.0);
        } else {
            figures.achieved_per_s = Some(outcome.achieved_per_s);
            figures.set_latencies(&outcome.delivered.latency_us);
            figures.set_costs(outcome);
        }
        figures
    }

    /// A percentile means something if a few deliveries are above it.
    fn set_latencies(&mut self, latency_us: &Histogram<u64>) {
        let ms = |quantile: f64, least: u64| {
            let value = latency_us.value_at_quantile(quantile) as f64 / 1000.0;
            (latency_us.len() >= least).then_some(value)
        };
        self.latency_p50_ms = ms(0.5, 1);
        self.latency_p90_ms = ms(0.9, 10);
        self.latency_p99_ms = ms(0.99, 100);
        self.latency_p999_ms = ms(0.999, 1000);
        self.latency_max_ms = ms(1.0, 1);
    }

    fn set_costs(&mut self, outcome: &Outcome) {
        if outcome.arrivals == 0 || outcome.delivered.deliveries.delivered == 0 {
            return;
        }
        let per_message = |count: u64| count as f64 / outcome.arrivals as f64;
        // To begin is paid once, however long it then lasts: all of it is divided by the messages that count, whenever they come.
        let counted = outcome.delivered.deliveries.delivered as f64;
        let once_per_message = |count: u64| count as f64 / counted;
        let Count { up, down, .. } = outcome.window;
        let bytes = |window: Way, total: Way| RepeatBytes {
            wire: once_per_message(total.handshake) + per_message(window.wire - window.handshake),
            handshake: once_per_message(total.handshake),
            headers: per_message(window.headers),
            framing: window.framing() as f64 / outcome.arrivals as f64,
            payload: per_message(window.payload),
        };
        self.up = Some(bytes(up, outcome.total.up));
        self.down = Some(bytes(down, outcome.total.down));
        self.packets_per_message = Some(per_message(outcome.window.segments));
        self.requests_per_message = Some(per_message(outcome.window.requests));
        self.connections_per_message = Some(once_per_message(outcome.total.connections));
        self.server_cpu_us_per_message = outcome
            .server_cpu
            .map(|cpu| cpu.as_secs_f64() * 1e6 / outcome.arrivals as f64);
    }
}

/// Nothing where the network never sleeps, by the plan or in this repeat: none is not few.
fn wakeups_per_minute(cell: &Cell, outcome: &Outcome) -> Option<f64> {
    let is_awake = awake::is_always(cell) || (outcome.window.wakeups == 0 && outcome.arrivals > 0);
    (!is_awake).then(|| per_client_second(cell, outcome, outcome.window.wakeups) * 60.0)
}

/// So many of one client in a second of usual idle time.
fn per_client_second(cell: &Cell, outcome: &Outcome, count: u64) -> f64 {
    count as f64 / cell.subscribers as f64 / outcome.elapsed.as_secs_f64() / outcome.idle_speed
}

fn median_ms(times: &[Duration]) -> Option<f64> {
    let ms = times
        .iter()
        .map(|time| time.as_secs_f64() * 1000.0)
        .collect();
    Figure::of(ms).map(|figure| figure.median)
}

fn add(sum: &mut Deliveries, more: &Deliveries) {
    sum.expected += more.expected;
    sum.delivered += more.delivered;
    sum.lost += more.lost;
    sum.repeated += more.repeated;
    sum.out_of_order += more.out_of_order;
    sum.corrupted += more.corrupted;
}

/// Coarse enough to draw, fine enough for the eye.
fn buckets(latency_us: &Histogram<u64>) -> Vec<LatencyBucket> {
    let mut buckets: Vec<LatencyBucket> = Vec::new();
    for value in latency_us.iter_recorded() {
        // What is kept stands for a few values: the least of them, or 10 ms would be above 10 ms.
        let least = latency_us.lowest_equivalent(value.value_iterated_to());
        let up_to_ms = bucket_end_ms(least as f64 / 1000.0);
        let count = value.count_at_value();
        match buckets.last_mut() {
            Some(last) if last.up_to_ms == up_to_ms => last.count += count,
            _ => buckets.push(LatencyBucket { up_to_ms, count }),
        }
    }
    buckets
}

fn bucket_end_ms(ms: f64) -> f64 {
    /// A histogram knows no less than a microsecond.
    const LEAST_MS: f64 = 0.001;
    let step = (ms.max(LEAST_MS).log10() * BUCKETS_PER_DECADE - 1e-9).ceil();
    let end = 10f64.powf(step / BUCKETS_PER_DECADE);
    // Digits that nobody measured only make the file longer.
    let digits = 10f64.powi(3 - end.log10().floor() as i32);
    (end * digits).round() / digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_has_its_ends() {
        let figure = |values: &[f64]| Figure::of(values.to_vec()).map(|f| (f.median, f.min, f.max));
        assert_eq!(figure(&[3.0, 1.0, 2.0]), Some((2.0, 1.0, 3.0)));
        assert_eq!(figure(&[4.0, 1.0]), Some((2.5, 1.0, 4.0)));
        assert_eq!(figure(&[]), None);
    }

    #[test]
    fn a_message_to_many_is_one_event() {
        let found = |messages: u64, repeats: usize| {
            let timing = Timing {
                warm_up: Duration::ZERO,
                measure: Duration::from_secs(1),
            };
            let mut found = Found::nothing(crate::cell::tests::cell(), timing);
            let repeat = Repeat {
                figures: RepeatFigures {
                    latency_p99_ms: Some(1.0),
                    latency_p999_ms: Some(2.0),
                    ..RepeatFigures::default()
                },
                deliveries: Deliveries::default(),
                failures: Vec::new(),
                server_cpu_share: None,
                others_cpu_share: 0.0,
                stolen_share: 0.0,
                planned_per_s: messages as f64,
                messages,
                overcounted_bytes: 0,
            };
            found.repeats = vec![repeat; repeats];
            let figures = found.figures();
            let told = [figures.latency_p99_ms, figures.latency_p999_ms];
            told.map(|figure| figure.is_some())
        };
        assert_eq!(found(19, 1), [false, false]);
        assert_eq!(found(10, 2), [true, false]);
        assert_eq!(found(33, 3), [true, false]);
        assert_eq!(found(50, 2), [true, true]);
    }

    #[test]
    fn buckets_ascend_and_hold_everything() {
        let mut histogram = Histogram::new(DIGITS).expect("3 digits");
        for us in [0, 1, 90, 100, 1000, 1001, 50_000, 70_000_000] {
            histogram.record(us).expect("it grows");
        }
        let buckets = buckets(&histogram);
        assert_eq!(buckets.iter().map(|bucket| bucket.count).sum::<u64>(), 8);
        assert!(
            buckets
                .windows(2)
                .all(|pair| pair[0].up_to_ms < pair[1].up_to_ms),
            "{buckets:?}"
        );
        assert!(
            buckets.iter().any(|bucket| bucket.up_to_ms == 1.0),
            "a power of ten is an end: {buckets:?}"
        );
    }
}
