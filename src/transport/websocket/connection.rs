//! The life of one WebSocket: deliver, answer, keep alive, end. One task, which waits in one place.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep_until};

use super::Opening;
use super::commands::{self, Done, Step, Work};
use super::readable::Readable;
use super::socket::{Gone, Incoming, Socket};
use crate::attachments::Attachment;
use crate::bus::{Batch, Budget, Item};
use crate::code::{Code, End};
use crate::config::Timeouts;
use crate::gateway::Gateway;
use crate::protocol::event;
use crate::session::Session;
use crate::transport::{Client, Transport};

/// The most messages that are queued at once.
const BATCH_MESSAGES: usize = 256;

/// One WebSocket with its session.
pub struct Connection<S> {
    gateway: Arc<Gateway>,
    client: Client,
    attachment: Attachment,
    socket: Socket<S>,
    session: Session,
    work: Option<Work>,
    readable: Readable,
    heartbeat: Heartbeat,
}

/// What woke the connection.
enum Wake {
    Incoming(Incoming),
    Batch(Batch),
    Done(Done),
    Heartbeat,
}

/// How a connection ends.
enum Way {
    /// We end it.
    Told(End),
    /// It went by itself.
    Gone(Gone),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// A WebSocket with its session, `welcome` queued; nothing if it was closed because there can be no session.
    pub async fn open(
        gateway: Arc<Gateway>,
        mut socket: Socket<S>,
        opening: Opening,
    ) -> Option<Box<Self>> {
        let Opening {
            client,
            mut attachment,
            channels,
            starts,
        } = opening;
        let signal = Arc::clone(attachment.signal());
        let session = match Session::open(gateway.bus.clone(), signal, &channels, &starts).await {
            Ok(session) => session,
            Err(failure) => {
                let end = End::from(crate::problem::Problem::from(failure));
                attachment.ended(end.code);
                socket.close(&end).await;
                return None;
            }
        };
        let heartbeat = Heartbeat::new(&gateway.config.timeouts);
        let mut connection = Box::new(Self {
            gateway,
            client,
            attachment,
            socket,
            session,
            work: None,
            readable: Readable::default(),
            heartbeat,
        });
        connection.push_welcome();
        Some(connection)
    }

    /// Runs a WebSocket to its end.
    pub async fn run(mut self: Box<Self>) {
        let way = self.serve().await;
        // Boxed, because it comes once, and its room would be there for the whole life.
        Box::pin(self.end(way)).await;
    }

    async fn serve(&mut self) -> Way {
        loop {
            match poll_fn(|cx| self.poll_wake(cx)).await {
                Ok(Wake::Batch(batch)) => self.push_batch(batch),
                Ok(Wake::Incoming(incoming)) => self.take(incoming),
                Ok(Wake::Done(done)) => self.push_done(done),
                Ok(Wake::Heartbeat) => {
                    if let Err(end) = self.heartbeat.beat(&mut self.socket) {
                        return Way::Told(end);
                    }
                }
                Err(way) => return way,
            }
        }
    }

