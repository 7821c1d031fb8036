//! Short runs against a real gateway: what is counted must be exact, what is timed need only be there.

use std::path::Path;
use std::time::Duration;

use compare::cell::{Cell, Network, Protocol, Rate, Transport};
use compare::machine::{self, Placement};
use compare::output::Output;
use compare::plan::{Plan, Planned};
use compare::results::{CellResult, Gateway, Method, Results, SCHEMA_VERSION};
use compare::run::Timing;
use compare::session::Session;
use compare::wire::Origin;

const TIMING: Timing = Timing {
    warm_up: Duration::from_millis(100),
    measure: Duration::from_millis(500),
};

fn cell(transport: Transport, protocol: Protocol) -> Cell {
    Cell {
        transport,
        protocol,
        rate: Rate::Steady { per_s: 40.0 },
        payload_bytes: 1024,
        subscribers: 3,
        poll_interval_s: (transport == Transport::Poll).then_some(0.1),
        deflate: false,
        network: Network::Loopback,
    }
}

pub fn idle() -> Cell {
    Cell {
        rate: Rate::Idle,
        ..cell(Transport::WebSocket, Protocol::Http1)
    }
}

/// Results without cells.
pub fn empty() -> Results {
    Results {
        schema_version: SCHEMA_VERSION,
        started_at: "2026-11-25T00:00:00Z".to_owned(),
        took_s: 0.0,
        command: "cargo test".to_owned(),
        complete: true,
        machine: machine::describe(),
        gateway: Gateway {
            server: "mock".to_owned(),
            url: None,
            watched: false,
        },
        method: Method {
            repeats: 1,
            warm_up_s: 0.5,
            measure_s: 10.0,
            seed: 3,
        },
        cells: Vec::new(),
        skipped: Vec::new(),
        warnings: Vec::new(),
    }
}

/// Runs each cell once, and leaves the results in the folder.
pub async fn run_into(folder: &Path, cells: Vec<Cell>) -> Results {
    let timing_of = |cell: &Cell| match cell.rate {
        Rate::Idle => Timing {
            measure: Duration::from_secs(2),
            ..TIMING
        },
        _ => TIMING,
    };
    let planned = cells.into_iter().map(|cell| Planned {
        timing: timing_of(&cell),
        repeats: 1,
        cell,
    });
    let session = Session {
        plan: Plan {
            cells: planned.collect(),
            timing: TIMING,
            repeats: 1,
        },
        origin: Origin::Own {
            executable: env!("CARGO_BIN_EXE_compare").into(),
            placement: Placement::anywhere(),
        },
        is_tls: None,
        ca: None,
        url: None,
        server: None,
        output: Output::into(folder).expect("a folder"),
        certs: folder.join("certs"),
        machine: machine::describe(),
        command: "cargo test".to_owned(),
        seed: 3,
        began_ms: 0,
        is_quiet: true,
    };
    session.run(std::future::pending()).await.expect("a run")
}

pub async fn run(cells: Vec<Cell>) -> Results {
    let folder = tempfile::tempdir().expect("a folder");
    run_into(folder.path(), cells).await
}

/// The results of cells of which each must have been measured.
async fn measured(cells: Vec<Cell>) -> Vec<CellResult> {
    let count = cells.len();
    let results = run(cells).await;
    assert_eq!(results.cells.len(), count, "{:?}", results.skipped);
    results.cells
}

/// What must be right however slow the machine is.
fn check(result: &CellResult) {
    let (cell, deliveries) = (&result.cell, result.deliveries);
    assert_eq!(deliveries.expected, 20 * 3, "{cell:?}");
    assert_eq!(
        deliveries.delivered, deliveries.expected,
        "{cell:?}: {:?}",
        result.warnings
    );
    assert_eq!(
        (
            deliveries.repeated,
            deliveries.out_of_order,
            deliveries.corrupted
        ),
        (0, 0, 0),
        "{cell:?}"
    );
    let bytes = result.figures.bytes.expect("bytes");
    if !cell.deflate {
        assert_eq!(bytes.down.payload.median, 1024.0, "{cell:?}");
    }
    assert_eq!(bytes.up.payload.median, 0.0, "{cell:?}");
    assert!(
        bytes.down.handshake.median > 0.0 && bytes.down.framing.median > 0.0,
        "{cell:?}: {bytes:?}"
    );
    assert!(
        result.figures.cold_start_ms.is_some() && result.figures.resume_ms.is_some(),
        "{cell:?}"
    );
    let (requests, heads) = (
        result
            .figures
            .requests_per_message
            .expect("requests")
            .median,
        bytes.up.headers.median,
    );
    let is_stream = matches!(cell.transport, Transport::WebSocket | Transport::Sse);
    assert_eq!(
        (requests == 0.0, heads == 0.0),
        (is_stream, is_stream),
        "{cell:?}: {requests} requests, {heads} bytes"
    );
}

