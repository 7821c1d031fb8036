//! The command line.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Result, bail, ensure};
use clap::{Args, Parser, Subcommand};

use crate::cell::{Network, Rate};
use crate::folder;
use crate::hello;
use crate::interrupt::interrupted;
use crate::label::{self, Only};
use crate::machine::{self, Placement};
use crate::network::namespace::Order;
use crate::place::{self, Place};
use crate::plan::{Choice, Depth, Plan};
use crate::report;
use crate::rivals;
use crate::schema::Schema;
use crate::serve::{self, ServeArgs};
use crate::session::Session;
use crate::token::{TokenArgs, without_token};
use crate::wire::{self, Parts};

/// Exit status of who was interrupted (128 and SIGINT).
pub const EXIT_INTERRUPTED: u8 = 130;
/// Of everything that is drawn at random, unless another is given.
const SEED: u64 = 20_261_125;

#[derive(Debug, Parser)]
#[command(
    name = "compare",
    about = "Measures what each transport of Everyway costs.",
    args_conflicts_with_subcommands = true
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    measure: MeasureArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Be the gateway that is measured.
    #[command(hide = true)]
    Serve(ServeArgs),
    /// Make one repeat, told on standard input: how runs are made in a network namespace.
    #[command(hide = true)]
    Run(RunArgs),
    /// Print the JSON schema of results.json, or of rivals.json.
    Schema {
        /// Of which.
        #[arg(value_enum, default_value_t)]
        of: Schema,
    },
    /// The same work for Everyway, Nchan, Node ws, Socket.IO and Python websockets.
    Rivals(rivals::Options),
}

#[derive(Debug, Args)]
struct RunArgs {
    /// The cores of the gateway and of the load.
    #[arg(long, value_delimiter = ',', num_args = 2)]
    cores: Vec<usize>,
}

#[derive(Debug, Args)]
struct MeasureArgs {
    /// The folder for report.html, report.md, results.json and results.csv [default: target/compare/TIME].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// A gateway that runs already, such as http://127.0.0.1:8080 (ws:// and wss:// mean the same), with a path in front of
    /// its own if there is one. Only measure what is yours.
    #[arg(long)]
    url: Option<String>,
    /// The authorities to trust for an https URL, in PEM [default: those of the system].
    #[arg(long, value_name = "FILE", requires = "url")]
    ca: Option<PathBuf>,
    #[command(flatten)]
    token: TokenArgs,
    /// A first look, in 30 seconds: at 20 messages/s, without TLS, and without a verdict on trading, whose p99.9 takes more.
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// Everything that is varied, which takes a day and a half. Combine it with the options below.
    #[arg(long)]
    full: bool,
    /// Transports and protocols: websocket, sse, longpoll, poll, h1, h1+tls, h2+tls.
    #[arg(long, value_name = "WHAT", value_delimiter = ',', value_parser = label::only)]
    only: Vec<Only>,
    /// Messages in a second, idle, bursts (64 every second), or bursts:SIZE:SECONDS.
    #[arg(long, value_delimiter = ',', value_parser = label::rate)]
    rate: Vec<Rate>,
    /// How many subscribers.
    #[arg(long, value_name = "COUNT", value_delimiter = ',', value_parser = label::subscribers)]
    subscribers: Vec<usize>,
    /// Bytes of a payload, such as 32 or 16KiB.
    #[arg(long, value_name = "BYTES", value_delimiter = ',', value_parser = label::size)]
    size: Vec<usize>,
    /// Seconds between two short polls.
    #[arg(long, value_name = "SECONDS", value_delimiter = ',', value_parser = label::interval)]
    interval: Vec<f64>,
    /// loopback, a delay one way such as 50ms, a rate such as 1mbit, or loss (1 %).
    #[arg(long, value_delimiter = ',', value_parser = label::network)]
    network: Vec<Network>,
    /// WebSockets with compression, too.
    #[arg(long)]
    deflate: bool,
    /// The seed of everything that is drawn at random.
    #[arg(long, default_value_t = SEED)]
    seed: u64,
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Some(Command::Serve(args)) => serve::run(&args).map(|()| ExitCode::SUCCESS),
        Some(Command::Schema { of }) => {
            print!("{}", of.text());
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Rivals(options)) => rivals::run(&options).map(exit_code),
        Some(Command::Run(args)) => run_one(&args).map(|()| ExitCode::SUCCESS),
        None => measure(&cli.measure),
    };
    done.unwrap_or_else(|error| {
        eprintln!("compare: {error:#}");
        ExitCode::FAILURE
    })
}

