//! How each transport stands in each case, with the figures that were weighed.

use maud::{Markup, html};

use super::{heading, scrolling};
use crate::metric::Metric;
use crate::report::summary::heading_at_rest;
use crate::report::{plot, reasons};
use crate::results::Results;
use crate::text;
use crate::verdict::case::Case;
use crate::verdict::{self, Contender, Standing, Verdict};

/// A table for each case of which something was measured.
pub fn standings(results: &Results) -> Markup {
    let mut verdicts = verdict::all(results);
    verdicts.retain(|verdict| !verdict.contenders.is_empty());
    html! {
        @if !verdicts.is_empty() {
            section id="standings" {
                h2 { "How each transport stands" }
                p class="hint" {
                    "Who is best at everything that a case weighs costs 1; the spread is that of the costs by the smallest and the \
                     largest figures of the repeats. A dash was not measured, or not weighed. What a client sends by requests of its own \
                     is counted and not measured: the bytes and the CPU time of these requests are in no figure."
                }
                div class="standings" { @for verdict in &verdicts { (standing(verdict)) } }
            }
        }
    }
}

fn standing(verdict: &Verdict) -> Markup {
    let mut columns: Vec<Metric> = Vec::new();
    for (metric, _) in verdict
        .contenders
        .iter()
        .flat_map(|contender| &contender.figures)
    {
        if !columns.contains(metric) {
            columns.push(*metric);
        }
    }
    let table = html! {
        table class="figures dense" {
            caption { span {
                b { (verdict.case.name) }
                @if let Some(cells) = reasons::spoke(verdict) { ": " (cells) }
            } }
            thead { tr {
                th scope="col" { "transport" }
                th scope="col" { "cost" }
                @for &metric in &columns { (column_heading(verdict.case, metric)) }
            } }
            tbody { @for contender in &verdict.contenders { (row(contender, &columns)) } }
        }
    };
    scrolling(
        &format!("How each transport stands: {}", verdict.case.name),
        &table,
    )
}

fn column_heading(case: &Case, metric: Metric) -> Markup {
    let mut weights = case.weights.iter();
    match weights.any(|weight| weight.at_rest && weight.metric == metric) {
        true => heading(heading_at_rest(metric)),
        false => heading(metric.heading()),
    }
}

fn row(contender: &Contender, columns: &[Metric]) -> Markup {
    let value = |metric| Some(text::in_column(metric, contender.figure(metric)?));
    let posts = |metric| contender.posts_beside(metric);
    html! {
        tr {
            th scope="row" {
                span class={ "dot " (plot::class(contender.choice.transport)) } {}
                (text::choice(&contender.choice))
                @match &contender.standing {
                    Standing::Out(why) | Standing::Unknown(why) => small { (why) },
                    Standing::Ranked { .. } => {},
                }
            }
            td {
                @match &contender.standing {
                    Standing::Ranked { cost } => {
                        b { (text::number(cost.median)) }
                        @if cost.min < cost.max { small { (text::number(cost.min)) "–" (text::number(cost.max)) } }
                    },
                    Standing::Out(_) => "out",
                    Standing::Unknown(_) => "unknown",
                }
            }
            @for &metric in columns {
                @match value(metric) {
                    Some(value) => td {
                        (value)
                        @if posts(metric) > 0.0 { small { "+ " (posts(metric)) " to send" } }
                    },
                    None => td class="none" { "–" },
                }
            }
        }
    }
}
