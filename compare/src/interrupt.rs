//! What ends a run early: Ctrl-C, SIGTERM, and SIGHUP, which a terminal sends that is closed.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::EXIT_INTERRUPTED;
use crate::network::namespace;

/// The signals that end a run.
struct Signals(Vec<Signal>);

impl Signals {
    /// Listens from now on. Those that cannot be listened to end the process as ever.
    fn listen() -> Self {
        let mut kinds = vec![SignalKind::interrupt(), SignalKind::terminate()];
        // `nohup` has it ignored, so that a run outlives its terminal.
        if !ignores_hangup(&std::fs::read_to_string("/proc/self/status").unwrap_or_default()) {
            kinds.push(SignalKind::hangup());
        }
        Self(
            kinds
                .into_iter()
                .filter_map(|kind| signal(kind).ok())
                .collect(),
        )
    }

    /// The next of any kind; never, if there is none to wait for. Cancel safe.
    async fn next(&mut self) {
        std::future::poll_fn(|context| {
            let mut is_there = false;
            for signal in &mut self.0 {
                is_there |= signal.poll_recv(context).is_ready();
            }
            if is_there {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        })
        .await;
    }
}

/// The first of them, from the first poll on. A second one ends the process at once, and leaves no network namespace behind.
/// Cancel safe.
pub async fn interrupted() {
    let mut signals = Signals::listen();
    signals.next().await;
    tokio::spawn(async move {
        signals.next().await;
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
