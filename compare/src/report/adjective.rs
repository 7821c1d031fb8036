//! The table of adjectives that guides to these transports use, with what was measured beside each.

use crate::cell::Transport;
use crate::condition::{Condition, at_rest};
use crate::metric::Metric;
use crate::results::{CellResult, Results};

/// A word of the guides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Adjective {
    /// Good.
    Low,
    /// Neither.
    Medium,
    /// Bad.
    High,
}

/// What the guides judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aspect {
    /// How long a message takes.
    Latency,
    /// What goes over the wire.
    Traffic,
    /// What it costs the server.
    ServerLoad,
    /// What a client has to do.
    ClientComplexity,
}

/// What a guide says beside what was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// Of which transport.
    pub transport: Transport,
    /// What guides say.
    pub said: Adjective,
    /// What the figures say; absent if the cell is missing or invalid.
    pub measured: Option<Measured>,
}

/// What the figures say.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// At most twice the least of the four is low, at most ten times is medium, more is high.
    pub adjective: Adjective,
    /// The figures, the one that decides first.
    pub figures: Vec<(Metric, f64)>,
}

impl Adjective {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }

    fn of_ratio(ratio: f64) -> Self {
        match ratio {
            r if r <= 2.0 => Self::Low,
            r if r <= 10.0 => Self::Medium,
            _ => Self::High,
        }
    }
}

impl Aspect {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 4] = [
        Self::Latency,
        Self::Traffic,
        Self::ServerLoad,
        Self::ClientComplexity,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Traffic => "traffic",
            Self::ServerLoad => "server load",
            Self::ClientComplexity => "client complexity",
        }
    }

    /// The figure that decides, then those that are said too.
    fn metrics(self) -> &'static [Metric] {
        match self {
            Self::Latency => &[Metric::P50, Metric::P99],
            Self::Traffic => &[Metric::Bytes, Metric::IdleBytes],
            Self::ServerLoad => &[Metric::Cpu, Metric::Memory],
            Self::ClientComplexity => &[Metric::Requests, Metric::Connections],
        }
    }

    /// What guides usually say.
    fn said(self, transport: Transport) -> Adjective {
        use Adjective::{High, Low, Medium};
        let [latency, traffic, load, complexity] = match transport {
            Transport::WebSocket => [Low, Low, Medium, High],
            Transport::Sse => [Low, Low, Medium, Low],
            Transport::LongPoll => [Medium, Medium, High, Medium],
            Transport::Poll => [High, High, High, Low],
        };
        match self {
            Self::Latency => latency,
            Self::Traffic => traffic,
            Self::ServerLoad => load,
            Self::ClientComplexity => complexity,
        }
    }
}

/// The judgement on each transport, in the order of [`Transport::ALL`], from the cells of one condition. Of several
/// settings the plain one counts, and of several intervals the one nearest to a second.
pub fn judgements(results: &Results, condition: &Condition, aspect: Aspect) -> [Judgement; 4] {
    let figures = Transport::ALL.map(|transport| figures(results, condition, transport, aspect));
    let decisive = figures.iter().filter_map(|figures| figures.first());
    let least = decisive
        .map(|(_, value)| *value)
        .fold(f64::INFINITY, f64::min);
    let mut figures = figures.into_iter();
    Transport::ALL.map(|transport| {
        let own = figures.next().unwrap_or_default();
        let deciding = own.first().map(|(_, value)| *value);
        Judgement {
            transport,
            said: aspect.said(transport),
            measured: deciding.map(|value| Measured {
                adjective: Adjective::of_ratio(ratio(value, least)),
                figures: own,
            }),
        }
    })
}

/// The figures of an aspect; none without the one that decides.
fn figures(
    results: &Results,
    condition: &Condition,
    transport: Transport,
    aspect: Aspect,
) -> Vec<(Metric, f64)> {
    let Some(cell) = typical(&condition.cells(results), transport) else {
        return Vec::new();
    };
    let metrics = aspect.metrics().iter();
    let figures: Vec<(Metric, f64)> = metrics
        .filter_map(|&metric| Some((metric, figure(results, cell, metric)?)))
        .collect();
    match figures.first() {
        Some((metric, _)) if *metric == aspect.metrics()[0] => figures,
        _ => Vec::new(),
    }
}

fn ratio(value: f64, least: f64) -> f64 {
    if value == least { 1.0 } else { value / least }
}

fn figure(results: &Results, cell: &CellResult, metric: Metric) -> Option<f64> {
    let figure = match metric {
        Metric::IdleBytes => at_rest(results, cell, metric),
        _ => metric.of(cell),
    };
    figure.map(|figure| figure.median)
}

fn typical<'a>(cells: &[&'a CellResult], transport: Transport) -> Option<&'a CellResult> {
    let distance = |cell: &CellResult| {
        let interval = cell
            .cell
            .poll_interval_s
            .map_or(0.0, |interval_s| interval_s.ln().abs());
        interval + f64::from(u8::from(cell.cell.deflate)) * 100.0
    };
    let own = cells
        .iter()
        .filter(|cell| cell.cell.transport == transport && cell.is_valid());
    own.min_by(|a, b| distance(a).total_cmp(&distance(b)))
        .copied()
}
