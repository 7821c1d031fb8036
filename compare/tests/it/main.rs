//! The comparison from outside: it proves itself against a mock with known figures, and works against a real gateway.

mod architecture;
mod commands;
mod elsewhere;
mod mock;
mod real;
mod schema;
mod truth;
