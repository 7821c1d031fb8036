//! The life of one WebSocket: deliver, answer, keep alive, end. One task, which waits in one place.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};

use super::Opening;
use super::commands::{self, Done, Step, Work};
use super::gone::Gone;
use super::messages::Incoming;
use super::patience::Patience;
use super::readable::Readable;
use super::socket::Socket;
use crate::attachments::Attachment;
use crate::bus::{Batch, Beats, Budget, Item};
use crate::code::{Code, End};
use crate::gateway::Gateway;
use crate::problem::Problem;
use crate::protocol::event;
use crate::session::Session;
use crate::transport::{Client, Transport};

/// A client that closes with this does not come back (RFC 6455, section 7.4.1).
const NORMAL: u16 = 1000;
/// The most messages that are queued at once.
const BATCH_MESSAGES: usize = 256;

/// One WebSocket with its session.
///
/// In this order, because a delivery touches what stands together: of a thousand sockets each is cold when its turn comes,
/// and every cache line more is a miss more. The same goes for its parts.
#[repr(C)]
pub struct Connection<S> {
    session: Session,
    gateway: Arc<Gateway>,
    readable: Readable,
    work: Option<Work>,
    socket: Socket<S>,
    /// True between a ping and the check of its answer.
    pinged: bool,
    patience: Patience,
    attachment: Attachment,
    client: Client,
}

/// What woke the connection.
enum Wake {
    Incoming(Incoming),
    Done(Done),
    Heartbeat(Beats),
}

