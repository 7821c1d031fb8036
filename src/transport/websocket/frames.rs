//! How a message becomes frames: whole, in fragments, compressed. Each form is made at most once for all sockets.

use bytes::Bytes;

use super::deflate::deflate;
use crate::bus::Publication;
use crate::bus::publication::{Frames, frame_head};
use crate::config;
use crate::protocol::printed::{Pieces, Printed};

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
/// The opcode of a text frame (RFC 6455, section 11.8).
pub const TEXT: u8 = 1;
/// The opcode of a binary frame.
pub const BINARY: u8 = 2;

/// How one socket wants its frames.
#[derive(Debug, Clone, Copy)]
pub struct Framing {
    /// Messages over this many bytes are fragmented.
    pub fragment_bytes: usize,
    /// Messages of so many bytes are compressed, from the least to the most, if the client takes that.
    pub deflate_bytes: Option<(usize, usize)>,
}

impl Framing {
    /// The framing of a socket whose client takes compressed frames, or not.
    pub fn new(config: &config::WebSocket, takes_deflated: bool) -> Self {
        Self {
            fragment_bytes: config.fragment_bytes,
            deflate_bytes: takes_deflated
                .then_some((config.deflate_bytes_min, config.deflate_bytes_max)),
        }
    }

    /// Hands the frames of a message to `push`. Returns how many bytes of encodings were made and are kept from now on.
    pub fn publication(&self, publication: &Publication, mut push: impl FnMut(Bytes)) -> usize {
        let json = publication.json();
        let mut made = 0;
        if self.is_deflated(json.len()) {
            let frames = publication
                .deflated
                .get_or_init(|| note(&mut made, self.deflated(json)));
            if !frames.is_empty() {
                frames.iter().cloned().for_each(push);
                return made;
            }
        }
        if json.len() <= self.fragment_bytes {
            push(publication.websocket_frame());
            return made;
        }
        let split = || split(TEXT, json, self.fragment_bytes);
        let frames = publication
            .fragments
            .get_or_init(|| note(&mut made, split()));
        frames.iter().cloned().for_each(push);
        made
    }

    /// The frames of a message that only this socket gets.
    pub fn message(&self, opcode: u8, payload: &[u8]) -> Frames {
        if self.is_deflated(payload.len()) {
            let deflated = deflate(payload);
            if deflated.len() < payload.len() {
                return split(opcode | RSV1, &deflated, self.fragment_bytes);
            }
        }
        split(opcode, payload, self.fragment_bytes)
    }

    /// True if a message of so many bytes is compressed, should that make it shorter.
    pub fn is_deflated(&self, bytes: usize) -> bool {
        self.deflate_bytes
            .is_some_and(|(least, most)| (least..=most).contains(&bytes))
    }

    /// Compressed frames, or none if that gains nothing.
    fn deflated(&self, json: &[u8]) -> Frames {
        let deflated = deflate(json);
        if deflated.len() >= json.len() {
            return Frames::default();
        }
        split(TEXT | RSV1, &deflated, self.fragment_bytes)
    }
}

fn note(made: &mut usize, frames: Frames) -> Frames {
    *made += frames.iter().map(Bytes::len).sum::<usize>();
    frames
}

/// A close frame (RFC 6455, section 5.5.1). Reasons are codes of the table, well below the 123 bytes that fit.
pub fn close_frame(code: u16, reason: &str) -> Bytes {
    let head = [0x88, 2 + reason.len() as u8];
    [&head[..], &code.to_be_bytes(), reason.as_bytes()]
        .concat()
        .into()
}

/// An empty ping (RFC 6455, section 5.5.2).
pub fn ping_frame() -> Bytes {
    Bytes::from_static(&[0x89, 0])
}

/// How much of a long page is copied at a time.
const PAGE_FRAME_BYTES_MAX: usize = 16 * 1024;

/// A page as frames that are made when they are asked for: the messages in it are those of the channel until then.
pub fn of_page(page: Printed, fragment_bytes: usize) -> impl Iterator<Item = Bytes> + Send {
    let mut page = Pieces::from(page);
    let mut opcode = TEXT;
    std::iter::from_fn(move || {
        if page.is_empty() {
            return None;
        }
        let payload = page.take(fragment_bytes.min(PAGE_FRAME_BYTES_MAX));
        let fin = if page.is_empty() { FIN } else { 0 };
        let (head, head_bytes) = frame_head(std::mem::take(&mut opcode) | fin, payload.len());
        Some([&head[..head_bytes], &payload].concat().into())
    })
}

/// Frames of at most `fragment_bytes` of payload. The opcode and RSV1 stand on the first one, FIN on the last one (RFC 6455,
/// section 5.4; RFC 7692, section 6). All of them are slices of one buffer.
fn split(first: u8, payload: &[u8], fragment_bytes: usize) -> Frames {
    let count = payload.len().div_ceil(fragment_bytes).max(1);
    let mut buffer = Vec::with_capacity(payload.len() + count * 10);
    let mut ends = Vec::with_capacity(count);
    for i in 0..count {
        let chunk = &payload[i * fragment_bytes..payload.len().min((i + 1) * fragment_bytes)];
        let opcode = if i == 0 { first } else { 0 };
        let fin = if i + 1 == count { FIN } else { 0 };
        let (head, head_bytes) = frame_head(opcode | fin, chunk.len());
        buffer.extend_from_slice(&head[..head_bytes]);
        buffer.extend_from_slice(chunk);
        ends.push(buffer.len());
    }
    let buffer = Bytes::from(buffer);
    let begins = std::iter::once(0).chain(ends.iter().copied());
    begins
        .zip(&ends)
        .map(|(begin, end)| buffer.slice(begin..*end))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_one_message_in_frames() {
        let mut page = Pieces::default();
        for piece in ["abc", "de"] {
            page.push(piece.into());
        }
        let frames: Vec<Bytes> = of_page(Printed::Pieces(page), 2).collect();
        assert_eq!(frames, ["\x01\x02ab".as_bytes(), b"\0\x02cd", b"\x80\x01e"]);
    }

    #[test]
    fn fragments_carry_the_opcode_first_and_fin_last() {
        let heads = |payload: &[u8]| {
            split(TEXT | RSV1, payload, 4)
                .iter()
                .map(|frame| frame[0])
                .collect::<Vec<_>>()
        };
        assert_eq!(heads(b""), [0xc1]);
        assert_eq!(heads(b"1234"), [0xc1]);
        assert_eq!(heads(b"12345"), [0x41, 0x80]);
        assert_eq!(heads(b"123456789"), [0x41, 0x00, 0x80]);
        let frames = split(TEXT, b"123456789", 4);
        assert_eq!(
            frames.iter().map(|frame| &frame[2..]).collect::<Vec<_>>(),
            [&b"1234"[..], b"5678", b"9"]
        );
    }
}