fn measure(args: &MeasureArgs) -> Result<ExitCode> {
    if let Some(why) = choice(args).idle_option() {
        bail!("{why}");
    }
    let mut machine = machine::describe();
    // Before any thread is there, for it would stay where it was.
    let placement = Placement::take()?;
    machine.placement = placement.to_string();
    let place = match &args.url {
        Some(url) => Place::elsewhere(url, args.ca.as_deref(), args.token.credentials()?)?,
        None => Place::own(placement)?,
    };
    // Removed with the folder when the run ends.
    let certs = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // Before there is a folder: without an answer there is nothing to keep.
    let server = match &args.url {
        Some(url) => Some(runtime.block_on(hello::ask_elsewhere(url, &place.target()?))?),
        None => None,
    };
    let session = Session {
        plan: plan(args, place.is_tls),
        origin: place.origin,
        is_tls: place.is_tls,
        ca: place.ca,
        url: args.url.clone(),
        server,
        output: folder::make(args.out.as_deref())?,
        certs: certs.path().to_owned(),
        machine,
        command: command(),
        seed: args.seed,
        began_ms: SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)?
            .as_millis() as u64,
        is_quiet: false,
    };
    let results = runtime.block_on(session.run(interrupted()))?;
    let folder = session.output.folder();
    report::write(&results, folder)?;
    // Nobody may be there to read it: the files are.
    let _ = write!(
        std::io::stdout(),
        "{}\n\n{}\n",
        report::terminal(&results),
        folder.display()
    );
    if results.complete {
        ensure!(!results.cells.is_empty(), "nothing was measured");
    }
    Ok(exit_code(results.complete))
}

fn exit_code(is_complete: bool) -> ExitCode {
    if is_complete {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(EXIT_INTERRUPTED)
    }
}

/// One repeat, whose outcome goes to standard output.
fn run_one(args: &RunArgs) -> Result<()> {
    let cores = match args.cores[..] {
        [server, load] => Some((server, load)),
        _ => None,
    };
    let placement = Placement::on(cores)?;
    let order: Order = serde_json::from_reader(std::io::stdin())?;
    let certs = tempfile::tempdir()?;
    let parts = Parts {
        origin: &place::own(placement)?,
        certs: certs.path(),
        ca: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(wire::once(&parts, &order))?;
    Ok(serde_json::to_writer(std::io::stdout(), &outcome)?)
}

fn choice(args: &MeasureArgs) -> Choice {
    Choice {
        only: distinct(&args.only),
        rates: distinct(&args.rate),
        sizes: distinct(&args.size),
        subscribers: distinct(&args.subscribers),
        intervals: distinct(&args.interval),
        networks: distinct(&args.network),
        deflate: args.deflate,
    }
}

fn plan(args: &MeasureArgs, is_tls: Option<bool>) -> Plan {
    let depth = match (args.quick, args.full) {
        (true, _) => Depth::Quick,
        (_, true) => Depth::Full,
        _ => Depth::Usual,
    };
    let choice = choice(args);
    let plan = Plan::new(depth, &choice);
    if is_tls == Some(true) && !choice.names_protocols() {
        return plan.over_tls();
    }
    plan
}

/// What was named, each once, in the order of its first time: twice would be measured twice.
fn distinct<T: PartialEq + Clone>(named: &[T]) -> Vec<T> {
    let mut once: Vec<T> = Vec::with_capacity(named.len());
    for item in named {
        if !once.contains(item) {
            once.push(item.clone());
        }
    }
    once
}

/// What was typed, as it is typed again.
fn command() -> String {
    let arguments = without_token(std::env::args().skip(1));
    let mut command = "cargo run --release -p compare".to_owned();
    if !arguments.is_empty() {
        command.push_str(" -- ");
        command.push_str(&arguments.join(" "));
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_of_a_transport_that_is_left_out_is_refused() {
        let refused = |typed: &str| {
            let typed = std::iter::once("compare").chain(typed.split(' '));
            choice(&Cli::parse_from(typed).measure).idle_option()
        };
        let deflate = refused("--only sse,h1 --deflate").expect("SSE has none");
        assert!(deflate.contains("WebSockets only"), "{deflate}");
        assert!(
            refused("--only sse --interval 5").is_some_and(|said| said.contains("short polls"))
        );
        for typed in [
            "--only sse,websocket --deflate",
            "--only h1 --deflate --interval 5",
        ] {
            assert_eq!(refused(typed), None, "{typed}");
        }
    }

    #[test]
    fn what_is_named_twice_is_measured_once() {
        let typed = ["compare", "--rate", "10,1,10/s", "--only", "sse,sse,h1"];
        let args = Cli::parse_from(typed).measure;
        assert_eq!(distinct(&args.rate).len(), 2);
        let plan_of = |typed: &[&str]| plan(&Cli::parse_from(typed).measure, None).cells.len();
        assert_eq!(
            plan_of(&typed),
            plan_of(&["compare", "--rate", "10,1", "--only", "sse,h1"])
        );
    }
}
