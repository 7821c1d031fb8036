//! What cells must have in common to be compared, and what is chosen between.

use std::cmp::Ordering;

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

    /// The one that the summary shows: not at rest if anything else was measured; with most transports; with the least in
    /// between; the one from which most others differ by one thing; then a rate near ten a second, and few and small.
    pub fn reference(results: &Results) -> Option<Self> {
        let all = Self::all_in(results);
        let rank = |condition: &Self| {
            let neighbours = all
                .iter()
                .filter(|other| condition.differences(other) == 1)
                .count();
            [
                f64::from(u8::from(condition.rate == Rate::Idle)),
                -(condition.transports_covered(results) as f64),
                condition.network.one_way_ms(),
                -(neighbours as f64),
                (condition.rate.per_s().max(0.1) / 10.0).ln().abs(),
                condition.subscribers as f64,
                condition.payload_bytes as f64,
            ]
        };
        let by_rank = |a: &&Self, b: &&Self| {
            let pairs = rank(a).into_iter().zip(rank(b));
            pairs
                .map(|(a, b)| a.total_cmp(&b))
                .fold(Ordering::Equal, Ordering::then)
        };
        all.iter().min_by(by_rank).copied()
    }

    /// In how many things two conditions differ.
    pub fn differences(&self, other: &Self) -> usize {
        let differ = [
            self.protocol != other.protocol,
            self.rate != other.rate,
            self.payload_bytes != other.payload_bytes,
            self.subscribers != other.subscribers,
            self.network != other.network,
        ];
        differ.into_iter().filter(|differs| *differs).count()
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
    pub fn order(&self, other: &Self) -> Ordering {
        let interval_s = |choice: &Self| choice.poll_interval_s.unwrap_or(0.0);
        (self.transport, self.deflate)
            .cmp(&(other.transport, other.deflate))
            .then(interval_s(self).total_cmp(&interval_s(other)))
    }
}

/// A figure of a cell's clients while nothing is published, with the cell that it is of: the cell itself if it is idle, else
/// the idle cell that is nearest to it, of the same choice over the same protocol. What another protocol costs at rest says
/// nothing of this one.
pub fn at_rest<'a>(
    results: &'a Results,
    result: &'a CellResult,
    metric: Metric,
) -> Option<(&'a CellResult, Figure)> {
    let cells = match result.cell.rate {
        Rate::Idle => vec![result],
        Rate::Steady { .. } | Rate::Bursts { .. } => idle_cells(results, &result.cell),
    };
    cells
        .into_iter()
        .find_map(|idle| Some((idle, metric.of(idle)?)))
}

/// The valid idle cells of a cell's choice and protocol, the nearest first.
fn idle_cells<'a>(results: &'a Results, cell: &Cell) -> Vec<&'a CellResult> {
    let is_same = |other: &Cell| {
        other.rate == Rate::Idle
            && other.protocol == cell.protocol
            && Choice::of(other) == Choice::of(cell)
    };
    let mut cells: Vec<&CellResult> = results
        .cells
        .iter()
        .filter(|other| is_same(&other.cell) && other.is_valid())
        .collect();
    let distance = |other: &CellResult| {
        let delay_ms = (other.cell.network.one_way_ms() - cell.network.one_way_ms()).abs();
        let subscribers = (other.cell.subscribers.max(1) as f64 / cell.subscribers.max(1) as f64)
            .ln()
            .abs();
        delay_ms * 100.0 + subscribers
    };
    cells.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
    cells
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{cell, exactly, idle, invalid, results};

    fn with(change: impl Fn(&mut Cell)) -> Vec<CellResult> {
        let mut cells: Vec<CellResult> = Transport::ALL.into_iter().map(cell).collect();
        cells.iter_mut().for_each(|result| change(&mut result.cell));
        cells
    }

    #[test]
    fn the_reference_is_what_most_others_differ_from_by_one_thing() {
        let mut cells = with(|cell| cell.subscribers = 1000);
        cells.extend(with(|cell| cell.protocol = Protocol::Http2Tls));
        cells.extend(with(|_| ()));
        let reference = Condition::reference(&results(cells));
        assert_eq!(reference, Some(Condition::of(&cell(Transport::Sse).cell)));
    }

    #[test]
    fn an_invalid_cell_does_not_make_an_idle_one_the_reference() {
        let mut cells = with(|_| ());
        cells[0] = invalid(cells[0].clone());
        cells.extend(Transport::ALL.map(idle));
        let reference = Condition::reference(&results(cells));
        assert_eq!(
            reference.map(|condition| condition.rate),
            Some(Rate::Steady { per_s: 10.0 })
        );
    }

    #[test]
    fn what_is_at_rest_comes_from_the_nearest_valid_idle_cell() {
        let mut near = idle(Transport::Sse);
        near.cell.subscribers = 10;
        near.figures.idle_bytes_per_hour = exactly(1.0);
        let mut far = near.clone();
        far.cell.subscribers = 1000;
        far.figures.idle_bytes_per_hour = exactly(2.0);
        let measured = |cells: Vec<CellResult>| {
            at_rest(&results(cells), &cell(Transport::Sse), Metric::IdleBytes)
                .map(|(_, figure)| figure.median)
        };
        assert_eq!(measured(vec![far.clone(), near.clone()]), Some(1.0));
        assert_eq!(measured(vec![far.clone(), invalid(near)]), Some(2.0));
        assert_eq!(measured(vec![idle(Transport::Poll)]), None);
        far.cell.protocol = Protocol::Http2Tls;
        assert_eq!(measured(vec![far]), None, "another protocol says nothing");
    }
}
