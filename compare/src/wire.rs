//! The [`Rig`] of a real run: a gateway, a network before it, and clients that speak the wire.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::cell::{Cell, Network, Protocol, Rate, Transport};
use crate::client::message::Message;
use crate::client::publisher::Publisher;
use crate::client::server::{Credentials, Server};
use crate::client::tls::Tls;
use crate::client::{Subscription, Target, Told, follow};
use crate::clock::Clock;
use crate::gateway::Process;
use crate::machine::{Busy, Placement, own_cpu};
use crate::meter::Meter;
use crate::network::link::Link;
use crate::network::namespace::Order;
use crate::network::proxy::Proxy;
use crate::run::{self, Desk, Outcome, Rig, Starts, Subscriber, Used};

/// How many clients are asked how fast they start.
const STARTERS: usize = 5;
/// Memory comes in pages of 4 KiB: of fewer clients' shares nothing can be said.
const MEMORY_SUBSCRIBERS_MIN: usize = 50;
/// How long a subscriber may take to attach, and a new client to get its first message.
const START_MAX: Duration = Duration::from_secs(30);
/// In idle cells the gateway's heartbeats, and the waits of long polls, are closer together by this.
const IDLE_SPEED: f64 = 25.0;
/// The settings that make them so: the defaults divided by it.
const IDLE_SETTINGS: [&str; 3] = [
    "timeouts.heartbeat_s=1",
    "timeouts.pong_s=1",
    "http2.ping_s=0.8",
];
/// How long a long poll waits then, in place of 25 seconds.
const IDLE_WAIT: Duration = Duration::from_secs(1);

/// Where the gateway is that shall be measured.
#[derive(Debug, Clone)]
pub enum Origin {
    /// Started for each run anew.
    Own {
        /// This program: it is the gateway, too.
        executable: PathBuf,
        /// Where it runs.
        placement: Placement,
    },
    /// Somewhere else.
    Url(Elsewhere),
}

/// A gateway that runs already.
#[derive(Debug, Clone)]
pub struct Elsewhere {
    /// Where.
    pub address: SocketAddr,
    /// What `Host` says.
    pub host: String,
    /// What stands before the gateway's own paths.
    pub path: String,
    /// What is shown there. It is read again for each repeat, for a token runs out.
    pub credentials: Credentials,
}

impl Elsewhere {
    /// Whom requests are addressed to, with the token as it is now.
    ///
    /// # Errors
    /// If the token cannot be read.
    pub fn server(&self) -> Result<Server> {
        Ok(Server {
            host: self.host.clone(),
            path: self.path.clone(),
            token: self.credentials.read()?,
        })
    }
}

/// Clients that come and go before anything is measured.
const FIRST_CLIENTS: usize = 4;

/// A gateway with its network and its clients.
pub struct Wire {
    cell: Cell,
    channel: String,
    seed: u64,
    target: Target,
    publisher: Publisher,
    starts_channel: String,
    process: Option<Process>,
    clock: Clock,
    proxy: Option<Proxy>,
}

/// What a rig is made of.
pub struct Parts<'a> {
    /// The gateway.
    pub origin: &'a Origin,
    /// The folder of its certificates.
    pub certs: &'a Path,
    /// Authorities to trust, in PEM, for a gateway elsewhere.
    pub ca: Option<&'a [u8]>,
}

/// Makes one repeat with a rig of its own.
pub async fn once(parts: &Parts<'_>, order: &Order) -> Result<Outcome> {
    let mut rig = Wire::start(parts, &order.cell, &order.channel, order.seed).await?;
    run::once(
        &mut rig,
        &order.cell,
        &order.channel,
        &order.timing,
        order.seed,
    )
    .await
}

impl Wire {
    /// Starts what the cell needs. `channel` should be new.
    pub async fn start(parts: &Parts<'_>, cell: &Cell, channel: &str, seed: u64) -> Result<Self> {
        let process = match parts.origin {
            Origin::Own {
                executable,
                placement,
            } => Some(Process::start(executable, placement, parts.certs, &settings(cell)).await?),
            Origin::Url(_) => None,
        };
        let direct = direct(parts, cell.protocol, process.as_ref())?;
        let (target, proxy) = match cell.network {
            Network::Delay {
                one_way_ms,
                jitter_ms,
                bits_per_s,
            } => {
                let link = Link::new(one_way_ms, jitter_ms, bits_per_s);
                let proxy = Proxy::before(direct.address, link, seed).await?;
                let mut target = direct.clone();
                target.address = proxy.address;
                (target, Some(proxy))
            }
            // Lossy networks are those of a namespace, in which loopback loses.
            Network::Loopback | Network::Loss { .. } => (direct.clone(), None),
        };
        let starts_channel = format!("{channel}:starts");
        publish_for_starts(&direct, &starts_channel).await?;
        let wire = Self {
            publisher: Publisher::connect(&direct, channel).await?,
            cell: cell.clone(),
            channel: channel.to_owned(),
            seed,
            target,
            starts_channel,
            process,
            clock: Clock::new()?,
            proxy,
        };
        if wire.process.is_some() {
            wire.break_in(&direct).await?;
        }
        Ok(wire)
    }

