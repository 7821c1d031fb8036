//! How long messages take.

use super::line::Line;
use super::period::Period;
use super::work::{Work, burst};
use super::{Limits, Measured};
use crate::cell::{Cell, Rate, Transport};
use crate::warning::OTHERS_CPU_SHARE_MAX;

/// To wake two processes up, and their clocks' grain.
const TOLERANCE_MS: f64 = 0.5;
/// So far may a median be from that of all draws, in standard deviations. The median of some repeats is a little further off
/// than that of all their deliveries.
const DEVIATIONS: f64 = 3.5;
/// From so many draws in a repeat on, one of them is sure to be above the middle.
const DRAWS_MIN: f64 = 30.0;
/// The longest of all may have met a pause of the whole machine.
const PAUSE_MS: f64 = 10.0;
/// Or one of a machine that others keep busy.
const BUSY_PAUSE_MS: f64 = 30.0;

/// Half of the deliveries were faster.
pub fn median(cell: &Cell, line: &Line, work: &Work, measured: &Measured) -> Limits {
    // A lost packet is one of a hundred: it does not move the median.
    let slowest_ms = line.slowest_ms() + line.sending_ms * (burst(cell) - 1.0);
    let of_page_ms = |period_ms: f64| {
        let others = page(cell, period_ms, measured) - 1.0;
        line.slowest_ms() + line.sending_ms * others
    };
    let tolerance = TOLERANCE_MS + line.timer_ms / 2.0 + measured.turn_ms();
    let drawn = drawn_ms(line.jitter_ms, measured.delivered as f64, 0.25);
    let (from, to, tolerance, why) = match cell.transport {
        Transport::WebSocket | Transport::Sse => (
            line.usual_ms(),
            slowest_ms + work.waiting_ms(),
            tolerance + drawn + work.tolerance_ms(),
            "one transit, as soon as it is published, and half of the work for all".to_owned(),
        ),
        Transport::LongPoll => (
            line.usual_ms(),
            2.0 * line.slowest_ms() + of_page_ms(2.0 * line.slowest_ms()) + work.waiting_ms(),
            tolerance + drawn + work.tolerance_ms(),
            "one transit if the poll waits, up to three if an answer and the next poll are under way, and half of the work for \
             all"
                .to_owned(),
        ),
        Transport::Poll => {
            let period = Period::of(cell, line);
            let why = format!("half of {} and one transit", period.in_words());
            (
                period.least_ms / 2.0 + line.usual_ms(),
                period.most_ms / 2.0 + of_page_ms(period.most_ms),
                tolerance + phases_ms(cell, &period, measured),
                why,
            )
        }
    };
    Limits {
        figure: "latency_p50_ms",
        from,
        to,
        tolerance,
        why,
    }
}

/// How many messages may come with one answer to a poll, for those that are published in a time come together.
fn page(cell: &Cell, period_ms: f64, measured: &Measured) -> f64 {
    let published = measured.per_s().unwrap_or_default() * period_ms / 1000.0;
    published.max(burst(cell))
}

/// How far the median of so many even draws out of a span may be from its middle, each with this variance in the count of
/// those below.
fn drawn_ms(span_ms: f64, draws: f64, variance: f64) -> f64 {
    DEVIATIONS * span_ms * (variance / draws.max(1.0)).sqrt()
}

/// How far the median of a short poll may be from half of its period, because moments of sending and of asking are drawn.
fn phases_ms(cell: &Cell, period: &Period, measured: &Measured) -> f64 {
    let variance = if period.is_round_trip() || matches!(cell.rate, Rate::Bursts { .. }) {
        0.25
    } else {
        // Each message has a share of the time of its own. Of all in a period only those at its two ends may fall on either
        // side, each with a variance of a sixth.
        let in_period = measured.per_s().unwrap_or_default() * period.most_ms / 1000.0;
        (1.0 / (3.0 * in_period.max(1.0))).min(0.25)
    };
    drawn_ms(period.most_ms, draws(cell, period, measured), variance)
}

/// How many moments within a period are drawn, in all repeats.
fn draws(cell: &Cell, period: &Period, measured: &Measured) -> f64 {
    match cell.rate {
        // All clients are one: each moment at which something is published is one draw.
        _ if period.is_round_trip() => measured.messages / burst(cell) * measured.repeats as f64,
        // Bursts have fixed moments: only each client's own phase is drawn.
        Rate::Bursts { .. } => (cell.subscribers * measured.repeats) as f64,
        Rate::Idle | Rate::Steady { .. } => measured.delivered as f64,
    }
}

/// The slowest; only of a short poll, and where no packets are lost, can that be said.
pub fn longest(cell: &Cell, line: &Line, work: &Work, measured: &Measured) -> Option<Limits> {
    if cell.transport != Transport::Poll || line.is_lossy {
        return None;
    }
    let period = Period::of(cell, line);
    let is_busy = measured.others_share >= OTHERS_CPU_SHARE_MAX;
    let pause_ms = if is_busy { BUSY_PAUSE_MS } else { PAUSE_MS };
    // What is published just after an answer was made waits for the next poll, which may be as slow as that one was fast.
    let page = page(cell, period.most_ms, measured);
    let turn_ms = 2.0 * line.slowest_ms() - line.transit_ms + line.sending_ms * page;
    // Of so many one at least waits for more than half of a period; of few, all may be lucky.
    let is_sure = draws(cell, &period, measured) >= DRAWS_MIN * measured.repeats as f64;
    let waits_ms = if is_sure { period.least_ms / 2.0 } else { 0.0 };
    Some(Limits {
        figure: "latency_max_ms",
        from: waits_ms + line.transit_ms,
        to: period.most_ms + turn_ms,
        tolerance: TOLERANCE_MS + line.timer_ms + work.tolerance_ms() + pause_ms,
        why: format!(
            "{} {}, and one transit",
            if is_sure {
                "over half and up to all of"
            } else {
                "up to all of"
            },
            period.in_words().trim_end_matches(',')
        ),
    })
}
