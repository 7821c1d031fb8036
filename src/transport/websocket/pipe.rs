//! The connection under a WebSocket: the queue of what goes out is written to it, and what comes in is read from it.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::outbound::Outbound;

/// What is read at once, on the stack.
const READ_BYTES: usize = 8 * 1024;

/// A connection with the queue of what goes out.
#[derive(Debug)]
#[repr(C)]
pub struct Pipe<S> {
    /// For reading past everything.
    pub io: S,
    /// What goes out.
    pub outbound: Outbound,
    /// True if something was written that the I/O object may still hold back, as TLS does.
    unflushed: bool,
    /// True if the client gave a sign of itself that nobody noted yet, such as anything that came in.
    pub heard: bool,
}

impl<S> Pipe<S> {
    /// A connection on which nothing happened yet.
    pub fn new(io: S) -> Self {
        Self {
            io,
            outbound: Outbound::default(),
            unflushed: false,
            heard: false,
        }
    }
}

impl<S: AsyncRead + Unpin> Pipe<S> {
    /// Hands what comes in to `feed`; nothing means that the other side has closed. Cancel safe.
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        feed: impl FnOnce(&[u8]),
    ) -> Poll<io::Result<()>> {
        let mut scratch = [const { MaybeUninit::uninit() }; READ_BYTES];
        let mut read = ReadBuf::uninit(&mut scratch);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut read))?;
        self.heard |= !read.filled().is_empty();
        feed(read.filled());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> Pipe<S> {
    /// Writes what one call takes. Returns how much; nothing if everything is written and on its way. Cancel safe.
    pub fn poll_write_some(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let written = ready!(self.outbound.poll_write(&mut self.io, cx))?;
        if written > 0 {
            self.unflushed = true;
        } else if self.unflushed {
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(written))
    }

    /// Writes what is left, and closes our side. Cancel safe.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outbound.is_empty() {
            ready!(self.poll_write_some(cx))?;
        }
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
