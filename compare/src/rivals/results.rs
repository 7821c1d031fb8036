//! What was measured, as it is written to `rivals.json`. Figures that were not measured are absent.

use crowd::Kind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rival::Rival;
use super::targets::Verdict;
use crate::results::{Figure, Machine, Skipped, Warning};

/// The version of this format.
pub const SCHEMA_VERSION: u32 = 3;

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RivalsResults {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// When it began, in RFC 3339, UTC.
    pub started_at: String,
    /// How long it took, in seconds, so far.
    pub took_s: f64,
    /// The command that makes these figures again.
    pub command: String,
    /// False if it was interrupted: the rows are those that were done.
    pub complete: bool,
    /// Where it ran.
    pub machine: Machine,
    /// How much was done.
    pub method: Method,
    /// Who took part.
    pub contenders: Vec<Contender>,
    /// The figures.
    pub rows: Vec<Row>,
    /// What Everyway is to reach, and whether it does.
    pub verdicts: Vec<Verdict>,
    /// What was not done.
    pub skipped: Vec<Skipped>,
}

/// How much was done.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Method {
    /// Subscribers of the one channel.
    pub subscribers: usize,
    /// Connections when memory is measured.
    pub connections: usize,
    /// Bytes of a payload.
    pub payload_bytes: usize,
    /// Rounds that count, of CPU time and latency.
    pub rounds: usize,
    /// Rounds of memory.
    pub memory_rounds: usize,
    /// Seconds of a turn of CPU time, at least.
    pub turn_s: f64,
    /// Seconds at the beginning of a turn of latency that do not count.
    pub latency_warm_up_s: f64,
    /// Seconds of a turn of latency that count.
    pub latency_turn_s: f64,
    /// Messages published in a second when latency is measured.
    pub rate_per_s: f64,
}

/// Who took part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Contender {
    /// Who.
    pub rival: Rival,
    /// With the version of what runs it.
    pub version: String,
    /// How it was set up.
    pub setup: String,
}

/// What is measured.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// CPU time of the server for each delivery in µs, one message in flight.
    CpuOneInFlight,
    /// The same, with 64 messages back to back.
    CpuBurst64,
    /// Half of the deliveries were faster, in ms from the intended moment of publishing.
    LatencyP50,
    /// 99 of 100 deliveries were faster.
    LatencyP99,
    /// Resident memory of the server for each idle connection, in KiB.
    Memory,
}

impl Measure {
    /// Its name in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::CpuOneInFlight => "CPU per delivery, one in flight",
            Self::CpuBurst64 => "CPU per delivery, bursts of 64",
            Self::LatencyP50 => "latency p50, 20 messages/s",
            Self::LatencyP99 => "latency p99, 20 messages/s",
            Self::Memory => "memory per idle connection",
        }
    }

    /// Its unit.
    pub fn unit(self) -> &'static str {
        match self {
            Self::CpuOneInFlight | Self::CpuBurst64 => "µs",
            Self::LatencyP50 | Self::LatencyP99 => "ms",
            Self::Memory => "KiB",
        }
    }
}

/// One figure of one rival.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// What.
    pub measure: Measure,
    /// Over what.
    pub transport: Kind,
    /// Whose.
    pub rival: Rival,
    /// In the unit of the measure.
    pub value: Figure,
    /// Divided by Nchan's in the same round.
    pub to_nchan: Option<Figure>,
    /// Divided by Everyway's in the same round.
    pub to_everyway: Option<Figure>,
    /// How much of its core the load used, from 0 to 1.
    pub load_cpu_share: Option<Figure>,
    /// How much of a latency the load may have added by being late, from 0 to 1.
    pub load_late_share: Option<Figure>,
    /// How much of the time the load or the server, whichever had to more, waited for a core that others had.
    pub waited_share: Option<Figure>,
    /// The value of each round.
    pub rounds: Vec<f64>,
    /// What casts doubt on it.
    pub warnings: Vec<Warning>,
}

impl Row {
    /// False if the figure must not be used.
    pub fn is_valid(&self) -> bool {
        !self.warnings.iter().any(|warning| warning.invalidates)
    }
}
