//! The I/O under an unmodified tungstenite: all that it lacks. Inbound bytes are checked and inflated before it sees them;
//! its own frames join the queue of shared ones.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::inbound::Inbound;
use super::outbound::Outbound;
use super::socket::Gone;
use crate::limits::Share;

/// What is read at once, on the stack.
const READ_BYTES: usize = 8 * 1024;
/// The opcode of a close frame (RFC 6455, section 5.5.1).
const CLOSE: u8 = 8;

/// A socket's two halves in front of its I/O.
#[derive(Debug)]
#[repr(C)]
pub struct Adapter<S> {
    io: S,
    /// What goes out.
    pub outbound: Outbound,
    /// True if something was written that the I/O object may still hold back, as TLS does.
    unflushed: bool,
    /// True if anything came in since it was last asked.
    heard: bool,
    /// What the client did wrong, for who sees tungstenite's error.
    fault: Option<Gone>,
    inbound: Inbound,
}

impl<S> Adapter<S> {
    /// A socket on which nothing happened yet.
    pub fn new(io: S, inbound: Inbound) -> Self {
        Self {
            io,
            outbound: Outbound::default(),
            inbound,
            fault: None,
            heard: false,
            unflushed: false,
        }
    }

    /// True if anything came in since the last call.
    pub fn take_heard(&mut self) -> bool {
        std::mem::take(&mut self.heard)
    }

    /// What the client did wrong, if the adapter noticed it.
    pub fn take_fault(&mut self) -> Option<Gone> {
        self.fault.take()
    }

    /// What a message of so many bytes, which was handed out just now, takes of the room for all.
    pub fn take_share(&mut self, message_bytes: usize) -> Option<Box<Share>> {
        self.inbound.take_share(message_bytes)
    }

    /// The I/O object, for reading past tungstenite.
    pub fn io(&mut self) -> &mut S {
        &mut self.io
    }
}

impl<S: AsyncWrite + Unpin> Adapter<S> {
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
}

impl<S: AsyncRead + Unpin> AsyncRead for Adapter<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let me = &mut *self;
        loop {
            match me.inbound.take(buffer) {
                Ok(0) => {}
                Ok(_) => return Poll::Ready(Ok(())),
                Err(gone) => {
                    me.fault = Some(gone);
                    return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                }
            }
            let mut scratch = [MaybeUninit::uninit(); READ_BYTES];
            let mut read = ReadBuf::uninit(&mut scratch);
            ready!(Pin::new(&mut me.io).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            me.heard = true;
            me.inbound.feed(read.filled());
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Adapter<S> {
    /// tungstenite writes whole frames only, because its own buffer has no size: pongs, and the reply to a close frame.
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        frame: &[u8],
    ) -> Poll<io::Result<usize>> {
        let is_close = frame.first().is_some_and(|first| first & 0x0f == CLOSE);
        let copy = Bytes::copy_from_slice(frame);
        if is_close {
            self.outbound.push_last(copy)
        } else {
            self.outbound.push_control(copy)
        }
        Poll::Ready(Ok(frame.len()))
    }

    /// Nothing: the connection writes the queue itself, and only there a peer that takes nothing is noticed.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outbound.is_empty() {
            ready!(self.poll_write_some(cx))?;
        }
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
