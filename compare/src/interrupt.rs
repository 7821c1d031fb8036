//! What ends a run early: Ctrl-C, SIGTERM, and SIGHUP, which a terminal sends that is closed.

use std::future::poll_fn;
use std::task::Poll;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::EXIT_INTERRUPTED;
use crate::network::namespace;

/// The signals that end a run.
#[derive(Debug)]
pub struct Signals {
    /// Ctrl-C and SIGTERM.
    asked: Vec<Signal>,
    /// SIGHUP, unless it is ignored.
    hung_up: Option<Signal>,
}

impl Signals {
    /// Listens from now on. Those that cannot be listened to end the process as ever.
    pub fn listen() -> Self {
        let asked = [SignalKind::interrupt(), SignalKind::terminate()];
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        // `nohup` has it ignored, so that a run outlives its terminal.
        let hung_up = (!ignores_hangup(&status)).then(|| signal(SignalKind::hangup()).ok());
        Self {
            asked: asked
                .into_iter()
                .filter_map(|kind| signal(kind).ok())
                .collect(),
            hung_up: hung_up.flatten(),
        }
    }

    /// The first of any kind; never, if there is none to wait for. Cancel safe.
    pub async fn first(&mut self) {
        next(self.asked.iter_mut().chain(&mut self.hung_up)).await;
    }

    /// The one after it that ends the process at once. A second SIGHUP does not: a shell that is closed sends one, and the
    /// kernel another. Cancel safe.
    pub async fn second(&mut self) {
        next(self.asked.iter_mut()).await;
    }
}

async fn next<'a>(signals: impl Iterator<Item = &'a mut Signal>) {
    let mut signals: Vec<_> = signals.collect();
    poll_fn(|cx| {
        let mut is_there = false;
        for signal in &mut signals {
            is_there |= signal.poll_recv(cx).is_ready();
        }
        if is_there {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// The first of them, from the first poll on. A second Ctrl-C or SIGTERM ends the process at once, and leaves no network
/// namespace behind. Cancel safe.
pub async fn interrupted() {
    let mut signals = Signals::listen();
    signals.first().await;
    tokio::spawn(async move {
        signals.second().await;
        namespace::remove_own();
        std::process::exit(EXIT_INTERRUPTED.into());
    });
}

/// Whether `/proc/self/status` says that SIGHUP, the first of the signals, is ignored.
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hangup_that_is_ignored_stays_so() {
        assert!(ignores_hangup(
            "Name:\tcompare\nSigIgn:\t0000000000001001\n"
        ));
        assert!(!ignores_hangup("SigIgn:\t0000000000001000\n"));
        assert!(!ignores_hangup("SigCgt:\t0000000000000001\n") && !ignores_hangup(""));
    }
}
