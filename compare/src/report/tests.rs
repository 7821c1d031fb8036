use std::path::Path;

use super::*;
use crate::cell::{Network, Protocol, Rate, Transport};
use crate::condition::{Choice, Condition};
use crate::results::{CellResult, Expectation, Skipped, Warning};
use crate::sample::{cell, exactly, four, idle, invalid, results};
use crate::text;

const HOSTILE: &str =
    "<script>alert('1')</script> | [x](javascript:y) & \"q\" `c`\n# not a heading \u{1b}[2J";

fn page(results: &Results) -> String {
    let page = html(results);
    well_formed(&page);
    page
}

/// Fails if a page or a plot is not well-formed, or asks for anything from elsewhere.
fn well_formed(text: &str) {
    let options = roxmltree::ParsingOptions {
        allow_dtd: true,
        ..roxmltree::ParsingOptions::default()
    };
    let document = roxmltree::Document::parse_with_options(text, options)
        .unwrap_or_else(|error| panic!("{error}: {text}"));
    for node in document.descendants().filter(|node| node.is_element()) {
        for attribute in node.attributes() {
            let outside =
                attribute.value().contains("//") || attribute.value().contains("javascript:");
            assert!(
                !outside,
                "{} {}={}",
                node.tag_name().name(),
                attribute.name(),
                attribute.value()
            );
        }
        assert!(!["script", "link", "img", "iframe", "object"].contains(&node.tag_name().name()));
        if node.tag_name().name() == "svg" {
            let names: Vec<&str> = node
                .children()
                .map(|child| child.tag_name().name())
                .collect();
            assert_eq!(names[..2], ["title", "desc"]);
        }
    }
    assert!(
        !text.contains("NaN") && !text.contains("inf\""),
        "a number has no place: {text}"
    );
}

fn every_text_hostile() -> Results {
    let mut all = four();
    let hostile = || HOSTILE.to_owned();
    all.started_at = hostile();
    all.command = hostile();
    all.machine.processor = hostile();
    all.machine.kernel = hostile();
    all.machine.placement = hostile();
    all.gateway.server = hostile();
    all.gateway.url = Some(hostile());
    all.warnings.push(hostile());
    all.skipped.push(Skipped {
        what: hostile(),
        why: hostile(),
    });
    all.cells[0].warnings.push(Warning {
        code: hostile(),
        message: hostile(),
        invalidates: true,
    });
    all.cells[1].expected.push(expectation(&hostile(), true));
    all
}

fn expectation(text: &str, differs: bool) -> Expectation {
    Expectation {
        figure: text.to_owned(),
        from: 1.0,
        to: 2.0,
        measured: 7.0,
        why: text.to_owned(),
        differs,
    }
}

