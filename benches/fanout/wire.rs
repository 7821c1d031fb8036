//! What subscribers say, and a light reading of what comes back: enough to know that every message came, in order.

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;

/// How a subscriber is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    #[value(name = "websocket")]
    WebSocket,
    Sse,
    Longpoll,
    /// Bytes of the reference, so many a message.
    #[value(skip)]
    Raw(usize),
}

impl Kind {
    /// Its name in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::WebSocket => "WebSocket",
            Self::Sse => "SSE",
            Self::Longpoll => "long poll",
            Self::Raw(_) => "reference",
        }
    }

    /// The first thing that a subscriber says.
    pub fn hello(self, channel: &str) -> String {
        match self {
            Self::WebSocket => websocket_request(channel),
            Self::Sse => request(&format!("/v1/sse?channel={channel}")),
            // Answered at once, with the cursor to wait from.
            Self::Longpoll => request(&format!("/v1/longpoll?channel={channel}&wait=0")),
            Self::Raw(_) => String::new(),
        }
    }
}

/// The opening handshake of a WebSocket.
pub fn websocket_request(channel: &str) -> String {
    request(&format!("/v1/ws?channel={channel}")).replace(
        "\r\n\r\n",
        "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    )
}

fn request(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// A command as a masked text frame. The mask is zero, which is allowed, so that masking costs nothing.
pub fn command(json: &str) -> Vec<u8> {
    let mut frame = vec![0x81];
    match json.len() {
        length @ 0..=125 => frame.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(json.as_bytes());
    frame
}

/// How every message begins.
const MESSAGE: &str = r#"{"type":"message""#;

/// What one subscriber received.
#[derive(Debug)]
pub struct Reader {
    kind: Kind,
    channel: String,
    head_is_read: bool,
    /// The offset of the last message.
    offset: Option<u64>,
    /// What cannot be read yet.
    rest: Vec<u8>,
    /// An event stream without its chunks, up to the last event that is not complete.
    text: Vec<u8>,
    /// Messages.
    pub messages: u64,
    /// What is no message: `welcome`, answers, empty pages.
    pub others: u64,
    /// What has to be said next.
    pub say: Option<String>,
}

impl Reader {
    /// Nothing was received yet.
    pub fn new(kind: Kind, channel: &str) -> Self {
        Self {
            kind,
            channel: channel.to_owned(),
            head_is_read: false,
            offset: None,
            rest: Vec::new(),
            text: Vec::new(),
            messages: 0,
            others: 0,
            say: None,
        }
    }

    /// Takes in what was received.
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
        if let Kind::Raw(message_bytes) = self.kind {
            let messages = bytes.len() / message_bytes;
            self.messages += messages as u64;
            return Ok(messages * message_bytes);
        }
        let mut used = 0;
        while let Some(bytes) = self.read_one(&bytes[used..])? {
            used += bytes;
        }
        Ok(used)
    }

    fn read_one(&mut self, bytes: &[u8]) -> Result<Option<usize>> {
        match self.kind {
            Kind::Longpoll => self.read_page(bytes),
            _ if !self.head_is_read => {
                let head = read_head(bytes)?;
                self.head_is_read = head.is_some();
                Ok(head.map(|(_, head_bytes)| head_bytes))
            }
            Kind::Sse => self.read_chunk(bytes),
            _ => self.read_frame(bytes),
        }
    }

    /// One frame of a server (RFC 6455, section 5.2).
    fn read_frame(&mut self, bytes: &[u8]) -> Result<Option<usize>> {
        let (head, length) = match bytes {
            [_, 126, a, b, ..] => (4, usize::from(u16::from_be_bytes([*a, *b]))),
            [_, 127, 0, 0, 0, 0, a, b, c, d, ..] => {
                (10, u32::from_be_bytes([*a, *b, *c, *d]) as usize)
            }
            [_, length @ 0..=125, ..] => (2, usize::from(*length)),
            _ => return Ok(None),
        };
        let Some(payload) = bytes.get(head..head + length) else {
            return Ok(None);
        };
        ensure!(bytes[0] == 0x81, "a frame {:#x}, not a text", bytes[0]);
        self.note(std::str::from_utf8(payload)?)?;
        Ok(Some(head + length))
    }

    /// One chunk of an event stream (RFC 9112, section 7.1).
    fn read_chunk(&mut self, bytes: &[u8]) -> Result<Option<usize>> {
        let Some(line) = bytes.windows(2).position(|two| two == b"\r\n") else {
            return Ok(None);
        };
        let length = usize::from_str_radix(std::str::from_utf8(&bytes[..line])?, 16)?;
        ensure!(length > 0, "the event stream ended");
        let end = line + 2 + length + 2;
        if bytes.len() < end {
            return Ok(None);
        }
        self.text.extend_from_slice(&bytes[line + 2..end - 2]);
        let text = std::mem::take(&mut self.text);
        let text = String::from_utf8(text)?;
        let complete = text.rfind("\n\n").map_or(0, |at| at + 2);
        for event in text[..complete].split_terminator("\n\n") {
            let (_, data) = event.split_once("data: ").context("an event has data")?;
            self.note(data)?;
        }
        self.text.extend_from_slice(&text.as_bytes()[complete..]);
        Ok(Some(end))
    }

    /// One answer to a poll; the next poll is sent from its cursor.
    fn read_page(&mut self, bytes: &[u8]) -> Result<Option<usize>> {
        let Some((head, head_bytes)) = read_head(bytes)? else {
            return Ok(None);
        };
        let length = head.split_once("content-length: ").context("a length")?.1;
        let length: usize = length.split("\r\n").next().unwrap_or_default().parse()?;
        let Some(body) = bytes.get(head_bytes..head_bytes + length) else {
            return Ok(None);
        };
        let body = std::str::from_utf8(body)?;
        let cursor = body.strip_prefix(r#"{"cursor":""#).context("a page")?;
        let (cursor, messages) = cursor.split_once('"').context("a page")?;
        self.others += 1;
        for (at, _) in messages.match_indices(MESSAGE) {
            self.note(&messages[at..])?;
        }
        let channel = &self.channel;
        let next = format!("/v1/longpoll?channel={channel}&cursor={cursor}&wait=55");
        self.say = Some(request(&next));
        Ok(Some(head_bytes + length))
    }

    /// Counts an object, and checks that messages come in order and without holes.
    fn note(&mut self, json: &str) -> Result<()> {
        if !json.starts_with(MESSAGE) {
            ensure!(!json.starts_with(r#"{"type":"gap""#), "a gap: {json}");
            ensure!(!json.starts_with(r#"{"type":"error""#), "{json}");
            self.others += 1;
            return Ok(());
        }
        let (_, offset) = json.split_once(r#","offset":"#).context("a message")?;
        let digits = offset.split(',').next().unwrap_or_default();
        let offset = digits.parse()?;
        if self.offset.is_some_and(|last| offset != last + 1) {
            bail!("message {offset} after {:?}", self.offset);
        }
        self.offset = Some(offset);
        self.messages += 1;
        Ok(())
    }
}

/// The head of an answer and its length, if it is complete and good news.
fn read_head(bytes: &[u8]) -> Result<Option<(&str, usize)>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..end + 4])?;
    ensure!(
        head.starts_with("HTTP/1.1 101") || head.starts_with("HTTP/1.1 200"),
        "the server answered {head}"
    );
    Ok(Some((head, end + 4)))
}
