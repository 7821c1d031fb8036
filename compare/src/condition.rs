//! What cells must have in common to be compared, and what is chosen between.

use crate::cell::{Cell, Network, Protocol, Rate, Transport};
use crate::metric::Metric;
use crate::results::{CellResult, Figure, Results};

/// All of a cell but what is chosen: cells of one condition did the same work.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Condition {
    /// What carries the transports.
    pub protocol: Protocol,
    /// How often a message is published.
    pub rate: Rate,
    /// Bytes of a message's payload.
    pub payload_bytes: usize,
    /// Clients that receive the channel.
    pub subscribers: usize,
    /// What lies between clients and gateway.
    pub network: Network,
}

/// A transport with its own settings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// The transport.
    pub transport: Transport,
    /// Seconds between two short polls.
    pub poll_interval_s: Option<f64>,
    /// Whether a WebSocket asks for permessage-deflate.
    pub deflate: bool,
}

impl Transport {
    /// All of them, in the order of the tables.
    pub const ALL: [Self; 4] = [Self::WebSocket, Self::Sse, Self::LongPoll, Self::Poll];

    /// Whether a client sends over the connection that it receives by.
    pub fn sends(self) -> bool {
        self == Self::WebSocket
    }
}

impl Rate {
    /// Messages in a second, on average.
    pub fn per_s(&self) -> f64 {
        match *self {
            Self::Idle => 0.0,
            Self::Steady { per_s } => per_s,
            Self::Bursts { size, every_s } => size as f64 / every_s,
        }
    }
}

impl Network {
    /// Milliseconds each way that are added on purpose.
    pub fn one_way_ms(&self) -> f64 {
        match *self {
            Self::Loopback => 0.0,
            Self::Delay { one_way_ms, .. } | Self::Loss { one_way_ms, .. } => one_way_ms,
        }
    }
}

impl Condition {
    /// That of a cell.
    pub fn of(cell: &Cell) -> Self {
        Self {
            protocol: cell.protocol,
            rate: cell.rate,
            payload_bytes: cell.payload_bytes,
            subscribers: cell.subscribers,
            network: cell.network,
        }
    }

    /// Each that a run has cells of, in the order of the plan.
    pub fn all_in(results: &Results) -> Vec<Self> {
        let mut all = Vec::new();
        for result in &results.cells {
            let condition = Self::of(&result.cell);
            if !all.contains(&condition) {
                all.push(condition);
            }
        }
        all
    }

    /// Its cells, transport by transport.
    pub fn cells<'a>(&self, results: &'a Results) -> Vec<&'a CellResult> {
        let mut cells: Vec<&CellResult> = results
            .cells
            .iter()
            .filter(|result| Self::of(&result.cell) == *self)
            .collect();
        cells.sort_by(|a, b| Choice::of(&a.cell).order(&Choice::of(&b.cell)));
        cells
    }

    /// How many transports have a cell here that may be used.
    pub fn transports_covered(&self, results: &Results) -> usize {
        let cells = self.cells(results);
        let has = |transport| {
            cells
                .iter()
                .any(|result| result.cell.transport == transport && result.is_valid())
        };
        Transport::ALL.into_iter().filter(|&t| has(t)).count()
    }

    /// The one that the summary shows: most transports first, then an even rate near ten a second, no network in between,
    /// few subscribers, small messages and the plainest protocol.
    pub fn reference(results: &Results) -> Option<Self> {
        Self::all_in(results).into_iter().min_by(|a, b| {
            a.reference_rank(results)
                .total_cmp(&b.reference_rank(results))
        })
    }

    fn reference_rank(&self, results: &Results) -> f64 {
        let uncovered = (4 - self.transports_covered(results)) as f64;
        let rate = match self.rate {
            Rate::Steady { per_s } => (per_s / 10.0).ln().abs().min(9.0),
            Rate::Bursts { .. } => 10.0,
            // At rest there is nothing to compare but the rest: only if there is nothing else.
            Rate::Idle => 1e4,
        };
        let protocol = self.protocol as u8 as f64;
        let size =
            (self.subscribers.max(1) as f64).ln() + (self.payload_bytes.max(1) as f64).ln() / 10.0;
        uncovered * 1e4
            + rate * 100.0
            + self.network.one_way_ms().min(500.0)
            + size
            + protocol * 0.01
    }
}

impl Choice {
    /// That of a cell.
    pub fn of(cell: &Cell) -> Self {
        Self {
            transport: cell.transport,
            poll_interval_s: cell.poll_interval_s,
            deflate: cell.deflate,
        }
    }

    /// Transport by transport, the plain setting and the short interval first.
    pub fn order(&self, other: &Self) -> std::cmp::Ordering {
        let interval_s = |choice: &Self| choice.poll_interval_s.unwrap_or(0.0);
        (self.transport, self.deflate)
            .cmp(&(other.transport, other.deflate))
            .then(interval_s(self).total_cmp(&interval_s(other)))
    }
}

/// A figure of a cell's clients while nothing is published: the cell's own, else that of the idle cell that is nearest to
/// it, of the same choice.
pub fn at_rest(results: &Results, result: &CellResult, metric: Metric) -> Option<Figure> {
    let own = match (result.cell.rate, metric) {
        (Rate::Idle, _) | (_, Metric::IdleBytes) => metric.of(result),
        _ => None,
    };
    own.or_else(|| {
        idle_cells(results, &result.cell)
            .into_iter()
            .find_map(|idle| metric.of(idle))
    })
}

/// The valid idle cells of a cell's choice, the nearest first.
fn idle_cells<'a>(results: &'a Results, cell: &Cell) -> Vec<&'a CellResult> {
    let mut cells: Vec<&CellResult> = results
        .cells
        .iter()
        .filter(|other| {
            other.cell.rate == Rate::Idle && Choice::of(&other.cell) == Choice::of(cell)
        })
        .filter(|other| other.is_valid())
        .collect();
    let distance = |other: &CellResult| {
        let protocol = f64::from(u8::from(other.cell.protocol != cell.protocol));
        let delay_ms = (other.cell.network.one_way_ms() - cell.network.one_way_ms()).abs();
        let subscribers = (other.cell.subscribers.max(1) as f64 / cell.subscribers.max(1) as f64)
            .ln()
            .abs();
        protocol * 1e6 + delay_ms * 100.0 + subscribers
    };
    cells.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
    cells
}
