//! The I/O under hyper, with its time-outs: for a request's head, between requests, and for a peer that takes nothing.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::alarm::Alarm;
use crate::stall::Stall;

/// What a connection is doing, as its requests see it.
#[derive(Debug, Default)]
pub struct Phase {
    step: AtomicU8,
    /// Set when the connection breaks because its peer takes nothing.
    stalled: AtomicBool,
    /// Set when the client is sent elsewhere, so that no further request should be taken.
    leaving: AtomicBool,
    /// True until all that HTTP had to say is out.
    unflushed: AtomicBool,
    /// How many requests there were.
    requests: AtomicU32,
    /// How many of them are answered.
    answered: AtomicU32,
}

const FRESH: u8 = 0;
const WAITING: u8 = 1;
const ANSWERING: u8 = 2;
const UPGRADED: u8 = 3;
const MULTIPLEXED: u8 = 4;
const APART: u8 = 5;
const STREAMING: u8 = 6;

impl Phase {
    /// A request's head is complete. Dropping the guard says that it is answered.
    pub fn answering(self: &Arc<Self>) -> AnswerGuard {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.unflushed.store(true, Ordering::Relaxed);
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

    /// True if its requests are answered at the same time.
    pub fn is_multiplexed(&self) -> bool {
        self.is(MULTIPLEXED)
    }

    /// True until the first request.
    pub fn is_fresh(&self) -> bool {
        self.is(FRESH)
    }

    /// True if the client was sent elsewhere.
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// How many requests there were, modulo 2³².
    pub fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }

    /// True if all answers but that to the newest request are out. Ask before that is being answered.
    pub fn is_flushed(&self) -> bool {
        !self.unflushed.load(Ordering::Relaxed)
    }

    /// Something of a body without an end is on its way out. Its head is before it.
    pub fn streams(&self) {
        self.unflushed.store(true, Ordering::Relaxed);
        self.step.store(STREAMING, Ordering::Release);
    }

    /// True if all that there was of a body without an end is out: HTTP holds nothing back.
    pub fn is_streamed(&self) -> bool {
        self.is(STREAMING) && self.is_flushed()
    }

    /// True if the connection breaks because its peer takes nothing.
    pub fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Acquire)
    }

    /// A request is answered beside HTTP, from now on.
    pub fn goes_apart(&self) {
        self.step.store(APART, Ordering::Release);
    }

    /// True while a request is answered beside HTTP.
    pub fn is_apart(&self) -> bool {
        self.is(APART)
    }

    /// Nothing is being answered beside HTTP any more, and nothing is left to go out.
    pub fn comes_back(&self) {
        self.unflushed.store(false, Ordering::Relaxed);
        self.answered.fetch_add(1, Ordering::Relaxed);
        self.step.store(WAITING, Ordering::Release);
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
    /// The connection is no HTTP any more; who took it over keeps its own time.
    pub fn upgraded(&self) {
        self.0.step.store(UPGRADED, Ordering::Release);
    }

    /// Notes that the client was sent elsewhere.
    pub fn leaves(&self) {
        self.0.leaving.store(true, Ordering::Release);
    }

    /// True if the connection breaks because its peer takes nothing.
    pub fn is_stalled(&self) -> bool {
        self.0.is_stalled()
    }

    /// See [`Phase::is_apart`].
    pub fn is_apart(&self) -> bool {
        self.0.is_apart()
    }

    /// See [`Phase::streams`].
    pub fn streams(&self) {
        self.0.streams();
    }
}

impl Drop for AnswerGuard {
    fn drop(&mut self) {
        self.0.answered.fetch_add(1, Ordering::Relaxed);
        // An upgrade is for good, and what is apart comes back by itself. Nothing to do if the exchange fails.
        for step in [ANSWERING, STREAMING] {
            let _ =
                self.0
                    .step
                    .compare_exchange(step, WAITING, Ordering::AcqRel, Ordering::Acquire);
        }
    }
}

/// Up to this many bytes go out in a plain write.
const COPIED_BYTES_MAX: usize = 512;

/// How long the peer may take.
#[derive(Debug, Clone, Copy)]
pub struct Within {
    /// For the head of a request: from the connection's start, and then from its first byte on.
    pub head: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// For a write to make progress.
    pub stall: Duration,
}

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    /// Nothing: a request is being answered.
    Nothing,
    /// The first byte of the next request.
    Request,
    /// The rest of a head.
    Head,
}

/// An I/O object that breaks when a head or the next request takes too long, or a write makes no progress.
#[derive(Debug)]
pub struct GuardedIo<S, P> {
    io: S,
    phase: Arc<Phase>,
    within: Within,
    awaited: Awaited,
    /// True if the time for it does not run yet. While a request is answered, the alarm is the request's.
    waits_anew: bool,
    /// How many requests were answered when it last looked. Nothing need have been read meanwhile.
    answered: u32,
    alarm: Arc<Alarm>,
    stall: Stall,
    /// Given back when the connection closes, even if it was upgraded and hyper has long let go of it.
    permit: P,
}

impl<S, P> GuardedIo<S, P> {
    /// Guards a connection that was just accepted, and holds its permit. The alarm is waiting for the first head.
    pub fn new(io: S, phase: Arc<Phase>, alarm: Arc<Alarm>, within: Within, permit: P) -> Self {
        Self {
            io,
            phase,
            within,
            awaited: Awaited::Head,
            waits_anew: false,
            answered: 0,
            alarm,
            stall: Stall::new(within.stall),
            permit,
        }
    }

