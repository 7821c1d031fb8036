//! How long a client takes from nothing, or from its cursor, to its first message.

use super::line::Line;
use super::{Limits, Measured};
use crate::cell::{Cell, Protocol, Transport};

/// To accept a connection, to read a request and to answer it, on both sides.
const TOLERANCE_MS: f64 = 1.0;
/// What a TLS handshake adds: a signature, its check and a key exchange.
const TLS_TOLERANCE_MS: f64 = 1.0;
/// Heads and the first message, without TLS.
const BYTES: f64 = 1000.0;
/// Key shares and certificates, with keys that withstand quantum computers.
const TLS_BYTES: f64 = 5000.0;
/// What a lost packet of a start may cost: TCP sends it again after that.
const LOSS_MS: f64 = 300.0;

/// Of a new connection, or of one that comes back: both open one.
pub fn limits(figure: &'static str, cell: &Cell, line: &Line, measured: &Measured) -> Limits {
    let is_tls = cell.protocol != Protocol::Http1;
    // An extended CONNECT may have to wait until the gateway said that it knows it.
    let waits = cell.protocol == Protocol::Http2Tls && cell.transport == Transport::WebSocket;
    let trips = if is_tls { 3.0 } else { 2.0 };
    let trips_max = if waits { trips + 1.0 } else { trips };
    // The proxy adds the first of them to the second, to the microsecond and without jitter.
    let drawn_ms = (trips_max - 1.0) * 2.0 * (line.jitter_ms + line.timer_ms);
    let tls_ms = if is_tls { TLS_TOLERANCE_MS } else { 0.0 };
    let bytes = if is_tls { BYTES + TLS_BYTES } else { BYTES };
    // Of a start no single packet is in the median's way, but several are: with losses some are late.
    let loss_ms = if line.is_lossy { LOSS_MS } else { 0.0 };
    let why = format!(
        "a round trip for TCP, {}one for the request and its first message",
        if is_tls { "one for TLS, " } else { "" }
    );
    Limits {
        figure,
        from: trips * 2.0 * line.transit_ms,
        to: trips_max * 2.0 * line.transit_ms + drawn_ms + line.sending_ms(bytes) + loss_ms,
        tolerance: TOLERANCE_MS + tls_ms + measured.turn_ms(),
        why,
    }
}
