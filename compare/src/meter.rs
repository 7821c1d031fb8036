//! What goes over the wire of one client: bytes by direction and kind, pieces, wake-ups, requests, connections.
//!
//! [`Metered`] stands below TLS and sees every byte that TCP carries. The clients, which stand above it, tell which of
//! them were heads and which were payload. The rest is framing: frames, chunks, envelopes, heartbeats and TLS records.

use std::io;
use std::ops::{AddAssign, Sub};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// What fits into one TCP segment of an Ethernet packet, with time stamps.
pub const SEGMENT_BYTES: u64 = 1448;
/// Activity after so long a pause is another wake-up.
pub const PAUSE: Duration = Duration::from_millis(100);

/// Bytes of one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    /// All bytes below TLS.
    pub wire: u64,
    /// Of these, up to the moment when the client was attached.
    pub handshake: u64,
    /// Of the others, heads of requests and answers.
    pub headers: u64,
    /// Of the others, payload.
    pub payload: u64,
}

impl Way {
    /// What is none of the other kinds. Less than nothing where more was told than passed: then something was counted twice, and
    /// no kind can be believed.
    pub fn framing(&self) -> i64 {
        self.wire as i64 - (self.handshake + self.headers + self.payload) as i64
    }

    /// Bytes that were told of and never passed; 0 if all is well.
    pub fn overcounted(&self) -> u64 {
        self.framing().min(0).unsigned_abs()
    }
}

/// What was counted so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// From the client to the gateway.
    pub up: Way,
    /// From the gateway to the client.
    pub down: Way,
    /// TCP segments with data, as Ethernet would carry them: each write, and each read, in pieces of [`SEGMENT_BYTES`].
    pub segments: u64,
    /// Moments at which the network had to wake up.
    pub wakeups: u64,
    /// Requests sent.
    pub requests: u64,
    /// Connections opened.
    pub connections: u64,
}

impl Count {
    /// Bytes that were told of and never passed, in either direction; 0 if all is well.
    pub fn overcounted(&self) -> u64 {
        self.up.overcounted() + self.down.overcounted()
    }
}

impl AddAssign for Way {
    fn add_assign(&mut self, other: Self) {
        self.wire += other.wire;
        self.handshake += other.handshake;
        self.headers += other.headers;
        self.payload += other.payload;
    }
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.up += other.up;
        self.down += other.down;
        self.segments += other.segments;
        self.wakeups += other.wakeups;
        self.requests += other.requests;
        self.connections += other.connections;
    }
}

impl Sub for Way {
    type Output = Self;
    /// What was added since an earlier count.
    fn sub(self, earlier: Self) -> Self {
        Self {
            wire: self.wire - earlier.wire,
            handshake: self.handshake - earlier.handshake,
            headers: self.headers - earlier.headers,
            payload: self.payload - earlier.payload,
        }
    }
}

impl Sub for Count {
    type Output = Self;
    /// What was added since an earlier count.
    fn sub(self, earlier: Self) -> Self {
        Self {
            up: self.up - earlier.up,
            down: self.down - earlier.down,
            segments: self.segments - earlier.segments,
            wakeups: self.wakeups - earlier.wakeups,
            requests: self.requests - earlier.requests,
            connections: self.connections - earlier.connections,
        }
    }
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the gateway.
    Up,
    /// To the client.
    Down,
}

/// The counts of one client, over all its connections.
#[derive(Debug, Default)]
pub struct Meter(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    count: Count,
    settled: Count,
    is_attached: bool,
    active_at: Option<Instant>,
}

impl Inner {
    fn way(&mut self, direction: Direction) -> &mut Way {
        match direction {
            Direction::Up => &mut self.count.up,
            Direction::Down => &mut self.count.down,
        }
    }
}

impl Meter {
    /// What was counted up to the last moment at which all that had come was told, so that no message is cut in two.
    pub fn settled(&self) -> Count {
        self.inner().settled
    }

    /// All that came so far was told.
    pub fn settle(&self) {
        let mut inner = self.inner();
        inner.settled = inner.count;
    }

    /// A connection begins: what follows is handshake until [`Meter::attached`].
    pub fn connecting(&self) {
        let mut inner = self.inner();
        inner.is_attached = false;
        inner.count.connections += 1;
    }