/// How a connection ends.
enum Way {
    /// We end it.
    Told(End),
    /// It went by itself.
    Gone(Gone),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// A WebSocket with its session, `welcome` queued; nothing if it was closed because there can be no session. One with
    /// channels takes over from the older attachment of its session; one without does so when it subscribes.
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
        if !channels.is_empty()
            && let Some(older) = attachment.take_over()
        {
            older.gone().await;
        }
        let signal = Arc::clone(attachment.signal());
        let session = Session::new(gateway.bus.clone(), signal);
        let guest = client.guest(&gateway.presence, Transport::WebSocket);
        let opened = session.join_all(guest, &channels, &starts).await;
        // Who was superseded meanwhile says no welcome.
        let opened = match attachment.signal().asked_end() {
            Some(end) => Err(end),
            None => opened.map_err(|failure| Problem::from(failure).into()),
        };
        let session = match opened {
            Ok(session) => session,
            Err(end) => {
                attachment.ended(end.code);
                socket.close(&end).await;
                return None;
            }
        };
        let readable = Readable::new(attachment.signal());
        let mut connection = Box::new(Self {
            gateway,
            client,
            attachment,
            socket,
            session,
            work: None,
            readable,
            patience: Patience::new(),
            pinged: false,
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
                Ok(Wake::Incoming(incoming)) => {
                    if let Err(end) = self.take(incoming) {
                        return Way::Told(end);
                    }
                }
                Ok(Wake::Done(done)) => self.push_done(done),
                Ok(Wake::Heartbeat(beats)) => {
                    if let Err(end) = self.beat(beats) {
                        return Way::Told(end);
                    }
                }
                Err(way) => return way,
            }
        }
    }

    /// Delivers, and waits for anything else, whatever comes first. Cancel safe.
    fn poll_wake(&mut self, cx: &mut Context<'_>) -> Poll<Result<Wake, Way>> {
        if let Poll::Ready(way) = self.poll_deliver(cx) {
            return Poll::Ready(Err(way));
        }
        let beats = self.session.take_beats();
        if beats != Beats::default() {
            return Poll::Ready(Ok(Wake::Heartbeat(beats)));
        }
        if let Some(work) = &mut self.work {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                self.work = None;
                return Poll::Ready(Ok(Wake::Done(done)));
            }
        } else if self.socket.takes_commands() {
            let socket = &mut self.socket;
            if let Poll::Ready(incoming) = self.readable.poll(|cx| socket.poll_incoming(cx)) {
                return Poll::Ready(incoming.map(Wake::Incoming).map_err(Way::Gone));
            }
        } else {
            // Room is waited for already. If it were found here, nobody would go on reading. Meanwhile nothing is late.
            self.socket.waits_anew();
            return Poll::Pending;
        }
        // Reading may have queued an answer: to a ping, above all.
        if self.socket.queued_bytes() == 0 {
            return Poll::Pending;
        }
        self.socket.poll_flush(cx).map(|gone| Err(Way::Gone(gone)))
    }

    /// Queues and writes what there is to read, a batch in one go, so a burst costs one write. Ready only if it is over.
    fn poll_deliver(&mut self, cx: &mut Context<'_>) -> Poll<Way> {
        loop {
            if let Poll::Ready(gone) = self.socket.poll_flush(cx) {
                return Poll::Ready(Way::Gone(gone));
            }
            // With a full queue nothing is read, but an end is still heard.
            let budget = Budget {
                messages: BATCH_MESSAGES.min(self.socket.room()),
                bytes: self.socket.room(),
            };
            let batch = match ready!(self.session.poll_next(cx, budget)) {
                Ok(batch) => batch,
                Err(end) => return Poll::Ready(Way::Told(end)),
            };
            let more = batch.more;
            self.push_batch(batch);
            if !more {
                // What is published since the read has woken us again, so the session need not be asked twice.
                return self.socket.poll_flush(cx).map(Way::Gone);
            }
        }
    }

    /// Does what a client says. Who is told to wait and keeps on has to go.
    fn take(&mut self, incoming: Incoming) -> Result<(), End> {
        match incoming {
            Incoming::Text(text, share) => {
                match commands::begin(
                    &self.gateway,
                    &mut self.client,
                    &self.attachment,
                    &mut self.session,
                    text.as_str(),
                ) {
                    Step::Done(done) => self.push_done(done),
                    Step::Work(work) => self.work = Some(commands::holding(share, work)),
                    Step::Limited(answer, end) => {
                        self.socket.push_json(&answer);
                        if !self.patience.bears(self.gateway.limits.refusals_max()) {
                            return Err(end);
                        }
                    }
                }
            }
            Incoming::Binary(..) => {
                let answer = commands::refuse_binary(&self.gateway);
                self.socket.push_json(&answer);
            }
            Incoming::Control => {}
        }
        Ok(())
    }

    /// Notices a client that is not there any more, or takes too long for a message, and pings one that is.
    fn beat(&mut self, beats: Beats) -> Result<(), End> {
        let body_s = self.gateway.config().timeouts.body_s;
        if self.socket.is_late(body_s.duration()) {
            return Err(Code::Slow.into());
        }
        // While a write waits the client may not have come by the ping yet, and `stall_s` is the measure.
        let is_due = beats.check && std::mem::take(&mut self.pinged) && !self.socket.is_waiting();
        if is_due && !self.socket.take_heard() {
            return Err(Code::Heartbeat.into());
        }
        if beats.ping {
            self.socket.take_heard();
            self.socket.push_ping();
            self.pinged = true;
        }
        Ok(())
    }

    fn push_done(&mut self, done: Done) {
        match done {
            Done::Answer(json) => self.socket.push_json(&json),
            Done::Page(page) => self.socket.push_page(page),
            Done::Renewing(reference, token) => {
                let done = commands::renew(
                    &self.gateway,
                    &mut self.client,
                    &self.attachment,
                    &mut self.session,
                    reference,
                    token,
                );
                self.push_done(done);
            }
            Done::Refreshed(told) => told.iter().for_each(|json| self.socket.push_json(json)),
            Done::Joined(reference, channel, joined) => {
                // The answer is queued before the session reads again, so it comes before the channel's messages.
                let session = &mut self.session;
                let answer = commands::take_in(&self.gateway, session, reference, &channel, joined);
                self.socket.push_json(&answer);
            }
        }
    }

    fn push_welcome(&mut self) {
        let positions: Vec<_> = self
            .session
            .readers()
            .map(|reader| (&reader.name, reader.position))
            .collect();
        let heartbeat_s = self.gateway.config().timeouts.heartbeat_s;
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
        match way {
            Way::Gone(Gone::Closed(NORMAL)) => self.session.quit(),
            _ => self.session.leave(),
        }
        match way {
            Way::Told(end) => {
                if end.code == Code::Superseded {
                    // What waits is for the newer attachment to send.
                    self.socket.drop_messages();
                }
                self.attachment.ended(end.code);
                self.socket.close(&end).await;
            }
            Way::Gone(gone) => {
                self.attachment.ended(match gone {
                    Gone::Closed(_) | Gone::Broken => Code::Normal,
                    Gone::Misbehaved(_) => Code::BadRequest,
                    Gone::TooLarge => Code::TooLarge,
                    Gone::Full(_) => Code::Overloaded,
                    Gone::Stalled => Code::Slow,
                });
                self.socket.finish(gone).await;
            }
        }
    }
}