/// Several of everything that is varied, so that every plot is drawn.
fn rich() -> Results {
    let mut cells = Vec::new();
    let mut add = |change: &dyn Fn(&mut CellResult)| {
        for transport in Transport::ALL {
            let mut cell = cell(transport);
            change(&mut cell);
            cells.push(cell);
        }
    };
    add(&|_| ());
    add(&|result| result.cell.protocol = Protocol::Http2Tls);
    add(&|result| result.cell.subscribers = 1000);
    add(&|result| result.cell.payload_bytes = 16_384);
    add(&|result| result.cell.rate = Rate::Steady { per_s: 100.0 });
    add(&|result| {
        result.cell.rate = Rate::Bursts {
            size: 64,
            every_s: 1.0,
        }
    });
    add(&|result| {
        result.cell.network = Network::Loss {
            percent: 1.0,
            one_way_ms: 10.0,
        }
    });
    cells.extend(Transport::ALL.map(idle));
    results(cells)
}

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
    HTTP/1.1, 10/s, 32 B, 1 subscriber, loopback; * least
    ────────────────────────────────────────────────────────────────────────────────────────────────
     transport             p50      p99    down      up       req    idle   wakes      CPU   memory
                            ms       ms   B/msg   B/msg      /msg    kB/h    /min   µs/msg      KiB
    ────────────────────────────────────────────────────────────────────────────────────────────────
     WebSocket          *0.060   *0.120    *131   *1.00   *0.0020   *1.20   *2.40     5.00     3.00
     SSE                 0.070    0.140     150   *1.00   *0.0020    9.80   *2.40     6.00     9.00
     long poll           0.100    0.200     460     200      1.00    97.0    2.40     20.0     10.0
     invalid
     short poll (1 s)      500    1,000     162    20.0     0.100   1,500    60.0    *4.00    *2.00
    ────────────────────────────────────────────────────────────────────────────────────────────────

    ────────────────────────────────────────────────────────────────────────────────────────────────────
     case            take                            then
    ────────────────────────────────────────────────────────────────────────────────────────────────────
     chat            WebSocket                       SSE at 1.48 × the cost; unknown: long poll
     notifications   WebSocket                       SSE at 3.76 × the cost; unknown: long poll
     dashboard       WebSocket or short poll (1 s)   short poll (1 s) at 1.04 × the cost, which is
                                                     level; unknown: long poll
     game            WebSocket                       the others are out: clients must send over it and
                                                     cannot (SSE, long poll, short poll (1 s))
     trading         cannot say                      nothing was measured with 50 messages/s or more,
                                                     on loopback
     live stream     cannot say                      nothing was measured with 0.5 messages/s or more,
                                                     100 subscribers or more, on loopback
     mobile          cannot say                      nothing was measured with 0.1 to 20 messages/s,
                                                     over a delayed network
    ────────────────────────────────────────────────────────────────────────────────────────────────────
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
    | transport | p50, ms | p99, ms | p99.9, ms | down, B/msg | up, B/msg | requests, /msg | idle traffic, kB/h | wake-ups, /min | server CPU, µs/msg | memory, KiB/client |
    | WebSocket | **0.060** (0.054–0.072) | **0.120** (0.108–0.144) | **0.240** (0.216–0.288) | **131** | **1.00** | **0.0020** | **1.20** | **2.40** | 5.00 | 3.00 |
    | SSE | 0.070 (0.063–0.084) | 0.140 (0.126–0.168) | 0.280 (0.252–0.336) | 150 | **1.00** | **0.0020** | 9.80 | **2.40** | 6.00 | 9.00 |
    | long poll | 0.100 (0.090–0.120) | 0.200 (0.180–0.240) | 0.400 (0.360–0.480) | 460 | 200 | 1.00 | 97.0 | **2.40** | 20.0 | 10.0 |
    | short poll (1 s) | 500 (450–600) | 1,000 (900–1,200) | 2,000 (1,800–2,400) | 162 | 20.0 | 0.100 | 1,500 | 60.0 | **4.00** | **2.00** |
    | case | take | then | what decided |
    | chat | WebSocket | SSE at 1.48 × the cost | server memory per client 3.00 KiB against 9.00 KiB; requests per message 0.0020 against 0.102; bytes per message 132 B against 151 B |
    | notifications | WebSocket | SSE at 3.76 × the cost | idle bytes per hour 1.20 kB against 9.80 kB; server memory per client 3.00 KiB against 9.00 KiB |
    | dashboard | WebSocket or short poll (1 s) | short poll (1 s) at 1.04 × the cost, which is level | bytes per message 132 B against 182 B; server CPU per message 5.00 µs against 4.00 µs |
    | game | WebSocket | the others are out: clients must send over it and cannot (SSE, long poll, short poll (1 s)) | p99 latency 120 µs, bytes per message 132 B, server CPU per message 5.00 µs |
    | trading | cannot say | nothing was measured with 50 messages/s or more, on loopback |  |
    | live stream | cannot say | nothing was measured with 0.5 messages/s or more, 100 subscribers or more, on loopback |  |
    | mobile | cannot say | nothing was measured with 0.1 to 20 messages/s, over a delayed network |  |
    | transport | latency | traffic | server load | client complexity |
    | WebSocket | low → low: p50 latency 60.0 µs, p99 latency 120 µs | low → low: bytes per message 132 B, idle bytes per hour 1.20 kB | medium → low: server CPU per message 5.00 µs, server memory per client 3.00 KiB | high → low: requests per message 0.0020, connections per message 0.0020 |
    | SSE | low → low: p50 latency 70.0 µs, p99 latency 140 µs | low → low: bytes per message 151 B, idle bytes per hour 9.80 kB | medium → low: server CPU per message 6.00 µs, server memory per client 9.00 KiB | low → low: requests per message 0.0020, connections per message 0.0020 |
    | long poll | medium → low: p50 latency 100 µs, p99 latency 200 µs | medium → medium: bytes per message 660 B, idle bytes per hour 97.0 kB | high → medium: server CPU per message 20.0 µs, server memory per client 10.0 KiB | medium → high: requests per message 1.00, connections per message 0.0020 |
    | short poll | high → high: p50 latency 500 ms, p99 latency 1.00 s | high → low: bytes per message 182 B, idle bytes per hour 1.50 MB | high → low: server CPU per message 4.00 µs, server memory per client 2.00 KiB | low → high: requests per message 0.100, connections per message 0.0020 |
    "#);
}

