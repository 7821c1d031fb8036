//! The measuring code measures what is there: a mock with known figures goes through all of it, on a clock of its own.

use std::time::Duration;

use compare::cell::{Cell, Network, Protocol, Rate, Transport};
use compare::measure::Found;
use compare::pace;
use compare::results::{CellResult, Deliveries, Figure};
use compare::run::{self, Timing};

use super::mock::{self, Behaviour, Fate, Mock};

const SEED: u64 = 3;
const READERS: usize = 4;
const TIMING: Timing = Timing {
    warm_up: Duration::from_millis(500),
    measure: Duration::from_secs(10),
};

pub fn cell(per_s: f64) -> Cell {
    Cell {
        transport: Transport::LongPoll,
        protocol: Protocol::Http1,
        rate: Rate::Steady { per_s },
        payload_bytes: 40,
        subscribers: READERS,
        poll_interval_s: None,
        deflate: false,
        network: Network::Loopback,
    }
}

/// The result of some repeats, each of 1,000 messages that count for each reader.
pub async fn measured(behaviour: &Behaviour, repeats: usize) -> CellResult {
    measured_at(100.0, TIMING, behaviour, repeats).await
}

async fn measured_at(
    per_s: f64,
    timing: Timing,
    behaviour: &Behaviour,
    repeats: usize,
) -> CellResult {
    let cell = cell(per_s);
    let mut found = Found::nothing(cell.clone(), timing);
    for _ in 0..repeats {
        let mut rig = Mock::new(behaviour.clone());
        let outcome = run::once(&mut rig, &cell, "mock", &timing, SEED)
            .await
            .expect("a mock does not fail");
        found.add(&outcome);
    }
    found.result().expect("a repeat")
}

fn median(figure: Option<Figure>) -> f64 {
    let figure = figure.expect("it was measured");
    assert_eq!(
        (figure.min, figure.max),
        (figure.median, figure.median),
        "all repeats are the same"
    );
    figure.median
}

#[tokio::test(start_paused = true)]
async fn latencies_are_those_of_the_distribution() {
    // Messages 50 to 1049 count: every latency from 1 to 100 ms comes ten times for each reader.
    let behaviour = Behaviour {
        latency: |number| Duration::from_millis(u64::from(number % 100) + 1),
        ..Behaviour::default()
    };
    let result = measured(&behaviour, 2).await;
    let figures = &result.figures;
    assert_eq!(median(figures.latency_p50_ms), 50.0);
    assert_eq!(median(figures.latency_p90_ms), 90.0);
    assert_eq!(median(figures.latency_p99_ms), 99.0);
    assert_eq!(median(figures.latency_p999_ms), 100.0);
    assert_eq!(median(figures.latency_max_ms), 100.0);
    assert_eq!(
        result
            .latencies
            .iter()
            .map(|bucket| bucket.count)
            .sum::<u64>(),
        2 * 1000 * READERS as u64
    );
    let to_10_ms = result
        .latencies
        .iter()
        .filter(|bucket| bucket.up_to_ms <= 10.0);
    assert_eq!(
        to_10_ms.map(|bucket| bucket.count).sum::<u64>(),
        2 * 100 * READERS as u64
    );
}

#[tokio::test(start_paused = true)]
async fn costs_are_those_of_the_mock() {
    let result = measured(&Behaviour::default(), 2).await;
    let figures = &result.figures;
    let bytes = figures.bytes.expect("bytes");
    let kinds = [
        bytes.up.headers,
        bytes.up.framing,
        bytes.up.payload,
        bytes.down.headers,
        bytes.down.framing,
        bytes.down.payload,
    ];
    assert_eq!(
        kinds.map(|kind| median(Some(kind))),
        [60.0, 30.0, 0.0, 100.0, 160.0, 40.0]
    );
    assert_eq!(
        median(Some(bytes.up.handshake)),
        mock::HANDSHAKE_UP as f64 / 1000.0
    );
    assert_eq!(
        median(Some(bytes.down.handshake)),
        mock::HANDSHAKE_DOWN as f64 / 1000.0
    );
    assert_eq!(
        [bytes.up.wire, bytes.down.wire].map(|wire| median(Some(wire))),
        [90.5, 300.7]
    );
    assert_eq!(median(figures.packets_per_message), 2.0);
    assert_eq!(median(figures.requests_per_message), 1.0);
    assert_eq!(median(figures.connections_per_message), 0.001);
    assert_eq!(median(figures.server_cpu_us_per_message), 5.0);
    assert_eq!(median(figures.server_memory_kib_per_client), 3.0);
    assert_eq!(median(figures.achieved_per_s), 100.0);
    assert!((median(figures.load_cpu_share) - 0.1).abs() < 1e-6);
    assert_eq!(
        (median(figures.cold_start_ms), median(figures.resume_ms)),
        (0.4, 0.3)
    );
    assert!(result.is_valid(), "{:?}", result.warnings);
    assert!(
        result.expected.iter().all(|expected| !expected.differs),
        "{:#?}",
        result.expected
    );
}

