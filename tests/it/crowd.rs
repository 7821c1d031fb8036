//! Many publishers and many readers on a few channels that come and go, in real time: nothing is lost or told twice
//! without a gap, and nobody waits for what is already there.

mod reader;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use everyway::broker::{Broker, Memory};
use everyway::bus::{Bounds, Bus, ChannelName, Draft, Payload, Position, PublishError, Retention};
use everyway::bus::{Signal, Store};
use fastrand::Rng;
use parking_lot::Mutex;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::support::{SOON, seed};
use reader::{Reader, Waiter};

const PUBLISHERS: usize = 3;
const READERS: usize = 4;
const WAITERS: usize = 2;
const ROUNDS: usize = 400;
/// What each publisher publishes in a round.
const BURST: usize = 20;
/// Never forgotten, because somebody always waits on it.
const STEADY: &str = "steady";
/// More than there is room for, so they are forgotten and made again.
const FLEETING: [&str; 5] = ["a", "b", "c", "d", "e"];

/// What all tasks share.
struct Crowd {
    bus: Bus,
    /// What was published where, by the answers that publishers got.
    answers: Mutex<HashMap<(ChannelName, Position), String>>,
    /// Everybody begins a round together, and ends it together.
    gate: Barrier,
    publishing: AtomicUsize,
}

impl Crowd {
    fn new() -> Self {
        let store = Arc::new(Store::new(Bounds {
            retention: Retention {
                count_max: 30,
                bytes_max: 1 << 20,
                age_max: Duration::from_secs(300),
                keys_max: 10,
                key_age_max: Duration::from_secs(60),
            },
            channels_max: 4,
            bytes_max: 16_000,
            forget_after: Duration::from_millis(1),
            rest_after_full: Duration::ZERO,
        }));
        Self {
            bus: Bus::new(Arc::clone(&store), Broker::Memory(Memory::new(store))),
            answers: Mutex::default(),
            gate: Barrier::new(PUBLISHERS + READERS + WAITERS),
            publishing: AtomicUsize::new(0),
        }
    }

    /// True once the last publisher of the round is done: the channels stand still then.
    fn is_quiet(&self) -> bool {
        self.publishing.load(Ordering::SeqCst) == 0
    }

    /// Waits for everybody. For longer than anybody waits for anything else, so that who hangs is the one to say it.
    async fn meet(&self) {
        let all = tokio::time::timeout(SOON * 2, self.gate.wait()).await;
        all.expect("somebody hung and did not say so");
    }

    async fn publish(&self, channel: &str, payload: String) {
        let draft = Draft {
            from: None,
            payload: Payload::Json(payload.clone().into()),
            key: None,
        };
        let channel = name(channel);
        match self.bus.publish(&channel, &draft).await {
            Ok(position) => {
                let twice = self.answers.lock().insert((channel, position), payload);
                assert_eq!(twice, None, "{position} was given out twice");
            }
            // All channels are attended for now.
            Err(PublishError::Full) => assert_ne!(channel.as_str(), STEADY),
            Err(error) => panic!("{error}"),
        }
    }
}

fn name(text: &str) -> ChannelName {
    ChannelName::parse(text).unwrap()
}

fn signal() -> Arc<Signal> {
    Arc::default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd_loses_nothing_and_nobody_hangs() {
    let crowd = Arc::new(Crowd::new());
    let mut tasks = JoinSet::new();
    for id in 0..WAITERS {
        // Attached before anybody publishes, so that the steady channel is never forgotten.
        let waiter = Waiter::attach(Arc::clone(&crowd), id).await;
        tasks.spawn(waiter.run());
    }
    for id in 0..READERS {
        let rng = Rng::with_seed(seed() + id as u64);
        tasks.spawn(Reader::new(Arc::clone(&crowd), id, rng).run());
    }
    for id in 0..PUBLISHERS {
        tasks.spawn(publisher(Arc::clone(&crowd), id));
    }
    let sweeper = tokio::spawn(sweep(Arc::clone(&crowd)));
    while let Some(done) = tasks.join_next().await {
        // One that failed would leave the others waiting at the gate; they are dropped with the set.
        done.unwrap_or_else(|error| panic!("with EVERYWAY_SEED={}: {error}", seed()));
    }
    sweeper.abort();
}

async fn publisher(crowd: Arc<Crowd>, id: usize) {
    let mut rng = Rng::with_seed(seed() + 1_000 + id as u64);
    for round in 0..ROUNDS {
        crowd.publishing.fetch_add(1, Ordering::SeqCst);
        crowd.meet().await;
        for n in 0..BURST {
            let payload = format!("\"{id} {round} {n}\"");
            let fleeting = FLEETING[rng.usize(..FLEETING.len())];
            crowd
                .publish(if n % 2 == 0 { STEADY } else { fleeting }, payload)
                .await;
            if rng.u8(..) < 40 {
                tokio::task::yield_now().await;
            }
        }
        crowd.publishing.fetch_sub(1, Ordering::SeqCst);
        crowd.meet().await;
    }
}

async fn sweep(crowd: Arc<Crowd>) {
    loop {
        crowd.bus.sweep().await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
