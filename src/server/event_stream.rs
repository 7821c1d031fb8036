//! A connection on which an event stream goes out. Its head is out, and HTTP has let go of the connection: what is left to
//! do are chunks (RFC 9112, section 7.1), which take no room for a parser and its buffers. After the last one HTTP goes on.

use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use std::vec;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::yield_now;
use tokio::time::{Sleep, sleep};

use super::chunk::Chunk;
use super::connection::{Next, Served};
use super::http1;
use super::requests::Requests;
use crate::transport::sse::SseStream;
use crate::wire::Linger;
use crate::wire::preface::Peeked;

/// What a client may say while its stream goes out, and is answered after its end. It is not read on before that.
const BEHIND_BYTES_MAX: usize = 8192;
/// How long a client has to close its side after ours.
const LINGERS_FOR: Duration = Duration::from_secs(1);
/// After so many chunks at one turn a connection gives way to others.
const CHUNKS_IN_A_TURN: u32 = 16;

/// Where a stream is put when HTTP lets go of it, for whoever goes on with it.
#[derive(Debug, Clone, Default)]
pub struct Slot(Arc<Mutex<Option<Box<SseStream>>>>);

impl Slot {
    /// Puts it there, if there is one.
    pub fn put(&self, stream: Option<Box<SseStream>>) {
        *self.0.lock() = stream;
    }

    /// Takes it.
    pub fn take(&self) -> Option<Box<SseStream>> {
        self.0.lock().take()
    }
}

/// Serves the rest of a stream, and then what came behind its request, if it is not the last one.
pub fn serve<S>(
    requests: Requests,
    io: Peeked<S>,
    stream: Box<SseStream>,
    is_last: bool,
    behind: &[u8],
) -> Served
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    Box::pin(EventStream(Some(Held {
        requests,
        io,
        source: Source::Live(stream),
        is_last,
        behind: behind.to_vec(),
        step: Step::Waits,
    })))
}

/// A connection with a stream, until that ends.
struct EventStream<S>(Option<Held<S>>);

/// What there is of it.
struct Held<S> {
    requests: Requests,
    io: Peeked<S>,
    source: Source,
    /// True if the client asked for no further answer.
    is_last: bool,
    /// What the client said meanwhile.
    behind: Vec<u8>,
    step: Step,
}

/// Where chunks come from.
enum Source {
    /// A stream that goes on.
    Live(Box<SseStream>),
    /// What is left of one that has ended: its client is attached no more, even if it takes nothing.
    Over {
        rest: vec::IntoIter<Bytes>,
        is_sent_away: bool,
    },
}

impl Source {
    /// The next chunk; nothing after the end. Cancel safe.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match self {
            Self::Live(stream) => {
                let chunk = ready!(stream.poll_chunk(cx));
                if stream.is_over() {
                    self.end(Vec::new());
                }
                Poll::Ready(chunk)
            }
            Self::Over { rest, .. } => Poll::Ready(rest.next()),
        }
    }

    /// Hears of the end while a chunk before it cannot be written.
    fn hear_end(&mut self, cx: &mut Context<'_>) {
        if let Self::Live(stream) = self
            && let Poll::Ready(rest) = stream.poll_rest(cx)
        {
            self.end(rest);
        }
    }

    fn end(&mut self, rest: Vec<Bytes>) {
        if let Self::Live(stream) = self {
            *self = Self::Over {
                is_sent_away: stream.is_sent_away(),
                rest: rest.into_iter(),
            };
        }
    }

    fn is_sent_away(&self) -> bool {
        matches!(
            self,
            Self::Over {
                is_sent_away: true,
                ..
            }
        )
    }
}

/// What it does.
enum Step {
    /// It waits for the next chunk; all those before are out.
    Waits,
    /// A chunk goes out.
    Writes(Chunk),
    /// It was written, and may not be out.
    Flushes,
    /// The last chunk was written.
    Ends,
    /// No further request is taken, and our side is closed.
    Lingers(Linger, Pin<Box<Sleep>>),
}

