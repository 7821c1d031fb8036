//! HTTP/1.1 (RFC 9112) as a client speaks it, to the byte.

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::server::Server;
use super::{Answer, Io, refused};
use crate::meter::{Direction, Meter};

/// Most bytes of a head, and of a chunk's size line.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Most header fields of a head.
const FIELDS_MAX: usize = 64;
/// Room for what one read brings.
const READ_BYTES: usize = 16 * 1024;
/// Most bytes of a body that is read whole: a page is at most 1 MiB of messages, or one message that is larger.
const BODY_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// A nonce need not be secret, and with the one of RFC 6455, section 1.3, the answer is known.
const WEBSOCKET_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const WEBSOCKET_ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A connection between two answers.
pub struct Connection {
    wire: Wire,
    /// What stands before each target.
    path: String,
    /// The fields that each request has.
    fields: String,
}

/// The bytes in both directions.
struct Wire {
    io: Box<dyn Io>,
    received: BytesMut,
    meter: Arc<Meter>,
}

/// A head that was read.
#[derive(Debug)]
struct Head {
    status: u16,
    etag: Option<String>,
    accept: Option<String>,
    body: Body,
}

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    /// After so many more bytes.
    Length(u64),
    /// With a chunk of none.
    Chunked(Chunk),
    /// With the connection.
    Rest,
}

/// Where reading stands in a chunked body (RFC 9112, section 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunk {
    Size,
    Data(u64),
    DataEnd,
    End,
}

impl Connection {
    /// A connection over `io`.
    pub fn new(io: Box<dyn Io>, server: &Server, meter: &Arc<Meter>) -> Self {
        let wire = Wire {
            io,
            received: BytesMut::new(),
            meter: Arc::clone(meter),
        };
        let mut fields = format!("Host: {}\r\n", server.host);
        if let Some(token) = &server.token {
            fields.push_str(&format!("Authorization: {}\r\n", token.authorization()));
        }
        Self {
            wire,
            path: server.path.clone(),
            fields,
        }
    }

    /// Gets a target and reads the whole answer.
    pub async fn get(&mut self, target: &str, field: Option<(&str, &str)>) -> Result<Answer> {
        let field = field.map_or(String::new(), |(name, value)| {
            format!("{name}: {value}\r\n")
        });
        self.send(target, &field).await?;
        let mut head = self.wire.head().await?;
        let mut body = BytesMut::new();
        while let Some(bytes) = self.wire.body(&mut head.body).await? {
            ensure!(
                (body.len() + bytes.len()) as u64 <= BODY_BYTES_MAX,
                "a body of over {BODY_BYTES_MAX} bytes"
            );
            body.extend_from_slice(&bytes);
        }
        Ok(Answer {
            status: head.status,
            etag: head.etag,
            body: body.freeze(),
        })
    }

    /// Gets a target whose answer does not end.
    pub async fn stream(mut self, target: &str) -> Result<Stream> {
        self.send(target, "Accept: text/event-stream\r\n").await?;
        let head = self.wire.head().await?;
        if head.status != 200 {
            return Err(refused(target, head.status, &self.wire.received));
        }
        Ok(Stream {
            wire: self.wire,
            body: head.body,
        })
    }

    /// Opens a WebSocket (RFC 6455, section 4.1).
    pub async fn upgrade(mut self, target: &str, deflate: bool) -> Result<Stream> {
        let offer = if deflate {
            "Sec-WebSocket-Extensions: permessage-deflate\r\n"
        } else {
            ""
        };
        let fields = format!(
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {WEBSOCKET_KEY}\r\n{offer}"
        );
        self.send(target, &fields).await?;
        let head = self.wire.head().await?;
        if head.status != 101 {
            return Err(refused(target, head.status, &self.wire.received));
        }
        ensure!(
            head.accept.as_deref() == Some(WEBSOCKET_ACCEPT),
            "the upgrade was not accepted with our key"
        );
        Ok(Stream {
            wire: self.wire,
            body: Body::Rest,
        })
    }

    async fn send(&mut self, target: &str, fields: &str) -> Result<()> {
        let (path, always) = (&self.path, &self.fields);
        let head = format!("GET {path}{target} HTTP/1.1\r\n{always}{fields}\r\n");
        self.wire.meter.request();
        self.wire.meter.headers(Direction::Up, head.len());
        self.wire.write(head.as_bytes()).await
    }
}

