//! What fan-out costs: CPU and memory for each subscriber. `benches/README.md` says what is measured, and how.
//!
//! `cargo bench --bench fanout`, with options after `--`.

mod adapter;
mod bus;
mod cpu;
mod flat;
mod memory;
mod reference;
mod rig;
mod server;
mod site;
mod table;

use std::time::Instant;

use clap::{Parser, Subcommand, ValueEnum};
use crowd::Kind;

use server::ServerArgs;
use site::Site;

/// Files that the load and each child may open, where the system lets them.
const FILES_MAX: u64 = 32_768;
/// A payload of 48 letters in its quotes, which makes a message of some 130 bytes of JSON in a channel with a short name.
const PAYLOAD_BYTES: usize = 50;

/// Measures what it costs to deliver a message, and to keep a subscriber.
#[derive(Debug, Parser)]
#[command(name = "fanout")]
struct Options {
    /// Fewer repeats, fewer connections: a look, not a result.
    #[arg(long)]
    quick: bool,
    /// Only these parts.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Only these transports, in the parts that tell them apart.
    #[arg(long, value_enum, value_delimiter = ',')]
    transport: Vec<Kind>,
    /// Lets the system choose the cores. The server then has one worker for each core, as the program does.
    #[arg(long)]
    unpinned: bool,
    /// `cargo bench` says this. Without it (under `cargo test`) nothing is measured.
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    child: Option<Child>,
}

/// What the benchmark starts itself as.
#[derive(Debug, Subcommand)]
enum Child {
    /// The gateway.
    #[command(hide = true)]
    Server(ServerArgs),
    /// One `send` a delivery, and nothing else.
    #[command(hide = true)]
    Reference {
        /// The port of the loopback interface.
        port: u16,
    },
}

/// A part of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Bus,
    Adapter,
    Cpu,
    Flat,
    Memory,
}

impl Options {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    fn transports(&self) -> Vec<Kind> {
        let wanted = |kind: &Kind| self.transport.is_empty() || self.transport.contains(kind);
        Kind::ALL.into_iter().filter(wanted).collect()
    }
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    match &options.child {
        Some(Child::Server(args)) => server::run(args),
        Some(Child::Reference { port }) => reference::run(*port),
        None if options.bench => measure(&options),
        None => {
            println!("nothing is measured without --bench: cargo bench --bench fanout");
            Ok(())
        }
    }
}

fn measure(options: &Options) -> anyhow::Result<()> {
    let begin = Instant::now();
    let files = rlimit::increase_nofile_limit(FILES_MAX)?;
    let site = Site::take(options.unpinned)?;
    println!("{}; at most {files} open files", site.place);
    if options.wants(Part::Bus) {
        bus::measure(options.quick)?.print();
    }
    if options.wants(Part::Adapter) {
        adapter::measure(options.quick).print();
    }
    if options.wants(Part::Cpu) {
        cpu::measure(&site, &options.transports(), options.quick)?.print();
    }
    if options.wants(Part::Flat) {
        flat::measure(&site, files as usize, options.quick)?.print();
    }
    if options.wants(Part::Memory) {
        memory::measure(&site, &options.transports(), options.quick)?.print();
    }
    println!("\nmeasured in {} s", begin.elapsed().as_secs());
    Ok(())
}
