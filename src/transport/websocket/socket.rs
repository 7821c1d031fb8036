//! One WebSocket as frames in and out, and the ways it closes.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::queue::FrameQueue;
use crate::bus::publication::frame_head;
use crate::code::{Code, End};
use crate::gateway::Gateway;
use crate::protocol::event;
use crate::stall::Stall;

/// What tungstenite reads at once. It fills the whole buffer with zeroes at every read, so it is small.
const READ_BYTES: usize = 512;
/// Room in the queue for answers and pongs when it is full of messages.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// What came in.
#[derive(Debug)]
pub enum Incoming {
    /// A command, we suppose.
    Text(Utf8Bytes),
    /// Bytes, which no command is made of.
    Binary,
    /// A ping or a pong; it is answered already.
    Control,
}

/// How a socket came to its end.
#[derive(Debug)]
pub enum Gone {
    /// The client closed; our reply is queued.
    Closed,
    /// The client broke the protocol: the close code it is told (RFC 6455, section 7.4.1).
    Misbehaved(u16),
    /// A message was over its limit.
    TooLarge,
    /// The client took nothing for too long.
    Stalled,
    /// The connection broke.
    Broken,
}

/// A WebSocket.
#[derive(Debug)]
pub struct Socket<S> {
    stream: WebSocketStream<FrameQueue<S>>,
    stall: Stall,
    queued_bytes_max: usize,
    close_wait: Duration,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// A WebSocket over an upgraded connection.
    pub async fn new(io: S, gateway: &Gateway) -> Self {
        let message_bytes_max = gateway.body_bytes_max();
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(message_bytes_max))
            .max_frame_size(Some(message_bytes_max));
        let timeouts = &gateway.config.timeouts;
        Self {
            stream: WebSocketStream::from_raw_socket(
                FrameQueue::new(io),
                Role::Server,
                Some(config),
            )
            .await,
            stall: Stall::new(timeouts.stall_s.duration()),
            queued_bytes_max: gateway.config.limits.queued_bytes_max,
            close_wait: timeouts.close_s.duration(),
        }
    }

    /// Queues a frame that is encoded already.
    pub fn push_frame(&mut self, frame: Bytes) {
        self.stream.get_mut().push(frame);
    }

    /// Queues JSON as a text frame.
    pub fn push_json(&mut self, json: &[u8]) {
        self.push_frame(text_frame(json));
    }

    /// Queues an empty ping (RFC 6455, section 5.5.2).
    pub fn push_ping(&mut self) {
        self.push_frame(Bytes::from_static(&[0x89, 0]));
    }

    /// How many bytes of messages may be queued now.
    pub fn room(&self) -> usize {
        self.queued_bytes_max
            .saturating_sub(self.stream.get_ref().bytes())
    }

    /// True if answers to more commands may be queued. If not, the socket is not read.
    pub fn takes_commands(&self) -> bool {
        self.stream.get_ref().bytes() < self.queued_bytes_max + ANSWER_BYTES_MAX
    }

    /// True if anything came in since the last call.
    pub fn take_heard(&mut self) -> bool {
        self.stream.get_mut().take_heard()
    }

    /// Writes what is queued. Ready only if something went wrong. Cancel safe.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Gone> {
        loop {
            match self.stream.get_mut().poll_write_some(cx) {
                Poll::Ready(Ok(0)) => return Poll::Pending,
                Poll::Ready(Ok(_)) => self.stall.progress(),
                Poll::Ready(Err(_)) => return Poll::Ready(Gone::Broken),
                Poll::Pending => return self.stall.poll_waiting(cx).map(|()| Gone::Stalled),
            }
        }
    }

    /// Reads the next frame. Cancel safe.
    pub fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, Gone>> {
        Pin::new(&mut self.stream)
            .poll_next(cx)
            .map(|next| match next {
                Some(Ok(Message::Text(text))) => Ok(Incoming::Text(text)),
                Some(Ok(Message::Binary(_))) => Ok(Incoming::Binary),
                Some(Ok(Message::Close(_))) => Err(Gone::Closed),
                Some(Ok(_)) => Ok(Incoming::Control),
                Some(Err(error)) => Err(gone(&error)),
                None => Err(Gone::Broken),
            })
    }

    /// Ends a WebSocket as the table of codes says: the `disconnect` object, the close frame, the client's reply.
    pub async fn close(mut self, end: &End) {
        self.push_json(&event::disconnect(end));
        // Codes that no session ends with have no close code; 1011 says that we erred.
        let close_code = end.code.close().unwrap_or(1011);
        self.stream
            .get_mut()
            .push_last(close_frame(close_code, end.code.as_str()));
        let told = timeout(self.close_wait, self.flush_and_hear_out()).await;
        if told.is_err() {
            tracing::debug!(
                code = end.code.as_str(),
                "the client did not answer the close frame"
            );
        }
        self.shutdown().await;
    }

    /// Ends a WebSocket that went by itself.
    pub async fn finish(mut self, gone: &Gone) {
        match gone {
            Gone::Broken => {}
            Gone::Closed => {
                // tungstenite holds its reply back until it is flushed.
                let flushed = poll_fn(|cx| Pin::new(&mut self.stream).poll_flush(cx)).await;
                tracing::trace!(?flushed, "the client closed");
                self.shutdown().await;
            }
            Gone::Misbehaved(code) => {
                self.stream
                    .get_mut()
                    .push_last(close_frame(*code, "protocol error"));
                self.shutdown().await;
            }
            Gone::TooLarge => {
                self.push_json(&event::disconnect(&Code::TooLarge.into()));
                let code = Code::TooLarge.close().unwrap_or(1009);
                self.stream
                    .get_mut()
                    .push_last(close_frame(code, Code::TooLarge.as_str()));
                self.shutdown().await;
            }
            Gone::Stalled => self.close(&Code::Slow.into()).await,
        }
    }

    /// Writes everything and reads until the client closes.
    async fn flush_and_hear_out(&mut self) {
        poll_fn(|cx| {
            if let Poll::Ready(Gone::Broken) = self.poll_flush(cx) {
                return Poll::Ready(());
            }
            loop {
                match self.poll_incoming(cx) {
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await;
    }

    /// Writes what is left, closes our side, and reads until the client closed its own: a connection that is dropped with
    /// bytes unread is reset, and the reset can overtake the close frame.
    async fn shutdown(&mut self) {
        let closed = timeout(self.close_wait, async {
            self.stream.get_mut().shutdown().await?;
            let mut scratch = [0; READ_BYTES];
            let io = self.stream.get_mut().io();
            // Bounded, so that a client that goes on sending cannot keep us.
            for _ in 0..1024 {
                if io.read(&mut scratch).await? == 0 {
                    break;
                }
            }
            io::Result::Ok(())
        });
        if let Ok(Err(error)) = closed.await {
            tracing::debug!(%error, "the connection broke while it closed");
        }
    }
}

fn gone(error: &Error) -> Gone {
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => Gone::Closed,
        Error::Capacity(CapacityError::MessageTooLong { .. }) => Gone::TooLarge,
        Error::Utf8(_) => Gone::Misbehaved(1007),
        Error::Protocol(
            tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
        ) => Gone::Broken,
        Error::Protocol(_) => Gone::Misbehaved(1002),
        _ => Gone::Broken,
    }
}

fn text_frame(json: &[u8]) -> Bytes {
    let (head, head_bytes) = frame_head(json.len());
    let mut frame = Vec::with_capacity(head_bytes + json.len());
    frame.extend_from_slice(&head[..head_bytes]);
    frame.extend_from_slice(json);
    frame.into()
}

/// A close frame (RFC 6455, section 5.5.1). Reasons are codes of the table, well below the 123 bytes that fit.
fn close_frame(code: u16, reason: &str) -> Bytes {
    let mut frame = Vec::with_capacity(4 + reason.len());
    frame.extend_from_slice(&[0x88, 2 + reason.len() as u8]);
    frame.extend_from_slice(&code.to_be_bytes());
    frame.extend_from_slice(reason.as_bytes());
    frame.into()
}
