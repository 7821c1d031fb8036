//! A connection that speaks HTTP/2.

use std::sync::Arc;

use hyper::server::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::connection::{Next, Served};
use super::requests::Requests;
use super::stream::{Stream, Streams};
use crate::gateway::Gateway;
use crate::http::Free;

/// Serves it.
pub fn serve<S>(mut requests: Requests, io: S) -> Served
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // Many requests come and go at once; HTTP/2 has its own pings.
    requests.phase.multiplexed();
    requests.free = Some(Free::shared());
    let (gateway, watch) = (Arc::clone(&requests.gateway), requests.closing.watch());
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
    let mut connection = Box::pin(builder.serve_connection(TokioIo::new(io), requests));
    Box::pin(async move {
        tokio::select! {
            biased;
            outcome = connection.as_mut() => return outcome.map(|()| Next::Over),
            () = watch => {}
            () = streams.idle(idle_after) => {}
        }
        connection.as_mut().graceful_shutdown();
        connection.await.map(|()| Next::Over)
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
