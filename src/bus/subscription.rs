//! A reader that is woken: its place in a channel's audience, given back when it is dropped.

use std::sync::Arc;

use super::channel::Channel;
use super::name::ChannelName;
use super::position::Start;
use super::reader::{Reader, Source};
use super::signal::{Seat, Signal};
use super::store::Store;

/// A reader with a seat in the audience of its channel.
#[derive(Debug)]
pub struct Subscription {
    /// Where it stands.
    pub reader: Reader,
    store: Arc<Store>,
    channel: Arc<Channel>,
    key: usize,
}

impl Subscription {
    /// Attaches to a channel. `now` is pinned after the seat is taken, so nothing falls between.
    pub(super) fn new(
        store: &Arc<Store>,
        name: &ChannelName,
        start: Start,
        signal: &Arc<Signal>,
        index: u32,
    ) -> Self {
        let (channel, key) = loop {
            let channel = store.find_or_make(name);
            if let Ok(key) = channel.sit(Seat::new(Arc::clone(signal), index)) {
                break (channel, key);
            }
        };
        let position = store.with_log(&channel, |log| log.locate(start));
        // There may be something to read at once: messages after the position, or a gap to tell.
        signal.mark(index);
        let name = channel.name.clone();
        Self {
            reader: Reader::new(name, Source::Channel(Arc::clone(&channel)), position),
            store: Arc::clone(store),
            channel,
            key,
        }
    }

    /// Attaches where a reader stands that has read all there was. The channel that it looked at is not looked up again, and
    /// the session has something to read only if something came since.
    pub(super) fn after(
        store: &Arc<Store>,
        reader: Reader,
        signal: &Arc<Signal>,
        index: u32,
    ) -> Self {
        let position = reader.position;
        if let Some(channel) = reader.channel().cloned()
            && let Ok(key) = channel.sit(Seat::new(Arc::clone(signal), index))
        {
            // Looked at after the seat is taken, so nothing falls between.
            if channel.log().head() != position {
                signal.mark(index);
            }
            return Self {
                reader,
                store: Arc::clone(store),
                channel,
                key,
            };
        }
        Self::new(store, &reader.name, Start::After(position), signal, index)
    }

    /// Charges the channel for an encoding of a publication that is kept with it.
    pub fn charge(&self, offset: u64, bytes: usize) {
        self.store.charge(&self.channel, offset, bytes);
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.store.leave(&self.channel, self.key);
    }
}
