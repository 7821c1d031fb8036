//! Many subscribers on one thread.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::{Dialect, Kind, Reader, Role, Wire};

/// If nothing comes for this long, something is wrong.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// How many connect before their answers are waited for, so that none is dropped from the server's backlog.
const AT_ONCE: usize = 100;

/// Many subscribers.
#[derive(Debug)]
pub struct Crowd {
    poll: Poll,
    events: Events,
    members: Vec<Member>,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Member {
    socket: TcpStream,
    reader: Reader,
}

impl Crowd {
    /// Connects `count` subscribers of `channel`, and waits until all were welcomed, where the server says so.
    pub fn connect(address: SocketAddr, wire: Wire, count: usize, channel: &str) -> Result<Self> {
        let mut crowd = Self {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            members: Vec::with_capacity(count),
            buffer: vec![0; 256 * 1024],
        };
        for index in 0..count {
            crowd.join(address, wire, channel)?;
            let is_last = index + 1 == count;
            if (is_last || index % AT_ONCE == AT_ONCE - 1) && is_welcomed(wire) {
                crowd.wait_until(|reader| reader.others > 0)?;
            }
        }
        Ok(crowd)
    }

    fn join(&mut self, address: SocketAddr, wire: Wire, channel: &str) -> Result<()> {
        let mut socket = std::net::TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.write_all(&wire.hello(channel))?;
        socket.set_nonblocking(true)?;
        let mut socket = TcpStream::from_std(socket);
        let token = Token(self.members.len());
        let registry = self.poll.registry();
        registry.register(&mut socket, token, Interest::READABLE)?;
        let reader = Reader::new(wire, Role::Subscriber, channel);
        self.members.push(Member { socket, reader });
        Ok(())
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// True if nobody ever joined.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Takes in what is there, or waits for it as long as `timeout`; pings are answered and polls repeated.
    /// `arrived` is told the numbers of the messages that one subscriber received at once.
    pub fn serve(&mut self, timeout: Duration, mut arrived: impl FnMut(Range<u64>)) -> Result<()> {
        self.poll.poll(&mut self.events, Some(timeout))?;
        for event in &self.events {
            let member = &mut self.members[event.token().0];
            let before = member.reader.messages;
            member.receive(&mut self.buffer)?;
            if member.reader.messages > before {
                arrived(before..member.reader.messages);
            }
        }
        Ok(())
    }

    /// Waits until everybody received `messages` in all. More than that is an error.
    pub fn wait_for(&mut self, messages: u64) -> Result<()> {
        self.wait_until(|reader| reader.messages >= messages)?;
        let surplus = self.members.iter().find(|m| m.reader.messages != messages);
        ensure!(surplus.is_none(), "somebody received a message twice");
        Ok(())
    }

    /// Waits until what `is_done` says is true of everybody.
    pub fn wait_until(&mut self, is_done: impl Fn(&Reader) -> bool) -> Result<()> {
        let waits = |member: &&Member| !is_done(&member.reader);
        let mut waiting = self.members.iter().filter(waits).count();
        while waiting > 0 {
            self.poll.poll(&mut self.events, Some(PATIENCE))?;
            if self.events.is_empty() {
                let seconds = PATIENCE.as_secs();
                let all = self.members.len();
                bail!("{waiting} of {all} subscribers waited {seconds} s in vain");
            }
            for event in &self.events {
                let member = &mut self.members[event.token().0];
                let was_done = is_done(&member.reader);
                member.receive(&mut self.buffer)?;
                if !was_done && is_done(&member.reader) {
                    waiting -= 1;
                }
            }
        }
        Ok(())
    }
}

/// Whether subscribers hear something once they are subscribed. Polls of Nchan do not.
fn is_welcomed(wire: Wire) -> bool {
    (wire.dialect, wire.kind) != (Dialect::Nchan, Kind::Longpoll)
}

impl Member {
    /// Takes in what is there, and says what it asks for.
    fn receive(&mut self, buffer: &mut [u8]) -> Result<()> {
        loop {
            match self.socket.read(buffer) {
                Ok(0) => bail!("the server closed a connection"),
                Ok(count) => {
                    self.reader.take(&buffer[..count])?;
                    self.say()?;
                    // What comes after a short read is a new event.
                    if count < buffer.len() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("a subscriber's socket"),
            }
        }
    }

    fn say(&mut self) -> Result<()> {
        let say = &mut self.reader.say;
        if !say.is_empty() {
            let written = self.socket.write(say).context("what a subscriber says")?;
            ensure!(written == say.len(), "what a subscriber says was cut");
            say.clear();
        }
        Ok(())
    }
}
