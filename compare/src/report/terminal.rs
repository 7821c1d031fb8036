//! The table in the terminal, in 100 columns.

use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};

use super::summary::{Summary, summary};
use super::{notes, reasons};
use crate::metric::Metric;
use crate::results::Results;
use crate::text;
use crate::verdict;

/// Columns of a terminal.
const WIDTH: u16 = 100;

/// A rule above, below the head and below, and no other lines.
const RULED: TableStyle = TableStyle::new()
    .top_border(LineStyle::none().fill('─').junction('─'))
    .header_separator(LineStyle::none().fill('─').junction('─'))
    .bottom_border(LineStyle::none().fill('─').junction('─'));

/// What a cost is; the report has more on it.
const COST: &str =
    "cost: what a case weighs, each divided by the least and multiplied; best at everything is 1";

/// What has no room here.
const LEFT_OUT: [Metric; 2] = [Metric::P999, Metric::Handshake];

/// Warnings of a kind that are printed; the report has them all.
const WARNINGS_MAX: usize = 3;

/// The summary, the verdict in a line for each case, and what casts doubt on them.
pub fn terminal(results: &Results) -> String {
    let mut parts = Vec::new();
    match summary(results) {
        Some(summary) => {
            parts.push(format!(
                "{}; * least, or level with it",
                text::condition(&summary.condition)
            ));
            parts.push(figures(&summary) + "\n");
            match notes::no_verdict(results) {
                Some(why) => parts.push(textwrap::fill(&why, usize::from(WIDTH))),
                None => {
                    parts.push(verdicts(results));
                    parts.push(COST.to_owned());
                }
            }
        }
        None => parts.push("No cell was measured.".to_owned()),
    }
    parts.extend(doubts(results));
    parts.join("\n") + "\n"
}

fn table() -> Table {
    let mut table = Table::new();
    table
        .load_style(RULED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH);
    table
}

fn figures(summary: &Summary) -> String {
    let shown: Vec<usize> = (0..summary.columns.len())
        .filter(|&column| !LEFT_OUT.contains(&summary.columns[column]))
        .collect();
    let mut table = table();
    let headings = shown.iter().map(|&column| {
        let (name, unit) = heading(summary.columns[column]);
        Cell::new(format!("{name}\n{unit}")).set_alignment(CellAlignment::Right)
    });
    table.set_header(std::iter::once(Cell::new("transport")).chain(headings));
    for row in &summary.rows {
        let mut name = text::choice(&row.choice);
        if !row.cell.is_valid() {
            name.push_str("\ninvalid");
        }
        let figures = shown.iter().map(|&column| {
            let text = row.figures[column].map_or_else(String::new, |ranked| {
                let mark = if ranked.is_best { "*" } else { "" };
                format!(
                    "{mark}{}",
                    text::in_column(summary.columns[column], ranked.figure)
                )
            });
            Cell::new(text).set_alignment(CellAlignment::Right)
        });
        table.add_row(std::iter::once(Cell::new(name)).chain(figures));
    }
    table.trim_fmt()
}

/// A narrow head for a column.
fn heading(metric: Metric) -> (&'static str, &'static str) {
    match metric {
        Metric::Requests => ("req", "/msg"),
        Metric::IdleBytes => ("idle", "kB/h"),
        Metric::WakeUps => ("wakes\nat rest", "/min"),
        Metric::Cpu => ("CPU", "µs/msg"),
        Metric::Memory => ("memory", "KiB"),
        other => other.heading(),
    }
}

fn verdicts(results: &Results) -> String {
    let mut table = table();
    table.set_header(["case", "take", "then"]);
    for verdict in verdict::all(results) {
        table.add_row([
            verdict.case.name.to_owned(),
            reasons::pick(&verdict),
            reasons::lead(&verdict),
        ]);
    }
    table.trim_fmt()
}

fn doubts(results: &Results) -> Vec<String> {
    let mut lines: Vec<String> = notes::partial(results).into_iter().collect();
    lines.extend(
        results
            .warnings
            .iter()
            .map(|warning| format!("warning: {warning}")),
    );
    for kind in notes::warnings(results) {
        let effect = kind.effect();
        let shown = kind.cells.iter().take(WARNINGS_MAX);
        lines.extend(shown.map(|(cell, message)| format!("{effect}: {cell}: {message}")));
        let more = kind.cells.len().saturating_sub(WARNINGS_MAX);
        if more > 0 {
            lines.push(format!(
                "{effect}: {} in {} more, see the report",
                kind.name(),
                text::counted(more, "cell")
            ));
        }
    }
    let differing = notes::differing(results).filter(|(differing, _)| *differing > 0);
    lines.extend(differing.map(|(differing, count)| {
        format!("expected beside measured: {differing} of {count} figures differ, and the report names them")
    }));
    let skipped = results.skipped.iter();
    lines.extend(skipped.map(|skipped| format!("skipped: {}: {}", skipped.what, skipped.why)));
    lines.iter().map(|line| wrapped(line)).collect()
}

/// A line in as many as it needs.
fn wrapped(line: &str) -> String {
    let options = textwrap::Options::new(usize::from(WIDTH)).subsequent_indent("  ");
    textwrap::fill(line, options)
}
