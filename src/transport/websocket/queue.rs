//! The I/O under tungstenite: a queue of shared frames that goes out in vectored writes.
//!
//! tungstenite hands over each of its own frames (pongs, close replies) whole, and they are queued behind what is there
//! already, so frames never interleave, even if a ping is answered in the middle of a backlog.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most slices of one write. Linux takes 1024; past 64 nothing is gained.
const SLICES_MAX: usize = 64;

/// Shared frames in front of an I/O object.
#[derive(Debug)]
pub struct FrameQueue<S> {
    io: S,
    frames: VecDeque<Bytes>,
    /// How much of the first frame is written.
    written: usize,
    bytes: usize,
    /// After our close frame nothing may follow (RFC 6455, section 5.5.1).
    closed: bool,
    /// True if anything came in since it was last asked.
    heard: bool,
}

impl<S> FrameQueue<S> {
    /// An empty queue.
    pub fn new(io: S) -> Self {
        Self {
            io,
            frames: VecDeque::new(),
            written: 0,
            bytes: 0,
            closed: false,
            heard: false,
        }
    }

    /// Queues a frame.
    pub fn push(&mut self, frame: Bytes) {
        if !self.closed {
            self.bytes += frame.len();
            self.frames.push_back(frame);
        }
    }

    /// Queues the last frame; what is pushed later is dropped.
    pub fn push_last(&mut self, frame: Bytes) {
        self.push(frame);
        self.closed = true;
    }

    /// The bytes that wait to be written.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// True if anything came in since the last call.
    pub fn take_heard(&mut self) -> bool {
        std::mem::take(&mut self.heard)
    }

    /// The I/O object, for reading past tungstenite.
    pub fn io(&mut self) -> &mut S {
        &mut self.io
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        written += self.written;
        self.written = 0;
        while let Some(first) = self.frames.front() {
            if written < first.len() {
                self.written = written;
                break;
            }
            written -= first.len();
            self.frames.pop_front();
        }
        if self.frames.is_empty() && self.frames.capacity() > SLICES_MAX {
            // A backlog that is gone must not hold its memory.
            self.frames.shrink_to(SLICES_MAX);
        }
    }
}

impl<S: AsyncWrite + Unpin> FrameQueue<S> {
    /// Writes what one call takes. Returns how much; nothing if the queue is empty. Cancel safe.
    pub fn poll_write_some(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.frames.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut used = 0;
        for (slice, frame) in slices.iter_mut().zip(&self.frames) {
            *slice = IoSlice::new(if used == 0 {
                &frame[self.written..]
            } else {
                frame
            });
            used += 1;
        }
        let written = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, &slices[..used]))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.advance(written);
        Poll::Ready(Ok(written))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FrameQueue<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buffer))?;
        self.heard |= buffer.filled().len() > before;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FrameQueue<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        frame: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.push(Bytes::copy_from_slice(frame));
        Poll::Ready(Ok(frame.len()))
    }

    /// Nothing: the connection writes the queue itself, and only there a peer that takes nothing is noticed.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.bytes > 0 {
            ready!(self.poll_write_some(cx))?;
        }
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
