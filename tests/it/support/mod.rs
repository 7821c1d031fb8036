//! What all tests share: a gateway to start, clients for each transport, and waits that say what hung.

pub mod bare;
pub mod cases;
pub mod frames;
pub mod gateway;
pub mod http;
pub mod http2;
pub mod issuer;
pub mod need;
pub mod polls;
pub mod program;
pub mod proxy;
pub mod reader;
pub mod sse;
pub mod tunnel;
pub mod ws;
pub mod yawc;

use std::time::Duration;

pub use gateway::Gateway;
pub use reader::{Reader, Told, Via};

/// How long anything may take that should happen at once. Generous, because machines are shared.
pub const SOON: Duration = Duration::from_secs(20);

/// Waits for something that should happen soon, and says what did not.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    within_time(SOON, what, future).await
}

/// Waits for something that may take so long, and says what did not come.
pub async fn within_time<T>(time: Duration, what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(time, future).await {
        Ok(value) => value,
        Err(_) => panic!("hung for {time:?}: {what}"),
    }
}

/// Asks again and again until the answer is yes.
pub async fn until<F: Future<Output = bool>>(what: &str, mut ask: impl FnMut() -> F) {
    let asked = async {
        while !ask().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(what, asked).await;
}

/// Text that compression gains little on.
pub fn random_text(bytes: usize) -> String {
    let mut random = fastrand::Rng::with_seed(seed() ^ bytes as u64);
    std::iter::repeat_with(|| random.alphanumeric())
        .take(bytes)
        .collect()
}

/// The seed of a randomized test: `EVERYWAY_SEED`, or a fixed one.
pub fn seed() -> u64 {
    std::env::var("EVERYWAY_SEED")
        .ok()
        .map_or(20_261_122, |seed| {
            seed.parse().expect("EVERYWAY_SEED is a number")
        })
}
