//! Which cells are measured, how long and how often.

use std::time::Duration;

use crate::cell::{Cell, Network, Protocol, Rate, Transport};
use crate::label::Only;
use crate::run::Timing;

/// All transports, in order of preference.
const TRANSPORTS: [Transport; 4] = [
    Transport::WebSocket,
    Transport::Sse,
    Transport::LongPoll,
    Transport::Poll,
];

/// How thorough a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// In 30 seconds.
    Quick,
    /// In three minutes.
    Usual,
    /// All that is varied.
    Full,
}

/// What the command line chose, each empty where it did not.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Transports and protocols.
    pub only: Vec<Only>,
    /// Rates.
    pub rates: Vec<Rate>,
    /// Bytes of payloads.
    pub sizes: Vec<usize>,
    /// Numbers of subscribers.
    pub subscribers: Vec<usize>,
    /// Seconds between short polls.
    pub intervals: Vec<f64>,
    /// Networks.
    pub networks: Vec<Network>,
    /// Whether WebSockets are measured with compression, too.
    pub deflate: bool,
}

/// A cell with its place in the plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// What is varied.
    pub cell: Cell,
    /// How long a repeat takes.
    pub timing: Timing,
    /// How often it is measured.
    pub repeats: usize,
}

/// All cells, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The cells.
    pub cells: Vec<Planned>,
    /// How long a repeat usually takes; slow cells take longer.
    pub timing: Timing,
    /// How often most cells are measured.
    pub repeats: usize,
}

/// What is varied, each with its values.
struct Axes {
    transports: Vec<Transport>,
    protocols: Vec<Protocol>,
    rates: Vec<Rate>,
    sizes: Vec<usize>,
    subscribers: Vec<usize>,
    intervals: Vec<f64>,
    deflate: Vec<bool>,
    networks: Vec<Network>,
}

const fn steady(per_s: f64) -> Rate {
    Rate::Steady { per_s }
}

const fn delay(one_way_ms: f64, jitter_ms: f64, bits_per_s: Option<f64>) -> Network {
    Network::Delay {
        one_way_ms,
        jitter_ms,
        bits_per_s,
    }
}

impl Axes {
    /// One value each, which an engineer would ask for first.
    fn base() -> Self {
        Self {
            transports: TRANSPORTS.to_vec(),
            protocols: vec![Protocol::Http1],
            rates: vec![steady(10.0)],
            sizes: vec![32],
            subscribers: vec![100],
            intervals: vec![1.0],
            deflate: vec![false],
            networks: vec![Network::Loopback],
        }
    }

    /// All values.
    fn full() -> Self {
        let loss = Network::Loss {
            percent: 1.0,
            one_way_ms: 10.0,
        };
        Self {
            protocols: vec![Protocol::Http1, Protocol::Http1Tls, Protocol::Http2Tls],
            rates: vec![
                Rate::Idle,
                steady(1.0),
                steady(10.0),
                steady(100.0),
                Rate::Bursts {
                    size: 64,
                    every_s: 1.0,
                },
            ],
            sizes: vec![32, 1024, 16_384],
            subscribers: vec![1, 100, 1000],
            intervals: vec![0.2, 1.0, 5.0],
            deflate: vec![false, true],
            networks: vec![
                Network::Loopback,
                delay(10.0, 1.0, None),
                delay(50.0, 5.0, None),
                delay(150.0, 15.0, None),
                delay(10.0, 0.0, Some(1e6)),
                loss,
            ],
            ..Self::base()
        }
    }

    fn with(mut self, choice: &Choice) -> Self {
        fn replace<T: Clone>(values: &mut Vec<T>, chosen: &[T]) {
            if !chosen.is_empty() {
                *values = chosen.to_vec();
            }
        }
        replace(&mut self.rates, &choice.rates);
        replace(&mut self.sizes, &choice.sizes);
        replace(&mut self.subscribers, &choice.subscribers);
        replace(&mut self.intervals, &choice.intervals);
        replace(&mut self.networks, &choice.networks);
        replace(&mut self.transports, &choice.transports());
        replace(&mut self.protocols, &choice.protocols());
        if choice.deflate {
            self.deflate = vec![false, true];
        }
        self
    }

