//! For operators and for clients that look around: health, readiness, counters, and which transports there are.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use serde::Serialize;

use crate::config::Seconds;
use crate::gateway::Gateway;
use crate::transport::Transport;

use super::body::Body;
use super::error;

/// The process answers.
pub fn health() -> Response<Body> {
    text("ok\n")
}

/// New clients are welcome; 503 while the gateway goes down.
pub fn ready(gateway: &Gateway) -> Response<Body> {
    if !gateway.is_ready() {
        return error::response(&gateway.going_down().into());
    }
    text("ready\n")
}

/// All counters, for Prometheus.
pub fn metrics(gateway: &Gateway) -> Response<Body> {
    let (channels, history_bytes) = gateway.bus.totals();
    gateway.metrics.set_limit_keys(&gateway.limits.sizes());
    gateway
        .metrics
        .set_incoming_bytes(gateway.limits.incoming_bytes());
    let mut response = text(gateway.metrics.to_text(channels, history_bytes));
    let content_type =
        HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

#[derive(Serialize)]
struct Discovery<'a> {
    server: &'a str,
    transports: Vec<Offer>,
    heartbeat_s: Seconds,
    wait_max_s: Seconds,
    message_bytes_max: usize,
    channels_max: usize,
}

#[derive(Serialize)]
struct Offer {
    name: &'static str,
    url: &'static str,
    sends: bool,
    receives: bool,
}

/// Which transports there are, in order of preference, and the limits that a client has to know.
pub fn transports(gateway: &Gateway) -> Response<Body> {
    let config = &gateway.config();
    let offer = |transport: &Transport| Offer {
        name: transport.as_str(),
        url: transport.path(),
        sends: transport.sends(),
        receives: true,
    };
    let discovery = Discovery {
        server: concat!("everyway/", env!("CARGO_PKG_VERSION")),
        transports: config.server.transports.iter().map(offer).collect(),
        heartbeat_s: config.timeouts.heartbeat_s,
        wait_max_s: config.timeouts.wait_s_max,
        message_bytes_max: config.limits.message_bytes_max,
        channels_max: config.limits.channels_max,
    };
    // Strings and numbers always serialize.
    json_response(
        StatusCode::OK,
        serde_json::to_vec(&discovery).unwrap_or_default(),
    )
}

/// How many headers an answer has as a rule, so that the map of them is made once.
const HEADERS: usize = 6;

/// An answer in JSON that nobody may keep.
pub fn json_response(status: StatusCode, json: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(json.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(HEADERS);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn text(text: impl Into<bytes::Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::full(text));
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
