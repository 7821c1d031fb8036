//! Every cell, every expectation, every doubt.

use maud::{Markup, html};

use super::{figure, heading, scrolling};
use crate::awake;
use crate::condition::{Choice, Condition};
use crate::metric::Metric;
use crate::report::{notes, plot};
use crate::results::{CellResult, Results};
use crate::text;

/// Every cell with every figure, grouped by condition. Figures that nobody has are left out.
pub fn cells(results: &Results) -> Markup {
    let is_measured = |metric: &Metric| results.cells.iter().any(|cell| metric.of(cell).is_some());
    let columns: Vec<Metric> = Metric::ALL
        .into_iter()
        .filter(|metric| *metric != Metric::Bytes)
        .filter(is_measured)
        .collect();
    let table = html! {
        table class="figures dense" {
            thead { tr {
                th scope="col" { "transport" }
                @for &metric in &columns { (heading(metric.heading())) }
                th scope="col" { "delivered" small { "of expected" } }
            } }
            @for condition in Condition::all_in(results) {
                tbody {
                    tr { th scope="rowgroup" class="condition" colspan=(columns.len() + 2) { span { (text::condition(&condition)) } } }
                    @for cell in condition.cells(results) { (row(cell, &columns)) }
                }
            }
        }
    };
    html! {
        section id="cells" class="wide" {
            h2 { "Every cell" }
            p class="hint" { "What was not measured, or means nothing for a cell, is a dash." }
            (scrolling("Every cell with every figure", &table))
        }
    }
}

fn row(cell: &CellResult, columns: &[Metric]) -> Markup {
    let choice = Choice::of(&cell.cell);
    html! {
        tr class=[(!cell.is_valid()).then_some("invalid")] {
            th scope="row" {
                span class={ "dot " (plot::class(choice.transport)) } {}
                (text::choice(&choice))
                @if !cell.is_valid() { " " a class="flag" href="#warnings" { "invalid" } }
                @else if !cell.warnings.is_empty() { " " a class="mild" href="#warnings" { "warning" } }
            }
            @for &metric in columns {
                @match metric.of(cell) {
                    Some(value) => td { (figure(metric, value)) },
                    None if metric == Metric::WakeUps && awake::is_always(&cell.cell) => td class="none" { "always awake" },
                    None => td class="none" { "–" },
                }
            }
            td {
                (text::count(cell.deliveries.delivered))
                small { "of " (text::count(cell.deliveries.expected)) ", " (text::counted(cell.repeats, "repeat")) " of " (text::seconds(cell.measure_s)) @if let Some(amiss) = notes::amiss(cell) { ", " (amiss) } }
            }
        }
    }
}

/// What arithmetic says beside what was measured: the cells in which something differs, then the rest.
pub fn expectations(results: &Results) -> Markup {
    let mut cells: Vec<&CellResult> = results
        .cells
        .iter()
        .filter(|cell| !cell.expected.is_empty())
        .collect();
    cells.sort_by_key(|cell| !cell.expected.iter().any(|expected| expected.differs));
    let Some((differing, count)) = notes::differing(results) else {
        return html! {};
    };
    let table = html! {
        table class="dense" {
            thead { tr {
                @for name in ["cell", "figure", "expected", "measured", "because"] { th scope="col" { (name) } }
            } }
            @for cell in &cells { (expected_of(cell)) }
        }
    };
    html! {
        section id="expected" class=[(differing == 0).then_some("agrees")] {
            h2 { "Expected beside measured" }
            p {
                (text::count((count - differing) as u64)) " of " (text::counted(count, "figure"))
                " lie where arithmetic puts them"
                @if differing > 0 { "; the cells of the others come first, and those are flagged" }
                "."
            }
            p class="hint print" { "On paper only those that differ are listed; the page has all." }
            (scrolling("Expected beside measured", &table))
        }
    }
}

/// Those of a cell, the ones that differ first: on paper the others are left out.
fn expected_of(cell: &CellResult) -> Markup {
    let (differing, agreeing): (Vec<_>, Vec<_>) =
        cell.expected.iter().partition(|expected| expected.differs);
    html! {
        @for (rows, class) in [(differing, None), (agreeing, Some("agrees"))] {
            @if !rows.is_empty() {
                tbody class=[class] {
                    @for (index, expected) in rows.iter().enumerate() {
                        @let (name, range, measured) = notes::expectation(expected);
                        tr {
                            @if index == 0 { th scope="rowgroup" rowspan=(rows.len()) { (notes::cell_name(cell)) } }
                            td { (name) }
                            td class="value" { (range) }
                            td class="value" { (measured) @if expected.differs { " " span class="flag" { "differs" } } }
                            td class="why" { (expected.why) }
                        }
                    }
                }
            }
        }
    }
}

/// Warnings, and what was skipped.
pub fn doubts(results: &Results) -> Markup {
    let warnings = notes::warnings(results);
    html! {
        section id="warnings" {
            h2 { "Warnings, and what was skipped" }
            @if warnings.is_empty() && results.skipped.is_empty() {
                p { "None." }
            }
            @for kind in &warnings {
                h3 {
                    span class=(if kind.invalidates { "flag" } else { "mild" }) { (kind.effect()) }
                    " " (kind.name()) ", " (text::counted(kind.cells.len(), "cell"))
                }
                ul class="warnings" {
                    @for (cell, message) in &kind.cells { li { (cell) ": " span class="hint" { (message) } } }
                }
            }
            @if !results.skipped.is_empty() {
                h3 { "Skipped" }
                ul { @for skipped in &results.skipped { li { b { (skipped.what) } ": " (skipped.why) } } }
            }
        }
    }
}