#[test]
fn nothing_of_the_results_is_taken_for_markup() {
    let html = page(&every_text_hostile());
    assert!(
        !html.contains("<script") && html.contains("&lt;script&gt;alert"),
        "{html}"
    );
    let text = markdown(&every_text_hostile());
    assert!(
        !text.contains("<script") && !text.contains("\n# not a heading") && !text.contains("[x]("),
        "{text}"
    );
    let columns = |line: &str| line.replace("\\|", "").matches('|').count();
    for table in text.split("\n\n").filter(|part| part.starts_with('|')) {
        let first = table.lines().next().map(columns);
        assert!(
            table.lines().all(|line| Some(columns(line)) == first),
            "{table}"
        );
    }
}

#[test]
fn a_rich_run_has_every_plot() {
    let html = page(&rich());
    let count = html.matches("<svg").count();
    // One of traffic, two networks, two protocols, and four kinds of cost over rate and over subscribers or payload.
    assert_eq!(count, 1 + 2 + 2 + 8, "{count} plots");
    for transport in Transport::ALL {
        assert!(html.contains(plot::class(transport)));
    }
}

#[test]
fn the_plot_for_a_readme_stands_alone() {
    let svg = latency_traffic(&rich()).expect("a plot");
    well_formed(&svg);
    assert!(svg.contains("prefers-color-scheme: dark") && svg.contains("class=\"paper\""));
    assert!(svg.contains("short poll (1 s) over HTTP/1.1: p50 latency 500 ms, p99 latency 1.00 s, bytes per message 182 B."));
}

#[test]
fn nothing_measured_is_a_page_that_says_so() {
    let empty = results(Vec::new());
    assert!(page(&empty).contains("No cell was measured"));
    assert!(markdown(&empty).contains("No cell was measured"));
    assert_eq!(terminal(&empty), "No cell was measured.\n");
    assert_eq!(latency_traffic(&empty), None);
}

#[test]
fn a_single_cell_is_a_page_without_a_ranking() {
    for transport in Transport::ALL {
        let html = page(&results(vec![cell(transport)]));
        assert!(html.contains("cannot say"), "{transport:?}");
        page(&results(vec![idle(transport)]));
        page(&results(vec![invalid(cell(transport))]));
    }
}

#[test]
fn figures_of_nothing_are_drawn_at_the_edge() {
    let mut all = rich();
    for cell in &mut all.cells {
        cell.figures.latency_p50_ms = exactly(0.0);
        cell.figures.server_cpu_us_per_message = exactly(0.0);
        cell.latencies.truncate(1);
    }
    page(&all);
}

