//! The command line of the comparison.

use clap::{Parser, Subcommand};

/// Measures what each transport costs.
#[derive(Debug, Parser)]
#[command(name = "compare", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The same work for Everyway, Nchan, Node ws, Socket.IO and Python websockets.
    Rivals(compare::rivals::Options),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Rivals(options) => compare::rivals::run(options),
    }
}