    /// The client is ready to receive.
    pub fn attached(&self) {
        self.inner().is_attached = true;
    }

    /// Bytes passed below TLS.
    pub fn wire(&self, direction: Direction, bytes: usize, at: Instant) {
        let mut inner = self.inner();
        let is_attached = inner.is_attached;
        let way = inner.way(direction);
        way.wire += bytes as u64;
        if !is_attached {
            way.handshake += bytes as u64;
        }
        inner.count.segments += (bytes as u64).div_ceil(SEGMENT_BYTES);
        if inner
            .active_at
            .is_none_or(|active| at.duration_since(active) >= PAUSE)
        {
            inner.count.wakeups += 1;
        }
        inner.active_at = Some(at);
    }

    /// So many bytes were heads.
    pub fn headers(&self, direction: Direction, bytes: usize) {
        let mut inner = self.inner();
        if inner.is_attached {
            inner.way(direction).headers += bytes as u64;
        }
    }

    /// So many bytes that were received were payload.
    pub fn payload(&self, bytes: usize) {
        let mut inner = self.inner();
        if inner.is_attached {
            inner.count.down.payload += bytes as u64;
        }
    }

    /// A request was sent.
    pub fn request(&self) {
        self.inner().count.requests += 1;
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A count cannot be half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream whose bytes are counted.
#[derive(Debug)]
pub struct Metered<S> {
    stream: S,
    meter: Arc<Meter>,
}

impl<S> Metered<S> {
    /// Counts the bytes of `stream` with `meter`.
    pub fn new(stream: S, meter: Arc<Meter>) -> Self {
        Self { stream, meter }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let bytes = buf.filled().len() - before;
        if bytes > 0 {
            self.meter.wire(Direction::Down, bytes, Instant::now());
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        if written > 0 {
            self.meter.wire(Direction::Up, written, Instant::now());
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_split_to_the_byte() {
        let (meter, at) = (Meter::default(), Instant::now());
        meter.connecting();
        meter.wire(Direction::Up, 200, at);
        meter.wire(Direction::Down, 300, at);
        meter.headers(Direction::Down, 50);
        meter.attached();
        meter.wire(Direction::Down, 1000, at);
        meter.headers(Direction::Down, 100);
        meter.payload(800);
        meter.settle();
        let down = meter.settled().down;
        let expected = Way {
            wire: 1300,
            handshake: 300,
            headers: 100,
            payload: 800,
        };
        assert_eq!(down, expected, "what is told of a handshake counts once");
        assert_eq!(down.framing(), 100);
        assert_eq!(meter.settled().up.handshake, 200);
        assert_eq!(down.overcounted(), 0);
    }

    #[test]
    fn what_is_told_and_never_passed_is_seen() {
        let (meter, at) = (Meter::default(), Instant::now());
        meter.attached();
        meter.wire(Direction::Down, 100, at);
        meter.payload(60);
        meter.payload(60);
        meter.settle();
        let down = meter.settled().down;
        assert_eq!((down.framing(), down.overcounted()), (-20, 20));
    }

    #[test]
    fn half_a_message_does_not_count() {
        let (meter, at) = (Meter::default(), Instant::now());
        meter.attached();
        meter.wire(Direction::Down, 100, at);
        meter.payload(80);
        meter.settle();
        meter.wire(Direction::Down, 50, at);
        assert_eq!(meter.settled().down.wire, 100);
        meter.wire(Direction::Down, 50, at);
        meter.payload(80);
        meter.settle();
        assert_eq!(meter.settled().down.framing(), 40);
    }

    #[test]
    fn a_pause_below_a_tenth_of_a_second_is_no_pause() {
        let (meter, start) = (Meter::default(), Instant::now());
        for ms in [0, 50, 149, 248, 348, 1000] {
            meter.wire(Direction::Down, 1, start + Duration::from_millis(ms));
        }
        meter.settle();
        assert_eq!(meter.settled().wakeups, 3, "at 0, 348 and 1000 ms");
    }

    #[test]
    fn a_large_write_is_several_segments() {
        let (meter, at) = (Meter::default(), Instant::now());
        meter.wire(Direction::Up, 1448, at);
        meter.wire(Direction::Up, 1449, at);
        meter.settle();
        assert_eq!(meter.settled().segments, 3);
    }
}
