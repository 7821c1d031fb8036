//! The bus: channels, and the handle by which everything else publishes to them and reads from them.

mod channel;
pub mod cursor;
pub mod herald;
mod inbox;
mod keys;
pub mod log;
mod marks;
pub mod name;
pub mod position;
pub mod publication;
pub mod reader;
pub mod retention;
pub mod signal;
pub mod store;
pub mod subscription;

use std::sync::Arc;

pub use cursor::{Cursor, CursorError};
pub use log::{Appended, GapReason, Lost};
pub use marks::Marks;
pub use name::{ChannelName, NameError, PublicId, SessionId, UserName, Wanted};
pub use position::{Epoch, Position, Start};
pub use publication::{Draft, Key, Payload, Publication};
pub use reader::{Batch, Budget, Gap, Item, Reader};
pub use retention::{Retention, Retentions};
pub use signal::{Beats, Signal};
pub use store::{Bounds, ChannelPage, ChannelStatus, Store};
pub use subscription::Subscription;

use crate::broker::Broker;
pub use crate::broker::PublishError;
use reader::Source;

/// The bus. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bus {
    store: Arc<Store>,
    broker: Broker,
}

/// A page of history, newest first, with the position from which to read live.
#[derive(Debug)]
pub struct HistoryBack {
    /// Messages, newest first.
    pub messages: Vec<Arc<Publication>>,
    /// Set if the upper bound was lost; the page then begins at the newest message.
    pub gap: Option<Gap>,
    /// The exclusive upper bound of the next page.
    pub bound: Position,
    /// Where to read live from: right behind the newest message below the bound, so that nothing lies between this page and
    /// what follows. Of the first page it is the head at the time of the read.
    pub follow: Position,
    /// True if older messages are kept.
    pub more: bool,
}

impl Bus {
    /// A bus over a broker that assigns offsets in this store.
    pub fn new(store: Arc<Store>, broker: Broker) -> Self {
        Self { store, broker }
    }

    /// Publishes to a channel.
    ///
    /// # Errors
    /// [`PublishError`]: a full store, a key used with another payload, or a broker that failed.
    pub async fn publish(
        &self,
        channel: &ChannelName,
        draft: &Draft,
    ) -> Result<Position, PublishError> {
        self.broker.publish(channel, draft).await
    }

    /// Sends to a user's inbox. Where the messages of users who were never seen are not kept, a message for one of them is
    /// dropped, and only its key is remembered: whoever sends meets the same answers.
    ///
    /// # Errors
    /// As [`Bus::publish`].
    pub async fn send(
        &self,
        to: &UserName,
        draft: &Draft,
        keeps_unknown: bool,
    ) -> Result<(), PublishError> {
        let inbox = ChannelName::inbox(to);
        if keeps_unknown || self.store.find(&inbox).is_ok() {
            self.broker.publish(&inbox, draft).await?;
            return Ok(());
        }
        let Some(key) = &draft.key else {
            return Ok(());
        };
        let nobody = ChannelName::nobodys_inbox();
        let forgotten = Draft {
            from: None,
            payload: Payload::Json("null".into()),
            // A key's own text holds no line feed.
            key: Some(key.of(to)),
        };
        self.broker.publish(&nobody, &forgotten).await?;
        self.broker.purge(&nobody).await?;
        Ok(())
    }

    /// Takes note of an inbox that is read by its user, who is known for as long as a channel is from its last use.
    ///
    /// # Errors
    /// [`PublishError::Full`].
    pub fn see(&self, inbox: &ChannelName) -> Result<(), PublishError> {
        Ok(self.store.see(inbox)?)
    }

    /// Has each channel keep so much from now on.
    pub fn keep(&self, retentions: Retentions) {
        self.store.keep(retentions);
    }

    /// Drops all messages of a channel. Returns its head, which stays, and how many messages there were.
    ///
    /// # Errors
    /// [`PublishError::Unavailable`].
    pub async fn purge(&self, channel: &ChannelName) -> Result<(Position, usize), PublishError> {
        self.broker.purge(channel).await
    }

    /// True if the draft's key was used in this channel with another payload.
    pub fn has_key_conflict(&self, channel: &ChannelName, draft: &Draft) -> bool {
        let Ok(channel) = self.store.find(channel) else {
            return false;
        };
        self.store.with_log(&channel, |log| log.recall(draft)) == Some(Appended::KeyConflict)
    }

    /// Attaches a session's signal to a channel, as the session's subscription `index`.
    ///
    /// # Errors
    /// [`PublishError::Unavailable`] if the broker cannot be reached. The memory broker always can.
    pub async fn subscribe(
        &self,
        channel: &ChannelName,
        start: Start,
        signal: &Arc<Signal>,
        index: u32,
    ) -> Result<Subscription, PublishError> {
        self.broker.join(channel).await?;
        Ok(Subscription::new(
            &self.store,
            channel,
            start,
            signal,
            index,
        ))
    }