    /// A few clients that take a message and leave. What a gateway needs for its first clients and keeps then is no cost of
    /// the later ones, and would be a large part of the memory of a hundred.
    async fn break_in(&self, direct: &Target) -> Result<()> {
        let mut subscription = self.subscription(0);
        subscription.channel = self.starts_channel.clone();
        subscription.cursor = Some("earliest".to_owned());
        subscription.first_poll_after = Duration::ZERO;
        for _ in 0..FIRST_CLIENTS {
            First::of(direct, &subscription)
                .await
                .context("a first client")?;
        }
        Ok(())
    }

    fn subscription(&self, reader: usize) -> Subscription {
        let interval = Duration::from_secs_f64(self.cell.poll_interval_s.unwrap_or(1.0));
        let mut random = fastrand::Rng::with_seed(self.seed ^ ((reader as u64) << 32));
        let is_fast = self.process.is_some() && matches!(self.cell.rate, Rate::Idle);
        Subscription {
            transport: self.cell.transport,
            channel: self.channel.clone(),
            cursor: None,
            poll_interval: interval,
            first_poll_after: interval.mul_f64(random.f64()),
            wait: is_fast.then_some(IDLE_WAIT),
            deflate: self.cell.deflate,
        }
    }

    /// A client that takes the first message of the channel for starts, goes, and comes back for the second.
    async fn start_and_resume(&self) -> Result<(Duration, Duration)> {
        let mut target = self.target.clone();
        target.tls = target.tls.map(|tls| tls.resuming());
        let mut subscription = self.subscription(0);
        subscription.channel = self.starts_channel.clone();
        subscription.cursor = Some("earliest".to_owned());
        let first = First::of(&target, &subscription).await?;
        subscription.cursor = Some(format!("{}.{}", first.epoch, first.offset));
        let second = First::of(&target, &subscription).await?;
        ensure!(
            second.offset == first.offset + 1,
            "who came back after message {} got {}",
            first.offset,
            second.offset
        );
        Ok((first.took, second.took))
    }
}

/// The gateway itself, without a network before it.
fn direct(parts: &Parts<'_>, protocol: Protocol, process: Option<&Process>) -> Result<Target> {
    let is_tls = protocol != Protocol::Http1;
    let (address, server) = match (parts.origin, process) {
        (Origin::Url(elsewhere), _) => (elsewhere.address, elsewhere.server()?),
        (Origin::Own { .. }, Some(process)) => {
            let address = if is_tls {
                process.ready.tls
            } else {
                process.ready.plain
            };
            (address, Server::local(address.port()))
        }
        (Origin::Own { .. }, None) => bail!("a gateway of our own has a process"),
    };
    let tls = match (is_tls, parts.ca) {
        (false, _) => None,
        (true, Some(ca)) => Some(Tls::trusting(ca)?),
        (true, None) => {
            let ca =
                std::fs::read(parts.certs.join("ca.pem")).context("the gateway's authority")?;
            Some(Tls::trusting(&ca)?)
        }
    };
    Ok(Target {
        address,
        server,
        protocol,
        tls,
    })
}

/// What the gateway of a cell needs beside the settings of all.
fn settings(cell: &Cell) -> Vec<String> {
    if is_idle_time_fast(cell) {
        IDLE_SETTINGS.map(str::to_owned).to_vec()
    } else {
        Vec::new()
    }
}

/// Whether what the gateway does at rest is closer together. A short poll is the client's own matter: it idles at its usual
/// pace, and so must the gateway's pings beside it.
fn is_idle_time_fast(cell: &Cell) -> bool {
    cell.rate == Rate::Idle && cell.transport != Transport::Poll
}

/// Two messages, long before anybody asks for them.
async fn publish_for_starts(target: &Target, channel: &str) -> Result<()> {
    let mut publisher = Publisher::connect(target, channel).await?;
    publisher.send(b"1").await?;
    publisher.send(b"2").await?;
    publisher.all_taken().await
}

