//! A list of channels by name, a page at a time.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use super::Store;
use crate::bus::channel::Channel;
use crate::bus::name::ChannelName;
use crate::bus::position::Position;

/// A channel as it was looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelStatus {
    /// Its name.
    pub name: ChannelName,
    /// The newest offset given out; 0 if nothing was published yet.
    pub head: Position,
    /// Messages that are kept.
    pub messages: usize,
    /// What they and the idempotency keys cost to keep.
    pub bytes: usize,
    /// Attachments that read it.
    pub subscribers: usize,
    /// Since it was last published or attached to, or left.
    pub idle: Duration,
}

/// Some channels, in the order of their names.
#[derive(Debug)]
pub struct ChannelPage {
    /// The channels.
    pub channels: Vec<ChannelStatus>,
    /// The name after which to go on; nothing at the end.
    pub after: Option<ChannelName>,
}

impl Store {
    /// The channels whose names begin with a prefix and come after a name, which need not be there any more. The names are
    /// taken under the table's lock, so `count` should be small; each channel is then looked at by itself.
    ///
    /// A channel that is there from the first page to the last is listed once; one that comes or goes meanwhile may be.
    pub fn list(&self, prefix: &str, after: Option<&str>, count: usize) -> ChannelPage {
        let mut found = self.find_from(prefix, after, count.saturating_add(1));
        let after = (found.len() > count).then(|| {
            found.truncate(count);
            found.last().map(|channel| channel.name.clone())
        });
        let there = found.iter().filter(|channel| !channel.is_retired());
        ChannelPage {
            channels: there.map(|channel| self.status(channel)).collect(),
            after: after.flatten(),
        }
    }

    fn find_from(&self, prefix: &str, after: Option<&str>, count: usize) -> Vec<Arc<Channel>> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let table = self.table.read();
        let names = table.names.range::<str, _>((from, Bound::Unbounded));
        names
            .take_while(|name| name.as_str().starts_with(prefix))
            .take(count)
            .filter_map(|name| table.channels.get(name).cloned())
            .collect()
    }

    fn status(&self, channel: &Channel) -> ChannelStatus {
        let (head, messages, bytes) =
            self.with_log(channel, |log| (log.head(), log.kept(), log.kept_bytes()));
        let idle_ms = self.now_ms().saturating_sub(channel.active_ms());
        ChannelStatus {
            name: channel.name.clone(),
            head,
            messages,
            bytes,
            subscribers: channel.audience_len(),
            idle: Duration::from_millis(idle_ms),
        }
    }
}