    /// Every combination that differs: only short polls have an interval, only WebSockets are compressed.
    fn cells(&self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for &network in &self.networks {
            for &protocol in &self.protocols {
                for &rate in &self.rates {
                    for payload_bytes in self.sizes_at(rate) {
                        for &subscribers in &self.subscribers {
                            for &transport in &self.transports {
                                let cell = Cell {
                                    transport,
                                    protocol,
                                    rate,
                                    payload_bytes,
                                    subscribers,
                                    poll_interval_s: None,
                                    deflate: false,
                                    network,
                                };
                                cells.extend(self.variants(&cell));
                            }
                        }
                    }
                }
            }
        }
        cells
    }

    /// Who sends nothing sends nothing of any size.
    fn sizes_at(&self, rate: Rate) -> Vec<usize> {
        match rate {
            Rate::Idle => self.sizes[..1].to_vec(),
            Rate::Steady { .. } | Rate::Bursts { .. } => self.sizes.clone(),
        }
    }

    fn variants(&self, cell: &Cell) -> Vec<Cell> {
        let with_interval = |interval: &f64| Cell {
            poll_interval_s: Some(*interval),
            ..cell.clone()
        };
        let with_deflate = |deflate: &bool| Cell {
            deflate: *deflate,
            ..cell.clone()
        };
        match cell.transport {
            Transport::Poll => self.intervals.iter().map(with_interval).collect(),
            Transport::WebSocket => self.deflate.iter().map(with_deflate).collect(),
            Transport::Sse | Transport::LongPoll => vec![cell.clone()],
        }
    }
}

impl Choice {
    fn transports(&self) -> Vec<Transport> {
        let transport = |only: &Only| match only {
            Only::Transport(transport) => Some(*transport),
            Only::Protocol(_) => None,
        };
        self.only.iter().filter_map(transport).collect()
    }

    fn protocols(&self) -> Vec<Protocol> {
        let protocol = |only: &Only| match only {
            Only::Protocol(protocol) => Some(*protocol),
            Only::Transport(_) => None,
        };
        self.only.iter().filter_map(protocol).collect()
    }

    /// True if protocols were chosen.
    pub fn names_protocols(&self) -> bool {
        !self.protocols().is_empty()
    }

    /// True if anything but transports was chosen: then the cells are a matrix, and not our selection.
    fn is_matrix(&self) -> bool {
        !(self.rates.is_empty()
            && self.sizes.is_empty()
            && self.subscribers.is_empty()
            && self.intervals.is_empty()
            && self.networks.is_empty()
            && self.protocols().is_empty())
            || self.deflate
    }
}

impl Plan {
    /// The cells for a depth and a choice.
    pub fn new(depth: Depth, choice: &Choice) -> Self {
        let (repeats, warm_up_ms, measure_ms) = match depth {
            Depth::Quick => (2, 150, 500),
            Depth::Usual => (3, 300, 1000),
            Depth::Full => (5, 1000, 5000),
        };
        let timing = Timing {
            warm_up: Duration::from_millis(warm_up_ms),
            measure: Duration::from_millis(measure_ms),
        };
        let planned = |cells: Vec<Cell>, repeats: usize| {
            let planned = cells.into_iter().map(move |cell| Planned {
                timing: timing_of(&cell, depth, timing),
                repeats: repeats_of(&cell, depth, repeats),
                cell,
            });
            planned.collect::<Vec<_>>()
        };
        let mut cells = match depth {
            Depth::Full => planned(Axes::full().with(choice).cells(), repeats),
            _ if choice.is_matrix() => planned(Axes::base().with(choice).cells(), repeats),
            Depth::Quick => [planned(base_cells(), repeats), planned(quick_once(), 1)].concat(),
            Depth::Usual => [
                planned(base_cells(), repeats),
                planned(usual_cells(), repeats),
                planned(usual_twice(), 2),
            ]
            .concat(),
        };
        let transports = choice.transports();
        cells.retain(|planned| {
            transports.is_empty() || transports.contains(&planned.cell.transport)
        });
        Self {
            cells,
            timing,
            repeats,
        }
    }
}

