//! What is planned, and how long it takes.

use super::axes::{TRANSPORTS, delay, steady};
use super::*;
use crate::cell::Network;
use crate::label::{self, Only};

fn plan(depth: Depth, change: impl FnOnce(&mut Choice)) -> Plan {
    let mut choice = Choice::default();
    change(&mut choice);
    Plan::new(depth, &choice)
}

#[test]
fn a_gateway_with_tls_only_has_as_much_to_do() {
    let quick = plan(Depth::Quick, |_| ());
    let over_tls = quick.clone().over_tls();
    assert_eq!(over_tls.cells.len(), quick.cells.len());
    let usual = plan(Depth::Usual, |_| ()).over_tls();
    let is_http2 = |planned: &Planned| planned.cell.protocol == Protocol::Http2Tls;
    assert!(usual.cells.iter().all(is_http2));
    for (index, planned) in usual.cells.iter().enumerate() {
        let before = &usual.cells[..index];
        assert!(before.iter().all(|other| other.cell != planned.cell));
    }
}

#[test]
fn a_slow_network_warms_up_until_messages_come_through() {
    let slow = plan(Depth::Quick, |choice| {
        choice.networks = vec![delay(150.0, 15.0, None)]
    });
    for planned in &slow.cells {
        let warm_up = planned.timing.warm_up;
        assert!(warm_up >= Duration::from_millis(660), "{planned:?}");
    }
}

#[test]
fn the_plans_keep_to_their_time() {
    let (quick, usual) = (plan(Depth::Quick, |_| ()), plan(Depth::Usual, |_| ()));
    assert!(
        estimate(&quick.cells) <= Duration::from_secs(29),
        "quick takes {:?}",
        estimate(&quick.cells)
    );
    assert!(
        estimate(&usual.cells) <= Duration::from_secs(170),
        "the default takes {:?}",
        estimate(&usual.cells)
    );
    for plan in [&quick, &usual] {
        for transport in TRANSPORTS {
            let cells = plan
                .cells
                .iter()
                .filter(|planned| planned.cell.transport == transport);
            assert!(cells.count() >= 3, "{transport} is measured");
        }
    }
}

#[test]
fn no_cell_is_planned_twice() {
    for depth in [Depth::Quick, Depth::Usual, Depth::Full] {
        let plan = plan(depth, |_| ());
        let mut labels: Vec<_> = plan
            .cells
            .iter()
            .map(|planned| label::of(&planned.cell))
            .collect();
        labels.sort();
        let count = labels.len();
        labels.dedup();
        assert_eq!(labels.len(), count, "{depth:?}");
    }
}

#[test]
fn the_full_matrix_has_every_combination_that_differs() {
    // Networks, protocols, four rates with three sizes and idle with one, subscribers; and per combination two
    // WebSockets, SSE, long poll and three short polls.
    assert_eq!(
        plan(Depth::Full, |_| ()).cells.len(),
        6 * 3 * (4 * 3 + 1) * 3 * 7
    );
}

#[test]
fn a_choice_makes_a_matrix_of_what_was_chosen() {
    let plan = plan(Depth::Usual, |choice| {
        choice.only = vec![
            Only::Transport(Transport::Sse),
            Only::Transport(Transport::Poll),
        ];
        choice.rates = vec![steady(1.0), steady(10.0)];
        choice.intervals = vec![0.2, 5.0];
    });
    let labels: Vec<_> = plan
        .cells
        .iter()
        .map(|planned| label::of(&planned.cell))
        .collect();
    let expected = [
        "sse h1, 1/s, 32 B, 100 subscribers",
        "poll h1, 1/s, 32 B, 100 subscribers, every 0.2 s",
        "poll h1, 1/s, 32 B, 100 subscribers, every 5 s",
        "sse h1, 10/s, 32 B, 100 subscribers",
        "poll h1, 10/s, 32 B, 100 subscribers, every 0.2 s",
        "poll h1, 10/s, 32 B, 100 subscribers, every 5 s",
    ];
    assert_eq!(labels, expected);
}

