//! What is ordinary agrees, and what is not differs.

use super::*;
use crate::cell::tests::cell;
use crate::cell::{Network, Protocol, Rate, Transport};

fn figure(value: f64) -> Option<Figure> {
    Figure::of(vec![value])
}

/// A second with ten messages to ten thousand clients, of a gateway of our own.
fn measured() -> Measured {
    Measured {
        measure: Duration::from_secs(1),
        messages: 10.0,
        delivered: 100_000,
        repeats: 3,
        is_watched: true,
        others_share: 0.0,
    }
}

/// Whether the only figure differs from what is expected.
fn differs_in(cell: &Cell, figures: &Figures) -> bool {
    let expected = expectations(cell, figures, &measured());
    assert!(!expected.is_empty(), "something is expected");
    expected.iter().any(|expected| expected.differs)
}

/// Whether a median latency differs, where there is hardly any work.
fn differs(cell: &Cell, p50_ms: f64) -> bool {
    let figures = Figures {
        latency_p50_ms: figure(p50_ms),
        ..Figures::default()
    };
    differs_in(cell, &figures)
}

fn delayed(transport: Transport) -> Cell {
    Cell {
        transport,
        network: Network::Delay {
            one_way_ms: 50.0,
            jitter_ms: 0.0,
            bits_per_s: None,
        },
        ..cell()
    }
}

fn idle(transport: Transport) -> Cell {
    Cell {
        transport,
        rate: Rate::Idle,
        ..cell()
    }
}

#[test]
fn a_stream_takes_one_transit() {
    let cell = delayed(Transport::Sse);
    assert_eq!(
        [50.1, 51.9, 48.0, 53.0].map(|ms| differs(&cell, ms)),
        [false, false, true, true]
    );
}

#[test]
fn jitter_is_half_of_itself_in_the_middle() {
    let mut cell = delayed(Transport::WebSocket);
    cell.network = Network::Delay {
        one_way_ms: 50.0,
        jitter_ms: 20.0,
        bits_per_s: None,
    };
    assert_eq!(
        [61.0, 71.0, 55.0, 74.0].map(|ms| differs(&cell, ms)),
        [false, false, true, true]
    );
}

#[test]
fn a_long_poll_takes_up_to_three() {
    let cell = delayed(Transport::LongPoll);
    assert_eq!(
        [51.0, 150.0, 160.0].map(|ms| differs(&cell, ms)),
        [false, false, true]
    );
}

#[test]
fn a_tolerance_has_the_unit_of_its_figure() {
    let figures = Figures {
        idle_bytes_per_hour: figure(1152.0),
        resume_ms: figure(1.0),
        ..Figures::default()
    };
    let expected = expectations(&idle(Transport::WebSocket), &figures, &measured());
    let said: Vec<&str> = expected
        .iter()
        .filter_map(|expected| expected.why.rsplit_once("; tolerance "))
        .map(|(_, tolerance)| tolerance)
        .collect();
    assert_eq!(said, ["1.00 ms", "173 B"]);
}

/// Whether a p50 differs, with so much work for each message on either side.
fn differs_with_work(cell: &Cell, p50_ms: f64, server_ms: f64, load_ms: f64) -> bool {
    let figures = Figures {
        latency_p50_ms: figure(p50_ms),
        server_cpu_us_per_message: figure(server_ms * 1000.0 / cell.subscribers as f64),
        load_cpu_share: figure(load_ms / 100.0),
        ..Figures::default()
    };
    differs_in(cell, &figures)
}

#[test]
fn who_is_in_the_middle_waits_for_half_of_the_work() {
    let cell = Cell {
        subscribers: 1000,
        ..cell()
    };
    // Both sides, one after the other, are 8 ms of it.
    assert_eq!(
        [5.0, 8.0, 12.0].map(|ms| differs_with_work(&cell, ms, 10.0, 6.0)),
        [false, false, true]
    );
}

#[test]
fn many_subscribers_are_no_excuse_for_what_is_no_work() {
    let cell = Cell {
        subscribers: 1000,
        ..cell()
    };
    assert!(!differs_with_work(&cell, 0.6, 1.0, 0.5));
    assert!(differs_with_work(&cell, 4.0, 1.0, 0.5));
}

