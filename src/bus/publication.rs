//! One published message, encoded once for every transport.

use std::io::Write;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::name::{ChannelName, UserName};

/// What a publisher wants to say, checked and ready to be given an offset.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Who says it, as a JSON string with its quotes; nothing for an anonymous publisher.
    pub from: Option<Arc<str>>,
    /// What is said.
    pub payload: Payload,
    /// Makes a repeated publish return the first answer.
    pub key: Option<Key>,
}

/// A payload as JSON text, in the form in which every subscriber gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// Compact JSON, delivered as `"data"`.
    Json(Bytes),
    /// Bytes as a JSON string of base64, delivered as `"base64"`.
    Base64(Bytes),
}

impl Payload {
    /// The JSON text.
    pub fn text(&self) -> &Bytes {
        match self {
            Self::Json(text) | Self::Base64(text) => text,
        }
    }

    fn field(&self) -> &'static str {
        match self {
            Self::Json(_) => "data",
            Self::Base64(_) => "base64",
        }
    }
}

/// An `Idempotency-Key` with the principal it belongs to, and a digest that tells another payload apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Principal and key in one, separated by a byte that neither can hold.
    pub id: Arc<str>,
    /// SHA-256 of the payload.
    pub digest: [u8; 32],
}

impl Key {
    /// The same key, for one of many users whose messages go the same way.
    pub(super) fn of(&self, user: &UserName) -> Self {
        Self {
            id: format!("{}\n{}", self.id, user.as_str()).into(),
            digest: self.digest,
        }
    }
}

/// A message with its place in the channel.
///
/// One buffer holds all plain wire forms, because they overlap: the head of a WebSocket frame, the JSON, and the empty
/// line that ends an SSE event. Each form is a slice of it, shared by all subscribers.
#[derive(Debug)]
pub struct Publication {
    /// Its place in the channel, from 1.
    pub offset: u64,
    /// When it was published, in milliseconds since 1970.
    pub time_ms: u64,
    wire: Bytes,
    frame_head_bytes: u8,
    /// The message as compressed WebSocket frames; empty if they would be no shorter. Made by the transport, once.
    pub deflated: OnceLock<Frames>,
    /// The message as several WebSocket frames, if it is long. Made by the transport, once.
    pub fragments: OnceLock<Frames>,
}

/// Whole WebSocket frames, in order.
pub type Frames = Box<[Bytes]>;

/// The first byte of a text frame that is a whole message.
pub const FINAL_TEXT: u8 = 0x81;
/// What ends an SSE event.
const SSE_END: &[u8] = b"\n\n";
/// The longest head of a frame that a server sends (RFC 6455, section 5.2).
const FRAME_HEAD_BYTES_MAX: usize = 10;

impl Publication {
    /// Encodes a draft that was given an offset.
    pub fn encode(channel: &ChannelName, offset: u64, time_ms: u64, draft: &Draft) -> Self {
        let text = draft.payload.text();
        let from_bytes = draft.from.as_ref().map_or(0, |from| from.len());
        let mut buffer = Vec::with_capacity(
            FRAME_HEAD_BYTES_MAX + channel.as_str().len() + from_bytes + text.len() + 112,
        );
        // The head's length depends on the length of the JSON, so it is written last, just before the JSON.
        buffer.extend_from_slice(&[0; FRAME_HEAD_BYTES_MAX]);
        write_json(&mut buffer, channel, offset, time_ms, draft);
        let (head, head_bytes) = frame_head(FINAL_TEXT, buffer.len() - FRAME_HEAD_BYTES_MAX);
        let start = FRAME_HEAD_BYTES_MAX - head_bytes;
        buffer[start..FRAME_HEAD_BYTES_MAX].copy_from_slice(&head[..head_bytes]);
        buffer.extend_from_slice(SSE_END);
        buffer.shrink_to_fit();
        Self {
            offset,
            time_ms,
            wire: Bytes::from(buffer).slice(start..),
            frame_head_bytes: head_bytes as u8,
            deflated: OnceLock::new(),
            fragments: OnceLock::new(),
        }
    }

    /// The message as JSON, the same on every transport.
    pub fn json(&self) -> &[u8] {
        &self.wire[usize::from(self.frame_head_bytes)..self.wire.len() - SSE_END.len()]
    }

    /// The same, shared.
    pub fn shared_json(&self) -> Bytes {
        let end = self.wire.len() - SSE_END.len();
        self.wire.slice(usize::from(self.frame_head_bytes)..end)
    }

    /// The message as one unmasked text frame (RFC 6455, section 5.2), shared.
    pub fn websocket_frame(&self) -> Bytes {
        self.wire.slice(..self.wire.len() - SSE_END.len())
    }

