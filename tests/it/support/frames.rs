//! HTTP/2 without a library, to say what no library says.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::within;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const CONTINUATION: u8 = 9;

pub const ACK: u8 = 1;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub const NO_ERROR: u32 = 0;
pub const REFUSED_STREAM: u32 = 7;
pub const CANCEL: u32 = 8;

/// A frame (RFC 9113, section 4.1).
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The error code of a reset, or of a farewell.
    pub fn error(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().expect("4 bytes"))
    }
}

/// A connection whose frames are bytes. It answers pings and settings when it reads.
pub struct Frames {
    pub stream: TcpStream,
}

impl Frames {
    /// Connects, and says the preface with a client's settings.
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address)
            .await
            .expect("the gateway listens");
        let mut frames = Self { stream };
        frames.send(PREFACE).await;
        frames.send(&frame(SETTINGS, 0, 0, b"")).await;
        frames
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        let sent = within("the gateway to take bytes", self.stream.write_all(bytes)).await;
        sent.expect("the gateway reads");
    }

    /// The next frame that is no acknowledgement of ours; nothing at the end.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            let frame = within("a frame, or the gateway to close", read(&mut self.stream)).await?;
            match frame.kind {
                SETTINGS if frame.flags & ACK != 0 => {}
                SETTINGS => self.answer(SETTINGS, b"").await,
                PING if frame.flags & ACK == 0 => self.answer(PING, &frame.payload).await,
                _ => return Some(frame),
            }
        }
    }

    async fn answer(&mut self, kind: u8, payload: &[u8]) {
        // A gateway that has closed its side already reads no answer.
        let _ = self.stream.write_all(&frame(kind, ACK, 0, payload)).await;
    }

    /// Reads up to a frame of a kind.
    pub async fn until(&mut self, kind: u8) -> Frame {
        loop {
            match self.next().await {
                Some(frame) if frame.kind == kind => return frame,
                Some(_) => {}
                None => panic!("closed while a frame of type {kind} was expected"),
            }
        }
    }

    /// True if the connection answers a ping; false if it was ended, with a farewell or without.
    pub async fn is_alive(&mut self) -> bool {
        let ping = frame(PING, 0, 0, b"alive? 1");
        if self.stream.write_all(&ping).await.is_err() {
            return false;
        }
        while let Some(frame) = self.next().await {
            match frame.kind {
                GOAWAY => return false,
                PING if frame.payload == b"alive? 1" => return true,
                _ => {}
            }
        }
        false
    }
}

/// Reads one frame.
pub async fn read(stream: &mut (impl AsyncReadExt + Unpin)) -> Option<Frame> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; length as usize];
    stream.read_exact(&mut payload).await.ok()?;
    Some(Frame {
        kind: head[3],
        flags: head[4],
        stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
        payload,
    })
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame of a test is short");
    let mut frame = length.to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The head of a request that has no body.
pub fn get(stream: u32, target: &str) -> Vec<u8> {
    frame(
        HEADERS,
        END_STREAM | END_HEADERS,
        stream,
        &head(0x82, target),
    )
}

/// The head of a request whose body follows.
pub fn post(stream: u32, target: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &head(0x83, target))
}

/// A field block (RFC 7541): the method and the scheme from the static table, path and authority as they are.
pub fn head(method: u8, target: &str) -> Vec<u8> {
    let mut block = vec![method, 0x86];
    for (index, value) in [(0x04, target), (0x01, "localhost")] {
        let length = u8::try_from(value.len())
            .ok()
            .filter(|length| *length < 127);
        block.extend([index, length.expect("a short value")]);
        block.extend(value.as_bytes());
    }
    block
}

pub fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
}
