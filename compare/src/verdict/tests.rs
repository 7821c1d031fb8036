use super::case::{CASES, Case};
use super::*;
use crate::cell::{Network, Protocol, Rate, Transport};
use crate::results::CellResult;
use crate::sample::{cell, exactly, four, idle, invalid, results};
use crate::text;

const CHAT: usize = 0;
const NOTIFICATIONS: usize = 1;
const DASHBOARD: usize = 2;
const GAME: usize = 3;
const TRADING: usize = 4;
const LIVE: usize = 5;
const MOBILE: usize = 6;

fn verdict(case: usize, cells: Vec<CellResult>) -> Verdict {
    let case: &'static Case = &CASES[case];
    judge(case, &results(cells))
}

fn changed(transports: &[Transport], change: impl Fn(&mut CellResult)) -> Vec<CellResult> {
    let mut cells: Vec<CellResult> = transports
        .iter()
        .map(|&transport| cell(transport))
        .collect();
    cells.iter_mut().for_each(change);
    cells
}

/// The transports that are ranked, the best first.
fn ranking(verdict: &Verdict) -> Vec<Transport> {
    let ranked = verdict
        .contenders
        .iter()
        .filter(|contender| contender.cost().is_some());
    ranked.map(|contender| contender.choice.transport).collect()
}

fn at_rate(per_s: f64) -> impl Fn(&mut CellResult) {
    move |result| result.cell.rate = Rate::Steady { per_s }
}

fn far(result: &mut CellResult) {
    result.cell.network = Network::Delay {
        one_way_ms: 50.0,
        jitter_ms: 10.0,
        bits_per_s: None,
    };
}

use Transport::{LongPoll, Poll, Sse, WebSocket};

#[test]
fn chat_counts_the_requests_for_sending() {
    let verdict = verdict(CHAT, changed(&Transport::ALL, at_rate(1.0)));
    assert_eq!(ranking(&verdict)[..2], [WebSocket, Sse]);
    let requests = |index: usize| {
        verdict.contenders[index]
            .figure(Metric::Requests)
            .map(|figure| figure.median)
    };
    // What was measured, and apart from it what was not.
    assert_eq!((requests(0), requests(1)), (Some(0.002), Some(0.002)));
    let posts = [0, 1].map(|index| verdict.contenders[index].posts_beside(Metric::Requests));
    assert_eq!(posts, [0.0, 0.1]);
    let Answer::Take {
        runner_up: Some(second),
    } = &verdict.answer
    else {
        panic!("{:?}", verdict.answer)
    };
    let requests = second
        .decided
        .iter()
        .find(|decisive| decisive.metric == Metric::Requests);
    // A fifth of the weights; 0.05 is the floor.
    let factor = requests.map(|decisive| decisive.factor).unwrap_or_default();
    assert!(
        (factor - (0.102_f64 / 0.05).powf(0.2)).abs() < 1e-9,
        "{factor}"
    );
}

#[test]
fn notifications_are_decided_by_waiting() {
    let mut cells = changed(&Transport::ALL, at_rate(1.0));
    cells.extend(Transport::ALL.map(idle));
    let verdict = verdict(NOTIFICATIONS, cells);
    assert_eq!(ranking(&verdict), [WebSocket, Sse, LongPoll, Poll]);
    let Answer::Take {
        runner_up: Some(second),
    } = &verdict.answer
    else {
        panic!("{:?}", verdict.answer)
    };
    // Idle bytes at half of the weight, memory at a quarter.
    let ratio = (9800.0_f64 / 1200.0).powf(0.5) * 3.0_f64.powf(0.25);
    assert!((second.ratio - ratio).abs() < 1e-9, "{}", second.ratio);
    assert_eq!(second.decided[0].metric, Metric::IdleBytes);
    assert_eq!(
        (second.decided[0].first, second.decided[0].second),
        (1200.0, 9800.0)
    );
}

