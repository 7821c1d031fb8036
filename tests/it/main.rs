//! The gateway from outside: everything here speaks the wire, but for the tests of the bus, which speak to the library.

mod architecture;
mod attacks;
mod autobahn;
mod cli;
mod clients;
mod conformance;
mod crowd;
mod deflate;
mod docs;
mod fuzz;
mod hopping;
mod hostile;
mod http2;
mod leaving;
mod limits;
mod model;
mod pages;
mod publishing;
mod refusals;
mod support;
mod tls;
mod tokens;
mod websocket;
