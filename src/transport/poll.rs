//! Long and short polling: one page. A short poll reads once; a long poll that finds nothing waits once.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::attachments::{Attachment, Holder, Predecessor};
use crate::bus::{Batch, Budget, ChannelName, Item, Position, Reader, Start, cursor};
use crate::code::Code;
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
#[derive(Debug)]
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

/// A long poll that waits, once. Dropping it leaves nothing behind.
#[derive(Debug)]
pub struct Waiting {
    gateway: Arc<Gateway>,
    attachment: Attachment,
    older: Option<Predecessor>,
    readers: Vec<Reader>,
    budget: Budget,
    time: WaitTime,
}

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
    let older = attachment.take_over();
    Ok(Looked::Waits(Waiting {
        gateway: Arc::clone(gateway),
        attachment,
        older,
        // The look pinned every `now`, so what was published since is not missed.
        readers,
        budget,
        time: alarm.cloned().unwrap_or_default().wait(wait),
    }))
}

impl Waiting {
    /// Waits for something, or for the time to run out.
    ///
    /// # Errors
    /// The problem that ended the wait.
    pub async fn run(mut self) -> Result<Answer, Problem> {
        if let Some(older) = self.older.take() {
            older.gone().await;
        }
        let signal = Arc::clone(self.attachment.signal());
        let bus = self.gateway.bus.clone();
        // Taken, because the session has them now, and thousands may wait.
        let readers = std::mem::take(&mut self.readers);
        let mut session = Session::after(bus, signal, readers).await?;
        let mut code = None;
        let next = poll_fn(|cx| match session.poll_next(cx, self.budget) {
            Poll::Ready(next) => Poll::Ready(Some(next)),
            Poll::Pending => self.time.poll_over(cx).map(|()| None),
        });
        let batch = match next.await {
            Some(Ok(batch)) => batch,
            None => Batch::default(),
            Some(Err(end)) => {
                self.attachment.ended(end.code);
                code = Some(end.code);
                // The client comes back by itself, and learns then what to do: an empty page is answer enough.
                if !matches!(end.code, Code::Shutdown | Code::TokenExpired) {
                    return Err(end.into());
                }
                Batch::default()
            }
        };
        let metrics = &self.gateway.metrics;
        let mut answer = page(metrics, Transport::LongPoll, session.readers(), batch);
        if let Answer::Page { is_sent_away, .. } = &mut answer {
            *is_sent_away = code == Some(Code::Shutdown);
        }
        Ok(answer)
    }
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
