//! What arithmetic says of a cell, to be read beside what was measured.
//!
//! The limits are those of an ideal gateway on an ideal machine, which needs as much work for a message as was measured; the
//! tolerance is what a real one may need on top, and `why` names it. Where a figure lies outside by more, either the gateway
//! or this harness has something to explain.

mod count;
mod idle;
mod latency;
mod line;
mod period;
mod start;
mod work;

use std::time::Duration;

use crate::cell::Cell;
use crate::results::{Expectation, Figure, Figures};
use crate::text;

use line::Line;
use work::Work;

/// The gateway's default pause between two heartbeats, and the wait of a long poll.
const BEAT_S: f64 = 25.0;
/// Of a figure that is counted: its window cuts requests in two.
const COUNT_TOLERANCE: f64 = 0.05;

/// What was done to get the figures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// How long each repeat counted.
    pub measure: Duration,
    /// Messages that were to go out in that time: of a rate that does not go into it only so many fit.
    pub messages: f64,
    /// Deliveries that the figures are of, all repeats together.
    pub delivered: u64,
    /// How many repeats there were.
    pub repeats: usize,
    /// Whether the gateway is one of our own. Of one elsewhere neither the work nor the way to it is known, so that nothing
    /// can be said of times.
    pub is_watched: bool,
    /// Share of one core that others used meanwhile, the host included, in the repeat where it was most.
    pub others_share: f64,
}

impl Measured {
    /// How long a side of ours may wait for a core that others are using.
    fn turn_ms(&self) -> f64 {
        /// For so long a scheduler leaves a core to who has it.
        const TURN_MS: f64 = 4.0;
        TURN_MS * self.others_share.min(1.0)
    }

    /// Messages in a second, as they were planned; nothing where none were.
    fn per_s(&self) -> Option<f64> {
        (self.messages > 0.0).then(|| self.messages / self.measure.as_secs_f64())
    }
}

/// A figure's limits before it is held against them.
#[derive(Debug)]
struct Limits {
    figure: &'static str,
    from: f64,
    to: f64,
    tolerance: f64,
    why: String,
}

/// What can be said of a cell.
pub fn expectations(cell: &Cell, figures: &Figures, measured: &Measured) -> Vec<Expectation> {
    let line = Line::of(cell);
    let work = Work::of(cell, figures, measured);
    let mut expected = Vec::new();
    let mut hold = |figure: Option<Figure>, limits: Option<Limits>| {
        if let Some((figure, limits)) = figure.zip(limits) {
            expected.push(held(&limits, figure.median));
        }
    };
    if measured.is_watched {
        let p50 = latency::median(cell, &line, &work, measured);
        hold(figures.latency_p50_ms, Some(p50));
        let longest = latency::longest(cell, &line, &work, measured);
        hold(figures.latency_max_ms, longest);
        let starts = [
            ("cold_start_ms", figures.cold_start_ms),
            ("resume_ms", figures.resume_ms),
        ];
        for (name, figure) in starts {
            hold(figure, Some(start::limits(name, cell, &line, measured)));
        }
    }
    let payload = figures.bytes.map(|bytes| bytes.down.payload);
    hold(payload, Some(count::payload(cell)));
    let requests = count::requests(cell, &line, &work, measured);
    hold(figures.requests_per_message, requests);
    let connections = count::connections(measured);
    hold(figures.connections_per_message, connections);
    let wakeups = idle::wakeups(cell, &line, measured);
    hold(figures.wakeups_per_minute, wakeups);
    let idle_bytes = idle::bytes(cell, measured);
    hold(figures.idle_bytes_per_hour, idle_bytes);
    expected
}

fn held(limits: &Limits, measured: f64) -> Expectation {
    /// What two ways to the same number may differ by.
    const ROUNDING: f64 = 1e-9;
    let Limits {
        figure,
        from,
        to,
        tolerance,
        why,
    } = limits;
    let slack = tolerance + ROUNDING;
    Expectation {
        figure: (*figure).to_owned(),
        from: *from,
        to: *to,
        measured,
        why: format!("{why}; tolerance {}", text::of_figure(figure, *tolerance)),
        differs: measured < from - slack || measured > to + slack,
    }
}

#[cfg(test)]
mod tests;
