//! What a client costs while nothing is published.

use super::line::Line;
use super::period::Period;
use super::{BEAT_S, COUNT_TOLERANCE, Limits, Measured};
use crate::cell::{Cell, Protocol, Rate, Transport};
use crate::meter::PAUSE;

/// The pause between two pings of HTTP/2.
const HTTP2_PING_S: f64 = 20.0;
/// `event: ping`, `data: {}` and an empty line, in a chunk with its size and two line ends.
const EVENT_BYTES: f64 = 12.0 + 9.0 + 1.0 + 2.0 + 2.0 + 2.0;

/// How often the network wakes up.
pub fn wakeups(cell: &Cell, line: &Line, measured: &Measured) -> Option<Limits> {
    if cell.rate != Rate::Idle {
        return None;
    }
    let (from, to, why) = match cell.transport {
        Transport::Poll => polls(cell, line)?,
        _ => (
            60.0 / BEAT_S,
            60.0 / BEAT_S,
            "one for each heartbeat, or for each long poll that ran out of time, every 25 s",
        ),
    };
    // Over HTTP/2 the connection's own pings come on top.
    let pings = if cell.protocol == Protocol::Http2Tls {
        60.0 / HTTP2_PING_S
    } else {
        0.0
    };
    Some(Limits {
        figure: "wakeups_per_minute",
        from,
        to: to + pings,
        tolerance: to * tolerance(cell, measured),
        why: why.to_owned(),
    })
}

/// One for each poll, and one for its answer if that comes after a pause.
fn polls(cell: &Cell, line: &Line) -> Option<(f64, f64, &'static str)> {
    let pause_ms = PAUSE.as_secs_f64() * 1000.0;
    let period = Period::of(cell, line);
    let in_a_minute = |trip_ms: f64, period_ms: f64| {
        let pauses = [trip_ms, period_ms - trip_ms];
        let wakeups = pauses
            .into_iter()
            .filter(|pause| *pause >= pause_ms)
            .count();
        wakeups as f64 * 60_000.0 / period_ms
    };
    let fast = in_a_minute(2.0 * line.transit_ms, period.least_ms);
    let slow = in_a_minute(2.0 * line.slowest_ms(), period.most_ms);
    let why = "one for each poll, and one for its answer if that takes 100 ms";
    (fast > 0.0 && slow > 0.0).then(|| (fast.min(slow), fast.max(slow), why))
}

/// The window of a client may begin just before a beat, or end just after one: of many clients that evens out.
fn tolerance(cell: &Cell, measured: &Measured) -> f64 {
    // Beats are a second apart, see `wire.rs`, and so are most polls.
    let beats = measured.measure.as_secs_f64() * cell.subscribers as f64;
    COUNT_TOLERANCE + 1.0 / beats.max(1.0)
}

/// Where the bytes of a beat are known: a ping of 2 bytes and a masked pong of 6 (RFC 6455), or an event in a chunk.
pub fn bytes(cell: &Cell, measured: &Measured) -> Option<Limits> {
    if cell.protocol != Protocol::Http1 {
        return None;
    }
    let (beat, why) = match cell.transport {
        Transport::WebSocket => (2.0 + 6.0, "a ping of 2 bytes and a pong of 6, every 25 s"),
        Transport::Sse => (EVENT_BYTES, "a ping event in a chunk, every 25 s"),
        Transport::LongPoll | Transport::Poll => return None,
    };
    let each = beat * 3600.0 / BEAT_S;
    Some(Limits {
        figure: "idle_bytes_per_hour",
        from: each,
        to: each,
        tolerance: each * tolerance(cell, measured),
        why: why.to_owned(),
    })
}
