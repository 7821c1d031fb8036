//! What is varied, and the cells that it makes.

use super::Choice;
use crate::cell::{Cell, Network, Protocol, Rate, Transport};

/// All transports, in order of preference.
pub const TRANSPORTS: [Transport; 4] = [
    Transport::WebSocket,
    Transport::Sse,
    Transport::LongPoll,
    Transport::Poll,
];

/// What is varied, each with its values.
pub struct Axes {
    pub transports: Vec<Transport>,
    pub protocols: Vec<Protocol>,
    pub rates: Vec<Rate>,
    pub sizes: Vec<usize>,
    pub subscribers: Vec<usize>,
    pub intervals: Vec<f64>,
    pub deflate: Vec<bool>,
    pub networks: Vec<Network>,
}

/// Evenly, so many in a second.
pub const fn steady(per_s: f64) -> Rate {
    Rate::Steady { per_s }
}

/// A proxy that holds bytes back.
pub const fn delay(one_way_ms: f64, jitter_ms: f64, bits_per_s: Option<f64>) -> Network {
    Network::Delay {
        one_way_ms,
        jitter_ms,
        bits_per_s,
    }
}

impl Axes {
    /// One value each, which an engineer would ask for first.
    pub fn base() -> Self {
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
    pub fn full() -> Self {
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

    /// Those that were chosen replace ours.
    pub fn with(mut self, choice: &Choice) -> Self {
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
    pub fn cells(&self) -> Vec<Cell> {
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