    /// Waits for whatever comes first. What is queued is written first, in one go, so a burst costs one write. Cancel safe.
    fn poll_wake(&mut self, cx: &mut Context<'_>) -> Poll<Result<Wake, Way>> {
        if let Poll::Ready(gone) = self.socket.poll_flush(cx) {
            return Poll::Ready(Err(Way::Gone(gone)));
        }
        // With a full queue nothing is read, but an end is still heard.
        let budget = Budget {
            messages: BATCH_MESSAGES.min(self.socket.room()),
            bytes: self.socket.room(),
        };
        match self.session.poll_next(cx, budget) {
            Poll::Ready(Ok(batch)) => return Poll::Ready(Ok(Wake::Batch(batch))),
            Poll::Ready(Err(end)) => return Poll::Ready(Err(Way::Told(end))),
            Poll::Pending => {}
        }
        if let Some(work) = &mut self.work {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                self.work = None;
                return Poll::Ready(Ok(Wake::Done(done)));
            }
        } else if self.socket.takes_commands() {
            let socket = &mut self.socket;
            if let Poll::Ready(incoming) = self.readable.poll(cx, |cx| socket.poll_incoming(cx)) {
                return Poll::Ready(incoming.map(Wake::Incoming).map_err(Way::Gone));
            }
        }
        // Reading may have queued an answer: to a ping, above all.
        if let Poll::Ready(gone) = self.socket.poll_flush(cx) {
            return Poll::Ready(Err(Way::Gone(gone)));
        }
        self.heartbeat
            .timer
            .as_mut()
            .poll(cx)
            .map(|()| Ok(Wake::Heartbeat))
    }

    fn take(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Text(text) => {
                match commands::begin(
                    &self.gateway,
                    &self.client,
                    &mut self.session,
                    text.as_str(),
                ) {
                    Step::Done(done) => self.push_done(done),
                    Step::Work(work) => self.work = Some(work),
                }
            }
            Incoming::Binary(_) => {
                let answer = commands::refuse_binary(&self.gateway);
                self.socket.push_json(&answer);
            }
            Incoming::Control => {}
        }
    }

    fn push_done(&mut self, done: Done) {
        match done {
            Done::Answer(json) => self.socket.push_json(&json),
            Done::Joined(reference, channel, joined) => {
                // The answer is queued before the session reads again, so it comes before the channel's messages.
                let position = self.session.add(joined);
                self.socket
                    .push_json(&commands::subscribed(reference, &channel, position));
            }
        }
    }

    fn push_welcome(&mut self) {
        let positions: Vec<_> = self
            .session
            .readers()
            .map(|reader| (&reader.name, reader.position))
            .collect();
        let heartbeat_s = self.gateway.config.timeouts.heartbeat_s;
        let user = self.client.principal.user.as_ref();
        let welcome = event::welcome(self.client.public_id, user, heartbeat_s, &positions);
        self.socket.push_json(&welcome);
    }

    fn push_batch(&mut self, batch: Batch) {
        let before = self.socket.queued_bytes();
        let mut messages = 0;
        for (index, item) in batch.items {
            match item {
                Item::Message(publication) => {
                    messages += 1;
                    let made_bytes = self.socket.push_publication(&publication);
                    if made_bytes > 0 {
                        self.session.charge(index, publication.offset, made_bytes);
                    }
                }
                Item::Gap(gap) => {
                    self.gateway.metrics.count_gap(gap.lost.reason);
                    self.socket.push_json(&event::gap(&gap));
                }
            }
        }
        let counted = self.gateway.metrics.transport(Transport::WebSocket);
        counted.messages.inc_by(messages);
        counted
            .bytes
            .inc_by((self.socket.queued_bytes() - before) as u64);
    }

    async fn end(&mut self, way: Way) {
        // The channels are left at once; a client that does not answer the close frame must not keep them.
        self.session.leave();
        match way {
            Way::Told(end) => {
                self.attachment.ended(end.code);
                self.socket.close(&end).await;
            }
            Way::Gone(gone) => {
                self.attachment.ended(match gone {
                    Gone::Closed | Gone::Broken => Code::Normal,
                    Gone::Misbehaved(_) => Code::BadRequest,
                    Gone::TooLarge => Code::TooLarge,
                    Gone::Stalled => Code::Slow,
                });
                self.socket.finish(gone).await;
            }
        }
    }
}

/// Pings, and notices a client that is not there any more. One timer, which is set twice a heartbeat and never for a
/// message.
struct Heartbeat {
    timer: Pin<Box<Sleep>>,
    every: std::time::Duration,
    answer_within: std::time::Duration,
    /// True between a ping and the check of its answer.
    pinged: bool,
}

impl Heartbeat {
    fn new(timeouts: &Timeouts) -> Self {
        let every = timeouts.heartbeat_s.duration();
        Self {
            timer: Box::pin(sleep_until(Instant::now() + every)),
            every,
            answer_within: timeouts.pong_s.duration(),
            pinged: false,
        }
    }

    /// The timer fired: pings, or checks that anything came in since.
    fn beat<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        socket: &mut Socket<S>,
    ) -> Result<(), End> {
        let next = if self.pinged {
            if !socket.take_heard() {
                return Err(Code::Heartbeat.into());
            }
            self.every.saturating_sub(self.answer_within)
        } else {
            socket.take_heard();
            socket.push_ping();
            self.answer_within
        };
        self.pinged = !self.pinged;
        self.timer.as_mut().reset(Instant::now() + next);
        Ok(())
    }
}
