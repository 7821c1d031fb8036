//! `everyway subscribe`: the messages of channels, one JSON object a line.

use std::io::Write;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::gateway::{GatewayArgs, advise};
use crate::client::{Choice, Follow, Follower};
use crate::transport::Transport;

#[derive(Debug, Args)]
pub(super) struct SubscribeArgs {
    /// The channels, separated by spaces or commas.
    #[arg(value_delimiter = ',', required = true)]
    channels: Vec<String>,
    /// How to reach the gateway. `auto` takes the first that works, and falls back when one does not.
    #[arg(long, value_enum, default_value_t = TransportArg::Auto)]
    transport: TransportArg,
    /// Where to start: now, earliest, or a cursor.
    #[arg(long, default_value = "now")]
    cursor: String,
    #[command(flatten)]
    gateway: GatewayArgs,
    /// A name of your own; for gateways in open mode.
    #[arg(long)]
    user: Option<String>,
    /// Stop after this many messages.
    #[arg(long)]
    count: Option<u64>,
    /// Seconds between two short polls that found nothing.
    #[arg(long, default_value_t = 1.0, value_parser = parse_seconds)]
    interval: f64,
    /// Say nothing about the connection on standard error.
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lowercase")]
enum TransportArg {
    Auto,
    WebSocket,
    Sse,
    LongPoll,
    Poll,
}

impl From<TransportArg> for Choice {
    fn from(arg: TransportArg) -> Self {
        match arg {
            TransportArg::Auto => Self::Auto,
            TransportArg::WebSocket => Self::Only(Transport::WebSocket),
            TransportArg::Sse => Self::Only(Transport::Sse),
            TransportArg::LongPoll => Self::Only(Transport::LongPoll),
            TransportArg::Poll => Self::Only(Transport::Poll),
        }
    }
}

/// Prints objects on standard output and notes on standard error.
struct Printer {
    left: Option<u64>,
    quiet: bool,
    broken: Option<std::io::Error>,
}

impl Follower for Printer {
    fn object(&mut self, json: &str) -> bool {
        let mut out = std::io::stdout().lock();
        if let Err(error) = writeln!(out, "{json}").and_then(|()| out.flush()) {
            // Nobody reads any more.
            self.broken = Some(error);
            return false;
        }
        let is_message = json.starts_with(r#"{"type":"message""#);
        if let Some(left) = self.left.as_mut().filter(|_| is_message) {
            *left = left.saturating_sub(1);
        }
        self.left != Some(0)
    }

    fn note(&mut self, note: &str) {
        if !self.quiet {
            eprintln!("everyway: {note}");
        }
    }
}

pub(super) fn run(args: &SubscribeArgs) -> anyhow::Result<()> {
    let follow = Follow {
        channels: args.channels.clone(),
        cursor: args.cursor.clone(),
        choice: args.transport.into(),
        user: args.user.clone(),
        credentials: args.gateway.credentials()?,
        poll_interval: Duration::from_secs_f64(args.interval),
    };
    let mut printer = Printer {
        left: args.count,
        quiet: args.quiet,
        broken: None,
    };
    if printer.left == Some(0) {
        return Ok(());
    }
    let endpoint = args.gateway.endpoint()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let following = follow.run(&endpoint, &mut printer);
    runtime.block_on(following).map_err(advise)?;
    match printer.broken {
        Some(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    let seconds = text
        .parse()
        .ok()
        .filter(|seconds| (0.01..=3600.0).contains(seconds));
    seconds.ok_or_else(|| "expected a number of seconds from 0.01 to 3600".to_owned())
}
