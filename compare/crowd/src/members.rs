//! Many subscribers on one thread.

use std::io::{ErrorKind, Read, Write};
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use mio::{Events, Poll, Token};

use super::link::{Link, Way};
use super::signals::uninterrupted;
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
    /// When it last had looked at all sockets, and began to work on what was there.
    looked_at: Instant,
    /// The bytes that came in, without TLS.
    pub bytes: u64,
}

/// Messages that one subscriber received at once.
#[derive(Debug)]
pub struct Arrival {
    /// Their numbers.
    pub numbers: Range<u64>,
    /// When they were read.
    pub at: Instant,
    /// For so long at most they had been there: the crowd was at work on other subscribers then.
    pub late_max: Duration,
}

#[derive(Debug)]
struct Member {
    link: Link,
    reader: Reader,
}

impl Crowd {
    /// Connects `count` subscribers, each to the channel that `channel` names for its index, and waits until all were
    /// welcomed, where the server says so.
    pub fn connect(
        way: impl Into<Way>,
        wire: Wire,
        count: usize,
        channel: impl Fn(usize) -> String,
    ) -> Result<Self> {
        let way = way.into();
        let mut crowd = Self {
            poll: Poll::new()?,
            // Room for all of them: what a look leaves out would be late, and nobody would know.
            events: Events::with_capacity(count.max(1)),
            members: Vec::with_capacity(count),
            buffer: vec![0; 256 * 1024],
            looked_at: Instant::now(),
            bytes: 0,
        };
        for index in 0..count {
            crowd.join(&way, wire, &channel(index))?;
            let is_last = index + 1 == count;
            if (is_last || index % AT_ONCE == AT_ONCE - 1) && is_welcomed(wire) {
                crowd.wait_until(|reader| reader.others > 0)?;
            }
        }
        Ok(crowd)
    }

    fn join(&mut self, way: &Way, wire: Wire, channel: &str) -> Result<()> {
        let mut link = Link::open(way, &wire.hello(channel))?;
        link.register(self.poll.registry(), Token(self.members.len()))?;
        let reader = Reader::new(wire, Role::Subscriber, channel);
        self.members.push(Member { link, reader });
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

    /// How many messages the first of them received; the others as many, after [`Crowd::wait_for`].
    pub fn received(&self) -> u64 {
        let first = self.members.first();
        first.map_or(0, |first| first.reader.messages)
    }

    /// Sends something as one of them.
    pub fn say(&mut self, index: usize, bytes: &[u8]) -> Result<()> {
        let mut left = bytes;
        while !left.is_empty() {
            match self.members[index].link.write(left) {
                Ok(written) => left = &left[written..],
                // Not the loop of a measurement: only large messages wait here, for the server to read on.
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(error) => return Err(error).context("a subscriber's socket"),
            }
        }
        Ok(())
    }

    /// Takes in what is there, or waits for it as long as `timeout`; pings are answered and polls repeated.
    /// `arrived` is told what one subscriber received at once.
    pub fn serve(&mut self, timeout: Duration, mut arrived: impl FnMut(Arrival)) -> Result<()> {
        let worked = self.look(timeout)?;
        for event in &self.events {
            let member = &mut self.members[event.token().0];
            let before = member.reader.messages;
            self.bytes += member.receive(&mut self.buffer)?;
            if member.reader.messages > before {
                let at = Instant::now();
                arrived(Arrival {
                    numbers: before..member.reader.messages,
                    at,
                    // It may have come right after the look before this one.
                    late_max: worked + at.duration_since(self.looked_at),
                });
            }
        }
        Ok(())
    }

    /// Waits until something is there, as long as `timeout`, and returns how long ago it had looked before. A signal does not
    /// end the wait.
    fn look(&mut self, timeout: Duration) -> Result<Duration> {
        let worked = self.looked_at.elapsed();
        let until = Instant::now() + timeout;
        uninterrupted(|| {
            let left = until.saturating_duration_since(Instant::now());
            self.poll.poll(&mut self.events, Some(left))
        })?;
        self.looked_at = Instant::now();
        Ok(worked)
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
            self.look(PATIENCE)?;
            if self.events.is_empty() {
                let seconds = PATIENCE.as_secs();
                let all = self.members.len();
                bail!("{waiting} of {all} subscribers waited {seconds} s in vain");
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

/// Whether subscribers hear something once they are subscribed. Polls of Nchan do not.
fn is_welcomed(wire: Wire) -> bool {
    match wire.dialect {
        Dialect::Raw(_) => false,
        Dialect::Nchan => wire.kind != Kind::Longpoll,
        Dialect::Everyway | Dialect::Plain | Dialect::SocketIo => true,
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
                    self.say()?;
                    // What comes after a short read is a new event.
                    if count < buffer.len() && self.link.is_read_empty_by_a_short_read() {
                        return Ok(bytes);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(bytes),
                Err(error) => return Err(error).context("a subscriber's socket"),
            }
        }
    }

    fn say(&mut self) -> Result<()> {
        let say = &mut self.reader.say;
        if !say.is_empty() {
            let written = self.link.write(say).context("what a subscriber says")?;
            ensure!(written == say.len(), "what a subscriber says was cut");
            say.clear();
        }
        Ok(())
    }
}
