//! The same work for Everyway and for servers that others use: CPU time, latency and memory of fan-out, in turns.
//! `RIVALS.md` says how, and what the figures do not say.

mod install;
mod launch;
mod memory;
mod options;
mod report;
pub mod results;
mod rig;
mod rival;
mod rounds;
mod run;
mod say;
mod schedule;
mod series;
mod serve;
mod stop;
mod targets;
mod turns;

pub use options::{Figures, Options};
pub use rival::Rival;
pub use targets::{Outcome, Verdict};

/// Files that the load and each server may open, where the system lets them.
const FILES_MAX: u64 = 32_768;

/// Bytes of a payload: a JSON string with its quotes.
const PAYLOAD_BYTES: usize = 128;

/// Measures, and leaves `rivals.json` and `rivals.md` in the folder that the options name; or is a server, if they say so.
/// Returns whether all was done: false after Ctrl-C, which leaves what was.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    match options.child {
        Some(options::Child::Serve { port }) => serve::run(port).map(|()| true),
        None => run::Run::prepare(options)?.measure(),
    }
}
