//! One WebSocket as frames in and out, and the ways it closes.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};

use super::frames::{Framing, TEXT, close_frame, of_page, ping_frame};
use super::gone::Gone;
use super::messages::{Incoming, Messages, Rules};
use super::pipe::Pipe;
use crate::bus::Publication;
use crate::code::{Code, End};
use crate::config::Config;
use crate::limits::{Inlet, Refused};
use crate::problem::Problem;
use crate::protocol::event;
use crate::protocol::printed::Printed;
use crate::stall::Stall;
use crate::wire::Linger;

/// How many messages are taken from a client that was told to go.
const HEARD_OUT_MAX: usize = 32;
/// Room in the queue for answers and pongs when it is full of messages. An answer that is larger stands alone: the next
/// command is read when it is written.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// How a socket is set up.
#[derive(Debug, Clone)]
pub struct Setup {
    /// What may come in.
    pub rules: Rules,
    /// Most bytes that wait to be written.
    pub queued_bytes_max: usize,
    /// How messages become frames.
    pub framing: Framing,
    /// A client that takes nothing for this long is given up.
    pub stall_after: Duration,
    /// From our close frame to the client's.
    pub close_within: Duration,
}

impl Setup {
    /// The setup of a socket for messages of at most `message_bytes_max`, with compression as it was agreed.
    pub fn new(
        config: &Config,
        message_bytes_max: usize,
        agreement: Option<super::Agreement>,
        inlet: Inlet,
    ) -> Self {
        let sends_deflated = agreement.is_some_and(super::Agreement::takes_deflated);
        Self {
            rules: Rules {
                takes_deflate: agreement.is_some(),
                message_bytes_max,
                inlet,
            },
            queued_bytes_max: config.limits.queued_bytes_max,
            framing: Framing::new(&config.websocket, sends_deflated),
            stall_after: config.timeouts.stall_s.duration(),
            close_within: config.timeouts.close_s.duration(),
        }
    }
}

/// A WebSocket.
#[derive(Debug)]
#[repr(C)]
pub struct Socket<S> {
    stall: Stall,
    framing: Framing,
    queued_bytes_max: usize,
    pipe: Pipe<S>,
    messages: Messages,
    close_within: Duration,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// A WebSocket over an upgraded connection, of which some bytes were read already.
    pub fn new(io: S, read: &[u8], setup: Setup) -> Self {
        let mut messages = Messages::new(setup.rules);
        messages.feed(read);
        Self {
            stall: Stall::new(setup.stall_after),
            framing: setup.framing,
            queued_bytes_max: setup.queued_bytes_max,
            pipe: Pipe::new(io),
            messages,
            close_within: setup.close_within,
        }
    }

    /// Queues a publication. Returns how many bytes of encodings were made for it, for all sockets.
    pub fn push_publication(&mut self, publication: &Publication) -> usize {
        let outbound = &mut self.pipe.outbound;
        self.framing
            .publication(publication, |frame| outbound.push(frame))
    }

    /// Queues a message that only this client gets.
    pub fn push_message(&mut self, opcode: u8, payload: &[u8]) {
        let frames = self.framing.message(opcode, payload);
        let outbound = &mut self.pipe.outbound;
        let mut bytes = 0;
        for frame in frames {
            bytes += frame.len();
            outbound.push(frame);
        }
        if bytes > ANSWER_BYTES_MAX {
            outbound.mark_answer();
        }
    }

    /// Queues JSON that only this client gets.
    pub fn push_json(&mut self, json: &[u8]) {
        self.push_message(TEXT, json);
    }

    /// Queues a page that only this client gets.
    pub fn push_page(&mut self, page: Printed) {
        if page.len() <= ANSWER_BYTES_MAX || self.framing.is_deflated(page.len()) {
            return self.push_json(&page.all());
        }
        let fragment_bytes = self.framing.fragment_bytes;
        let outbound = &mut self.pipe.outbound;
        outbound.push_answer(of_page(page, fragment_bytes));
    }

