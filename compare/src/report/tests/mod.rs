mod adjectives;
mod tables;
mod words;

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
fn three_networks_are_drawn_and_one_condition_with_compression() {
    let with = |networks: usize, compressed: usize| {
        let mut cells = Vec::new();
        for index in 0..networks {
            let mut result = cell(Transport::Sse);
            result.cell.network = Network::Delay {
                one_way_ms: index as f64,
                jitter_ms: 0.0,
                bits_per_s: None,
            };
            cells.push(result);
        }
        for index in 1..=compressed {
            let mut result = cell(Transport::WebSocket);
            result.cell.payload_bytes = index * 1024;
            result.cell.rate = Rate::Steady { per_s: 1.0 };
            result.cell.deflate = true;
            cells.push(result);
        }
        let html = page(&results(cells));
        [" id=\"latency-", " id=\"bytes-"].map(|id| html.matches(id).count() / 2)
    };
    // The first of the plots of latency is that against traffic; the first of bytes is that of the reference.
    assert_eq!([with(3, 0), with(4, 0)], [[4, 1], [4, 1]]);
    assert_eq!([with(1, 1)[1], with(1, 2)[1]], [2, 2]);
}

#[test]
fn the_plot_for_a_readme_stands_alone() {
    let svg = latency_traffic(&rich()).expect("a plot");
    well_formed(&svg);
    assert!(svg.contains("prefers-color-scheme: dark") && svg.contains("class=\"paper\""));
    assert!(svg.contains("short poll (1 s) over HTTP/1.1: p50 latency 500 ms, p99 latency 1.00 s, bytes per message 182 B."));
}

#[test]
fn the_protocols_of_the_plot_are_told_apart_by_marks_and_a_key() {
    let svg = latency_traffic(&rich()).expect("a plot");
    let document = roxmltree::Document::parse(&svg).expect("a drawing");
    let named = |class: &str| {
        let nodes = document.descendants();
        nodes
            .filter(|node| node.attribute("class") == Some(class))
            .count()
    };
    // One for each transport over HTTP/2 with TLS, and one in the key; names are those of one protocol only.
    assert_eq!((named("open"), named("name")), (5, 4));
    assert!(svg.contains("HTTP/2 + TLS"));
}

#[test]
fn plots_of_the_same_protocol_name_their_payload() {
    let mut cells = vec![cell(Transport::WebSocket), cell(Transport::Sse)];
    let mut compressed = cell(Transport::WebSocket);
    (compressed.cell.payload_bytes, compressed.cell.deflate) = (1024, true);
    cells.push(compressed);
    let html = page(&results(cells));
    for payload in ["32 B", "1 KiB"] {
        assert!(html.contains(&format!("Bytes per message of {payload} over HTTP/1.1")));
    }
}

#[test]
fn on_paper_only_what_differs_is_listed() {
    let mut all = four();
    for differs in [false, true] {
        let expected = expectation("latency_p50_ms", differs);
        all.cells[0].expected.push(expected);
    }
    let html = page(&all);
    let agreeing = html.find("<tbody class=\"agrees\">").expect("a group");
    assert!(html.find("differs</span>").is_some_and(|at| at < agreeing));
    assert!(html.contains("#expected .agrees, #expected.agrees .scroll { display: none; }"));
}

#[test]
fn captions_stay_in_sight_where_their_tables_scroll() {
    let html = page(&four());
    let captions = html.matches("<caption>").count();
    assert!(captions > 2 && html.matches("<caption><span>").count() == captions);
    assert!(html.contains("caption span { display: inline-block; position: sticky;"));
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
fn a_client_that_never_sleeps_is_said_to_be_always_awake() {
    let of = |per_s: f64| {
        let mut cell = cell(Transport::Sse);
        cell.cell.rate = Rate::Steady { per_s };
        page(&results(vec![cell, idle(Transport::Sse)]))
    };
    assert!(of(20.0).contains("<td class=\"none\">always awake</td>"));
    assert!(!of(10.0).contains("<td class=\"none\">always awake</td>"));
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
            .all(|ranked| !ranked.is_best)
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