impl Plan {
    /// The same for a gateway that is reached with TLS only: what would go over HTTP/1.1 without it goes over HTTP/2, as
    /// browsers do, unless that is there already.
    pub fn over_tls(mut self) -> Self {
        let mut cells: Vec<Planned> = Vec::new();
        for mut planned in self.cells {
            if planned.cell.protocol == Protocol::Http1 {
                planned.cell.protocol = Protocol::Http2Tls;
            }
            if cells.iter().all(|other| other.cell != planned.cell) {
                cells.push(planned);
            }
        }
        self.cells = cells;
        self
    }
}

/// How long all of these take, about.
pub fn estimate(cells: &[Planned]) -> Duration {
    let times = cells
        .iter()
        .map(|planned| planned.estimate() * planned.repeats as u32);
    times.sum()
}

impl Planned {
    /// How long a repeat takes, about.
    pub fn estimate(&self) -> Duration {
        /// A process, its certificates read, its first connections.
        const START_S: f64 = 0.15;
        let cell = &self.cell;
        let one_way_s = one_way_s(&cell.network);
        let round_trips = if cell.protocol == Protocol::Http1 {
            3.0
        } else {
            4.0
        };
        let attach_s = match cell.protocol {
            Protocol::Http1 => 0.0003,
            Protocol::Http1Tls | Protocol::Http2Tls => 0.002,
        };
        // A delay begins when all are attached; losses are there from the beginning.
        let trips = match cell.network {
            Network::Loopback | Network::Delay { .. } => 0.0,
            Network::Loss { .. } => {
                let at_once = crate::run::attach_at_once(&cell.network);
                cell.subscribers.div_ceil(at_once) as f64 * round_trips
            }
        };
        let attaching = attach_s * cell.subscribers as f64 + trips * 2.0 * one_way_s;
        let idle = cell.rate == Rate::Idle;
        let waiting = if idle {
            0.0
        } else {
            cell.poll_interval_s.unwrap_or_default() + 4.0 * one_way_s
        };
        let starts = 2.0 * round_trips * 2.0 * one_way_s + 0.02;
        let rest = Duration::from_secs_f64(START_S + attaching + waiting + starts);
        self.timing.warm_up + self.timing.measure + rest
    }
}

/// What one way takes at most; with losses, about.
fn one_way_s(network: &Network) -> f64 {
    match *network {
        Network::Loopback => 0.0,
        Network::Delay {
            one_way_ms,
            jitter_ms,
            ..
        } => (one_way_ms + jitter_ms) / 1000.0,
        Network::Loss { one_way_ms, .. } => one_way_ms / 1000.0 * 2.0,
    }
}

/// The first four.
fn base_cells() -> Vec<Cell> {
    Axes::base().cells()
}

/// What a quick look measures once: counts hardly differ between repeats, nor does a delay. There are as many clients as
/// memory needs to be seen.
fn quick_once() -> Vec<Cell> {
    let far = Axes {
        networks: vec![delay(50.0, 5.0, None)],
        subscribers: vec![50],
        ..Axes::base()
    };
    let idle = Axes {
        rates: vec![Rate::Idle],
        subscribers: vec![50],
        ..Axes::base()
    };
    [far.cells(), idle.cells()].concat()
}

/// Beside the first four: faster, more, encrypted, compressed, and waiting.
fn usual_cells() -> Vec<Cell> {
    let fast = Axes {
        rates: vec![steady(100.0)],
        ..Axes::base()
    };
    let many = Axes {
        subscribers: vec![1000],
        ..Axes::base()
    };
    let encrypted = Axes {
        protocols: vec![Protocol::Http2Tls],
        ..Axes::base()
    };
    let compressed = Axes {
        transports: vec![Transport::WebSocket],
        sizes: vec![1024],
        deflate: vec![false, true],
        ..Axes::base()
    };
    let often = Axes {
        transports: vec![Transport::Poll],
        intervals: vec![0.2],
        ..Axes::base()
    };
    let idle = Axes {
        rates: vec![Rate::Idle],
        ..Axes::base()
    };
    [fast, many, encrypted, compressed, often, idle]
        .iter()
        .flat_map(Axes::cells)
        .collect()
}

/// What takes longer, and varies less.
fn usual_twice() -> Vec<Cell> {
    let slow = Axes {
        rates: vec![steady(1.0)],
        ..Axes::base()
    };
    let far = Axes {
        networks: vec![delay(50.0, 5.0, None)],
        subscribers: vec![50],
        ..Axes::base()
    };
    [slow.cells(), far.cells()].concat()
}

