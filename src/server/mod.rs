//! Listens, accepts, and goes down in order.

mod addresses;
mod apart;
mod chunk;
mod connection;
mod event_stream;
mod http1;
mod http2;
mod reload;
mod requests;
mod runtime;
mod stream;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use addresses::Addresses;
pub use addresses::check;
pub use reload::{ReloadError, Reloader};
pub use runtime::runtime;

use crate::config::Config;
use crate::gateway::Gateway;
use crate::peer::{Entrance, Peer};
use crate::switch::Switch;
use crate::tls::Tls;
use crate::wire::SocketPermit;

/// A gateway that listens.
#[derive(Debug)]
pub struct Server {
    gateway: Arc<Gateway>,
    listeners: Vec<Listener>,
    tls: Option<Arc<Tls>>,
}

/// A port, what encrypts its connections, and whom it is for.
#[derive(Debug)]
struct Listener {
    tcp: TcpListener,
    tls: Option<Arc<Tls>>,
    entrance: Entrance,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration asks for what is not allowed.
    #[error("{0}")]
    Config(String),
    /// The system does not let us listen for signals.
    #[error("cannot listen for signals: {0}")]
    Signals(std::io::Error),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// As it was configured.
        address: String,
        /// What the system says.
        cause: std::io::Error,
    },
}

/// How long the accept loop rests when the system has no file descriptors left.
const ACCEPT_REST: Duration = Duration::from_millis(100);
/// How often the files of the certificate are looked at.
const CERTIFICATE_LOOK: Duration = Duration::from_secs(5);
/// How often the drain looks whether everybody has left.
const DRAIN_LOOK: Duration = Duration::from_millis(20);

impl Server {
    /// Opens the ports.
    ///
    /// # Errors
    /// [`StartError::Config`] before any port is open if keys cannot be used or open mode would be reachable from elsewhere,
    /// [`StartError::Listen`] if an address cannot be listened on.
    pub async fn bind(config: Config) -> Result<Self, StartError> {
        let gateway = Gateway::new(config);
        let gateway = gateway.map_err(|error| StartError::Config(error.to_string()))?;
        let gateway = Arc::new(gateway);
        let is_open = gateway.auth.is_open();
        let Addresses {
            plain,
            encrypted,
            admin,
        } = Addresses::look_up(&gateway.config(), is_open).await?;
        let tls = if encrypted.is_empty() {
            None
        } else {
            let tls = Tls::new(&gateway.config());
            Some(Arc::new(
                tls.map_err(|error| StartError::Config(error.to_string()))?,
            ))
        };
        let mut listeners = Vec::new();
        for address in plain {
            listeners.push(Listener::bind(address, None, Entrance::Public).await?);
        }
        for address in encrypted {
            listeners.push(Listener::bind(address, tls.clone(), Entrance::Public).await?);
        }
        for address in admin {
            if !address.ip().to_canonical().is_loopback() {
                tracing::warn!(%address, "whoever reaches this address is an administrator without a token: see that only those do who should");
            }
            listeners.push(Listener::bind(address, None, Entrance::Admin).await?);
        }
        Ok(Self {
            gateway,
            listeners,
            tls,
        })
    }

    /// Where it listens without TLS; the ports that the system chose for 0 included.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.local_addresses(|listener| {
            listener.tls.is_none() && listener.entrance == Entrance::Public
        })
    }

    /// Where it listens with TLS.
    pub fn tls_addresses(&self) -> Vec<SocketAddr> {
        self.local_addresses(|listener| listener.tls.is_some())
    }

    /// Where it listens for administrators.
    pub fn admin_addresses(&self) -> Vec<SocketAddr> {
        self.local_addresses(|listener| listener.entrance == Entrance::Admin)
    }

    fn local_addresses(&self, is_meant: impl Fn(&Listener) -> bool) -> Vec<SocketAddr> {
        let listeners = self.listeners.iter();
        listeners
            .filter(|listener| is_meant(listener))
            // A listener that was just bound knows its address.
            .filter_map(|listener| listener.tcp.local_addr().ok())
            .collect()
    }

    /// What can be read again while it runs.
    pub fn reloader(&self) -> Reloader {
        Reloader::new(Arc::clone(&self.gateway), self.tls.clone())
    }

    /// What encrypts connections, if anything does.
    pub fn tls(&self) -> Option<&Arc<Tls>> {
        self.tls.as_ref()
    }

    /// What the connections share.
    pub fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// Serves until `shutdown` is there, then goes down: attached clients are told to come back, requests under way are
    /// answered, and after the deadline the rest is cut.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self {
            gateway,
            listeners,
            tls,
        } = self;
        let (stop_accepting, closing) = (CancellationToken::new(), Switch::default());
        let limits = gateway.config().limits.clone();
        let permits = permits(limits.sockets_max);
        // Their own, so that a crowd does not lock administrators out.
        let admin_permits = self::permits(limits.admin_sockets_max);
        let listeners_len = listeners.len();
        for listener in listeners {
            let permits = match listener.entrance {
                Entrance::Public => &permits,
                Entrance::Admin => &admin_permits,
            };
            let accept = accept(
                Arc::clone(&gateway),
                listener,
                Arc::clone(permits),
                closing.clone(),
            );
            let stop = stop_accepting.clone();
            gateway.spawn(async move { stop.run_until_cancelled(accept).await.unwrap_or(()) });
        }
        let mut tasks: Vec<OwnTask> = vec![
            Box::pin(sweep(Arc::clone(&gateway))),
            Box::pin(keep_alive(Arc::clone(&gateway))),
            Box::pin(wake(Arc::clone(&gateway))),
            Box::pin(tell_presence(Arc::clone(&gateway))),
        ];
        if let Some(tls) = tls {
            tasks.push(Box::pin(watch_files(tls)));
        }
        // With the accept loops; every other task is a client's.
        let own_tasks = listeners_len + tasks.len();
        for task in tasks {
            let stop = stop_accepting.clone();
            gateway.spawn(async move { stop.run_until_cancelled(task).await.unwrap_or(()) });
        }
        shutdown.await;
        drain(&gateway, own_tasks, &stop_accepting, &closing).await;
    }
}

