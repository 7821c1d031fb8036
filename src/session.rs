//! A session: one client's subscriptions with their positions, and how it ends. It knows no transport.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use slab::Slab;

use crate::broker::PublishError;
use crate::bus::{Batch, Budget, Bus, ChannelName, Position, Reader, Signal, Start, Subscription};
use crate::code::End;

/// One attached client.
#[derive(Debug)]
pub struct Session {
    bus: Bus,
    signal: Arc<Signal>,
    subscriptions: Slab<Subscribed>,
    /// Indices of subscriptions that may have something to read, each at most once.
    ready: Vec<u32>,
}

#[derive(Debug)]
struct Subscribed {
    subscription: Subscription,
    is_ready: bool,
}

/// A subscription that was made and is not yet part of a session.
#[derive(Debug)]
pub struct Joined {
    index: u32,
    subscription: Subscription,
}

impl Session {
    /// A session without subscriptions, ended and woken by `signal`.
    pub fn new(bus: Bus, signal: Arc<Signal>) -> Self {
        Self {
            bus,
            signal,
            subscriptions: Slab::new(),
            ready: Vec::new(),
        }
    }

    /// A session on several channels, subscribed in their order.
    ///
    /// # Errors
    /// [`PublishError::Unavailable`] if the broker cannot be reached.
    pub async fn open(
        bus: Bus,
        signal: Arc<Signal>,
        channels: &[ChannelName],
        starts: &[Start],
    ) -> Result<Self, PublishError> {
        let mut session = Self::new(bus, signal);
        session.subscriptions.reserve_exact(channels.len());
        for (channel, start) in channels.iter().zip(starts) {
            let joined = session.join(channel, *start).await?;
            session.add(joined);
        }
        Ok(session)
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

    /// Takes a subscription in and returns its position.
    pub fn add(&mut self, joined: Joined) -> Position {
        let position = joined.subscription.reader.position;
        // A look since the join found nobody at the index and let the mark go, so it is taken as marked here.
        joined.subscription.unmark();
        self.ready.push(joined.index);
        let key = self.subscriptions.insert(Subscribed {
            subscription: joined.subscription,
            is_ready: true,
        });
        debug_assert_eq!(
            key as u32, joined.index,
            "subscriptions are added in the order in which they were joined"
        );
        position
    }

    /// Drops a subscription and says whether there was one.
    pub fn unsubscribe(&mut self, channel: &ChannelName) -> bool {
        let Some(key) = self.key_of(channel) else {
            return false;
        };
        self.subscriptions.remove(key);
        self.ready.retain(|index| *index as usize != key);
        true
    }

    /// Drops all subscriptions.
    pub fn leave(&mut self) {
        self.subscriptions.clear();
        self.ready.clear();
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
    pub fn readers(&self) -> impl Iterator<Item = &Reader> {
        self.subscriptions
            .iter()
            .map(|(_, subscribed)| &subscribed.subscription.reader)
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
        self.collect_marks()?;
        let batch = self.read_ready(budget);
        if batch.items.is_empty() {
            Poll::Pending
        } else {
            Poll::Ready(Ok(batch))
        }
    }

    /// Moves the marks from the signal to `ready`.
    fn collect_marks(&mut self) -> Result<(), End> {
        let already_ready = self.ready.len();
        self.signal.take(&mut self.ready)?;
        let mut kept = already_ready;
        for i in already_ready..self.ready.len() {
            let index = self.ready[i];
            // A mark of a subscription that was dropped since, or one that is listed already, is let go.
            let Some(subscribed) = self.subscriptions.get_mut(index as usize) else {
                continue;
            };
            subscribed.subscription.unmark();
            if !subscribed.is_ready {
                subscribed.is_ready = true;
                self.ready[kept] = index;
                kept += 1;
            }
        }
        self.ready.truncate(kept);
        Ok(())
    }

    fn read_ready(&mut self, budget: Budget) -> Batch {
        if self.ready.is_empty() {
            return Batch::default();
        }
        let mut readers: Vec<(u32, &mut Reader)> = Vec::with_capacity(self.ready.len());
        for (key, subscribed) in &mut self.subscriptions {
            if subscribed.is_ready {
                subscribed.is_ready = false;
                readers.push((key as u32, &mut subscribed.subscription.reader));
            }
        }
        let batch = self.bus.read(&mut readers, budget);
        self.ready.clear();
        self.ready.extend(readers.iter().map(|(index, _)| *index));
        for index in &self.ready {
            self.subscriptions[*index as usize].is_ready = true;
        }
        batch
    }

    /// Charges a channel for an encoding that was made for one of its publications and is kept with it.
    pub fn charge(&self, index: u32, offset: u64, bytes: usize) {
        if let Some(subscribed) = self.subscriptions.get(index as usize) {
            subscribed.subscription.charge(offset, bytes);
        }
    }

    fn key_of(&self, channel: &ChannelName) -> Option<usize> {
        let mut subscriptions = self.subscriptions.iter();
        subscriptions
            .find(|(_, subscribed)| subscribed.subscription.reader.name == *channel)
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
        session.add(joined);
        for _ in 0..2 {
            let batch = tokio::time::timeout(moment, session.next(budget)).await;
            assert_eq!(batch.expect("it was published").unwrap().items.len(), 1);
            bus.publish(&channel, &draft).await.unwrap();
        }
    }
}
