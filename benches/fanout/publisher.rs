//! Who publishes: one WebSocket, many commands in one write.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::wire::{Kind, Reader, command, websocket_request};

/// A payload that makes a message of some 130 bytes of JSON in a channel with a short name.
pub const TEXT_BYTES: usize = 48;

/// A client that publishes.
pub struct Publisher {
    socket: TcpStream,
    reader: Reader,
    buffer: Vec<u8>,
}

impl Publisher {
    /// Connects. Nobody publishes to the channel that it listens to.
    pub fn connect(address: SocketAddr) -> Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut publisher = Self {
            socket,
            reader: Reader::new(Kind::WebSocket, "quiet"),
            buffer: vec![0; 64 * 1024],
        };
        publisher
            .socket
            .write_all(websocket_request("quiet").as_bytes())?;
        publisher.hear(1)?;
        Ok(publisher)
    }

    /// Sends commands in one write. Their answers wait for [`Publisher::hear`].
    pub fn send(&mut self, commands: &[u8]) -> Result<()> {
        Ok(self.socket.write_all(commands)?)
    }

    /// Reads until this many answers came, `welcome` included.
    pub fn hear(&mut self, answers: u64) -> Result<()> {
        while self.reader.others < answers {
            let count = self.socket.read(&mut self.buffer)?;
            ensure!(count > 0, "the server closed the publisher");
            self.reader.take(&self.buffer[..count])?;
        }
        Ok(())
    }
}

/// The command that publishes a text of so many bytes.
pub fn publish(channel: &str, text_bytes: usize) -> Vec<u8> {
    let text = "x".repeat(text_bytes);
    command(&format!(
        r#"{{"action":"publish","channel":"{channel}","data":"{text}"}}"#
    ))
}
