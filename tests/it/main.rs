//! The gateway from outside: everything here speaks the wire.

mod conformance;
mod docs;
mod support;
