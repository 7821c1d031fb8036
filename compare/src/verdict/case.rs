//! The cases, each with the rule that decides it. The report states the rules from here, so that what is said is what is
//! computed.

use crate::metric::Metric;

/// What somebody builds, and what decides which transport suits it.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// Who sends, and what matters, in words.
    pub about: &'static str,
    /// Which cells speak for it.
    pub setting: Setting,
    /// Whether a client has to send over the connection that it receives by.
    pub must_send: bool,
    /// What a transport must not exceed to be considered.
    pub limit: Limit,
    /// What is weighed among those that are left.
    pub weights: &'static [Weight],
}

/// Which cells speak for a case.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The least and the most messages in a second, on average.
    pub per_s: (f64, f64),
    /// What is nearest to it is taken.
    pub per_s_near: f64,
    /// The fewest subscribers.
    pub subscribers_min: usize,
    /// What is nearest to it is taken.
    pub subscribers_near: usize,
    /// What lies in between.
    pub path: Path,
}

/// What lies between the clients and the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// Nothing: what is decided is what the transport itself adds.
    Near,
    /// A delayed network, if one was measured, else nothing.
    FarIfMeasured,
    /// A delayed network.
    Far,
}

/// Of delayed networks, that whose delay each way is nearest to this is taken, in milliseconds.
pub const ONE_WAY_MS_NEAR: f64 = 50.0;

/// What must not be exceeded.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// The figure.
    pub metric: Metric,
    /// The most.
    pub at_most: f64,
}

/// A figure that counts.
#[derive(Debug, Clone, Copy)]
pub struct Weight {
    /// The figure.
    pub metric: Metric,
    /// How much it counts beside the others.
    pub weight: f64,
    /// What is smaller counts as this: below it nobody notices.
    pub floor: f64,
    /// Whether it is that of a client to whom nothing is published.
    pub at_rest: bool,
    /// What is added for a transport that does not send over its own connection: requests for each message received.
    pub posts: f64,
}

/// A floor for figures of which every bit is noticed, so that nothing is divided by nothing.
pub const TINY: f64 = 1e-3;

/// Memory comes in pages of 4 KiB, of which a client has a share: less than this is as good as none.
pub const MEMORY_KIB_MIN: f64 = 1.0;

/// A request for twenty messages is as good as none.
pub const REQUESTS_MIN: f64 = 0.05;

/// A kilobyte in an hour is as good as none.
pub const IDLE_BYTES_MIN: f64 = 1000.0;

const fn weigh(metric: Metric, weight: f64, floor: f64) -> Weight {
    Weight {
        metric,
        weight,
        floor,
        at_rest: false,
        posts: 0.0,
    }
}

const fn at_rest(metric: Metric, weight: f64, floor: f64) -> Weight {
    Weight {
        at_rest: true,
        ..weigh(metric, weight, floor)
    }
}

/// All cases, in the order of the report.
pub const CASES: [Case; 7] = [
    Case {
        name: "chat",
        about: "Everybody sends and receives; one message is sent for ten that are received.",
        setting: Setting {
            per_s: (0.2, 20.0),
            per_s_near: 1.0,
            subscribers_min: 1,
            subscribers_near: 10,
            path: Path::FarIfMeasured,
        },
        must_send: false,
        limit: Limit {
            metric: Metric::P99,
            at_most: 2000.0,
        },
        weights: &[
            weigh(Metric::P99, 2.0, 200.0),
            weigh(Metric::Bytes, 1.0, TINY),
            Weight {
                posts: 0.1,
                ..weigh(Metric::Requests, 1.0, REQUESTS_MIN)
            },
            weigh(Metric::Memory, 1.0, MEMORY_KIB_MIN),
        ],
    },
    Case {
        name: "notifications",
        about: "The server sends, seldom; nearly all of the cost is that of waiting.",
        setting: Setting {
            per_s: (0.0, 20.0),
            per_s_near: 1.0,
            subscribers_min: 1,
            subscribers_near: 100,
            path: Path::Near,
        },
        must_send: false,
        limit: Limit {
            metric: Metric::P99,
            at_most: 10_000.0,
        },
        weights: &[
            at_rest(Metric::IdleBytes, 2.0, IDLE_BYTES_MIN),
            at_rest(Metric::Memory, 1.0, MEMORY_KIB_MIN),
            at_rest(Metric::WakeUps, 1.0, 0.1),
        ],
    },
    Case {
        name: "dashboard",
        about: "The server sends a few times a second to who watches; half a second late is soon enough.",
        setting: Setting {
            per_s: (1.0, 20.0),
            per_s_near: 10.0,
            subscribers_min: 1,
            subscribers_near: 10,
            path: Path::Near,
        },
        must_send: false,
        limit: Limit {
            metric: Metric::P99,
            at_most: 2000.0,
        },
        weights: &[
            weigh(Metric::Cpu, 2.0, TINY),
            weigh(Metric::Bytes, 2.0, TINY),
            weigh(Metric::P50, 1.0, 500.0),
        ],
    },
    Case {
        name: "game",
        about: "Both sides send, often, over one connection; what comes late is worthless.",
        setting: Setting {
            per_s: (10.0, 200.0),
            per_s_near: 60.0,
            subscribers_min: 1,
            subscribers_near: 10,
            path: Path::Near,
        },
        must_send: true,
        limit: Limit {
            metric: Metric::P99,
            at_most: 50.0,
        },
        weights: &[
            weigh(Metric::P99, 2.0, 1.0),
            weigh(Metric::Bytes, 1.0, TINY),
            weigh(Metric::Cpu, 1.0, TINY),
        ],
    },
    Case {
        name: "trading",
        about: "The server sends without pause; the slowest deliveries decide.",
        setting: Setting {
            per_s: (50.0, f64::INFINITY),
            per_s_near: 100.0,
            subscribers_min: 1,
            subscribers_near: 1,
            path: Path::Near,
        },
        must_send: false,
        limit: Limit {
            metric: Metric::P999,
            at_most: 100.0,
        },
        weights: &[
            weigh(Metric::P999, 3.0, 0.01),
            weigh(Metric::P50, 1.0, 0.01),
        ],
    },
    Case {
        name: "live stream",
        about: "One side sends to a hundred clients and more; what a message costs is paid by each of them.",
        setting: Setting {
            per_s: (0.5, f64::INFINITY),
            per_s_near: 10.0,
            subscribers_min: 100,
            subscribers_near: 1000,
            path: Path::Near,
        },
        must_send: false,
        limit: Limit {
            metric: Metric::P99,
            at_most: 3000.0,
        },
        weights: &[
            weigh(Metric::Cpu, 2.0, TINY),
            weigh(Metric::Bytes, 2.0, TINY),
            weigh(Metric::Memory, 1.0, MEMORY_KIB_MIN),
        ],
    },
    Case {
        name: "mobile",
        about: "The server sends to phones over a network with delay; each time the radio wakes up, the battery pays.",
        setting: Setting {
            per_s: (0.1, 20.0),
            per_s_near: 1.0,
            subscribers_min: 1,
            subscribers_near: 1,
            path: Path::Far,
        },
        must_send: false,
        limit: Limit {
            metric: Metric::P99,
            at_most: 10_000.0,
        },
        weights: &[
            at_rest(Metric::WakeUps, 2.0, 0.1),
            at_rest(Metric::IdleBytes, 1.0, IDLE_BYTES_MIN),
            weigh(Metric::Bytes, 1.0, TINY),
            weigh(Metric::Resume, 1.0, 100.0),
        ],
    },
];
