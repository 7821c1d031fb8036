//! The page: first the answer, then plots, then every cell, then how it was measured.

mod answer;
mod details;
mod figures;
mod method;
mod standings;

use maud::{DOCTYPE, Markup, PreEscaped, Render, html};

use super::{notes, plot};
use crate::metric::Metric;
use crate::results::{Figure, Results};
use crate::text;

const STYLE: &str = include_str!("page.css");

/// The whole page, in one file that asks for nothing else.
pub fn page(results: &Results) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                (PreEscaped(META))
                title { "What each transport costs: " (results.gateway.server) }
                style { (PreEscaped(STYLE)) (PreEscaped(plot::STYLE)) }
            }
            body {
                main {
                    (head(results))
                    @if results.cells.is_empty() {
                        section { p { "No cell was measured, so there is nothing to compare." } }
                    } @else {
                        @if notes::no_verdict(results).is_none() { (answer::verdicts(results)) }
                        (answer::summary(results))
                        (answer::adjectives(results))
                        (figures::figures(results))
                        (standings::standings(results))
                        (details::cells(results))
                        (details::expectations(results))
                    }
                    (details::doubts(results))
                    (method::method(results))
                }
            }
        }
    }
}

/// Closed, as XML wants it, so that the page can be read as either.
const META: &str = "<meta charset=\"utf-8\"/><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\
     <meta name=\"color-scheme\" content=\"light dark\"/>";

fn head(results: &Results) -> Markup {
    let machine = &results.machine;
    let invalid = results.cells.iter().filter(|cell| !cell.is_valid()).count();
    html! {
        header {
            h1 { "What each transport costs" }
            p class="origin" {
                (results.gateway.server) ", measured " (text::moment(&results.started_at)) " on " (machine.processor) ", "
                (text::counted(machine.cores, "core")) "; " (text::counted(results.cells.len(), "cell")) " in "
                (text::seconds(results.took_s)) "."
            }
            @if let Some(partial) = notes::partial(results) {
                p class="notice" role="note" { strong { "Not complete. " } (partial) }
            }
            @if let Some(why) = notes::no_verdict(results) {
                p class="notice" role="note" { (why) }
            }
            @for warning in &results.warnings {
                p class="notice" role="note" { strong { "Warning. " } (notes::sentence(warning)) }
            }
            @if invalid > 0 {
                p class="notice" role="note" {
                    strong { (text::counted(invalid, "cell")) " invalid. " }
                    "Shown as such, never ranked or plotted: " a href="#warnings" { "why" } "."
                }
            }
        }
    }
}

/// A figure in a table: the median, the spread below it.
fn figure(metric: Metric, figure: Figure) -> Markup {
    html! {
        (text::in_column(metric, figure))
        @if let Some(spread) = text::spread_in_column(metric, figure) {
            small { (spread) }
        }
    }
}

/// A column's head: the name, the unit below it.
fn heading((name, unit): (impl Render, &str)) -> Markup {
    html! { th scope="col" { (name) small { (unit) } } }
}

/// A wide table that scrolls by itself where there is no room, by keyboard too.
fn scrolling(name: &str, table: &Markup) -> Markup {
    html! { div class="scroll" role="region" tabindex="0" aria-label=(name) { (table) } }
}
