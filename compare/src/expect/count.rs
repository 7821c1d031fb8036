//! What is counted for each message.

use super::line::Line;
use super::period::Period;
use super::work::{Work, burst};
use super::{BEAT_S, COUNT_TOLERANCE, Limits, Measured};
use crate::cell::{Cell, Transport};

/// Bytes of payload.
pub fn payload(cell: &Cell) -> Limits {
    let bytes = cell.payload_bytes as f64;
    // A compressed payload is smaller, by how much depends on what it says.
    let from = if cell.deflate { 0.0 } else { bytes };
    Limits {
        figure: "bytes.down.payload",
        from,
        to: bytes,
        tolerance: 0.0,
        why: "each message brings its payload once".to_owned(),
    }
}

/// Requests.
pub fn requests(cell: &Cell, line: &Line, work: &Work, measured: &Measured) -> Option<Limits> {
    let per_s = measured.per_s()?;
    let (from, to, share, why) = match cell.transport {
        Transport::WebSocket | Transport::Sse => (0.0, 0.0, 0.0, "none after the first"),
        Transport::LongPoll => {
            // What is published while the poll is away comes with the next answer.
            let away_ms = 2.0 * (line.slowest_ms() + work.waiting_ms());
            let from = 1.0 / (1.0 + per_s * away_ms / 1000.0).max(burst(cell));
            let why = "one for each message, fewer where several wait for the next poll";
            (from, 1.0 + 1.0 / (per_s * BEAT_S), COUNT_TOLERANCE, why)
        }
        Transport::Poll => {
            let period = Period::of(cell, line);
            let polls = |period_ms: f64| 1000.0 / period_ms / per_s;
            let why = "polls in a second for messages in a second";
            let share = COUNT_TOLERANCE + cut_share(cell, &period, measured);
            (polls(period.most_ms), polls(period.least_ms), share, why)
        }
    };
    Some(Limits {
        figure: "requests_per_message",
        from,
        to,
        tolerance: to * share,
        why: why.to_owned(),
    })
}

/// How much one poll that the window cuts off or lets in is among those that it counts; and one message, if polls are in step
/// with each other and not with the window.
fn cut_share(cell: &Cell, period: &Period, measured: &Measured) -> f64 {
    let polls = measured.measure.as_secs_f64() * 1000.0 / period.most_ms;
    if period.is_round_trip() {
        1.0 / polls + 1.0 / measured.messages
    } else {
        1.0 / (polls * cell.subscribers as f64)
    }
}

/// Connections: those of all the time, for each message that counts.
pub fn connections(measured: &Measured) -> Option<Limits> {
    measured.per_s()?;
    let each = 1.0 / measured.messages;
    Some(Limits {
        figure: "connections_per_message",
        from: each,
        to: each,
        tolerance: 0.0,
        why: "one connection for each client in all the time".to_owned(),
    })
}
