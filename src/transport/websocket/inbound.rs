//! What comes in, before tungstenite sees it: masking is enforced, compressed messages are inflated, and long frames are
//! passed on in short pieces, so that tungstenite's buffer stays small. tungstenite keeps the rest of RFC 6455: fragments,
//! control frames, UTF-8.
//!
//! Between messages it holds no memory.

mod held;

use std::io::Cursor;

use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::deflate::{InflateError, inflate};
use super::gone::Gone;
use crate::aside::aside;
use crate::bus::publication::frame_head;
use crate::limits::{Inlet, Share};
use held::Held;

/// The payload of the frames that tungstenite gets, one at each read. It makes room for a payload beyond what its buffer
/// holds of it already, so with a third of the buffer it never grows.
const PIECE_BYTES: usize = 160;
/// Decoding pauses when this much waits for tungstenite, so that a few bytes of compressed messages do not become many.
const READY_BYTES: usize = 4096;
/// How much a message grows when it is inflated, at an ordinary guess.
const INFLATED_TIMES: usize = 64;
/// The longest payload of a control frame (RFC 6455, section 5.5).
const CONTROL_BYTES_MAX: u64 = 125;

/// The inbound half of a WebSocket.
#[derive(Debug)]
pub struct Inbound {
    /// What came in and was not decoded yet.
    raw: Vec<u8>,
    raw_at: usize,
    /// What is decoded and waits for tungstenite.
    ready: Vec<u8>,
    ready_at: usize,
    /// What tungstenite has not got yet of the frame at `ready_at`.
    ready_left: usize,
    frame: Option<Frame>,
    /// True if tungstenite has a part of a message.
    is_open: bool,
    /// A compressed message that is not complete: its opcode and what there is of it.
    compressed: Option<(u8, Vec<u8>)>,
    takes_deflate: bool,
    message_bytes_max: usize,
    held: Held,
    /// What the client did wrong after what is ready.
    fault: Option<Gone>,
}

/// A frame of a message whose payload is coming in.
#[derive(Debug)]
struct Frame {
    left: u64,
    mask: [u8; 4],
    mask_at: usize,
    fin: bool,
    /// The opcode of the next piece: that of the frame, then continuation.
    opcode: u8,
    compressed: bool,
}

impl Inbound {
    /// Nothing came in yet.
    pub fn new(takes_deflate: bool, message_bytes_max: usize, inlet: Inlet) -> Self {
        Self {
            raw: Vec::new(),
            raw_at: 0,
            ready: Vec::new(),
            ready_at: 0,
            ready_left: 0,
            frame: None,
            is_open: false,
            compressed: None,
            takes_deflate,
            message_bytes_max,
            held: Held::new(inlet),
            fault: None,
        }
    }

    /// True between messages, when nothing that came in waits to be handed out.
    pub fn is_at_rest(&self) -> bool {
        let is_handed_out = self.raw_at == self.raw.len() && self.ready_at == self.ready.len();
        is_handed_out && !self.is_within_message() && self.fault.is_none()
    }

    /// True while a part of a message is there, beyond a head that is not complete.
    pub fn is_within_message(&self) -> bool {
        self.frame.is_some() || self.compressed.is_some() || self.is_open
    }

