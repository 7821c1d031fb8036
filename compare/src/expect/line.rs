//! What the network adds to each way of a message.

use crate::cell::{Cell, Network};

/// The proxy's timers are good to this, and always late.
const TIMER_MS: f64 = 1.0;
/// Around a payload: envelope, heads, frames.
const AROUND_BYTES: f64 = 200.0;

/// A line between a client and the gateway.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// The least that a byte takes in one way, in milliseconds.
    pub transit_ms: f64,
    /// What may come on top, drawn at random for each piece.
    pub jitter_ms: f64,
    /// How late the proxy's timers may be, in each way.
    pub timer_ms: f64,
    /// What the message's own bytes take on a slow line.
    pub sending_ms: f64,
    /// True if packets are lost, which makes some messages wait for TCP.
    pub is_lossy: bool,
    bits_per_s: Option<f64>,
}

impl Line {
    /// That of a cell.
    pub fn of(cell: &Cell) -> Self {
        let line = match cell.network {
            Network::Loopback => Self::near(),
            Network::Delay {
                one_way_ms,
                jitter_ms,
                bits_per_s,
            } => Self {
                transit_ms: one_way_ms,
                jitter_ms,
                timer_ms: TIMER_MS,
                bits_per_s,
                ..Self::near()
            },
            Network::Loss { one_way_ms, .. } => Self {
                transit_ms: one_way_ms,
                is_lossy: true,
                ..Self::near()
            },
        };
        Self {
            sending_ms: line.sending_ms(cell.payload_bytes as f64 + AROUND_BYTES),
            ..line
        }
    }

    /// One that takes no time.
    fn near() -> Self {
        Self {
            transit_ms: 0.0,
            jitter_ms: 0.0,
            timer_ms: 0.0,
            sending_ms: 0.0,
            is_lossy: false,
            bits_per_s: None,
        }
    }

    /// What so many bytes take on a slow line.
    pub fn sending_ms(&self, bytes: f64) -> f64 {
        self.bits_per_s
            .map_or(0.0, |rate| bytes * 8.0 / rate * 1000.0)
    }

    /// What one way takes in the middle of all draws: less only if more than half of them are lucky.
    pub fn usual_ms(&self) -> f64 {
        self.transit_ms + self.jitter_ms / 2.0
    }

    /// The most that one way takes. What comes in several pieces is there with the slowest of them.
    pub fn slowest_ms(&self) -> f64 {
        self.transit_ms + self.jitter_ms + self.timer_ms + self.sending_ms
    }
}
