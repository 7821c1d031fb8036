//! The answer: the table of figures, which transport for which case, and the usual adjectives with figures.

use maud::{Markup, html};

use super::{figure, heading, scrolling};
use crate::condition::Condition;
use crate::report::adjective::{Aspect, Judgement, judgements};
use crate::report::summary::{self, Row};
use crate::report::{notes, plot, text};
use crate::results::Results;
use crate::verdict::{self, Answer, Contender, Standing, Verdict};

/// The summary.
pub fn summary(results: &Results) -> Markup {
    let Some(summary) = summary::summary(results) else {
        return html! {};
    };
    let table = html! {
        table class="figures" {
            caption { (text::condition(&summary.condition)) }
            thead { tr {
                th scope="col" { "transport" }
                @for &metric in &summary.columns { (heading(metric)) }
            } }
            tbody { @for row in &summary.rows { (summary_row(row, &summary.columns)) } }
        }
    };
    html! {
        section id="summary" {
            h2 { "The figures" }
            (scrolling("Summary of the figures", &table))
            p class="hint" { "The least of each column is bold. " (notes::FIGURES) }
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
                    Some(ranked) => td class=[ranked.is_least.then_some("least")] { (figure(metric, ranked.figure)) },
                    None => td class="none" { "–" },
                }
            }
        }
    }
}

/// The verdicts.
pub fn verdicts(results: &Results) -> Markup {
    let verdicts = verdict::all(results);
    html! {
        section id="verdict" {
            h2 { "Which transport for which case" }
            p class="hint" { "Computed from the figures by the " a href="#rules" { "rules below" } ". The cost of who is best at everything that a case weighs is 1." }
            div class="cases" { @for verdict in &verdicts { (case(verdict)) } }
        }
    }
}

fn case(verdict: &Verdict) -> Markup {
    let said = !matches!(verdict.answer, Answer::CannotSay(_));
    let first = verdict
        .contenders
        .first()
        .map(|first| plot::class(first.choice.transport));
    html! {
        article class={ "case " @if said { (first.unwrap_or_default()) } @else { "unsaid" } } {
            h3 { (verdict.case.name) }
            p class="pick" { (notes::pick(verdict)) }
            p class="about" { (verdict.case.about) }
            p { (sentence(&notes::lead(verdict))) }
            @if !verdict.contenders.is_empty() {
                ul { @for contender in &verdict.contenders { (standing(contender)) } }
            }
            @if let Some(condition) = &verdict.condition {
                p class="hint" { "From " (text::condition(condition)) "." }
            }
        }
    }
}

fn standing(contender: &Contender) -> Markup {
    let name = text::choice(&contender.choice);
    html! {
        li {
            @match &contender.standing {
                Standing::Ranked { cost } => {
                    b { (name) ": " (text::number(cost.median)) } " " span class="hint" { (notes::deciding(contender)) }
                },
                Standing::Out(why) => { b { (name) ": out" } " " span class="hint" { (why) } },
                Standing::Unknown(why) => { b { (name) ": unknown" } " " span class="hint" { (why) } },
            }
        }
    }
}

/// With a capital at the beginning and a dot at the end.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), letters.as_str())
}

/// The adjectives.
pub fn adjectives(results: &Results) -> Markup {
    let Some(condition) = Condition::reference(results) else {
        return html! {};
    };
    let columns = Aspect::ALL.map(|aspect| judgements(results, &condition, aspect));
    let table = html! {
        table class="adjectives" {
            caption { (text::condition(&condition)) }
            thead { tr {
                th scope="col" { "transport" }
                @for aspect in Aspect::ALL { th scope="col" { (aspect.name()) } }
            } }
            tbody {
                @for (index, (transport, _)) in columns[0].iter().enumerate() {
                    tr {
                        th scope="row" {
                            span class={ "dot " (plot::class(*transport)) } {}
                            (text::transport(*transport))
                        }
                        @for column in &columns { (judgement(&column[index].1)) }
                    }
                }
            }
        }
    };
    html! {
        section id="adjectives" {
            h2 { "The usual adjectives, with figures in their place" }
            p class="hint" {
                "First what guides say, then what was measured here: low is at most twice the least of the four, medium at \
                 most ten times, high is more. Client complexity is measured by requests."
            }
            (scrolling("Adjectives and figures", &table))
        }
    }
}

fn judgement(judgement: &Judgement) -> Markup {
    html! {
        td {
            span class="said" { "said " (judgement.said.word()) }
            @match &judgement.measured {
                None => span class="hint" { "not measured" },
                Some(measured) => {
                    b class=[(measured.adjective != judgement.said).then_some("differs")] { "is " (measured.adjective.word()) }
                    @for (metric, value) in &measured.figures {
                        small { (text::with_unit(*metric, *value)) " " (metric.name()) }
                    }
                },
            }
        }
    }
}
