//! What people read: a page, a Markdown file, a table in the terminal, and one plot for a README.

mod adjective;
mod markdown;
mod meanwhile;
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
use crate::output::replace;
use crate::results::Results;
use printable::printable;

pub use meanwhile::Meanwhile;

/// Writes `report.html`, `report.md` and `latency-traffic.svg` into a folder that exists. Each is written beside its place
/// and then moved there, so that a reader sees the whole of the old or the whole of the new. Without a figure to plot
/// there is no plot, and one of an earlier run is removed.
///
/// # Errors
/// If the folder cannot be written.
pub fn write(results: &Results, folder: &Path) -> anyhow::Result<()> {
    replace(&folder.join("report.html"), html(results).as_bytes())?;
    replace(&folder.join("report.md"), markdown(results).as_bytes())?;
    let plot = folder.join(markdown::PLOT);
    match latency_traffic(results) {
        Some(svg) => replace(&plot, svg.as_bytes()),
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