#[test]
fn the_last_of_a_burst_waits_for_those_before() {
    let cell = Cell {
        rate: Rate::Bursts {
            size: 10,
            every_s: 1.0,
        },
        ..cell()
    };
    assert_eq!(
        [6.0, 12.0].map(|ms| differs_with_work(&cell, ms, 1.0, 0.2)),
        [false, true]
    );
}

#[test]
fn a_short_poll_takes_half_its_interval_more() {
    let cell = Cell {
        poll_interval_s: Some(1.0),
        subscribers: 100,
        ..delayed(Transport::Poll)
    };
    assert_eq!(
        [550.0, 552.0, 540.0, 565.0].map(|ms| differs(&cell, ms)),
        [false, false, true, true]
    );
}

#[test]
fn phases_of_few_clients_leave_more_to_chance() {
    let cell = Cell {
        poll_interval_s: Some(1.0),
        ..Cell {
            transport: Transport::Poll,
            ..cell()
        }
    };
    let differs = |p50_ms: f64, delivered: u64| {
        let figures = Figures {
            latency_p50_ms: figure(p50_ms),
            ..Figures::default()
        };
        let measured = Measured {
            delivered,
            ..measured()
        };
        expectations(&cell, &figures, &measured)[0].differs
    };
    assert!(!differs(520.0, 100), "a hundred draws");
    assert!(differs(520.0, 10_000), "ten thousand draws");
}

#[test]
fn the_slowest_of_many_waits_for_more_than_half_of_an_interval() {
    let cell = Cell {
        transport: Transport::Poll,
        poll_interval_s: Some(1.0),
        ..cell()
    };
    let differs = |longest_ms: f64, delivered: u64| {
        let figures = Figures {
            latency_max_ms: figure(longest_ms),
            ..Figures::default()
        };
        let measured = Measured {
            delivered,
            ..measured()
        };
        expectations(&cell, &figures, &measured)[0].differs
    };
    assert_eq!(
        [995.0, 1020.0, 400.0].map(|ms| differs(ms, 300)),
        [false, true, true]
    );
    assert!(!differs(400.0, 6), "six may all be lucky");
}

#[test]
fn on_a_slow_line_a_page_takes_as_long_as_all_its_messages() {
    // Ten messages of 32 bytes, with what is around them, are 19 kbit.
    let cell = Cell {
        transport: Transport::Poll,
        poll_interval_s: Some(1.0),
        network: Network::Delay {
            one_way_ms: 10.0,
            jitter_ms: 0.0,
            bits_per_s: Some(1e5),
        },
        ..cell()
    };
    assert_eq!(
        [510.0, 695.0, 720.0].map(|ms| differs(&cell, ms)),
        [false, false, true]
    );
}

#[test]
fn a_short_poll_cannot_ask_more_often_than_it_is_answered() {
    let cell = Cell {
        poll_interval_s: Some(0.02),
        subscribers: 100,
        ..delayed(Transport::Poll)
    };
    // It asks every 100 ms: a message waits for half of that, and takes one way. All clients ask at the same time, so that
    // thirty messages are thirty draws.
    assert_eq!(
        [100.0, 85.0, 60.0, 140.0].map(|ms| differs(&cell, ms)),
        [false, false, true, true]
    );
    let bursts = Cell {
        rate: Rate::Bursts {
            size: 10,
            every_s: 1.0,
        },
        ..cell.clone()
    };
    assert!(
        !differs(&bursts, 140.0),
        "one burst in each repeat may meet any moment"
    );
    let figures = |requests: f64| Figures {
        requests_per_message: figure(requests),
        ..Figures::default()
    };
    assert_eq!(
        [1.0, 0.85, 0.7, 5.0].map(|requests| differs_in(&cell, &figures(requests))),
        [false, false, true, true]
    );
}

#[test]
fn a_start_over_loopback_takes_a_millisecond_and_another_within_tls() {
    let differs = |protocol: Protocol, ms: f64| {
        let figures = Figures {
            cold_start_ms: figure(ms),
            resume_ms: figure(ms),
            ..Figures::default()
        };
        let cell = Cell { protocol, ..cell() };
        let expected = expectations(&cell, &figures, &measured());
        assert_eq!(expected.len(), 2, "{expected:?}");
        expected.iter().all(|expected| expected.differs)
    };
    assert_eq!(
        [0.1, 0.9, 1.2].map(|ms| differs(Protocol::Http1, ms)),
        [false, false, true]
    );
    assert_eq!(
        [0.7, 1.9, 2.2].map(|ms| differs(Protocol::Http2Tls, ms)),
        [false, false, true]
    );
}

