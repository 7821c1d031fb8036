//! Those who read in a crowd: some come and go and change their channels, some wait and do nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use everyway::bus::{Budget, ChannelName, GapReason, Item, Position, Start};
use everyway::session::Session;
use fastrand::Rng;

use super::super::support::within;
use super::{BURST, Crowd, FLEETING, PUBLISHERS, ROUNDS, STEADY, name, signal};

/// What one reader was told in all channels, checked as it comes.
#[derive(Default)]
struct Trail {
    positions: BTreeMap<ChannelName, Position>,
    messages: Vec<(ChannelName, Position, String)>,
}

impl Trail {
    fn follow(&mut self, item: Item) {
        match item {
            Item::Gap(gap) => {
                let position = self
                    .positions
                    .get_mut(&gap.channel)
                    .expect("it was asked for");
                let (before, lost) = (*position, gap.lost);
                // A position that was given out is lost to time, never above the head.
                match lost.reason {
                    GapReason::History => assert_eq!(
                        lost.count,
                        Some(lost.resume.offset - before.offset),
                        "{gap:?} after {before}"
                    ),
                    GapReason::Epoch => assert_ne!(lost.resume.epoch, before.epoch),
                    GapReason::Ahead => panic!("{gap:?} after {before}"),
                }
                *position = lost.resume;
            }
            Item::Message(publication) => {
                let json: serde_json::Value = serde_json::from_slice(publication.json()).unwrap();
                let channel = name(json["channel"].as_str().unwrap());
                let position = self.positions.get_mut(&channel).expect("it was asked for");
                position.offset += 1;
                assert_eq!(
                    publication.offset, position.offset,
                    "{channel} after {position}"
                );
                self.messages
                    .push((channel, *position, json["data"].to_string()));
            }
        }
    }

    /// Everything told is what was published at that place.
    fn check(&self, crowd: &Crowd) {
        let answers = crowd.answers.lock();
        for (channel, position, payload) in &self.messages {
            let published = answers.get(&(channel.clone(), *position));
            assert_eq!(published, Some(payload), "{channel} {position}");
        }
    }
}

/// Comes and goes, and keeps its positions.
pub struct Reader {
    crowd: Arc<Crowd>,
    id: usize,
    rng: Rng,
    session: Session,
    trail: Trail,
}

impl Reader {
    pub fn new(crowd: Arc<Crowd>, id: usize, rng: Rng) -> Self {
        Self {
            session: Session::new(crowd.bus.clone(), signal()),
            crowd,
            id,
            rng,
            trail: Trail::default(),
        }
    }

    pub async fn run(mut self) {
        for _ in 0..ROUNDS {
            self.crowd.meet().await;
            while !self.crowd.is_quiet() {
                self.act().await;
            }
            self.catch_up().await;
            self.crowd.meet().await;
        }
        self.trail.check(&self.crowd);
        assert!(
            !self.trail.messages.is_empty(),
            "reader {} read nothing",
            self.id
        );
    }

    async fn act(&mut self) {
        match self.rng.u8(..10) {
            0 => self.attach().await,
            1 => {
                let channel = self.any_channel();
                self.subscribe(&channel).await;
            }
            2 => {
                let channel = self.any_channel();
                self.session.unsubscribe(&channel);
            }
            _ => self.read_for(Duration::from_micros(200)).await,
        }
    }

    /// Leaves, and comes back to some channels from where it left them.
    async fn attach(&mut self) {
        self.session = Session::new(self.crowd.bus.clone(), signal());
        for _ in 0..self.rng.usize(1..4) {
            let channel = self.any_channel();
            self.subscribe(&channel).await;
        }
    }

    async fn subscribe(&mut self, channel: &ChannelName) {
        if self.session.is_subscribed(channel) {
            return;
        }
        let held = self.trail.positions.get(channel);
        let start = held.map_or(Start::Earliest, |position| Start::After(*position));
        let joined = self.session.join(channel, start).await.unwrap();
        let position = self.session.add(joined).expect("nobody is present");
        self.trail.positions.insert(channel.clone(), position);
    }

    async fn read_for(&mut self, time: Duration) {
        let budget = Budget {
            messages: self.rng.usize(1..20),
            bytes: self.rng.usize(1..2_000),
        };
        if let Ok(batch) = tokio::time::timeout(time, self.session.next(budget)).await {
            let items = batch.expect("nobody ended the session").items;
            items
                .into_iter()
                .for_each(|(_, item)| self.trail.follow(item));
        }
    }

    /// Nothing is published now, so what is missing must be there to be read.
    async fn catch_up(&mut self) {
        loop {
            let behind = self.session.readers().find_map(|reader| {
                let head = self.crowd.bus.peek(&reader.name, Start::Now).position;
                (reader.position != head)
                    .then(|| format!("{} at {}, head {head}", reader.name, reader.position))
            });
            let Some(behind) = behind else { return };
            let what = format!("reader {} on {behind}", self.id);
            let budget = Budget {
                messages: 7,
                bytes: 2_000,
            };
            let batch = within(&what, self.session.next(budget)).await;
            let items = batch.expect("nobody ended the session").items;
            items
                .into_iter()
                .for_each(|(_, item)| self.trail.follow(item));
        }
    }

    fn any_channel(&mut self) -> ChannelName {
        match self.rng.usize(..=FLEETING.len()) {
            0 => name(STEADY),
            index => name(FLEETING[index - 1]),
        }
    }
}

/// Waits on the steady channel and looks only when it is woken, so a wake-up that is lost is a hang.
pub struct Waiter {
    crowd: Arc<Crowd>,
    id: usize,
    session: Session,
    trail: Trail,
}

impl Waiter {
    pub async fn attach(crowd: Arc<Crowd>, id: usize) -> Self {
        let (steady, starts) = (name(STEADY), [Start::Now]);
        let channels = std::slice::from_ref(&steady);
        let session = Session::open(crowd.bus.clone(), signal(), channels, &starts);
        let session = session.await.unwrap();
        let position = session.readers().next().unwrap().position;
        let mut trail = Trail::default();
        trail.positions.insert(steady, position);
        Self {
            crowd,
            id,
            session,
            trail,
        }
    }

    pub async fn run(mut self) {
        let steady = name(STEADY);
        let mut expected = 0;
        for _ in 0..ROUNDS {
            self.crowd.meet().await;
            expected += (PUBLISHERS * BURST.div_ceil(2)) as u64;
            while self.trail.positions[&steady].offset < expected {
                let at = self.trail.positions[&steady];
                let what = format!("waiter {} at {at}, waiting for {expected}", self.id);
                let budget = Budget {
                    messages: 5,
                    bytes: 1 << 20,
                };
                let batch = within(&what, self.session.next(budget)).await;
                let items = batch.expect("nobody ended the session").items;
                items
                    .into_iter()
                    .for_each(|(_, item)| self.trail.follow(item));
            }
            self.crowd.meet().await;
        }
        self.trail.check(&self.crowd);
    }
}
