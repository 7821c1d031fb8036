//! How long a cell is measured, and how long that takes.

use std::time::Duration;

use super::{Depth, Planned};
use crate::cell::{Cell, Network, Protocol, Rate, Transport};
use crate::run::{Timing, attach_at_once};

/// Longer where little happens.
pub fn timing_of(cell: &Cell, depth: Depth, usual: Timing) -> Timing {
    let least_s = match cell.rate {
        // Beats are a second apart in idle cells, see `wire.rs`; polls are apart by their interval. Each is the same, so one of
        // many clients is enough. HTTP/2's pings are 0.8 s apart: four seconds have five of them wherever they begin, and one
        // second would have one or two.
        Rate::Idle => {
            let beats = match (cell.transport, cell.protocol) {
                (
                    Transport::WebSocket | Transport::Sse | Transport::LongPoll,
                    Protocol::Http2Tls,
                ) => 4.0,
                _ if depth == Depth::Full => 2.0,
                _ => 1.0,
            };
            beats * cell.poll_interval_s.unwrap_or(1.0).max(1.0)
        }
        Rate::Steady { per_s } => 2.0 / per_s,
        Rate::Bursts { every_s, .. } => 2.0 * every_s,
    };
    let least = Duration::from_secs_f64(least_s);
    let measure = if cell.rate == Rate::Idle {
        least
    } else {
        usual.measure.max(least)
    };
    // Beats fall into the middle of their seconds, as far as can be from where a window begins and ends: half a second after all
    // attached, and not with the first of them.
    let usual_warm_up = if cell.rate == Rate::Idle && cell.transport != Transport::Poll {
        Duration::from_secs_f64(usual.warm_up.as_secs_f64().floor() + 0.5)
    } else {
        usual.warm_up
    };
    // When it begins to count, what comes in is as much as what goes out: the first messages have arrived, after up to three
    // transits, or lost ones were sent again.
    let warm_up = usual_warm_up.max(Duration::from_secs_f64(4.0 * one_way_s(&cell.network)));
    let usual = Timing { warm_up, ..usual };
    let Some(interval_s) = cell.poll_interval_s else {
        return Timing { measure, ..usual };
    };
    // Whole intervals, so that every client polls equally often, and the first ones after a whole one: before that a poll
    // finds less than it usually would.
    let intervals = (measure.as_secs_f64() / interval_s).ceil();
    Timing {
        warm_up: usual.warm_up.max(Duration::from_secs_f64(
            interval_s + 2.0 * one_way_s(&cell.network),
        )),
        measure: Duration::from_secs_f64(intervals * interval_s),
    }
}

/// How long all of these take, about.
pub fn estimate(cells: &[Planned]) -> Duration {
    let times = cells
        .iter()
        .map(|planned| planned.estimate() * planned.repeats as u32);
    times.sum()
}

impl Planned {
    /// How long a repeat takes, about.
    pub fn estimate(&self) -> Duration {
        /// A process, its certificates read, its first connections.
        const START_S: f64 = 0.03;
        let cell = &self.cell;
        let one_way_s = one_way_s(&cell.network);
        let round_trips = if cell.protocol == Protocol::Http1 {
            3.0
        } else {
            4.0
        };
        let attach_s = match cell.protocol {
            Protocol::Http1 => 0.0003,
            Protocol::Http1Tls | Protocol::Http2Tls => 0.001,
        };
        // A delay begins when all are attached; losses are there from the beginning.
        let trips = match cell.network {
            Network::Loopback | Network::Delay { .. } => 0.0,
            Network::Loss { .. } => {
                let at_once = attach_at_once(&cell.network);
                cell.subscribers.div_ceil(at_once) as f64 * round_trips
            }
        };
        let attaching = attach_s * cell.subscribers as f64 + trips * 2.0 * one_way_s;
        let idle = cell.rate == Rate::Idle;
        let waiting = if idle {
            0.0
        } else {
            cell.poll_interval_s.unwrap_or_default() + 3.0 * one_way_s
        };
        // One round trip less than to attach, for each of both: nothing is subscribed to beforehand.
        let starts = 2.0 * (round_trips - 1.0) * 2.0 * one_way_s + 0.02;
        let rest = Duration::from_secs_f64(START_S + attaching + waiting + starts);
        self.timing.warm_up + self.timing.measure + rest
    }
}

/// What one way takes at most; with losses, about.
fn one_way_s(network: &Network) -> f64 {
    match *network {
        Network::Loopback => 0.0,
        Network::Delay {
            one_way_ms,
            jitter_ms,
            ..
        } => (one_way_ms + jitter_ms) / 1000.0,
        Network::Loss { one_way_ms, .. } => one_way_ms / 1000.0 * 2.0,
    }
}