/// Longer where little happens.
fn timing_of(cell: &Cell, depth: Depth, usual: Timing) -> Timing {
    let least_s = match cell.rate {
        // Beats are a second apart in idle cells, see `wire.rs`; polls are apart by their interval.
        Rate::Idle => {
            let beats = if depth == Depth::Quick && cell.transport == Transport::Poll {
                1.0
            } else {
                2.0
            };
            beats * cell.poll_interval_s.unwrap_or(1.0).max(1.0)
        }
        Rate::Steady { per_s } => 2.0 / per_s,
        Rate::Bursts { every_s, .. } => 2.0 * every_s,
    };
    let least = Duration::from_secs_f64(least_s);
    let measure = if cell.rate == Rate::Idle {
        least
    } else {
        usual.measure.max(least)
    };
    // Beats fall into the middle of their seconds, as far as can be from where a window begins and ends: half a second after all
    // attached, and not with the first of them.
    let usual_warm_up = if cell.rate == Rate::Idle && cell.transport != Transport::Poll {
        Duration::from_secs_f64(usual.warm_up.as_secs_f64().floor() + 0.5)
    } else {
        usual.warm_up
    };
    // When it begins to count, what comes in is as much as what goes out: the first messages have arrived, after up to three
    // transits, or lost ones were sent again.
    let warm_up = usual_warm_up.max(Duration::from_secs_f64(4.0 * one_way_s(&cell.network)));
    let usual = Timing { warm_up, ..usual };
    let Some(interval_s) = cell.poll_interval_s else {
        return Timing { measure, ..usual };
    };
    // Whole intervals, so that every client polls equally often, and the first ones after a whole one: before that a poll
    // finds less than it usually would.
    let intervals = (measure.as_secs_f64() / interval_s).ceil();
    Timing {
        warm_up: usual.warm_up.max(Duration::from_secs_f64(
            interval_s + 2.0 * one_way_s(&cell.network),
        )),
        measure: Duration::from_secs_f64(intervals * interval_s),
    }
}

