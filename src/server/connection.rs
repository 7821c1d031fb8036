//! One TCP connection: its options, its HTTP, and how it ends.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use pin_project_lite::pin_project;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::yield_now;
use tokio::time::{Sleep, sleep};

use super::stream::{Stream, Streams, is_given_up, note_body};
use crate::gateway::Gateway;
use crate::http::{Body, Finish, Free, Handled, Later, SentAway, handle};
use crate::peer::Peer;
use crate::switch::{Switch, Watch};
use crate::tls::{self, Tls};
use crate::wire::preface::{self, Version};
use crate::wire::{Alarm, AnswerGuard, GuardedIo, Phase, SocketPermit, Within};

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
            Ok((Version::Http1, io)) => {
                Some(http1(self.gateway, self.peer, io, line, self.closing))
            }
            Ok((Version::Http2, io)) => {
                Some(http2(self.gateway, self.peer, io, line, self.closing))
            }
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
        let serve = if is_http2 { http2 } else { http1 };
        Some(serve(self.gateway, self.peer, io, line, self.closing))
    }
}

/// What the I/O of a connection and its requests have in common.
struct Line {
    phase: Arc<Phase>,
    alarm: Arc<Alarm>,
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
type Served = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

fn http1<S>(gateway: Arc<Gateway>, peer: Peer, io: S, line: Line, closing: Switch) -> Served
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder
        // The guard keeps the time: hyper would set a timer anew for each request.
        .header_read_timeout(None)
        .max_buf_size(gateway.config().limits.head_bytes_max);
    let watch = closing.watch();
    let Line { phase, alarm } = line;
    let service = Requests {
        gateway,
        peer,
        phase: Arc::clone(&phase),
        alarm: Some(alarm),
        free: None,
        closing,
    };
    let connection = builder.serve_connection(TokioIo::new(io), service);
    Box::pin(Http1 {
        watch,
        phase,
        is_closing: false,
        gives_way: false,
        grace: None,
        connection: connection.with_upgrades(),
    })
}

pin_project! {
    /// A connection that speaks HTTP/1.1, until it closes. The watch comes first, because each wake-up looks at it.
    #[repr(C)]
    struct Http1<S> {
        #[pin]
        watch: Watch,
        phase: Arc<Phase>,
        // True once no further request is taken.
        is_closing: bool,
        // True if it did so much at its last turn that it has to give way to others.
        gives_way: bool,
        grace: Option<Pin<Box<Sleep>>>,
        #[pin]
        connection: http1::UpgradeableConnection<TokioIo<S>, Requests>,
    }
}

/// How long a connection that has said nothing yet may live on once the gateway goes down: its first request may be on its
/// way, and is answered, rather than met by a connection that closes without a word.
const FRESH_GRACE: Duration = Duration::from_millis(500);

/// After so many requests at one turn a connection gives way, until its worker has looked at what came in meanwhile and all
/// others that can run have run. hyper itself only goes to the end of the line after sixteen rounds, and a few clients who
/// send requests without a pause could keep everybody else out until the next look that is due.
const REQUESTS_IN_A_TURN: u32 = 8;

impl<S> Future for Http1<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Output = hyper::Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut me = self.project();
        if std::mem::take(me.gives_way) {
            ready!(pin!(yield_now()).poll(cx));
        }
        let before = me.phase.requests();
        let polled = me.connection.as_mut().poll(cx);
        *me.gives_way = me.phase.requests().wrapping_sub(before) >= REQUESTS_IN_A_TURN;
        if polled.is_ready() || *me.is_closing {
            return polled;
        }
        if !me.phase.is_leaving() {
            ready!(me.watch.poll(cx));
            if me.phase.is_fresh() {
                let grace = me.grace.get_or_insert_with(|| Box::pin(sleep(FRESH_GRACE)));
                ready!(grace.as_mut().poll(cx));
            }
        }
        *me.is_closing = true;
        me.connection.as_mut().graceful_shutdown();
        me.connection.poll(cx)
    }
}

fn http2<S>(gateway: Arc<Gateway>, peer: Peer, io: S, line: Line, closing: Switch) -> Served
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // Many requests come and go at once; HTTP/2 has its own pings.
    let phase = line.phase;
    phase.multiplexed();
    let (limits, timeouts) = (&gateway.config().http2, &gateway.config().timeouts);
    let head_bytes_max = u32::try_from(gateway.config().limits.head_bytes_max).unwrap_or(u32::MAX);
    let (streams, idle_after) = (Streams::new(), timeouts.idle_s.duration());
    let mut builder = http2::Builder::new(Tracked(Arc::clone(&gateway), Arc::clone(&streams)));
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_max)
        .initial_stream_window_size(limits.stream_window_bytes)
        .initial_connection_window_size(limits.connection_window_bytes)
        .max_send_buf_size(limits.send_buffer_bytes)
        .max_header_list_size(head_bytes_max)
        .keep_alive_interval(limits.ping_s.duration())
        .keep_alive_timeout(timeouts.pong_s.duration())
        .enable_connect_protocol();
    let watch = closing.watch();
    let service = Requests {
        gateway,
        peer,
        phase,
        alarm: None,
        free: Some(Free::shared()),
        closing,
    };
    let mut connection = Box::pin(builder.serve_connection(TokioIo::new(io), service));
    Box::pin(async move {
        tokio::select! {
            biased;
            outcome = connection.as_mut() => outcome,
            () = watch => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
            () = streams.idle(idle_after) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    })
}