    /// True if what is published to the channels of these readers reaches this node by now, so that they can be woken
    /// without asking anybody.
    pub fn has_joined(&self, readers: &[Reader]) -> bool {
        readers
            .iter()
            .all(|reader| self.broker.has_joined(&reader.name))
    }

    /// Asks for what is published to the channel of a reader.
    ///
    /// # Errors
    /// [`PublishError::Unavailable`] if the broker cannot be reached.
    pub async fn join(&self, reader: &Reader) -> Result<(), PublishError> {
        self.broker.join(&reader.name).await
    }

    /// A subscription that goes on where a reader stands, whose channel was [joined](Self::has_joined).
    pub fn subscribe_after(
        &self,
        reader: Reader,
        signal: &Arc<Signal>,
        index: u32,
    ) -> Subscription {
        Subscription::after(&self.store, reader, signal, index)
    }

    /// A reader that nobody wakes and that leaves nothing behind: one look at a channel.
    pub fn peek(&self, channel: &ChannelName, start: Start) -> Reader {
        match (self.store.find(channel), start) {
            (Ok(found), start) => {
                let position = match start {
                    Start::After(position) => position,
                    Start::Now | Start::Earliest => {
                        self.store.with_log(&found, |log| log.locate(start))
                    }
                };
                Reader::new(found.name.clone(), Source::Channel(found), position)
            }
            (Err(vacant), Start::After(position)) => {
                Reader::new(channel.clone(), Source::Vacant(vacant), position)
            }
            (Err(vacant), Start::Now | Start::Earliest) => {
                Reader::new(channel.clone(), Source::Vacant(vacant), vacant)
            }
        }
    }

    /// Reads from one reader, whose items get this index.
    pub fn read(&self, index: u32, reader: &mut Reader, budget: Budget) -> Batch {
        reader::read_one(&self.store, index, reader, budget)
    }

    /// Reads from several readers, fairly; see [`reader::read_fair`].
    pub fn read_fair(&self, ready: &mut Vec<(u32, &mut Reader)>, budget: Budget) -> Batch {
        reader::read_fair(&self.store, ready, budget)
    }

    /// Reads one channel backwards from an exclusive upper bound. A bound that has fallen off the history ends the
    /// paging; one of another epoch, or above the head, is a gap.
    pub fn history_back(&self, name: &ChannelName, start: Start, budget: Budget) -> HistoryBack {
        match self.store.find(name) {
            Ok(channel) => self
                .store
                .with_log(&channel, |log| history_back(log, name, start, budget)),
            Err(vacant) => history_back(&self.store.vacant_log(vacant), name, start, budget),
        }
    }

    /// The number of channels and the bytes they keep.
    pub fn totals(&self) -> (usize, usize) {
        self.store.totals()
    }

    /// Wakes large audiences, without an end; until it runs, whoever publishes wakes them itself.
    pub async fn wake(&self) {
        self.store.herald().run().await;
    }

    /// The channels of this node by name, a page at a time; see [`Store::list`].
    pub fn list(&self, prefix: &str, after: Option<&str>, count: usize) -> ChannelPage {
        self.store.list(prefix, after, count)
    }

    /// Some of the audience of a channel: of so many seats, from one on, those that are taken, each with its signal. Also the
    /// seat to go on from; nothing at the end. Who stays keeps its seat.
    pub fn audience(
        &self,
        channel: &ChannelName,
        from: usize,
        count: usize,
    ) -> (Vec<(usize, Arc<Signal>)>, Option<usize>) {
        match self.store.find(channel) {
            Ok(channel) => channel.sitters(from, count),
            Err(_) => (Vec::new(), None),
        }
    }

    /// Drops what is too old. The server calls it now and then.
    pub async fn sweep(&self) {
        self.store.sweep().await;
    }
}

fn history_back(log: &log::Log, name: &ChannelName, start: Start, budget: Budget) -> HistoryBack {
    let head = log.head();
    let above_head = Position {
        offset: head.offset + 1,
        ..head
    };
    let (mut bound, lost) = match start {
        Start::Now => (above_head, None),
        Start::Earliest => (
            Position {
                offset: log.tail().offset + 1,
                ..head
            },
            None,
        ),
        Start::After(bound) if bound.epoch != head.epoch => (above_head, Some(GapReason::Epoch)),
        Start::After(bound) if bound.offset > above_head.offset => {
            (above_head, Some(GapReason::Ahead))
        }
        Start::After(bound) => (bound, None),
    };
    let gap = lost.map(|reason| Gap {
        channel: name.clone(),
        lost: Lost {
            reason,
            resume: head,
            count: None,
        },
    });
    let follow = Position {
        offset: bound.offset.saturating_sub(1),
        ..head
    };
    let mut messages = Vec::new();
    let mut bytes = 0;
    for publication in log.before(bound.offset) {
        bytes += publication.json().len();
        if messages.len() == budget.messages || (bytes > budget.bytes && !messages.is_empty()) {
            break;
        }
        bound.offset = publication.offset;
        messages.push(Arc::clone(publication));
    }
    let more = log.before(bound.offset).next().is_some();
    HistoryBack {
        messages,
        gap,
        bound,
        follow,
        more,
    }
}