    /// The value of an SSE `data:` line and the end of its event.
    pub fn sse_data(&self) -> &[u8] {
        &self.wire[usize::from(self.frame_head_bytes)..]
    }

    /// The same, shared.
    pub fn shared_sse_data(&self) -> Bytes {
        self.wire.slice(usize::from(self.frame_head_bytes)..)
    }

    /// What it costs to keep when it is new, in bytes: the encodings and the book-keeping around them. What transports add
    /// is charged when they do.
    pub fn kept_bytes(&self) -> usize {
        const BOOK_KEEPING_BYTES: usize = 192;
        self.wire.len() + BOOK_KEEPING_BYTES
    }
}

fn write_json(
    buffer: &mut Vec<u8>,
    channel: &ChannelName,
    offset: u64,
    time_ms: u64,
    draft: &Draft,
) {
    // Writing to a Vec cannot fail, and a channel's name never needs escaping.
    let _ = write!(
        buffer,
        r#"{{"type":"message","channel":"{channel}","offset":{offset},"time":{time_ms}"#
    );
    if let Some(from) = &draft.from {
        buffer.extend_from_slice(br#","from":"#);
        buffer.extend_from_slice(from.as_bytes());
    }
    let _ = write!(buffer, r#","{}":"#, draft.payload.field());
    buffer.extend_from_slice(draft.payload.text());
    buffer.push(b'}');
}

/// The head of an unmasked frame and its length (RFC 6455, section 5.2). `first` holds FIN, the reserved bits and the opcode.
pub fn frame_head(first: u8, payload_bytes: usize) -> ([u8; FRAME_HEAD_BYTES_MAX], usize) {
    let mut head = [0; FRAME_HEAD_BYTES_MAX];
    head[0] = first;
    match payload_bytes {
        0..=125 => {
            head[1] = payload_bytes as u8;
            (head, 2)
        }
        126..=0xffff => {
            head[1] = 126;
            head[2..4].copy_from_slice(&(payload_bytes as u16).to_be_bytes());
            (head, 4)
        }
        _ => {
            head[1] = 127;
            head[2..].copy_from_slice(&(payload_bytes as u64).to_be_bytes());
            (head, 10)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(payload: Payload) -> Publication {
        let draft = Draft {
            from: Some("\"al\\\"ice\"".into()),
            payload,
            key: None,
        };
        Publication::encode(
            &ChannelName::parse("news").unwrap(),
            182,
            1_763_800_000_123,
            &draft,
        )
    }

    #[test]
    fn a_message_is_the_documented_json() {
        let publication = encode(Payload::Json(Bytes::from_static(br#"{"n":1}"#)));
        let json = r#"{"type":"message","channel":"news","offset":182,"time":1763800000123,"from":"al\"ice","data":{"n":1}}"#;
        assert_eq!(std::str::from_utf8(publication.json()), Ok(json));
        assert_eq!(publication.sse_data(), format!("{json}\n\n").as_bytes());
        assert_eq!(&publication.websocket_frame()[2..], json.as_bytes());
    }

    #[test]
    fn frame_heads_follow_the_three_length_forms() {
        for (payload_bytes, head_bytes, second) in
            [(10, 2, None), (200, 4, Some(126)), (70_000, 10, Some(127))]
        {
            let text = format!("\"{}\"", "x".repeat(payload_bytes));
            let publication = encode(Payload::Base64(Bytes::from(text)));
            let frame = publication.websocket_frame();
            let json_bytes = publication.json().len();
            let head_bytes = if json_bytes > 125 {
                head_bytes.max(4)
            } else {
                head_bytes
            };
            assert_eq!(frame.len(), head_bytes + json_bytes);
            assert_eq!(frame[0], 0x81);
            assert_eq!(
                frame[1],
                second.unwrap_or(if json_bytes > 125 {
                    126
                } else {
                    json_bytes as u8
                })
            );
        }
        for boundary in [125usize, 126, 65_535, 65_536] {
            let (head, len) = frame_head(FINAL_TEXT, boundary);
            let declared = match head[1] {
                126 => u16::from_be_bytes([head[2], head[3]]) as usize,
                127 => u64::from_be_bytes(head[2..10].try_into().unwrap()) as usize,
                short => short as usize,
            };
            assert_eq!(declared, boundary);
            assert_eq!(
                len,
                [2, 4, 4, 10][[125, 126, 65_535, 65_536]
                    .iter()
                    .position(|b| *b == boundary)
                    .unwrap()]
            );
        }
    }
}
