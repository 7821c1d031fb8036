//! One stream of an HTTP/2 connection: noticed when its client takes nothing, though the connection lives.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use pin_project_lite::pin_project;
use tokio::time::{Instant, sleep_until};

use crate::stall::Stall;

/// What a body did when it was last polled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    /// It handed out a chunk: unless it is polled again, the client's window is closed.
    HandedOut,
    /// It waits for something to send, or is at its end.
    Waits,
    /// It is dropped now, because its client takes nothing.
    GivenUp,
}

thread_local! {
    /// Set by the body, read by the stream that polled it in the same call.
    static LAST: Cell<Option<Body>> = const { Cell::new(None) };
}

/// Notes the outcome of polling a body, for the stream that it belongs to.
pub fn note_body(handed_out: bool) {
    LAST.set(Some(if handed_out {
        Body::HandedOut
    } else {
        Body::Waits
    }));
}

/// True while the body of a stream whose client takes nothing is dropped.
pub fn is_given_up() -> bool {
    LAST.get() == Some(Body::GivenUp)
}

/// How many streams a connection has, and since when it has none.
#[derive(Debug)]
pub struct Streams(Mutex<Count>);

#[derive(Debug)]
struct Count {
    open: usize,
    idle_since: Instant,
}

impl Streams {
    /// None yet.
    pub fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Count {
            open: 0,
            idle_since: Instant::now(),
        })))
    }

    /// Waits until there was none for this long. Cancel safe.
    pub async fn idle(&self, for_long: Duration) {
        loop {
            let now = Instant::now();
            let due = {
                let count = self.0.lock();
                // Nobody is told when the last one ends; it is looked at again before it could be due.
                let since = if count.open > 0 {
                    now
                } else {
                    count.idle_since
                };
                since + for_long
            };
            if due <= now {
                return;
            }
            sleep_until(due).await;
        }
    }
}

/// One of them.
#[derive(Debug)]
struct Open(Arc<Streams>);

impl Open {
    fn new(streams: &Arc<Streams>) -> Self {
        streams.0.lock().open += 1;
        Self(Arc::clone(streams))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut count = self.0.0.lock();
        count.open -= 1;
        count.idle_since = Instant::now();
    }
}

pin_project! {
    /// The task of a stream. It ends, which resets the stream, when a chunk was handed out and the next one is not asked
    /// for in time.
    pub struct Stream<F> {
        #[pin]
        task: Option<F>,
        stall: Stall,
        body: Body,
        _open: Open,
    }
}

impl<F> Stream<F> {
    /// A stream of a connection, given up after `stall_after` without progress.
    pub fn new(task: F, stall_after: Duration, streams: &Arc<Streams>) -> Self {
        Self {
            task: Some(task),
            stall: Stall::new(stall_after),
            body: Body::Waits,
            _open: Open::new(streams),
        }
    }
}

impl<F: Future<Output = ()>> Future for Stream<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut me = self.project();
        let Some(task) = me.task.as_mut().as_pin_mut() else {
            return Poll::Ready(());
        };
        LAST.set(None);
        if task.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        // If the body was polled at all, time begins anew.
        if let Some(body) = LAST.take() {
            *me.body = body;
            me.stall.progress();
        }
        if *me.body != Body::HandedOut || me.stall.poll_waiting(cx).is_pending() {
            return Poll::Pending;
        }
        LAST.set(Some(Body::GivenUp));
        me.task.set(None);
        LAST.set(None);
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::time::{Instant, timeout};

    const STALL: Duration = Duration::from_secs(30);

    async fn ends_after(mut outcomes: Vec<Option<bool>>) -> Option<Duration> {
        let begin = Instant::now();
        let task = poll_fn(move |_| {
            if let Some(handed_out) = outcomes.pop().flatten() {
                note_body(handed_out);
            }
            Poll::<()>::Pending
        });
        let ended = timeout(STALL * 10, Stream::new(task, STALL, &Streams::new())).await;
        ended.ok().map(|()| begin.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_from_its_last_stream_on() {
        let (streams, begin) = (Streams::new(), Instant::now());
        let first = Open::new(&streams);
        let ends = async {
            tokio::time::sleep(STALL * 3 / 2).await;
            drop(first);
        };
        tokio::join!(ends, streams.idle(STALL));
        assert_eq!(begin.elapsed().as_secs(), (STALL * 5 / 2).as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_chunk_that_nobody_takes_ends_a_stream() {
        assert_eq!(
            ends_after(vec![Some(true)])
                .await
                .map(|after| after.as_secs()),
            Some(30)
        );
        assert_eq!(
            ends_after(vec![Some(false)]).await,
            None,
            "a body that waits is no stall"
        );
        assert_eq!(
            ends_after(vec![None]).await,
            None,
            "nor is an answer that is not there yet"
        );
    }
}