/// Busy cells of all transports over both protocols, and idle ones over these.
fn at_rest_over(protocols: &[Protocol]) -> Vec<CellResult> {
    let over_tls = |result: &mut CellResult| result.cell.protocol = Protocol::Http2Tls;
    let mut cells = changed(&Transport::ALL, over_tls);
    cells.extend(Transport::ALL.map(cell));
    for protocol in protocols {
        cells.extend(Transport::ALL.map(|transport| {
            let mut idle = idle(transport);
            idle.cell.protocol = *protocol;
            idle
        }));
    }
    cells
}

#[test]
fn what_waiting_costs_is_judged_by_idle_cells_of_the_same_protocol() {
    let protocols_of = |cells: Vec<CellResult>| {
        let verdict = verdict(NOTIFICATIONS, cells);
        let busy = verdict.condition.expect("something fits").protocol;
        assert!(matches!(verdict.answer, Answer::Take { .. }), "{verdict:?}");
        let idle: Vec<Protocol> = verdict.at_rest.iter().map(|idle| idle.protocol).collect();
        (busy, idle)
    };
    // Without idle cells over TLS it is judged by what was measured, though TLS comes before none.
    let plain = protocols_of(at_rest_over(&[Protocol::Http1]));
    assert_eq!(plain, (Protocol::Http1, vec![Protocol::Http1]));
    let both = protocols_of(at_rest_over(&[Protocol::Http1, Protocol::Http2Tls]));
    assert_eq!(both, (Protocol::Http2Tls, vec![Protocol::Http2Tls]));
}

#[test]
fn of_a_gateway_elsewhere_three_cases_cannot_be_judged() {
    // Neither CPU time nor memory is seen, and nothing at rest but short polls.
    let unseen = |result: &mut CellResult| {
        result.cell.subscribers = 100;
        result.figures.server_cpu_us_per_message = None;
        result.figures.server_memory_kib_per_client = None;
    };
    let mut cells = changed(&Transport::ALL, unseen);
    cells.extend(changed(&Transport::ALL, |result| {
        unseen(result);
        far(result);
    }));
    cells.extend(changed(&Transport::ALL, |result| {
        unseen(result);
        result.cell.rate = Rate::Steady { per_s: 100.0 };
    }));
    let mut polls = idle(Poll);
    unseen(&mut polls);
    cells.push(polls);
    let silent: Vec<&str> = all(&results(cells))
        .iter()
        .filter(|verdict| matches!(verdict.answer, Answer::CannotSay(_)))
        .map(|verdict| verdict.case.name)
        .collect();
    assert_eq!(silent, ["notifications", "live stream", "mobile"]);
}

#[test]
fn idle_cells_of_another_protocol_judge_nothing() {
    let mut cells = at_rest_over(&[Protocol::Http1]);
    cells.retain(|result| {
        (result.cell.protocol == Protocol::Http2Tls) != (result.cell.rate == Rate::Idle)
    });
    let verdict = verdict(NOTIFICATIONS, cells);
    assert!(
        matches!(&verdict.answer, Answer::CannotSay(why) if why.contains("most of what it weighs")),
        "{verdict:?}"
    );
    assert_eq!(verdict.at_rest, []);
}

#[test]
fn a_dashboard_does_not_notice_half_a_second() {
    assert_eq!(ranking(&judge(&CASES[DASHBOARD], &four()))[0], WebSocket);
    let mut cells = changed(&Transport::ALL, |_| ());
    cells[3].figures.server_cpu_us_per_message = exactly(1.0);
    assert_eq!(ranking(&verdict(DASHBOARD, cells))[0], Poll);
}

#[test]
fn a_game_wants_to_send_and_to_be_in_time() {
    let fast = verdict(GAME, changed(&Transport::ALL, at_rate(60.0)));
    assert_eq!(
        (ranking(&fast), &fast.answer),
        (vec![WebSocket], &Answer::Take { runner_up: None })
    );
    let at = |p99_ms: f64| {
        let cells = changed(&Transport::ALL, |result| {
            result.cell.rate = Rate::Steady { per_s: 60.0 };
            result.figures.latency_p99_ms = exactly(p99_ms);
        });
        verdict(GAME, cells).answer
    };
    assert_eq!(at(50.0), Answer::Take { runner_up: None });
    assert_eq!(at(50.1), Answer::Nobody);
}

