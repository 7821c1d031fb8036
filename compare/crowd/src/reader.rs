//! What one connection received: a light reading, enough to know that every message came once and in order.

use std::sync::LazyLock;

use anyhow::{Context, Result, bail, ensure};
use memchr::memmem::Finder;

use super::numbered::{self, Due};
use super::wire::{self, Frame, Head};
use super::{Dialect, Kind, SOCKET_IO, Wire};

/// What the connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It receives the messages of a channel.
    Subscriber,
    /// It publishes, and receives answers.
    Publisher,
}

/// How every message of Everyway begins.
const MESSAGE: &str = r#"{"type":"message""#;
/// What is looked for in each page. Each is made once, because a search in a short text takes less time than to prepare it.
static MESSAGES: LazyLock<Finder> = LazyLock::new(|| Finder::new(MESSAGE));
static GAPS: LazyLock<Finder> = LazyLock::new(|| Finder::new(r#""gap":["#));
/// What stands before its offset.
const OFFSET: &str = r#","offset":"#;

/// Reads what comes over one connection.
#[derive(Debug)]
pub struct Reader {
    wire: Wire,
    role: Role,
    channel: String,
    /// How every message of the channel begins, up to its offset.
    opening: String,
    body: Body,
    /// The offset of Everyway's last message.
    offset: Option<u64>,
    /// The id of a Socket.IO session that polls.
    sid: Option<String>,
    /// The payload that comes next, once one came.
    due: Due,
    /// What cannot be read yet.
    rest: Vec<u8>,
    /// The events of a stream, from the first that is not complete.
    events: String,
    /// Messages.
    pub messages: u64,
    /// What is no message: welcomes, answers, empty pages. The first says that the connection is ready.
    pub others: u64,
    /// What has to be said next.
    pub say: Vec<u8>,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    /// The head of an answer.
    Head,
    /// A stream in chunks.
    Chunks,
    /// A stream that ends with the connection.
    Plain,
    /// Frames.
    Frames,
    /// Messages of so many bytes.
    Raw(usize),
}

impl Reader {
    /// Nothing was received yet.
    pub fn new(wire: Wire, role: Role, channel: &str) -> Self {
        Self {
            wire,
            role,
            channel: channel.to_owned(),
            opening: format!(r#"{MESSAGE},"channel":"{channel}"{OFFSET}"#),
            body: match wire.dialect {
                Dialect::Raw(bytes) => Body::Raw(bytes.max(1)),
                _ => Body::Head,
            },
            offset: None,
            sid: None,
            due: Due::default(),
            rest: Vec::new(),
            events: String::new(),
            messages: 0,
            others: 0,
            say: Vec::new(),
        }
    }

    /// Takes in what was received. A message that is not the next one is an error.
    pub fn take(&mut self, bytes: &[u8]) -> Result<()> {
        if self.rest.is_empty() {
            let used = self.read(bytes)?;
            self.rest.extend_from_slice(&bytes[used..]);
        } else {
            let mut all = std::mem::take(&mut self.rest);
            all.extend_from_slice(bytes);
            let used = self.read(&all)?;
            all.drain(..used);
            self.rest = all;
        }
        Ok(())
    }

    /// Reads as far as things are complete, and returns how far.
    fn read(&mut self, bytes: &[u8]) -> Result<usize> {
        let mut used = 0;
        while let Some(bytes) = self.read_one(&bytes[used..])? {
            used += bytes;
        }
        Ok(used)
    }

    fn read_one(&mut self, bytes: &[u8]) -> Result<Option<usize>> {
        match self.body {
            Body::Head if self.wire.kind == Kind::Longpoll => self.read_answer(bytes),
            Body::Head => self.read_head(bytes),
            Body::Chunks => {
                let Some((events, used)) = wire::chunk(bytes)? else {
                    return Ok(None);
                };
                self.read_events(events)?;
                Ok(Some(used))
            }
            Body::Plain if bytes.is_empty() => Ok(None),
            Body::Plain => {
                self.read_events(bytes)?;
                Ok(Some(bytes.len()))
            }
            Body::Frames => self.read_frame(bytes),
            Body::Raw(message_bytes) => {
                let messages = bytes.len() / message_bytes;
                self.messages += messages as u64;
                Ok((messages > 0).then_some(messages * message_bytes))
            }
        }
    }

    fn read_head(&mut self, bytes: &[u8]) -> Result<Option<usize>> {
        let Some(head) = Head::read(bytes)? else {
            return Ok(None);
        };
        self.body = match self.wire.kind {
            Kind::WebSocket => Body::Frames,
            _ if head.is_chunked() => Body::Chunks,
            _ => Body::Plain,
        };
        // The others say something of their own once they are ready.
        if self.wire.dialect == Dialect::Nchan || (self.wire.dialect, self.role) == PLAIN_PUBLISHER
        {
            self.others += 1;
        }
        Ok(Some(head.bytes()))
    }

    fn read_frame(&mut self, bytes: &[u8]) -> Result<Option<usize>> {
        let Some((frame, used)) = wire::frame(bytes)? else {
            return Ok(None);
        };
        match frame {
            Frame::Text(text) => self.note_text(text)?,
            Frame::Ping(payload) => self.say.extend(wire::pong(payload)),
            Frame::Pong => {}
        }
        Ok(Some(used))
    }

    fn note_text(&mut self, text: &str) -> Result<()> {
        match (self.wire.dialect, self.role) {
            (Dialect::Everyway, _) => self.note_object(text),
            (Dialect::SocketIo, _) => self.note_packet(text),
            (Dialect::Nchan, Role::Publisher) => {
                ensure!(text.starts_with("queued messages"), "Nchan answered {text}");
                self.others += 1;
                Ok(())
            }
            (Dialect::Plain, Role::Subscriber) if text == "ready" => {
                self.others += 1;
                Ok(())
            }
            (Dialect::Nchan | Dialect::Plain, _) => self.note_payload(text),
            (Dialect::Raw(_), _) => bail!("nothing has a form in this dialect"),
        }
    }

    /// Events up to the last that is complete; what follows waits for the rest.
    fn read_events(&mut self, bytes: &[u8]) -> Result<()> {
        let text = std::str::from_utf8(bytes)?;
        if self.events.is_empty() {
            let used = self.note_events(text)?;
            self.events.push_str(&text[used..]);
        } else {
            let mut events = std::mem::take(&mut self.events);
            events.push_str(text);
            let used = self.note_events(&events)?;
            events.drain(..used);
            self.events = events;
        }
        Ok(())
    }

    /// Every event that is complete. Returns where the next begins.
    fn note_events(&mut self, text: &str) -> Result<usize> {
        let mut used = 0;
        while let Some((last_line, end)) = event_end(&text.as_bytes()[used..]) {
            let event = &text[used..used + end];
            used += end + 2;
            // A comment says only that somebody is there.
            if event.starts_with(':') {
                continue;
            }
            let data = event[last_line..].strip_prefix("data: ");
            let data = data.context("an event ends with its data")?;
            match self.wire.dialect {
                Dialect::Everyway => self.note_object(data)?,
                _ => self.note_payload(data)?,
            }
        }
        Ok(used)
    }

    /// One answer to a poll; the next poll is said from where it ends.
    fn read_answer(&mut self, bytes: &[u8]) -> Result<Option<usize>> {
        let Some(head) = Head::read(bytes)? else {
            return Ok(None);
        };
        let end = head.bytes() + head.content_length()?;
        let Some(body) = bytes.get(head.bytes()..end) else {
            return Ok(None);
        };
        let body = std::str::from_utf8(body)?;
        match self.wire.dialect {
            Dialect::Everyway => self.note_page(body)?,
            Dialect::SocketIo => self.note_packets(body)?,
            Dialect::Nchan => self.note_nchan_answer(head, body)?,
            Dialect::Plain | Dialect::Raw(_) => bail!("nobody polls in this dialect"),
        }
        Ok(Some(end))
    }

    /// A page of Everyway.
    fn note_page(&mut self, body: &str) -> Result<()> {
        let cursor = body.strip_prefix(r#"{"cursor":""#).context("a page")?;
        let (cursor, messages) = cursor.split_once('"').context("a page")?;
        ensure!(GAPS.find(messages.as_bytes()).is_none(), "a gap: {body}");
        self.others += 1;
        let end = messages.rfind(']').context("a list of messages")?;
        let mut starts = MESSAGES.find_iter(messages.as_bytes()).peekable();
        while let Some(start) = starts.next() {
            // Before the next message stands a comma.
            let end = starts.peek().map_or(end, |next| next - 1);
            self.note_object(&messages[start..end])?;
        }
        let channel = self.channel.as_str();
        let target = [
            "/v1/longpoll?channel=",
            channel,
            "&cursor=",
            cursor,
            "&wait=55",
        ];
        wire::push_get(&mut self.say, &target, &[]);
        Ok(())
    }

    /// A message of Nchan, whose id stands in two fields of the head.
    fn note_nchan_answer(&mut self, head: Head<'_>, body: &str) -> Result<()> {
        self.note_payload(body)?;
        let time = head.field("last-modified").context("Last-Modified")?;
        let tag = head.field("etag").context("Etag")?;
        let target = ["/longpoll?channel=", &self.channel];
        let fields = [
            "If-Modified-Since: ",
            time,
            "\r\nIf-None-Match: ",
            tag,
            "\r\n",
        ];
        wire::push_get(&mut self.say, &target, &fields);
        Ok(())
    }

    /// Packets of Engine.IO, separated by one byte; or the answer to a packet that we sent.
    fn note_packets(&mut self, body: &str) -> Result<()> {
        if body == "ok" {
            return Ok(());
        }
        for packet in body.split('\x1e') {
            self.note_packet(packet)?;
        }
        let sid = self.sid.as_deref().context("a session")?;
        let target = format!("{SOCKET_IO}polling&sid={sid}");
        // What the packets asked to be said goes in a request of its own, before the poll.
        let packets = std::mem::take(&mut self.say);
        if !packets.is_empty() {
            let packets = String::from_utf8(packets)?;
            self.say.extend(wire::post(&target, &packets).into_bytes());
        }
        self.say.extend(wire::get(&target, "").into_bytes());
        Ok(())
    }

    /// One packet of Engine.IO 4, perhaps with one of Socket.IO 5 in it.
    fn note_packet(&mut self, packet: &str) -> Result<()> {
        if let Some(payload) = packet.strip_prefix(r#"42["message","#) {
            return self.note_payload(payload.strip_suffix(']').context("an event")?);
        }
        if let Some(open) = packet.strip_prefix(r#"0{"sid":""#) {
            self.sid = open.split('"').next().map(str::to_owned);
            self.say_packet("40");
        } else if packet == "2" {
            self.say_packet("3");
        } else if packet == r#"42["ready"]"#
            || (self.role == Role::Publisher && packet.starts_with("40{"))
        {
            self.others += 1;
        } else {
            ensure!(packet.starts_with("40{"), "Socket.IO said {packet}");
        }
        Ok(())
    }

    fn say_packet(&mut self, packet: &str) {
        match self.wire.kind {
            Kind::Longpoll => {
                if !self.say.is_empty() {
                    self.say.push(b'\x1e');
                }
                self.say.extend_from_slice(packet.as_bytes());
            }
            _ => self.say.extend(wire::masked_text(packet)),
        }
    }

    /// An object of Everyway: a message, or something that is none.
    fn note_object(&mut self, json: &str) -> Result<()> {
        if !json.starts_with(MESSAGE) {
            ensure!(!json.starts_with(r#"{"type":"gap""#), "a gap: {json}");
            ensure!(!json.starts_with(r#"{"type":"error""#), "{json}");
            self.others += 1;
            return Ok(());
        }
        let (offset, payload) = self.parts(json)?;
        if self.offset.is_some_and(|last| offset != last + 1) {
            bail!("offset {offset} after {:?}", self.offset);
        }
        self.offset = Some(offset);
        self.note_payload(payload.strip_suffix('}').context("the end of a message")?)
    }

    /// The offset of a message, and its payload with the end of the message. What every message of the channel has where it
    /// is expected is not looked for: of all that the load does with a message, looking for it cost the most.
    fn parts<'a>(&self, json: &'a str) -> Result<(u64, &'a str)> {
        let expected = json.strip_prefix(self.opening.as_str());
        let offset = match expected {
            Some(offset) => offset,
            None => json.split_once(OFFSET).context("an offset")?.1,
        };
        let (offset, rest) = offset.split_once(',').context("an offset")?;
        let after_time = rest.strip_prefix(r#""time":"#).map(|time| {
            let time = time.trim_start_matches(|digit: char| digit.is_ascii_digit());
            time.strip_prefix(r#","data":"#)
        });
        let payload = match after_time.flatten() {
            Some(payload) => payload,
            None => rest.split_once(r#""data":"#).context("data")?.1,
        };
        Ok((offset.parse()?, payload))
    }

    /// What was published. The first has number 0. A payload that is the next one to the byte needs no reading.
    fn note_payload(&mut self, payload: &str) -> Result<()> {
        if self.due.is(payload) {
            self.due.advance();
            self.messages += 1;
            return Ok(());
        }
        let (number, due) = (numbered::number(payload)?, self.messages);
        ensure!(
            number == due,
            "message {number} came when {due} was due: lost, repeated or out of order"
        );
        self.messages += 1;
        self.due = Due::new(self.messages, payload.len());
        Ok(())
    }
}

/// Where the last line of the first event begins, and where that event ends, if it is complete.
fn event_end(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut line = 0;
    for at in memchr::memchr_iter(b'\n', bytes) {
        if bytes.get(at + 1) == Some(&b'\n') {
            return Some((line, at));
        }
        line = at + 1;
    }
    None
}

/// Who is told nothing by the server, not even that it is ready.
const PLAIN_PUBLISHER: (Dialect, Role) = (Dialect::Plain, Role::Publisher);

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