impl Listener {
    async fn bind(
        address: SocketAddr,
        tls: Option<Arc<Tls>>,
        entrance: Entrance,
    ) -> Result<Self, StartError> {
        let tcp = TcpListener::bind(address).await;
        let tcp = tcp.map_err(|cause| StartError::Listen {
            address: address.to_string(),
            cause,
        })?;
        Ok(Self { tcp, tls, entrance })
    }
}

/// While clients leave, the port stays open, so that newcomers and health checks get an answer and no silence.
async fn drain(
    gateway: &Gateway,
    own_tasks: usize,
    stop_accepting: &CancellationToken,
    closing: &Switch,
) {
    tracing::info!(attachments = gateway.attachments.len(), "going down");
    gateway.give_notice();
    sleep(gateway.config().drain.notice_s.duration()).await;
    let deadline = tokio::time::Instant::now() + gateway.config().drain.deadline_s.duration();
    gateway.close();
    closing.throw();
    let everybody_left = async {
        gateway.drain().await;
        while gateway.tasks.len() > own_tasks {
            sleep(DRAIN_LOOK).await;
        }
    };
    // At the deadline the rest is cut below, whoever is left.
    let _ = timeout_at(deadline, everybody_left).await;
    stop_accepting.cancel();
    gateway.tasks.close();
    if timeout_at(deadline, gateway.tasks.wait()).await.is_err() {
        tracing::warn!(connections = gateway.tasks.len(), "cut at the deadline");
        gateway.cut();
        gateway.tasks.wait().await;
    }
    tracing::info!("down");
}

/// A task that runs until the gateway is down.
type OwnTask = Pin<Box<dyn Future<Output = ()> + Send>>;

async fn keep_alive(gateway: Arc<Gateway>) {
    let timeouts = gateway.config().timeouts.clone();
    gateway.attachments.keep_alive(&timeouts).await;
}

async fn wake(gateway: Arc<Gateway>) {
    gateway.bus.wake().await;
}

async fn tell_presence(gateway: Arc<Gateway>) {
    gateway.presence.run().await;
}

async fn watch_files(tls: Arc<Tls>) {
    loop {
        sleep(CERTIFICATE_LOOK).await;
        tls.reload_if_changed();
    }
}

async fn sweep(gateway: Arc<Gateway>) {
    tokio::join!(
        sweep_history(&gateway),
        gateway.limits.sweep(),
        gateway.auth.keep_fresh()
    );
}

async fn sweep_history(gateway: &Gateway) {
    let age = gateway.config().history.age_s_max.duration();
    let every = (age / 4).clamp(Duration::from_millis(50), Duration::from_secs(30));
    loop {
        sleep(every).await;
        gateway.bus.sweep().await;
    }
}

async fn accept(
    gateway: Arc<Gateway>,
    listener: Listener,
    permits: Arc<Semaphore>,
    closing: Switch,
) {
    loop {
        match listener.tcp.accept().await {
            Ok((stream, address)) => {
                let peer = Peer::new(address, listener.tls.is_some()).by(listener.entrance);
                match SocketPermit::take(&gateway.limits, &gateway.metrics, &permits, peer) {
                    Some(permit) => {
                        gateway.spawn(connection::serve(
                            Arc::clone(&gateway),
                            stream,
                            listener.tls.clone(),
                            peer,
                            permit,
                            closing.clone(),
                        ));
                    }
                    // The stream is dropped: the client sees a connection that closes.
                    None => drop(gateway.metrics.sockets_refused.inc()),
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept: raise the limit on open files, or lower limits.sockets_max");
                sleep(ACCEPT_REST).await;
            }
        }
    }
}

fn permits(sockets_max: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(sockets_max.min(Semaphore::MAX_PERMITS)))
}
