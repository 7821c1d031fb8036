//! Ctrl-C: what was begun is finished, and what was done is reported.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;

use crate::cli::EXIT_INTERRUPTED;

/// Whether somebody wants to stop.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    is_asked: Arc<AtomicBool>,
}

impl Stop {
    /// Waits for Ctrl-C from now on, on a thread of its own: the load's has no time. A second one ends the process at once.
    pub fn listen() -> Result<Self> {
        let stop = Self::default();
        let is_asked = Arc::clone(&stop.is_asked);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        std::thread::spawn(move || {
            runtime.block_on(async {
                // Without signals nobody can stop the run early, and it ends by itself.
                if tokio::signal::ctrl_c().await.is_err() {
                    return;
                }
                is_asked.store(true, Ordering::Relaxed);
                eprintln!("stops after this turn; Ctrl-C again ends at once");
                if tokio::signal::ctrl_c().await.is_ok() {
                    std::process::exit(EXIT_INTERRUPTED.into());
                }
            });
        });
        Ok(stop)
    }

    /// Whether it was pressed.
    pub fn is_asked(&self) -> bool {
        self.is_asked.load(Ordering::Relaxed)
    }
}