#[test]
fn a_start_from_afar_takes_two_round_trips() {
    let cell = delayed(Transport::Sse);
    let differs = |ms: f64| {
        let figures = Figures {
            cold_start_ms: figure(ms),
            ..Figures::default()
        };
        differs_in(&cell, &figures)
    };
    assert_eq!(
        [202.0, 198.0, 204.0].map(differs),
        [false, true, true],
        "the proxy's timers are late by up to a millisecond each way"
    );
}

#[test]
fn where_others_are_at_work_each_side_may_wait_for_its_turn() {
    let differs = |others_share: f64, p50_ms: f64, longest_ms: f64| {
        let figures = Figures {
            latency_p50_ms: figure(p50_ms),
            latency_max_ms: figure(longest_ms),
            cold_start_ms: figure(p50_ms - 500.0),
            ..Figures::default()
        };
        let cell = Cell {
            transport: Transport::Poll,
            poll_interval_s: Some(1.0),
            ..cell()
        };
        let measured = Measured {
            delivered: 1_000_000,
            others_share,
            ..measured()
        };
        let expected = expectations(&cell, &figures, &measured);
        expected.iter().filter(|expected| expected.differs).count()
    };
    assert_eq!(differs(0.0, 503.0, 1020.0), 3);
    assert_eq!(differs(1.5, 503.0, 1020.0), 0);
    assert_eq!(differs(1.5, 507.0, 1040.0), 3);
}

#[test]
fn counts_are_those_of_the_messages_that_were_planned() {
    // Of 2.4 messages a second, two fit into a second.
    let cell = Cell {
        transport: Transport::Poll,
        rate: Rate::Steady { per_s: 2.4 },
        poll_interval_s: Some(1.0),
        ..cell()
    };
    let differs = |per_message: f64| {
        let figures = Figures {
            requests_per_message: figure(per_message),
            connections_per_message: figure(0.5),
            ..Figures::default()
        };
        let measured = Measured {
            messages: 2.0,
            ..measured()
        };
        let expected = expectations(&cell, &figures, &measured);
        assert_eq!(expected.len(), 2, "{expected:?}");
        expected.iter().any(|expected| expected.differs)
    };
    assert_eq!(
        [0.5, 0.52, 1.0 / 2.4, 0.58].map(differs),
        [false, false, true, true]
    );
}

#[test]
fn of_a_gateway_elsewhere_no_times_are_known() {
    let figures = Figures {
        latency_p50_ms: figure(30.0),
        cold_start_ms: figure(90.0),
        requests_per_message: figure(0.0),
        ..Figures::default()
    };
    let measured = Measured {
        is_watched: false,
        ..measured()
    };
    let expected = expectations(&cell(), &figures, &measured);
    let names: Vec<_> = expected.iter().map(|expected| &*expected.figure).collect();
    assert_eq!(names, ["requests_per_message"]);
}

#[test]
fn a_payload_that_is_sent_twice_differs() {
    let limits = count::payload(&cell());
    assert!(!held(&limits, 32.0).differs);
    assert!(held(&limits, 64.0).differs);
}

#[test]
fn an_idle_websocket_has_a_ping_and_a_pong() {
    let limits = idle::bytes(&idle(Transport::WebSocket), &measured()).expect("it can be counted");
    assert_eq!(limits.from, 1152.0);
}

#[test]
fn an_answer_from_afar_wakes_up_a_client_once_more() {
    let wakeups = |cell: &Cell| {
        let cell = Cell {
            rate: Rate::Idle,
            poll_interval_s: Some(1.0),
            ..cell.clone()
        };
        let limits = idle::wakeups(&cell, &Line::of(&cell), &measured()).expect("it wakes up");
        (limits.from, limits.to)
    };
    assert_eq!(wakeups(&idle(Transport::Poll)), (60.0, 60.0));
    assert_eq!(wakeups(&delayed(Transport::Poll)), (120.0, 120.0));
}
