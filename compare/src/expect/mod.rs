//! What arithmetic says of a cell, to be read beside what was measured.
//!
//! The limits are those of an ideal gateway on an ideal machine; the tolerance is what a real one may need on top, and
//! `why` names it. Where a figure lies outside by more, either the gateway or this harness has something to explain.

use std::time::Duration;

use crate::cell::{Cell, Network, Protocol, Rate, Transport};
use crate::results::{Expectation, Figure, Figures};

/// A message's way through two processes and their queues, and the timers' grain.
const TOLERANCE_MS: f64 = 2.0;
/// What each further subscriber may add, for one core serves them one after the other.
const TOLERANCE_MS_PER_SUBSCRIBER: f64 = 0.02;
/// What a TLS handshake may add to a start: signatures and key exchange, on both sides.
const TLS_MS: f64 = 5.0;
/// Of a figure that is counted: its window cuts requests in two.
const COUNT_TOLERANCE: f64 = 0.1;
/// The gateway's default pause between two heartbeats, and the wait of a long poll.
const BEAT_S: f64 = 25.0;

/// A figure's limits before it is held against them.
struct Limits {
    figure: &'static str,
    from: f64,
    to: f64,
    tolerance: f64,
    why: String,
}

/// What can be said of a cell. `delivered` is how many deliveries the figures are of.
pub fn expectations(
    cell: &Cell,
    measure: Duration,
    figures: &Figures,
    delivered: u64,
) -> Vec<Expectation> {
    let line = Line::of(cell);
    let mut expected = Vec::new();
    let mut hold = |measured: Option<Figure>, limits: Option<Limits>| {
        if let Some((measured, limits)) = measured.zip(limits) {
            expected.push(held(&limits, measured.median));
        }
    };
    hold(
        figures.latency_p50_ms,
        median_latency(cell, &line, delivered),
    );
    hold(figures.latency_max_ms, longest_latency(cell, &line));
    hold(
        figures.cold_start_ms,
        Some(start("cold_start_ms", cell, &line)),
    );
    hold(figures.resume_ms, Some(start("resume_ms", cell, &line)));
    hold(figures.bytes.map(|bytes| bytes.down.payload), payload(cell));
    hold(figures.requests_per_message, requests(cell, &line));
    hold(figures.connections_per_message, connections(cell, measure));
    hold(figures.wakeups_per_minute, wakeups(cell, measure));
    hold(figures.idle_bytes_per_hour, idle_bytes(cell, measure));
    expected
}

fn held(limits: &Limits, measured: f64) -> Expectation {
    let Limits {
        figure,
        from,
        to,
        tolerance,
        why,
    } = limits;
    Expectation {
        figure: (*figure).to_owned(),
        from: *from,
        to: *to,
        measured,
        why: format!("{why}; tolerance {}", round(*tolerance)),
        differs: measured < from - tolerance || measured > to + tolerance,
    }
}

fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// What the network adds, in milliseconds.
struct Line {
    /// The least that a byte takes in one way.
    transit_ms: f64,
    /// What may come on top, drawn at random.
    jitter_ms: f64,
    /// What the message's own bytes take on a slow line.
    sending_ms: f64,
    /// True if packets are lost, which makes some messages wait for TCP.
    is_lossy: bool,
}

impl Line {
    fn of(cell: &Cell) -> Self {
        /// Around a payload: envelope, heads, frames.
        const AROUND_BYTES: f64 = 200.0;
        let bits = (cell.payload_bytes as f64 + AROUND_BYTES) * 8.0;
        let (transit_ms, jitter_ms, bits_per_s, is_lossy) = match cell.network {
            Network::Loopback => (0.0, 0.0, None, false),
            Network::Delay {
                one_way_ms,
                jitter_ms,
                bits_per_s,
            } => (one_way_ms, jitter_ms, bits_per_s, false),
            Network::Loss { one_way_ms, .. } => (one_way_ms, 0.0, None, true),
        };
        Self {
            transit_ms,
            jitter_ms,
            sending_ms: bits_per_s.map_or(0.0, |rate| bits / rate * 1000.0),
            is_lossy,
        }
    }

