//! One TCP connection: its options, its HTTP, and how it ends.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;

use super::requests::Requests;
use super::{http1, http2};
use crate::gateway::Gateway;
use crate::peer::Peer;
use crate::switch::Switch;
use crate::tls::{self, Tls};
use crate::wire::preface::{self, Peeked, Version};
use crate::wire::{GuardedIo, SocketPermit, Within};

/// Serves a connection until it closes. After `closing` no further request is taken.
pub fn serve(
    gateway: Arc<Gateway>,
    stream: TcpStream,
    tls: Option<Arc<Tls>>,
    peer: Peer,
    permit: SocketPermit,
    closing: Switch,
) -> Connection {
    let door = Door {
        gateway,
        peer,
        permit,
        closing,
    };
    Connection::Opens(match tls {
        None => Box::pin(door.open(stream)),
        Some(tls) => Box::pin(door.open_encrypted(stream, tls)),
    })
}

/// A connection until it closes. What each step of it took is given back when the next one begins: a connection may live for
/// days. It is written out, because the task of an `async` block would be larger by as much as two cache lines.
pub enum Connection {
    /// It is not clear yet what it speaks.
    Opens(Opening),
    /// It is served.
    Speaks(Served),
}

/// Boxed, for what opening takes. Nothing if the client said nothing that can be served.
type Opening = Pin<Box<dyn Future<Output = Option<Served>> + Send>>;

impl Future for Connection {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let served = match &mut *self {
                Self::Opens(opening) => ready!(opening.as_mut().poll(cx)),
                Self::Speaks(served) => match ready!(served.as_mut().poll(cx)) {
                    Ok(Next::Goes(on)) => Some(on),
                    Ok(Next::Over) => None,
                    Err(error) => {
                        // Clients that leave early, time-outs and malformed heads: ordinary, and none of our doing.
                        tracing::debug!(%error, "connection ended");
                        None
                    }
                },
            };
            let Some(served) = served else {
                return Poll::Ready(());
            };
            *self = Self::Speaks(served);
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
        let (requests, permit) = self.requests();
        let io = guarded(&requests, stream, permit);
        match preface::peek(io).await {
            Ok((Version::Http1, io)) => Some(http1::serve(requests, io)),
            Ok((Version::Http2, io)) => Some(http2::serve(requests, io)),
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
        let (requests, permit) = self.requests();
        let io = Peeked::new(guarded(&requests, stream, permit), Vec::new());
        let serve = if is_http2 { http2::serve } else { http1::serve };
        Some(serve(requests, io))
    }

    fn requests(self) -> (Requests, SocketPermit) {
        let Self {
            gateway,
            peer,
            permit,
            closing,
        } = self;
        let requests = Requests::new(gateway, peer, closing);
        (requests, permit)
    }
}

fn guarded<S>(requests: &Requests, io: S, permit: SocketPermit) -> GuardedIo<S, SocketPermit> {
    let timeouts = &requests.gateway.config().timeouts;
    let within = Within {
        head: timeouts.head_s.duration(),
        idle: timeouts.idle_s.duration(),
        stall: timeouts.stall_s.duration(),
    };
    let (phase, alarm) = (Arc::clone(&requests.phase), Arc::clone(&requests.alarm));
    GuardedIo::new(io, phase, alarm, within, permit)
}

/// A connection while it speaks one way. Boxed, so that its task has the size of that.
pub type Served = Pin<Box<dyn Future<Output = hyper::Result<Next>> + Send>>;

/// How a connection goes on.
pub enum Next {
    /// Not at all.
    Over,
    /// Another way.
    Goes(Served),
}

/// So much later than we would the system gives a silent peer up.
#[cfg(target_os = "linux")]
const USER_TIMEOUT_MARGIN: Duration = Duration::from_secs(1);

/// Most bytes that wait in the system, unsent, before a writer has to wait. The system would hold some MiB for a client
/// that takes little, and a writer would hear of progress only after a third of them: a slow client would look like one
/// that takes nothing.
#[cfg(target_os = "linux")]
const UNSENT_BYTES_MAX: u32 = 128 * 1024;

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
        let socket = SockRef::from(stream);
        if let Err(error) = socket.set_tcp_user_timeout(Some(after)) {
            tracing::debug!(%error, "TCP_USER_TIMEOUT");
        }
        if let Err(error) = socket.set_tcp_notsent_lowat(UNSENT_BYTES_MAX) {
            tracing::debug!(%error, "TCP_NOTSENT_LOWAT");
        }
    }
}