async fn over_all_transports(protocol: Protocol) {
    let transports = [
        Transport::WebSocket,
        Transport::Sse,
        Transport::LongPoll,
        Transport::Poll,
    ];
    for result in measured(
        transports
            .map(|transport| cell(transport, protocol))
            .to_vec(),
    )
    .await
    {
        check(&result);
    }
}

#[tokio::test]
async fn all_transports_over_http1() {
    over_all_transports(Protocol::Http1).await;
}

#[tokio::test]
async fn all_transports_over_http1_and_tls() {
    over_all_transports(Protocol::Http1Tls).await;
}

#[tokio::test]
async fn all_transports_over_http2() {
    over_all_transports(Protocol::Http2Tls).await;
}

#[tokio::test]
async fn a_websocket_frame_has_the_bytes_that_rfc_6455_says() {
    let result = measured(vec![cell(Transport::WebSocket, Protocol::Http1)])
        .await
        .remove(0);
    let down = result.figures.bytes.expect("bytes").down;
    let around =
        r#"{"type":"message","channel":"compare:3:0:0","offset":,"time":1795337981628,"data":}"#;
    // An offset of one or two digits, and the head of a frame of over 125 bytes.
    let digits = down.framing.median - around.len() as f64 - 4.0;
    assert!(
        (1.0..=2.0).contains(&digits),
        "{} bytes around the payload",
        down.framing.median
    );
    assert_eq!(down.headers.median, 0.0);
}

#[tokio::test]
async fn compression_makes_payloads_smaller_and_loses_none() {
    let deflated = Cell {
        deflate: true,
        ..cell(Transport::WebSocket, Protocol::Http1)
    };
    let over_http2 = Cell {
        protocol: Protocol::Http2Tls,
        ..deflated.clone()
    };
    for result in measured(vec![deflated, over_http2]).await {
        check(&result);
        let payload = result.figures.bytes.expect("bytes").down.payload.median;
        assert!(
            (1.0..800.0).contains(&payload),
            "{payload} bytes of payload on the wire"
        );
    }
}

#[tokio::test]
async fn a_delay_is_in_every_figure_that_it_must_be_in() {
    let far = Cell {
        network: Network::Delay {
            one_way_ms: 40.0,
            jitter_ms: 0.0,
            bits_per_s: None,
        },
        ..cell(Transport::Sse, Protocol::Http1)
    };
    let result = measured(vec![far]).await.remove(0);
    check(&result);
    let figures = result.figures;
    assert!(
        figures.latency_p50_ms.expect("latency").median >= 40.0,
        "one way"
    );
    assert!(
        figures.cold_start_ms.expect("a start").median >= 160.0,
        "two round trips"
    );
    assert!(
        figures.resume_ms.expect("a return").median >= 160.0,
        "two round trips"
    );
}

#[tokio::test]
async fn idle_clients_have_heartbeats_and_nothing_else() {
    let cells = [Transport::WebSocket, Transport::Sse, Transport::LongPoll].map(|transport| Cell {
        transport,
        ..idle()
    });
    for result in measured(cells.to_vec()).await {
        let figures = &result.figures;
        assert!(
            figures.latency_p50_ms.is_none() && figures.bytes.is_none(),
            "nothing was published"
        );
        let wakeups = figures.wakeups_per_minute.expect("wake-ups").median;
        assert!(
            (1.2..=3.6).contains(&wakeups),
            "{wakeups} wake-ups a minute where one every 25 s is expected"
        );
        assert!(figures.idle_bytes_per_hour.expect("bytes").median > 0.0);
    }
}

#[tokio::test]
async fn results_are_on_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let results = run_into(folder.path(), vec![cell(Transport::Sse, Protocol::Http1)]).await;
    let read = std::fs::read_to_string(folder.path().join("results.json")).expect("a file");
    assert_eq!(
        serde_json::from_str::<Results>(&read).expect("results"),
        results
    );
    let csv = std::fs::read_to_string(folder.path().join("results.csv")).expect("a file");
    let mut lines = csv.lines();
    let (names, values) = (lines.next().expect("names"), lines.next().expect("values"));
    assert!(
        names.starts_with("cell.transport,")
            && names.contains(",figures.bytes.down.payload.median,"),
        "{names}"
    );
    assert!(values.starts_with("sse,h1,"), "{values}");
}
