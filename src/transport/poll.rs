//! Long and short polling: one page. A short poll reads once; a long poll that finds nothing waits once.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::attachments::{Attachment, Holder, Predecessor};
use crate::bus::{
    Batch, Budget, Bus, ChannelName, Item, Position, PublishError, Reader, Start, cursor,
};
use crate::code::{Code, End};
use crate::gateway::Gateway;
use crate::history::split;
use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::protocol::page::Page;
use crate::protocol::printed::Printed;
use crate::session::Session;
use crate::wire::{Alarm, WaitTime};

use super::Transport;

/// What a poll asks for.
#[derive(Debug)]
pub struct Request {
    /// The channels.
    pub channels: Vec<ChannelName>,
    /// Where to start in each of them.
    pub starts: Vec<Start>,
    /// How much the page may hold.
    pub budget: Budget,
    /// How long a long poll waits.
    pub wait: Duration,
    /// On whose account it waits.
    pub holder: Holder,
    /// Where the client says it stands already.
    pub known: Option<Vec<Start>>,
}

/// The answer of a poll.
#[derive(Debug)]
pub enum Answer {
    /// A page, maybe an empty one.
    Page {
        /// The page as JSON.
        json: Printed,
        /// Where to go on.
        cursor: String,
        /// True if the wait was ended to send the client elsewhere.
        is_sent_away: bool,
    },
    /// The page would end where the client stands.
    NotModified {
        /// Where that is.
        cursor: String,
    },
}

/// Reads once, after the older attachment of its session is gone.
pub fn short(gateway: &Arc<Gateway>, request: Request) -> Looked {
    match gateway.attachments.supersede(&request.holder) {
        None => Looked::Found(once(gateway, Transport::Poll, request)),
        Some(older) => Looked::TakesOver(TakingOver {
            gateway: Arc::clone(gateway),
            transport: Transport::Poll,
            request,
            older,
        }),
    }
}

fn once(gateway: &Gateway, transport: Transport, request: Request) -> Answer {
    let (readers, batch) = look(gateway, &request.channels, &request.starts, request.budget);
    let stands = |known: Vec<Start>| {
        let positions = readers.iter().map(|reader| Start::After(reader.position));
        known.into_iter().eq(positions)
    };
    // A gap is told, even to a client that seems to stand behind it already.
    let has_gap = batch
        .items
        .iter()
        .any(|(_, item)| matches!(item, Item::Gap(_)));
    if !has_gap && request.known.is_some_and(stands) {
        return Answer::NotModified {
            cursor: print_cursor(readers.iter()),
        };
    }
    page(&gateway.metrics, transport, readers.iter(), batch)
}

/// What a poll finds at its first look.
pub enum Looked {
    /// Something, or it does not wait.
    Found(Answer),
    /// The same, but an older attachment of its session has to go first.
    TakesOver(TakingOver),
    /// Nothing yet.
    Waits(Waiting),
}

/// A poll that waits for the older attachment of its session to go. Dropping it leaves nothing behind.
#[derive(Debug)]
pub struct TakingOver {
    gateway: Arc<Gateway>,
    transport: Transport,
    request: Request,
    older: Predecessor,
}

impl TakingOver {
    /// Waits, and reads once: nothing that the older attachment was sent is newer than what is read.
    pub async fn run(self) -> Answer {
        self.older.gone().await;
        once(&self.gateway, self.transport, self.request)
    }
}

/// A long poll that waits, once, for something or for its time to run out. Its end is an answer, or the problem that ended
/// the wait. Dropping it leaves nothing behind.
///
/// Thousands wait, so it is written out: the compiler would give an `async` block four times the room.
pub struct Waiting {
    /// Before the attachment, because the older one of a session is at its end when it reads no more.
    step: Step,
    attachment: Attachment,
    budget: Budget,
    time: WaitTime,
}

enum Step {
    /// An older attachment of the session has to go first, or the broker is asked. Both are rare.
    Opens(Opening),
    Waits(Session),
}

type Opening = Pin<Box<dyn Future<Output = Result<Session, PublishError>> + Send>>;

/// Reads once, and says whether there is anything to wait for.
///
/// # Errors
/// The problem that keeps anybody from waiting now.
pub fn long(
    gateway: &Arc<Gateway>,
    alarm: Option<&Arc<Alarm>>,
    request: Request,
) -> Result<Looked, Problem> {
    let (readers, batch) = look(gateway, &request.channels, &request.starts, request.budget);
    if !batch.items.is_empty() || request.wait.is_zero() {
        if let Some(older) = gateway.attachments.supersede(&request.holder) {
            return Ok(Looked::TakesOver(TakingOver {
                gateway: Arc::clone(gateway),
                transport: Transport::LongPoll,
                // A long poll that finds nothing new waits, and is never told that nothing changed.
                request: Request {
                    known: None,
                    ..request
                },
                older,
            }));
        }
        let found = page(&gateway.metrics, Transport::LongPoll, readers.iter(), batch);
        return Ok(Looked::Found(found));
    }
    let Request {
        budget,
        wait,
        holder,
        ..
    } = request;
    let attachment = gateway.attachments.enter(Transport::LongPoll, holder)?;
    Ok(Looked::Waits(Waiting {
        // The look pinned every `now`, so what was published since is not missed.
        step: Step::new(&gateway.bus, &attachment, readers),
        attachment,
        budget,
        time: alarm.cloned().unwrap_or_default().wait(wait),
    }))
}

