//! What fan-out costs: CPU and memory for each subscriber. `benches/README.md` says what is measured, and how.
//!
//! `cargo bench --bench fanout`, with options after `--`.

mod adapter;
mod bus;
mod cpu;
mod crowd;
mod flat;
mod link;
mod memory;
mod process;
mod publisher;
mod reference;
mod server;
mod table;
mod wire;

use std::path::PathBuf;
use std::time::Instant;

use clap::{Parser, Subcommand, ValueEnum};

use process::Place;
use wire::Kind;

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
    Server {
        /// How long messages are kept, in seconds.
        age_s: u32,
        /// A folder with a certificate, to listen with TLS as well.
        certs: Option<PathBuf>,
    },
    /// One `send` a delivery, and nothing else.
    #[command(hide = true)]
    Reference,
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
        let all = [Kind::WebSocket, Kind::Sse, Kind::Longpoll];
        let wanted = |kind: &Kind| self.transport.is_empty() || self.transport.contains(kind);
        all.into_iter().filter(wanted).collect()
    }
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    match options.child {
        Some(Child::Server { age_s, certs }) => server::run(age_s, certs.as_deref()),
        Some(Child::Reference) => reference::run(),
        None if options.bench => measure(&options),
        None => {
            println!("nothing is measured without --bench: cargo bench --bench fanout");
            Ok(())
        }
    }
}

fn measure(options: &Options) -> anyhow::Result<()> {
    let begin = Instant::now();
    let files = rlimit::increase_nofile_limit(32_768)?;
    let place = Place::find(options.unpinned);
    place.take_for_load()?;
    println!("{place}; at most {files} open files");
    if options.wants(Part::Bus) {
        bus::measure(options.quick)?.print();
    }
    if options.wants(Part::Adapter) {
        adapter::measure(options.quick).print();
    }
    if options.wants(Part::Cpu) {
        cpu::measure(&place, &options.transports(), options.quick)?.print();
    }
    if options.wants(Part::Flat) {
        flat::measure(&place, files as usize, options.quick)?.print();
    }
    if options.wants(Part::Memory) {
        memory::measure(&place, &options.transports(), options.quick)?.print();
    }
    println!("\nmeasured in {} s", begin.elapsed().as_secs());
    Ok(())
}
