//! Who publishes: one WebSocket, many messages in one write.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use super::signals::uninterrupted;
use super::{Dialect, Kind, PATIENCE, Reader, Role, SOCKET_IO, Wire, numbered, wire};

/// A client that publishes to one channel or several. The messages of each are numbered, from 0.
#[derive(Debug)]
pub struct Publisher {
    socket: TcpStream,
    dialect: Dialect,
    channels: Vec<String>,
    payload_bytes: usize,
    reader: Reader,
    buffer: Vec<u8>,
    published: u64,
}

impl Publisher {
    /// Connects, and waits until it may publish payloads of so many bytes. Only Everyway takes several channels over one
    /// connection.
    pub fn connect(
        address: SocketAddr,
        dialect: Dialect,
        channels: Vec<String>,
        payload_bytes: usize,
    ) -> Result<Self> {
        let [channel, others @ ..] = &channels[..] else {
            bail!("a publisher needs a channel");
        };
        let is_possible = others.is_empty() || dialect == Dialect::Everyway;
        ensure!(is_possible, "one channel for each publisher");
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        let wire = Wire {
            dialect,
            kind: Kind::WebSocket,
        };
        let hello = wire::upgrade(&path(dialect, channel)?);
        let mut publisher = Self {
            socket,
            dialect,
            payload_bytes,
            reader: Reader::new(wire, Role::Publisher, channel),
            buffer: vec![0; 64 * 1024],
            published: 0,
            channels,
        };
        publisher.socket.write_all(hello.as_bytes())?;
        publisher.socket.set_nonblocking(true)?;
        publisher.hear(1)?;
        Ok(publisher)
    }

    /// Waits until all that it published was answered, where the server answers each.
    pub fn wait_for_answers(&mut self) -> Result<()> {
        self.hear(1 + self.published * self.channels.len() as u64)
    }

    /// Reads until so many answers came, the welcome included.
    fn hear(&mut self, answers: u64) -> Result<()> {
        let start = Instant::now();
        while self.reader.others < answers {
            ensure!(start.elapsed() < PATIENCE, "nobody answers the publisher");
            self.serve()?;
            std::thread::yield_now();
        }
        Ok(())
    }

    /// How many messages it published to each channel.
    pub fn published(&self) -> u64 {
        self.published
    }

    /// Publishes the next messages of each channel in one write.
    pub fn publish(&mut self, messages: u64) -> Result<()> {
        let mut commands = Vec::new();
        for number in self.published..self.published + messages {
            let payload = numbered::payload(number, self.payload_bytes);
            for channel in &self.channels {
                commands.extend(command(self.dialect, channel, &payload));
            }
        }
        self.published += messages;
        let mut left = &commands[..];
        let start = Instant::now();
        while !left.is_empty() {
            match uninterrupted(|| self.socket.write(left)) {
                Ok(written) => left = &left[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ensure!(start.elapsed() < PATIENCE, "the server reads no more");
                    // It may wait until its answers are read.
                    self.serve()?;
                    std::thread::yield_now();
                }
                Err(error) => return Err(error).context("the publisher's socket"),
            }
        }
        Ok(())
    }

    /// Takes in what is there, without waiting: answers, and pings, which are answered. Bad news is an error.
    pub fn serve(&mut self) -> Result<()> {
        loop {
            match uninterrupted(|| self.socket.read(&mut self.buffer)) {
                Ok(0) => bail!("the server closed the publisher's connection"),
                Ok(count) => self.reader.take(&self.buffer[..count])?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("the publisher's socket"),
            }
        }
        let say = std::mem::take(&mut self.reader.say);
        if !say.is_empty() {
            let written =
                uninterrupted(|| self.socket.write(&say)).context("what the publisher says")?;
            ensure!(written == say.len(), "what the publisher says was cut");
        }
        Ok(())
    }
}

/// Where a publisher connects to. An error in a dialect in which nobody publishes.
fn path(dialect: Dialect, channel: &str) -> Result<String> {
    Ok(match dialect {
        Dialect::Everyway => "/v1/ws".to_owned(),
        Dialect::Nchan => format!("/publish?channel={channel}"),
        Dialect::Plain => "/publish".to_owned(),
        Dialect::SocketIo => format!("{SOCKET_IO}websocket"),
        Dialect::Raw(_) => bail!("nobody publishes in this dialect"),
    })
}

/// What publishes one payload.
pub fn command(dialect: Dialect, channel: &str, payload: &str) -> Vec<u8> {
    wire::masked_text(&match dialect {
        Dialect::Everyway => {
            format!(r#"{{"action":"publish","channel":"{channel}","data":{payload}}}"#)
        }
        Dialect::Nchan | Dialect::Plain | Dialect::Raw(_) => payload.to_owned(),
        Dialect::SocketIo => format!(r#"42["publish","{channel}",{payload}]"#),
    })
}