    fn tolerance_ms(&self, cell: &Cell) -> f64 {
        TOLERANCE_MS + TOLERANCE_MS_PER_SUBSCRIBER * cell.subscribers as f64
    }

    /// The most that one way takes.
    fn slowest_ms(&self) -> f64 {
        self.transit_ms + self.jitter_ms + self.sending_ms
    }
}

fn interval_ms(cell: &Cell) -> f64 {
    cell.poll_interval_s.unwrap_or_default() * 1000.0
}

/// From one short poll to the next: the interval, or the round trip if that is longer, for a client asks again when it was
/// answered. The least and the most.
fn period_ms(cell: &Cell, line: &Line) -> (f64, f64) {
    let interval = interval_ms(cell);
    (
        interval.max(2.0 * line.transit_ms),
        interval.max(2.0 * line.slowest_ms()),
    )
}

/// What a short poll's period is, in words.
fn period_in_words(cell: &Cell, line: &Line) -> String {
    let interval = interval_ms(cell);
    if 2.0 * line.transit_ms > interval {
        format!("a round trip, which is longer than the interval of {interval} ms,")
    } else {
        format!("the interval of {interval} ms")
    }
}

/// Messages that a burst sends at once; 1 for a steady rate.
fn burst(cell: &Cell) -> f64 {
    match cell.rate {
        Rate::Bursts { size, .. } => size as f64,
        Rate::Idle | Rate::Steady { .. } => 1.0,
    }
}

fn per_s(cell: &Cell) -> Option<f64> {
    match cell.rate {
        Rate::Idle => None,
        Rate::Steady { per_s } => Some(per_s),
        Rate::Bursts { size, every_s } => Some(size as f64 / every_s),
    }
}

fn median_latency(cell: &Cell, line: &Line, delivered: u64) -> Option<Limits> {
    let (least, most) = (
        line.transit_ms,
        line.slowest_ms() + line.sending_ms * (burst(cell) - 1.0),
    );
    let (from, to, tolerance, why) = match cell.transport {
        Transport::WebSocket | Transport::Sse => (
            least,
            most,
            line.tolerance_ms(cell),
            "one transit, as soon as it is published".to_owned(),
        ),
        Transport::LongPoll => {
            let why = "one transit if the poll waits, up to three if an answer and the next poll are under way";
            (least, 3.0 * most, line.tolerance_ms(cell), why.to_owned())
        }
        Transport::Poll => {
            let (period, period_max) = period_ms(cell, line);
            // Messages within one interval are not independent of each other: the clients' phases are.
            let samples = (delivered as f64)
                .min(cell.subscribers as f64 * 10.0)
                .max(1.0);
            let sampling = 1.5 * period / samples.sqrt();
            let why = format!("half of {} and one transit", period_in_words(cell, line));
            (
                period / 2.0 + least,
                period_max / 2.0 + most,
                line.tolerance_ms(cell) + sampling,
                why,
            )
        }
    };
    // A lost packet is one of a hundred: it does not move the median.
    Some(Limits {
        figure: "latency_p50_ms",
        from,
        to,
        tolerance,
        why,
    })
}

fn longest_latency(cell: &Cell, line: &Line) -> Option<Limits> {
    if cell.transport != Transport::Poll || line.is_lossy {
        return None;
    }
    let (_, period_max) = period_ms(cell, line);
    let to = period_max + 2.0 * line.slowest_ms() + line.sending_ms * burst(cell);
    // The longest of all may have met a pause of the whole machine.
    let tolerance = line.tolerance_ms(cell) + 0.1 * interval_ms(cell) + 20.0;
    Some(Limits {
        figure: "latency_max_ms",
        from: line.transit_ms,
        to,
        tolerance,
        why: format!(
            "from nothing to {} and a round trip",
            period_in_words(cell, line)
        ),
    })
}

