//! The report as Markdown: the tables and the method, fit for a README.

use super::adjective::{Adjective, Aspect, RULE, judgements};
use super::summary::{self, MARKED, Row, Summary};
use super::{notes, reasons};
use crate::condition::Condition;
use crate::metric::Metric;
use crate::results::Results;
use crate::text;
use crate::verdict;

/// The plot beside the report.
pub const PLOT: &str = "latency-traffic.svg";

/// The whole file.
pub fn markdown(results: &Results) -> String {
    let mut parts = vec!["# What each transport costs".to_owned(), origin(results)];
    parts.extend(notes::partial(results).map(|partial| format!("**{partial}**")));
    let no_verdict = notes::no_verdict(results);
    parts.extend(no_verdict.iter().map(|why| format!("**{why}**")));
    parts.extend(
        results
            .warnings
            .iter()
            .map(|warning| format!("**Warning:** {}", escaped(&notes::sentence(warning)))),
    );
    match summary::summary(results) {
        Some(summary) => {
            parts.extend(notes::in_short(&summary));
            parts.push(figures(&summary));
            if super::latency_traffic(results).is_some() {
                parts.push(format!(
                    "![Latency against traffic, a point for each transport]({PLOT})"
                ));
            }
            if no_verdict.is_none() {
                parts.push(verdicts(results));
            }
            if summary.condition.transports_covered(results) > 1 {
                parts.push(adjectives(results, &summary.condition));
            }
        }
        None => parts.push("No cell was measured.".to_owned()),
    }
    parts.extend(expectations(results));
    parts.extend(doubts(results));
    parts.push(method(results));
    parts.join("\n\n") + "\n"
}

fn origin(results: &Results) -> String {
    let machine = &results.machine;
    format!(
        "{}, measured {} on {}, {}, {}.",
        escaped(&results.gateway.server),
        escaped(&text::moment(&results.started_at)),
        escaped(&machine.processor),
        text::counted(machine.cores, "core"),
        escaped(&machine.kernel),
    )
}

fn figures(summary: &Summary) -> String {
    let headings = summary.columns.iter().map(|metric| {
        let (name, unit) = summary::heading(*metric);
        format!("{name}, {unit}")
    });
    let mut lines = vec![
        line(std::iter::once("transport".to_owned()).chain(headings)),
        format!("|---|{}", "--:|".repeat(summary.columns.len())),
    ];
    lines.extend(
        summary
            .rows
            .iter()
            .map(|row| figures_row(row, &summary.columns)),
    );
    let condition = text::condition(&summary.condition);
    format!(
        "{condition}. Medians, with the spread of the repeats. Bold: {MARKED}.\n\n{}",
        lines.join("\n")
    )
}

fn figures_row(row: &Row, columns: &[Metric]) -> String {
    let mut name = text::choice(&row.choice);
    if !row.cell.is_valid() {
        name.push_str(" (invalid)");
    }
    let figures = columns.iter().zip(&row.figures).map(|(&metric, ranked)| {
        let Some(ranked) = ranked else {
            return "–".to_owned();
        };
        let median = text::in_column(metric, ranked.figure);
        let median = if ranked.is_best {
            format!("**{median}**")
        } else {
            median
        };
        match text::spread_in_column(metric, ranked.figure) {
            Some(spread) => format!("{median} ({spread})"),
            None => median,
        }
    });
    line(std::iter::once(name).chain(figures))
}

fn verdicts(results: &Results) -> String {
    let mut lines = vec![
        "## Which transport for which case".to_owned(),
        String::new(),
        reasons::COST.to_owned(),
        String::new(),
        "| case | take | then | what decided | judged by |".to_owned(),
        "|---|---|---|---|---|".to_owned(),
    ];
    for verdict in verdict::all(results) {
        let lead = escaped(&reasons::lead(&verdict));
        let decided = reasons::decided(&verdict).unwrap_or_default();
        lines.push(line([
            verdict.case.name.to_owned(),
            reasons::pick(&verdict),
            lead,
            decided,
            reasons::cells(&verdict).unwrap_or_default(),
        ]));
    }
    lines.join("\n")
}

