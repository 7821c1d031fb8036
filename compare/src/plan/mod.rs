//! Which cells are measured, how long and how often.

mod axes;
mod choice;
mod selection;
mod timing;

use std::time::Duration;

use crate::cell::{Cell, Protocol, Rate, Transport};
use crate::run::Timing;

use axes::Axes;
use selection::{base_cells, quick_once, quick_twice, usual_cells, usual_twice};
use timing::timing_of;

pub use choice::Choice;
pub use timing::estimate;

/// How thorough a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// In 30 seconds.
    Quick,
    /// In three minutes.
    Usual,
    /// All that is varied.
    Full,
}

/// A cell with its place in the plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// What is varied.
    pub cell: Cell,
    /// How long a repeat takes.
    pub timing: Timing,
    /// How often it is measured.
    pub repeats: usize,
}

/// All cells, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The cells.
    pub cells: Vec<Planned>,
    /// How long a repeat usually takes; slow cells take longer.
    pub timing: Timing,
    /// How often most cells are measured.
    pub repeats: usize,
}

/// How long a quick look measures what it measures once: 20 messages at 10/s, the fewest that a p99 is told of.
const QUICK_ONCE: Duration = Duration::from_secs(2);

impl Plan {
    /// The cells for a depth and a choice.
    pub fn new(depth: Depth, choice: &Choice) -> Self {
        let (repeats, warm_up_ms, measure_ms) = match depth {
            Depth::Quick => (2, 150, 500),
            Depth::Usual => (3, 300, 1000),
            Depth::Full => (5, 1000, 5000),
        };
        let timing = Timing {
            warm_up: Duration::from_millis(warm_up_ms),
            measure: Duration::from_millis(measure_ms),
        };
        let for_so_long = |cells: Vec<Cell>, repeats: usize, measure: Duration| {
            let timing = Timing { measure, ..timing };
            let planned = cells.into_iter().map(move |cell| Planned {
                timing: timing_of(&cell, depth, timing),
                repeats: repeats_of(&cell, depth, repeats),
                cell,
            });
            planned.collect::<Vec<_>>()
        };
        let planned = |cells, repeats| for_so_long(cells, repeats, timing.measure);
        let mut cells = match depth {
            Depth::Full => planned(Axes::full().with(choice).cells(), repeats),
            _ if choice.is_matrix() => planned(Axes::base().with(choice).cells(), repeats),
            Depth::Quick => [
                planned(quick_twice(), repeats),
                for_so_long(quick_once(), 1, QUICK_ONCE),
            ]
            .concat(),
            Depth::Usual => [
                planned(base_cells(), repeats),
                planned(usual_cells(), repeats),
                planned(usual_twice(), 2),
            ]
            .concat(),
        };
        let transports = choice.transports();
        cells.retain(|planned| {
            transports.is_empty() || transports.contains(&planned.cell.transport)
        });
        Self {
            cells,
            timing,
            repeats,
        }
    }
}

impl Plan {
    /// The same for a gateway that is reached with TLS only: what would go over HTTP/1.1 without it goes over HTTP/2, as
    /// browsers do, unless that is there already.
    pub fn over_tls(mut self) -> Self {
        let mut cells: Vec<Planned> = Vec::new();
        for mut planned in self.cells {
            if planned.cell.protocol == Protocol::Http1 {
                planned.cell.protocol = Protocol::Http2Tls;
            }
            if cells.iter().all(|other| other.cell != planned.cell) {
                cells.push(planned);
            }
        }
        self.cells = cells;
        self
    }
}

/// What is counted while nothing happens is the same each time; and what a short poll takes is its interval's doing, so a
/// quick look takes the time for something else.
fn repeats_of(cell: &Cell, depth: Depth, usual: usize) -> usize {
    match (depth, cell.rate, cell.transport) {
        (Depth::Full, Rate::Idle, _) => 2,
        (_, Rate::Idle, _) | (Depth::Quick, _, Transport::Poll) => 1,
        _ => usual,
    }
}

#[cfg(test)]
mod tests;
