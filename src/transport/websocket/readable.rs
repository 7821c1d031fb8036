//! Whether a socket may have something to read, without asking it. A socket that is woken to deliver a message would
//! otherwise look at its read side each time, which costs more than the delivery: it is cold, and nothing came in.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::bus::Signal;

/// Polls a read side only after it was woken. Its waker is the session's signal, which notes that there is input and wakes
/// the session's task.
#[derive(Debug)]
pub struct Readable {
    signal: Arc<Signal>,
    waker: Waker,
}

impl Readable {
    /// Polls the first time, whatever happened.
    pub fn new(signal: &Arc<Signal>) -> Self {
        let waker = Waker::from(Arc::clone(signal));
        waker.wake_by_ref();
        Self {
            signal: Arc::clone(signal),
            waker,
        }
    }

    /// Polls, if it was woken since it was last pending. Who calls it has registered with the signal.
    pub fn poll<T>(&mut self, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        // Taken back before the look: what comes in during it sets it again.
        if !self.signal.take_input() {
            return Poll::Pending;
        }
        let polled = poll(&mut Context::from_waker(&self.waker));
        if polled.is_ready() {
            // There may be more, and nobody will say so again.
            self.waker.wake_by_ref();
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
        let signal = Arc::default();
        let mut readable = Readable::new(&signal);
        let mut looks = 0;
        let task = tokio::spawn(async move {
            let mut got = Vec::new();
            while got.len() < 3 {
                poll_fn(|cx| {
                    signal.register(cx.waker());
                    let mut woken = other.poll_recv(cx).is_ready();
                    let mut byte = [0];
                    let mut buffer = ReadBuf::new(&mut byte);
                    let read = readable.poll(|cx| {
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
