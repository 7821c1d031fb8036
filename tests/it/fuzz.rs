//! What the fuzz targets check, on random input that is close to what is well formed, in every test run.

#[path = "../../fuzz/checks/command.rs"]
mod command;
#[path = "../../fuzz/checks/cursor.rs"]
mod cursor;
#[path = "../../fuzz/checks/route.rs"]
mod route;

use std::path::Path;

use proptest::prelude::*;

use super::support::cases;

const CASES: u32 = 4_000;

#[test]
fn cursors_are_read_or_refused() {
    const PIECES: &[&str] = &[
        "a",
        "b",
        "news",
        "room:1",
        " ",
        "\n",
        "a b\n",
        "now",
        "earliest",
        "@",
        ",",
        "~",
        ".",
        "k",
        "k.1",
        "k.9007199254740991",
        "k.9007199254740992",
        "~fhj3NzEb~",
        "@bob=20x",
        "%",
        "é",
    ];
    run("cursor", PIECES, cursor::check);
}

#[test]
fn request_heads_are_read_or_refused() {
    const PIECES: &[&str] = &[
        "GET ",
        "POST ",
        "/v1/ws",
        "/v1/sse",
        "/v1/poll",
        "/v1/longpoll",
        "/v1/publish",
        "/v1/history",
        "?",
        "&",
        "=",
        "+",
        "%6e",
        "%ff",
        "%",
        "channel=a",
        "channel=b",
        "&channel=c",
        "&channel=d",
        "&cursor=now",
        "&cursor=a@k.1",
        "&limit=0",
        "&limit=1001",
        "&wait=55",
        "&wait=1e9",
        "&wait=.",
        "&wait=9999999999999999999999",
        "&user=x",
        "&session=0123456789abcdef",
        "&order=asc",
        "\n",
        "\nlast-event-id: k.1",
        "\nif-none-match: \"k.1\"",
        "\nif-none-match: *",
        "\norigin: \u{e9}",
        "\nidempotency-key: ",
        "\nidempotency-key: x",
        "\ncontent-type: ;",
        "/metrics",
        "#",
    ];
    run("route", PIECES, route::check);
}

#[test]
fn commands_are_read_or_refused() {
    const PIECES: &[&str] = &[
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        " ",
        "\t",
        "\"",
        "\\",
        "\\\"",
        "\\ud800",
        "\\u00e9",
        "null",
        "1e999",
        "-0",
        "1.50",
        "\"action\":",
        "\"publish\"",
        "\"subscribe\"",
        "\"history\"",
        "\"channel\":\"a\"",
        "\"channel\":\"@a\"",
        "\"data\":",
        "\"base64\":",
        "\"/wA=\"",
        "\"ref\":",
        "\"key\":",
        "\"cursor\":",
        "\"limit\":",
        "\"order\":\"asc\"",
        "18446744073709551616",
        "[[[[[[[[[[",
        "]]]]]]]]]]",
        "é",
    ];
    run("command", PIECES, command::check);
}

#[test]
fn payloads_stay_what_they_were() {
    let command = json().prop_map(|data| {
        let command = serde_json::json!({"action": "publish", "channel": "a", "data": data});
        serde_json::to_string_pretty(&command).unwrap()
    });
    cases::check(CASES, &command, |command| {
        command::check(command.as_bytes())
    });
}

/// Any JSON, with strings that look like what is between strings.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let text = || r#"[ \t\n"\\\[\]{}:,aé]{0,8}"#;
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<f64>().prop_map(serde_json::Value::from),
        text().prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::btree_map(text(), inner, 0..4)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

/// Runs a check on the seeds, on what is near a seed, on what is made of pieces, and on any bytes.
fn run(target: &str, pieces: &'static [&'static str], check: fn(&[u8])) {
    let seeds = read_seeds(target);
    seeds.iter().for_each(|seed| check(seed));
    let input = prop_oneof![
        4 => near(seeds, pieces),
        3 => prop::collection::vec(piece(pieces), 0..16).prop_map(|pieces| pieces.concat()),
        1 => prop::collection::vec(any::<u8>(), 0..64),
    ];
    cases::check(CASES, &input, |input| check(&input));
}

fn read_seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(target);
    let mut paths: Vec<_> = (std::fs::read_dir(&folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect();
    // The order of a directory is nobody's, and a seed has to give the same cases everywhere.
    paths.sort();
    assert!(!paths.is_empty(), "there are no seeds for {target}");
    paths
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

fn piece(pieces: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        9 => prop::sample::select(pieces).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ]
}

/// A seed in which some spans were replaced.
fn near(seeds: Vec<Vec<u8>>, pieces: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let place = any::<prop::sample::Index>();
    let edits = prop::collection::vec((place, 0..6_usize, piece(pieces)), 1..4);
    (prop::sample::select(seeds), edits).prop_map(|(mut text, edits)| {
        for (place, length, piece) in edits {
            let start = place.index(text.len() + 1);
            let end = text.len().min(start + length);
            text.splice(start..end, piece);
        }
        text
    })
}
