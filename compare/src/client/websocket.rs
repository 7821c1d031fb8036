//! A WebSocket (RFC 6455, and RFC 7692 for compression) as a client that receives speaks it.

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, Bytes, BytesMut};
use flate2::{Decompress, FlushDecompress};
use tokio::time::Instant;

use super::message::{Event, Message};
use super::{Connection, Stream, Subscription, Told};
use crate::meter::Meter;

/// Most bytes of a frame, and of a message that is put together or inflated.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Ends what was deflated (RFC 7692, section 7.2.2).
const DEFLATE_TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// The rest of a message.
    Continuation,
    /// Text, or its beginning.
    Text,
    /// The end.
    Close,
    /// Wants a pong.
    Ping,
    /// Answers a ping.
    Pong,
}

impl Opcode {
    fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Text => 1,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }

    fn of(bits: u8) -> Option<Self> {
        [
            Self::Continuation,
            Self::Text,
            Self::Close,
            Self::Ping,
            Self::Pong,
        ]
        .into_iter()
        .find(|opcode| opcode.bits() == bits)
    }
}

/// A frame of the gateway.
#[derive(Debug, PartialEq)]
pub struct Frame {
    /// What it is.
    pub opcode: Opcode,
    /// Whether its message ends with it.
    pub is_last: bool,
    /// Whether its message is compressed.
    pub is_deflated: bool,
    /// What it carries.
    pub payload: Bytes,
}

/// Takes the next frame (RFC 6455, section 5.2); nothing if it is not there yet.
pub fn take_frame(received: &mut BytesMut) -> Result<Option<Frame>> {
    let [first, second, ..] = received[..] else {
        return Ok(None);
    };
    ensure!(second & 0x80 == 0, "the gateway masked a frame");
    ensure!(first & 0x30 == 0, "the gateway set a reserved bit");
    let (head, length) = match second & 0x7f {
        126 if received.len() < 4 => return Ok(None),
        126 => (4, u64::from(u16::from_be_bytes([received[2], received[3]]))),
        127 => match received.get(2..10) {
            // The range has eight bytes.
            Some(bytes) => (
                10,
                bytes
                    .iter()
                    .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
            ),
            None => return Ok(None),
        },
        short => (2, u64::from(short)),
    };
    ensure!(
        length <= MESSAGE_BYTES_MAX as u64,
        "a frame of {length} bytes"
    );
    let end = head + length as usize;
    if received.len() < end {
        return Ok(None);
    }
    let opcode = Opcode::of(first & 0x0f).context("a frame that nobody knows")?;
    received.advance(head);
    let payload = received.split_to(end - head).freeze();
    Ok(Some(Frame {
        opcode,
        is_last: first & 0x80 != 0,
        is_deflated: first & 0x40 != 0,
        payload,
    }))
}

/// A whole frame of a client. The mask is drawn as it comes: it protects old proxies, and there are none here.
pub fn client_frame(opcode: Opcode, payload: &[u8]) -> Bytes {
    let mask = fastrand::u32(..).to_be_bytes();
    let mut frame = Vec::with_capacity(14 + payload.len());
    frame.push(0x80 | opcode.bits());
    match payload.len() {
        short @ 0..126 => frame.push(0x80 | short as u8),
        medium @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&mask);
    frame.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame.into()
}

/// Puts messages together, and inflates them.
#[derive(Debug)]
pub struct Assembly {
    partial: Vec<u8>,
    is_deflated: bool,
    inflate: Decompress,
}

impl Default for Assembly {
    fn default() -> Self {
        Self {
            partial: Vec::new(),
            is_deflated: false,
            inflate: Decompress::new(false),
        }
    }
}

/// A message as it was sent, and how many bytes it had on the wire.
#[derive(Debug, PartialEq)]
pub struct Text {
    /// The text.
    pub text: Bytes,
    /// Its bytes in frames, without their heads.
    pub wire_bytes: usize,
}

impl Assembly {
    /// True between two messages.
    fn is_empty(&self) -> bool {
        self.partial.is_empty()
    }

    /// Adds a frame of text; returns the message if that was its last.
    pub fn add(&mut self, frame: Frame) -> Result<Option<Text>> {
        if frame.opcode == Opcode::Text {
            ensure!(self.partial.is_empty(), "a message began within another");
            self.is_deflated = frame.is_deflated;
            if frame.is_last && !frame.is_deflated {
                let wire_bytes = frame.payload.len();
                return Ok(Some(Text {
                    text: frame.payload,
                    wire_bytes,
                }));
            }
        }
        ensure!(
            self.partial.len() + frame.payload.len() <= MESSAGE_BYTES_MAX,
            "a message of too many fragments"
        );
        self.partial.extend_from_slice(&frame.payload);
        if !frame.is_last {
            return Ok(None);
        }
        let partial = std::mem::take(&mut self.partial);
        let wire_bytes = partial.len();
        let text = if self.is_deflated {
            self.inflated(partial)?
        } else {
            partial
        };
        Ok(Some(Text {
            text: text.into(),
            wire_bytes,
        }))
    }

    /// Every message stands for itself: the gateway takes no context over.
    fn inflated(&mut self, mut deflated: Vec<u8>) -> Result<Vec<u8>> {
        deflated.extend_from_slice(&DEFLATE_TAIL);
        self.inflate.reset(false);
        let mut text = Vec::with_capacity(deflated.len() * 4);
        loop {
            let at = self.inflate.total_in() as usize;
            self.inflate
                .decompress_vec(&deflated[at..], &mut text, FlushDecompress::Sync)?;
            let is_all_read = self.inflate.total_in() as usize == deflated.len();
            if is_all_read && text.len() < text.capacity() {
                return Ok(text);
            }
            ensure!(
                text.len() <= MESSAGE_BYTES_MAX,
                "a message inflates to over {MESSAGE_BYTES_MAX} bytes"
            );
            text.reserve(text.capacity().max(1024));
        }
    }
}

