//! What stays on disk. Each file is written under another name and then renamed, so nobody ever reads half of one.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::results::Results;

/// Where results go.
#[derive(Debug, Clone)]
pub struct Output {
    folder: PathBuf,
}

impl Output {
    /// Makes the folder. An error if nothing can be written there: better now than after the first cell.
    pub fn into(folder: &Path) -> Result<Self> {
        let probe = folder.join(".probe");
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&probe, b""))
            .and_then(|()| fs::remove_file(&probe))
            .with_context(|| {
                let folder = folder.display();
                format!("cannot write to {folder}: name another folder by --out")
            })?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes `results.json` and `results.csv`.
    pub fn write(&self, results: &Results) -> Result<()> {
        let mut json = serde_json::to_string_pretty(results)?;
        json.push('\n');
        self.replace("results.json", json.as_bytes())?;
        self.replace("results.csv", &csv(results)?)
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<()> {
        replace(&self.folder.join(name), bytes)
    }
}

/// Writes a file beside its place and moves it there: a reader sees the whole of the old or the whole of the new.
///
/// # Errors
/// If the folder cannot be written.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let new = path.with_added_extension("new");
    fs::write(&new, bytes)
        .and_then(|()| fs::rename(&new, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// The parts of a line, in the order of their columns.
const PARTS: [&str; 8] = [
    "cell",
    "repeats",
    "warm_up_s",
    "measure_s",
    "valid",
    "deliveries",
    "figures",
    "warnings",
];

/// One line for each cell, one column for each figure: its median, least and most. What was not measured is empty; what was
/// measured in no cell has no column, and without cells there is nothing.
pub fn csv(results: &Results) -> Result<Vec<u8>> {
    let mut rows = Vec::new();
    for cell in &results.cells {
        let mut columns = Vec::new();
        for (part, value) in [
            ("cell", serde_json::to_value(&cell.cell)?),
            ("repeats", serde_json::to_value(cell.repeats)?),
            ("warm_up_s", serde_json::to_value(cell.warm_up_s)?),
            ("measure_s", serde_json::to_value(cell.measure_s)?),
            ("valid", serde_json::to_value(cell.is_valid())?),
            ("deliveries", serde_json::to_value(cell.deliveries)?),
            ("figures", serde_json::to_value(&cell.figures)?),
        ] {
            flatten(part, &value, &mut columns);
        }
        let codes: Vec<_> = cell
            .warnings
            .iter()
            .map(|warning| warning.code.as_str())
            .collect();
        columns.push(("warnings".to_owned(), codes.join(" ")));
        rows.push(columns);
    }
    // A figure that one cell has and another has not is a column all the same, in the order of its first cell.
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in rows.iter().flatten() {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    // Stable: within a part the order is that of before.
    names.sort_by_key(|name| PARTS.iter().position(|part| is_of(name, part)));
    // A line without columns would be written as one with an empty one.
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&names)?;
    for row in &rows {
        let value = |name: &&str| {
            row.iter()
                .find(|(column, _)| column == name)
                .map_or("", |(_, value)| value)
        };
        writer.write_record(names.iter().map(value))?;
    }
    Ok(writer.into_inner()?)
}

fn is_of(name: &str, part: &str) -> bool {
    let rest = name.strip_prefix(part);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// `{"a":{"b":1}}` is the column `a.b`. What is absent has no columns: its parts, as `.median`, are not known.
fn flatten(name: &str, value: &Value, columns: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => {
            for (member, value) in members {
                flatten(&format!("{name}.{member}"), value, columns);
            }
        }
        Value::Null => {}
        Value::String(text) => columns.push((name.to_owned(), text.clone())),
        other => columns.push((name.to_owned(), other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Transport;
    use crate::sample;

    #[test]
    fn no_cells_are_no_lines() {
        let empty = csv(&sample::results(Vec::new())).expect("written");
        assert_eq!(empty, b"");
    }

    #[test]
    fn a_figure_that_one_cell_lacks_has_no_column_beside_its_parts() {
        let cells = vec![sample::idle(Transport::Sse), sample::cell(Transport::Poll)];
        let text = String::from_utf8(csv(&sample::results(cells)).expect("written"));
        let text = text.expect("of UTF-8");
        let columns: Vec<&str> = text.lines().next().expect("a head").split(',').collect();
        let is_part = |name: &&&str| {
            let prefix = format!("{name}.");
            columns.iter().any(|other| other.starts_with(&prefix))
        };
        assert_eq!(columns.iter().find(is_part), None);
        assert!(columns.contains(&"figures.latency_p50_ms.median"));
        assert!(columns.contains(&"cell.poll_interval_s"));
        assert_eq!(columns.last(), Some(&"warnings"));
        let widths: Vec<usize> = text.lines().map(|line| line.split(',').count()).collect();
        assert_eq!(widths, [columns.len(); 3]);
    }
}
