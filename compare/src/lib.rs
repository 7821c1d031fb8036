//! Measures what each transport costs: the same work over each of them, by clients that speak the wire and know nothing of
//! the gateway's code.

pub mod cell;
pub mod condition;
pub mod metric;
pub mod report;
pub mod results;
#[cfg(test)]
mod sample;
pub mod text;
pub mod verdict;
