//! Whether a socket may have something to read, without asking it. A socket that is woken to deliver a message would
//! otherwise look at its read side each time, which costs more than the delivery: it is cold, and nothing came in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use parking_lot::Mutex;

/// The read side's own waker: it notes that there is something to read, and passes the wake-up on.
#[derive(Debug)]
struct ReadWake {
    ready: AtomicBool,
    /// Whom to wake. It stays here when it is used, so that a wake-up that comes late never leaves the next one without.
    task: Mutex<Option<Waker>>,
}

impl Wake for ReadWake {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ready.store(true, Ordering::Release);
        if let Some(task) = &*self.task.lock() {
            task.wake_by_ref();
        }
    }
}

/// Polls a read side only after it was woken.
#[derive(Debug)]
pub struct Readable {
    wake: Arc<ReadWake>,
    waker: Waker,
    /// The same as in `wake`, to compare without its lock.
    task: Option<Waker>,
}

impl Default for Readable {
    /// The first time it is polled, whatever happened.
    fn default() -> Self {
        let wake = Arc::new(ReadWake {
            ready: AtomicBool::new(true),
            task: Mutex::new(None),
        });
        Self {
            waker: Waker::from(Arc::clone(&wake)),
            wake,
            task: None,
        }
    }
}

impl Readable {
    /// Polls, if it was woken since it was last pending.
    pub fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        if !self
            .task
            .as_ref()
            .is_some_and(|task| task.will_wake(cx.waker()))
        {
            self.task = Some(cx.waker().clone());
            *self.wake.task.lock() = Some(cx.waker().clone());
        }
        // Taken back before the look: what comes in during it sets it again.
        if !self.wake.ready.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let polled = poll(&mut Context::from_waker(&self.waker));
        if polled.is_ready() {
            // There may be more, and nobody will say so again.
            self.wake.ready.store(true, Ordering::Release);
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf, duplex};
    use tokio::sync::mpsc;

    #[tokio::test]
    async fn it_looks_when_woken_and_not_otherwise() {
        let (mut ours, mut theirs) = duplex(64);
        let (sender, mut other) = mpsc::channel::<u8>(100);
        let mut readable = Readable::default();
        let mut looks = 0;
        let task = tokio::spawn(async move {
            let mut got = Vec::new();
            while got.len() < 3 {
                poll_fn(|cx| {
                    let mut woken = other.poll_recv(cx).is_ready();
                    let mut byte = [0];
                    let mut buffer = ReadBuf::new(&mut byte);
                    let read = readable.poll(cx, |cx| {
                        looks += 1;
                        std::pin::Pin::new(&mut ours).poll_read(cx, &mut buffer)
                    });
                    if read.is_ready() {
                        got.extend_from_slice(buffer.filled());
                        woken = true;
                    }
                    if woken {
                        Poll::Ready(())
                    } else {
                        Poll::Pending
                    }
                })
                .await;
            }
            (got, looks)
        });
        for n in 0..50 {
            sender.send(n).await.unwrap();
            tokio::task::yield_now().await;
        }
        theirs.write_all(b"ab").await.unwrap();
        tokio::task::yield_now().await;
        theirs.write_all(b"c").await.unwrap();
        let (got, looks) = task.await.unwrap();
        assert_eq!(got, b"abc");
        assert!(looks <= 8, "{looks} looks for three bytes");
    }
}