impl Wire {
    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.io.write_all(bytes).await?;
        Ok(self.io.flush().await?)
    }

    /// Reads more; false at the end. Cancel safe.
    async fn fill(&mut self) -> Result<bool> {
        self.received.reserve(READ_BYTES);
        Ok(self.io.read_buf(&mut self.received).await? > 0)
    }

    async fn head(&mut self) -> Result<Head> {
        loop {
            if let Some((head, bytes)) = parse_head(&self.received)? {
                self.received.advance(bytes);
                self.meter.headers(Direction::Down, bytes);
                return Ok(head);
            }
            ensure!(
                self.received.len() < HEAD_BYTES_MAX,
                "a head of over {HEAD_BYTES_MAX} bytes"
            );
            ensure!(
                self.fill().await?,
                "the connection ended where an answer was expected"
            );
        }
    }

    /// The next bytes of a body; nothing at its end. Cancel safe: what was read stays.
    async fn body(&mut self, body: &mut Body) -> Result<Option<Bytes>> {
        loop {
            match next_piece(&mut self.received, body)? {
                Piece::Bytes(bytes) => return Ok(Some(bytes)),
                Piece::End => return Ok(None),
                Piece::More => {}
            }
            if !self.fill().await? {
                ensure!(
                    *body == Body::Rest,
                    "the connection ended in the middle of a body"
                );
                return Ok(None);
            }
        }
    }
}

/// What is next in a body.
#[derive(Debug, PartialEq)]
enum Piece {
    Bytes(Bytes),
    End,
    More,
}

fn next_piece(received: &mut BytesMut, body: &mut Body) -> Result<Piece> {
    match body {
        Body::Length(0) => Ok(Piece::End),
        Body::Rest if received.is_empty() => Ok(Piece::More),
        Body::Rest => Ok(Piece::Bytes(received.split().freeze())),
        Body::Length(left) => Ok(take(received, left)),
        Body::Chunked(chunk) => next_of_chunks(received, chunk),
    }
}

fn take(received: &mut BytesMut, left: &mut u64) -> Piece {
    if received.is_empty() {
        return Piece::More;
    }
    let bytes = received
        .len()
        .min(usize::try_from(*left).unwrap_or(usize::MAX));
    *left -= bytes as u64;
    Piece::Bytes(received.split_to(bytes).freeze())
}

fn next_of_chunks(received: &mut BytesMut, chunk: &mut Chunk) -> Result<Piece> {
    loop {
        match chunk {
            Chunk::End => return Ok(Piece::End),
            Chunk::Data(0) => *chunk = Chunk::DataEnd,
            Chunk::Data(left) => return Ok(take(received, left)),
            Chunk::DataEnd => {
                if received.len() < 2 {
                    return Ok(Piece::More);
                }
                ensure!(
                    received.starts_with(b"\r\n"),
                    "a chunk does not end where it said"
                );
                received.advance(2);
                *chunk = Chunk::Size;
            }
            Chunk::Size => match httparse::parse_chunk_size(received) {
                Ok(httparse::Status::Complete((at, 0))) => {
                    // Behind the last chunk stands an empty line: the gateway sends no trailers.
                    if received.len() < at + 2 {
                        return Ok(Piece::More);
                    }
                    ensure!(
                        received[at..].starts_with(b"\r\n"),
                        "trailers are not understood here"
                    );
                    received.advance(at + 2);
                    *chunk = Chunk::End;
                }
                Ok(httparse::Status::Complete((at, size))) => {
                    received.advance(at);
                    *chunk = Chunk::Data(size);
                }
                Ok(httparse::Status::Partial) => return Ok(Piece::More),
                Err(_) => bail!("a chunk without a size"),
            },
        }
    }
}