/// Runs the streams of an HTTP/2 connection as tasks of the gateway.
#[derive(Debug, Clone)]
struct Tracked(Arc<Gateway>, Arc<Streams>);

impl<F> hyper::rt::Executor<F> for Tracked
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        let stall_after = self.0.config().timeouts.stall_s.duration();
        self.0.spawn(Stream::new(task, stall_after, &self.1));
    }
}

/// A request that is being answered, as hyper polls it. Its room is there for the life of a connection, so what is large
/// has room of its own.
enum Answering {
    /// The answer, until it is handed out.
    Now(Option<Box<Response<Answer>>>),
    /// It takes a while. What is left to do then is gone once it was handed out.
    Later(Later, Option<Finishing>),
}

impl Future for Answering {
    type Output = Result<Response<Answer>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Now(answer) => {
                let answer = answer.take().expect(ONCE);
                Poll::Ready(Ok(*answer))
            }
            Self::Later(answer, finishing) => {
                let response = ready!(answer.as_mut().poll(cx));
                let finishing = finishing.take().expect(ONCE);
                Poll::Ready(Ok(finishing.finish(response)))
            }
        }
    }
}

/// Why the answer is there when it is asked for.
const ONCE: &str = "nobody polls a future after its end";

/// What is left to do with an answer.
struct Finishing {
    gateway: Arc<Gateway>,
    finish: Finish,
    answering: AnswerGuard,
    closing: Switch,
    version: http::Version,
}

impl Finishing {
    fn finish(self, response: Response<Body>) -> Response<Answer> {
        let Self {
            gateway,
            finish,
            answering,
            closing,
            version,
        } = self;
        let mut response = finish.finish(&gateway, response);
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            answering.upgraded();
        } else if version < http::Version::HTTP_2
            && (closing.is_thrown() || response.extensions().get::<SentAway>().is_some())
        {
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response.map(|body| Answer { body, answering })
    }
}

/// Answers the requests of a connection.
struct Requests {
    gateway: Arc<Gateway>,
    peer: Peer,
    phase: Arc<Phase>,
    /// For the requests that wait, if they are answered one after the other.
    alarm: Option<Arc<Alarm>>,
    /// What their bodies have together, if many come at once.
    free: Option<Free>,
    closing: Switch,
}

impl Service<Request<Incoming>> for Requests {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, mut request: Request<Incoming>) -> Answering {
        if let Some(free) = &self.free
            && !http_body::Body::is_end_stream(request.body())
        {
            request.extensions_mut().insert(free.clone());
        }
        let (answering, version) = (self.phase.answering(), request.version());
        let alarm = self.alarm.as_ref();
        let (handled, finish) = handle(&self.gateway, self.peer, alarm, request);
        let finishing = Finishing {
            gateway: Arc::clone(&self.gateway),
            finish,
            answering,
            closing: self.closing.clone(),
            version,
        };
        match handled {
            Handled::Now(response) => Answering::Now(Some(Box::new(finishing.finish(response)))),
            Handled::Later(answer) => Answering::Later(answer, Some(finishing)),
        }
    }
}

/// A body that tells the connection when it is done.
struct Answer {
    body: Body,
    answering: AnswerGuard,
}

impl Drop for Answer {
    fn drop(&mut self) {
        if self.answering.is_stalled() || is_given_up() {
            self.body.stalled();
        }
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        note_body(matches!(polled, Poll::Ready(Some(_))));
        if matches!(polled, Poll::Ready(None)) && self.body.is_sent_away() {
            self.answering.leaves();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::peer::Entrance;
    use std::io;
    use std::sync::mpsc;
    use tokio::io::ReadBuf;
    use tokio::runtime::Builder;

    const REQUEST: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

    /// A client that sends requests without a pause and takes all answers.
    struct Rushing {
        sent: usize,
    }

    impl AsyncRead for Rushing {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            while buffer.remaining() > 0 {
                let rest = &REQUEST[self.sent % REQUEST.len()..];
                let rest = &rest[..rest.len().min(buffer.remaining())];
                buffer.put_slice(rest);
                self.sent += rest.len();
            }
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Rushing {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn clients_who_rush_keep_nobody_else_out() {
        let gateway = Arc::new(Gateway::new(Config::default()).unwrap());
        let mut builder = Builder::new_multi_thread();
        // It looks outside only when it has nothing to run.
        let runtime = builder
            .worker_threads(1)
            .enable_time()
            .event_interval(u32::MAX)
            .build()
            .unwrap();
        for _ in 0..3 {
            let line = Line {
                phase: Arc::default(),
                alarm: Arc::default(),
            };
            let peer = Peer {
                address: std::net::Ipv4Addr::LOCALHOST.into(),
                secure: false,
                entrance: Entrance::Public,
            };
            let (io, closing) = (Rushing { sent: 0 }, Switch::default());
            runtime.spawn(http1(Arc::clone(&gateway), peer, io, line, closing));
        }
        let (sender, came) = mpsc::channel();
        runtime.spawn(async move {
            // What comes from outside: a timer is as good as a socket.
            sleep(Duration::from_millis(50)).await;
            sender.send(()).unwrap();
        });
        let heard = came.recv_timeout(Duration::from_secs(20));
        runtime.shutdown_background();
        heard.expect("the worker looked outside");
    }
}
