//! The gateway from outside: everything here speaks the wire, but for the tests of the bus, which speak to the library.

mod conformance;
mod crowd;
mod fuzz;
mod model;
mod support;
