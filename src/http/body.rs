//! The bodies of answers: all at once, or a stream that never ends by itself.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::protocol::printed::{Pieces, Printed};
use crate::transport::sse::SseStream;

use super::pages::FileBody;

/// How much is handed out at a time. Over HTTP/2 what was handed out waits in a queue until the client's window opens, and a
/// client that takes nothing is noticed between two chunks.
const CHUNK_BYTES: usize = 16 * 1024;

/// The body of an answer.
#[derive(Debug)]
pub enum Body {
    /// Everything is there, or nothing.
    Full(Bytes),
    /// A page of more than a chunk.
    Page(Box<Pieces>),
    /// An event stream.
    Sse(Box<SseStream>),
    /// A file.
    File(Box<FileBody>),
}

/// Marks an answer after which the client should come back by another connection: it was sent elsewhere, and a balancer may
/// choose anew for connections only.
#[derive(Debug, Clone, Copy)]
pub struct SentAway;

impl Body {
    /// No body.
    pub fn empty() -> Self {
        Self::full(Bytes::new())
    }

    /// A body that is all there.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self::Full(bytes.into())
    }

    /// A page.
    pub fn page(json: Printed) -> Self {
        match json {
            Printed::Whole(json) => Self::Full(json),
            Printed::Pieces(json) => Self::Page(Box::new(json)),
        }
    }

    /// True after a body with which the client was sent elsewhere.
    pub fn is_sent_away(&self) -> bool {
        matches!(self, Self::Sse(stream) if stream.is_sent_away())
    }

    /// True for an event stream.
    pub fn is_stream(&self) -> bool {
        matches!(self, Self::Sse(_))
    }

    /// Takes an event stream away, and leaves an empty body.
    pub fn take_stream(&mut self) -> Option<Box<SseStream>> {
        match std::mem::replace(self, Self::empty()) {
            Self::Sse(stream) => Some(stream),
            other => {
                *self = other;
                None
            }
        }
    }

    /// Notes that the client took nothing for too long.
    pub fn stalled(&mut self) {
        if let Self::Sse(stream) = self {
            stream.stalled();
        }
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        Self::full(bytes)
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match &mut *self {
            Self::Full(rest) if rest.is_empty() => Poll::Ready(None),
            Self::Full(rest) => {
                let chunk = rest.split_to(rest.len().min(CHUNK_BYTES));
                Poll::Ready(Some(Ok(Frame::data(chunk))))
            }
            Self::Page(rest) if rest.is_empty() => Poll::Ready(None),
            Self::Page(rest) => Poll::Ready(Some(Ok(Frame::data(rest.take(CHUNK_BYTES))))),
            Self::Sse(stream) => stream
                .poll_chunk(cx)
                .map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk)))),
            Self::File(file) => file
                .poll_chunk(cx)
                .map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(rest) => rest.is_empty(),
            Self::Page(rest) => rest.is_empty(),
            Self::Sse(_) => false,
            Self::File(file) => file.left() == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(rest) => SizeHint::with_exact(rest.len() as u64),
            Self::Page(rest) => SizeHint::with_exact(rest.len() as u64),
            Self::Sse(_) => SizeHint::default(),
            Self::File(file) => SizeHint::with_exact(file.left()),
        }
    }
}
