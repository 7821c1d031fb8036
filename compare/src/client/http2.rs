//! HTTP/2 (RFC 9113) as a client speaks it, with the bytes of its field blocks counted on the way.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use bytes::{Bytes, BytesMut};
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use http::header::{AUTHORIZATION, ETAG, HeaderValue};
use http::{Method, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::server::{Server, Token};
use super::{Answer, Io, refused};
use crate::meter::{Direction, Meter};

/// Room for the largest page, so that no answer waits for the client: small frames count for more than their bytes.
const STREAM_WINDOW_BYTES: u32 = 8 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
/// The preface of a client (RFC 9113, section 3.4).
const PREFACE_BYTES: usize = 24;
const FRAME_HEAD_BYTES: usize = 9;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
/// How long the gateway may take to say that it knows extended CONNECT.
const SETTINGS_MAX: Duration = Duration::from_secs(10);

/// A connection of one client.
pub struct Connection {
    sender: SendRequest<Bytes>,
    /// What stands before each target.
    origin: String,
    /// What is shown with each request.
    authorization: Option<HeaderValue>,
    meter: Arc<Meter>,
    driver: Driver,
    turns: watch::Receiver<()>,
}

/// What moves the connection's frames; it ends with its client.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Connection {
    /// Says the preface.
    pub async fn begin(io: Box<dyn Io>, server: &Server, meter: &Arc<Meter>) -> Result<Self> {
        let tally = Tally::new(io, Arc::clone(meter));
        let (sender, connection) = Builder::new()
            .initial_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .enable_push(false)
            .handshake(tally)
            .await?;
        let (turned, turns) = watch::channel(());
        let driver = tokio::spawn(async move {
            let mut connection = pin!(connection);
            // How it ended is seen by whoever reads from a stream, and by whoever waits for its turns.
            let _ = poll_fn(|cx| {
                let ended = connection.as_mut().poll(cx);
                turned.send_replace(());
                ended
            })
            .await;
        });
        Ok(Self {
            sender,
            origin: format!("https://{}{}", server.host, server.path),
            authorization: server.token.as_ref().map(secret).transpose()?,
            meter: Arc::clone(meter),
            driver: Driver(driver),
            turns,
        })
    }

    /// Gets a target and reads the whole answer.
    pub async fn get(
        &mut self,
        target: &str,
        field: Option<(&'static str, &str)>,
    ) -> Result<Answer> {
        let mut request = self.request(Method::GET, target)?;
        if let Some((name, value)) = field {
            request.headers_mut().insert(name, value.parse()?);
        }
        let response = self.send(request, true).await?.0.await?;
        let status = response.status().as_u16();
        let etag = response.headers().get(ETAG);
        let etag = etag.map(|etag| String::from_utf8_lossy(etag.as_bytes()).into_owned());
        let body = whole(response).await?;
        Ok(Answer { status, etag, body })
    }

    /// Gets a target whose answer does not end.
    pub async fn stream(mut self, target: &str) -> Result<Stream> {
        let mut request = self.request(Method::GET, target)?;
        request
            .headers_mut()
            .insert("accept", "text/event-stream".parse()?);
        let (response, _) = self.send(request, true).await?;
        self.streamed(target, response, None).await
    }

    /// Opens a WebSocket by an extended CONNECT (RFC 8441).
    pub async fn upgrade(mut self, target: &str, deflate: bool) -> Result<Stream> {
        self.wait_for_settings().await?;
        let mut request = self.request(Method::CONNECT, target)?;
        request
            .extensions_mut()
            .insert(Protocol::from_static("websocket"));
        request
            .headers_mut()
            .insert("sec-websocket-version", "13".parse()?);
        if deflate {
            request
                .headers_mut()
                .insert("sec-websocket-extensions", "permessage-deflate".parse()?);
        }
        let (response, sender) = self.send(request, false).await?;
        self.streamed(target, response, Some(sender)).await
    }

    async fn streamed(
        self,
        target: &str,
        response: ResponseFuture,
        sender: Option<SendStream<Bytes>>,
    ) -> Result<Stream> {
        let response = response.await?;
        let status = response.status().as_u16();
        if status != 200 {
            return Err(refused(target, status, &whole(response).await?));
        }
        Ok(Stream {
            body: response.into_body(),
            sender,
            _driver: self.driver,
            // The connection closes with its last handle.
            _requests: self.sender,
        })
    }

    fn request(&self, method: Method, target: &str) -> Result<Request<()>> {
        let uri = format!("{}{target}", self.origin);
        let mut request = Request::builder().method(method).uri(uri).body(())?;
        if let Some(authorization) = &self.authorization {
            let fields = request.headers_mut();
            fields.insert(AUTHORIZATION, authorization.clone());
        }
        Ok(request)
    }

    async fn send(
        &mut self,
        request: Request<()>,
        is_all: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>)> {
        self.sender = self.sender.clone().ready().await?;
        self.meter.request();
        Ok(self.sender.send_request(request, is_all)?)
    }

    /// The gateway's settings say whether it knows extended CONNECT. h2 does not tell when they come, but they come in a
    /// turn of the driver's. Cancel safe.
    async fn wait_for_settings(&mut self) -> Result<()> {
        let (sender, turns) = (&self.sender, &mut self.turns);
        let waiting = turns.wait_for(|()| sender.is_extended_connect_protocol_enabled());
        match tokio::time::timeout(SETTINGS_MAX, waiting).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => bail!("the connection ended before the gateway's settings came"),
            Err(_) => bail!("the gateway has no WebSockets over HTTP/2 (RFC 8441)"),
        }
    }
}

