//! Work on large messages, done without holding up anybody else.

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

/// Work on less than this is done at once: it takes less than a millisecond or two, and to step aside costs something, too.
const AT_ONCE_BYTES_MAX: usize = 512 * 1024;

/// Does work that takes as long as a message has bytes. For a large one the worker first hands its other tasks to another
/// thread, so that only the connection it is for waits. tokio bounds these threads (512).
pub fn aside<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    let is_large = bytes > AT_ONCE_BYTES_MAX;
    // A runtime with one thread has nobody to hand them to.
    let has_workers = || {
        Handle::try_current()
            .is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread)
    };
    if is_large && has_workers() {
        block_in_place(work)
    } else {
        work()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn other_tasks_go_on_beside_large_work() {
        let (sender, said) = mpsc::channel();
        let working = tokio::spawn(async move {
            let other = tokio::spawn(async move { sender.send("hello") });
            // The only worker is here, so nobody could say it without help.
            let heard = aside(AT_ONCE_BYTES_MAX + 1, || said.recv());
            (heard, other.await)
        });
        let (heard, other) = working.await.unwrap();
        assert_eq!(heard, Ok("hello"));
        assert!(other.unwrap().is_ok());
    }

    #[tokio::test]
    async fn with_one_thread_it_is_done_at_once() {
        assert_eq!(aside(AT_ONCE_BYTES_MAX + 1, || 7), 7);
    }

    #[test]
    fn without_a_runtime_it_is_done_at_once() {
        assert_eq!(aside(AT_ONCE_BYTES_MAX + 1, || 7), 7);
    }
}
