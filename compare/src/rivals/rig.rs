//! A server with subscribers and somebody who publishes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use crowd::process::Process;
use crowd::threads::Threads;
use crowd::{Crowd, Dialect, Kind, PATIENCE, Publisher, wire};

use super::PAYLOAD_BYTES;
use super::rival::Rival;

/// All parts of one.
#[derive(Debug)]
pub struct Rig {
    /// The server.
    pub process: Process,
    /// Who receives.
    pub crowd: Crowd,
    /// Who publishes.
    pub publisher: Publisher,
}

impl Rig {
    /// Connects `count` subscribers of one channel, and waits until all of them are subscribed.
    pub fn new(process: Process, rival: Rival, kind: Kind, count: usize) -> Result<Self> {
        let (crowd, publisher) = gather(&process, rival, kind, count, "bench")?;
        Ok(Self {
            process,
            crowd,
            publisher,
        })
    }

    /// Publishes so many messages in one write, and waits until everybody has them all.
    pub fn burst(&mut self, messages: u64) -> Result<()> {
        self.publisher.publish(messages)?;
        self.crowd.wait_for(self.publisher.published())?;
        self.publisher.serve()
    }

    /// Waits until the server sleeps: what its clients asked for by now is answered, or waits.
    pub fn settle(&mut self, server: &Threads) -> Result<()> {
        const LOOK_AGAIN: Duration = Duration::from_micros(200);
        let start = Instant::now();
        while !server.are_asleep()? {
            ensure!(
                start.elapsed() < PATIENCE,
                "the server does not come to rest"
            );
            sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    /// Takes in what came while others had their turns: pings, for the most part.
    pub fn idle(&mut self) -> Result<()> {
        self.crowd.serve(Duration::ZERO, |_| {})?;
        self.publisher.serve()
    }
}

/// Subscribers, and a publisher, of a channel.
pub fn gather(
    process: &Process,
    rival: Rival,
    kind: Kind,
    count: usize,
    channel: &str,
) -> Result<(Crowd, Publisher)> {
    let wire = rival.wire(kind);
    let named = |_| channel.to_owned();
    let mut crowd = Crowd::connect(process.address, wire, count, named)?;
    if wire.dialect == Dialect::Nchan {
        let start = Instant::now();
        while subscribers_of_nchan(process.address, channel)? < count {
            ensure!(
                start.elapsed() < PATIENCE,
                "Nchan has fewer subscribers than connected"
            );
            crowd.serve(Duration::from_millis(5), |_| {})?;
        }
    }
    let channels = vec![channel.to_owned()];
    let publisher = Publisher::connect(process.address, wire.dialect, channels, PAYLOAD_BYTES)?;
    Ok((crowd, publisher))
}

/// Nchan says nothing to a subscriber who polls, but tells how many there are.
fn subscribers_of_nchan(address: SocketAddr, channel: &str) -> Result<usize> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let fields = "Accept: text/json\r\nConnection: close\r\n";
    let request = wire::get(&format!("/publish?channel={channel}"), fields);
    socket.write_all(request.as_bytes())?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    // Nobody is subscribed yet if the channel is not there.
    if answer.starts_with("HTTP/1.1 404") {
        return Ok(0);
    }
    let (_, count) = answer
        .split_once(r#""subscribers": "#)
        .context("a count of subscribers")?;
    let digits = count.split(',').next().unwrap_or_default();
    digits.trim().parse().context("a count of subscribers")
}
