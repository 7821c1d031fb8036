//! What ends a run early: Ctrl-C, SIGTERM, and SIGHUP, which a terminal sends that is closed.

use std::task::Poll;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::EXIT_INTERRUPTED;
use crate::network::namespace;

/// Listens to these from now on. Those that cannot be listened to end the process as ever.
fn listen(kinds: &[SignalKind]) -> Vec<Signal> {
    let signals = kinds.iter().map(|kind| signal(*kind));
    signals.filter_map(Result::ok).collect()
}

/// The next of any of them; never, if there is none. Cancel safe.
async fn next(signals: &mut [Signal]) {
    std::future::poll_fn(|context| {
        let mut is_there = false;
        for signal in &mut *signals {
            is_there |= signal.poll_recv(context).is_ready();
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
/// namespace behind; a second SIGHUP does not, for a shell that is closed sends one and the kernel another. Cancel safe.
pub async fn interrupted() {
    let asked = [SignalKind::interrupt(), SignalKind::terminate()];
    let mut signals = listen(&asked);
    // `nohup` has it ignored, so that a run outlives its terminal.
    if !ignores_hangup(&std::fs::read_to_string("/proc/self/status").unwrap_or_default()) {
        signals.extend(listen(&[SignalKind::hangup()]));
    }
    next(&mut signals).await;
    let mut again = listen(&asked);
    tokio::spawn(async move {
        next(&mut again).await;
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
