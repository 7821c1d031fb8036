//! The I/O under hyper, with the two time-outs that hyper lacks: for a request's head, and for a peer that takes nothing.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::stall::Stall;

/// What a connection is doing, as its requests see it.
#[derive(Debug, Default)]
pub struct Phase {
    step: AtomicU8,
    /// Set when the connection breaks because its peer takes nothing.
    stalled: AtomicBool,
    /// Set when the client is sent elsewhere, so that no further request should be taken.
    leaving: AtomicBool,
}

const FRESH: u8 = 0;
const WAITING: u8 = 1;
const ANSWERING: u8 = 2;
const UPGRADED: u8 = 3;
const MULTIPLEXED: u8 = 4;

impl Phase {
    /// A request's head is complete. Dropping the guard says that it is answered.
    pub fn answering(self: &Arc<Self>) -> AnswerGuard {
        // Of the many requests of a multiplexed connection none speaks for it.
        let multiplexed = self.is(MULTIPLEXED);
        if !multiplexed {
            self.step.store(ANSWERING, Ordering::Release);
        }
        AnswerGuard(Arc::clone(self))
    }

    /// The connection is HTTP/2, which keeps its own time for heads.
    pub fn multiplexed(&self) {
        self.step.store(MULTIPLEXED, Ordering::Release);
    }

    /// The connection is no HTTP any more; who took it over keeps its own time.
    pub fn upgraded(&self) {
        self.step.store(UPGRADED, Ordering::Release);
    }

    /// True until the first request.
    pub fn is_fresh(&self) -> bool {
        self.is(FRESH)
    }

    /// True if the client was sent elsewhere.
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    fn expects_head(&self) -> bool {
        self.is(FRESH) || self.is(WAITING)
    }

    fn is(&self, phase: u8) -> bool {
        self.step.load(Ordering::Acquire) == phase
    }
}

/// A request is being answered.
#[derive(Debug)]
pub struct AnswerGuard(Arc<Phase>);

impl AnswerGuard {
    /// Notes that the client was sent elsewhere.
    pub fn leaves(&self) {
        self.0.leaving.store(true, Ordering::Release);
    }

    /// True if the connection breaks because its peer takes nothing.
    pub fn is_stalled(&self) -> bool {
        self.0.stalled.load(Ordering::Acquire)
    }
}

impl Drop for AnswerGuard {
    fn drop(&mut self) {
        // An upgrade is for good. Nothing to do if the exchange fails.
        let _ =
            self.0
                .step
                .compare_exchange(ANSWERING, WAITING, Ordering::AcqRel, Ordering::Acquire);
    }
}

/// Up to this many bytes go out in a plain write.
const COPIED_BYTES_MAX: usize = 512;

/// An I/O object that breaks when a head takes too long, or a write makes no progress.
#[derive(Debug)]
pub struct GuardedIo<S, P> {
    io: S,
    phase: Arc<Phase>,
    head_within: Duration,
    /// Runs from the connection's start, and then from the first byte of each request, to the end of its head.
    head: Option<Pin<Box<Sleep>>>,
    stall: Stall,
    /// Given back when the connection closes, even if it was upgraded and hyper has long let go of it.
    permit: P,
}

impl<S, P> GuardedIo<S, P> {
    /// Guards a connection that was just accepted, and holds its permit.
    pub fn new(
        io: S,
        phase: Arc<Phase>,
        head_within: Duration,
        stall_after: Duration,
        permit: P,
    ) -> Self {
        let head = Some(Box::pin(sleep(head_within)));
        Self {
            io,
            phase,
            head_within,
            head,
            stall: Stall::new(stall_after),
            permit,
        }
    }

    /// The I/O object and the permit, once nothing is to be guarded any more.
    pub fn into_parts(self) -> (S, P) {
        (self.io, self.permit)
    }

    /// Notes the outcome of a write.
    fn wrote<T>(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &outcome
            && error.kind() == io::ErrorKind::TimedOut
        {
            // The system gave it up first: RFC 5482.
            self.phase.stalled.store(true, Ordering::Release);
        }
        if outcome.is_ready() {
            self.stall.progress();
        } else if !self.phase.is(UPGRADED) {
            ready!(self.stall.poll_waiting(cx));
            self.phase.stalled.store(true, Ordering::Release);
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        outcome
    }
}

/// Copies a few bytes together, because a plain write of them costs less than a vectored one.
fn copied<'a>(slices: &[IoSlice<'_>], copy: &'a mut [u8; COPIED_BYTES_MAX]) -> Option<&'a [u8]> {
    let mut used = 0;
    for slice in slices {
        let end = used + slice.len();
        copy.get_mut(used..end)?.copy_from_slice(slice);
        used = end;
    }
    Some(&copy[..used])
}