#[test]
fn invalid_cells_are_shown_and_neither_ranked_nor_drawn() {
    let mut all = four();
    all.cells[0] = invalid(all.cells[0].clone());
    let summary = summary::summary(&all).expect("a summary");
    assert!(!summary.rows[0].cell.is_valid());
    assert!(
        summary.rows[0]
            .figures
            .iter()
            .flatten()
            .all(|ranked| !ranked.is_least)
    );
    let html = page(&all);
    assert!(html.contains("1 cell invalid") && html.contains("the load used 97 % of its core"));
    let condition = Condition::reference(&all).expect("a condition");
    let plot = plot::traffic::plot(&all, &condition, 500.0, 300.0).expect("a plot");
    assert!(
        !plot.description.contains("WebSocket"),
        "{}",
        plot.description
    );
}

#[test]
fn a_part_of_a_run_says_so_at_the_top() {
    let mut all = four();
    assert!(!page(&all).contains("Not complete"));
    all.complete = false;
    let html = page(&all);
    assert!(html.find("Not complete") < html.find("id=\"summary\"") && html.contains("8 cells"));
}

#[test]
fn what_differs_from_arithmetic_comes_first_and_is_flagged() {
    let mut all = four();
    all.cells[0]
        .expected
        .push(expectation("latency_p50_ms", false));
    all.cells[2]
        .expected
        .push(expectation("bytes.down.payload", true));
    let html = page(&all);
    assert!(html.contains("1 of 2 figures lie where arithmetic puts them"));
    let expected = &html[html.find("id=\"expected\"").expect("a section")..];
    assert!(expected.find("bytes down payload") < expected.find("p50 latency"));
    assert!(expected.contains("1.00 B to 2.00 B") && expected.matches("differs").count() == 1);
}

#[test]
fn a_sentence_says_who_is_best_at_what() {
    let all = four();
    let summary = summary::summary(&all).expect("a summary");
    insta::assert_snapshot!(notes::in_short(&summary).unwrap_or_default(), @"WebSocket is the soonest (60.0 µs), needs the fewest bytes for a message (132 B), needs the fewest while waiting (1.20 kB an hour); short poll (1 s) costs the server the least CPU for a message (4.00 µs).");
    let one = results(vec![cell(Transport::Sse)]);
    assert_eq!(
        notes::in_short(&summary::summary(&one).expect("a summary")),
        None
    );
}

#[test]
fn the_adjectives_stand_beside_the_figures() {
    let all = four();
    let condition = Condition::reference(&all).expect("a condition");
    let words = |aspect| {
        adjective::judgements(&all, &condition, aspect).map(|judgement| {
            let measured = judgement.measured.expect("measured");
            (judgement.said.word(), measured.adjective.word())
        })
    };
    let latency = words(adjective::Aspect::Latency);
    assert_eq!(
        latency,
        [
            ("low", "low"),
            ("low", "low"),
            ("medium", "low"),
            ("high", "high")
        ]
    );
    let load = words(adjective::Aspect::ServerLoad);
    assert_eq!(
        load,
        [
            ("medium", "low"),
            ("medium", "low"),
            ("high", "medium"),
            ("high", "low")
        ]
    );
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
fn reports_replace_those_of_before_and_leave_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let names = |folder: &Path| {
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .expect("a folder")
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    };
    write(&four(), folder.path()).expect("written");
    assert_eq!(
        names(folder.path()),
        ["latency-traffic.svg", "report.html", "report.md"]
    );
    write(&results(Vec::new()), folder.path()).expect("written again");
    assert_eq!(names(folder.path()), ["report.html", "report.md"]);
    let missing = folder.path().join("missing");
    let error = write(&four(), &missing).expect_err("there is no such folder");
    assert!(error.to_string().contains("report.html"), "{error}");
}