/// A head and its bytes; nothing if it is not there yet.
fn parse_head(received: &[u8]) -> Result<Option<(Head, usize)>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(bytes) = response
        .parse(received)
        .context("an answer without a head")?
    else {
        return Ok(None);
    };
    // A head that is complete has a status.
    let status = response.code.unwrap_or_default();
    let field = |name: &str| {
        let found = response
            .headers
            .iter()
            .find(|field| field.name.eq_ignore_ascii_case(name));
        found.map(|field| String::from_utf8_lossy(field.value).into_owned())
    };
    let body = match (status, field("transfer-encoding"), field("content-length")) {
        (101, ..) => Body::Rest,
        (204 | 304, ..) => Body::Length(0),
        (_, Some(coding), _) if coding.eq_ignore_ascii_case("chunked") => {
            Body::Chunked(Chunk::Size)
        }
        (_, _, Some(length)) => Body::Length(
            length
                .parse()
                .context("a content-length that is no number")?,
        ),
        _ => Body::Rest,
    };
    let head = Head {
        status,
        etag: field("etag"),
        accept: field("sec-websocket-accept"),
        body,
    };
    Ok(Some((head, bytes)))
}

/// An answer that goes on, or a WebSocket.
pub struct Stream {
    wire: Wire,
    body: Body,
}

impl Stream {
    /// The next bytes; nothing at the end. Cancel safe.
    pub async fn read(&mut self) -> Result<Option<Bytes>> {
        self.wire.body(&mut self.body).await
    }

    /// Sends bytes.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.wire.write(bytes).await
    }

    /// The stream below a WebSocket, with what was received already.
    pub fn into_parts(self) -> (Box<dyn Io>, BytesMut) {
        (self.wire.io, self.wire.received)
    }
}

#[cfg(test)]
mod tests {
    use super::super::server::Token;
    use super::*;

    #[tokio::test]
    async fn a_request_has_the_path_of_the_server_and_its_token() {
        let (near, mut far) = tokio::io::duplex(1024);
        let server = Server {
            path: "/gateway".to_owned(),
            token: Token::parse("abc").ok(),
            ..Server::local(80)
        };
        let mut connection = Connection::new(Box::new(near), &server, &Arc::default());
        connection.send("/v1/poll", "").await.expect("it is sent");
        let mut head = vec![0; 1024];
        let bytes = far.read(&mut head).await.expect("it is read");
        let expected = "GET /gateway/v1/poll HTTP/1.1\r\nHost: localhost:80\r\nAuthorization: Bearer abc\r\n\r\n";
        assert_eq!(String::from_utf8_lossy(&head[..bytes]), expected);
    }

    /// All of a body that comes in pieces of so many bytes.
    fn read(mut body: Body, text: &[u8], step: usize) -> Vec<u8> {
        let (mut received, mut whole) = (BytesMut::new(), Vec::new());
        for piece in text.chunks(step) {
            received.extend_from_slice(piece);
            while let Piece::Bytes(bytes) = next_piece(&mut received, &mut body).expect("a body") {
                whole.extend_from_slice(&bytes);
            }
        }
        assert_eq!(
            next_piece(&mut received, &mut body).expect("a body"),
            Piece::End
        );
        whole
    }

    #[test]
    fn chunks_are_put_together_wherever_they_are_cut() {
        let text = b"5\r\nhello\r\n1\r\n \r\n10\r\n0123456789abcdef\r\n0\r\n\r\n";
        for step in 1..text.len() {
            assert_eq!(
                read(Body::Chunked(Chunk::Size), text, step),
                b"hello 0123456789abcdef",
                "steps of {step}"
            );
        }
    }

    #[test]
    fn a_length_is_kept_to() {
        assert_eq!(read(Body::Length(5), b"hello", 2), b"hello");
        assert_eq!(read(Body::Length(0), b"", 1), b"");
    }

    #[test]
    fn a_chunk_that_lies_about_its_size_is_an_error() {
        let mut received = BytesMut::from(&b"2\r\nhello\r\n"[..]);
        let mut body = Body::Chunked(Chunk::Size);
        assert_eq!(
            next_piece(&mut received, &mut body).expect("two bytes"),
            Piece::Bytes(Bytes::from_static(b"he"))
        );
        assert!(next_piece(&mut received, &mut body).is_err());
    }

    #[test]
    fn a_head_is_measured() {
        let text = b"HTTP/1.1 304 Not Modified\r\nETag: \"k3.7\"\r\n\r\n";
        let (head, bytes) = parse_head(text).expect("a head").expect("a whole head");
        assert_eq!(
            (head.status, head.etag.as_deref(), bytes),
            (304, Some("\"k3.7\""), text.len())
        );
        assert_eq!(head.body, Body::Length(0));
        assert!(
            parse_head(&text[..20])
                .expect("the beginning of a head")
                .is_none()
        );
    }
}
