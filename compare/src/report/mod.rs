//! What people read: a page, a Markdown file, a table in the terminal, and one plot for a README.

mod adjective;
mod markdown;
mod notes;
mod page;
mod plot;
mod printable;
mod reasons;
mod summary;
mod terminal;
#[cfg(test)]
mod tests;

use std::path::Path;

use anyhow::Context;

use crate::condition::Condition;
use crate::results::Results;
use printable::printable;

/// Writes `report.html`, `report.md` and `latency-traffic.svg` into a folder that exists. Each is written beside its place
/// and then moved there, so that a reader sees the whole of the old or the whole of the new. Without a figure to plot
/// there is no plot, and one of an earlier run is removed.
///
/// # Errors
/// If the folder cannot be written.
pub fn write(results: &Results, folder: &Path) -> anyhow::Result<()> {
    replace(&folder.join("report.html"), &html(results))?;
    replace(&folder.join("report.md"), &markdown(results))?;
    let plot = folder.join(markdown::PLOT);
    match latency_traffic(results) {
        Some(svg) => replace(&plot, &svg),
        None if plot.exists() => {
            std::fs::remove_file(&plot).with_context(|| format!("cannot remove {}", plot.display()))
        }
        None => Ok(()),
    }
}

/// The page, in one file that asks for nothing else.
pub fn html(results: &Results) -> String {
    page::page(&printable(results)).into_string()
}

/// The tables and the method as Markdown.
pub fn markdown(results: &Results) -> String {
    markdown::markdown(&printable(results))
}

/// The table for the terminal, in 100 columns, with warnings below.
pub fn terminal(results: &Results) -> String {
    terminal::terminal(&printable(results))
}

/// The plot that says most, as an SVG file of its own, legible on light and dark pages.
pub fn latency_traffic(results: &Results) -> Option<String> {
    let condition = Condition::reference(results)?;
    let plot = plot::traffic::plot(results, &condition, 760.0, 420.0)?;
    Some(plot.standalone())
}

fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let beside = path.with_added_extension("new");
    std::fs::write(&beside, text).with_context(|| format!("cannot write {}", beside.display()))?;
    std::fs::rename(&beside, path)
        .with_context(|| format!("cannot move {} into its place", path.display()))
}
