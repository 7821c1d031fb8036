//! One repeat of one cell: attach, warm up, measure, wait for what is on its way, and ask how fast clients start.
//!
//! It knows nothing of what is measured. That is a [`Rig`]: the wire, or a mock with known figures.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::cell::{Cell, Network, Transport};
use crate::client::Told;
use crate::client::message::Message;
use crate::ledger::{Delivered, Ledger};
use crate::machine::Busy;
use crate::meter::{Count, Meter};
use crate::pace;
use crate::payload::Payloads;

/// How many subscribers attach at a time. What a gateway needs to let somebody in it keeps for a while afterwards; a hundred
/// at once would leave as much of that behind as they need themselves. Where packets are lost they would take too long otherwise,
/// and nothing is said of memory.
pub fn attach_at_once(network: &Network) -> usize {
    match network {
        Network::Loopback | Network::Delay { .. } => 8,
        Network::Loss { .. } => 100,
    }
}
/// From the last preparation to the first message.
const LEAD: Duration = Duration::from_millis(20);
/// What a message may take beside the network and the poll interval, before it counts as lost.
const GRACE: Duration = Duration::from_secs(2);
/// More of it where packets are lost, for TCP sends them again after a while.
const GRACE_WITH_LOSS: Duration = Duration::from_secs(8);

/// How long a repeat loads.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// Before anything counts.
    pub warm_up: Duration,
    /// While it counts.
    pub measure: Duration,
}

/// What is measured.
pub trait Rig {
    /// Attaches a subscriber; it reports to `desk` until its task is aborted. Returns when it is attached.
    fn attach(&self, reader: usize, desk: Desk) -> impl Future<Output = Result<Subscriber>>;
    /// All subscribers are attached: from now on the network takes its time.
    fn all_attached(&mut self);
    /// Sends a message, without waiting for anything but the socket.
    fn publish(&mut self, payload: Bytes) -> impl Future<Output = Result<()>>;
    /// Waits until the gateway has taken all that was sent, and fails if it refused any: that would look like a loss.
    fn all_taken(&mut self) -> impl Future<Output = Result<()>>;
    /// Waits for a moment.
    fn sleep_until(&mut self, moment: Instant) -> impl Future<Output = Result<()>>;
    /// What the two sides have used so far.
    fn used(&self) -> Result<Used>;
    /// The gateway's memory in bytes, if it can be seen.
    fn memory(&self) -> Result<Option<u64>>;
    /// How fast new clients start and others come back.
    fn starts(&mut self) -> impl Future<Output = Result<Starts>>;
    /// How many times faster than usual idle time passes: heartbeats are closer together by this.
    fn idle_speed(&self) -> f64;
}

/// CPU time so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Used {
    /// Of the gateway, if it can be seen.
    pub server: Option<Duration>,
    /// Of this process.
    pub load: Duration,
    /// Of the whole machine, if it can be seen.
    pub machine: Option<Busy>,
}

/// A client that receives.
#[derive(Debug)]
pub struct Subscriber {
    /// What goes over its wire.
    pub meter: Arc<Meter>,
    /// What it runs in.
    pub task: JoinHandle<()>,
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How long clients took to get their first message.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Starts {
    /// From nothing.
    pub cold: Vec<Duration>,
    /// Back with a cursor.
    pub resume: Vec<Duration>,
}

/// Where a subscriber reports.
#[derive(Debug)]
pub struct Desk {
    ledger: Arc<Ledger>,
    reader: usize,
    channel: String,
    attached: Option<oneshot::Sender<()>>,
}

impl Desk {
    /// The subscriber cannot go on.
    pub fn fail(&self, error: &anyhow::Error) {
        self.ledger
            .fail(format!("subscriber {}: {error:#}", self.reader));
    }

    /// A payload arrived.
    pub fn arrive(&self, at: Instant, payload: &[u8]) {
        self.ledger.arrive(self.reader, at, payload);
    }

    /// Makes [`Desk::attached`] tell somebody.
    pub fn tell_attached(&mut self, waiting: oneshot::Sender<()>) {
        self.attached = Some(waiting);
    }
}

impl Told for Desk {
    fn attached(&mut self, _epoch: &str, _offset: u64) {
        if let Some(waiting) = self.attached.take() {
            // Nobody waits any more if the run was given up.
            let _ = waiting.send(());
        }
    }

    fn message(&mut self, at: Instant, message: &Message<'_>) -> ControlFlow<()> {
        // What was published elsewhere is none of ours, whatever it holds.
        let is_ours = message.channel == self.channel;
        self.arrive(at, if is_ours { message.payload() } else { b"" });
        ControlFlow::Continue(())
    }
}

/// What a repeat found.
#[derive(Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// What was delivered.
    pub delivered: Delivered,
    /// What went over all wires while it counted.
    pub window: Count,
    /// What went over all wires up to the end of that.
    pub total: Count,
    /// Bytes that were said to be heads or payload and never passed over the wire; 0 if all is well.
    pub overcounted_bytes: u64,
    /// Messages that arrived while it counted.
    pub arrivals: u64,
    /// How long it counted.
    pub elapsed: Duration,
    /// CPU time of the gateway meanwhile.
    pub server_cpu: Option<Duration>,
    /// CPU time of the load meanwhile.
    pub load_cpu: Duration,
    /// CPU time of all others, and what the host took.
    pub others: Option<Busy>,
    /// Memory that each client added to the gateway.
    pub memory_bytes_per_client: Option<f64>,
    /// Messages that were to go out in a second.
    pub planned_per_s: f64,
    /// Messages that went out in a second.
    pub achieved_per_s: f64,
    /// How long clients took to start.
    pub starts: Starts,
    /// See [`Rig::idle_speed`].
    pub idle_speed: f64,
}