    /// Takes in what was read.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.raw.drain(..self.raw_at);
        self.raw_at = 0;
        self.raw.extend_from_slice(bytes);
    }

    /// What a message of so many bytes, which was handed out just now, takes of the room for all. Keep it until the message is
    /// handled.
    pub fn take_share(&mut self, message_bytes: usize) -> Option<Box<Share>> {
        self.held.take_complete(message_bytes)
    }

    /// Moves decoded bytes to `output`, and says how many.
    ///
    /// # Errors
    /// What the client did wrong.
    pub fn take(&mut self, output: &mut impl bytes::BufMut) -> Result<usize, Gone> {
        while self.ready_at == self.ready.len() {
            self.ready.clear();
            self.ready_at = 0;
            if !self.decode()? {
                self.release();
                return Ok(0);
            }
        }
        let ready = &self.ready[self.ready_at..];
        if self.ready_left == 0 {
            self.ready_left = piece_bytes(ready);
        }
        let count = self.ready_left.min(output.remaining_mut());
        output.put_slice(&ready[..count]);
        self.ready_at += count;
        self.ready_left -= count;
        Ok(count)
    }

    /// Gives back what is not needed while nothing comes in.
    fn release(&mut self) {
        self.ready = Vec::new();
        if self.raw_at == self.raw.len() {
            self.raw = Vec::new();
            self.raw_at = 0;
        }
    }

    /// Decodes until something is ready for tungstenite. False if more has to come in first.
    fn decode(&mut self) -> Result<bool, Gone> {
        if let Some(gone) = self.fault {
            return Err(gone);
        }
        self.held.handed_out();
        // A message with a share is the last one that is decoded at a time, so it is clear whose share it is.
        while self.ready.len() < READY_BYTES && !self.held.has_complete() {
            let went_on = match self.frame.take() {
                Some(frame) => self.payload(frame),
                None => self.head(),
            };
            match went_on {
                Ok(true) => {}
                Ok(false) => break,
                // What came before the fault is a good message, and is passed on first.
                Err(gone) if !self.ready.is_empty() => {
                    self.fault = Some(gone);
                    break;
                }
                Err(gone) => return Err(gone),
            }
        }
        Ok(!self.ready.is_empty())
    }

    /// Reads the head of a frame; of a control frame, the whole.
    fn head(&mut self) -> Result<bool, Gone> {
        let rest = &self.raw[self.raw_at..];
        let mut cursor = Cursor::new(rest);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|_| Gone::Misbehaved(1002))?;
        let Some((header, length)) = parsed else {
            return Ok(false);
        };
        let head_bytes = cursor.position() as usize;
        let Some(mask) = header.mask else {
            return Err(Gone::Misbehaved(1002));
        };
        match header.opcode {
            OpCode::Control(control) => {
                if length > CONTROL_BYTES_MAX
                    || header.rsv1
                    || header.rsv2
                    || header.rsv3
                    || !header.is_final
                {
                    return Err(Gone::Misbehaved(1002));
                }
                self.control(control, head_bytes, length as usize, mask)
            }
            OpCode::Data(data) => {
                let frame = self.data_frame(&header, data, length, mask)?;
                self.raw_at += head_bytes;
                self.frame = Some(frame);
                Ok(true)
            }
        }
    }

    fn control(
        &mut self,
        control: Control,
        head_bytes: usize,
        length: usize,
        mask: [u8; 4],
    ) -> Result<bool, Gone> {
        let begin = self.raw_at + head_bytes;
        if self.raw.len() < begin + length {
            return Ok(false);
        }
        let payload = &mut self.raw[begin..begin + length];
        unmask(payload, mask, 0);
        let (head, head_bytes) = frame_head(0x80 | u8::from(OpCode::Control(control)), length);
        self.ready.extend_from_slice(&head[..head_bytes]);
        self.ready.extend_from_slice(payload);
        self.raw_at = begin + length;
        Ok(true)
    }

    /// Checks the head of a frame of a message. What tungstenite checks anyway is left to it.
    fn data_frame(
        &mut self,
        header: &FrameHeader,
        data: Data,
        length: u64,
        mask: [u8; 4],
    ) -> Result<Frame, Gone> {
        let continues = matches!(data, Data::Continue);
        // RSV1 stands on the first frame of a compressed message only (RFC 7692, section 6).
        let misplaced = header.rsv1 && (continues || !self.takes_deflate);
        let interrupts = self.compressed.is_some() && !continues;
        if misplaced || interrupts || header.rsv2 || header.rsv3 {
            return Err(Gone::Misbehaved(1002));
        }
        let so_far = self.compressed.as_ref().map_or(0, |(_, bytes)| bytes.len());
        let bytes_max = if header.rsv1 || self.compressed.is_some() {
            deflated_bytes_max(self.message_bytes_max)
        } else {
            self.message_bytes_max
        };
        if length > bytes_max.saturating_sub(so_far) as u64 {
            return Err(Gone::TooLarge);
        }
        let opcode = u8::from(OpCode::Data(data));
        if header.rsv1 {
            self.compressed = Some((opcode, Vec::new()));
        }
        let compressed = self.compressed.is_some();
        Ok(Frame {
            left: length,
            mask,
            mask_at: 0,
            fin: header.is_final,
            opcode,
            compressed,
        })
    }

    /// Passes on what there is of a frame's payload.
    fn payload(&mut self, mut frame: Frame) -> Result<bool, Gone> {
        let available = (self.raw.len() - self.raw_at) as u64;
        if frame.left > 0 && available == 0 {
            self.frame = Some(frame);
            return Ok(false);
        }
        let limit = if frame.compressed {
            u64::MAX
        } else {
            PIECE_BYTES as u64
        };
        let count = frame.left.min(available).min(limit) as usize;
        let chunk = &mut self.raw[self.raw_at..self.raw_at + count];
        unmask(chunk, frame.mask, frame.mask_at);
        frame.mask_at += count;
        frame.left -= count as u64;
        self.held
            .grow(count, self.message_bytes_max)
            .map_err(Gone::Full)?;
        let ends = frame.left == 0;
        match &mut self.compressed {
            Some((_, bytes)) => bytes.extend_from_slice(chunk),
            None => {
                let completes = ends && frame.fin;
                push_piece(&mut self.ready, frame.opcode, completes, chunk);
                self.is_open = !completes;
            }
        }
        self.raw_at += count;
        if !ends {
            frame.opcode = 0;
            self.frame = Some(frame);
        } else if frame.fin {
            self.inflate()?;
            self.held.complete();
        }
        Ok(true)
    }

    /// Passes on the compressed message that is complete now, if there is one.
    fn inflate(&mut self) -> Result<(), Gone> {
        let Some((opcode, bytes)) = self.compressed.take() else {
            return Ok(());
        };
        let bytes_max = self.message_bytes_max;
        // A few bytes may become a large message.
        let work_bytes = bytes.len().saturating_mul(INFLATED_TIMES).min(bytes_max);
        let held = &mut self.held;
        let message = aside(work_bytes, || {
            inflate(&bytes, bytes_max, &mut |bytes| {
                held.hold(bytes.min(bytes_max))
            })
        });
        let message = message.map_err(|error| match error {
            InflateError::TooLarge => Gone::TooLarge,
            InflateError::Corrupt => Gone::Misbehaved(1007),
            InflateError::Full(counted) => Gone::Full(counted),
        })?;
        held.shrink(message.len());
        let count = message.len().div_ceil(PIECE_BYTES).max(1);
        for i in 0..count {
            let piece = &message[i * PIECE_BYTES..message.len().min((i + 1) * PIECE_BYTES)];
            push_piece(
                &mut self.ready,
                if i == 0 { opcode } else { 0 },
                i + 1 == count,
                piece,
            );
        }
        Ok(())
    }
}

