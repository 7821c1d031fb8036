//! What people read.

use std::fmt::Write as _;
use std::path::Path;

use crate::label;
use crate::results::{Figure, Results};

/// Writes the reports into a folder.
pub fn write(results: &Results, folder: &Path) -> anyhow::Result<()> {
    Ok(std::fs::write(folder.join("report.md"), terminal(results))?)
}

/// A plain table.
pub fn terminal(results: &Results) -> String {
    let mut table = String::new();
    let show = |figure: Option<Figure>| {
        figure.map_or("-".to_owned(), |figure| format!("{:.2}", figure.median))
    };
    for cell in &results.cells {
        let figures = &cell.figures;
        let bytes = figures.bytes.map_or("-".to_owned(), |bytes| {
            let kinds = |kinds: crate::results::ByteKinds| {
                [kinds.handshake, kinds.headers, kinds.framing, kinds.payload]
                    .map(|kind| format!("{:.0}", kind.median))
                    .join("+")
            };
            format!("{} up {} down", kinds(bytes.up), kinds(bytes.down))
        });
        let _ = writeln!(
            table,
            "{:75} p50 {} p99 {} ms, start {} ms, back {} ms, {bytes}, {} requests, {} µs, {} KiB, {} wake-ups, {} B/h, load {}{}",
            label::of(&cell.cell),
            show(figures.latency_p50_ms),
            show(figures.latency_p99_ms),
            show(figures.cold_start_ms),
            show(figures.resume_ms),
            show(figures.requests_per_message),
            show(figures.server_cpu_us_per_message),
            show(figures.server_memory_kib_per_client),
            show(figures.wakeups_per_minute),
            show(figures.idle_bytes_per_hour),
            show(figures.load_cpu_share),
            if cell.is_valid() { "" } else { " INVALID" },
        );
        for warning in &cell.warnings {
            let _ = writeln!(table, "    {}: {}", warning.code, warning.message);
        }
        for expected in cell.expected.iter().filter(|expected| expected.differs) {
            let _ = writeln!(
                table,
                "    {} is {:.3}, expected {:.3} to {:.3}: {}",
                expected.figure, expected.measured, expected.from, expected.to, expected.why
            );
        }
    }
    table
}
