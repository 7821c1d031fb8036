//! Which HTTP a client speaks on a port without TLS: HTTP/2 begins with a preface (RFC 9113, section 3.4), anything else is
//! HTTP/1.1.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// What an HTTP/2 client says first.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What is read at first. Most request heads fit, and hyper then gets them in one piece: a head in two pieces makes it
/// double its buffer, for the life of the connection.
const FIRST_READ_BYTES: usize = 4096;

/// The HTTP that a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1 or 1.0.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
}

/// Reads until it is clear what the client speaks. What was read is read again by whoever takes the stream over.
///
/// # Errors
/// What the connection says.
pub async fn peek<S: AsyncRead + Unpin>(mut io: S) -> io::Result<(Version, Peeked<S>)> {
    let mut seen = Vec::with_capacity(FIRST_READ_BYTES);
    let version = loop {
        let common = seen.len().min(PREFACE.len());
        if seen[..common] != PREFACE[..common] {
            break Version::Http1;
        }
        if common == PREFACE.len() {
            break Version::Http2;
        }
        if io.read_buf(&mut seen).await? == 0 {
            break Version::Http1;
        }
    };
    Ok((version, Peeked::new(io, seen)))
}

/// A stream whose first bytes were looked at.
#[derive(Debug)]
pub struct Peeked<S> {
    io: S,
    seen: Vec<u8>,
    at: usize,
}

impl<S> Peeked<S> {
    /// A stream of which this much was read already, and is to be read again.
    pub fn new(io: S, seen: Vec<u8>) -> Self {
        Self { io, seen, at: 0 }
    }

    /// The stream, and what was looked at and not read since.
    pub fn into_parts(mut self) -> (S, Vec<u8>) {
        self.seen.drain(..self.at);
        (self.io, self.seen)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Peeked<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let me = &mut *self;
        if me.seen.is_empty() {
            return Pin::new(&mut me.io).poll_read(cx, buffer);
        }
        let rest = &me.seen[me.at..];
        let count = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..count]);
        me.at += count;
        if me.at == me.seen.len() {
            me.seen = Vec::new();
            me.at = 0;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Peeked<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    async fn speak(bytes: &[u8], at_once: usize) -> (Version, Vec<u8>) {
        let (ours, mut theirs) = tokio::io::duplex(at_once);
        let bytes = bytes.to_vec();
        tokio::spawn(async move { theirs.write_all(&bytes).await });
        let (version, mut peeked) = peek(ours).await.unwrap();
        let mut all = Vec::new();
        peeked.read_to_end(&mut all).await.unwrap();
        (version, all)
    }

    #[tokio::test]
    async fn the_preface_decides_and_nothing_is_lost() {
        for at_once in [1, 3, 24, 1000] {
            let http2 = [&PREFACE[..], b"frames"].concat();
            assert_eq!(speak(&http2, at_once).await, (Version::Http2, http2));
            for text in [
                "GET / HTTP/1.1\r\n\r\n",
                "PRI * HTTP/1.1\r\n\r\n",
                "P",
                "PRI * HTTP/2.0\r\n\r\nSM\r\n\r!",
                "",
            ] {
                assert_eq!(
                    speak(text.as_bytes(), at_once).await,
                    (Version::Http1, text.into()),
                    "{text:?}"
                );
            }
        }
    }
}
