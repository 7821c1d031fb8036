//! A cell: one combination of what is varied, measured as one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One combination of what is varied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cell {
    /// How messages arrive.
    pub transport: Transport,
    /// What carries the transport.
    pub protocol: Protocol,
    /// How often a message is published.
    pub rate: Rate,
    /// Bytes of a message's payload, as JSON.
    pub payload_bytes: usize,
    /// Clients that receive the one channel.
    pub subscribers: usize,
    /// Seconds between two short polls; for other transports absent.
    pub poll_interval_s: Option<f64>,
    /// Whether WebSockets ask for permessage-deflate.
    pub deflate: bool,
    /// What lies between clients and gateway.
    pub network: Network,
}

/// How messages arrive.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// A WebSocket.
    WebSocket,
    /// Server-Sent Events.
    Sse,
    /// A request that waits.
    LongPoll,
    /// A request every so often.
    Poll,
}

/// What carries the transport.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum Protocol {
    /// HTTP/1.1.
    #[serde(rename = "h1")]
    Http1,
    /// HTTP/1.1 over TLS.
    #[serde(rename = "h1+tls")]
    Http1Tls,
    /// HTTP/2 over TLS.
    #[serde(rename = "h2+tls")]
    Http2Tls,
}

/// How often a message is published.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Rate {
    /// Never, while connections are kept: what it costs to wait.
    Idle,
    /// Evenly, so many in a second, each at a random moment of its share of the time.
    Steady {
        /// Messages in a second.
        per_s: f64,
    },
    /// So many back to back, then a pause.
    Bursts {
        /// Messages of a burst.
        size: usize,
        /// Seconds from the beginning of one burst to that of the next.
        every_s: f64,
    },
}

/// What lies between clients and gateway.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Network {
    /// The loopback interface, as it is.
    Loopback,
    /// A proxy that holds every byte back, both ways.
    Delay {
        /// Milliseconds each way.
        one_way_ms: f64,
        /// As much more, drawn at random for each piece, without changing the order.
        jitter_ms: f64,
        /// Bits in a second, each way and for each connection; absent: as many as there are.
        bits_per_s: Option<f64>,
    },
    /// Network namespaces whose interfaces lose packets.
    Loss {
        /// Packets lost, of 100.
        percent: f64,
        /// Milliseconds each way.
        one_way_ms: f64,
    },
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A cell for tests that do not care.
    pub fn cell() -> Cell {
        Cell {
            transport: Transport::WebSocket,
            protocol: Protocol::Http1,
            rate: Rate::Steady { per_s: 10.0 },
            payload_bytes: 32,
            subscribers: 10,
            poll_interval_s: None,
            deflate: false,
            network: Network::Loopback,
        }
    }
}