/// Marked so that no table of compression keeps it (RFC 7541, section 7.1.3), and nothing prints it.
fn secret(token: &Token) -> Result<HeaderValue> {
    let mut value = HeaderValue::try_from(token.authorization())?;
    value.set_sensitive(true);
    Ok(value)
}

async fn whole(response: Response<RecvStream>) -> Result<Bytes> {
    let (mut body, mut all) = (response.into_body(), BytesMut::new());
    while let Some(bytes) = data(&mut body).await? {
        ensure!(
            all.len() + bytes.len() <= CONNECTION_WINDOW_BYTES as usize,
            "a body of over {CONNECTION_WINDOW_BYTES} bytes"
        );
        all.extend_from_slice(&bytes);
    }
    Ok(all.freeze())
}

async fn data(body: &mut RecvStream) -> Result<Option<Bytes>> {
    let Some(bytes) = body.data().await.transpose()? else {
        return Ok(None);
    };
    body.flow_control().release_capacity(bytes.len())?;
    Ok(Some(bytes))
}

/// An answer that goes on, or a WebSocket.
pub struct Stream {
    body: RecvStream,
    sender: Option<SendStream<Bytes>>,
    _driver: Driver,
    _requests: SendRequest<Bytes>,
}

impl Stream {
    /// The next bytes; nothing at the end. Cancel safe.
    pub async fn read(&mut self) -> Result<Option<Bytes>> {
        data(&mut self.body).await
    }

    /// Sends bytes, of which a client that only answers pings has few.
    pub fn write(&mut self, bytes: Bytes) -> Result<()> {
        let Some(sender) = &mut self.sender else {
            bail!("only a WebSocket can send");
        };
        Ok(sender.send_data(bytes, false)?)
    }
}

/// A stream of frames, of which the field blocks are counted as heads.
struct Tally {
    io: Box<dyn Io>,
    meter: Arc<Meter>,
    up: Frames,
    down: Frames,
}

impl Tally {
    fn new(io: Box<dyn Io>, meter: Arc<Meter>) -> Self {
        let up = Frames {
            skip: PREFACE_BYTES,
            ..Frames::default()
        };
        Self {
            io,
            meter,
            up,
            down: Frames::default(),
        }
    }
}

