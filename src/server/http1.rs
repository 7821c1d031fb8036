//! A connection that speaks HTTP/1.1.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::yield_now;
use tokio::time::{Sleep, sleep};

use super::connection::{Next, Served};
use super::requests::{Handover, Requests};
use super::{apart, event_stream};
use crate::switch::Watch;
use crate::wire::Phase;
use crate::wire::preface::Peeked;

/// Serves it.
pub fn serve<S>(requests: Requests, io: Peeked<S>) -> Served
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder
        // The guard keeps the time: hyper would set a timer anew for each request.
        .header_read_timeout(None)
        .max_buf_size(requests.gateway.config().limits.head_bytes_max);
    let (watch, phase) = (requests.closing.watch(), Arc::clone(&requests.phase));
    let connection = builder.serve_connection(TokioIo::new(io), requests);
    Box::pin(Http1 {
        watch,
        phase,
        is_closing: false,
        gives_way: false,
        grace: None,
        connection: Some(connection.with_upgrades()),
    })
}

pin_project! {
    /// A connection that speaks HTTP/1.1, until it closes or HTTP lets go of it. The watch comes first, because each wake-up
    /// looks at it.
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
        // Nothing once HTTP let go of it.
        connection: Option<http1::UpgradeableConnection<TokioIo<Peeked<S>>, Requests>>,
    }
}

/// How long a connection that has said nothing yet may live on once the gateway goes down: its first request may be on its
/// way, and is answered, rather than met by a connection that closes without a word.
const FRESH_GRACE: Duration = Duration::from_millis(500);

/// After so many requests at one turn a connection gives way, until its worker has looked at what came in meanwhile and all
/// others that can run have run. hyper itself only goes to the end of the line after sixteen rounds, and a few clients who
/// send requests without a pause could keep everybody else out until the next look that is due.
pub const REQUESTS_IN_A_TURN: u32 = 8;

impl<S> Future for Http1<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Output = hyper::Result<Next>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let me = self.project();
        if std::mem::take(me.gives_way) {
            ready!(pin!(yield_now()).poll(cx));
        }
        let connection = me.connection.as_mut().expect(ONCE);
        let before = me.phase.requests();
        let polled = Pin::new(&mut *connection).poll(cx);
        *me.gives_way = me.phase.requests().wrapping_sub(before) >= REQUESTS_IN_A_TURN;
        if polled.is_ready() || *me.is_closing {
            return polled.map_ok(|()| Next::Over);
        }
        if me.phase.is_streamed() {
            me.phase.goes_apart();
        }
        if me.phase.is_apart() {
            return Poll::Ready(Ok(part(me.connection.take().expect(ONCE))));
        }
        if !me.phase.is_leaving() {
            ready!(me.watch.poll(cx));
            if me.phase.is_fresh() {
                let grace = me.grace.get_or_insert_with(|| Box::pin(sleep(FRESH_GRACE)));
                ready!(grace.as_mut().poll(cx));
            }
        }
        *me.is_closing = true;
        Pin::new(&mut *connection).graceful_shutdown();
        Pin::new(connection).poll(cx).map_ok(|()| Next::Over)
    }
}

/// Why the connection is there when it is polled.
const ONCE: &str = "nobody polls a future after its end";

/// Takes a connection out of HTTP.
fn part<S>(connection: http1::UpgradeableConnection<TokioIo<Peeked<S>>, Requests>) -> Next
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // Nothing if it was upgraded, and then this is the end of it here.
    let Some(parts) = connection.into_parts() else {
        return Next::Over;
    };
    match parts.service.handover.take() {
        Handover::Again(again) => {
            let io = parts.io.into_inner();
            Next::Goes(apart::serve(parts.service, io, again, &parts.read_buf))
        }
        Handover::Stream(slot, is_last) if let Some(stream) = slot.take() => {
            let io = parts.io.into_inner();
            Next::Goes(event_stream::serve(
                parts.service,
                io,
                stream,
                is_last,
                &parts.read_buf,
            ))
        }
        _ => {
            tracing::error!("a connection went apart without the request that it went for");
            Next::Over
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::gateway::Gateway;
    use crate::switch::Switch;
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
            let requests = Requests::local(&gateway, Switch::default());
            runtime.spawn(serve(
                requests,
                Peeked::new(Rushing { sent: 0 }, Vec::new()),
            ));
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
