//! How far apart the short polls of one client are.

use super::line::Line;
use crate::cell::Cell;

/// From one short poll to the next: the interval, or the round trip if that is longer, for a client asks again when it was
/// answered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Period {
    /// The least, in milliseconds.
    pub least_ms: f64,
    /// The most.
    pub most_ms: f64,
    interval_ms: f64,
}

impl Period {
    /// That of a cell.
    pub fn of(cell: &Cell, line: &Line) -> Self {
        let interval_ms = cell.poll_interval_s.unwrap_or_default() * 1000.0;
        Self {
            least_ms: interval_ms.max(2.0 * line.transit_ms),
            most_ms: interval_ms.max(2.0 * line.slowest_ms()),
            interval_ms,
        }
    }

    /// True if the round trip is longer: then clients that began within one interval stay in step, and their polls have nothing
    /// to do with the window in which they are counted.
    pub fn is_round_trip(&self) -> bool {
        self.least_ms > self.interval_ms
    }

    /// What it is, in words.
    pub fn in_words(&self) -> String {
        let interval = self.interval_ms;
        if self.is_round_trip() {
            format!("a round trip, which is longer than the interval of {interval} ms,")
        } else {
            format!("the interval of {interval} ms")
        }
    }
}