#[test]
fn a_game_needs_no_cells_of_who_cannot_send() {
    assert_eq!(
        verdict(GAME, changed(&[WebSocket], |_| ())).answer,
        Answer::Take { runner_up: None }
    );
}

#[test]
fn trading_is_decided_by_the_slowest() {
    let mut cells = changed(&Transport::ALL, at_rate(100.0));
    let verdict_of = |cells: &[CellResult]| ranking(&verdict(TRADING, cells.to_vec()));
    assert_eq!(verdict_of(&cells), [WebSocket, Sse, LongPoll]);
    cells[0].figures.latency_p999_ms = exactly(9.0);
    assert_eq!(verdict_of(&cells), [Sse, LongPoll, WebSocket]);
}

#[test]
fn a_live_stream_speaks_of_many_subscribers_only() {
    let few = verdict(
        LIVE,
        changed(&Transport::ALL, |result| result.cell.subscribers = 99),
    );
    assert!(
        matches!(&few.answer, Answer::CannotSay(why) if why.contains("100 subscribers or more")),
        "{few:?}"
    );
    let many = verdict(
        LIVE,
        changed(&Transport::ALL, |result| result.cell.subscribers = 100),
    );
    assert_eq!(ranking(&many)[..2], [Poll, WebSocket]);
}

#[test]
fn mobile_wants_a_delayed_network_and_what_waiting_costs() {
    assert!(matches!(
        judge(&CASES[MOBILE], &four()).answer,
        Answer::CannotSay(_)
    ));
    let mut cells = changed(&Transport::ALL, far);
    let without_idle = verdict(MOBILE, cells.clone());
    assert_eq!(
        without_idle.unmeasured,
        [Metric::WakeUps, Metric::IdleBytes]
    );
    assert!(
        matches!(&without_idle.answer, Answer::CannotSay(why) if why.contains("most of what it weighs"))
    );
    cells.extend(Transport::ALL.map(idle));
    let with_idle = verdict(MOBILE, cells);
    assert_eq!(ranking(&with_idle), [WebSocket, Sse, LongPoll, Poll]);
}

#[test]
fn what_is_close_is_level() {
    let at = |factor: f64| {
        let mut cells = changed(&[WebSocket, Sse], |_| ());
        cells[1].figures = cells[0].figures.clone();
        cells[1].figures.server_cpu_us_per_message = exactly(5.0 * factor);
        let Answer::Take { runner_up } = verdict(DASHBOARD, cells).answer else {
            panic!("nothing to take")
        };
        runner_up.map(|second| (second.choice.transport, second.level))
    };
    // CPU is two fifths of the weights: 1.1 to the power of 2.5 is 1.269.
    assert_eq!(
        [at(1.0), at(1.26), at(1.28)],
        [
            Some((Sse, Level::Close)),
            Some((Sse, Level::Close)),
            Some((Sse, Level::Apart))
        ]
    );
}

#[test]
fn a_spread_that_reaches_the_first_is_level_too() {
    let mut cells = changed(&[WebSocket, Sse], |_| ());
    cells[1].figures.server_cpu_us_per_message = Some(Figure {
        median: 50.0,
        min: 1.0,
        max: 60.0,
    });
    let Answer::Take {
        runner_up: Some(second),
    } = verdict(DASHBOARD, cells).answer
    else {
        panic!("nothing to take")
    };
    assert_eq!(second.level, Level::Blurred, "{second:?}");
}

