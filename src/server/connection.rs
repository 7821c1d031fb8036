//! One TCP connection: its options, its HTTP, and how it ends.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::metrics::gauge::Gauge;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::guard::{Answering, GuardedIo, Phase};
use crate::gateway::Gateway;
use crate::http::{Body, handle};

/// A place among the sockets, given back when the connection closes.
#[derive(Debug)]
pub struct SocketPermit {
    open: Gauge,
    _permit: OwnedSemaphorePermit,
}

impl SocketPermit {
    /// Counts a connection in.
    pub fn new(permit: OwnedSemaphorePermit, open: Gauge) -> Self {
        open.inc();
        Self {
            open,
            _permit: permit,
        }
    }
}

impl Drop for SocketPermit {
    fn drop(&mut self) {
        self.open.dec();
    }
}

/// Serves a connection until it closes. After `closing` no further request is taken.
pub async fn serve(
    gateway: Arc<Gateway>,
    stream: TcpStream,
    permit: SocketPermit,
    closing: CancellationToken,
) {
    set_options(&stream, &gateway);
    let timeouts = &gateway.config.timeouts;
    let phase = Arc::new(Phase::default());
    let (head_within, stall_after) = (timeouts.head_s.duration(), timeouts.stall_s.duration());
    let io = GuardedIo::new(stream, Arc::clone(&phase), head_within, stall_after, permit);
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // hyper's time for a head is also its time between requests; the guard keeps the shorter one for heads.
        .header_read_timeout(timeouts.idle_s.duration())
        .max_buf_size(gateway.config.limits.head_bytes_max);
    let (fresh, to_answer) = (Arc::clone(&phase), closing.clone());
    let service = service_fn(move |request| {
        answer(
            Arc::clone(&gateway),
            Arc::clone(&phase),
            to_answer.clone(),
            request,
        )
    });
    let mut connection = pin!(
        builder
            .serve_connection(TokioIo::new(io), service)
            .with_upgrades()
    );
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = until_to_close(&closing, &fresh) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        // Clients that leave early, time-outs and malformed heads: ordinary, and none of our doing.
        tracing::debug!(%error, "connection ended");
    }
}

/// How long a connection that has said nothing yet may live on once the gateway goes down: its first request may be on its
/// way, and is answered, rather than met by a connection that closes without a word.
const FRESH_GRACE: Duration = Duration::from_millis(500);

/// Waits until no further request is to be taken.
async fn until_to_close(closing: &CancellationToken, phase: &Phase) {
    closing.cancelled().await;
    if phase.is_fresh() {
        tokio::time::sleep(FRESH_GRACE).await;
    }
}

/// Answers a request. Boxed, so that a connection without one does not hold the room for it.
fn answer(
    gateway: Arc<Gateway>,
    phase: Arc<Phase>,
    closing: CancellationToken,
    request: Request<Incoming>,
) -> Pin<Box<dyn Future<Output = Result<Response<Answer>, Infallible>> + Send>> {
    let answering = phase.answering();
    Box::pin(async move {
        let mut response = handle(gateway, request).await;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            phase.upgraded();
        } else if closing.is_cancelled() {
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response.map(|body| Answer {
            body,
            _answering: answering,
        }))
    })
}

/// A body that tells the connection when it is done.
struct Answer {
    body: Body,
    _answering: Answering,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn set_options(stream: &TcpStream, gateway: &Gateway) {
    // Each is an improvement only: a connection without it still works.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    #[cfg(target_os = "linux")]
    {
        // A peer that is gone without a word is noticed as soon as one that takes nothing (RFC 5482).
        let after = gateway.config.timeouts.stall_s.duration();
        if let Err(error) = SockRef::from(stream).set_tcp_user_timeout(Some(after)) {
            tracing::debug!(%error, "TCP_USER_TIMEOUT");
        }
    }
}
