//! What was measured, as it is written to `results.json` and read by the reports. `schema.json` describes it to others.
//!
//! Figures carry their units in their names. A figure that was not measured, or that means nothing for a cell, is absent
//! and never zero.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cell::Cell;

/// The version of this format.
pub const SCHEMA_VERSION: u32 = 2;

/// One run of the comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Results {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// When it began, in RFC 3339, UTC.
    pub started_at: String,
    /// How long it took, in seconds, so far.
    pub took_s: f64,
    /// The command that makes these figures again.
    pub command: String,
    /// False if it was interrupted: the cells are those that were done.
    pub complete: bool,
    /// Where it ran.
    pub machine: Machine,
    /// What was measured.
    pub gateway: Gateway,
    /// How it was measured.
    pub method: Method,
    /// The cells, in the order of the plan.
    pub cells: Vec<CellResult>,
    /// What the plan asked for and was not done.
    pub skipped: Vec<Skipped>,
    /// What casts doubt on the whole run.
    pub warnings: Vec<String>,
}

/// Where it ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// Cores that may be used.
    pub cores: usize,
    /// Memory in GiB.
    pub memory_gib: f64,
    /// Kernel name and version.
    pub kernel: String,
    /// Which cores the two sides were bound to, in words.
    pub placement: String,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Gateway {
    /// What it says it is, such as `everyway/0.1.0`.
    pub server: String,
    /// Its address; absent if the run started it itself.
    pub url: Option<String>,
    /// Whether its process could be watched, for CPU time and memory.
    pub watched: bool,
}

/// How it was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Method {
    /// Repeats of each cell, in interleaved order.
    pub repeats: usize,
    /// Seconds of load that are not counted, at the start of each repeat, at least: each cell has its own.
    pub warm_up_s: f64,
    /// Seconds of load that are counted, in each repeat, for most cells: each cell has its own.
    pub measure_s: f64,
    /// The seed of everything that is drawn at random.
    pub seed: u64,
}

/// A cell that was not measured, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Skipped {
    /// What, in words.
    pub what: String,
    /// Why, and what to do about it.
    pub why: String,
}

/// A cell with its figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CellResult {
    /// What was varied.
    pub cell: Cell,
    /// How many repeats the figures are of.
    pub repeats: usize,
    /// Seconds of load that did not count, at the start of each repeat.
    pub warm_up_s: f64,
    /// Seconds of load that counted, in each repeat.
    pub measure_s: f64,
    /// What was delivered, all repeats together.
    pub deliveries: Deliveries,
    /// What it cost.
    pub figures: Figures,
    /// How many deliveries took how long, all repeats together: ascending, without empty ones.
    pub latencies: Vec<LatencyBucket>,
    /// What arithmetic says, beside what was measured.
    pub expected: Vec<Expectation>,
    /// What casts doubt on this cell.
    pub warnings: Vec<Warning>,
}

impl CellResult {
    /// False if the figures must not be used: the load was at its limit, or messages went wrong.
    pub fn is_valid(&self) -> bool {
        !self.warnings.iter().any(|warning| warning.invalidates)
    }
}

/// What was delivered. Every message is checked: its number, its channel, its payload.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Deliveries {
    /// Messages published, times subscribers.
    pub expected: u64,
    /// Of these, those that came, once or more often.
    pub delivered: u64,
    /// Of these, those that never came.
    pub lost: u64,
    /// Arrivals of what had come before.
    pub repeated: u64,
    /// Arrivals after a later one of the same channel.
    pub out_of_order: u64,
    /// Arrivals whose payload is not what was published.
    pub corrupted: u64,
}

/// A figure over the repeats.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Figure {
    /// The median of the repeats.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

/// What a cell cost.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Figures {
    /// From the intended moment of sending to the arrival, in milliseconds: half of the deliveries were faster.
    pub latency_p50_ms: Option<Figure>,
    /// Nine of ten were faster.
    pub latency_p90_ms: Option<Figure>,
    /// 99 of 100.
    pub latency_p99_ms: Option<Figure>,
    /// 999 of 1,000.
    pub latency_p999_ms: Option<Figure>,
    /// The slowest.
    pub latency_max_ms: Option<Figure>,
    /// From the first byte of a new connection to the first message over it, in milliseconds; the median of the clients.
    pub cold_start_ms: Option<Figure>,
    /// From coming back with a cursor to the first message that was missed, in milliseconds; the median of the clients.
    pub resume_ms: Option<Figure>,
    /// Bytes on the wire for each delivered message, up and down.
    pub bytes: Option<Bytes>,
    /// TCP segments with data for each delivered message, both ways, as packets of 1,500 bytes would carry them.
    pub packets_per_message: Option<Figure>,
    /// HTTP requests for each delivered message.
    pub requests_per_message: Option<Figure>,
    /// TCP connections opened for each delivered message, those of the beginning included.
    pub connections_per_message: Option<Figure>,
    /// Bytes of a client in an hour in which nothing is published, both ways.
    pub idle_bytes_per_hour: Option<Figure>,
    /// How often in a minute a client's network has to wake up: traffic after 100 ms without any. Absent where it is always awake,
    /// because the plan leaves no such pause: from 20 messages a second on, or with short polls that close together.
    pub wakeups_per_minute: Option<Figure>,
    /// CPU time of the server for each delivered message, in microseconds.
    pub server_cpu_us_per_message: Option<Figure>,
    /// Memory of the server for each client, in KiB.
    pub server_memory_kib_per_client: Option<Figure>,
    /// Messages published in a second.
    pub achieved_per_s: Option<Figure>,
    /// How much of its core the load used, from 0 to 1.
    pub load_cpu_share: Option<Figure>,
}

/// Bytes below TLS for each delivered message, by direction and kind.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Bytes {
    /// From the client to the gateway.
    pub up: ByteKinds,
    /// From the gateway to the client.
    pub down: ByteKinds,
}

/// Bytes by kind.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ByteKinds {
    /// All of them, counted at the socket and not added up. The kinds of a repeat are exactly as much; their medians may be a
    /// little more or less.
    pub wire: Figure,
    /// To begin: all up to the moment when a client is attached, so TLS handshakes, HTTP/2 prefaces, the first request with
    /// its answer, and `welcome`; of the whole run, for each message of the counted time.
    pub handshake: Figure,
    /// Heads of requests and answers.
    pub headers: Figure,
    /// Around the payload: frames, chunks, event fields, pages, the envelope of a message, heartbeats, TLS records.
    pub framing: Figure,
    /// The payload itself.
    pub payload: Figure,
}

/// How many deliveries took up to so long.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LatencyBucket {
    /// The upper end, in milliseconds.
    pub up_to_ms: f64,
    /// Deliveries above the end of the bucket before and up to this.
    pub count: u64,
}

/// What arithmetic says of a figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Expectation {
    /// The figure's name, as in [`Figures`].
    pub figure: String,
    /// The least that arithmetic allows.
    pub from: f64,
    /// The most.
    pub to: f64,
    /// What was measured, the median.
    pub measured: f64,
    /// How it comes about, in words.
    pub why: String,
    /// True if the measured value lies outside, by more than the tolerance that `why` names.
    pub differs: bool,
}

/// What casts doubt on a cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Warning {
    /// A short name, such as `load_at_its_limit`.
    pub code: String,
    /// In words, with figures.
    pub message: String,
    /// True if the cell's figures must not be used.
    pub invalidates: bool,
}