/// Of a new connection, or of one that comes back: both open one.
fn start(figure: &'static str, cell: &Cell, line: &Line) -> Limits {
    let is_tls = cell.protocol != Protocol::Http1;
    // An extended CONNECT may have to wait until the gateway said that it knows it.
    let waits = cell.protocol == Protocol::Http2Tls && cell.transport == Transport::WebSocket;
    let trips = if is_tls { 3.0 } else { 2.0 };
    let most = if waits { trips + 1.0 } else { trips };
    let tls_ms = if is_tls { TLS_MS } else { 0.0 };
    // Of a start no single packet is in the median's way, but several are: with losses some are late.
    let loss_ms = if line.is_lossy { 300.0 } else { 0.0 };
    let why = format!(
        "a round trip for TCP, {}one for the request and its first message",
        if is_tls { "one for TLS, " } else { "" }
    );
    Limits {
        figure,
        from: trips * 2.0 * line.transit_ms,
        to: most * 2.0 * (line.transit_ms + line.jitter_ms)
            + tls_ms
            + loss_ms
            + 8.0 * line.sending_ms,
        tolerance: TOLERANCE_MS + most * 2.0,
        why,
    }
}

fn payload(cell: &Cell) -> Option<Limits> {
    let bytes = cell.payload_bytes as f64;
    // A compressed payload is smaller, by how much depends on what it says.
    let from = if cell.deflate { 0.0 } else { bytes };
    Some(Limits {
        figure: "bytes.down.payload",
        from,
        to: bytes,
        tolerance: 0.0,
        why: "each message brings its payload once".to_owned(),
    })
}

fn requests(cell: &Cell, line: &Line) -> Option<Limits> {
    let per_s = per_s(cell)?;
    let (from, to, tolerance, why) = match cell.transport {
        Transport::WebSocket | Transport::Sse => (0.0, 0.0, 0.0, "none after the first".to_owned()),
        Transport::LongPoll => {
            // What is published while the poll is away comes with the next answer.
            let away_s = (2.0 * line.slowest_ms() + line.tolerance_ms(cell)) / 1000.0;
            let from = 1.0 / (1.0 + per_s * away_s).max(burst(cell));
            let why = "one for each message, fewer where several wait for the next poll".to_owned();
            (from, 1.0 + 1.0 / (per_s * BEAT_S), COUNT_TOLERANCE, why)
        }
        Transport::Poll => {
            let (period, period_max) = period_ms(cell, line);
            let (least, most) = (1000.0 / period_max / per_s, 1000.0 / period / per_s);
            let why = "polls in a second for messages in a second".to_owned();
            (least, most, most * COUNT_TOLERANCE, why)
        }
    };
    Some(Limits {
        figure: "requests_per_message",
        from,
        to,
        tolerance,
        why,
    })
}

fn connections(cell: &Cell, measure: Duration) -> Option<Limits> {
    let each = 1.0 / (per_s(cell)? * measure.as_secs_f64());
    Some(Limits {
        figure: "connections_per_message",
        from: each,
        to: each,
        tolerance: each * COUNT_TOLERANCE,
        why: "one connection for each client in all the time".to_owned(),
    })
}

fn wakeups(cell: &Cell, measure: Duration) -> Option<Limits> {
    if cell.rate != Rate::Idle {
        return None;
    }
    let (each, why) = match cell.transport {
        Transport::Poll => (60_000.0 / interval_ms(cell), "one for each poll"),
        _ => (
            60.0 / BEAT_S,
            "one for each heartbeat, or for each long poll that ran out of time, every 25 s",
        ),
    };
    // Over HTTP/2 the connection's own pings come on top, every 20 s.
    let pings = if cell.protocol == Protocol::Http2Tls {
        60.0 / 20.0
    } else {
        0.0
    };
    let polls_are_apart = interval_ms(cell) == 0.0 || interval_ms(cell) > 100.0;
    polls_are_apart.then(|| Limits {
        figure: "wakeups_per_minute",
        from: each,
        to: each + pings,
        tolerance: each * idle_tolerance(cell, measure),
        why: why.to_owned(),
    })
}

