//! The tables, with exact figures.

use super::*;

#[test]
fn the_terminal_shows_figures_then_verdicts_then_doubts() {
    let mut all = four();
    all.complete = false;
    all.cells[2] = invalid(all.cells[2].clone());
    all.skipped.push(Skipped {
        what: "1 % loss".to_owned(),
        why: "network namespaces need root".to_owned(),
    });
    let text = terminal(&all);
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
    insta::assert_snapshot!(text, @r#"
    HTTP/1.1, 10/s, 32 B, 1 subscriber, loopback; * least, or level with it
    ──────────────────────────────────────────────────────────────────────────────────────────────────
     transport             p50      p99    down      up       req    idle     wakes      CPU   memory
                            ms       ms   B/msg   B/msg      /msg    kB/h   at rest   µs/msg      KiB
                                                                               /min
    ──────────────────────────────────────────────────────────────────────────────────────────────────
     WebSocket          *0.060   *0.120    *130      *0   *0.0020   *1.20     *2.40     5.00     3.00
     SSE                *0.070   *0.140     150    1.00   *0.0020    9.80     *2.40     6.00     9.00
     long poll           0.100    0.200     460     200      1.00    97.0      2.40     20.0     10.0
     invalid
     short poll (1 s)      500    1,000     162    20.0     0.100   1,500      60.0    *4.00    *2.00
    ──────────────────────────────────────────────────────────────────────────────────────────────────

    ────────────────────────────────────────────────────────────────────────────────────────────────────
     case            take                            then
    ────────────────────────────────────────────────────────────────────────────────────────────────────
     chat            WebSocket                       SSE at 1.48 × the cost; unknown: long poll
     notifications   WebSocket                       SSE at 3.76 × the cost; unknown: long poll
     dashboard       WebSocket or short poll (1 s)   short poll (1 s) at 1.05 × the cost, which is
                                                     level; unknown: long poll
     game            WebSocket                       the others are out: clients must send over it and
                                                     cannot (SSE, long poll, short poll (1 s))
     trading         cannot say                      nothing was measured with 50 messages/s or more,
                                                     evenly, on loopback
     live stream     cannot say                      nothing was measured with 0.5 messages/s or more,
                                                     evenly, 100 subscribers or more, on loopback
     mobile          cannot say                      nothing was measured with 0.1 to 20 messages/s,
                                                     evenly, over a delayed network
    ────────────────────────────────────────────────────────────────────────────────────────────────────
    cost: what a case weighs, each divided by the least and multiplied; best at everything is 1
    The run was interrupted, or is not over: this is a part of it, 8 cells.
    invalid: long poll, HTTP/1.1, 10/s, 32 B, 1 subscriber, loopback: the load used 97 % of its core
    skipped: 1 % loss: network namespaces need root
    "#);
}

#[test]
fn the_terminal_is_not_spoken_to() {
    let text = terminal(&every_text_hostile());
    assert!(!text.contains('\u{1b}') && text.contains("alert"), "{text}");
}

#[test]
fn the_markdown_has_the_tables() {
    let text = markdown(&four());
    let tables: Vec<&str> = text.lines().filter(|line| line.starts_with("| ")).collect();
    insta::assert_snapshot!(tables.join("\n"), @r#"
    | transport | p50, ms | p99, ms | p99.9, ms | down, B/msg | up, B/msg | handshake, B/conn | requests, /msg | idle, kB/h | wake-ups at rest, /min | CPU, µs/msg | memory, KiB/client |
    | WebSocket | **0.060** (0.054–0.072) | **0.120** (0.108–0.144) | **0.240** (0.216–0.288) | **130** | **0** | 1,000 | **0.0020** | **1.20** | **2.40** | 5.00 | 3.00 |
    | SSE | **0.070** (0.063–0.084) | **0.140** (0.126–0.168) | **0.280** (0.252–0.336) | 150 | 1.00 | **0** | **0.0020** | 9.80 | **2.40** | 6.00 | 9.00 |
    | long poll | 0.100 (0.090–0.120) | 0.200 (0.180–0.240) | 0.400 (0.360–0.480) | 460 | 200 | **0** | 1.00 | 97.0 | **2.40** | 20.0 | 10.0 |
    | short poll (1 s) | 500 (450–600) | 1,000 (900–1,200) | 2,000 (1,800–2,400) | 162 | 20.0 | **0** | 0.100 | 1,500 | 60.0 | **4.00** | **2.00** |
    | case | take | then | what decided | judged by |
    | chat | WebSocket | SSE at 1.48 × the cost | server memory per client 3.00 KiB against 9.00 KiB; requests per message 0.0020 against 0.0020 + 0.1 to send; bytes per message 130 B against 151 B | HTTP/1.1, 10/s, 32 B, 1 subscriber, loopback; best would be 1/s, 10 subscribers, 50 ms each way |
    | notifications | WebSocket | SSE at 3.76 × the cost | idle bytes per hour 1.20 kB against 9.80 kB; server memory per client 3.00 KiB against 9.00 KiB | HTTP/1.1, 10/s, 32 B, 1 subscriber, loopback; at rest HTTP/1.1, idle, 1 subscriber, loopback; best would be 1/s, 100 subscribers |
    | dashboard | WebSocket or short poll (1 s) | short poll (1 s) at 1.05 × the cost, which is level | bytes per message 130 B against 182 B; server CPU per message 5.00 µs against 4.00 µs | HTTP/1.1, 10/s, 32 B, 1 subscriber, loopback; best would be 10/s, 10 subscribers |
    | game | WebSocket | the others are out: clients must send over it and cannot (SSE, long poll, short poll (1 s)) | p99 latency 120 µs, bytes per message 130 B, server CPU per message 5.00 µs | HTTP/1.1, 10/s, 32 B, 1 subscriber, loopback; best would be 60/s, 10 subscribers |
    | trading | cannot say | nothing was measured with 50 messages/s or more, evenly, on loopback |  |  |
    | live stream | cannot say | nothing was measured with 0.5 messages/s or more, evenly, 100 subscribers or more, on loopback |  |  |
    | mobile | cannot say | nothing was measured with 0.1 to 20 messages/s, evenly, over a delayed network |  |  |
    | transport | latency | traffic | server load | requests |
    | WebSocket | low → low: p50 latency 60.0 µs (1.00 ×), p99 latency 120 µs (1.00 ×) | low → low: bytes per message 130 B (1.00 ×), idle bytes per hour 1.20 kB (1.00 ×) | medium → low: server CPU per message 5.00 µs (1.25 ×), server memory per client 3.00 KiB (1.50 ×) | low → low: requests per message 0.0020 (1.00 ×) |
    | SSE | low → low: p50 latency 70.0 µs (1.17 ×), p99 latency 140 µs (1.17 ×) | low → medium: bytes per message 151 B (1.16 ×), idle bytes per hour 9.80 kB (8.17 ×) | medium → medium: server CPU per message 6.00 µs (1.50 ×), server memory per client 9.00 KiB (4.50 ×) | low → low: requests per message 0.0020 (1.00 ×) |
    | long poll | medium → low: p50 latency 100 µs (1.67 ×), p99 latency 200 µs (1.67 ×) | medium → high: bytes per message 660 B (5.08 ×), idle bytes per hour 97.0 kB (80.8 ×) | high → medium: server CPU per message 20.0 µs (5.00 ×), server memory per client 10.0 KiB (5.00 ×) | medium → high: requests per message 1.00 (20.0 ×) |
    | short poll | high → high: p50 latency 500 ms (8,333 ×), p99 latency 1.00 s (8,333 ×) | high → high: bytes per message 182 B (1.40 ×), idle bytes per hour 1,500 kB (1,250 ×) | high → low: server CPU per message 4.00 µs (1.00 ×), server memory per client 2.00 KiB (1.00 ×) | high → low: requests per message 0.100 (2.00 ×) |
    "#);
}

#[test]
fn wake_ups_of_the_summary_are_those_at_rest_or_none() {
    let mut all = four();
    for cell in &mut all.cells[..4] {
        cell.figures.wakeups_per_minute = exactly(300.0);
    }
    let text = [page(&all), markdown(&all), terminal(&all)];
    assert!(text[0].contains("wake-ups at rest<small>/min</small>"));
    assert!(text[1].contains("| wake-ups at rest, /min |"));
    assert!(text[2].contains("at rest"));
    let shown = |results: &Results| {
        let summary = summary::summary(results).expect("a summary");
        let [first, ..] = &summary.rows[..] else {
            panic!("no rows")
        };
        let wakes = first.figure(crate::metric::Metric::WakeUps);
        wakes.map(|figure| figure.median)
    };
    assert_eq!(shown(&all), Some(2.4));
    all.cells.truncate(4);
    assert_eq!(shown(&all), None);
    assert!(!markdown(&all).contains("wake-ups at rest, /min"));
}

#[test]
fn a_plot_rounds_bytes_as_the_tables_do() {
    let mut one = cell(Transport::LongPoll);
    let figure = |value: f64| crate::results::Figure {
        median: value,
        min: value,
        max: value,
    };
    let bytes = one.figures.bytes.as_mut().expect("bytes");
    bytes.up.headers = figure(166.8);
    bytes.down.handshake = figure(27.2);
    bytes.down.headers = figure(82.4);
    bytes.down.framing = figure(3.3);
    let words = text::with_unit(
        crate::metric::Metric::Bytes,
        crate::metric::Metric::Bytes.of(&one).expect("bytes").median,
    );
    let html = page(&results(vec![one]));
    assert!(html.contains(&format!("{words}, and")), "{words}: {html}");
}

#[test]
fn the_reference_is_where_most_transports_were_measured() {
    let mut all = four();
    all.cells.truncate(2);
    all.cells.extend(Transport::ALL.map(|transport| {
        let mut cell = cell(transport);
        cell.cell.rate = Rate::Steady { per_s: 100.0 };
        cell
    }));
    let reference = Condition::reference(&all).expect("a condition");
    assert_eq!(reference.rate, Rate::Steady { per_s: 100.0 });
    assert_eq!(
        text::choice(&Choice::of(&reference.cells(&all)[3].cell)),
        "short poll (1 s)"
    );
}

#[test]
fn a_figure_that_one_transport_alone_has_is_not_marked() {
    let mut all = four();
    all.cells
        .retain(|cell| cell.cell.rate != Rate::Idle || cell.cell.transport == Transport::Poll);
    assert!(
        markdown(&all).contains("| 1,500 | 60.0 |"),
        "{}",
        markdown(&all)
    );
    assert!(!terminal(&all).contains("*1,500"));
}