    /// The I/O object and the permit, once nothing is to be guarded any more.
    pub fn into_parts(self) -> (S, P) {
        (self.io, self.permit)
    }

    /// Notes what is waited for from now on.
    fn awaits(&mut self, awaited: Awaited) {
        if self.awaited != awaited {
            self.awaited = awaited;
            self.waits_anew = true;
        }
    }

    /// Waits for a head or for its first byte. Ready once that took too long.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let answered = self.phase.answered.load(Ordering::Relaxed);
        // The alarm was the request's since.
        self.waits_anew |= std::mem::replace(&mut self.answered, answered) != answered;
        if self.awaited == Awaited::Nothing {
            self.awaits(Awaited::Request);
        }
        let within = match self.awaited {
            Awaited::Head => self.within.head,
            Awaited::Request | Awaited::Nothing => self.within.idle,
        };
        let anew = std::mem::take(&mut self.waits_anew);
        self.alarm.poll_waiting(cx, within, anew)
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
            self.awaits(Awaited::Nothing);
            return outcome;
        }
        if outcome.is_ready() {
            self.awaits(Awaited::Head);
            return outcome;
        }
        ready!(self.poll_patience(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
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
        let outcome = Pin::new(&mut self.io).poll_flush(cx);
        if outcome.is_ready() && (self.phase.expects_head() || self.phase.is(STREAMING)) {
            self.phase.unflushed.store(false, Ordering::Relaxed);
        }
        if self.phase.is(WAITING) && self.awaited == Awaited::Nothing {
            // The answer is out, and hyper may not read again before there is something to read. What is woken when the time
            // is up reads, and hears of it then.
            let _ = self.poll_patience(cx);
        }
        // TLS takes a little more than the system does, and only this waits for its client.
        self.wrote(cx, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.io).poll_shutdown(cx);
        self.wrote(cx, outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    const HEAD: Duration = Duration::from_secs(10);
    const IDLE: Duration = Duration::from_secs(75);
    const STALL: Duration = Duration::from_secs(30);
    const WITHIN: Within = Within {
        head: HEAD,
        idle: IDLE,
        stall: STALL,
    };

    fn guarded(buffer_bytes: usize) -> (GuardedIo<DuplexStream, ()>, DuplexStream, Arc<Phase>) {
        let (ours, theirs) = duplex(buffer_bytes);
        let phase = Arc::new(Phase::default());
        (
            GuardedIo::new(
                ours,
                Arc::clone(&phase),
                Arc::new(Alarm::new(HEAD)),
                WITHIN,
                (),
            ),
            theirs,
            phase,
        )
    }

    /// It takes everything, as TLS takes the last of it, and its client takes nothing.
    struct Behind;

    impl AsyncWrite for Behind {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_taken_and_does_not_go_out_is_no_progress() {
        for shuts_down in [false, true] {
            let phase = Arc::new(Phase::default());
            let alarm = Arc::new(Alarm::new(HEAD));
            let mut io = GuardedIo::new(Behind, Arc::clone(&phase), alarm, WITHIN, ());
            io.write_all(b"the last of an answer").await.unwrap();
            let begin = tokio::time::Instant::now();
            let outcome = match shuts_down {
                false => io.flush().await,
                true => io.shutdown().await,
            };
            assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::TimedOut);
            assert_eq!(begin.elapsed().as_secs(), STALL.as_secs());
            assert!(phase.is_stalled());
        }
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
            "the next request may take longer than a head"
        );
        theirs.write_all(b"h").await.unwrap();
        io.read_u8().await.unwrap();
        let late = read_for(&mut io, 60)
            .await
            .expect("the next head has begun");
        assert_eq!(late.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_breaks_that_asks_for_nothing_after_its_answer() {
        let (mut io, mut theirs, phase) = guarded(64);
        let begin = tokio::time::Instant::now();
        for waited_s in [70, 74, 0, 60] {
            theirs.write_all(b"head").await.unwrap();
            io.read_exact(&mut [0; 4]).await.unwrap();
            let answering = phase.answering();
            // As hyper does, to notice a client that leaves.
            let nothing = tokio::time::timeout(Duration::ZERO, io.read_u8()).await;
            assert!(nothing.is_err());
            io.write_all(b"answer").await.unwrap();
            drop(answering);
            io.flush().await.unwrap();
            theirs.read_exact(&mut [0; 6]).await.unwrap();
            tokio::time::sleep(Duration::from_secs(waited_s)).await;
        }
        let idle = io.read_u8().await.unwrap_err();
        assert_eq!(idle.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begin.elapsed().as_secs(), 70 + 74 + IDLE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_flushed_once_it_is_over_and_out() {
        let (mut io, mut theirs, phase) = guarded(4);
        assert!(phase.is_flushed());
        let answering = phase.answering();
        io.flush().await.unwrap();
        assert!(!phase.is_flushed(), "more of it may come");
        io.write_all(b"last").await.unwrap();
        drop(answering);
        assert!(!phase.is_flushed(), "it may still be in a buffer");
        theirs.read_exact(&mut [0; 4]).await.unwrap();
        io.flush().await.unwrap();
        assert!(phase.is_flushed());
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
