//! How long the two sides work for a message to all subscribers: the one in the middle waits for half of that.

use super::Measured;
use crate::cell::{Cell, Rate};
use crate::results::{Figure, Figures};

/// Caches that are cold, and messages that are slower than the others: the median is not the mean.
const WORK_TOLERANCE: f64 = 0.25;
/// Above this share of a core the length of a queue cannot be told.
const BUSY_MAX: f64 = 0.9;

/// The work of one message, in milliseconds, as it was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Work {
    server_ms: f64,
    load_ms: f64,
    /// Share of its core that the busier side uses.
    busy: f64,
    /// Messages that are published at once.
    burst: f64,
}

impl Work {
    /// What the figures say of the work.
    pub fn of(cell: &Cell, figures: &Figures, measured: &Measured) -> Self {
        let median = |figure: Option<Figure>| figure.map_or(0.0, |figure| figure.median);
        let server_us = median(figures.server_cpu_us_per_message);
        let per_s = measured.per_s();
        let load_ms = per_s.map_or(0.0, |per_s| median(figures.load_cpu_share) * 1000.0 / per_s);
        let server_ms = server_us * cell.subscribers as f64 / 1000.0;
        let busy = per_s.map_or(0.0, |per_s| server_ms.max(load_ms) * per_s / 1000.0);
        Self {
            server_ms,
            load_ms,
            busy: busy.min(BUSY_MAX),
            burst: burst(cell),
        }
    }

    /// The most that a subscriber in the middle waits while others are served: if the load begins when the gateway is done, with
    /// the messages of a burst, and behind those that came just before. The least is nothing: part of the work may be
    /// that of something else, and part of it comes after the message.
    pub fn waiting_ms(&self) -> f64 {
        let both_ms = self.server_ms + self.load_ms;
        let queue_ms = both_ms * self.busy / (2.0 * (1.0 - self.busy));
        both_ms * self.burst / 2.0 + queue_ms
    }

    /// What a real machine may need on top.
    pub fn tolerance_ms(&self) -> f64 {
        self.waiting_ms() * WORK_TOLERANCE
    }
}

/// Messages that a burst sends at once; 1 for a steady rate.
pub fn burst(cell: &Cell) -> f64 {
    match cell.rate {
        Rate::Bursts { size, .. } => size as f64,
        Rate::Idle | Rate::Steady { .. } => 1.0,
    }
}
