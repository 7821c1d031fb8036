//! The adjectives of guides beside figures.

use super::*;

#[test]
fn the_adjectives_stand_beside_the_figures() {
    let all = four();
    let condition = Condition::reference(&all).expect("a condition");
    let words = |aspect| {
        adjective::judgements(&all, &condition, aspect).map(|judgement| {
            let measured = judgement.measured.expect("measured");
            let word = measured.adjective.map_or("", adjective::Adjective::word);
            (judgement.said.word(), word)
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
    // By its CPU time SSE is at 1.5 times the least, by its memory at 4.5.
    let load = words(adjective::Aspect::ServerLoad);
    assert_eq!(
        load,
        [
            ("medium", "low"),
            ("medium", "medium"),
            ("high", "medium"),
            ("high", "low")
        ]
    );
    // A message of a short poll has few bytes, and waiting for it many.
    let traffic = words(adjective::Aspect::Traffic);
    assert_eq!(traffic[3], ("high", "high"));
    // What is nearly nothing is not a hundred times as much as nothing.
    let requests = words(adjective::Aspect::Requests).map(|(_, measured)| measured);
    assert_eq!(requests, ["low", "low", "high", "low"]);
}

#[test]
fn a_figure_that_only_others_have_is_said_to_be_missing() {
    let mut all = four();
    all.cells
        .retain(|cell| (cell.cell.transport, cell.cell.rate) != (Transport::Poll, Rate::Idle));
    let condition = Condition::reference(&all).expect("a condition");
    let [.., poll] = adjective::judgements(&all, &condition, adjective::Aspect::Traffic);
    let measured = poll.measured.expect("measured");
    assert_eq!(measured.missing, [crate::metric::Metric::IdleBytes]);
    assert!(markdown(&all).contains("idle bytes per hour not measured"));
}

#[test]
fn a_figure_that_one_transport_alone_has_gets_no_adjective() {
    let mut all = four();
    all.cells
        .retain(|cell| cell.cell.rate != Rate::Idle || cell.cell.transport == Transport::Poll);
    all.cells[0].figures.requests_per_message = None;
    all.cells[1].figures.requests_per_message = None;
    all.cells[2].figures.requests_per_message = None;
    let condition = Condition::reference(&all).expect("a condition");
    let of_poll = |aspect| {
        let [.., poll] = adjective::judgements(&all, &condition, aspect);
        let measured = poll.measured.expect("measured");
        (measured.adjective, measured.figures)
    };
    // By its bytes for each message it is at 1.4 times the least; by those at rest nothing can be said.
    let (word, figures) = of_poll(adjective::Aspect::Traffic);
    assert_eq!(word, Some(adjective::Adjective::Low));
    assert_eq!(figures[1].in_words(), "1,500 kB (nothing to compare with)");
    assert_eq!(of_poll(adjective::Aspect::Requests).0, None);
    assert!(markdown(&all).contains("high → no word: requests per message 0.100 (nothing"));
    let html = page(&all);
    assert!(!html.contains("1,500 kB (1.00 ×)") && html.contains("1,500 kB (nothing"));
}