impl<S: AsyncRead + Unpin, P: Unpin> AsyncRead for GuardedIo<S, P> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.io).poll_read(cx, buffer);
        if !self.phase.expects_head() {
            self.head = None;
            return outcome;
        }
        if outcome.is_ready() {
            let head_within = self.head_within;
            self.head
                .get_or_insert_with(|| Box::pin(sleep(head_within)));
        } else if let Some(head) = &mut self.head {
            ready!(head.as_mut().poll(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        outcome
    }
}

impl<S: AsyncWrite + Unpin, P: Unpin> AsyncWrite for GuardedIo<S, P> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.io).poll_write(cx, buffer);
        self.wrote(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut copy = [0; COPIED_BYTES_MAX];
        let outcome = match copied(slices, &mut copy) {
            Some(bytes) => Pin::new(&mut self.io).poll_write(cx, bytes),
            None => Pin::new(&mut self.io).poll_write_vectored(cx, slices),
        };
        self.wrote(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    const HEAD: Duration = Duration::from_secs(10);
    const STALL: Duration = Duration::from_secs(30);

    fn guarded(buffer_bytes: usize) -> (GuardedIo<DuplexStream, ()>, DuplexStream, Arc<Phase>) {
        let (ours, theirs) = duplex(buffer_bytes);
        let phase = Arc::new(Phase::default());
        (
            GuardedIo::new(ours, Arc::clone(&phase), HEAD, STALL, ()),
            theirs,
            phase,
        )
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_breaks_after_the_time_for_a_head() {
        let (mut io, _theirs, _) = guarded(64);
        let begin = tokio::time::Instant::now();
        assert_eq!(
            io.read_u8().await.unwrap_err().kind(),
            io::ErrorKind::TimedOut
        );
        assert_eq!(begin.elapsed().as_secs(), HEAD.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn dripping_bytes_does_not_prolong_a_head() {
        let (mut io, mut theirs, _) = guarded(64);
        let begin = tokio::time::Instant::now();
        let drip = tokio::spawn(async move {
            while theirs.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let mut buffer = [0; 64];
        while io.read(&mut buffer).await.is_ok() {}
        assert!(
            (10..=11).contains(&begin.elapsed().as_secs()),
            "{:?}",
            begin.elapsed()
        );
        drop(io);
        drip.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_may_take_its_time_and_so_may_the_next_request() {
        let (mut io, mut theirs, phase) = guarded(64);
        theirs.write_all(b"head").await.unwrap();
        io.read_exact(&mut [0; 4]).await.unwrap();
        let answering = phase.answering();
        let read_for = async |io: &mut GuardedIo<_, _>, seconds| {
            tokio::time::timeout(Duration::from_secs(seconds), io.read_u8()).await
        };
        assert!(read_for(&mut io, 60).await.is_err(), "a long poll waits");
        drop(answering);
        assert!(
            read_for(&mut io, 60).await.is_err(),
            "between requests hyper keeps the time"
        );
        theirs.write_all(b"h").await.unwrap();
        io.read_u8().await.unwrap();
        let late = read_for(&mut io, 60)
            .await
            .expect("the next head has begun");
        assert_eq!(late.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_without_progress_breaks_and_one_with_progress_does_not() {
        let (mut io, mut theirs, phase) = guarded(4);
        let _answering = phase.answering();
        let slow = tokio::spawn(async move {
            for _ in 0..5 {
                tokio::time::sleep(STALL - Duration::from_secs(1)).await;
                theirs.read_exact(&mut [0; 4]).await.unwrap();
            }
            theirs
        });
        io.write_all(&[0; 20]).await.unwrap();
        let _theirs = slow.await.unwrap();
        let stalled = io.write_all(&[0; 20]).await.unwrap_err();
        assert_eq!(stalled.kind(), io::ErrorKind::TimedOut);
    }
}