/// Receives until `told` has enough.
pub async fn follow(
    connection: Connection,
    subscription: &Subscription,
    meter: &Arc<Meter>,
    told: &mut impl Told,
) -> Result<()> {
    let mut stream = connection
        .upgrade(&subscription.target("/v1/ws"), subscription.deflate)
        .await?;
    let (mut received, mut assembly) = (BytesMut::new(), Assembly::default());
    loop {
        let bytes = stream
            .read()
            .await?
            .context("the WebSocket ended without a farewell")?;
        let at = Instant::now();
        received.extend_from_slice(&bytes);
        while let Some(frame) = take_frame(&mut received)? {
            match frame.opcode {
                Opcode::Ping => pong(&mut stream, &frame.payload).await?,
                Opcode::Pong => {}
                Opcode::Close => bail!("the gateway closed the WebSocket: {:?}", frame.payload),
                Opcode::Text | Opcode::Continuation => {
                    let Some(text) = assembly.add(frame)? else {
                        continue;
                    };
                    if tell(&text, at, meter, told)?.is_break() {
                        return Ok(());
                    }
                }
            }
        }
        if received.is_empty() && assembly.is_empty() {
            meter.settle();
        }
    }
}

async fn pong(stream: &mut Stream, payload: &[u8]) -> Result<()> {
    stream.write(client_frame(Opcode::Pong, payload)).await
}

fn tell(
    text: &Text,
    at: Instant,
    meter: &Meter,
    told: &mut impl Told,
) -> Result<std::ops::ControlFlow<()>> {
    match Event::read(&text.text)? {
        Event::Welcome(place) => {
            meter.attached();
            told.attached(&place.epoch, place.offset);
        }
        Event::Message(message) => {
            meter.payload(payload_on_the_wire(&message, text));
            return Ok(told.message(at, &message));
        }
        Event::Other => {}
        Event::Bad(kind) => bail!(
            "the gateway sent {kind}: {}",
            String::from_utf8_lossy(&text.text)
        ),
    }
    Ok(std::ops::ControlFlow::Continue(()))
}

/// Of a compressed message the payload has the share that it has of the message.
fn payload_on_the_wire(message: &Message<'_>, text: &Text) -> usize {
    let payload = message.payload().len();
    if text.wire_bytes == text.text.len() {
        return payload;
    }
    payload * text.wire_bytes / text.text.len().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server_frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match payload.len() {
            short @ 0..126 => frame.push(short as u8),
            medium @ 126..65_536 => {
                frame.push(126);
                frame.extend((medium as u16).to_be_bytes());
            }
            long => {
                frame.push(127);
                frame.extend((long as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(payload);
        frame
    }

    #[test]
    fn frames_of_all_lengths_are_taken_whole() {
        for bytes in [0, 125, 126, 65_535, 65_536] {
            let payload = vec![b'x'; bytes];
            let frame = server_frame(0x81, &payload);
            let mut received = BytesMut::new();
            received.extend_from_slice(&frame[..frame.len() - 1]);
            assert_eq!(
                take_frame(&mut received).expect("no error"),
                None,
                "{bytes} bytes, one is missing"
            );
            received.extend_from_slice(&frame[frame.len() - 1..]);
            let taken = take_frame(&mut received)
                .expect("no error")
                .expect("a frame");
            assert_eq!((taken.opcode, taken.payload.len()), (Opcode::Text, bytes));
            assert!(received.is_empty());
        }
    }

    #[test]
    fn fragments_are_put_together() {
        let mut assembly = Assembly::default();
        let mut received = BytesMut::new();
        received.extend_from_slice(&server_frame(0x01, b"hel"));
        received.extend_from_slice(&server_frame(0x80, b"lo"));
        let first = take_frame(&mut received)
            .expect("no error")
            .expect("a frame");
        assert_eq!(assembly.add(first).expect("no error"), None);
        let second = take_frame(&mut received)
            .expect("no error")
            .expect("a frame");
        let text = assembly.add(second).expect("no error").expect("a message");
        assert_eq!((&text.text[..], text.wire_bytes), (&b"hello"[..], 5));
    }

    #[test]
    fn a_compressed_message_is_inflated_and_its_payload_has_its_share() {
        // "Hello" of RFC 7692, section 7.2.3.1, twice: no context is taken over.
        let deflated = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        let mut assembly = Assembly::default();
        for _ in 0..2 {
            let mut received = BytesMut::from(&server_frame(0xc1, &deflated)[..]);
            let frame = take_frame(&mut received)
                .expect("no error")
                .expect("a frame");
            let text = assembly.add(frame).expect("no error").expect("a message");
            assert_eq!((&text.text[..], text.wire_bytes), (&b"Hello"[..], 7));
        }
    }

    #[test]
    fn a_client_masks_what_it_sends() {
        let frame = client_frame(Opcode::Pong, b"abc");
        assert_eq!(&frame[..2], [0x8a, 0x83]);
        let unmasked: Vec<u8> = frame[6..]
            .iter()
            .zip(&frame[2..6])
            .map(|(byte, mask)| byte ^ mask)
            .collect();
        assert_eq!(unmasked, b"abc");
    }
}
