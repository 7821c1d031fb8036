//! A session: one client's subscriptions with their positions, and how it ends. It knows no transport.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use slab::Slab;

use crate::broker::PublishError;
use crate::bus::{
    Batch, Beats, Budget, Bus, ChannelName, Marks, Position, Reader, Signal, Start, Subscription,
};
use crate::code::End;
use crate::presence::{Full, Guest};
use crate::problem::Problem;

/// One attached client.
#[derive(Debug)]
#[repr(C)]
pub struct Session {
    signal: Arc<Signal>,
    /// Which subscriptions may have something to read.
    ready: Marks,
    /// What is due and was not asked for yet.
    beats: Beats,
    subscriptions: Slab<Subscription>,
    bus: Bus,
    /// Its presence in the channels, for a client with a name.
    guest: Option<Box<Guest>>,
}

/// A subscription that was made and is not yet part of a session.
#[derive(Debug)]
pub struct Joined {
    index: u32,
    subscription: Subscription,
}

/// Why a channel could not be subscribed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// The broker failed.
    #[error(transparent)]
    Broker(#[from] PublishError),
    /// Too many clients are present.
    #[error(transparent)]
    Full(#[from] Full),
}

impl From<JoinError> for Problem {
    fn from(error: JoinError) -> Self {
        match error {
            JoinError::Broker(error) => error.into(),
            JoinError::Full(full) => full.into(),
        }
    }
}

impl Session {
    /// A session without subscriptions, ended and woken by `signal`.
    pub fn new(bus: Bus, signal: Arc<Signal>) -> Self {
        Self {
            bus,
            signal,
            subscriptions: Slab::new(),
            ready: Marks::default(),
            beats: Beats::default(),
            guest: None,
        }
    }

    /// A session on several channels, subscribed in their order. Its client is present in none of them.
    ///
    /// # Errors
    /// [`JoinError`].
    pub async fn open(
        bus: Bus,
        signal: Arc<Signal>,
        channels: &[ChannelName],
        starts: &[Start],
    ) -> Result<Self, JoinError> {
        Self::new(bus, signal)
            .join_all(None, channels, starts)
            .await
    }

    /// The same session, on several channels, subscribed in their order. Its client is present in them, if it is somebody.
    ///
    /// # Errors
    /// [`JoinError`].
    pub async fn join_all(
        mut self,
        guest: Option<Box<Guest>>,
        channels: &[ChannelName],
        starts: &[Start],
    ) -> Result<Self, JoinError> {
        self.guest = guest;
        if let Err(error) = self.join_each(channels, starts).await {
            // It was never there, so nobody waits for it to come back.
            self.quit();
            return Err(error);
        }
        Ok(self)
    }

    async fn join_each(
        &mut self,
        channels: &[ChannelName],
        starts: &[Start],
    ) -> Result<(), JoinError> {
        self.subscriptions.reserve_exact(channels.len());
        for (channel, start) in channels.iter().zip(starts) {
            let joined = self.join(channel, *start).await?;
            self.add(joined)?;
        }
        Ok(())
    }

    /// A session that goes on where these readers stand, who have read all there was. Their channels are
    /// [joined](Bus::has_joined).
    pub fn after(bus: Bus, signal: Arc<Signal>, readers: Vec<Reader>) -> Self {
        let mut session = Self::new(bus, signal);
        session.subscriptions.reserve_exact(readers.len());
        for (reader, index) in readers.into_iter().zip(0..) {
            // What came meanwhile has left its mark in the signal, and nobody has taken it.
            let subscription = session.bus.subscribe_after(reader, &session.signal, index);
            session.subscriptions.insert(subscription);
        }
        session
    }

    /// Makes a subscription for this session. [`Session::add`] it before the next one is made.
    pub fn join(
        &self,
        channel: &ChannelName,
        start: Start,
    ) -> impl Future<Output = Result<Joined, PublishError>> + Send + use<> {
        let index = self.subscriptions.vacant_key() as u32;
        let (bus, signal, channel) = (self.bus.clone(), Arc::clone(&self.signal), channel.clone());
        async move {
            let subscription = bus.subscribe(&channel, start, &signal, index).await?;
            Ok(Joined {
                index,
                subscription,
            })
        }
    }

    /// Takes a subscription in and returns its position. The client is present in the channel from now on.
    ///
    /// # Errors
    /// [`Full`]; the subscription is gone then.
    pub fn add(&mut self, joined: Joined) -> Result<Position, Full> {
        if let Some(guest) = &mut self.guest {
            guest.enter(&joined.subscription.reader.name)?;
        }
        let position = joined.subscription.reader.position;
        // A look since the join found nobody at the index and let the mark go, so it is taken as marked here.
        self.ready.insert(joined.index);
        let key = self.subscriptions.insert(joined.subscription);
        debug_assert_eq!(
            key as u32, joined.index,
            "subscriptions are added in the order in which they were joined"
        );
        Ok(position)
    }

    /// Drops a subscription and says whether there was one. The client is not present in the channel any more.
    pub fn unsubscribe(&mut self, channel: &ChannelName) -> bool {
        let Some(key) = self.key_of(channel) else {
            return false;
        };
        self.subscriptions.remove(key);
        self.ready.remove(key as u32);
        if let Some(guest) = &mut self.guest {
            guest.leave(channel);
        }
        true
    }

    /// Drops all subscriptions. The client may come back, and is present for a while.
    pub fn leave(&mut self) {
        self.subscriptions.clear();
        self.ready.clear();
        self.guest = None;
    }

    /// Drops all subscriptions of a client that does not come back.
    pub fn quit(&mut self) {
        if let Some(guest) = &mut self.guest {
            guest.leave_all();
        }
        self.leave();
    }

    /// Shows something else of the client where it is present: JSON.
    pub fn show_info(&mut self, info: Option<&Arc<str>>) {
        if let Some(guest) = &mut self.guest {
            guest.show_info(info);
        }
    }

    /// True if the session is subscribed to a channel.
    pub fn is_subscribed(&self, channel: &ChannelName) -> bool {
        self.key_of(channel).is_some()
    }

    /// The number of subscriptions.
    pub fn len(&self) -> usize {
        self.subscriptions.len()
    }

    /// True if there is no subscription.
    pub fn is_empty(&self) -> bool {
        self.subscriptions.is_empty()
    }

    /// Where each subscription stands, in the order in which they were made.
    pub fn readers(&self) -> impl Iterator<Item = &Reader> + Clone {
        self.subscriptions
            .iter()
            .map(|(_, subscription)| &subscription.reader)
    }

    /// Waits for something to read. Cancel safe: positions move only when a batch is returned.
    ///
    /// # Errors
    /// The [`End`] of the session, which comes before anything that is left to read.
    pub async fn next(&mut self, budget: Budget) -> Result<Batch, End> {
        poll_fn(|cx| self.poll_next(cx, budget)).await
    }

    /// The same, for those who poll. One task at a time may wait.
    ///
    /// # Errors
    /// The [`End`] of the session.
    pub fn poll_next(&mut self, cx: &mut Context<'_>, budget: Budget) -> Poll<Result<Batch, End>> {
        // Registered before looking: what is marked after the look wakes us.
        self.signal.register(cx.waker());
        self.beats.join(self.signal.take(&mut self.ready)?);
        let batch = self.read_ready(budget);
        if batch.items.is_empty() {
            Poll::Pending
        } else {
            Poll::Ready(Ok(batch))
        }
    }

    /// What is due, once. Ask after [`Session::poll_next`], which hears of it.
    pub fn take_beats(&mut self) -> Beats {
        std::mem::take(&mut self.beats)
    }

    fn read_ready(&mut self, budget: Budget) -> Batch {
        if self.ready.is_empty() {
            return Batch::default();
        }
        // The common case, without a list.
        if let Some(index) = self.ready.only() {
            return self.read_only(index, budget);
        }
        // The mark of a subscription that was dropped since, or is not added yet, is let go.
        let ready = std::mem::take(&mut self.ready);
        let mut readers: Vec<(u32, &mut Reader)> = Vec::new();
        for (key, subscription) in &mut self.subscriptions {
            if ready.contains(key as u32) {
                readers.push((key as u32, &mut subscription.reader));
            }
        }
        let batch = self.bus.read_fair(&mut readers, budget);
        for (index, _) in readers {
            self.ready.insert(index);
        }
        batch
    }

    fn read_only(&mut self, index: u32, budget: Budget) -> Batch {
        let Some(subscription) = self.subscriptions.get_mut(index as usize) else {
            self.ready.clear();
            return Batch::default();
        };
        let batch = self.bus.read(index, &mut subscription.reader, budget);
        if !batch.more {
            self.ready.remove(index);
        }
        batch
    }

    /// Charges a channel for an encoding that was made for one of its publications and is kept with it.
    pub fn charge(&self, index: u32, offset: u64, bytes: usize) {
        if let Some(subscription) = self.subscriptions.get(index as usize) {
            subscription.charge(offset, bytes);
        }
    }

    fn key_of(&self, channel: &ChannelName) -> Option<usize> {
        let mut subscriptions = self.subscriptions.iter();
        subscriptions
            .find(|(_, subscription)| subscription.reader.name == *channel)
            .map(|(key, _)| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::{Broker, Memory};
    use crate::bus::{Bounds, Draft, Payload, Store};
    use std::time::Duration;

    fn bus() -> Bus {
        let store = Arc::new(Store::new(Bounds::small()));
        Bus::new(Arc::clone(&store), Broker::Memory(Memory::new(store)))
    }

    #[tokio::test(start_paused = true)]
    async fn without_room_no_gap_is_told_and_with_room_one_is() {
        let (bus, channel) = (bus(), ChannelName::parse("a").unwrap());
        let long = Draft {
            from: None,
            payload: Payload::Json(format!("\"{}\"", "x".repeat(500)).into()),
            key: None,
        };
        let start = [Start::Now];
        let mut session = Session::open(
            bus.clone(),
            Arc::default(),
            std::slice::from_ref(&channel),
            &start,
        )
        .await
        .unwrap();
        let (nothing, something) = (
            Budget {
                messages: 0,
                bytes: 0,
            },
            Budget {
                messages: 10,
                bytes: 1000,
            },
        );
        let moment = Duration::from_millis(1);
        for _ in 0..50 {
            bus.publish(&channel, &long).await.unwrap();
            let look = tokio::time::timeout(moment, session.next(nothing)).await;
            assert!(look.is_err(), "there is no room for a gap");
        }
        let batch = session.next(something).await.unwrap();
        let gaps = batch
            .items
            .iter()
            .filter(|(_, item)| matches!(item, crate::bus::Item::Gap(_)));
        assert_eq!(gaps.count(), 1);
        assert!(batch.items.len() > 1, "reading goes on after it");
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_between_join_and_add_misses_nothing() {
        let (bus, channel) = (bus(), ChannelName::parse("a").unwrap());
        let draft = Draft {
            from: None,
            payload: Payload::Json("1".into()),
            key: None,
        };
        let mut session = Session::new(bus.clone(), Arc::default());
        let joined = session.join(&channel, Start::Now).await.unwrap();
        bus.publish(&channel, &draft).await.unwrap();
        let budget = Budget {
            messages: 10,
            bytes: 1000,
        };
        let moment = Duration::from_millis(1);
        let look = tokio::time::timeout(moment, session.next(budget)).await;
        assert!(look.is_err(), "nothing was subscribed yet");
        session.add(joined).unwrap();
        for _ in 0..2 {
            let batch = tokio::time::timeout(moment, session.next(budget)).await;
            assert_eq!(batch.expect("it was published").unwrap().items.len(), 1);
            bus.publish(&channel, &draft).await.unwrap();
        }
    }
}
