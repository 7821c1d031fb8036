//! A switch that is thrown once, for many tasks that look at it often and seldom wait for it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// A switch. Clones are the same switch.
#[derive(Debug, Clone, Default)]
pub struct Switch(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// The token knows as much, and takes a lock that all tasks would share at each of their wake-ups.
    thrown: AtomicBool,
    token: CancellationToken,
}

pin_project! {
    /// Ready once a switch is thrown. The task that polls it must be the same each time, as a spawned task is: it is
    /// registered once.
    ///
    /// In this order, because each wake-up of each task looks at the first two, and a second cache line is a second miss.
    #[derive(Debug)]
    #[repr(C)]
    pub struct Watch {
        switch: Switch,
        is_registered: bool,
        #[pin]
        wait: WaitForCancellationFutureOwned,
    }
}

impl Switch {
    /// Throws it, for good.
    pub fn throw(&self) {
        self.0.thrown.store(true, Ordering::Release);
        self.0.token.cancel();
    }

    /// True once it is thrown.
    pub fn is_thrown(&self) -> bool {
        self.0.thrown.load(Ordering::Acquire)
    }

    /// For a task to look at it.
    pub fn watch(&self) -> Watch {
        Watch {
            switch: self.clone(),
            wait: self.0.token.clone().cancelled_owned(),
            is_registered: false,
        }
    }
}

impl Future for Watch {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let me = self.project();
        if me.switch.is_thrown() {
            return Poll::Ready(());
        }
        if *me.is_registered {
            return Poll::Pending;
        }
        *me.is_registered = true;
        me.wait.poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_wakes_who_waits_and_stays_thrown() {
        let switch = Switch::default();
        let waits = tokio::spawn(switch.watch());
        tokio::task::yield_now().await;
        assert!(!switch.is_thrown() && !waits.is_finished());
        switch.throw();
        waits.await.unwrap();
        switch.watch().await;
        assert!(switch.is_thrown());
    }
}