#[test]
fn only_takes_of_the_selection() {
    let of = |only| plan(Depth::Quick, |choice| choice.only = vec![only]);
    let sse = of(Only::Transport(Transport::Sse));
    assert!(
        sse.cells.len() == 3
            && sse
                .cells
                .iter()
                .all(|planned| planned.cell.transport == Transport::Sse)
    );
    let h2 = of(Only::Protocol(Protocol::Http2Tls));
    assert!(
        h2.cells.len() == 4
            && h2
                .cells
                .iter()
                .all(|planned| planned.cell.protocol == Protocol::Http2Tls)
    );
}

#[test]
fn slow_cells_are_measured_for_longer() {
    let plan = plan(Depth::Usual, |choice| choice.rates = vec![steady(0.5)]);
    assert_eq!(plan.cells[0].timing.measure, Duration::from_secs(4));
}

#[test]
fn beats_are_far_from_the_ends_of_a_window() {
    for depth in [Depth::Quick, Depth::Usual, Depth::Full] {
        let plan = plan(depth, |choice| {
            choice.rates = vec![Rate::Idle];
            choice.networks = vec![Network::Loopback];
            choice.only = vec![Only::Transport(Transport::Sse)];
        });
        for planned in &plan.cells {
            assert_eq!(planned.timing.warm_up.subsec_millis(), 500, "{planned:?}");
        }
        assert!(!plan.cells.is_empty());
    }
}

#[test]
fn polls_are_measured_for_whole_intervals_after_one() {
    let plan = plan(Depth::Quick, |choice| choice.intervals = vec![0.2, 5.0]);
    let polls = plan
        .cells
        .iter()
        .filter(|planned| planned.cell.transport == Transport::Poll);
    let seconds = polls.map(|planned| {
        [planned.timing.warm_up, planned.timing.measure].map(|time| time.as_secs_f64())
    });
    let seconds: Vec<_> = seconds.collect();
    assert_eq!(seconds.len(), 2);
    assert!(
        (seconds[0][1] - 0.6).abs() < 1e-9 && seconds[0][0] >= 0.2,
        "{seconds:?}"
    );
    assert_eq!(seconds[1], [5.0, 5.0]);
}

#[test]
fn the_protocol_that_a_case_is_judged_by_is_measured_at_rest() {
    for depth in [Depth::Quick, Depth::Usual] {
        let plan = plan(depth, |_| ());
        let has = |transport, protocol, is_idle| {
            plan.cells.iter().any(|planned| {
                let cell = &planned.cell;
                (cell.transport, cell.protocol) == (transport, protocol)
                    && (cell.rate == Rate::Idle) == is_idle
            })
        };
        for planned in &plan.cells {
            let (transport, protocol) = (planned.cell.transport, planned.cell.protocol);
            assert!(has(transport, protocol, true), "{depth:?}: {planned:?}");
            assert!(has(transport, protocol, false), "{depth:?}: {planned:?}");
        }
    }
}

#[test]
fn pings_of_http2_go_into_an_idle_window_as_often_wherever_they_begin() {
    let plan = plan(Depth::Usual, |_| ());
    let mut windows = plan.cells.iter().filter(|planned| {
        (planned.cell.rate, planned.cell.protocol) == (Rate::Idle, Protocol::Http2Tls)
            && planned.cell.transport != Transport::Poll
    });
    assert!(windows.all(|planned| planned.timing.measure == Duration::from_secs(4)));
}

#[test]
fn a_quick_look_has_the_messages_of_a_p99_in_every_cell_that_publishes() {
    let plan = plan(Depth::Quick, |_| ());
    for planned in plan.cells {
        let messages = planned.cell.rate.per_s()
            * planned.timing.measure.as_secs_f64()
            * planned.repeats as f64;
        assert!(
            planned.cell.rate == Rate::Idle || messages >= 20.0,
            "{planned:?}"
        );
    }
}
