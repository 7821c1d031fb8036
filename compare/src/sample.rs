//! Results with exact figures, for tests.

use crate::cell::{Cell, Network, Protocol, Rate, Transport};
use crate::results::{
    ByteKinds, Bytes, CellResult, Deliveries, Figure, Figures, Gateway, LatencyBucket, Machine,
    Method, Results, SCHEMA_VERSION, Warning,
};

/// A run of these cells.
pub fn results(cells: Vec<CellResult>) -> Results {
    Results {
        schema_version: SCHEMA_VERSION,
        started_at: "2026-11-25T00:31:07Z".to_owned(),
        took_s: 171.4,
        command: "cargo run --release -p compare".to_owned(),
        complete: true,
        machine: Machine {
            processor: "Sample CPU".to_owned(),
            cores: 2,
            memory_gib: 8.0,
            kernel: "Linux 6.1".to_owned(),
            placement: "gateway on core 0, load on core 1".to_owned(),
        },
        gateway: Gateway {
            server: "everyway/0.1.0".to_owned(),
            url: None,
            watched: true,
        },
        method: Method {
            repeats: 3,
            warm_up_s: 0.5,
            measure_s: 2.0,
            seed: 7,
        },
        cells,
        skipped: Vec::new(),
        warnings: Vec::new(),
    }
}

/// Each transport once, at ten a second on loopback, and once at rest.
pub fn four() -> Results {
    let busy = Transport::ALL.map(cell);
    let idle = Transport::ALL.map(idle);
    results(busy.into_iter().chain(idle).collect())
}

/// A transport at ten messages a second, 32 bytes, one subscriber, HTTP/1.1, loopback. A short poll looks once a second.
pub fn cell(transport: Transport) -> CellResult {
    let index = transport as usize;
    let p50_ms = [0.06, 0.07, 0.1, 500.0][index];
    let figures = Figures {
        latency_p50_ms: spread(p50_ms),
        latency_p90_ms: spread(p50_ms * 1.5),
        latency_p99_ms: spread(p50_ms * 2.0),
        latency_p999_ms: spread(p50_ms * 4.0),
        latency_max_ms: spread(p50_ms * 5.0),
        resume_ms: exactly(1.0),
        bytes: Some(bytes(transport)),
        requests_per_message: exactly([0.002, 0.002, 1.0, 0.1][index]),
        connections_per_message: exactly(0.002),
        server_cpu_us_per_message: exactly([5.0, 6.0, 20.0, 4.0][index]),
        server_memory_kib_per_client: exactly([3.0, 9.0, 10.0, 2.0][index]),
        achieved_per_s: exactly(10.0),
        ..Figures::default()
    };
    CellResult {
        cell: Cell {
            transport,
            protocol: Protocol::Http1,
            rate: Rate::Steady { per_s: 10.0 },
            payload_bytes: 32,
            subscribers: 1,
            poll_interval_s: (transport == Transport::Poll).then_some(1.0),
            deflate: false,
            network: Network::Loopback,
        },
        repeats: 3,
        warm_up_s: 0.5,
        measure_s: 2.0,
        deliveries: Deliveries {
            expected: 1000,
            delivered: 1000,
            ..Deliveries::default()
        },
        figures,
        latencies: vec![
            bucket(p50_ms, 500),
            bucket(p50_ms * 2.0, 490),
            bucket(p50_ms * 5.0, 10),
        ],
        expected: Vec::new(),
        warnings: Vec::new(),
    }
}

/// A transport to which nothing is published.
pub fn idle(transport: Transport) -> CellResult {
    let index = transport as usize;
    let mut result = cell(transport);
    result.cell.rate = Rate::Idle;
    result.deliveries = Deliveries::default();
    result.latencies = Vec::new();
    result.figures = Figures {
        idle_bytes_per_hour: exactly([1200.0, 9800.0, 97_000.0, 1_500_000.0][index]),
        wakeups_per_minute: exactly([2.4, 2.4, 2.4, 60.0][index]),
        server_memory_kib_per_client: exactly([3.0, 9.0, 10.0, 2.0][index]),
        ..Figures::default()
    };
    result
}

/// A cell whose figures must not be used.
pub fn invalid(mut result: CellResult) -> CellResult {
    result.warnings.push(Warning {
        code: "load_at_its_limit".to_owned(),
        message: "the load used 97 % of its core".to_owned(),
        invalidates: true,
    });
    result
}

/// A figure that was the same in every repeat.
pub fn exactly(value: f64) -> Option<Figure> {
    Some(Figure {
        median: value,
        min: value,
        max: value,
    })
}

fn spread(value: f64) -> Option<Figure> {
    Some(Figure {
        median: value,
        min: value * 0.9,
        max: value * 1.2,
    })
}

fn bytes(transport: Transport) -> Bytes {
    let figure = |value: f64| Figure {
        median: value,
        min: value,
        max: value,
    };
    let kinds = |handshake, headers, framing, payload| ByteKinds {
        wire: figure(handshake + headers + framing + payload),
        handshake: figure(handshake),
        headers: figure(headers),
        framing: figure(framing),
        payload: figure(payload),
    };
    let [up, down] = match transport {
        Transport::WebSocket => [kinds(1.0, 0.0, 0.0, 0.0), kinds(1.0, 0.0, 98.0, 32.0)],
        Transport::Sse => [kinds(0.0, 1.0, 0.0, 0.0), kinds(0.0, 1.0, 117.0, 32.0)],
        Transport::LongPoll => [kinds(0.0, 200.0, 0.0, 0.0), kinds(0.0, 300.0, 128.0, 32.0)],
        Transport::Poll => [kinds(0.0, 20.0, 0.0, 0.0), kinds(0.0, 30.0, 100.0, 32.0)],
    };
    Bytes { up, down }
}

fn bucket(up_to_ms: f64, count: u64) -> LatencyBucket {
    LatencyBucket { up_to_ms, count }
}
