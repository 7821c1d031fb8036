//! The sentences: who is best, which cells spoke, and what casts doubt.

use super::*;

#[test]
fn the_settings_of_a_gateway_of_our_own_are_named() {
    let mut results = four();
    let settings = "- settings: limits.publish = off";
    let named = crate::report::markdown::markdown(&results).replace('\\', "");
    assert!(
        named.contains(settings) && named.contains("drain.spread_s = 0, log.filter = error"),
        "{named}"
    );
    results.gateway.url = Some("http://a.example".to_owned());
    let elsewhere = crate::report::markdown::markdown(&results).replace('\\', "");
    assert!(!elsewhere.contains("- settings:"), "{elsewhere}");
}

#[test]
fn a_sentence_says_who_is_best_at_what() {
    let all = four();
    let summary = summary::summary(&all).expect("a summary");
    insta::assert_snapshot!(notes::in_short(&summary).unwrap_or_default(), @"Soonest by p50: WebSocket and SSE are level (60.0 µs, 70.0 µs). Fewest bytes for a message: WebSocket (130 B). Fewest bytes while waiting: WebSocket (1.20 kB an hour). Least CPU of the server for a message: short poll (1 s) (4.00 µs).");
    assert_eq!(
        summary.rows[1].figures[0].map(|ranked| ranked.is_best),
        Some(true),
        "its spread meets that of the least"
    );
    let one = results(vec![cell(Transport::Sse)]);
    assert_eq!(
        notes::in_short(&summary::summary(&one).expect("a summary")),
        None
    );
}

#[test]
fn each_case_says_which_cells_spoke() {
    let html = page(&four());
    let said = "HTTP/1.1, 10/s, 32 B, 1 subscriber, loopback; best would be 1/s, 10 subscribers, 50 ms each way";
    assert!(html.contains(&format!("Judged by {said}.")), "{html}");
    assert!(markdown(&four()).contains(said));
}

#[test]
fn what_was_not_measured_at_rest_is_not_said_to_have_judged() {
    let mut all = four();
    all.cells.truncate(4);
    for cell in &mut all.cells {
        cell.cell.network = Network::Delay {
            one_way_ms: 50.0,
            jitter_ms: 0.0,
            bits_per_s: None,
        };
    }
    assert!(markdown(&all).contains("most of what it weighs was not measured"));
    let html = page(&all);
    assert!(
        !html.contains("idle cells") && !html.contains("; at rest"),
        "{html}"
    );
}

#[test]
fn a_run_without_any_p99_says_once_that_nothing_is_judged() {
    let mut all = four();
    assert!(!terminal(&all).contains("No case is judged"));
    for cell in &mut all.cells {
        cell.figures.latency_p99_ms = None;
        cell.figures.latency_p999_ms = None;
    }
    for text in [page(&all), markdown(&all), terminal(&all)] {
        assert!(text.matches("No case is judged").count() == 1, "{text}");
        assert!(!text.contains("cannot say"), "{text}");
    }
    assert!(terminal(&all).contains("--quick"));
    all.complete = false;
    assert!(terminal(&all).contains("so far") && !terminal(&all).contains("--quick"));
}

#[test]
fn a_warning_of_the_whole_run_is_a_sentence() {
    let mut all = four();
    all.warnings.push("the gateway runs elsewhere".to_owned());
    let said = "The gateway runs elsewhere.";
    assert!(page(&all).contains(said) && markdown(&all).contains(said));
    let ends = ["", "done.", "why?"].map(notes::sentence);
    assert_eq!(ends, ["", "Done.", "Why?"]);
}

#[test]
fn the_terminal_says_how_many_figures_differ() {
    let mut all = four();
    let said = "1 of 2 figures differ, and the report names them";
    all.cells[0]
        .expected
        .push(expectation("latency_p50_ms", false));
    assert!(!terminal(&all).contains("figures differ"));
    all.cells[0]
        .expected
        .push(expectation("latency_max_ms", true));
    assert!(terminal(&all).contains(said), "{}", terminal(&all));
}

#[test]
fn of_each_kind_of_warning_three_are_printed() {
    let with = |count: usize| {
        let cells = (1..=count).map(|subscribers| {
            let mut cell = invalid(cell(Transport::Sse));
            cell.cell.subscribers = subscribers;
            cell
        });
        terminal(&results(cells.collect()))
    };
    let printed = |text: &str| {
        text.lines()
            .filter(|line| line.starts_with("invalid: "))
            .count()
    };
    assert_eq!(printed(&with(3)), 3);
    assert_eq!(printed(&with(4)), 4);
    assert!(
        with(4).contains("invalid: load at its limit in 1 cell more, see the report"),
        "{}",
        with(4)
    );
    assert!(
        markdown(&results(vec![invalid(cell(Transport::Sse))]))
            .contains("- invalid: load at its limit, 1 cell\n")
    );
}
