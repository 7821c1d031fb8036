//! The promise: over any sequence of transports, at any point, nothing is lost and nothing repeated.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::support::ws::Ws;
use super::support::{Gateway, Reader, Via, random_text, seed, within};

const CHANNELS: [&str; 5] = ["a", "b", "room:1", "room:2", "x/y.z"];
const MESSAGES: u64 = 10_000;

/// What is published as a channel's nth message: a number, and now and then what is compressed, and what is fragmented too.
fn message(channel: &str, n: u64) -> Value {
    match n % 40 {
        7 | 22 | 37 => json!([n, channel.repeat(100)]),
        13 => json!([n, random_text(400)]),
        20 => json!([n, channel.repeat(20_000 / channel.len())]),
        33 => json!([n, random_text(24_000)]),
        _ => json!(n),
    }
}

/// Publishes over a WebSocket and over HTTP in turn, to channels at random.
async fn publish(gateway: Arc<Gateway>, mut random: fastrand::Rng) {
    let (mut ws, _) = Ws::welcomed(gateway.address, "/v1/ws").await;
    let mut sent: HashMap<&str, u64> = HashMap::new();
    for _ in 0..MESSAGES {
        let channel = CHANNELS[random.usize(..CHANNELS.len())];
        let number = sent.entry(channel).or_default();
        *number += 1;
        if random.u8(..) < 16 {
            gateway.publish(channel, &message(channel, *number)).await;
        } else {
            let answer = ws
                .ask(json!({"action": "publish", "channel": channel, "data": message(channel, *number)}))
                .await;
            assert_eq!(
                (&answer["type"], &answer["offset"]),
                (&json!("published"), &json!(*number))
            );
        }
    }
}

/// Reads every message, and changes transport at random points, in the middle of pages and bursts too.
async fn hop(gateway: Arc<Gateway>, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut via = Via::ALL[random.usize(..Via::ALL.len())];
    let mut reader = Reader::attach(gateway.address, via, &CHANNELS, "earliest").await;
    let mut until_hop = random.usize(..200);
    let mut got: HashMap<String, u64> = HashMap::new();
    for _ in 0..MESSAGES {
        while until_hop == 0 {
            via = Via::ALL[random.usize(..Via::ALL.len())];
            reader.switch(via).await;
            // Now and then at once again, before anything was handed over.
            until_hop = if random.u8(..) < 64 {
                0
            } else {
                random.usize(1..200)
            };
        }
        until_hop -= 1;
        let (channel, offset, data) = reader.message().await;
        let before = got.entry(channel.clone()).or_default();
        assert_eq!(offset, *before + 1, "{channel} over {via:?}, seed {seed}");
        let same = data == message(&channel, offset);
        assert!(same, "{channel} {offset} over {via:?}, seed {seed}: {data}");
        *before += 1;
    }
    assert_eq!(got.values().sum::<u64>(), MESSAGES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_client_that_hops_loses_and_repeats_nothing() {
    let seed = seed();
    let roomy = Gateway::with(|config| config.history.bytes_max = 64 * 1024 * 1024);
    let gateway = Arc::new(roomy.await);
    let publisher = tokio::spawn(publish(
        Arc::clone(&gateway),
        fastrand::Rng::with_seed(seed),
    ));
    let hoppers: Vec<_> = (0..4)
        .map(|n| tokio::spawn(hop(Arc::clone(&gateway), seed + n)))
        .collect();
    for hopper in hoppers {
        hopper
            .await
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
    within("the publisher to end", publisher)
        .await
        .expect("the publisher did not panic");
}
