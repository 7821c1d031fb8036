//! Measures what each transport costs: the same work over each of them, by clients that speak the wire and know nothing of
//! the gateway's code. `README.md` says how, and what the figures are not.

// In reading order: what is varied and planned, the clients, one run, its figures, and what is written.
pub mod cell;
pub mod label;
pub mod plan;

pub mod client;
pub mod clock;
pub mod ledger;
pub mod meter;
pub mod network;
pub mod pace;
pub mod payload;

pub mod gateway;
pub mod machine;
pub mod run;
pub mod serve;
pub mod wire;

pub mod awake;
pub mod expect;
pub mod measure;
pub mod results;
pub mod spread;
pub mod warning;

// The same work for others.
pub mod rivals;

// What people read.
pub mod condition;
pub mod level;
pub mod metric;
#[cfg(test)]
mod sample;
pub mod text;
pub mod verdict;

pub mod cli;
mod interrupt;
pub mod output;
pub mod place;
pub mod report;
pub mod schema;
pub mod session;
