//! Long and short polling: one page. A short poll reads once; a long poll that finds nothing waits once.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::bus::{Batch, Budget, ChannelName, Item, Position, Reader, Start, cursor};
use crate::code::Code;
use crate::gateway::Gateway;
use crate::history::split;
use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::protocol::page::Page;
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
    /// Where the client says it stands already.
    pub known: Option<Vec<Start>>,
}

/// The answer of a poll.
#[derive(Debug)]
pub enum Answer {
    /// A page, maybe an empty one.
    Page {
        /// The page as JSON.
        json: Vec<u8>,
        /// Where to go on.
        cursor: String,
    },
    /// The page would end where the client stands.
    NotModified {
        /// Where that is.
        cursor: String,
    },
}

/// Reads once.
pub fn short(gateway: &Gateway, request: Request) -> Answer {
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
        Transport::Poll,
        &request.channels,
        &positions,
        batch,
    )
}

/// Reads, and if there is nothing, waits once. Dropping it leaves nothing behind.
///
/// # Errors
/// The problem that ended the wait, or that nobody may wait now.
pub async fn long(gateway: &Arc<Gateway>, request: Request) -> Result<Answer, Problem> {
    let Request {
        channels,
        starts,
        budget,
        wait,
        ..
    } = request;
    let (positions, batch) = look(gateway, &channels, &starts, budget);
    if !batch.items.is_empty() || wait.is_zero() {
        return Ok(page(
            &gateway.metrics,
            Transport::LongPoll,
            &channels,
            &positions,
            batch,
        ));
    }
    let mut attachment = gateway.attachments.enter(Transport::LongPoll)?;
    // The look pinned every `now`, so what was published since is not missed.
    let pinned: Vec<Start> = positions.into_iter().map(Start::After).collect();
    let signal = Arc::clone(attachment.signal());
    let mut session = Session::open(gateway.bus.clone(), signal, &channels, &pinned).await?;
    let batch = match timeout(wait, session.next(budget)).await {
        Ok(Ok(batch)) => batch,
        Err(_) => Batch::default(),
        // The client comes back by itself, and learns then where to: an empty page is answer enough.
        Ok(Err(end)) if end.code == Code::Shutdown => {
            attachment.ended(end.code);
            Batch::default()
        }
        Ok(Err(end)) => {
            attachment.ended(end.code);
            return Err(end.into());
        }
    };
    let positions: Vec<Position> = session.readers().map(|reader| reader.position).collect();
    Ok(page(
        &gateway.metrics,
        Transport::LongPoll,
        &channels,
        &positions,
        batch,
    ))
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
    let batch = bus.read(&mut ready, budget);
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
    .to_json("");
    gaps.iter()
        .for_each(|gap| metrics.count_gap(gap.lost.reason));
    let counted = metrics.transport(transport);
    counted.messages.inc_by(messages.len() as u64);
    counted.bytes.inc_by(json.len() as u64);
    Answer::Page { json, cursor }
}
