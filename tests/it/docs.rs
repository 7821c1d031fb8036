//! The documents say what the code does: the tables that can be generated are compared with the code.

use std::fmt::Write as _;

use everyway::code::{Code, ComeBack};
use everyway::config::load::default_of;
use everyway::config::{Config, reference};

const PROTOCOL: &str = include_str!("../../docs/protocol.md");
const README: &str = include_str!("../../README.md");
const EXAMPLE: &str = include_str!("../../examples/everyway.toml");
const CONFIGURATION: &str = include_str!("../../docs/configuration.md");

#[test]
fn the_protocol_has_the_table_of_codes() {
    let table = codes_table();
    assert!(
        PROTOCOL.contains(&format!("\n\n{table}\n")),
        "the table of codes in docs/protocol.md is not that of src/code.rs. Put this in its place:\n\n{table}"
    );
}

#[test]
fn the_configuration_has_the_reference_of_all_settings() {
    let heading = CONFIGURATION.strip_suffix(&reference::markdown());
    let is_heading = |text: &str| {
        text.starts_with("# Configuration\n\n") && text.ends_with("\n\n") && !text.contains('|')
    };
    assert!(
        heading.is_some_and(is_heading),
        "docs/configuration.md is not a heading and the reference of all settings. Put in the place of its table what \
         this prints: cargo run -- check-config --reference"
    );
}

#[test]
fn the_example_has_all_settings_with_their_defaults() {
    assert!(
        EXAMPLE == reference::toml(),
        "examples/everyway.toml is not what this prints: cargo run -- check-config --example"
    );
    let lines = EXAMPLE.lines().map(|line| match line.strip_prefix('#') {
        // A comment begins with a space.
        Some(setting) if !setting.starts_with(' ') => setting,
        _ => "",
    });
    let settings = lines.collect::<Vec<_>>().join("\n");
    let all: Config = toml::from_str(&settings).expect("it can be used");
    assert_eq!(Config::keys().count(), settings.matches(" = ").count());
    assert_eq!(
        all.limits.channels_max,
        Config::default().limits.channels_max
    );
}

#[test]
fn the_readme_shows_keys_with_their_defaults() {
    let rows = README
        .lines()
        .skip_while(|line| *line != "| key | default | what it bounds or sets |")
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let mut count = 0;
    for row in rows {
        let cells: Vec<&str> = row.split('`').collect();
        let default = default_of(cells[1]).map(|value| value.to_string());
        assert_eq!(default.as_deref(), Some(cells[3]), "{row}");
        count += 1;
    }
    assert!(count > 5, "the table was found");
}

/// Whoever pastes block after block into one terminal has other jobs by then: `%1` is one of those, and `wait` waits for all.
#[test]
fn what_the_readme_starts_in_the_background_it_ends_by_its_name() {
    let blocks = README.split("```").skip(1).step_by(2);
    let mut count = 0;
    for block in blocks.filter(|block| block.contains(" & ") || block.contains(" &\n")) {
        for line in block
            .lines()
            .filter(|line| line.contains(" & ") || line.ends_with(" &"))
        {
            let (_, name) = line.split_once(" & ").expect(line);
            let (name, _) = name.split_once("=$!").expect(line);
            assert!(block.contains(&format!("kill \"${name}\"")), "{line}");
            count += 1;
        }
    }
    assert!(count >= 4, "the blocks were found");
    assert!(!README.contains("%1") && !README.contains("wait;"));
}

/// One row for each code, in the order of the enum.
fn codes_table() -> String {
    let mut table = String::from(
        "| code | WebSocket close | HTTP status | may come back | meaning |\n|---|---|---|---|---|\n",
    );
    for code in Code::ALL {
        let or_dash =
            |number: Option<u16>| number.map_or("–".to_owned(), |number| number.to_string());
        let (close, status) = (
            or_dash(code.close()),
            or_dash(code.status().map(|s| s.as_u16())),
        );
        let come_back = match code.come_back() {
            ComeBack::No => "no",
            ComeBack::Now => "yes",
            ComeBack::AfterDelay => "after the delay",
            ComeBack::WithNewToken => "with a new token",
        };
        let (name, meaning) = (code.as_str(), code.meaning().trim());
        // Writing to a String cannot fail.
        let _ = writeln!(
            table,
            "| `{name}` | {close} | {status} | {come_back} | {meaning} |"
        );
    }
    table
}
