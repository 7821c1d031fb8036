//! The signals by which somebody asks a run to stop: Ctrl-C, SIGTERM, and SIGHUP, with which a terminal goes.

use std::future::pending;
use std::io::Result;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens for all of them.
#[derive(Debug)]
pub struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    /// Absent if the run is to outlive its terminal.
    hangup: Option<Signal>,
}

impl Interrupts {
    /// From now on none of them ends the process.
    ///
    /// # Errors
    /// If the system lets nobody listen.
    pub fn listen() -> Result<Self> {
        let hangup = match is_hangup_ignored() {
            true => None,
            false => Some(signal(SignalKind::hangup())?),
        };
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup,
        })
    }

    /// Waits for the next one. Cancel safe.
    pub async fn next(&mut self) {
        let hung_up = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hung_up => {}
        }
    }
}

/// Whether the process was started by `nohup`, or by what does the same.
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignores_hangup(&status)
}

/// Reads the mask of ignored signals (proc_pid_status(5)). Its first bit is SIGHUP.
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
        for (mask, is_ignored) in [("0000000000000001", true), ("0000000000001000", false)] {
            let status = format!("SigBlk:\t0000000000000001\nSigIgn:\t{mask}\n");
            assert_eq!(ignores_hangup(&status), is_ignored, "{mask}");
        }
        assert!(!ignores_hangup(""));
    }
}
