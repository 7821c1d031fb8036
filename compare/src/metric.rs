//! What is compared: each figure with its name, its unit and its place in a cell.

use crate::results::{ByteKinds, CellResult, Figure, Figures};

/// A figure by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Half of the deliveries were faster.
    P50,
    /// Nine of ten were faster.
    P90,
    /// 99 of 100.
    P99,
    /// 999 of 1,000.
    P999,
    /// The slowest.
    Slowest,
    /// From a new connection to the first message over it.
    ColdStart,
    /// From coming back to the first missed message.
    Resume,
    /// Bytes for each message, from the gateway to the client, after the handshake.
    BytesDown,
    /// Bytes for each message, from the client to the gateway, after the handshake.
    BytesUp,
    /// Bytes for each message, both ways, after the handshake: how much of that falls on a message depends on how long a run
    /// is, and says nothing of the transport.
    Bytes,
    /// Bytes of the handshake of each connection, both ways.
    Handshake,
    /// TCP segments with data for each message.
    Packets,
    /// HTTP requests for each message.
    Requests,
    /// TCP connections for each message.
    Connections,
    /// Bytes of a client in an hour without messages.
    IdleBytes,
    /// How often in a minute a client's network wakes up.
    WakeUps,
    /// CPU time of the server for each message.
    Cpu,
    /// Memory of the server for each client.
    Memory,
    /// Messages published in a second.
    Achieved,
    /// How much of its core the load used.
    LoadCpu,
}

impl Metric {
    /// All of them, in the order of the tables.
    pub const ALL: [Self; 20] = [
        Self::P50,
        Self::P90,
        Self::P99,
        Self::P999,
        Self::Slowest,
        Self::ColdStart,
        Self::Resume,
        Self::BytesDown,
        Self::BytesUp,
        Self::Bytes,
        Self::Handshake,
        Self::Packets,
        Self::Requests,
        Self::Connections,
        Self::IdleBytes,
        Self::WakeUps,
        Self::Cpu,
        Self::Memory,
        Self::Achieved,
        Self::LoadCpu,
    ];

    /// The figure of a cell, if it was measured.
    pub fn of(self, cell: &CellResult) -> Option<Figure> {
        self.among(&cell.figures)
    }

    /// The one of these figures, if it was measured.
    pub fn among(self, figures: &Figures) -> Option<Figure> {
        match self {
            Self::P50 => figures.latency_p50_ms,
            Self::P90 => figures.latency_p90_ms,
            Self::P99 => figures.latency_p99_ms,
            Self::P999 => figures.latency_p999_ms,
            Self::Slowest => figures.latency_max_ms,
            Self::ColdStart => figures.cold_start_ms,
            Self::Resume => figures.resume_ms,
            Self::BytesDown => figures.bytes.map(|bytes| after_handshake(&bytes.down)),
            Self::BytesUp => figures.bytes.map(|bytes| after_handshake(&bytes.up)),
            Self::Bytes => both_ways(figures),
            Self::Handshake => handshake(figures),
            Self::Packets => figures.packets_per_message,
            Self::Requests => figures.requests_per_message,
            Self::Connections => figures.connections_per_message,
            Self::IdleBytes => figures.idle_bytes_per_hour,
            Self::WakeUps => figures.wakeups_per_minute,
            Self::Cpu => figures.server_cpu_us_per_message,
            Self::Memory => figures.server_memory_kib_per_client,
            Self::Achieved => figures.achieved_per_s,
            Self::LoadCpu => figures.load_cpu_share,
        }
    }

