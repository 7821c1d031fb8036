#![doc = include_str!("../docs/ARCHITECTURE.md")]

/// The allocator of everything that links this: see `.cargo/config.toml` for how it is set up, and `benches` for why.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

// In reading order: the table of codes, the bus, what is said, who may, the ways to reach it, the server around it.
pub mod aside;
pub mod code;
pub mod path;
pub mod peer;
pub mod problem;
pub mod secret;

pub mod broker;
pub mod bus;
pub mod history;
pub mod session;

pub mod protocol;

pub mod attachments;
pub mod auth;
pub mod config;
pub mod gateway;
pub mod limits;
pub mod metrics;
pub mod pages;
pub mod presence;

pub mod fetch;
pub mod stall;
pub mod switch;
pub mod tls;
pub mod transport;
pub mod wire;

pub mod http;
pub mod server;

pub mod cli;
pub mod client;
