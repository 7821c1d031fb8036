//! Clients that speak the wire, and know nothing of the gateway's code.
//!
//! Three layers: a [`Connection`] of HTTP/1.1 or HTTP/2, the four transports on top of it, and whoever is [`Told`].

pub mod http1;
pub mod http2;
pub mod message;
pub mod poll;
pub mod publisher;
pub mod server;
pub mod sse;
pub mod tls;
pub mod websocket;

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::cell::{Protocol, Transport};
use crate::client::message::Message;
use crate::client::server::Server;
use crate::client::tls::Tls;
use crate::meter::{Meter, Metered};

/// How long a connection may take to be there.
const CONNECT_MAX: Duration = Duration::from_secs(20);

/// A stream of bytes, whatever is below it.
pub trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Io for S {}

/// Where a gateway is, and how to speak to it.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where to connect to: the gateway, or what stands before it.
    pub address: SocketAddr,
    /// Whom requests are addressed to.
    pub server: Server,
    /// What carries the transport.
    pub protocol: Protocol,
    /// Certificates to trust; needed for the protocols with TLS.
    pub tls: Option<Tls>,
}

impl Target {
    /// Opens a connection whose bytes are counted.
    pub async fn connect(&self, meter: &Arc<Meter>) -> Result<Connection> {
        match tokio::time::timeout(CONNECT_MAX, self.connect_now(meter)).await {
            Ok(connection) => connection,
            Err(_) => bail!(
                "{} did not let a client in within {CONNECT_MAX:?}",
                self.address
            ),
        }
    }

    async fn connect_now(&self, meter: &Arc<Meter>) -> Result<Connection> {
        meter.connecting();
        let io = self.open(meter).await?;
        Ok(match self.protocol {
            Protocol::Http1 | Protocol::Http1Tls => {
                Connection::Http1(http1::Connection::new(io, &self.server, meter))
            }
            Protocol::Http2Tls => {
                Connection::Http2(http2::Connection::begin(io, &self.server, meter).await?)
            }
        })
    }

    /// The stream below HTTP.
    pub async fn open(&self, meter: &Arc<Meter>) -> Result<Box<dyn Io>> {
        let stream = TcpStream::connect(self.address)
            .await
            .with_context(|| format!("cannot connect to {}", self.address))?;
        stream.set_nodelay(true)?;
        let metered = Metered::new(stream, Arc::clone(meter));
        let alpn: &[u8] = match self.protocol {
            Protocol::Http1 => return Ok(Box::new(metered)),
            Protocol::Http1Tls => b"http/1.1",
            Protocol::Http2Tls => b"h2",
        };
        let tls = self
            .tls
            .as_ref()
            .context("TLS needs an authority to trust")?;
        Ok(Box::new(
            tls.connect(metered, &self.server.host, alpn).await?,
        ))
    }
}

/// An answer with its whole body.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// `ETag`.
    pub etag: Option<String>,
    /// The body.
    pub body: Bytes,
}

/// A connection of one client. Over HTTP/2 each client has one of its own, too, so that figures can be compared.
pub enum Connection {
    /// HTTP/1.1.
    Http1(http1::Connection),
    /// HTTP/2.
    Http2(http2::Connection),
}

impl Connection {
    /// Gets a target, with one more header field perhaps, and reads the whole answer.
    pub async fn get(
        &mut self,
        target: &str,
        field: Option<(&'static str, &str)>,
    ) -> Result<Answer> {
        match self {
            Self::Http1(connection) => connection.get(target, field).await,
            Self::Http2(connection) => connection.get(target, field).await,
        }
    }

    /// Gets a target whose answer does not end.
    pub async fn stream(self, target: &str) -> Result<Stream> {
        match self {
            Self::Http1(connection) => connection.stream(target).await.map(Stream::Http1),
            Self::Http2(connection) => connection.stream(target).await.map(Stream::Http2),
        }
    }

    /// Opens a WebSocket: an upgrade, or an extended CONNECT (RFC 8441).
    pub async fn upgrade(self, target: &str, deflate: bool) -> Result<Stream> {
        match self {
            Self::Http1(connection) => connection.upgrade(target, deflate).await.map(Stream::Http1),
            Self::Http2(connection) => connection.upgrade(target, deflate).await.map(Stream::Http2),
        }
    }
}

/// Bytes that come as they come: the body of an answer, or the frames of a WebSocket.
pub enum Stream {
    /// Over HTTP/1.1.
    Http1(http1::Stream),
    /// Over HTTP/2.
    Http2(http2::Stream),
}

impl Stream {
    /// The next bytes; nothing at the end. Cancel safe.
    pub async fn read(&mut self) -> Result<Option<Bytes>> {
        match self {
            Self::Http1(stream) => stream.read().await,
            Self::Http2(stream) => stream.read().await,
        }
    }

    /// Sends bytes; only a WebSocket can.
    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        match self {
            Self::Http1(stream) => stream.write(&bytes).await,
            Self::Http2(stream) => stream.write(bytes),
        }
    }
}

/// What a client wants, and how it goes about it.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// Over what.
    pub transport: Transport,
    /// The one channel.
    pub channel: String,
    /// From where; `None` is from now on.
    pub cursor: Option<String>,
    /// The time between two short polls.
    pub poll_interval: Duration,
    /// From being attached to the first short poll, so that clients do not poll in step.
    pub first_poll_after: Duration,
    /// How long a long poll asks to wait; `None` is as long as the gateway likes.
    pub wait: Option<Duration>,
    /// Whether a WebSocket asks for permessage-deflate.
    pub deflate: bool,
}

impl Subscription {
    /// A path with the channel, and the cursor if there is one.
    fn target(&self, path: &str) -> String {
        match &self.cursor {
            Some(cursor) => format!("{path}?channel={}&cursor={cursor}", self.channel),
            None => format!("{path}?channel={}", self.channel),
        }
    }
}

/// Who is told what a client receives.
pub trait Told {
    /// The client is ready: from here on it misses nothing that comes after this position.
    fn attached(&mut self, epoch: &str, offset: u64);
    /// A message arrived. To break is to leave.
    fn message(&mut self, at: Instant, message: &Message<'_>) -> ControlFlow<()>;
}

/// Connects, attaches and receives until `told` has enough. Ends otherwise only with an error.
pub async fn follow(
    target: &Target,
    subscription: &Subscription,
    meter: &Arc<Meter>,
    told: &mut impl Told,
) -> Result<()> {
    let connection = target.connect(meter).await?;
    match subscription.transport {
        Transport::WebSocket => websocket::follow(connection, subscription, meter, told).await,
        Transport::Sse => sse::follow(connection, subscription, meter, told).await,
        Transport::LongPoll => poll::follow_long(connection, subscription, meter, told).await,
        Transport::Poll => poll::follow_short(connection, subscription, meter, told).await,
    }
}

/// What comes at a status that is no success.
fn refused(target: &str, status: u16, body: &[u8]) -> anyhow::Error {
    let body = String::from_utf8_lossy(body);
    anyhow::anyhow!(
        "{target} was answered {status}: {}",
        body.chars().take(300).collect::<String>()
    )
}
