//! Measures what each transport costs: the same work over each of them, by clients that speak the wire and know nothing of
//! the gateway's code.

pub mod cell;
pub mod crowd;
pub mod results;
pub mod rivals;
