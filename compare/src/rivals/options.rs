//! The command line of `compare rivals`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use crowd::Kind;

use super::PAYLOAD_BYTES;
use super::results::Method;
use super::rival::Rival;

/// Messages in a second when latency is measured.
const RATE_PER_S: f64 = 20.0;

/// For so long a turn of latency warms up. After a rest, Linux acknowledges the first 16 segments of a connection at once
/// (`TCP_MAX_QUICKACKS`) and not with what is to be said anyway. On loopback whoever sends pays for that: a poll costs the
/// load half as much again, and it is the load that is late then.
const LATENCY_WARM_UP: Duration = Duration::from_secs(1);

/// What to measure, and how much.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Only these; Everyway always is, because the ratios are to it.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub only: Vec<Rival>,
    /// Only these figures.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub figures: Vec<Figures>,
    /// Only these transports.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub transport: Vec<Kind>,
    /// Fewer rounds, shorter turns, fewer connections: a look, not a result.
    #[arg(long)]
    pub quick: bool,
    /// Rounds that count.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub rounds: Option<u16>,
    /// Subscribers of the channel, for CPU time and latency.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub subscribers: Option<u16>,
    /// Connections, for memory.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub connections: Option<u16>,
    /// Lets the system choose the cores.
    #[arg(long)]
    pub unpinned: bool,
    /// Installs nothing; what is missing is skipped.
    #[arg(long)]
    pub no_install: bool,
    /// The folder for rivals.json and rivals.md.
    #[arg(long, default_value = "target/rivals")]
    pub out: PathBuf,
    /// What this executable is started again as.
    #[command(subcommand)]
    pub child: Option<Child>,
}

/// What this executable is started again as.
#[derive(Debug, Clone, Subcommand)]
pub enum Child {
    /// Everyway, on this port of the loopback interface.
    #[command(hide = true)]
    Serve {
        /// The port.
        port: u16,
    },
}

/// A group of figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Figures {
    /// CPU time of the server for each delivery.
    Cpu,
    /// Latency at 20 messages a second.
    Latency,
    /// Memory for each idle connection.
    Memory,
}

impl Options {
    /// Whether these figures are wanted.
    pub fn wants(&self, figures: Figures) -> bool {
        self.figures.is_empty() || self.figures.contains(&figures)
    }

    /// The transports that are wanted.
    pub fn kinds(&self) -> Vec<Kind> {
        let wanted = |kind: &Kind| self.transport.is_empty() || self.transport.contains(kind);
        Kind::ALL.into_iter().filter(wanted).collect()
    }

    /// Those who are wanted.
    pub fn rivals(&self) -> Vec<Rival> {
        let wanted = |rival: &Rival| {
            *rival == Rival::Everyway || self.only.is_empty() || self.only.contains(rival)
        };
        Rival::ALL.into_iter().filter(wanted).collect()
    }

    /// How much is to be done.
    pub fn method(&self) -> Method {
        let rounds = self.rounds.map(usize::from);
        let connections = self.connections.map(usize::from);
        let (turn_ms, latency_turn_s) = if self.quick {
            (200, 1)
        } else {
            // Over a hundred messages: a pause of the machine makes a message late for everybody, and one message must not
            // decide p99.
            (500, 6)
        };
        Method {
            subscribers: self.subscribers.map_or(1000, usize::from),
            connections: connections.unwrap_or(if self.quick { 1000 } else { 5000 }),
            payload_bytes: PAYLOAD_BYTES,
            rounds: rounds.unwrap_or(if self.quick { 3 } else { 5 }),
            memory_rounds: rounds.unwrap_or(3).min(if self.quick { 1 } else { 3 }),
            turn_s: Duration::from_millis(turn_ms).as_secs_f64(),
            latency_warm_up_s: LATENCY_WARM_UP.as_secs_f64(),
            latency_turn_s: Duration::from_secs(latency_turn_s).as_secs_f64(),
            rate_per_s: RATE_PER_S,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    fn options(line: &str) -> Options {
        Cli::parse_from(line.split(' ')).options
    }

    #[test]
    fn everyway_is_always_there() {
        let only = options("rivals --only websockets,nchan").rivals();
        assert_eq!(only, [Rival::Everyway, Rival::Nchan, Rival::Websockets]);
        assert_eq!(options("rivals").rivals(), Rival::ALL);
    }

    #[test]
    fn nothing_asked_for_is_everything() {
        let all = options("rivals");
        assert_eq!(all.kinds(), Kind::ALL);
        assert!(all.wants(Figures::Memory));
        let some = options("rivals --figures cpu --transport sse");
        assert_eq!(some.kinds(), [Kind::Sse]);
        assert!(some.wants(Figures::Cpu) && !some.wants(Figures::Latency));
    }

    #[test]
    fn numbers_on_the_command_line_win_over_quick() {
        let method = options("rivals --quick --rounds 2 --connections 50").method();
        assert_eq!((method.rounds, method.connections), (2, 50));
        assert_eq!(method.subscribers, 1000);
    }
}