#[test]
fn invalid_cells_count_for_nothing() {
    let mut cells = changed(&Transport::ALL, |_| ());
    cells[0] = invalid(cells[0].clone());
    let verdict = verdict(DASHBOARD, cells.clone());
    assert_eq!(ranking(&verdict), [Poll, Sse, LongPoll]);
    let last = &verdict.contenders[3];
    assert!(
        matches!(&last.standing, Standing::Unknown(why) if why.contains("97 %")),
        "{last:?}"
    );

    let all_invalid = cells.into_iter().map(invalid).collect();
    assert!(matches!(
        super::judge(&CASES[DASHBOARD], &results(all_invalid)).answer,
        Answer::CannotSay(_)
    ));
}

#[test]
fn nobody_wins_because_the_others_are_invalid() {
    let mut cells = changed(&Transport::ALL, at_rate(100.0));
    for unmeasurable in [0, 1] {
        cells[unmeasurable] = invalid(cells[unmeasurable].clone());
    }
    // Short polls are too late for it, so long polls are alone.
    let verdict = verdict(TRADING, cells);
    assert_eq!(ranking(&verdict), [LongPoll]);
    assert!(
        matches!(&verdict.answer, Answer::CannotSay(why) if why.starts_with("only long poll")),
        "{verdict:?}"
    );
}

#[test]
fn one_transport_alone_is_no_comparison() {
    let alone = verdict(DASHBOARD, changed(&[Sse], |_| ()));
    assert!(
        matches!(&alone.answer, Answer::CannotSay(why) if why.starts_with("only SSE")),
        "{alone:?}"
    );
    assert_eq!(
        alone.contenders.len(),
        4,
        "the others are said to be unknown"
    );
}

#[test]
fn what_nobody_measured_counts_for_nobody() {
    let blind = verdict(
        DASHBOARD,
        changed(&Transport::ALL, |result| {
            result.figures.server_cpu_us_per_message = None
        }),
    );
    assert_eq!(ranking(&blind)[0], WebSocket);
    assert!(blind.contenders[0].figure(Metric::Cpu).is_none());
    assert_eq!(blind.unmeasured, [Metric::Cpu]);

    let mut cells = changed(&Transport::ALL, |_| ());
    cells[0].figures.server_cpu_us_per_message = None;
    let partly = verdict(DASHBOARD, cells);
    let standing = partly
        .contenders
        .iter()
        .find(|contender| contender.choice.transport == WebSocket);
    assert!(
        matches!(
            standing.map(|contender| &contender.standing),
            Some(Standing::Unknown(_))
        ),
        "{partly:?}"
    );
}

#[test]
fn nothing_measured_is_nothing_said() {
    for verdict in all(&results(Vec::new())) {
        assert!(
            matches!(verdict.answer, Answer::CannotSay(_)),
            "{}",
            verdict.case.name
        );
    }
}

#[test]
fn the_rules_are_said_as_they_are() {
    let case = &CASES[MOBILE];
    assert_eq!(
        format!(
            "{} | {} | {}",
            case.setting.in_words(),
            case.setting.best_in_words(),
            case.rule()
        ),
        "0.1 to 20 messages/s, evenly, over a delayed network | 1/s, one subscriber, 50 ms each way | Must: p99 latency at most 10.0 s. Weighed: 2 × wake-ups per minute \
         at rest (at least 0.100), 1 × idle bytes per hour (at least 1.00 kB), 1 × bytes per message, 1 × time to resume \
         (at least 100 ms)."
    );
    assert!(text::choice(&Choice::of(&cell(Poll).cell)).contains("1 s"));
}

/// The condition that a case takes of all four transports, once for each change.
fn taken_of(case: usize, changes: &[&dyn Fn(&mut CellResult)]) -> Condition {
    let cells = changes
        .iter()
        .flat_map(|change| changed(&Transport::ALL, change));
    let verdict = verdict(case, cells.collect());
    verdict.condition.expect("something fits")
}

#[test]
fn bursts_speak_for_no_case() {
    let bursts = |result: &mut CellResult| {
        result.cell.rate = Rate::Bursts {
            size: 64,
            every_s: 1.0,
        }
    };
    // On average they are nearer to what a game sends than what was measured beside them.
    let taken = taken_of(GAME, &[&bursts, &at_rate(200.0)]);
    assert_eq!(taken.rate, Rate::Steady { per_s: 200.0 });
    let alone = verdict(GAME, changed(&Transport::ALL, bursts));
    assert!(matches!(alone.answer, Answer::CannotSay(_)), "{alone:?}");
}

