//! The load: thousands of subscribers on one thread.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use mio::{Events, Poll, Token};

use crate::link::{Link, Way};
use crate::wire::{Kind, Reader};

/// If nothing comes for this long, something is wrong.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many connect before their answers are waited for, so that none is dropped from the server's backlog.
const AT_ONCE: usize = 100;

/// Many subscribers.
pub struct Crowd {
    poll: Poll,
    events: Events,
    members: Vec<Member>,
    buffer: Vec<u8>,
    /// The bytes that came in.
    pub bytes: u64,
}

struct Member {
    link: Link,
    reader: Reader,
}

impl Crowd {
    /// Nobody yet.
    pub fn new() -> Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            members: Vec::new(),
            buffer: vec![0; 256 * 1024],
            bytes: 0,
        })
    }

    /// Connects `count` subscribers, each to the channel that `channel` names, and waits until all were welcomed.
    pub fn connect(
        way: impl Into<Way>,
        kind: Kind,
        count: usize,
        channel: impl Fn(usize) -> String,
    ) -> Result<Self> {
        let way = way.into();
        let mut crowd = Self::new()?;
        for index in 0..count {
            crowd.join(&way, kind, &channel(index))?;
            let is_last = index + 1 == count;
            if (is_last || index % AT_ONCE == AT_ONCE - 1) && !matches!(kind, Kind::Raw(_)) {
                crowd.wait_until(|reader| reader.others > 0)?;
            }
        }
        Ok(crowd)
    }

    fn join(&mut self, way: &Way, kind: Kind, channel: &str) -> Result<()> {
        let mut link = Link::open(way, kind.hello(channel).as_bytes())?;
        link.register(self.poll.registry(), Token(self.members.len()))?;
        let reader = Reader::new(kind, channel);
        self.members.push(Member { link, reader });
        Ok(())
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Sends something as one of them.
    pub fn say(&mut self, index: usize, bytes: &[u8]) -> Result<()> {
        let mut left = bytes;
        while !left.is_empty() {
            match self.members[index].link.write(left) {
                Ok(written) => left = &left[written..],
                // Not the loop of a measurement: only large messages wait here, for the server to read on.
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// How many messages the first of them received; the others as many, after [`Crowd::wait_for`].
    pub fn received(&self) -> u64 {
        self.members
            .first()
            .map_or(0, |first| first.reader.messages)
    }

    /// Takes in what is there, without waiting.
    pub fn serve(&mut self) -> Result<()> {
        self.poll.poll(&mut self.events, Some(Duration::ZERO))?;
        for event in &self.events {
            let member = &mut self.members[event.token().0];
            self.bytes += member.receive(&mut self.buffer)?;
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
                bail!("{waiting} of {} wait in vain", self.members.len());
            }
            for event in &self.events {
                let member = &mut self.members[event.token().0];
                let was_done = is_done(&member.reader);
                self.bytes += member.receive(&mut self.buffer)?;
                if !was_done && is_done(&member.reader) {
                    waiting -= 1;
                }
            }
        }
        Ok(())
    }
}

impl Member {
    /// Takes in what is there, says what it asks for, and returns how many bytes came.
    fn receive(&mut self, buffer: &mut [u8]) -> Result<u64> {
        let mut bytes = 0;
        loop {
            match self.link.read(buffer) {
                Ok(0) => bail!("the server closed a connection"),
                Ok(count) => {
                    bytes += count as u64;
                    self.reader.take(&buffer[..count])?;
                    if let Some(say) = self.reader.say.take() {
                        let written = self.link.write(say.as_bytes());
                        ensure!(written.context("a poll")? == say.len(), "a poll was cut");
                    }
                    // What comes after a short read is a new event.
                    if count < buffer.len() && self.link.is_read_empty_by_a_short_read() {
                        return Ok(bytes);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(bytes),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
