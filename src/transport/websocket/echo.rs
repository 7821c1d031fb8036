//! `/v1/echo`: returns every message through the same socket code that serves everybody, for conformance suites.

use std::future::poll_fn;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};

use super::frames::{BINARY, TEXT};
use super::gone::Gone;
use super::messages::Incoming;
use super::socket::Socket;

/// The largest message that is returned: conformance suites send 16 MiB.
pub const ECHO_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Returns messages until the client goes.
pub async fn echo<S: AsyncRead + AsyncWrite + Unpin>(mut socket: Socket<S>) {
    let gone = loop {
        match poll_fn(|cx| poll_step(&mut socket, cx)).await {
            Ok(Incoming::Text(text, _held)) => socket.push_message(TEXT, text.as_bytes()),
            Ok(Incoming::Binary(bytes, _held)) => socket.push_message(BINARY, &bytes),
            Ok(Incoming::Control) => {}
            Err(gone) => break gone,
        }
    };
    socket.finish(gone).await;
}

/// Writes what is queued, then reads. With a full queue nothing is read. Cancel safe.
fn poll_step<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut Socket<S>,
    cx: &mut Context<'_>,
) -> Poll<Result<Incoming, Gone>> {
    if let Poll::Ready(gone) = socket.poll_flush(cx) {
        return Poll::Ready(Err(gone));
    }
    if socket.room() > 0
        && let Poll::Ready(incoming) = socket.poll_incoming(cx)
    {
        return Poll::Ready(incoming);
    }
    // Reading may have queued an answer to a ping.
    socket.poll_flush(cx).map(Err)
}
