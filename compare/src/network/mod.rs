//! What lies between clients and gateway.

pub mod link;
pub mod namespace;
pub mod proxy;
