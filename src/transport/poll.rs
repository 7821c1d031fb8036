//! Long and short polling: one page. A short poll reads once; a long poll that finds nothing waits once.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

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
    let (positions, batch) = look(gateway, &request.channels, &request.starts, request.budget);
    let stands = |known: Vec<Start>| {
        known.iter().eq(positions
            .iter()
            .copied()
            .map(Start::After)
            .collect::<Vec<_>>()
            .iter())
    };
    // A gap is told, even to a client that seems to stand behind it already.
    let has_gap = batch
        .items
        .iter()
        .any(|(_, item)| matches!(item, Item::Gap(_)));
    if !has_gap && request.known.is_some_and(stands) {
        return Answer::NotModified {
            cursor: cursor::print(&request.channels, &positions),
        };
    }
    page(
        &gateway.metrics,
        transport,
        &request.channels,
        &positions,
        batch,
    )
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
    channels: Vec<ChannelName>,
    starts: Vec<Start>,
    budget: Budget,
    wait: Duration,
}

/// Reads once, and says whether there is anything to wait for.
///
/// # Errors
/// The problem that keeps anybody from waiting now.
pub fn long(gateway: &Arc<Gateway>, request: Request) -> Result<Looked, Problem> {
    let (positions, batch) = look(gateway, &request.channels, &request.starts, request.budget);
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
        let found = page(
            &gateway.metrics,
            Transport::LongPoll,
            &request.channels,
            &positions,
            batch,
        );
        return Ok(Looked::Found(found));
    }
    let Request {
        channels,
        budget,
        wait,
        holder,
        ..
    } = request;
    let attachment = gateway.attachments.enter(Transport::LongPoll, holder)?;
    let older = attachment.take_over();
    // The look pinned every `now`, so what was published since is not missed.
    let starts = positions.into_iter().map(Start::After).collect();
    Ok(Looked::Waits(Waiting {
        gateway: Arc::clone(gateway),
        attachment,
        older,
        channels,
        starts,
        budget,
        wait,
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
        let mut session = Session::open(bus, signal, &self.channels, &self.starts).await?;
        // The session knows them now, and thousands may wait.
        (self.channels, self.starts) = (Vec::new(), Vec::new());
        let mut code = None;
        let batch = match timeout(self.wait, session.next(self.budget)).await {
            Ok(Ok(batch)) => batch,
            Err(_) => Batch::default(),
            Ok(Err(end)) => {
                self.attachment.ended(end.code);
                code = Some(end.code);
                // The client comes back by itself, and learns then what to do: an empty page is answer enough.
                if !matches!(end.code, Code::Shutdown | Code::TokenExpired) {
                    return Err(end.into());
                }
                Batch::default()
            }
        };
        let stands = |reader: &Reader| (reader.name.clone(), reader.position);
        let (channels, positions): (Vec<ChannelName>, Vec<Position>) =
            session.readers().map(stands).unzip();
        let mut answer = page(
            &self.gateway.metrics,
            Transport::LongPoll,
            &channels,
            &positions,
            batch,
        );
        if let Answer::Page { is_sent_away, .. } = &mut answer {
            *is_sent_away = code == Some(Code::Shutdown);
        }
        Ok(answer)
    }
}

/// One look at the channels, and the positions after it.
fn look(
    gateway: &Gateway,
    channels: &[ChannelName],
    starts: &[Start],
    budget: Budget,
) -> (Vec<Position>, Batch) {
    let bus = &gateway.bus;
    let mut readers: Vec<Reader> = channels
        .iter()
        .zip(starts)
        .map(|(channel, start)| bus.peek(channel, *start))
        .collect();
    let mut ready = readers
        .iter_mut()
        .enumerate()
        .map(|(i, reader)| (i as u32, reader))
        .collect();
    let batch = bus.read_fair(&mut ready, budget);
    drop(ready);
    (
        readers.iter().map(|reader| reader.position).collect(),
        batch,
    )
}

fn page(
    metrics: &Metrics,
    transport: Transport,
    channels: &[ChannelName],
    positions: &[Position],
    batch: Batch,
) -> Answer {
    let more = batch.more;
    let (messages, gaps) = split(batch.items);
    let cursor = cursor::print(channels, positions);
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
