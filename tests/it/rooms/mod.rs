//! Rooms and people: random walks of many sessions over all transports, against a model of who is where and who was told what.

mod follower;
mod line;
mod member;
mod model;
mod page;
mod place;
mod rest;
mod walk;

use std::time::{Duration, Instant};

use super::support::{SOON, seed};
use walk::Walk;

/// Asks again and again until there is no difference to what should be, and says the last one if it stays.
async fn until_same<F: Future<Output = Option<String>>>(mut difference: impl FnMut() -> F) {
    let begin = Instant::now();
    while let Some(difference) = difference().await {
        assert!(begin.elapsed() < SOON, "{difference}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// How many walks: `EVERYWAY_WALKS`, or one. Each has the next seed.
fn seeds() -> impl Iterator<Item = u64> {
    let walks = std::env::var("EVERYWAY_WALKS").ok();
    let walks = walks.map_or(1, |walks| {
        walks.parse().expect("EVERYWAY_WALKS is a number")
    });
    seed()..seed() + walks
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_walk_of_fifty_sessions_over_twenty_channels_does_what_the_model_does() {
    for seed in seeds() {
        let walk = tokio::spawn(async move { Walk::new(seed).await.run(400, 100).await });
        let walked = walk.await;
        walked.unwrap_or_else(|error| panic!("with EVERYWAY_SEED={seed}: {error}"));
    }
}
