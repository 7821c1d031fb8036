//! What people read: tables in the terminal, `rivals.md`, and `rivals.json` for programs.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Result;
use comfy_table::presets::{ASCII_MARKDOWN, UTF8_FULL_CONDENSED};
use comfy_table::{CellAlignment, Table, TableStyle};

use super::results::{Measure, RivalsResults, Row};
use super::rounds::{CORES_WERE_TAKEN, WAITED_SHARE_MAX, percent};
use super::targets::Verdict;
use crate::results::Figure;

/// Writes both files. Each is replaced whole, so that whoever stops the program finds what was done before.
pub fn save(results: &RivalsResults, folder: &Path) -> Result<()> {
    write_whole(
        folder,
        "rivals.json",
        &serde_json::to_string_pretty(results)?,
    )?;
    write_whole(folder, "rivals.md", &markdown(results))
}

fn write_whole(folder: &Path, name: &str, text: &str) -> Result<()> {
    let unfinished = folder.join(format!("{name}.part"));
    fs::write(&unfinished, text)?;
    Ok(fs::rename(unfinished, folder.join(name))?)
}

/// For the terminal.
pub fn text(results: &RivalsResults) -> String {
    report(results, UTF8_FULL_CONDENSED)
}

/// For a page.
pub fn markdown(results: &RivalsResults) -> String {
    format!(
        "# Everyway beside its rivals\n\n{}",
        report(results, ASCII_MARKDOWN)
    )
}

fn report(results: &RivalsResults, style: TableStyle) -> String {
    let mut text = head(results);
    let _ = writeln!(text, "\n{}", figures(&results.rows, style));
    if !results.verdicts.is_empty() {
        let _ = writeln!(text, "\nWhat Everyway is to reach (ratios are to Nchan):\n");
        let _ = writeln!(text, "{}", verdicts(&results.verdicts, style));
    }
    let _ = write!(text, "{}", doubts(results));
    text
}

/// Where, when and how. Writing to a string does not fail.
fn head(results: &RivalsResults) -> String {
    let (machine, method) = (&results.machine, &results.method);
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{}, {} cores, {:.0} GiB, {}; {}. {}, {:.0} s{}.\n",
        machine.processor,
        machine.cores,
        machine.memory_gib,
        machine.kernel,
        machine.placement,
        results.started_at,
        results.took_s,
        if results.complete {
            ""
        } else {
            ", not complete"
        }
    );
    let _ = writeln!(
        text,
        "{} subscribers of one channel, payloads of {} bytes; {} rounds of {} s of CPU time and {} s of latency, after {} s that \
         do not count; memory with \
         {} connections, rounds: {}. Medians (smallest–largest); ratios are taken round by round. Long polls have no bursts: a poll \
         takes all that is there at once.\n",
        method.subscribers,
        method.payload_bytes,
        method.rounds,
        method.turn_s,
        method.latency_turn_s,
        method.latency_warm_up_s,
        method.connections,
        method.memory_rounds
    );
    let _ = writeln!(text, "    {}\n", results.command);
    for contender in &results.contenders {
        let (name, version) = (contender.rival.name(), &contender.version);
        let _ = writeln!(text, "- {name} {version}: {}", contender.setup);
    }
    text
}

fn figures(rows: &[Row], style: TableStyle) -> Table {
    let header = [
        "figure",
        "rival",
        "median (min–max)",
        "to Nchan",
        "to Everyway",
        "load's core, at most",
        "load late",
        "waited",
    ];
    let mut table = table(style, &header);
    let mut title = String::new();
    for row in rows {
        let next = format!(
            "{}, {}, {}",
            row.transport.name(),
            row.measure.name(),
            row.measure.unit()
        );
        let is_new = next != title;
        title = next;
        let doubt = match row.warnings.first() {
            Some(_) if !row.is_valid() => " (invalid)",
            Some(_) => " (!)",
            None => "",
        };
        table.add_row([
            if is_new { title.clone() } else { String::new() },
            format!("{}{doubt}", row.rival.name()),
            spread(&row.value),
            row.to_nchan.as_ref().map_or_else(none, ratio),
            row.to_everyway.as_ref().map_or_else(none, ratio),
            row.load_cpu_share
                .map(|share| percent(share.max))
                .unwrap_or_default(),
            row.load_late_share
                .map(|share| percent(share.median))
                .unwrap_or_default(),
            row.waited_share
                .map(|share| percent(share.median))
                .unwrap_or_default(),
        ]);
    }
    table
}