    /// Queues a ping, before the messages.
    pub fn push_ping(&mut self) {
        self.pipe.outbound.push_control(ping_frame());
    }

    /// Drops the messages that are not begun to be written.
    pub fn drop_messages(&mut self) {
        self.pipe.outbound.drop_messages();
    }

    /// What waits to be written, in bytes.
    pub fn queued_bytes(&self) -> usize {
        self.pipe.outbound.bytes()
    }

    /// How many bytes of messages may be queued now.
    pub fn room(&self) -> usize {
        let outbound = &self.pipe.outbound;
        if outbound.is_answering() {
            return 0;
        }
        self.queued_bytes_max.saturating_sub(outbound.bytes())
    }

    /// True if answers to more commands may be queued. If not, the socket is not read.
    pub fn takes_commands(&self) -> bool {
        let outbound = &self.pipe.outbound;
        !outbound.holds_answer() && outbound.bytes() < self.queued_bytes_max + ANSWER_BYTES_MAX
    }

    /// True if anything came in since the last call, or if the client took something that it had kept waiting.
    pub fn take_heard(&mut self) -> bool {
        std::mem::take(&mut self.pipe.heard)
    }

    /// True if the rest of a message is waited for since longer than this.
    pub fn is_late(&self, within: Duration) -> bool {
        self.messages.is_late(within)
    }

    /// Counts the time for the rest of a message anew: nobody reads now.
    pub fn waits_anew(&mut self) {
        self.messages.waits_anew();
    }

    /// True while a write waits for the client.
    pub fn is_waiting(&self) -> bool {
        self.stall.is_waiting()
    }

