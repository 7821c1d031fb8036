//! Who is compared.

use clap::ValueEnum;
use crowd::{Dialect, Kind, Wire};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A server that delivers messages.
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
pub enum Rival {
    /// This project, which is always measured: the ratios are to it.
    Everyway,
    /// The module of nginx.
    Nchan,
    /// The package `ws` of Node.js.
    Ws,
    /// The package `socket.io` of Node.js.
    #[value(name = "socketio")]
    SocketIo,
    /// The package `websockets` of Python.
    Websockets,
}

impl Rival {
    /// All of them, in the order of the turns.
    pub const ALL: [Self; 5] = [
        Self::Everyway,
        Self::Nchan,
        Self::Ws,
        Self::SocketIo,
        Self::Websockets,
    ];

    /// Its name in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Everyway => "Everyway",
            Self::Nchan => "Nchan",
            Self::Ws => "Node ws",
            Self::SocketIo => "Socket.IO",
            Self::Websockets => "Python websockets",
        }
    }

    /// How it can be reached.
    pub fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Everyway | Self::Nchan => &Kind::ALL,
            Self::SocketIo => &[Kind::WebSocket, Kind::Longpoll],
            Self::Ws | Self::Websockets => &[Kind::WebSocket],
        }
    }

    /// What its subscribers speak.
    pub fn wire(self, kind: Kind) -> Wire {
        let dialect = match self {
            Self::Everyway => Dialect::Everyway,
            Self::Nchan => Dialect::Nchan,
            Self::Ws | Self::Websockets => Dialect::Plain,
            Self::SocketIo => Dialect::SocketIo,
        };
        Wire { dialect, kind }
    }

    /// How it is set up, for the report.
    pub fn setup(self) -> &'static str {
        match self {
            Self::Everyway => {
                "this library with its defaults, in a process of its own; history of 10,000 messages, 1 MiB, 5 minutes"
            }
            Self::Nchan => {
                "nginx with one worker; a location for each transport; 1,000 messages and 5 minutes are kept; published over \
                 a WebSocket"
            }
            Self::Ws => {
                "the README's broadcast server; perMessageDeflate off, which is its default"
            }
            Self::SocketIo => {
                "a room; the WebSocket transport, and the polling transport by itself"
            }
            Self::Websockets => {
                "`broadcast` of websockets.asyncio; permessage-deflate, its default, is not asked for by the load"
            }
        }
    }
}
