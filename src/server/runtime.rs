//! The runtime that a server runs on.

use std::io;

use tokio::runtime::{Builder, Runtime};

/// How many tasks a worker runs, at most, between two looks at what came from outside; one that has nothing to run looks at
/// once. A message to a crowd wakes a task for each of it, and the first of them who poll ask for the next message while
/// the last ones wait for this one. With the runtime's own 61 every second turn went to those who ask.
///
/// Nobody keeps a worker from having nothing to run: a connection gives way after a few requests, and what reads or writes
/// without a pause is sent to rest by the runtime (`tokio::task::coop`). So this bounds what nobody thought of.
const TASKS_BETWEEN_LOOKS: u32 = 65_536;

/// A runtime with a worker for each core that the process may use.
///
/// # Errors
/// What the system says.
pub fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .enable_all()
        .event_interval(TASKS_BETWEEN_LOOKS)
        .build()
}
