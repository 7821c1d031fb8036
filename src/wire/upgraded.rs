//! A connection that HTTP let go of.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::guard::GuardedIo;
use super::permit::SocketPermit;
use super::preface::Peeked;

/// A connection as HTTP/1.1 without TLS holds it.
type Plain = Peeked<GuardedIo<TcpStream, SocketPermit>>;
/// A connection as HTTP/1.1 with TLS holds it.
type Encrypted = Peeked<GuardedIo<Box<TlsStream<TcpStream>>, SocketPermit>>;

/// The connection under an upgraded request, with none of the layers that HTTP needs: each write of a WebSocket would go
/// through them, and they are cold. Who takes it over notices a peer that takes nothing.
#[derive(Debug)]
pub struct UpgradedIo {
    io: Io,
    /// Held for its drop: the place among the sockets.
    _permit: Option<SocketPermit>,
}

#[derive(Debug)]
enum Io {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// A stream of an HTTP/2 connection, which keeps the place itself.
    Stream(Box<TokioIo<Upgraded>>),
}

impl UpgradedIo {
    /// Takes the connection back from hyper, with what was read of it beyond the request's head.
    pub fn take(upgraded: Upgraded) -> (Self, Bytes) {
        let upgraded = match upgraded.downcast::<TokioIo<Plain>>() {
            Ok(parts) => {
                let (io, unread) = parts.io.into_inner().into_parts();
                let (tcp, permit) = io.into_parts();
                let me = Self::new(Io::Tcp(tcp), Some(permit));
                return (me, joined(&unread, parts.read_buf));
            }
            Err(upgraded) => upgraded,
        };
        match upgraded.downcast::<TokioIo<Encrypted>>() {
            Ok(parts) => {
                let (io, unread) = parts.io.into_inner().into_parts();
                let (tls, permit) = io.into_parts();
                let me = Self::new(Io::Tls(tls), Some(permit));
                (me, joined(&unread, parts.read_buf))
            }
            Err(upgraded) => {
                let stream = Box::new(TokioIo::new(upgraded));
                (Self::new(Io::Stream(stream), None), Bytes::new())
            }
        }
    }

    fn new(io: Io, permit: Option<SocketPermit>) -> Self {
        Self {
            io,
            _permit: permit,
        }
    }
}

/// What was read beyond the request's head. What the peek has left came before what hyper read.
fn joined(unread: &[u8], read: Bytes) -> Bytes {
    if unread.is_empty() {
        read
    } else {
        [unread, &read[..]].concat().into()
    }
}

/// Does the same with whatever is there.
macro_rules! with_io {
    ($me:ident, $io:ident => $do:expr) => {
        match &mut $me.io {
            Io::Tcp(io) => {
                let $io = Pin::new(io);
                $do
            }
            Io::Tls(io) => {
                let $io = Pin::new(io);
                $do
            }
            Io::Stream(io) => {
                let $io = Pin::new(io);
                $do
            }
        }
    };
}

impl AsyncRead for UpgradedIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        with_io!(self, io => io.poll_read(cx, buffer))
    }
}

impl AsyncWrite for UpgradedIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        with_io!(self, io => io.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        with_io!(self, io => io.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Tcp(io) => io.is_write_vectored(),
            Io::Tls(io) => io.is_write_vectored(),
            Io::Stream(io) => io.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with_io!(self, io => io.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with_io!(self, io => io.poll_shutdown(cx))
    }
}
