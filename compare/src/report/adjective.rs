//! The table of adjectives that guides to these transports use, with what was measured beside each.

use crate::cell::Transport;
use crate::condition::{Condition, at_rest};
use crate::metric::Metric;
use crate::results::{CellResult, Results};
use crate::text;
use crate::verdict::case::{IDLE_BYTES_MIN, MEMORY_KIB_MIN, REQUESTS_MIN, TINY};

/// How a word comes about, for whoever reads the table.
pub const RULE: &str = "First what guides say, then what was measured. Each figure is divided by the least of the four; the largest \
     of a transport's ratios decides: low is at most 2, medium at most 10, high is more. A figure that one transport alone has \
     decides nothing. Fewer than 0.05 requests for a message, \
     1 kB an hour and 1 KiB of memory count as that much.";

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
    /// How often a client has to ask.
    Requests,
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
    /// By the largest ratio, as [`RULE`] says; absent if no figure has another beside it.
    pub adjective: Option<Adjective>,
    /// The figures.
    pub figures: Vec<Compared>,
    /// What others have and this has not: it may be worse than its word.
    pub missing: Vec<Metric>,
}

/// A figure beside those of the others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Compared {
    /// Which.
    pub metric: Metric,
    /// The median.
    pub value: f64,
    /// Divided by the least of the four, neither below the floor; absent if no other transport has this figure.
    pub ratio: Option<f64>,
}

impl Compared {
    /// The figure with its ratio: `80.0 µs (1.10 ×)`.
    pub fn in_words(&self) -> String {
        let value = text::with_unit(self.metric, self.value);
        match self.ratio {
            Some(ratio) => format!("{value} ({} ×)", text::number(ratio)),
            None => format!("{value} (nothing to compare with)"),
        }
    }
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

    /// By the ratio as it is printed, or 2.00 would be low here and medium there.
    fn of_ratio(ratio: f64) -> Self {
        match ratio {
            r if r < 2.005 => Self::Low,
            r if r < 10.05 => Self::Medium,
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
        Self::Requests,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Traffic => "traffic",
            Self::ServerLoad => "server load",
            Self::Requests => "requests",
        }
    }

    /// What is judged. Without the first there is no word.
    fn metrics(self) -> &'static [Metric] {
        match self {
            Self::Latency => &[Metric::P50, Metric::P99],
            Self::Traffic => &[Metric::Bytes, Metric::IdleBytes],
            Self::ServerLoad => &[Metric::Cpu, Metric::Memory],
            Self::Requests => &[Metric::Requests],
        }
    }

    /// What guides usually say.
    fn said(self, transport: Transport) -> Adjective {
        use Adjective::{High, Low, Medium};
        let [latency, traffic, load, requests] = match transport {
            Transport::WebSocket | Transport::Sse => [Low, Low, Medium, Low],
            Transport::LongPoll => [Medium, Medium, High, Medium],
            Transport::Poll => [High, High, High, High],
        };
        match self {
            Self::Latency => latency,
            Self::Traffic => traffic,
            Self::ServerLoad => load,
            Self::Requests => requests,
        }
    }
}

/// The judgement on each transport, in the order of [`Transport::ALL`], from the cells of one condition. Of several
/// settings the plain one counts, and of several intervals the one nearest to a second.
pub fn judgements(results: &Results, condition: &Condition, aspect: Aspect) -> [Judgement; 4] {
    let own = Transport::ALL.map(|transport| figures(results, condition, transport, aspect));
    let least = |metric: Metric| {
        let values = own.iter().flatten().filter(|(other, _)| *other == metric);
        let values: Vec<f64> = values.map(|(_, value)| value.max(floor(metric))).collect();
        let least = values.iter().copied().min_by(f64::total_cmp)?;
        Some(Least {
            metric,
            // Alone it would be the least of all, whatever it is.
            value: (values.len() > 1).then_some(least),
        })
    };
    let all: Vec<Least> = aspect.metrics().iter().copied().filter_map(least).collect();
    let mut own = own.iter();
    Transport::ALL.map(|transport| Judgement {
        transport,
        said: aspect.said(transport),
        measured: own.next().and_then(|own| measured(own, &all)),
    })
}

/// The least figure of all transports.
#[derive(Debug, Clone, Copy)]
struct Least {
    metric: Metric,
    /// Absent if one transport alone has it.
    value: Option<f64>,
}

/// The word for the figures of one transport beside the least of all.
fn measured(own: &[(Metric, f64)], all: &[Least]) -> Option<Measured> {
    let mut figures = Vec::new();
    let mut missing = Vec::new();
    for &Least {
        metric,
        value: least,
    } in all
    {
        match own.iter().find(|(other, _)| *other == metric) {
            Some(&(_, value)) => figures.push(Compared {
                metric,
                value,
                ratio: least.map(|least| value.max(floor(metric)) / least),
            }),
            None => missing.push(metric),
        }
    }
    let ratios = figures.iter().filter_map(|figure| figure.ratio);
    let worst = ratios.max_by(f64::total_cmp);
    (!figures.is_empty()).then(|| Measured {
        adjective: worst.map(Adjective::of_ratio),
        figures,
        missing,
    })
}

/// What is smaller counts as this, so that nothing is divided by nothing.
fn floor(metric: Metric) -> f64 {
    match metric {
        Metric::Requests => REQUESTS_MIN,
        Metric::Memory => MEMORY_KIB_MIN,
        Metric::IdleBytes => IDLE_BYTES_MIN,
        _ => TINY,
    }
}

/// The figures of an aspect; none without the first.
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

fn figure(results: &Results, cell: &CellResult, metric: Metric) -> Option<f64> {
    let figure = match metric {
        Metric::IdleBytes => at_rest(results, cell, metric).map(|(_, figure)| figure),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_that_reads_as_a_limit_is_within_it() {
        let words = [2.004, 2.006, 10.04, 10.06].map(Adjective::of_ratio);
        assert_eq!(
            words,
            [
                Adjective::Low,
                Adjective::Medium,
                Adjective::Medium,
                Adjective::High
            ]
        );
    }
}
