//! The load: thousands of subscribers on one thread, over raw sockets, who check that every message comes once and in
//! order; and the processes that they load.

pub mod cpu;
pub mod link;
mod members;
pub mod numbered;
pub mod place;
pub mod process;
mod publisher;
mod reader;
mod signals;
pub mod threads;
pub mod wire;

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use members::{Arrival, Crowd, PATIENCE};
pub use publisher::{Publisher, command};
pub use reader::{Reader, Role};

/// How a subscriber is reached.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    ValueEnum,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A WebSocket.
    #[value(name = "websocket")]
    WebSocket,
    /// Server-Sent Events.
    Sse,
    /// A request that waits, and the next when it was answered.
    Longpoll,
}

impl Kind {
    /// All of them, in the order of the tables.
    pub const ALL: [Self; 3] = [Self::WebSocket, Self::Sse, Self::Longpoll];

    /// Its name in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::WebSocket => "WebSocket",
            Self::Sse => "SSE",
            Self::Longpoll => "long poll",
        }
    }
}

/// Whose wire form is spoken: what subscribers say, and how a message comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Objects of JSON around the payload; `docs/protocol.md` describes them.
    Everyway,
    /// The payload alone; ids stand in event fields and in `Last-Modified` and `Etag`.
    Nchan,
    /// The payload alone, over a WebSocket, after the one word `ready`.
    Plain,
    /// Packets of Engine.IO 4 with packets of Socket.IO 5 in them, such as `42["message",…]`.
    SocketIo,
    /// No form at all: so many bytes, at least one, are a message. Nobody publishes in it.
    Raw(usize),
}

/// What a subscriber speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wire {
    /// Whose.
    pub dialect: Dialect,
    /// Over what.
    pub kind: Kind,
}

impl Wire {
    /// The first thing that a subscriber of `channel` says.
    pub fn hello(self, channel: &str) -> Vec<u8> {
        let request = match (self.dialect, self.kind) {
            (Dialect::Raw(_), _) => String::new(),
            (Dialect::Everyway, Kind::WebSocket) => {
                wire::upgrade(&format!("/v1/ws?channel={channel}"))
            }
            (Dialect::Everyway, Kind::Sse) => wire::get(&format!("/v1/sse?channel={channel}"), ""),
            // Answered at once, with the cursor to wait from.
            (Dialect::Everyway, Kind::Longpoll) => {
                wire::get(&format!("/v1/longpoll?channel={channel}&wait=0"), "")
            }
            (Dialect::Nchan, Kind::WebSocket) => {
                wire::upgrade(&format!("/websocket?channel={channel}"))
            }
            (Dialect::Nchan, Kind::Sse) => wire::get(
                &format!("/eventsource?channel={channel}"),
                "Accept: text/event-stream\r\n",
            ),
            (Dialect::Nchan, Kind::Longpoll) => {
                wire::get(&format!("/longpoll?channel={channel}"), "")
            }
            (Dialect::SocketIo, Kind::Longpoll) => {
                wire::get(&format!("{SOCKET_IO}polling&channel={channel}"), "")
            }
            (Dialect::SocketIo, _) => {
                wire::upgrade(&format!("{SOCKET_IO}websocket&channel={channel}"))
            }
            (Dialect::Plain, _) => wire::upgrade("/"),
        };
        request.into_bytes()
    }
}

/// The path of Socket.IO, up to the name of the transport.
const SOCKET_IO: &str = "/socket.io/?EIO=4&transport=";
