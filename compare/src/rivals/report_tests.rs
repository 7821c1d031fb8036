//! A report of constructed rounds.

use super::super::results::{Contender, Method, SCHEMA_VERSION};
use super::super::rival::Rival;
use super::super::rounds::rows;
use super::super::series::{Series, Shares, Turn};
use super::super::targets::verdicts;
use super::*;
use crate::results::{Machine, Skipped};
use crowd::Kind;

fn results() -> RivalsResults {
    let series = |rival, values: [f64; 3], load| Series {
        rival,
        turns: values
            .map(|value| Turn {
                values: vec![value],
                late_shares: vec![0.015],
                shares: Some(Shares { load, waited: 0.02 }),
                kept_up: true,
            })
            .to_vec(),
        has_failed: false,
    };
    let all = [
        series(Rival::Everyway, [3.0, 9.0, 3.3], 0.4),
        series(Rival::Nchan, [6.0, 18.0, 6.0], 0.5),
        series(Rival::Ws, [12.0, 36.0, 12.0], 0.95),
    ];
    let rows = rows(&[Measure::CpuOneInFlight], Kind::WebSocket, &all);
    RivalsResults {
        schema_version: SCHEMA_VERSION,
        started_at: "2026-11-25T01:02:03Z".to_owned(),
        took_s: 12.0,
        command: "cargo run --release -p compare -- rivals".to_owned(),
        complete: true,
        machine: Machine {
            processor: "a processor".to_owned(),
            cores: 2,
            memory_gib: 24.0,
            kernel: "Linux 6.1".to_owned(),
            placement: "servers on core 0, load on core 1".to_owned(),
        },
        method: Method {
            subscribers: 1000,
            connections: 5000,
            payload_bytes: 128,
            rounds: 3,
            memory_rounds: 1,
            turn_s: 0.5,
            latency_warm_up_s: 1.0,
            latency_turn_s: 3.0,
            rate_per_s: 20.0,
        },
        contenders: vec![Contender {
            rival: Rival::Ws,
            version: "8.23.0".to_owned(),
            setup: Rival::Ws.setup().to_owned(),
        }],
        verdicts: verdicts(&rows),
        rows,
        skipped: vec![Skipped {
            what: "Socket.IO".to_owned(),
            why: "install Node.js".to_owned(),
        }],
    }
}

/// A line without the spaces that align it.
fn squeezed(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn tables_show_medians_spreads_ratios_and_doubts() {
    let markdown = markdown(&results());
    let lines: Vec<String> = markdown.lines().map(squeezed).collect();
    for expected in [
        "| WebSocket, CPU per delivery, one in flight, µs | Everyway | 3.30 (3.00–9.00) | 0.50 (0.50–0.55) | 1.00 (1.00–1.00) | 40.0 % | 1.5 % | 2.0 % |",
        "| | Nchan | 6.00 (6.00–18.00) | 1.00 (1.00–1.00) | 2.00 (1.82–2.00) | 50.0 % | 1.5 % | 2.0 % |",
        "| | Node ws (invalid) | 12.00 (12.00–36.00) | 2.00 (2.00–2.00) | 4.00 (3.64–4.00) | 95.0 % | 1.5 % | 2.0 % |",
        "| CPU per delivery, one in flight | WebSocket | ≤ 1.00 × | ≤ 0.90 × | 0.50 (0.50–0.55) × | goal reached |",
        "- Node ws, WebSocket, CPU per delivery, one in flight: the load used 95.0 % of its core in a round, so it may have been the bottleneck",
        "- skipped: Socket.IO: install Node.js",
        "1000 subscribers of one channel, payloads of 128 bytes; 3 rounds of 0.5 s of CPU time and 3 s of latency, after 1 s that do not count; memory with 5000 connections, rounds: 1. Medians (smallest–largest); ratios are taken round by round. Long polls have no bursts: a poll takes all that is there at once.",
        "cargo run --release -p compare -- rivals",
    ] {
        assert!(
            lines.iter().any(|line| line == expected),
            "{expected} is not in\n{markdown}"
        );
    }
}

#[test]
fn a_figure_tells_on_which_side_of_a_bound_it_lies() {
    let verdict = verdicts(&results().rows).remove(0);
    assert_eq!((verdict.must, verdict.goal), (1.0, 0.9));
    for (median, min, max, expected) in [
        (0.903, 0.85, 0.91, "0.903 (0.85–0.91) ×"),
        (0.9, 0.66, 0.897, "0.90 (0.66–0.897) ×"),
        (0.89996, 0.5, 1.004, "0.89996 (0.50–1.004) ×"),
        (0.9 - 1e-9, 0.9 + 1e-9, 1.0, "0.900000 (0.900000–1.00) ×"),
    ] {
        let figure = Figure { median, min, max };
        assert_eq!(beside_bounds(&figure, &verdict, 2, "×"), expected);
    }
    let (must, goal) = (4.0, 2.0);
    let memory = Verdict {
        must,
        goal,
        ..verdict
    };
    let figure = results().rows[0].value;
    let figure = Figure {
        min: 1.96,
        median: 3.0,
        ..figure
    };
    assert_eq!(
        beside_bounds(&figure, &memory, 1, "KiB"),
        "3.0 KiB (1.96–9.0)"
    );
}

#[test]
fn what_is_written_can_be_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let results = results();
    save(&results, folder.path()).unwrap();
    let written = fs::read_to_string(folder.path().join("rivals.json")).unwrap();
    assert_eq!(
        serde_json::from_str::<RivalsResults>(&written).unwrap(),
        results
    );
    let mut names: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["rivals.json", "rivals.md"]);
}