fn adjectives(results: &Results, condition: &Condition) -> String {
    let names = Aspect::ALL.map(Aspect::name);
    let mut lines = vec![
        "## The usual adjectives, with figures".to_owned(),
        String::new(),
        RULE.to_owned(),
        String::new(),
        line(std::iter::once("transport").chain(names).map(str::to_owned)),
        "|---|---|---|---|---|".to_owned(),
    ];
    let columns = Aspect::ALL.map(|aspect| judgements(results, condition, aspect));
    for (index, judged) in columns[0].iter().enumerate() {
        let cells = columns.iter().map(|column| {
            let judgement = &column[index];
            let Some(measured) = &judgement.measured else {
                return format!("{} → no valid figure", judgement.said.word());
            };
            let figures = measured
                .figures
                .iter()
                .map(|figure| format!("{} {}", figure.metric.name(), figure.in_words()));
            let missing = measured.missing.iter();
            let missing = missing.map(|metric| format!("{} not measured", metric.name()));
            let figures: Vec<String> = figures.chain(missing).collect();
            let word = measured.adjective.map_or("no word", Adjective::word);
            format!("{} → {word}: {}", judgement.said.word(), figures.join(", "))
        });
        lines.push(line(
            std::iter::once(text::transport(judged.transport).to_owned()).chain(cells),
        ));
    }
    lines.join("\n")
}

/// Those that differ; of the rest, how many.
fn expectations(results: &Results) -> Option<String> {
    let all: Vec<_> = results
        .cells
        .iter()
        .flat_map(|cell| cell.expected.iter().map(move |expected| (cell, expected)))
        .collect();
    let differing: Vec<_> = all
        .iter()
        .filter(|(_, expected)| expected.differs)
        .collect();
    if all.is_empty() {
        return None;
    }
    let mut lines = vec![
        "## Expected beside measured".to_owned(),
        String::new(),
        format!(
            "{} of {} lie where arithmetic puts them.",
            text::count((all.len() - differing.len()) as u64),
            text::counted(all.len(), "figure")
        ),
    ];
    if !differing.is_empty() {
        lines.extend(
            [
                "",
                "| cell | figure | expected | measured | because |",
                "|---|---|--:|--:|---|",
            ]
            .map(str::to_owned),
        );
    }
    for (cell, expected) in differing {
        let (name, range, measured) = notes::expectation(expected);
        lines.push(line([
            notes::cell_name(cell),
            escaped(&name),
            range,
            measured,
            escaped(&expected.why),
        ]));
    }
    Some(lines.join("\n"))
}

fn doubts(results: &Results) -> Option<String> {
    let mut lines = Vec::new();
    for kind in notes::warnings(results) {
        lines.push(format!(
            "- {}: {}, {}",
            kind.effect(),
            escaped(&kind.name()),
            text::counted(kind.cells.len(), "cell")
        ));
        let cells = kind.cells.iter();
        lines.extend(cells.map(|(cell, message)| format!("  - {cell}: {}", escaped(message))));
    }
    let skipped = results.skipped.iter();
    lines.extend(skipped.map(|skipped| {
        format!(
            "- skipped: {}: {}",
            escaped(&skipped.what),
            escaped(&skipped.why)
        )
    }));
    (!lines.is_empty()).then(|| format!("## Warnings and what was skipped\n\n{}", lines.join("\n")))
}

fn method(results: &Results) -> String {
    let mut lines = vec![
        "## Method".to_owned(),
        String::new(),
        notes::FIGURES.to_owned(),
        String::new(),
    ];
    for (name, value) in notes::facts(results) {
        lines.push(format!("- {name}: {}", escaped(&value)));
    }
    lines.extend([String::new(), reasons::RULE.to_owned(), String::new()]);
    for verdict in verdict::all(results) {
        let case = verdict.case;
        lines.push(format!(
            "- **{}**: {} Cells: {}; best {}. {}",
            case.name,
            case.about,
            case.setting.in_words(),
            case.setting.best_in_words(),
            case.rule()
        ));
    }
    lines.join("\n")
}

fn line(cells: impl IntoIterator<Item = String>) -> String {
    let cells: Vec<String> = cells.into_iter().collect();
    format!("| {} |", cells.join(" | "))
}

/// Text of the results, so that it is text in Markdown too: without tags, links or table borders.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '|' | '*' | '_' | '[' | ']' | '`' | '\\' => escaped.extend(['\\', letter]),
            letter => escaped.push(letter),
        }
    }
    escaped
}
