#![doc = include_str!("../docs/ARCHITECTURE.md")]

// In reading order: the table of codes, the bus, what is said, who may, the ways to reach it, the server around it.
pub mod code;
pub mod problem;

pub mod broker;
pub mod bus;
pub mod history;
pub mod session;

pub mod protocol;

pub mod attachments;
pub mod auth;
pub mod config;
pub mod gateway;
pub mod metrics;

pub mod stall;
pub mod transport;

pub mod http;
pub mod server;

pub mod cli;
pub mod client;