    /// Writes what is queued. Ready only if something went wrong. Cancel safe.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Gone> {
        loop {
            match self.pipe.poll_write_some(cx) {
                Poll::Ready(Ok(written)) => {
                    self.pipe.heard |= self.stall.is_waiting();
                    self.stall.progress();
                    if written == 0 {
                        return Poll::Pending;
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(error.into()),
                Poll::Pending => return self.stall.poll_waiting(cx).map(|()| Gone::Stalled),
            }
        }
    }

    /// Reads the next message. Cancel safe.
    pub fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, Gone>> {
        loop {
            if let Poll::Ready(next) = self.messages.next(&mut self.pipe.outbound) {
                return Poll::Ready(next);
            }
            let mut is_over = false;
            ready!(self.pipe.poll_read(cx, |bytes| {
                is_over = bytes.is_empty();
                self.messages.feed(bytes);
            }))?;
            if is_over {
                return Poll::Ready(Err(Gone::Broken));
            }
        }
    }

    /// Ends a WebSocket as the table of codes says: the `disconnect` object, the close frame, the client's reply.
    pub async fn close(&mut self, end: &End) {
        self.push_end(end);
        // One deadline for all of it. What is not told by then is not told.
        let deadline = Instant::now() + self.close_within;
        let told = timeout_at(deadline, self.flush_and_hear_out()).await;
        if told.is_err() {
            tracing::debug!(
                code = end.code.as_str(),
                "the client did not answer the close frame"
            );
        }
        self.shutdown(deadline).await;
    }

    /// Ends a WebSocket that went by itself.
    pub async fn finish(&mut self, gone: Gone) {
        match gone {
            Gone::Broken => {}
            Gone::Closed(_) => {
                self.messages.reply_to_close(&mut self.pipe.outbound);
                self.shutdown(Instant::now() + self.close_within).await;
            }
            Gone::Misbehaved(code) => {
                self.push_last(code, "protocol error");
                self.shutdown(Instant::now() + self.close_within).await;
            }
            Gone::TooLarge => self.turn_away(&Code::TooLarge.into()).await,
            Gone::Full(counted) => {
                let problem = Problem::from(Refused::Full(counted));
                self.turn_away(&problem.into()).await;
            }
            Gone::Stalled => self.close(&Code::Slow.into()).await,
        }
    }

    /// Ends a WebSocket in the middle of a message: nothing that comes after it can be understood.
    async fn turn_away(&mut self, end: &End) {
        self.push_end(end);
        self.shutdown(Instant::now() + self.close_within).await;
    }

    /// Queues the `disconnect` object and the close frame.
    fn push_end(&mut self, end: &End) {
        self.push_json(&event::disconnect(end));
        // Codes that no session ends with have no close code; 1011 says that we erred.
        let close_code = end.code.close().unwrap_or(1011);
        self.push_last(close_code, end.code.as_str());
    }

    fn push_last(&mut self, code: u16, reason: &str) {
        self.pipe.outbound.push_last(close_frame(code, reason));
    }

    /// Writes everything and reads until the client closes.
    async fn flush_and_hear_out(&mut self) {
        let mut heard = 0;
        poll_fn(|cx| {
            if let Poll::Ready(Gone::Broken) = self.poll_flush(cx) {
                return Poll::Ready(());
            }
            while heard < HEARD_OUT_MAX {
                match self.poll_incoming(cx) {
                    Poll::Ready(Ok(_)) => heard += 1,
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
            // Reading costs more than the client's; what is left is thrown away unread, once ours is written.
            if self.queued_bytes() == 0 {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// Writes what is left, closes our side, and reads until the client closed its own: a connection that is dropped with
    /// bytes unread is reset, and the reset can overtake the close frame.
    async fn shutdown(&mut self, deadline: Instant) {
        let closed = timeout_at(deadline, async {
            poll_fn(|cx| self.pipe.poll_shutdown(cx)).await?;
            let mut linger = Linger::default();
            poll_fn(|cx| linger.poll(&mut self.pipe.io, cx)).await;
            io::Result::Ok(())
        });
        if let Ok(Err(error)) = closed.await {
            tracing::debug!(%error, "the connection broke while it closed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use std::pin::Pin;
    use tokio::io::{AsyncReadExt, ReadBuf};

    /// A connection that the system gave up for this reason.
    struct GivenUp(io::ErrorKind);

    impl AsyncRead for GivenUp {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Ready(Err(self.0.into()))
        }
    }

    impl AsyncWrite for GivenUp {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(self.0.into()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Writes what the client has room for.
    async fn write(socket: &mut Socket<tokio::io::DuplexStream>) {
        poll_fn(|cx| {
            assert!(socket.poll_flush(cx).is_pending());
            Poll::Ready(())
        })
        .await;
    }

    fn setup() -> Setup {
        let config = Config::default();
        let inlet = Limits::new(&config).common_inlet();
        Setup::new(&config, 1000, None, inlet)
    }

    #[tokio::test]
    async fn no_command_is_read_while_a_large_answer_is_held() {
        let (io, mut client) = tokio::io::duplex(ANSWER_BYTES_MAX);
        let mut socket = Socket::new(io, &[], setup());
        socket.push_json(&[b'x'; ANSWER_BYTES_MAX / 2]);
        assert!(socket.takes_commands());
        socket.push_json(&vec![b'x'; 2 * ANSWER_BYTES_MAX]);
        socket.push_json(b"small");
        socket.push_ping();
        let mut taken = vec![0; ANSWER_BYTES_MAX];
        for _ in 0..2 {
            write(&mut socket).await;
            assert!(!socket.takes_commands(), "{}", socket.queued_bytes());
            client.read_exact(&mut taken).await.unwrap();
        }
        write(&mut socket).await;
        assert!(socket.takes_commands(), "{}", socket.queued_bytes());
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_given_up_by_the_system_took_nothing_for_too_long() {
        for (kind, expected) in [
            (io::ErrorKind::TimedOut, Gone::Stalled),
            (io::ErrorKind::BrokenPipe, Gone::Broken),
        ] {
            let mut socket = Socket::new(GivenUp(kind), &[], setup());
            socket.push_ping();
            assert_eq!(poll_fn(|cx| socket.poll_flush(cx)).await, expected);
            let incoming = poll_fn(|cx| socket.poll_incoming(cx)).await;
            assert_eq!(incoming.unwrap_err(), expected);
        }
    }
}
