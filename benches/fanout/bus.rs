//! The bus alone: publish, wake every session, let each read. One thread, no sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use crowd::cpu::Cpu;
use crowd::numbered;
use everyway::broker::{Broker, Memory};
use everyway::bus::{Bounds, Budget, Bus, ChannelName, Draft, Payload, Retention, Start, Store};
use everyway::session::Session;
use tokio::sync::Notify;

use crate::PAYLOAD_BYTES;
use crate::table::{Spread, Table};

/// As much as a WebSocket reads at once.
const BUDGET: Budget = Budget {
    messages: 256,
    bytes: 256 * 1024,
};

/// What all sessions have seen together, and when to say so.
#[derive(Default)]
struct Tally {
    seen: AtomicU64,
    wanted: AtomicU64,
    complete: Notify,
}

/// Several audiences, messages one by one and in bursts.
pub fn measure(quick: bool) -> Result<Table> {
    let mut table = Table::new(
        "The bus, inside the process: publish, wake, read, in ns of CPU for each delivery",
        &["subscribers", "one in flight", "bursts of 64"],
    );
    for subscribers in [100, 1000, 10_000] {
        let costs = [1, 64].map(|burst| costs(subscribers, burst, quick));
        let [one, burst] = costs;
        let subscribers = subscribers.to_string();
        table.row([subscribers, one?.to_string(), burst?.to_string()]);
    }
    Ok(table)
}

fn costs(subscribers: usize, burst: usize, quick: bool) -> Result<Spread> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let deliveries = if quick { 500_000 } else { 2_000_000 };
    let rounds = (deliveries / subscribers / burst).max(2);
    runtime.block_on(async {
        let (bus, tally) = (bus(), Arc::new(Tally::default()));
        let wakes = bus.clone();
        tokio::spawn(async move { wakes.wake().await });
        let channel = ChannelName::parse("bench").context("a name")?;
        for _ in 0..subscribers {
            let channels = [channel.clone()];
            let session =
                Session::open(bus.clone(), Arc::default(), &channels, &[Start::Now]).await?;
            tokio::spawn(follow(session, Arc::clone(&tally)));
        }
        let mut costs = Vec::new();
        // The first turn warms up.
        for turn in 0..=if quick { 3 } else { 7 } {
            let before = Cpu::of_self()?;
            for _ in 0..rounds {
                publish(&bus, &channel, burst, subscribers, &tally).await?;
            }
            let cpu = Cpu::of_self()?.since(&before).ran;
            if turn > 0 {
                costs.push(cpu.as_nanos() as f64 / (rounds * burst * subscribers) as f64);
            }
        }
        Ok(Spread::of(costs))
    })
}

/// Publishes a burst, and waits until everybody has it.
async fn publish(
    bus: &Bus,
    channel: &ChannelName,
    burst: usize,
    subscribers: usize,
    tally: &Tally,
) -> Result<()> {
    let draft = Draft {
        from: None,
        payload: Payload::Json(numbered::payload(0, PAYLOAD_BYTES).into()),
        key: None,
    };
    tally
        .wanted
        .fetch_add((burst * subscribers) as u64, Ordering::Relaxed);
    for _ in 0..burst {
        bus.publish(channel, &draft).await?;
    }
    tally.complete.notified().await;
    Ok(())
}

async fn follow(mut session: Session, tally: Arc<Tally>) {
    while let Ok(batch) = session.next(BUDGET).await {
        let items = batch.items.len() as u64;
        let seen = tally.seen.fetch_add(items, Ordering::Relaxed) + items;
        if seen == tally.wanted.load(Ordering::Relaxed) {
            tally.complete.notify_one();
        }
    }
}

fn bus() -> Bus {
    let store = Arc::new(Store::new(Bounds {
        retention: Retention {
            count_max: 10_000,
            bytes_max: 1 << 20,
            age_max: Duration::from_secs(300),
            keys_max: 10,
            key_age_max: Duration::from_secs(60),
        },
        channels_max: 10,
        bytes_max: 1 << 30,
        forget_after: Duration::from_secs(300),
        rest_after_full: Duration::ZERO,
    }));
    Bus::new(Arc::clone(&store), Broker::Memory(Memory::new(store)))
}
