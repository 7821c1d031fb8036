//! The end of a connection whose client may have said more than was read. A socket that is closed with bytes unread resets
//! the connection, and the reset can overtake what was written last (RFC 9112, section 9.6).

use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// Most bytes that are thrown away: a client that goes on sending cannot keep us.
const THROWN_AWAY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What is read at once, on the stack.
const READ_BYTES: usize = 8 * 1024;

/// Takes in what comes after our side was closed, and throws it away. It has no timer: who waits for it has.
#[derive(Debug)]
pub struct Linger {
    left: usize,
}

impl Default for Linger {
    fn default() -> Self {
        Self {
            left: THROWN_AWAY_BYTES_MAX,
        }
    }
}

impl Linger {
    /// Ready once the client closed its side, too, or broke off, or said too much. Cancel safe.
    pub fn poll<S: AsyncRead + Unpin>(&mut self, io: &mut S, cx: &mut Context<'_>) -> Poll<()> {
        while self.left > 0 {
            let mut scratch = [const { MaybeUninit::uninit() }; READ_BYTES];
            let mut read = ReadBuf::uninit(&mut scratch);
            let outcome = ready!(Pin::new(&mut *io).poll_read(cx, &mut read));
            if outcome.is_err() || read.filled().is_empty() {
                return Poll::Ready(());
            }
            self.left = self.left.saturating_sub(read.filled().len());
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::AsyncWriteExt;

    #[tokio::test]
    async fn it_ends_with_the_client_and_at_its_limit() {
        let (mut ours, mut theirs) = tokio::io::duplex(64 * 1024);
        theirs.write_all(b"more").await.unwrap();
        drop(theirs);
        let mut linger = Linger::default();
        poll_fn(|cx| linger.poll(&mut ours, cx)).await;
        let mut endless = tokio::io::repeat(b'x');
        poll_fn(|cx| linger.poll(&mut endless, cx)).await;
    }

    #[tokio::test]
    async fn it_waits_for_a_client_that_says_nothing() {
        let (mut ours, _theirs) = tokio::io::duplex(64);
        let polled = poll_fn(|cx| Poll::Ready(Linger::default().poll(&mut ours, cx))).await;
        assert!(polled.is_pending());
    }
}
