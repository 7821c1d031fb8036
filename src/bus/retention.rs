//! How much channels keep, by their namespaces.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::name::ChannelName;

/// How much a channel keeps.
#[derive(Debug, Clone)]
pub struct Retention {
    /// Most publications.
    pub count_max: usize,
    /// Most bytes, encodings included. The newest publication is kept even when it alone is larger.
    pub bytes_max: usize,
    /// Longest time a publication is kept.
    pub age_max: Duration,
    /// Most idempotency keys.
    pub keys_max: usize,
    /// Longest time a key is kept.
    pub key_age_max: Duration,
}

/// How much each channel keeps.
#[derive(Debug, Clone)]
pub struct Retentions {
    namespaces: BTreeMap<Box<str>, Arc<Retention>>,
    inboxes: Arc<Retention>,
    others: Arc<Retention>,
}

impl Retentions {
    /// The same for all channels.
    pub fn new(all: Retention) -> Self {
        let others = Arc::new(all);
        Self {
            namespaces: BTreeMap::new(),
            inboxes: Arc::clone(&others),
            others,
        }
    }

    /// Another one for the channels of a namespace.
    pub fn set_namespace(&mut self, namespace: &str, retention: Retention) {
        self.namespaces
            .insert(namespace.into(), Arc::new(retention));
    }

    /// Another one for inboxes.
    pub fn set_inboxes(&mut self, retention: Retention) {
        self.inboxes = Arc::new(retention);
    }

    /// What a channel keeps. Changes of presence are kept as the messages of the channel they are about.
    pub fn of(&self, channel: &ChannelName) -> &Arc<Retention> {
        if channel.is_inbox() {
            return &self.inboxes;
        }
        let own = channel
            .settings_namespace()
            .and_then(|namespace| self.namespaces.get(namespace));
        own.unwrap_or(&self.others)
    }

    /// What a channel of no namespace keeps.
    pub fn others(&self) -> &Arc<Retention> {
        &self.others
    }
}
