//! A client of the gateway: publishes, and follows channels over any transport without losing or repeating a message.
//!
//! It speaks the wire like any other client and shares nothing with the server but the names of codes and transports.

mod attachment;
mod credentials;
mod endpoint;
mod follow;
mod poll;
mod positions;
mod sse;
mod websocket;

pub use credentials::Credentials;
pub use endpoint::{Endpoint, Failure};
pub use follow::{Choice, Follow, Follower};
