//! Ctrl-C, SIGTERM and SIGHUP: what was begun is finished, and what was done is reported.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;

use super::say::say;
use crate::cli::EXIT_INTERRUPTED;
use crate::interrupt::Signals;

/// Whether somebody wants to stop.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    is_asked: Arc<AtomicBool>,
}

impl Stop {
    /// Waits for a signal from now on, on a thread of its own: the load's has no time. A second Ctrl-C or SIGTERM ends
    /// the process at once.
    pub fn listen() -> Result<Self> {
        let stop = Self::default();
        let is_asked = Arc::clone(&stop.is_asked);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        let mut signals = {
            let _entered = runtime.enter();
            Signals::listen()
        };
        std::thread::spawn(move || {
            runtime.block_on(async {
                signals.first().await;
                is_asked.store(true, Ordering::Relaxed);
                say("stops after this turn; Ctrl-C again ends at once");
                signals.second().await;
                std::process::exit(EXIT_INTERRUPTED.into());
            });
        });
        Ok(stop)
    }

    /// Whether one came.
    pub fn is_asked(&self) -> bool {
        self.is_asked.load(Ordering::Relaxed)
    }
}