/// The most that a message of so many bytes takes when it is compressed: what cannot be compressed grows a little.
fn deflated_bytes_max(message_bytes: usize) -> usize {
    message_bytes + message_bytes / 8 + 64
}

/// Adds an unmasked frame.
fn push_piece(ready: &mut Vec<u8>, opcode: u8, fin: bool, payload: &[u8]) {
    let (head, head_bytes) = frame_head(opcode | if fin { 0x80 } else { 0 }, payload.len());
    ready.extend_from_slice(&head[..head_bytes]);
    ready.extend_from_slice(payload);
}

/// The length of the unmasked frame at the beginning, with its head.
fn piece_bytes(ready: &[u8]) -> usize {
    match ready {
        [_, 126, high, low, ..] => 4 + usize::from(u16::from_be_bytes([*high, *low])),
        [_, length, ..] => 2 + usize::from(*length),
        // There is always a whole frame; less is passed on as it is.
        _ => ready.len(),
    }
}

/// Takes the mask off (RFC 6455, section 5.3). `at` is how much of the payload came before.
fn unmask(bytes: &mut [u8], mask: [u8; 4], at: usize) {
    let mask = [
        mask[at % 4],
        mask[(at + 1) % 4],
        mask[(at + 2) % 4],
        mask[(at + 3) % 4],
    ];
    for chunk in bytes.chunks_mut(4) {
        chunk
            .iter_mut()
            .zip(mask)
            .for_each(|(byte, key)| *byte ^= key);
    }
}

#[cfg(test)]
pub(super) mod tests;
