//! A connection on which a long poll waits, or the next one is about to come. HTTP has let go of it: it takes the room of a
//! request that waits, and none for a parser and its buffers. Whatever is not like the request before goes back to HTTP, and
//! so does an answer that is not a plain page.

use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::yield_now;

use super::connection::{Next, Served};
use super::http1::{self, REQUESTS_IN_A_TURN};
use super::requests::{Handover, Requests};
use crate::http::{Again, WholeHead, is_whole_head};
use crate::switch::Watch;
use crate::wire::preface::Peeked;

/// What is read at a time. A longer head is no reason to wait here: HTTP reads the rest.
const READ_BYTES_MAX: usize = 4096;

/// Serves a connection whose newest request waits. What came behind that request is answered after it, by HTTP.
pub fn serve<S>(requests: Requests, io: Peeked<S>, again: Box<Again>, behind: &[u8]) -> Served
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let held = Held {
        requests,
        io,
        again,
    };
    if !behind.is_empty() {
        return held.give_back(behind);
    }
    Box::pin(Apart {
        watch: held.requests.closing.watch(),
        step: Step::Waits,
        held: Some(held),
    })
}

pin_project! {
    /// A connection without HTTP.
    struct Apart<S> {
        #[pin]
        watch: Watch,
        step: Step,
        // Nothing once it went back to HTTP.
        held: Option<Held<S>>,
    }
}

/// What there is of a connection.
struct Held<S> {
    requests: Requests,
    io: Peeked<S>,
    again: Box<Again>,
}

/// What it does.
enum Step {
    /// A request waits for its answer.
    Waits,
    /// An answer goes out, from this byte on.
    Writes(Vec<u8>, usize),
    /// All of it is written.
    Flushes,
    /// The next request is waited for.
    Reads,
}

/// How it ends here.
enum Way {
    /// The client left.
    Over,
    /// Back to HTTP, which reads this first.
    Back(Vec<u8>),
}

impl<S> Future for Apart<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Output = hyper::Result<Next>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let me = self.project();
        let held = me
            .held
            .as_mut()
            .expect("nobody polls a future after its end");
        let way = match held.poll(cx, me.step) {
            Poll::Ready(Ok(way)) => way,
            Poll::Ready(Err(error)) => {
                // As with HTTP: clients that vanish, and time-outs.
                tracing::debug!(%error, "connection ended while nothing of HTTP was under way");
                Way::Over
            }
            Poll::Pending => {
                ready!(me.watch.poll(cx));
                if matches!(me.step, Step::Writes(..) | Step::Flushes) {
                    // It goes out whole first.
                    return Poll::Pending;
                }
                Way::Back(Vec::new())
            }
        };
        let held = me.held.take().expect("it was there above");
        Poll::Ready(Ok(match way {
            Way::Over => Next::Over,
            Way::Back(first) => Next::Goes(held.give_back(&first)),
        }))
    }
}