#[tokio::test(start_paused = true)]
async fn a_rate_between_the_steps_is_held_against_what_was_planned() {
    let timing = Timing {
        measure: Duration::from_secs(1),
        ..TIMING
    };
    let result = measured_at(2.4, timing, &Behaviour::default(), 1).await;
    // Two messages fit into a second.
    assert_eq!(median(result.figures.connections_per_message), 0.5);
    let differing = result.expected.iter().find(|expected| expected.differs);
    assert_eq!(differing, None);
}

#[tokio::test(start_paused = true)]
async fn what_is_paid_once_is_divided_by_the_messages_that_count() {
    // The last message of the warm-up comes within the counted time.
    let behaviour = Behaviour {
        fate: |number, _| match number {
            49 => Fate::AfterTheNext,
            _ => Fate::Arrives,
        },
        ..Behaviour::default()
    };
    let result = measured(&behaviour, 1).await;
    let bytes = result.figures.bytes.expect("bytes");
    assert_eq!(median(result.figures.connections_per_message), 0.001);
    assert_eq!(median(Some(bytes.up.handshake)), 0.5);
    assert_eq!(median(Some(bytes.down.handshake)), 0.7);
}

#[tokio::test(start_paused = true)]
async fn every_message_that_goes_wrong_is_seen() {
    let behaviour = Behaviour {
        fate: |number, reader| match (number % 100, reader) {
            (10, 0) => Fate::Lost,
            (20, 1) => Fate::Twice,
            (30, 2) => Fate::Corrupted,
            (40, 3) => Fate::AfterTheNext,
            _ => Fate::Arrives,
        },
        ..Behaviour::default()
    };
    let result = measured(&behaviour, 1).await;
    // Ten of those that count never came and ten came corrupted, which is lost, too. The warm-up is checked as well, and
    // has one more of each.
    let expected = Deliveries {
        expected: 4000,
        delivered: 3980,
        lost: 20,
        repeated: 11,
        out_of_order: 11,
        corrupted: 11,
    };
    assert_eq!(result.deliveries, expected);
    let of_warm_up = "a client could not go on: 2 messages of the warm-up never came";
    assert!(
        result
            .warnings
            .iter()
            .any(|warning| warning.message == of_warm_up),
        "{:?}",
        result.warnings
    );
    assert!(!result.is_valid());
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_refused_is_no_loss() {
    let behaviour = Behaviour {
        fate: |number, _| match number {
            1049 => Fate::Lost,
            _ => Fate::Arrives,
        },
        refusal: Some("publishing failed: rate_limited"),
        ..Behaviour::default()
    };
    let (mut rig, cell) = (Mock::new(behaviour), cell(100.0));
    let outcome = run::once(&mut rig, &cell, "mock", &TIMING, SEED).await;
    let error = outcome.expect_err("a refusal");
    assert_eq!(error.to_string(), "publishing failed: rate_limited");
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_is_held_up_counts_as_latency() {
    let behaviour = Behaviour {
        held_up: |number| Duration::from_millis(if number == 500 { 95 } else { 0 }),
        ..Behaviour::default()
    };
    let result = measured(&behaviour, 1).await;
    // What should have gone out meanwhile went out when the publisher was free again.
    // Message 500 is number 450 of those that count.
    let moments = pace::moments(cell(100.0).rate, TIMING.measure, SEED);
    let free = moments[450] + Duration::from_millis(95);
    let late = moments[451..]
        .iter()
        .filter(|moment| **moment + Duration::from_millis(1) < free);
    let late = 1 + late.count() as u64;
    let above: u64 = result
        .latencies
        .iter()
        .filter(|bucket| bucket.up_to_ms > 2.0)
        .map(|bucket| bucket.count)
        .sum();
    assert_eq!(
        result.figures.latency_max_ms.expect("it was measured").max,
        96.0
    );
    assert!(
        late > 8 && above >= (late - 1) * READERS as u64,
        "{above} deliveries of {late} messages were late"
    );
}

#[tokio::test(start_paused = true)]
async fn a_chance_pause_among_many_messages_is_no_sleep() {
    let behaviour = Behaviour {
        held_up: |number| Duration::from_millis(if number == 500 { 300 } else { 0 }),
        ..Behaviour::default()
    };
    let result = measured(&behaviour, 1).await;
    assert_eq!(result.figures.wakeups_per_minute, None);
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_told_of_and_never_passed_make_a_cell_invalid() {
    let behaviour = Behaviour {
        headers_down: mock::WIRE_DOWN,
        ..Behaviour::default()
    };
    let result = measured(&behaviour, 1).await;
    assert_eq!(result.warnings[0].code, "bytes_overcounted");
    assert!(!result.is_valid());
}

#[tokio::test(start_paused = true)]
async fn a_load_at_its_limit_makes_a_cell_invalid() {
    let at = |load_share| Behaviour {
        load_share,
        ..Behaviour::default()
    };
    assert!(measured(&at(0.8), 1).await.is_valid());
    let result = measured(&at(0.9), 1).await;
    assert_eq!(result.warnings[0].code, "load_at_its_limit");
    assert!(!result.is_valid());
}