/// The window of a client may begin just before a beat, or end just after one: of many clients that evens out.
fn idle_tolerance(cell: &Cell, measure: Duration) -> f64 {
    // Beats are a second apart, see `wire.rs`, and so are most polls.
    2.0 * COUNT_TOLERANCE + 1.0 / (measure.as_secs_f64() * cell.subscribers as f64).max(1.0)
}

/// Where the bytes of a beat are known: a ping of 2 bytes and a masked pong of 6 (RFC 6455), or an event in a chunk.
fn idle_bytes(cell: &Cell, measure: Duration) -> Option<Limits> {
    if cell.protocol != Protocol::Http1 {
        return None;
    }
    let (beat, why) = match cell.transport {
        Transport::WebSocket => (2.0 + 6.0, "a ping of 2 bytes and a pong of 6, every 25 s"),
        Transport::Sse => (EVENT_BYTES, "a ping event in a chunk, every 25 s"),
        Transport::LongPoll | Transport::Poll => return None,
    };
    let each = beat * 3600.0 / BEAT_S;
    Some(Limits {
        figure: "idle_bytes_per_hour",
        from: each,
        to: each,
        tolerance: each * idle_tolerance(cell, measure),
        why: why.to_owned(),
    })
}

/// `event: ping`, `data: {}` and an empty line, in a chunk with its size and two line ends.
const EVENT_BYTES: f64 = 12.0 + 9.0 + 1.0 + 2.0 + 2.0 + 2.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::tests::cell;

    fn figure(value: f64) -> Option<Figure> {
        Figure::of(vec![value])
    }

    /// Whether a median latency differs from what is expected.
    fn differs(cell: &Cell, p50_ms: f64) -> bool {
        let figures = Figures {
            latency_p50_ms: figure(p50_ms),
            ..Figures::default()
        };
        let expected = expectations(cell, Duration::from_secs(1), &figures, 100_000);
        assert_eq!(expected.len(), 1, "{expected:?}");
        expected[0].differs
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

    #[test]
    fn a_stream_takes_one_transit() {
        let cell = delayed(Transport::Sse);
        assert_eq!(
            [51.0, 47.0, 60.0].map(|ms| differs(&cell, ms)),
            [false, true, true]
        );
    }

    #[test]
    fn a_long_poll_takes_up_to_three() {
        let cell = delayed(Transport::LongPoll);
        assert_eq!(
            [51.0, 150.0, 170.0].map(|ms| differs(&cell, ms)),
            [false, false, true]
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
            [550.0, 520.0, 400.0, 700.0].map(|ms| differs(&cell, ms)),
            [false, false, true, true]
        );
    }

    #[test]
    fn a_short_poll_cannot_ask_more_often_than_it_is_answered() {
        let cell = Cell {
            poll_interval_s: Some(0.02),
            subscribers: 100,
            ..delayed(Transport::Poll)
        };
        // It asks every 100 ms: a message waits for half of that, and takes one way.
        assert_eq!(
            [100.0, 60.0, 140.0].map(|ms| differs(&cell, ms)),
            [false, true, true]
        );
        let line = Line::of(&cell);
        let limits = requests(&cell, &line).expect("they are counted");
        assert_eq!((limits.from, limits.to), (1.0, 1.0));
    }

    #[test]
    fn a_payload_that_is_sent_twice_differs() {
        let limits = payload(&cell()).expect("there is a payload");
        assert!(!held(&limits, 32.0).differs);
        assert!(held(&limits, 64.0).differs);
    }

    #[test]
    fn an_idle_websocket_has_a_ping_and_a_pong() {
        let cell = Cell {
            rate: Rate::Idle,
            ..cell()
        };
        let limits = idle_bytes(&cell, Duration::from_secs(2)).expect("it can be counted");
        assert_eq!(limits.from, 1152.0);
    }
}