fn verdicts(verdicts: &[Verdict], style: TableStyle) -> Table {
    let mut table = table(
        style,
        &["figure", "transport", "must", "goal", "measured", ""],
    );
    for verdict in verdicts {
        let number = |value: f64| match verdict.measure {
            Measure::Memory => format!("{value:.1} KiB"),
            _ => format!("{value:.2} ×"),
        };
        let doubt = if verdict.is_doubtful { " (!)" } else { "" };
        let spread = match verdict.is_within_spread {
            true => ", within the spread",
            false => "",
        };
        let measured = verdict.measured.map(|figure| match verdict.measure {
            Measure::Memory => beside_bounds(&figure, verdict, 1, "KiB"),
            _ => beside_bounds(&figure, verdict, 2, "×"),
        });
        table.add_row([
            verdict.measure.name().to_owned(),
            verdict.transport.name().to_owned(),
            format!("≤ {}", number(verdict.must)),
            format!("≤ {}", number(verdict.goal)),
            measured.unwrap_or_else(none),
            format!("{}{spread}{doubt}", verdict.outcome.name()),
        ]);
    }
    table
}

/// Warnings, and what was not done.
fn doubts(results: &RivalsResults) -> String {
    let mut text = String::new();
    let mut cores_were_taken = false;
    for row in &results.rows {
        for warning in &row.warnings {
            if warning.code == CORES_WERE_TAKEN {
                cores_were_taken = true;
                continue;
            }
            let (transport, measure) = (row.transport.name(), row.measure.name());
            let (name, message) = (row.rival.name(), &warning.message);
            let _ = writeln!(text, "- {name}, {transport}, {measure}: {message}");
        }
    }
    // The table has the figure for each row; all rows of a busy machine have it.
    if cores_were_taken {
        let percent = WAITED_SHARE_MAX * 100.0;
        let _ = writeln!(
            text,
            "- (!): the load or the server waited {percent:.0} % of the time or more for a core that other programs had: the \
             milliseconds are theirs, too"
        );
    }
    if results
        .verdicts
        .iter()
        .any(|verdict| verdict.is_within_spread)
    {
        let _ = writeln!(
            text,
            "- within the spread: the smallest and the largest round lie on different sides of what is to be reached"
        );
    }
    for skipped in &results.skipped {
        let _ = writeln!(text, "- skipped: {}: {}", skipped.what, skipped.why);
    }
    if text.is_empty() {
        return text;
    }
    format!("\nTo know before believing it:\n\n{text}")
}

/// A table whose first two columns are words and the others numbers.
fn table(style: TableStyle, header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(style).set_header(header);
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn spread(figure: &Figure) -> String {
    let digits = match figure.median {
        median if median < 1.0 => 3,
        median if median < 20.0 => 2,
        _ => 0,
    };
    let Figure { median, min, max } = figure;
    format!("{median:.digits$} ({min:.digits$}–{max:.digits$})")
}

/// A figure whose digits tell on which side of each bound it lies: 0.897 is not 0.90 beside 0.90.
fn beside_bounds(figure: &Figure, verdict: &Verdict, digits: usize, unit: &str) -> String {
    const DIGITS_MAX: usize = 6;
    let number = |value: f64| {
        let is_hidden = |digits: usize| {
            let mut bounds = [verdict.must, verdict.goal].into_iter();
            bounds.any(|bound| {
                bound != value && format!("{value:.digits$}") == format!("{bound:.digits$}")
            })
        };
        let digits = (digits..DIGITS_MAX).find(|&digits| !is_hidden(digits));
        format!("{value:.*}", digits.unwrap_or(DIGITS_MAX))
    };
    let [median, min, max] = [figure.median, figure.min, figure.max].map(number);
    match unit {
        "KiB" => format!("{median} KiB ({min}–{max})"),
        _ => format!("{median} ({min}–{max}) {unit}"),
    }
}

fn ratio(figure: &Figure) -> String {
    let Figure { median, min, max } = figure;
    format!("{median:.2} ({min:.2}–{max:.2})")
}

/// What there is instead of a ratio to somebody who was not measured, or whose figure must not be used.
fn none() -> String {
    "–".to_owned()
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