/// How it ends here.
enum Way {
    /// The client left, or should.
    Over,
    /// The stream has ended.
    Back,
}

impl<S> Future for EventStream<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Output = hyper::Result<Next>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let held = self.0.as_mut().expect(ONCE);
        let way = ready!(held.poll(cx));
        let held = self.0.take().expect(ONCE);
        Poll::Ready(Ok(match way {
            Ok(Way::Back) => Next::Goes(held.give_back()),
            Ok(Way::Over) => Next::Over,
            Err(error) => {
                // As with HTTP: clients that vanish, or take nothing.
                tracing::debug!(%error, "connection ended with its event stream");
                held.breaks();
                Next::Over
            }
        }))
    }
}

/// Why it is there when it is polled.
const ONCE: &str = "nobody polls a future after its end";

impl<S> Held<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    /// Pending may also stand for a turn that was long enough.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Way>> {
        if self.poll_left(cx)?.is_ready() {
            return Poll::Ready(Ok(Way::Over));
        }
        let mut chunks = 0;
        loop {
            match &mut self.step {
                Step::Waits | Step::Flushes if chunks == CHUNKS_IN_A_TURN => {
                    ready!(pin!(yield_now()).poll(cx));
                    return Poll::Pending;
                }
                Step::Waits | Step::Flushes => match self.source.poll_chunk(cx) {
                    Poll::Ready(Some(data)) if data.is_empty() => {}
                    Poll::Ready(Some(data)) => self.step = Step::Writes(Chunk::of(data)),
                    Poll::Ready(None) => self.step = Step::Writes(Chunk::last()),
                    Poll::Pending if matches!(self.step, Step::Waits) => return Poll::Pending,
                    Poll::Pending => {
                        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
                        self.step = Step::Waits;
                        return Poll::Pending;
                    }
                },
                Step::Writes(chunk) => {
                    if chunk.poll_write(&mut self.io, cx)?.is_pending() {
                        self.source.hear_end(cx);
                        return Poll::Pending;
                    }
                    chunks += 1;
                    self.step = if chunk.is_last() {
                        Step::Ends
                    } else {
                        Step::Flushes
                    };
                }
                Step::Ends => {
                    ready!(Pin::new(&mut self.io).poll_flush(cx))?;
                    if !self.is_last_answer() {
                        return Poll::Ready(Ok(Way::Back));
                    }
                    ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
                    let until = Box::pin(sleep(LINGERS_FOR));
                    self.step = Step::Lingers(Linger::default(), until);
                }
                Step::Lingers(linger, until) => {
                    if until.as_mut().poll(cx).is_pending() {
                        ready!(linger.poll(&mut self.io, cx));
                    }
                    return Poll::Ready(Ok(Way::Over));
                }
            }
        }
    }

    /// Takes in what the client says meanwhile, as far as there is room for it. Ready once the client left: who says more than
    /// that is not heard to leave.
    fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.behind.len() < BEHIND_BYTES_MAX {
            let mut room = [const { MaybeUninit::uninit() }; BEHIND_BYTES_MAX];
            let mut buffer = ReadBuf::uninit(&mut room[self.behind.len()..]);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.behind.extend_from_slice(buffer.filled());
        }
        Poll::Pending
    }

    /// True if no further request is taken: the client said so, the gateway goes down, or a balancer is to choose anew.
    fn is_last_answer(&self) -> bool {
        self.is_last || self.source.is_sent_away() || self.requests.closing.is_thrown()
    }

    /// Notes why, if it was the client who took nothing.
    fn breaks(mut self) {
        if let Source::Live(stream) = &mut self.source
            && self.requests.phase.is_stalled()
        {
            stream.stalled();
        }
    }

    /// Lets HTTP go on.
    fn give_back(self) -> Served {
        let Self {
            requests,
            io,
            behind,
            ..
        } = self;
        let (io, unread) = io.into_parts();
        requests.phase.comes_back();
        http1::serve(requests, Peeked::new(io, [behind, unread].concat()))
    }
}