/// What is counted while nothing happens is the same each time; and what a short poll takes is its interval's doing, so a
/// quick look takes the time for something else.
fn repeats_of(cell: &Cell, depth: Depth, usual: usize) -> usize {
    match (depth, cell.rate, cell.transport) {
        (Depth::Full, Rate::Idle, _) => 2,
        (_, Rate::Idle, _) | (Depth::Quick, _, Transport::Poll) => 1,
        _ => usual,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label;

    fn plan(depth: Depth, change: impl FnOnce(&mut Choice)) -> Plan {
        let mut choice = Choice::default();
        change(&mut choice);
        Plan::new(depth, &choice)
    }

    #[test]
    fn a_gateway_with_tls_only_has_as_much_to_do() {
        let quick = plan(Depth::Quick, |_| ());
        let over_tls = quick.clone().over_tls();
        assert_eq!(over_tls.cells.len(), quick.cells.len());
        let usual = plan(Depth::Usual, |_| ()).over_tls();
        let is_http2 = |planned: &Planned| planned.cell.protocol == Protocol::Http2Tls;
        assert!(usual.cells.iter().all(is_http2));
        for (index, planned) in usual.cells.iter().enumerate() {
            let before = &usual.cells[..index];
            assert!(before.iter().all(|other| other.cell != planned.cell));
        }
    }

    #[test]
    fn a_slow_network_warms_up_until_messages_come_through() {
        let slow = plan(Depth::Quick, |choice| {
            choice.networks = vec![delay(150.0, 15.0, None)]
        });
        for planned in &slow.cells {
            let warm_up = planned.timing.warm_up;
            assert!(warm_up >= Duration::from_millis(660), "{planned:?}");
        }
    }

    #[test]
    fn the_plans_keep_to_their_time() {
        let (quick, usual) = (plan(Depth::Quick, |_| ()), plan(Depth::Usual, |_| ()));
        assert!(
            estimate(&quick.cells) <= Duration::from_secs(29),
            "quick takes {:?}",
            estimate(&quick.cells)
        );
        assert!(
            estimate(&usual.cells) <= Duration::from_secs(175),
            "usual takes {:?}",
            estimate(&usual.cells)
        );
        for plan in [&quick, &usual] {
            for transport in TRANSPORTS {
                let cells = plan
                    .cells
                    .iter()
                    .filter(|planned| planned.cell.transport == transport);
                assert!(cells.count() >= 3, "{transport} is measured");
            }
        }
    }

    #[test]
    fn no_cell_is_planned_twice() {
        for depth in [Depth::Quick, Depth::Usual, Depth::Full] {
            let plan = plan(depth, |_| ());
            let mut labels: Vec<_> = plan
                .cells
                .iter()
                .map(|planned| label::of(&planned.cell))
                .collect();
            labels.sort();
            let count = labels.len();
            labels.dedup();
            assert_eq!(labels.len(), count, "{depth:?}");
        }
    }

    #[test]
    fn the_full_matrix_has_every_combination_that_differs() {
        // Networks, protocols, four rates with three sizes and idle with one, subscribers; and per combination two
        // WebSockets, SSE, long poll and three short polls.
        assert_eq!(
            plan(Depth::Full, |_| ()).cells.len(),
            6 * 3 * (4 * 3 + 1) * 3 * 7
        );
    }

    #[test]
    fn a_choice_makes_a_matrix_of_what_was_chosen() {
        let plan = plan(Depth::Usual, |choice| {
            choice.only = vec![
                Only::Transport(Transport::Sse),
                Only::Transport(Transport::Poll),
            ];
            choice.rates = vec![steady(1.0), steady(10.0)];
            choice.intervals = vec![0.2, 5.0];
        });
        let labels: Vec<_> = plan
            .cells
            .iter()
            .map(|planned| label::of(&planned.cell))
            .collect();
        let expected = [
            "sse h1, 1/s, 32 B, 100 subscribers",
            "poll h1, 1/s, 32 B, 100 subscribers, every 0.2 s",
            "poll h1, 1/s, 32 B, 100 subscribers, every 5 s",
            "sse h1, 10/s, 32 B, 100 subscribers",
            "poll h1, 10/s, 32 B, 100 subscribers, every 0.2 s",
            "poll h1, 10/s, 32 B, 100 subscribers, every 5 s",
        ];
        assert_eq!(labels, expected);
    }

    #[test]
    fn only_takes_of_the_selection() {
        let of = |only| plan(Depth::Quick, |choice| choice.only = vec![only]);
        let sse = of(Only::Transport(Transport::Sse));
        assert!(
            sse.cells.len() == 3
                && sse
                    .cells
                    .iter()
                    .all(|planned| planned.cell.transport == Transport::Sse)
        );
        let h2 = of(Only::Protocol(Protocol::Http2Tls));
        assert!(
            h2.cells.len() == 4
                && h2
                    .cells
                    .iter()
                    .all(|planned| planned.cell.protocol == Protocol::Http2Tls)
        );
    }

    #[test]
    fn slow_cells_are_measured_for_longer() {
        let plan = plan(Depth::Usual, |choice| choice.rates = vec![steady(0.5)]);
        assert_eq!(plan.cells[0].timing.measure, Duration::from_secs(4));
    }

    #[test]
    fn beats_are_far_from_the_ends_of_a_window() {
        for depth in [Depth::Quick, Depth::Usual, Depth::Full] {
            let plan = plan(depth, |choice| {
                choice.rates = vec![Rate::Idle];
                choice.networks = vec![Network::Loopback];
                choice.only = vec![Only::Transport(Transport::Sse)];
            });
            for planned in &plan.cells {
                assert_eq!(planned.timing.warm_up.subsec_millis(), 500, "{planned:?}");
            }
            assert!(!plan.cells.is_empty());
        }
    }

    #[test]
    fn polls_are_measured_for_whole_intervals_after_one() {
        let plan = plan(Depth::Quick, |choice| choice.intervals = vec![0.2, 5.0]);
        let polls = plan
            .cells
            .iter()
            .filter(|planned| planned.cell.transport == Transport::Poll);
        let seconds = polls.map(|planned| {
            [planned.timing.warm_up, planned.timing.measure].map(|time| time.as_secs_f64())
        });
        let seconds: Vec<_> = seconds.collect();
        assert_eq!(seconds.len(), 2);
        assert!(
            (seconds[0][1] - 0.6).abs() < 1e-9 && seconds[0][0] >= 0.2,
            "{seconds:?}"
        );
        assert_eq!(seconds[1], [5.0, 5.0]);
    }
}
