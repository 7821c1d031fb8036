//! A network that breaks when a test says so: a TCP proxy between a client and the gateway.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A proxy that ends with its test.
pub struct Proxy {
    pub address: SocketAddr,
    network: watch::Sender<Network>,
}

#[derive(Clone, Copy)]
struct Network {
    up: bool,
    /// Connections of an earlier count are gone.
    cuts: u32,
}

impl Proxy {
    /// A proxy before a gateway.
    pub async fn before(gateway: SocketAddr) -> Self {
        Self::that_cuts_after(gateway, Vec::new()).await
    }

    /// A proxy that cuts its first connections once the gateway has sent so many bytes through each of them.
    pub async fn that_cuts_after(gateway: SocketAddr, bytes: Vec<u64>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (network, watched) = watch::channel(Network { up: true, cuts: 0 });
        let mut limits = bytes.into_iter();
        tokio::spawn(async move {
            while let Some(client) = accept(&listener, watched.clone()).await {
                let limit = limits.next().unwrap_or(u64::MAX);
                tokio::spawn(carry(client, gateway, limit, watched.clone()));
            }
        });
        Self { address, network }
    }

    /// Ends all connections; new ones wait.
    pub fn cut(&self) {
        self.network.send_modify(|network| {
            network.up = false;
            network.cuts += 1;
        });
    }

    /// Lets new connections through.
    pub fn mend(&self) {
        self.network.send_modify(|network| network.up = true);
    }
}

/// The next client, until the proxy is dropped.
async fn accept(
    listener: &TcpListener,
    mut watched: watch::Receiver<Network>,
) -> Option<TcpStream> {
    tokio::select! {
        accepted = listener.accept() => accepted.ok().map(|(client, _)| client),
        _ = watched.wait_for(|_| false) => None,
    }
}

async fn carry(
    mut client: TcpStream,
    gateway: SocketAddr,
    limit: u64,
    mut watched: watch::Receiver<Network>,
) {
    let Ok(network) = watched.wait_for(|network| network.up).await.map(|now| *now) else {
        return;
    };
    let Ok(mut gateway) = TcpStream::connect(gateway).await else {
        return;
    };
    let (from_client, mut to_client) = client.split();
    let (from_gateway, mut to_gateway) = gateway.split();
    let (mut from_client, mut from_gateway) = (from_client, from_gateway.take(limit));
    // Whichever way ends first ends both, and so does a cut or the end of the proxy.
    tokio::select! {
        _ = copy(&mut from_client, &mut to_gateway) => {}
        _ = copy(&mut from_gateway, &mut to_client) => {}
        _ = watched.wait_for(|now| now.cuts != network.cuts) => {}
    }
}
