//! The answer: the table of figures, which transport for which case, and the usual adjectives with figures.

use maud::{Markup, html};

use super::{figure, heading, scrolling};
use crate::condition::Condition;
use crate::report::adjective::{Aspect, Judgement, RULE, judgements};
use crate::report::summary::{self, Row};
use crate::report::{notes, plot, reasons};
use crate::results::Results;
use crate::text;
use crate::verdict::{self, Answer, Verdict};

/// The summary.
pub fn summary(results: &Results) -> Markup {
    let Some(summary) = summary::summary(results) else {
        return html! {};
    };
    let table = html! {
        table class="figures" {
            caption { span { (text::condition(&summary.condition)) } }
            thead { tr {
                th scope="col" { "transport" }
                @for &metric in &summary.columns { (heading(summary::heading(metric))) }
            } }
            tbody { @for row in &summary.rows { (summary_row(row, &summary.columns)) } }
        }
    };
    html! {
        section id="summary" {
            h2 { "The figures" }
            @if let Some(in_short) = notes::in_short(&summary) { p { (in_short) } }
            (scrolling("Summary of the figures", &table))
            p class="hint" { "Bold: " (summary::MARKED) ". " (notes::FIGURES) }
        }
    }
}

fn summary_row(row: &Row, columns: &[crate::metric::Metric]) -> Markup {
    let valid = row.cell.is_valid();
    html! {
        tr class=[(!valid).then_some("invalid")] {
            th scope="row" {
                span class={ "dot " (plot::class(row.choice.transport)) } {}
                (text::choice(&row.choice))
                @if !valid { " " a class="flag" href="#warnings" { "invalid" } }
            }
            @for (&metric, ranked) in columns.iter().zip(&row.figures) {
                @match ranked {
                    Some(ranked) => td class=[ranked.is_best.then_some("least")] { (figure(metric, ranked.figure)) },
                    None => td class="none" { "–" },
                }
            }
        }
    }
}

/// The verdicts.
pub fn verdicts(results: &Results) -> Markup {
    let verdicts = verdict::all(results);
    let table = html! {
        table class="verdicts" {
            thead { tr {
                @for name in ["case", "take", "then", "what decided"] { th scope="col" { (name) } }
            } }
            tbody { @for verdict in &verdicts { (verdict_row(verdict)) } }
        }
    };
    html! {
        section id="verdict" {
            h2 { "Which transport for which case" }
            p class="hint" { (reasons::COST) }
            (scrolling("Which transport for which case", &table))
            p class="hint" {
                "Computed from the figures by " a href="#rules" { "these rules" }
                @if verdicts.iter().any(|verdict| !verdict.contenders.is_empty()) {
                    "; " a href="#standings" { "how each transport stands" }
                }
                "."
            }
        }
    }
}

fn verdict_row(verdict: &Verdict) -> Markup {
    let said = matches!(verdict.answer, Answer::Take { .. });
    let first = verdict.contenders.first().filter(|_| said);
    let class = first.map_or("unsaid", |first| plot::class(first.choice.transport));
    html! {
        tr {
            th scope="row" {
                (verdict.case.name)
                small { (verdict.case.about) }
                @if let Some(cells) = reasons::cells(verdict) { small { "Judged by " (cells) "." } }
            }
            td class={ "pick " (class) } { (pick(verdict)) }
            @if let Some(decided) = reasons::decided(verdict) {
                td class=[has_second(verdict).then_some("second")] { (reasons::lead(verdict)) }
                td { (decided) }
            } @else {
                td colspan="2" { (reasons::lead(verdict)) }
            }
        }
    }
}

/// What to take, each transport in its colour.
fn pick(verdict: &Verdict) -> Markup {
    let taken = verdict.taken();
    html! {
        @if taken.is_empty() { (reasons::pick(verdict)) }
        @for (index, choice) in taken.iter().enumerate() {
            @if index > 0 {
                span class="between" { @if index + 1 == taken.len() { " or " } @else { ", " } }
            }
            span class={ "pick " (plot::class(choice.transport)) } { (text::choice(choice)) }
        }
    }
}

fn has_second(verdict: &Verdict) -> bool {
    matches!(verdict.answer, Answer::Take { runner_up: Some(_) })
}

/// The adjectives; nothing if there is nobody to compare with.
pub fn adjectives(results: &Results) -> Markup {
    let Some(condition) = Condition::reference(results) else {
        return html! {};
    };
    if condition.transports_covered(results) < 2 {
        return html! {};
    }
    let columns = Aspect::ALL.map(|aspect| judgements(results, &condition, aspect));
    let table = html! {
        table class="adjectives" {
            caption { span { (text::condition(&condition)) } }
            thead { tr {
                th scope="col" { "transport" }
                @for aspect in Aspect::ALL { th scope="col" { (aspect.name()) } }
            } }
            tbody {
                @for (index, judged) in columns[0].iter().enumerate() {
                    tr {
                        th scope="row" {
                            span class={ "dot " (plot::class(judged.transport)) } {}
                            (text::transport(judged.transport))
                        }
                        @for column in &columns { (judgement(&column[index])) }
                    }
                }
            }
        }
    };
    html! {
        section id="adjectives" {
            h2 { "The usual adjectives, with figures in their place" }
            p class="hint" { (RULE) }
            (scrolling("Adjectives and figures", &table))
        }
    }
}

fn judgement(judgement: &Judgement) -> Markup {
    html! {
        td {
            span class="said" { "said " (judgement.said.word()) }
            @match &judgement.measured {
                None => span class="hint" { "no valid figure" },
                Some(measured) => {
                    @if let Some(adjective) = measured.adjective {
                        b class=[(adjective != judgement.said).then_some("differs")] {
                            @if adjective == judgement.said { "is " } @else { "but is " }
                            (adjective.word())
                        }
                    }
                    @for figure in &measured.figures {
                        small { (figure.in_words()) " " (figure.metric.name()) }
                    }
                    @for metric in &measured.missing { small { (metric.name()) " not measured" } }
                },
            }
        }
    }
}
