//! A TCP proxy before a gateway, with a [`Link`] in each direction of each connection. It takes no time until it is told to.

use std::net::SocketAddr;

use anyhow::Result;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::link::{Hold, Link, carry};

/// A proxy that ends, with its connections, when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    hold: Hold,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Listens on loopback, for `gateway`.
    pub async fn before(gateway: SocketAddr, link: Link, seed: u64) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let hold = Hold::default();
        let accepting = accept(listener, gateway, link, hold.clone(), seed);
        Ok(Self {
            address,
            hold,
            accepting: tokio::spawn(accepting),
        })
    }

    /// From now on bytes are held back, those of connections that are open as well.
    pub fn hold_back(&self) {
        self.hold.begin();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // The connections are in a set that this task owns.
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, gateway: SocketAddr, link: Link, hold: Hold, mut seed: u64) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // Without a descriptor for it the client waits, and its time-out tells.
                let Ok((client, _)) = accepted else { continue };
                seed = seed.wrapping_add(2);
                connections.spawn(connect(client, gateway, link, hold.clone(), seed));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// The proxy accepts at once, so the round trip that TCP's own handshake would take is added to the client's first bytes.
async fn connect(client: TcpStream, gateway: SocketAddr, link: Link, hold: Hold, seed: u64) {
    let mut open_at = Instant::now();
    if hold.has_begun() {
        open_at += link.round_trip();
    }
    // The client sees the connection end, and reports it.
    let Ok(gateway) = TcpStream::connect(gateway).await else {
        return;
    };
    if client
        .set_nodelay(true)
        .and_then(|()| gateway.set_nodelay(true))
        .is_err()
    {
        return;
    }
    let (from_client, to_client) = client.into_split();
    let (from_gateway, to_gateway) = gateway.into_split();
    let up = carry(from_client, to_gateway, link, hold.clone(), seed, open_at);
    let down = carry(from_gateway, to_client, link, hold, seed + 1, open_at);
    // An end of one direction is passed on; an error of either is an end of both, which both sides see.
    let _ = tokio::try_join!(up, down);
}
