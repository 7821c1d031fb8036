//! The gateway from outside: everything here speaks the wire.

mod clients;
mod conformance;
mod support;
