//! Bytes that all dialects share: heads of HTTP/1.1, chunks, frames. Enough to read what servers send on loopback, and no
//! more: what does not look as expected is an error.

use anyhow::{Context, Result, ensure};
use memchr::{memchr, memmem};

/// A request without a body. `fields` are complete lines.
pub fn get(target: &str, fields: &str) -> String {
    let mut request = Vec::new();
    push_get(&mut request, &[target], &[fields]);
    String::from_utf8(request).unwrap_or_default()
}

/// The same at the end of a buffer, of a target and fields in pieces.
pub fn push_get(buffer: &mut Vec<u8>, target: &[&str], fields: &[&str]) {
    let mut push = |pieces: &[&str]| {
        let pieces = pieces.iter().map(|piece| piece.as_bytes());
        pieces.for_each(|piece| buffer.extend_from_slice(piece));
    };
    push(&["GET "]);
    push(target);
    push(&[" HTTP/1.1\r\nHost: localhost\r\n"]);
    push(fields);
    push(&["\r\n"]);
}

/// A request with a body of text.
pub fn post(target: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain;charset=UTF-8\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
}

/// The opening handshake of a WebSocket (RFC 6455, section 4.1).
pub fn upgrade(target: &str) -> String {
    let fields = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    get(target, fields)
}

/// The head of an answer, complete and good news.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    text: &'a str,
}

impl<'a> Head<'a> {
    /// Reads the head if all of it is there. Any status but 101 and 200 is an error.
    pub fn read(bytes: &'a [u8]) -> Result<Option<Self>> {
        let Some(end) = memmem::find(bytes, b"\r\n\r\n") else {
            return Ok(None);
        };
        let text = std::str::from_utf8(&bytes[..end + 4])?;
        let is_good = text.starts_with("HTTP/1.1 101") || text.starts_with("HTTP/1.1 200");
        ensure!(is_good, "the server answered {text}");
        Ok(Some(Self { text }))
    }

    /// How many bytes it has.
    pub fn bytes(self) -> usize {
        self.text.len()
    }

    /// A field's value, by its name in any case.
    pub fn field(self, name: &str) -> Option<&'a str> {
        self.text.split('\n').find_map(|line| {
            let (key, value) = line.split_at_checked(name.len())?;
            let value = value.strip_prefix(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The bytes of the body that follows.
    pub fn content_length(self) -> Result<usize> {
        let length = self.field("content-length");
        Ok(length.context("an answer without a length")?.parse()?)
    }

    /// Whether the body comes in chunks (RFC 9112, section 7.1).
    pub fn is_chunked(self) -> bool {
        self.field("transfer-encoding") == Some("chunked")
    }
}

/// The content of the chunk at the beginning, and where the next begins, if it is complete.
pub fn chunk(bytes: &[u8]) -> Result<Option<(&[u8], usize)>> {
    let Some(line) = memchr(b'\r', bytes) else {
        return Ok(None);
    };
    let length = usize::from_str_radix(std::str::from_utf8(&bytes[..line])?, 16)?;
    ensure!(length > 0, "the stream ended");
    let end = line + 2 + length + 2;
    Ok(bytes
        .get(line + 2..end)
        .map(|chunk| (&chunk[..length], end)))
}

/// One frame of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A whole text.
    Text(&'a str),
    /// A ping with its payload, to be answered.
    Ping(&'a [u8]),
    /// The answer to one of ours.
    Pong,
}

/// The frame at the beginning, and where the next begins, if it is complete (RFC 6455, section 5.2).
pub fn frame(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>> {
    let (head, length) = match bytes {
        [_, 126, a, b, ..] => (4, usize::from(u16::from_be_bytes([*a, *b]))),
        [_, 127, 0, 0, 0, 0, a, b, c, d, ..] => (10, u32::from_be_bytes([*a, *b, *c, *d]) as usize),
        [_, length @ 0..=125, ..] => (2, usize::from(*length)),
        _ => return Ok(None),
    };
    let Some(payload) = bytes.get(head..head + length) else {
        return Ok(None);
    };
    let frame = match bytes[0] {
        0x81 => Frame::Text(std::str::from_utf8(payload)?),
        0x89 => Frame::Ping(payload),
        0x8a => Frame::Pong,
        first => anyhow::bail!("a frame {first:#x}: {:?}", String::from_utf8_lossy(payload)),
    };
    Ok(Some((frame, head + length)))
}

/// A text as a masked frame. The mask is zero, which is allowed, so that masking costs nothing.
pub fn masked_text(text: &str) -> Vec<u8> {
    masked(0x81, text.as_bytes())
}

/// The answer to a ping.
pub fn pong(payload: &[u8]) -> Vec<u8> {
    masked(0x8a, payload)
}

fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
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
    frame.extend_from_slice(payload);
    frame
}