impl Step {
    fn new(bus: &Bus, attachment: &Attachment, readers: Vec<Reader>) -> Self {
        let (bus, signal) = (bus.clone(), Arc::clone(attachment.signal()));
        match attachment.take_over() {
            None if bus.has_joined(&readers) => Self::Waits(Session::after(bus, signal, readers)),
            older => Self::Opens(Box::pin(async move {
                if let Some(older) = older {
                    older.gone().await;
                }
                for reader in &readers {
                    bus.join(reader).await?;
                }
                Ok(Session::after(bus, signal, readers))
            })),
        }
    }
}

impl Future for Waiting {
    type Output = Result<Answer, Problem>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let me = &mut *self;
        loop {
            match &mut me.step {
                Step::Opens(opening) => me.step = Step::Waits(ready!(opening.as_mut().poll(cx))?),
                Step::Waits(session) => {
                    let read = match session.poll_next(cx, me.budget) {
                        Poll::Ready(read) => read,
                        Poll::Pending => {
                            ready!(me.time.poll_over(cx));
                            Ok(Batch::default())
                        }
                    };
                    return Poll::Ready(close(&mut me.attachment, session, read));
                }
            }
        }
    }
}

/// The end of a wait.
fn close(
    attachment: &mut Attachment,
    session: &Session,
    read: Result<Batch, End>,
) -> Result<Answer, Problem> {
    let ended = read.as_ref().err().map(|end| end.code);
    if let Some(code) = ended {
        attachment.ended(code);
    }
    let batch = match read {
        // The client comes back by itself, and learns then what to do: an empty page is answer enough.
        Err(end) if !matches!(end.code, Code::Shutdown | Code::TokenExpired) => {
            return Err(end.into());
        }
        read => read.unwrap_or_default(),
    };
    let (metrics, readers) = (attachment.metrics(), session.readers());
    let mut answer = page(metrics, Transport::LongPoll, readers, batch);
    if let Answer::Page { is_sent_away, .. } = &mut answer {
        *is_sent_away = ended == Some(Code::Shutdown);
    }
    Ok(answer)
}

/// One look at the channels, and where their readers stand after it.
fn look(
    gateway: &Gateway,
    channels: &[ChannelName],
    starts: &[Start],
    budget: Budget,
) -> (Vec<Reader>, Batch) {
    let bus = &gateway.bus;
    let readers = channels.iter().zip(starts);
    let readers = readers.map(|(channel, start)| bus.peek(channel, *start));
    let mut readers: Vec<Reader> = readers.collect();
    let batch = match &mut readers[..] {
        // The common case, without a list.
        [reader] => bus.read(0, reader, budget),
        readers => bus.read_fair(&mut (0..).zip(readers).collect(), budget),
    };
    (readers, batch)
}

/// The cursor that stands where these readers do.
fn print_cursor<'a>(readers: impl Iterator<Item = &'a Reader> + Clone) -> String {
    let mut first_two = readers.clone();
    match (first_two.next(), first_two.next()) {
        // The common case, which does not depend on the channel.
        (Some(only), None) => cursor::print_one(only.position),
        _ => {
            let stands = |reader: &Reader| (reader.name.clone(), reader.position);
            let (channels, positions): (Vec<ChannelName>, Vec<Position>) =
                readers.map(stands).unzip();
            cursor::print(&channels, &positions)
        }
    }
}

fn page<'a>(
    metrics: &Metrics,
    transport: Transport,
    readers: impl Iterator<Item = &'a Reader> + Clone,
    batch: Batch,
) -> Answer {
    let more = batch.more;
    let (messages, gaps) = split(batch.items);
    let cursor = print_cursor(readers);
    let json = Page {
        cursor: &cursor,
        messages: &messages,
        gaps: &gaps,
        more,
        follow: None,
    }
    .print("");
    gaps.iter()
        .for_each(|gap| metrics.count_gap(gap.lost.reason));
    let counted = metrics.transport(transport);
    counted.messages.inc_by(messages.len() as u64);
    counted.bytes.inc_by(json.len() as u64);
    Answer::Page {
        json,
        cursor,
        is_sent_away: false,
    }
}
