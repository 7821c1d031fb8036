//! Who may import whom. The table is the one of docs/ARCHITECTURE.md; this holds both of them to the code.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The sources below a folder, with their paths from `src`.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Code without its tests and comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a source");
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The table in the document: a module and what it must never import.
fn table() -> BTreeMap<String, Vec<String>> {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ARCHITECTURE.md");
    let document = fs::read_to_string(document).expect("docs/ARCHITECTURE.md");
    let rows = document
        .lines()
        .skip_while(|line| *line != "| module | must never import |")
        .skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    let names = |cell: &str| {
        cell.split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let mut table = BTreeMap::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        for module in names(cells[0]) {
            table.insert(module, names(cells[1]));
        }
    }
    table
}

/// True if the code names a module of this crate, or a crate.
fn imports(code: &str, name: &str) -> bool {
    let inside = [
        format!("crate::{name}::"),
        format!("crate::{name};"),
        format!("crate::{name},"),
        format!("crate::{{{name}"),
    ];
    let outside = [
        format!("use {name}::"),
        format!(" {name}::"),
        format!("({name}::"),
        format!("<{name}::"),
    ];
    let is_crate = !src().join(format!("{name}.rs")).exists() && !src().join(name).exists();
    inside.iter().any(|pattern| code.contains(pattern))
        || (is_crate && outside.iter().any(|pattern| code.contains(pattern)))
}

#[test]
fn no_module_imports_what_it_must_not() {
    let table = table();
    assert!(table.len() > 8, "the table was read: {table:?}");
    let mut broken = Vec::new();
    for (module, forbidden) in &table {
        let root = src().join(module);
        let mut files = Vec::new();
        if root.is_dir() {
            sources(&root, &mut files);
        } else {
            files.push(src().join(format!("{module}.rs")));
        }
        for file in files {
            let code = code(&file);
            let bad = forbidden.iter().filter(|name| imports(&code, name));
            broken.extend(bad.map(|name| format!("{} imports {name}", file.display())));
        }
    }
    assert!(
        broken.is_empty(),
        "see the table in docs/ARCHITECTURE.md:\n{}",
        broken.join("\n")
    );
}

#[test]
fn every_module_is_in_the_table() {
    let table = table();
    let is_free = |name: &str| matches!(name, "lib" | "main" | "cli");
    for entry in fs::read_dir(src()).expect("src") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        assert!(
            is_free(&name) || table.contains_key(&name),
            "{name} is not in the table of docs/ARCHITECTURE.md"
        );
    }
}

#[test]
fn the_check_sees_an_import() {
    assert!(imports("use crate::http::Body;", "http"));
    assert!(imports("let x = serde_json::to_vec(y);", "serde_json"));
    assert!(!imports("use crate::https::Body;", "http"));
}

#[test]
fn no_task_is_spawned_past_the_tracker_and_no_queue_is_unbounded() {
    let mut files = Vec::new();
    sources(&src(), &mut files);
    for file in files {
        let code = code(&file);
        let name = file
            .strip_prefix(src())
            .expect("below src")
            .to_string_lossy()
            .into_owned();
        // The command line and the client are programs of their own, with nothing to drain.
        let may_spawn = name.starts_with("cli/") || name.starts_with("client/");
        assert!(
            may_spawn || !code.contains("tokio::spawn("),
            "{name} spawns a task that nobody waits for"
        );
        assert!(
            !code.contains("unbounded_channel"),
            "{name} has a queue without a bound"
        );
        assert!(
            !code.contains("std::time::Instant"),
            "{name} reads a clock that tests cannot stop"
        );
    }
}

#[test]
fn the_document_is_short() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ARCHITECTURE.md");
    let lines = fs::read_to_string(document)
        .expect("docs/ARCHITECTURE.md")
        .lines()
        .count();
    assert!(lines <= 120, "docs/ARCHITECTURE.md has {lines} lines");
}
