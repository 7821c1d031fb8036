//! The table in the terminal, in 100 columns.

use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};

use super::summary::{Summary, summary};
use super::{notes, text};
use crate::results::Results;
use crate::verdict;

/// Columns of a terminal.
const WIDTH: u16 = 100;

/// A rule above, below the head and below, and no other lines.
const RULED: TableStyle = TableStyle::new()
    .top_border(LineStyle::none().fill('─').junction('─'))
    .header_separator(LineStyle::none().fill('─').junction('─'))
    .bottom_border(LineStyle::none().fill('─').junction('─'));

/// Warnings that are printed; the report has them all.
const WARNINGS_MAX: usize = 8;

/// The summary, the verdict in a line for each case, and what casts doubt on them.
pub fn terminal(results: &Results) -> String {
    let mut parts = Vec::new();
    match summary(results) {
        Some(summary) => {
            parts.push(format!("{}; * least", text::condition(&summary.condition)));
            parts.push(figures(&summary));
            parts.push(verdicts(results));
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
    let mut table = table();
    let headings = summary.columns.iter().map(|metric| {
        let (name, unit) = metric.heading();
        Cell::new(format!("{name}\n{unit}")).set_alignment(CellAlignment::Right)
    });
    table.set_header(std::iter::once(Cell::new("transport")).chain(headings));
    for row in &summary.rows {
        let mut name = text::choice(&row.choice);
        if !row.cell.is_valid() {
            name.push_str("\ninvalid");
        }
        let figures = summary
            .columns
            .iter()
            .zip(&row.figures)
            .map(|(&metric, ranked)| {
                let text = ranked.map_or_else(String::new, |ranked| {
                    let mark = if ranked.is_least { "*" } else { "" };
                    format!("{mark}{}", text::in_column(metric, ranked.figure))
                });
                Cell::new(text).set_alignment(CellAlignment::Right)
            });
        table.add_row(std::iter::once(Cell::new(name)).chain(figures));
    }
    table.trim_fmt()
}

fn verdicts(results: &Results) -> String {
    let mut table = table();
    table.set_header(["case", "take", "why"]);
    for verdict in verdict::all(results) {
        table.add_row([
            verdict.case.name.to_owned(),
            notes::pick(&verdict),
            notes::lead(&verdict),
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
    let warnings = notes::warnings(results);
    for (cell, _, message, invalidates) in warnings.iter().take(WARNINGS_MAX) {
        let kind = if *invalidates { "invalid" } else { "warning" };
        lines.push(format!("{kind}: {cell}: {message}"));
    }
    if warnings.len() > WARNINGS_MAX {
        lines.push(format!(
            "… and {} in the report",
            notes::counted(warnings.len() - WARNINGS_MAX, "warning")
        ));
    }
    lines.extend(
        results
            .skipped
            .iter()
            .map(|skipped| format!("skipped: {}: {}", skipped.what, skipped.why)),
    );
    lines
}