/// The state at a moment.
struct Mark {
    at: Instant,
    count: Count,
    overcounted_bytes: u64,
    arrivals: u64,
    used: Used,
}

/// Makes one repeat.
pub async fn once(
    rig: &mut impl Rig,
    cell: &Cell,
    channel: &str,
    timing: &Timing,
    seed: u64,
) -> Result<Outcome> {
    let payloads = Payloads::new(cell.payload_bytes, seed);
    let ledger = Arc::new(Ledger::new(payloads, cell.subscribers));
    let memory_before = rig.memory()?;
    let subscribers = attach_all(rig, cell, channel, &ledger).await?;
    rig.all_attached();
    let start = Instant::now() + LEAD;
    let (warm, end) = (
        start + timing.warm_up,
        start + timing.warm_up + timing.measure,
    );
    let counted = pace::moments(cell.rate, timing.measure, seed);
    let warming = pace::before(&counted, timing);
    send_all(rig, &ledger, start, &warming, false).await?;
    rig.sleep_until(warm).await?;
    let before = mark(rig, &ledger, &subscribers)?;
    let memory_after = rig.memory()?;
    let sent_by = send_all(rig, &ledger, warm, &counted, true).await?;
    rig.sleep_until(end).await?;
    let after = mark(rig, &ledger, &subscribers)?;
    rig.all_taken().await?;
    ledger.all_arrived(grace(cell)).await;
    let starts = rig.starts().await?;
    let span = sent_by.max(end).duration_since(warm);
    let delivered = ledger.close();
    let window = after.count - before.count;
    Ok(Outcome {
        overcounted_bytes: before
            .overcounted_bytes
            .max(after.overcounted_bytes)
            .max(window.overcounted()),
        window,
        total: after.count,
        arrivals: after.arrivals - before.arrivals,
        elapsed: after.at - before.at,
        server_cpu: after
            .used
            .server
            .zip(before.used.server)
            .map(|(after, before)| after.saturating_sub(before)),
        load_cpu: after.used.load.saturating_sub(before.used.load),
        others: others(&before.used, &after.used),
        memory_bytes_per_client: memory_after
            .zip(memory_before)
            .map(|(after, before)| after.saturating_sub(before) as f64 / cell.subscribers as f64),
        planned_per_s: counted.len() as f64 / timing.measure.as_secs_f64(),
        achieved_per_s: counted.len() as f64 / span.as_secs_f64(),
        idle_speed: rig.idle_speed(),
        delivered,
        starts,
    })
}

/// All subscribers, so many at a time that no queue of connections overflows.
async fn attach_all(
    rig: &impl Rig,
    cell: &Cell,
    channel: &str,
    ledger: &Arc<Ledger>,
) -> Result<Vec<Subscriber>> {
    let mut subscribers = Vec::with_capacity(cell.subscribers);
    let at_once = attach_at_once(&cell.network);
    while subscribers.len() < cell.subscribers {
        let from = subscribers.len();
        let some = from..cell.subscribers.min(from + at_once);
        let desk = |reader| Desk {
            ledger: Arc::clone(ledger),
            reader,
            channel: channel.to_owned(),
            attached: None,
        };
        let attaching = some.map(|reader| rig.attach(reader, desk(reader)));
        for attached in futures_util::future::join_all(attaching).await {
            subscribers.push(attached.context("a subscriber cannot attach")?);
        }
    }
    Ok(subscribers)
}

/// Sends at the planned moments, which are counted from `start`. Returns when the last was sent.
async fn send_all(
    rig: &mut impl Rig,
    ledger: &Ledger,
    start: Instant,
    moments: &[Duration],
    counts: bool,
) -> Result<Instant> {
    for moment in moments {
        let intended = start + *moment;
        rig.sleep_until(intended).await?;
        let payload = ledger.publish(intended, counts);
        rig.publish(payload).await?;
    }
    Ok(Instant::now())
}

fn mark(rig: &impl Rig, ledger: &Ledger, subscribers: &[Subscriber]) -> Result<Mark> {
    let (mut count, mut overcounted_bytes) = (Count::default(), 0);
    for subscriber in subscribers {
        let of_one = subscriber.meter.settled();
        // Of all together the framing of one would hide what another has too much.
        overcounted_bytes += of_one.overcounted();
        count += of_one;
    }
    Ok(Mark {
        at: Instant::now(),
        count,
        overcounted_bytes,
        arrivals: ledger.arrivals(),
        used: rig.used()?,
    })
}

/// What neither side of ours used.
fn others(before: &Used, after: &Used) -> Option<Busy> {
    let (then, now) = before.machine.zip(after.machine)?;
    let server = after
        .server
        .unwrap_or_default()
        .saturating_sub(before.server.unwrap_or_default());
    let ours = server + after.load.saturating_sub(before.load);
    Some(Busy {
        busy: now.busy.saturating_sub(then.busy).saturating_sub(ours),
        stolen: now.stolen.saturating_sub(then.stolen),
    })
}

/// How long to wait for what is on its way.
fn grace(cell: &Cell) -> Duration {
    let one_way = match cell.network {
        Network::Loopback => 0.0,
        Network::Delay {
            one_way_ms,
            jitter_ms,
            ..
        } => one_way_ms + jitter_ms,
        Network::Loss { one_way_ms, .. } => one_way_ms,
    };
    let transits = Duration::from_secs_f64(one_way * 4.0 / 1000.0);
    let interval = match cell.transport {
        Transport::Poll => Duration::from_secs_f64(cell.poll_interval_s.unwrap_or_default()),
        _ => Duration::ZERO,
    };
    let is_lossy = matches!(cell.network, Network::Loss { .. });
    transits + interval + if is_lossy { GRACE_WITH_LOSS } else { GRACE }
}
