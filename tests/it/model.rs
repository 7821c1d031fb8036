//! The bus against a naive model of it: random lists of operations, each checked against what is promised.

mod client;
mod naive;
mod op;
mod world;

use std::time::Duration;

use everyway::bus::{Bounds, Retention};
use proptest::prelude::*;

use super::support::cases;
use world::World;

/// Bounds so tight that a short list of operations meets every one of them.
fn tight_bounds() -> impl Strategy<Value = Bounds> {
    (3..=5_usize, 2..=5_usize, 5_000..9_000_usize).prop_map(
        |(count_max, channels_max, total_bytes)| Bounds {
            retention: Retention {
                count_max,
                bytes_max: 2_000,
                age_max: Duration::from_secs(100),
                keys_max: 2,
                key_age_max: Duration::from_secs(60),
            },
            channels_max,
            bytes_max: total_bytes,
            forget_after: Duration::from_secs(300),
            rest_after_full: Duration::ZERO,
        },
    )
}

#[test]
fn the_bus_does_what_a_naive_model_of_it_does() {
    let runs = (tight_bounds(), prop::collection::vec(op::any_op(), 1..80));
    cases::check(1_000, &runs, |(bounds, ops)| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut world = World::new(bounds);
            for op in &ops {
                world.run(op).await;
                world.check();
            }
            world.wind_down().await;
        });
    });
}
