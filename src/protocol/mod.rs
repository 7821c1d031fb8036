//! The wire: what goes in and out as JSON, apart from the messages themselves, which the bus encodes once.

pub mod command;
pub mod event;
pub mod page;
pub mod payload;
pub mod printed;