    /// The name in [`Figures`], which is also that of an expectation.
    pub fn field(self) -> &'static str {
        match self {
            Self::P50 => "latency_p50_ms",
            Self::P90 => "latency_p90_ms",
            Self::P99 => "latency_p99_ms",
            Self::P999 => "latency_p999_ms",
            Self::Slowest => "latency_max_ms",
            Self::ColdStart => "cold_start_ms",
            Self::Resume => "resume_ms",
            Self::BytesDown => "bytes_down",
            Self::BytesUp => "bytes_up",
            Self::Bytes => "bytes",
            Self::Handshake => "bytes_handshake",
            Self::Packets => "packets_per_message",
            Self::Requests => "requests_per_message",
            Self::Connections => "connections_per_message",
            Self::IdleBytes => "idle_bytes_per_hour",
            Self::WakeUps => "wakeups_per_minute",
            Self::Cpu => "server_cpu_us_per_message",
            Self::Memory => "server_memory_kib_per_client",
            Self::Achieved => "achieved_per_s",
            Self::LoadCpu => "load_cpu_share",
        }
    }

    /// The metric of a name in [`Figures`].
    pub fn by_field(field: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.field() == field)
    }

    /// What it is called in a sentence.
    pub fn name(self) -> &'static str {
        match self {
            Self::P50 => "p50 latency",
            Self::P90 => "p90 latency",
            Self::P99 => "p99 latency",
            Self::P999 => "p99.9 latency",
            Self::Slowest => "slowest delivery",
            Self::ColdStart => "cold start",
            Self::Resume => "time to resume",
            Self::BytesDown => "bytes down per message",
            Self::BytesUp => "bytes up per message",
            Self::Bytes => "bytes per message",
            Self::Handshake => "handshake per connection",
            Self::Packets => "packets per message",
            Self::Requests => "requests per message",
            Self::Connections => "connections per message",
            Self::IdleBytes => "idle bytes per hour",
            Self::WakeUps => "wake-ups per minute",
            Self::Cpu => "server CPU per message",
            Self::Memory => "server memory per client",
            Self::Achieved => "messages published",
            Self::LoadCpu => "CPU of the load",
        }
    }

    /// The head of its column, and the unit below it.
    pub fn heading(self) -> (&'static str, &'static str) {
        match self {
            Self::P50 => ("p50", "ms"),
            Self::P90 => ("p90", "ms"),
            Self::P99 => ("p99", "ms"),
            Self::P999 => ("p99.9", "ms"),
            Self::Slowest => ("slowest", "ms"),
            Self::ColdStart => ("cold start", "ms"),
            Self::Resume => ("resume", "ms"),
            Self::BytesDown => ("down", "B/msg"),
            Self::BytesUp => ("up", "B/msg"),
            Self::Bytes => ("bytes", "B/msg"),
            Self::Handshake => ("handshake", "B/conn"),
            Self::Packets => ("packets", "/msg"),
            Self::Requests => ("requests", "/msg"),
            Self::Connections => ("connections", "/msg"),
            Self::IdleBytes => ("idle", "kB/h"),
            Self::WakeUps => ("wake-ups", "/min"),
            Self::Cpu => ("CPU", "µs/msg"),
            Self::Memory => ("memory", "KiB/client"),
            Self::Achieved => ("published", "/s"),
            Self::LoadCpu => ("load CPU", "%"),
        }
    }

    /// What a figure is multiplied by to be in the unit of [`Metric::heading`].
    pub fn column_factor(self) -> f64 {
        match self {
            Self::IdleBytes => 1e-3,
            Self::LoadCpu => 100.0,
            _ => 1.0,
        }
    }
}

fn after_handshake(kinds: &ByteKinds) -> Figure {
    sum(sum(kinds.headers, kinds.framing), kinds.payload)
}

fn both_ways(figures: &Figures) -> Option<Figure> {
    let bytes = figures.bytes?;
    Some(sum(
        after_handshake(&bytes.up),
        after_handshake(&bytes.down),
    ))
}

/// Those of a message, divided by a message's connections; nothing if none was opened.
fn handshake(figures: &Figures) -> Option<Figure> {
    let (bytes, connections) = (figures.bytes?, figures.connections_per_message?);
    let each = sum(bytes.up.handshake, bytes.down.handshake);
    let median = each.median / connections.median;
    let ratios = [
        each.min / connections.min,
        median,
        each.max / connections.max,
    ];
    let all_finite = ratios.iter().all(|ratio| ratio.is_finite());
    all_finite.then(|| Figure {
        median,
        min: ratios.into_iter().fold(f64::INFINITY, f64::min),
        max: ratios.into_iter().fold(0.0, f64::max),
    })
}

/// Added one by one; the spread is the widest that the parts allow.
fn sum(one: Figure, other: Figure) -> Figure {
    Figure {
        median: one.median + other.median,
        min: one.min + other.min,
        max: one.max + other.max,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Transport;
    use crate::sample::{cell, exactly};

    #[test]
    fn a_handshake_counts_for_its_connection_and_not_for_messages() {
        let mut cell = cell(Transport::WebSocket);
        let median =
            |cell: &CellResult, metric: Metric| metric.of(cell).map(|figure| figure.median);
        assert_eq!(median(&cell, Metric::BytesDown), Some(130.0));
        assert_eq!(median(&cell, Metric::BytesUp), Some(0.0));
        assert_eq!(median(&cell, Metric::Bytes), Some(130.0));
        assert_eq!(median(&cell, Metric::Handshake), Some(1000.0));
        cell.figures.connections_per_message = exactly(0.0);
        assert_eq!(median(&cell, Metric::Handshake), None);
    }

    #[test]
    fn every_metric_is_found_by_its_field() {
        for metric in Metric::ALL {
            assert_eq!(Metric::by_field(metric.field()), Some(metric));
        }
    }
}