impl<S> Held<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    /// Answers one request after the other. Pending may also stand for a turn that was long enough.
    fn poll(&mut self, cx: &mut Context<'_>, step: &mut Step) -> Poll<io::Result<Way>> {
        let mut requests = 0;
        loop {
            *step = match step {
                // HTTP says good-bye, with the answer if there is one to come.
                Step::Waits | Step::Reads if self.requests.closing.is_thrown() => {
                    return Poll::Ready(Ok(Way::Back(Vec::new())));
                }
                Step::Waits => match self.again.poll_answer(cx) {
                    Poll::Ready(Some(answer)) => Step::Writes(answer, 0),
                    Poll::Ready(None) => return Poll::Ready(Ok(Way::Back(Vec::new()))),
                    Poll::Pending => return poll_read(&mut self.io, cx, Way::of),
                },
                Step::Writes(answer, at) => {
                    ready!(poll_write(&mut self.io, cx, answer, at))?;
                    requests += 1;
                    self.requests.phase.comes_back();
                    Step::Flushes
                }
                Step::Flushes => {
                    // The time for the next request begins to run with this.
                    ready!(Pin::new(&mut self.io).poll_flush(cx))?;
                    Step::Reads
                }
                Step::Reads if requests == REQUESTS_IN_A_TURN => {
                    ready!(pin!(yield_now()).poll(cx));
                    return Poll::Pending;
                }
                Step::Reads => match ready!(self.poll_request(cx))? {
                    None => Step::Waits,
                    Some(way) => return Poll::Ready(Ok(way)),
                },
            };
        }
    }

    /// Reads the next request. Ready with nothing once it is being answered here.
    fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Way>>> {
        let Self {
            requests,
            io,
            again,
        } = self;
        poll_read(io, cx, |read| {
            if !again.begin(&requests.gateway, read) {
                return Some(Way::of(read));
            }
            requests.phase.goes_apart();
            None
        })
    }

    /// Lets HTTP go on, with what was read and not answered.
    fn give_back(self, read: &[u8]) -> Served {
        let Self {
            requests,
            io,
            again,
        } = self;
        let (io, unread) = io.into_parts();
        let (handover, mut first) = match again.give_back() {
            Some((begun, head)) => (Handover::Begun(Box::new(begun)), head),
            None if unread.is_empty() && is_whole_head(read) => {
                let head = WholeHead(Bytes::copy_from_slice(read));
                (Handover::Head(Box::new(head)), Vec::new())
            }
            None => (Handover::Nothing, Vec::new()),
        };
        first.extend_from_slice(read);
        first.extend_from_slice(&unread);
        requests.handover.set(handover);
        requests.phase.comes_back();
        http1::serve(requests, Peeked::new(io, first))
    }
}

impl Way {
    fn of(read: &[u8]) -> Self {
        match read {
            [] => Self::Over,
            read => Self::Back(read.to_vec()),
        }
    }
}

/// Reads once, and looks at what came; at nothing at the end of the stream.
fn poll_read<S: AsyncRead + Unpin, T>(
    io: &mut S,
    cx: &mut Context<'_>,
    look: impl FnOnce(&[u8]) -> T,
) -> Poll<io::Result<T>> {
    let mut room = [const { MaybeUninit::uninit() }; READ_BYTES_MAX];
    let mut buffer = ReadBuf::uninit(&mut room);
    ready!(Pin::new(io).poll_read(cx, &mut buffer))?;
    Poll::Ready(Ok(look(buffer.filled())))
}

/// Writes all of it.
fn poll_write<S: AsyncWrite + Unpin>(
    io: &mut S,
    cx: &mut Context<'_>,
    bytes: &[u8],
    at: &mut usize,
) -> Poll<io::Result<()>> {
    while *at < bytes.len() {
        match ready!(Pin::new(&mut *io).poll_write(cx, &bytes[*at..]))? {
            0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            written => *at += written,
        }
    }
    Poll::Ready(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::gateway::Gateway;
    use crate::server::connection::Connection;
    use crate::switch::Switch;
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    async fn ask(client: &mut DuplexStream, cursor: &str) {
        let head = format!(
            "GET /v1/longpoll?channel=a&cursor={cursor}&wait=0.01 HTTP/1.1\r\nHost: localhost\r\n\r\n"
        );
        client.write_all(head.as_bytes()).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn after_closing_a_page_that_is_there_says_so_and_is_the_last() {
        let gateway = Arc::new(Gateway::new(Config::default()).unwrap());
        let (ours, mut client) = duplex(64 * 1024);
        let closing = Switch::default();
        let requests = Requests::local(&gateway, closing.clone());
        let served = http1::serve(requests, Peeked::new(ours, Vec::new()));
        let serving = tokio::spawn(Connection::Speaks(served));
        let mut answer = [0; 4096];
        for _ in 0..3 {
            ask(&mut client, "now").await;
            let bytes = client.read(&mut answer).await.unwrap();
            let answer = std::str::from_utf8(&answer[..bytes]).unwrap();
            assert!(!answer.contains("connection:"), "{answer}");
        }
        // A position of another life of the channel is a gap, which is told at once.
        ask(&mut client, "zzzzzzz.5").await;
        closing.throw();
        let mut last = String::new();
        client.read_to_string(&mut last).await.unwrap();
        assert!(last.contains("connection: close\r\n"), "{last}");
        assert!(last.contains("\"gap\":"), "{last}");
        serving.await.unwrap();
    }
}
