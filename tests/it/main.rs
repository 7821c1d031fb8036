//! The gateway from outside: everything here speaks the wire.

mod architecture;
mod cli;
mod conformance;
mod docs;
mod hopping;
mod leaving;
mod pages;
mod publishing;
mod refusals;
mod support;
mod websocket;
