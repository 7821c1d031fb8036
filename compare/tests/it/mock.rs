//! A transport of which everything is known: what it takes, what it costs, and what it loses.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Result, bail};
use bytes::Bytes;
use compare::meter::{Direction, Meter};
use compare::run::{Desk, Rig, Starts, Subscriber, Used};
use tokio::time::{Instant, advance};

/// How the mock behaves. Bytes are of one delivery, but for those to begin.
#[derive(Clone)]
pub struct Behaviour {
    /// How long a delivery of message `number` takes.
    pub latency: fn(u32) -> Duration,
    /// What becomes of message `number` at a reader.
    pub fate: fn(u32, usize) -> Fate,
    /// How long the publisher is held up by message `number`.
    pub held_up: fn(u32) -> Duration,
    /// CPU time of the load, as a share of the time.
    pub load_share: f64,
    /// Bytes of heads that are told of with each delivery.
    pub headers_down: usize,
    /// What the gateway says to who publishes, once it has all.
    pub refusal: Option<&'static str>,
}

/// What becomes of a delivery.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fate {
    Arrives,
    Lost,
    Twice,
    Corrupted,
    AfterTheNext,
}

pub const HANDSHAKE_UP: usize = 500;
pub const HANDSHAKE_DOWN: usize = 700;
pub const WIRE_UP: usize = 90;
pub const HEADERS_UP: usize = 60;
pub const WIRE_DOWN: usize = 300;
pub const HEADERS_DOWN: usize = 100;
pub const SERVER_CPU: Duration = Duration::from_micros(5);
pub const MEMORY_PER_READER: u64 = 3 * 1024;

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            latency: |_| Duration::from_millis(1),
            fate: |_, _| Fate::Arrives,
            held_up: |_| Duration::ZERO,
            load_share: 0.1,
            headers_down: HEADERS_DOWN,
            refusal: None,
        }
    }
}

/// A gateway, its network and its clients in one.
pub struct Mock {
    behaviour: Behaviour,
    start: Instant,
    published: u32,
    delivered: u32,
    readers: Mutex<Vec<Reader>>,
    are_all_attached: bool,
}

struct Reader {
    desk: Desk,
    meter: Arc<Meter>,
    headers_down: usize,
    held_back: Option<Bytes>,
}

impl Mock {
    pub fn new(behaviour: Behaviour) -> Self {
        Self {
            behaviour,
            start: Instant::now(),
            published: 0,
            delivered: 0,
            readers: Mutex::default(),
            are_all_attached: false,
        }
    }
}

impl Reader {
    fn arrive(&self, at: Instant, payload: &Bytes) {
        self.meter.wire(Direction::Up, WIRE_UP, at);
        self.meter.headers(Direction::Up, HEADERS_UP);
        self.meter.request();
        self.meter.wire(Direction::Down, WIRE_DOWN, at);
        self.meter.headers(Direction::Down, self.headers_down);
        self.meter.payload(payload.len());
        self.meter.settle();
        self.desk.arrive(at, payload);
    }

    fn meet(&mut self, fate: Fate, at: Instant, payload: &Bytes) {
        match fate {
            Fate::Arrives => self.arrive(at, payload),
            Fate::Lost => {}
            Fate::Twice => {
                self.arrive(at, payload);
                self.arrive(at, payload);
            }
            Fate::Corrupted => self.arrive(at, &Bytes::from_static(b"\"what is this\"")),
            Fate::AfterTheNext => self.held_back = Some(payload.clone()),
        }
        if fate == Fate::Arrives
            && let Some(late) = self.held_back.take()
        {
            self.arrive(at, &late);
        }
    }
}

impl Rig for Mock {
    async fn attach(&self, _reader: usize, desk: Desk) -> Result<Subscriber> {
        assert!(!self.are_all_attached, "nobody comes later");
        let meter = Arc::new(Meter::default());
        meter.connecting();
        meter.wire(Direction::Up, HANDSHAKE_UP, Instant::now());
        meter.wire(Direction::Down, HANDSHAKE_DOWN, Instant::now());
        meter.attached();
        meter.settle();
        let reader = Reader {
            desk,
            headers_down: self.behaviour.headers_down,
            meter: Arc::clone(&meter),
            held_back: None,
        };
        self.readers.lock().expect("no panic").push(reader);
        Ok(Subscriber {
            meter,
            task: tokio::spawn(std::future::pending()),
        })
    }

    fn all_attached(&mut self) {
        self.are_all_attached = true;
    }

    async fn publish(&mut self, payload: Bytes) -> Result<()> {
        assert!(self.are_all_attached, "the network takes its time by now");
        let number = self.published;
        self.published += 1;
        advance((self.behaviour.held_up)(number)).await;
        let at = Instant::now() + (self.behaviour.latency)(number);
        for (index, reader) in self
            .readers
            .lock()
            .expect("no panic")
            .iter_mut()
            .enumerate()
        {
            reader.meet((self.behaviour.fate)(number, index), at, &payload);
            self.delivered += 1;
        }
        Ok(())
    }

    async fn all_taken(&mut self) -> Result<()> {
        match self.behaviour.refusal {
            Some(refusal) => bail!(refusal),
            None => Ok(()),
        }
    }

    async fn sleep_until(&mut self, moment: Instant) -> Result<()> {
        advance(moment.saturating_duration_since(Instant::now())).await;
        Ok(())
    }

    fn used(&self) -> Result<Used> {
        Ok(Used {
            server: Some(SERVER_CPU * self.delivered),
            load: self.start.elapsed().mul_f64(self.behaviour.load_share),
            machine: None,
        })
    }

    fn memory(&self) -> Result<Option<u64>> {
        let readers = self.readers.lock().expect("no panic").len() as u64;
        Ok(Some(1_000_000 + readers * MEMORY_PER_READER))
    }

    async fn starts(&mut self) -> Result<Starts> {
        let us = |us: &[u64]| us.iter().copied().map(Duration::from_micros).collect();
        Ok(Starts {
            cold: us(&[500, 400, 300]),
            resume: us(&[300, 200, 400]),
        })
    }

    fn idle_speed(&self) -> f64 {
        1.0
    }
}