impl Rig for Wire {
    async fn attach(&self, reader: usize, mut desk: Desk) -> Result<Subscriber> {
        let meter = Arc::new(Meter::default());
        let (attached, is_attached) = oneshot::channel();
        desk.tell_attached(attached);
        let (failed, has_failed) = oneshot::channel();
        let (target, subscription) = (self.target.clone(), self.subscription(reader));
        let task = tokio::spawn({
            let meter = Arc::clone(&meter);
            async move {
                // A subscriber of a desk has never enough, so it ends with an error only.
                if let Err(error) = follow(&target, &subscription, &meter, &mut desk).await {
                    desk.fail(&error);
                    // Nobody waits for it after the attachment.
                    let _ = failed.send(error);
                }
            }
        });
        let subscriber = Subscriber { meter, task };
        tokio::select! {
            biased;
            Ok(error) = has_failed => Err(error),
            attached = timeout(START_MAX, is_attached) => {
                attached.context("a subscriber was not welcomed in time")??;
                Ok(subscriber)
            }
        }
    }

    fn all_attached(&mut self) {
        if let Some(proxy) = &self.proxy {
            proxy.hold_back();
        }
    }

    async fn publish(&mut self, payload: Bytes) -> Result<()> {
        self.publisher.send(&payload).await
    }

    async fn all_taken(&mut self) -> Result<()> {
        self.publisher.all_taken().await
    }

    async fn sleep_until(&mut self, moment: Instant) -> Result<()> {
        self.clock.sleep_until(moment).await
    }

    fn used(&self) -> Result<Used> {
        Ok(Used {
            server: self.process.as_ref().map(Process::cpu).transpose()?,
            load: own_cpu()?,
            machine: Busy::now(),
        })
    }

    fn memory(&self) -> Result<Option<u64>> {
        // Where packets are lost too many attach at once: what that takes would count as theirs.
        let is_lossy = matches!(self.cell.network, Network::Loss { .. });
        if is_lossy || self.cell.subscribers < MEMORY_SUBSCRIBERS_MIN {
            return Ok(None);
        }
        self.process.as_ref().map(Process::memory).transpose()
    }

    async fn starts(&mut self) -> Result<Starts> {
        let count = STARTERS.min(self.cell.subscribers);
        let mut starts = Starts::default();
        let times = if self.cell.network == Network::Loopback {
            let mut times = Vec::with_capacity(count);
            // One after the other: at once they would wait for each other.
            for _ in 0..count {
                times.push(self.start_and_resume().await);
            }
            times
        } else {
            futures_util::future::join_all((0..count).map(|_| self.start_and_resume())).await
        };
        for time in times {
            let (cold, resume) = time.context("a new client")?;
            starts.cold.push(cold);
            starts.resume.push(resume);
        }
        Ok(starts)
    }

    fn idle_speed(&self) -> f64 {
        let is_fast = self.process.is_some() && is_idle_time_fast(&self.cell);
        if is_fast { IDLE_SPEED } else { 1.0 }
    }
}

/// A client that wants one message.
#[derive(Debug, Default)]
struct First {
    epoch: String,
    offset: u64,
    at: Option<Instant>,
    took: Duration,
}

impl First {
    async fn of(target: &Target, subscription: &Subscription) -> Result<Self> {
        let (start, mut first) = (Instant::now(), Self::default());
        let meter = Arc::new(Meter::default());
        timeout(START_MAX, follow(target, subscription, &meter, &mut first))
            .await
            .context("a new client got no message")??;
        let at = first
            .at
            .context("a client leaves when it has its message")?;
        first.took = at - start;
        Ok(first)
    }
}

impl Told for First {
    fn attached(&mut self, epoch: &str, _offset: u64) {
        epoch.clone_into(&mut self.epoch);
    }

    fn message(&mut self, at: Instant, message: &Message<'_>) -> ControlFlow<()> {
        (self.at, self.offset) = (Some(at), message.offset);
        ControlFlow::Break(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::tests::cell;

    #[test]
    fn pings_beside_idle_short_polls_keep_their_pace() {
        let settings_of = |transport| {
            settings(&Cell {
                transport,
                rate: Rate::Idle,
                ..cell()
            })
        };
        assert!(settings_of(Transport::Poll).is_empty());
        assert_eq!(settings_of(Transport::Sse), IDLE_SETTINGS);
        assert!(settings(&cell()).is_empty());
    }
}