#[test]
fn of_delayed_networks_the_one_near_50_ms_is_taken() {
    let delayed = |one_way_ms: f64| {
        move |result: &mut CellResult| {
            far(result);
            result.cell.network = Network::Delay {
                one_way_ms,
                jitter_ms: 0.0,
                bits_per_s: None,
            };
        }
    };
    for case in [CHAT, MOBILE] {
        let taken = taken_of(case, &[&delayed(10.0), &delayed(150.0), &delayed(50.0)]);
        assert_eq!(taken.network.one_way_ms(), 50.0);
    }
}

#[test]
fn trading_takes_cells_that_have_its_percentile() {
    let few = |result: &mut CellResult| {
        at_rate(100.0)(result);
        result.figures.latency_p999_ms = None;
    };
    let many = |result: &mut CellResult| {
        at_rate(100.0)(result);
        result.cell.subscribers = 100;
    };
    assert_eq!(taken_of(TRADING, &[&few, &many]).subscribers, 100);
}

#[test]
fn of_equally_near_conditions_the_one_that_measured_more_is_taken() {
    let without_memory = |result: &mut CellResult| {
        at_rate(1.0)(result);
        result.figures.server_memory_kib_per_client = None;
    };
    let with_memory = |result: &mut CellResult| {
        at_rate(1.0)(result);
        result.cell.subscribers = 100;
    };
    assert_eq!(
        taken_of(CHAT, &[&without_memory, &with_memory]).subscribers,
        100
    );
}

#[test]
fn the_smallest_payload_comes_before_tls() {
    let large_over_tls = |result: &mut CellResult| {
        (result.cell.payload_bytes, result.cell.protocol) = (1024, Protocol::Http1Tls);
    };
    let over_tls = |result: &mut CellResult| result.cell.protocol = Protocol::Http1Tls;
    let plain = |_: &mut CellResult| ();
    assert_eq!(
        taken_of(DASHBOARD, &[&large_over_tls, &plain]).payload_bytes,
        32
    );
    let taken = taken_of(DASHBOARD, &[&plain, &over_tls]);
    assert_eq!(taken.protocol, Protocol::Http1Tls);
}

#[test]
fn all_that_are_level_are_named() {
    let mut cells = changed(&Transport::ALL, |_| ());
    for index in [1, 2] {
        cells[index].figures = cells[0].figures.clone();
    }
    // Its spread reaches the first, though it is last.
    cells[3].figures.server_cpu_us_per_message = Some(Figure {
        median: 500.0,
        min: 0.1,
        max: 600.0,
    });
    let verdict = verdict(DASHBOARD, cells);
    let taken: Vec<Transport> = verdict
        .taken()
        .iter()
        .map(|choice| choice.transport)
        .collect();
    assert_eq!(taken, [WebSocket, Sse, LongPoll, Poll]);
    let blurred = verdict.blurred();
    assert_eq!(blurred.len(), 1, "{blurred:?}");
    assert_eq!(blurred[0].transport, Poll);
}

#[test]
fn half_of_what_is_weighed_has_to_be_measured() {
    let at = |change: fn(&mut CellResult)| verdict(GAME, changed(&Transport::ALL, change)).answer;
    // Latency weighs two of four, and is needed for the limit, too.
    let half = at(|result| {
        result.figures.server_cpu_us_per_message = None;
        result.figures.bytes = None;
    });
    assert_eq!(half, Answer::Take { runner_up: None });
    let live = verdict(
        LIVE,
        changed(&Transport::ALL, |result| {
            result.cell.subscribers = 100;
            result.figures.server_cpu_us_per_message = None;
            result.figures.server_memory_kib_per_client = None;
        }),
    );
    assert!(
        matches!(live.answer, Answer::CannotSay(_)),
        "two of five: {live:?}"
    );
}
