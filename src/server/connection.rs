//! One TCP connection: its options, its HTTP, and how it ends.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;

use super::{http1, http2};
use crate::gateway::Gateway;
use crate::peer::Peer;
use crate::switch::Switch;
use crate::tls::{self, Tls};
use crate::wire::preface::{self, Version};
use crate::wire::{Alarm, GuardedIo, Phase, SocketPermit, Within};

/// Serves a connection until it closes. After `closing` no further request is taken.
pub fn serve(
    gateway: Arc<Gateway>,
    stream: TcpStream,
    tls: Option<Arc<Tls>>,
    peer: Peer,
    permit: SocketPermit,
    closing: Switch,
) -> impl Future<Output = ()> + Send {
    let door = Door {
        gateway,
        peer,
        permit,
        closing,
    };
    let opening: Pin<Box<dyn Future<Output = Option<Served>> + Send>> = match tls {
        None => Box::pin(door.open(stream)),
        Some(tls) => Box::pin(door.open_encrypted(stream, tls)),
    };
    async move {
        // What opening took is given back here; a connection may live for days.
        let Some(served) = opening.await else { return };
        if let Err(error) = served.await {
            // Clients that leave early, time-outs and malformed heads: ordinary, and none of our doing.
            tracing::debug!(%error, "connection ended");
        }
    }
}

/// What a connection brings along until it is clear what it speaks.
struct Door {
    gateway: Arc<Gateway>,
    peer: Peer,
    permit: SocketPermit,
    closing: Switch,
}

impl Door {
    /// HTTP as it is: its first bytes say which.
    async fn open(self, stream: TcpStream) -> Option<Served> {
        set_options(&stream, &self.gateway);
        let (io, line) = guarded(&self.gateway, stream, self.permit);
        match preface::peek(io).await {
            Ok((Version::Http1, io)) => Some(http1::serve(
                self.gateway,
                self.peer,
                io,
                line,
                self.closing,
            )),
            Ok((Version::Http2, io)) => Some(http2::serve(
                self.gateway,
                self.peer,
                io,
                line,
                self.closing,
            )),
            Err(error) => {
                tracing::debug!(%error, "the client said nothing");
                None
            }
        }
    }

    /// HTTP within TLS: the handshake says which.
    async fn open_encrypted(self, stream: TcpStream, tls: Arc<Tls>) -> Option<Served> {
        set_options(&stream, &self.gateway);
        let stream = match tls.accept(stream).await {
            Ok(stream) => stream,
            Err(error) => {
                self.gateway.metrics.tls_failures.inc();
                tracing::debug!(address = %self.peer.address, %error, "no TLS");
                return None;
            }
        };
        let is_http2 = tls::is_http2(&stream);
        let (io, line) = guarded(&self.gateway, stream, self.permit);
        let serve = if is_http2 { http2::serve } else { http1::serve };
        Some(serve(self.gateway, self.peer, io, line, self.closing))
    }
}

/// What the I/O of a connection and its requests have in common.
pub struct Line {
    /// What it is doing.
    pub phase: Arc<Phase>,
    /// Its timer.
    pub alarm: Arc<Alarm>,
}

fn guarded<S>(
    gateway: &Gateway,
    io: S,
    permit: SocketPermit,
) -> (GuardedIo<S, SocketPermit>, Line) {
    let timeouts = &gateway.config().timeouts;
    let within = Within {
        head: timeouts.head_s.duration(),
        idle: timeouts.idle_s.duration(),
        stall: timeouts.stall_s.duration(),
    };
    let line = Line {
        phase: Arc::default(),
        alarm: Arc::new(Alarm::new(within.head)),
    };
    let (phase, alarm) = (Arc::clone(&line.phase), Arc::clone(&line.alarm));
    (GuardedIo::new(io, phase, alarm, within, permit), line)
}

/// Boxed, so that the task of a connection has the size of the HTTP it speaks.
pub type Served = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// So much later than we would the system gives a silent peer up.
#[cfg(target_os = "linux")]
const USER_TIMEOUT_MARGIN: Duration = Duration::from_secs(1);

fn set_options(stream: &TcpStream, gateway: &Gateway) {
    // Each is an improvement only: a connection without it still works.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    #[cfg(target_os = "linux")]
    {
        // A peer that is gone without a word is noticed (RFC 5482), but later than one that takes nothing: that one is
        // told so first, and the system would cut it off at the same time.
        let timeouts = &gateway.config().timeouts;
        let after = timeouts.stall_s.duration() + timeouts.close_s.duration() + USER_TIMEOUT_MARGIN;
        if let Err(error) = SockRef::from(stream).set_tcp_user_timeout(Some(after)) {
            tracing::debug!(%error, "TCP_USER_TIMEOUT");
        }
    }
}