/// Where counting stands among the frames of one direction.
#[derive(Debug, Default)]
struct Frames {
    skip: usize,
    head: [u8; FRAME_HEAD_BYTES],
    head_bytes: usize,
    is_fields: bool,
}

impl Frames {
    /// How many of these bytes belong to field blocks.
    fn fields_in(&mut self, mut bytes: &[u8]) -> usize {
        let mut fields = 0;
        while !bytes.is_empty() {
            if self.skip > 0 {
                let some = self.skip.min(bytes.len());
                self.skip -= some;
                fields += if self.is_fields { some } else { 0 };
                bytes = &bytes[some..];
                continue;
            }
            self.is_fields = false;
            let some = (FRAME_HEAD_BYTES - self.head_bytes).min(bytes.len());
            self.head[self.head_bytes..self.head_bytes + some].copy_from_slice(&bytes[..some]);
            self.head_bytes += some;
            bytes = &bytes[some..];
            if self.head_bytes == FRAME_HEAD_BYTES {
                self.head_bytes = 0;
                self.skip = usize::from(self.head[0]) << 16
                    | usize::from(self.head[1]) << 8
                    | usize::from(self.head[2]);
                self.is_fields = matches!(self.head[3], HEADERS | CONTINUATION);
            }
        }
        fields
    }
}

impl AsyncRead for Tally {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
        let fields = this.down.fields_in(&buf.filled()[before..]);
        this.meter.headers(Direction::Down, fields);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tally {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let written = ready!(Pin::new(&mut this.io).poll_write(cx, bytes))?;
        let fields = this.up.fields_in(&bytes[..written]);
        this.meter.headers(Direction::Up, fields);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: usize) -> Vec<u8> {
        let mut frame = vec![0, 0, payload as u8, kind, 0, 0, 0, 0, 1];
        frame.resize(FRAME_HEAD_BYTES + payload, b'x');
        frame
    }

    /// A connection, and what a gateway does with the other end of it.
    async fn to<F: Future<Output = ()> + Send + 'static>(
        gateway: impl FnOnce(tokio::io::DuplexStream) -> F,
    ) -> Connection {
        let (near, far) = tokio::io::duplex(64 * 1024);
        tokio::spawn(gateway(far));
        Connection::begin(Box::new(near), &Server::local(443), &Arc::default())
            .await
            .expect("the preface needs no answer")
    }

    #[tokio::test(start_paused = true)]
    async fn settings_are_seen_when_they_come() {
        let mut connection = to(|io| async {
            let mut builder = h2::server::Builder::new();
            let mut gateway = builder
                .enable_connect_protocol()
                .handshake::<_, Bytes>(io)
                .await
                .expect("a preface");
            // It speaks while it waits for requests.
            while gateway.accept().await.is_some() {}
        })
        .await;
        let start = tokio::time::Instant::now();
        connection.wait_for_settings().await.expect("settings");
        assert_eq!(start.elapsed(), Duration::ZERO, "nothing has to wait");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_ends_has_no_settings() {
        let mut connection = to(|io| async { drop(io) }).await;
        let start = tokio::time::Instant::now();
        let error = connection
            .wait_for_settings()
            .await
            .expect_err("no settings");
        assert!(error.to_string().contains("ended before"), "{error}");
        assert!(start.elapsed() < SETTINGS_MAX, "it is not waited for");
    }

    #[test]
    fn field_blocks_are_counted_wherever_they_are_cut() {
        let mut text = vec![b'p'; PREFACE_BYTES];
        for (kind, payload) in [
            (4, 12),
            (HEADERS, 33),
            (0, 200),
            (CONTINUATION, 7),
            (HEADERS, 0),
            (8, 4),
        ] {
            text.extend(frame(kind, payload));
        }
        for step in 1..text.len() {
            let mut frames = Frames {
                skip: PREFACE_BYTES,
                ..Frames::default()
            };
            let fields: usize = text.chunks(step).map(|piece| frames.fields_in(piece)).sum();
            assert_eq!(fields, 40, "steps of {step}");
        }
    }
}
