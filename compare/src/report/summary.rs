//! The summary: one condition, a row for each transport; the least of each column is marked, and what is level with it.

use crate::condition::{Choice, Condition, at_rest};
use crate::level::Level;
use crate::metric::Metric;
use crate::results::{CellResult, Figure, Results};

/// What the marks of the table mean.
pub const MARKED: &str = "the least of each column, and what is level with it: within 10 %, or with a spread that meets that of the \
     least, so that this run does not tell them apart";

/// The columns of the summary. What was measured of nobody is left out.
pub const COLUMNS: [Metric; 11] = [
    Metric::P50,
    Metric::P99,
    Metric::P999,
    Metric::BytesDown,
    Metric::BytesUp,
    Metric::Handshake,
    Metric::Requests,
    Metric::IdleBytes,
    Metric::WakeUps,
    Metric::Cpu,
    Metric::Memory,
];

/// A table of figures.
#[derive(Debug, Clone)]
pub struct Summary<'a> {
    /// Under which condition.
    pub condition: Condition,
    /// The columns in which something was measured.
    pub columns: Vec<Metric>,
    /// The rows, in the order of the transports.
    pub rows: Vec<Row<'a>>,
}

/// A row.
#[derive(Debug, Clone)]
pub struct Row<'a> {
    /// What was measured.
    pub choice: Choice,
    /// The cell.
    pub cell: &'a CellResult,
    /// A figure for each column.
    pub figures: Vec<Option<Ranked>>,
    results: &'a Results,
}

impl Row<'_> {
    /// Any figure of its cell; what is measured at rest, at rest.
    pub fn figure(&self, metric: Metric) -> Option<Figure> {
        figure(self.results, self.cell, metric)
    }
}

/// A figure that may be the least of its column.
#[derive(Debug, Clone, Copy)]
pub struct Ranked {
    /// The figure.
    pub figure: Figure,
    /// Whether it is the least of the valid rows, or level with that. Never so in an invalid row, nor where only one has it.
    pub is_best: bool,
}

impl Summary<'_> {
    /// Who has the least of something among the valid rows, and who is level with that, each with how much; nothing if there
    /// are not two to compare.
    pub fn best(&self, metric: Metric) -> Option<Vec<(Choice, f64)>> {
        let valid = self.rows.iter().filter(|row| row.cell.is_valid());
        let figures: Vec<(Choice, Figure)> = valid
            .filter_map(|row| Some((row.choice, row.figure(metric)?)))
            .collect();
        let least = least(figures.iter().map(|(_, figure)| *figure))?;
        let mut best: Vec<(Choice, f64)> = figures
            .iter()
            .filter(|(_, figure)| Level::of(&least, figure).is_level())
            .map(|(choice, figure)| (*choice, figure.median))
            .collect();
        best.sort_by(|a, b| a.1.total_cmp(&b.1));
        (figures.len() > 1).then_some(best)
    }
}

fn least(figures: impl Iterator<Item = Figure>) -> Option<Figure> {
    figures.min_by(|a, b| a.median.total_cmp(&b.median))
}

/// The summary of a run; absent if it has no cells.
pub fn summary(results: &Results) -> Option<Summary<'_>> {
    let condition = Condition::reference(results)?;
    let cells = condition.cells(results);
    let figure = |cell, metric| figure(results, cell, metric);
    let is_measured = |metric: &Metric| cells.iter().any(|cell| figure(cell, *metric).is_some());
    let columns: Vec<Metric> = COLUMNS.into_iter().filter(is_measured).collect();
    let least: Vec<Option<Figure>> = columns
        .iter()
        .map(|&metric| {
            let valid = cells.iter().filter(|cell| cell.is_valid());
            let valid: Vec<Figure> = valid.filter_map(|cell| figure(cell, metric)).collect();
            // One alone is the least, whatever it is.
            least(valid.iter().copied()).filter(|_| valid.len() > 1)
        })
        .collect();
    let rows = cells
        .iter()
        .map(|&cell| Row {
            choice: Choice::of(&cell.cell),
            cell,
            results,
            figures: columns
                .iter()
                .zip(&least)
                .map(|(&metric, least)| {
                    let figure = figure(cell, metric)?;
                    let is_level = |least| Level::of(least, &figure).is_level();
                    let is_best = cell.is_valid() && least.as_ref().is_some_and(is_level);
                    Some(Ranked { figure, is_best })
                })
                .collect(),
        })
        .collect();
    Some(Summary {
        condition,
        columns,
        rows,
    })
}

/// What is measured at rest is that of an idle cell or nothing: under load it would be something else.
fn figure(results: &Results, cell: &CellResult, metric: Metric) -> Option<Figure> {
    match metric {
        Metric::IdleBytes | Metric::WakeUps => {
            at_rest(results, cell, metric).map(|(_, figure)| figure)
        }
        _ => metric.of(cell),
    }
}

/// The head of a column whose figures are those of clients at rest, and the unit below it.
pub fn heading_at_rest(metric: Metric) -> (String, &'static str) {
    let (name, unit) = metric.heading();
    match metric {
        // It says so already.
        Metric::IdleBytes => (name.to_owned(), unit),
        _ => (format!("{name} at rest"), unit),
    }
}

/// The head of a column of the summary, and the unit below it.
pub fn heading(metric: Metric) -> (String, &'static str) {
    match metric {
        Metric::WakeUps => heading_at_rest(metric),
        _ => {
            let (name, unit) = metric.heading();
            (name.to_owned(), unit)
        }
    }
}
