//! What is counted, and its Prometheus text. Nothing is labelled by channel or user: both come from outside, without end.

use std::sync::OnceLock;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::bus::GapReason;
use crate::code::Code;
use crate::transport::Transport;

/// All counters of a gateway.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    transports: [TransportMetrics; 4],
    gaps: [Counter; 3],
    errors: Family<CodeLabel, Counter>,
    endings: Family<EndLabel, Counter>,
    /// Of the endings those that are as they should be, by transport, once there are any: almost all are, and a look-up of two
    /// labels for each request that waited is seen.
    ended_normally: [OnceLock<Counter>; 4],
    /// Messages published or sent over HTTP.
    pub published_http: Counter,
    /// Messages published or sent over WebSocket.
    pub published_websocket: Counter,
    /// TCP connections that are open.
    pub sockets: Gauge,
    /// TCP connections that were refused because there were too many.
    pub sockets_refused: Counter,
    /// TLS handshakes that failed or took too long.
    pub tls_failures: Counter,
    /// Users who are present, one for each user and channel.
    pub present: Gauge,
    /// Messages of presence channels.
    pub presence_changes: Counter,
    channels: Gauge,
    history_bytes: Gauge,
    incoming_bytes: Gauge,
    limit_keys: Family<MapLabel, Gauge>,
}

/// The counters of one transport.
#[derive(Debug, Default, Clone)]
pub struct TransportMetrics {
    /// Attachments that are open.
    pub attachments: Gauge,
    /// Attachments that were ever opened.
    pub attachments_total: Counter,
    /// Messages handed to the transport.
    pub messages: Counter,
    /// Bytes of bodies and frames handed to the transport.
    pub bytes: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TransportLabel {
    transport: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MapLabel {
    limit: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ViaLabel {
    via: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabel {
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndLabel {
    transport: &'static str,
    code: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("everyway");
        let transports = register_transports(&mut registry);
        let gaps = register_gaps(&mut registry);
        let (errors, endings) = (Family::default(), Family::default());
        registry.register(
            "errors",
            "Requests and commands answered with an error, by code",
            errors.clone(),
        );
        registry.register(
            "endings",
            "Attachments that ended, by transport and code",
            endings.clone(),
        );
        let published = Family::<ViaLabel, Counter>::default();
        registry.register(
            "published",
            "Messages published or sent, by the way they came in",
            published.clone(),
        );
        let gauge = |registry: &mut Registry, name: &str, help: &str| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let sockets = gauge(&mut registry, "sockets", "TCP connections that are open");
        let channels = gauge(&mut registry, "channels", "Channels that have state");
        let history_bytes = gauge(
            &mut registry,
            "history_bytes",
            "Bytes kept by all channels together",
        );
        let incoming_bytes = gauge(
            &mut registry,
            "incoming_bytes",
            "Bytes of bodies and messages that are on their way in or not handled yet, as limits.incoming_bytes_max counts them",
        );
        let present = gauge(
            &mut registry,
            "present",
            "Users who are present, one for each user and channel",
        );
        let limit_keys = Family::<MapLabel, Gauge>::default();
        registry.register(
            "limit_keys",
            "Users and addresses that a limit keeps apart",
            limit_keys.clone(),
        );
        let sockets_refused = Counter::default();
        registry.register(
            "sockets_refused",
            "TCP connections over the limit, closed at once",
            sockets_refused.clone(),
        );
        let presence_changes = Counter::default();
        registry.register(
            "presence_changes",
            "Messages that told who joined and who left",
            presence_changes.clone(),
        );
        let tls_failures = Counter::default();
        registry.register(
            "tls_failures",
            "TLS handshakes that failed or took too long",
            tls_failures.clone(),
        );
        Self {
            transports,
            gaps,
            errors,
            endings,
            ended_normally: Default::default(),
            published_http: published.get_or_create_owned(&ViaLabel { via: "http" }),
            published_websocket: published.get_or_create_owned(&ViaLabel { via: "websocket" }),
            sockets,
            sockets_refused,
            tls_failures,
            present,
            presence_changes,
            channels,
            history_bytes,
            incoming_bytes,
            limit_keys,
            registry,
        }
    }
}

impl Metrics {
    /// The counters of a transport.
    pub fn transport(&self, transport: Transport) -> &TransportMetrics {
        &self.transports[transport as usize]
    }

    /// Counts a gap that a reader was told of.
    pub fn count_gap(&self, reason: GapReason) {
        self.gaps[reason as usize].inc();
    }

    /// Counts an error answer.
    pub fn count_error(&self, code: Code) {
        self.errors
            .get_or_create(&CodeLabel {
                code: code.as_str(),
            })
            .inc();
    }

    /// Counts the end of an attachment.
    pub fn count_end(&self, transport: Transport, code: Code) {
        let label = EndLabel {
            transport: transport.as_str(),
            code: code.as_str(),
        };
        if code == Code::Normal {
            let ended = &self.ended_normally[transport as usize];
            ended
                .get_or_init(|| self.endings.get_or_create_owned(&label))
                .inc();
        } else {
            self.endings.get_or_create(&label).inc();
        }
    }

    /// Notes how many users and addresses each limit keeps apart.
    pub fn set_limit_keys(&self, sizes: &[(&'static str, usize)]) {
        for &(limit, size) in sizes {
            self.limit_keys
                .get_or_create(&MapLabel { limit })
                .set(i64::try_from(size).unwrap_or(i64::MAX));
        }
    }

    /// Notes how many bytes are on their way in.
    pub fn set_incoming_bytes(&self, bytes: usize) {
        self.incoming_bytes
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// All counters as text, in the OpenMetrics format that Prometheus reads.
    pub fn to_text(&self, channels: usize, history_bytes: usize) -> String {
        self.channels
            .set(i64::try_from(channels).unwrap_or(i64::MAX));
        self.history_bytes
            .set(i64::try_from(history_bytes).unwrap_or(i64::MAX));
        let mut text = String::new();
        // Encoding into a String cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

fn register_transports(registry: &mut Registry) -> [TransportMetrics; 4] {
    let open = Family::<TransportLabel, Gauge>::default();
    let [total, messages, bytes] =
        std::array::from_fn(|_| Family::<TransportLabel, Counter>::default());
    registry.register("attachments", "Attachments that are open", open.clone());
    registry.register(
        "attachments_opened",
        "Attachments that were opened",
        total.clone(),
    );
    registry.register(
        "messages",
        "Messages handed to subscribers",
        messages.clone(),
    );
    registry.register(
        "bytes",
        "Bytes of bodies and frames handed to subscribers",
        bytes.clone(),
    );
    Transport::ALL.map(|transport| {
        let label = TransportLabel {
            transport: transport.as_str(),
        };
        TransportMetrics {
            attachments: open.get_or_create_owned(&label),
            attachments_total: total.get_or_create_owned(&label),
            messages: messages.get_or_create_owned(&label),
            bytes: bytes.get_or_create_owned(&label),
        }
    })
}

fn register_gaps(registry: &mut Registry) -> [Counter; 3] {
    let gaps = Family::<ReasonLabel, Counter>::default();
    registry.register(
        "gaps",
        "Gaps that readers were told of, by reason",
        gaps.clone(),
    );
    GapReason::ALL.map(|reason| {
        gaps.get_or_create_owned(&ReasonLabel {
            reason: reason.as_str(),
        })
    })
}
