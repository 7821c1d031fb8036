//! A bus and its model, side by side.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use everyway::broker::{Broker, Memory};
use everyway::bus::{
    Bounds, Budget, Bus, ChannelName, Draft, Epoch, GapReason, Key, Payload, Position,
    PublishError, Reader, Signal, Start, Store,
};
use everyway::session::Session;
use tokio::time::advance;

use super::client::{Attached, Client, Owed, read_message, settle};
use super::naive::{Known, Naive, Told};
use super::op::{CHANNELS, CLIENTS, From, Op, Size};

/// What a message costs beyond its payload, at most: how far ahead the bus looks before it takes one in.
const ENVELOPE_BYTES_MAX: usize = 2048;
/// A budget that ends no read.
const PLENTY: usize = 1 << 20;

pub struct World {
    bus: Bus,
    naive: Naive,
    clients: [Client; CLIENTS],
    /// Every position that was ever given out.
    given: Vec<Position>,
    published: usize,
}

impl World {
    pub fn new(bounds: Bounds) -> Self {
        let store = Arc::new(Store::new(bounds.clone()));
        let bus = Bus::new(Arc::clone(&store), Broker::Memory(Memory::new(store)));
        let epoch = vacant_epoch(&bus);
        Self {
            bus,
            naive: Naive::new(bounds, epoch),
            clients: std::array::from_fn(|_| Client::default()),
            given: Vec::new(),
            published: 0,
        }
    }

    pub async fn run(&mut self, op: &Op) {
        // No two operations at one time: which channel is idle for longest is then never a matter of chance.
        advance(Duration::from_millis(1)).await;
        match op {
            Op::Publish {
                channel,
                key,
                payload,
            } => {
                self.publish(&name(*channel), *key, *payload).await;
            }
            Op::Attach { client, channels } => self.attach(*client, channels).await,
            Op::Read {
                client,
                messages,
                bytes,
            } => {
                let budget = Budget {
                    messages: *messages,
                    bytes: *bytes,
                };
                self.clients[*client].read(&mut self.naive, budget);
            }
            Op::Detach { client } => self.detach(*client),
            Op::Subscribe {
                client,
                channel,
                from,
            } => {
                self.subscribe(*client, *channel, *from).await;
            }
            Op::Unsubscribe { client, channel } => self.unsubscribe(*client, &name(*channel)),
            Op::Look {
                channels,
                messages,
                bytes,
            } => {
                let budget = Budget {
                    messages: *messages,
                    bytes: *bytes,
                };
                self.look(channels, budget);
            }
            Op::Back {
                channel,
                from,
                messages,
            } => self.back(*channel, *from, *messages),
            Op::Purge { channel } => self.purge(&name(*channel)).await,
            Op::List { count } => self.list(*count),
            Op::Wait(time) => advance(*time).await,
            Op::Sweep => self.sweep().await,
        }
    }

    /// What holds at any time.
    pub fn check(&self) {
        let (channels, bytes) = self.bus.totals();
        assert_eq!(channels, self.naive.with_state(), "channels with state");
        assert!(
            bytes <= self.naive.bounds.bytes_max,
            "{bytes} bytes are kept"
        );
        assert_eq!(
            vacant_epoch(&self.bus),
            self.naive.epoch,
            "the store's epoch"
        );
        self.clients.iter().for_each(Client::check);
    }

    /// Everybody reads what is left and leaves; then everything ages out and is forgotten.
    pub async fn wind_down(&mut self) {
        let budget = Budget {
            messages: PLENTY,
            bytes: PLENTY,
        };
        for client in 0..CLIENTS {
            self.clients[client].read(&mut self.naive, budget);
            self.detach(client);
        }
        let bounds = self.naive.bounds.clone();
        advance(bounds.retention.age_max.max(bounds.retention.key_age_max)).await;
        self.sweep().await;
        assert_eq!(self.bus.totals().1, 0, "bytes are left");
        advance(bounds.forget_after).await;
        self.sweep().await;
        assert_eq!(self.bus.totals(), (0, 0));
    }

    async fn publish(&mut self, name: &ChannelName, key: Option<u8>, size: Size) {
        let payload = self.payload(key, size);
        let draft = draft(&payload, key);
        let bytes_before = self.bus.totals().1;
        let known = self.naive.known(name, key, &payload);
        let answer = self.bus.publish(name, &draft).await;
        if let Some(known) = known {
            let expected = match known {
                Known::Repeat(position) => Ok(position),
                Known::Conflict => Err(PublishError::KeyConflict),
            };
            assert_eq!(answer, expected, "a known key");
            return;
        }
        let is_tight = bytes_before + payload.len() + ENVELOPE_BYTES_MAX > self.bytes_max();
        if answer.is_ok() {
            // It was made before any room was made, so it has the epoch from before.
            self.naive.life_or_new(name);
        }
        let has_room = self.forget_for(name, answer, is_tight);
        match answer {
            Ok(position) => {
                if is_tight {
                    self.see_forgotten(name);
                }
                self.published(name, &draft, key, position, is_tight);
            }
            Err(error) => {
                assert_eq!(error, PublishError::Full);
                if has_room {
                    assert!(is_tight, "full without need");
                    self.see_forgotten(name);
                    self.check_full(payload.len() + ENVELOPE_BYTES_MAX);
                }
            }
        }
    }

    async fn purge(&mut self, name: &ChannelName) {
        let keep = self.naive.bounds.retention.clone();
        let expected = match self.naive.lives.get_mut(name) {
            Some(life) => (life.at(life.head()), life.purge(&keep)),
            None => (
                Position {
                    epoch: self.naive.epoch,
                    offset: 0,
                },
                0,
            ),
        };
        assert_eq!(self.bus.purge(name).await, Ok(expected), "purge of {name}");
    }

    /// Pages of any size name every channel once, in order, and each is what it is.
    fn list(&mut self, count: usize) {
        let mut listed = Vec::new();
        let mut after: Option<ChannelName> = None;
        loop {
            let page = (self.bus).list("", after.as_ref().map(ChannelName::as_str), count);
            assert!(page.channels.len() <= count);
            listed.extend(page.channels);
            after = page.after;
            if after.is_none() {
                break;
            }
        }
        self.naive.expire();
        let told = listed.iter().map(|channel| {
            let counts = (channel.messages as u64, channel.subscribers, channel.idle);
            (channel.name.clone(), channel.head, counts)
        });
        let lives = self.naive.lives.iter().map(|(name, life)| {
            let counts = (life.kept(), life.audience, life.active.elapsed());
            (name.clone(), life.at(life.head()), counts)
        });
        assert_eq!(told.collect::<Vec<_>>(), lives.collect::<Vec<_>>());
        let bytes: usize = listed.iter().map(|channel| channel.bytes).sum();
        assert_eq!(bytes, self.bus.totals().1);
    }

    /// A payload that tells itself apart, or one of two for a key, so that keys are repeated and misused.
    fn payload(&mut self, key: Option<u8>, size: Size) -> String {
        self.published += 1;
        let filler = match size {
            Size::Small => "",
            Size::Medium => &"m".repeat(300),
            Size::Large => &"l".repeat(1_400),
        };
        match key {
            Some(key) => format!("\"key {key}{filler}\""),
            None => format!("\"{}{filler}\"", self.published),
        }
    }

    /// A new channel beyond the bound on channels takes the place of the longest idle one that nobody attends. Says
    /// whether there is a place.
    fn forget_for(
        &mut self,
        name: &ChannelName,
        answer: Result<Position, PublishError>,
        is_tight: bool,
    ) -> bool {
        let lives = &self.naive.lives;
        let has_state = lives.get(name).is_some_and(|life| life.head() > 0);
        if has_state || self.naive.with_state() < self.naive.bounds.channels_max {
            return true;
        }
        let candidates = self.naive.next_to_forget();
        let gone: Vec<ChannelName> = (lives.iter())
            .filter(|(other, life)| *other != name && self.head(other) != life.at(life.head()))
            .map(|(name, _)| name.clone())
            .collect();
        if candidates.is_empty() || gone.is_empty() {
            assert_eq!(answer, Err(PublishError::Full));
            assert!(gone.is_empty(), "{gone:?} were forgotten though attended");
            return !candidates.is_empty();
        }
        // Where bytes are short, too, more may have gone after the first.
        assert!(gone.len() == 1 || is_tight, "{gone:?} were forgotten");
        let first = gone.iter().find(|name| candidates.contains(name));
        let first = first.unwrap_or_else(|| panic!("{gone:?} are not the longest idle"));
        self.naive.lives.remove(first);
        self.naive.see_epoch(vacant_epoch(&self.bus), true);
        true
    }

    fn published(
        &mut self,
        name: &ChannelName,
        draft: &Draft,
        key: Option<u8>,
        position: Position,
        is_tight: bool,
    ) {
        let keep = self.naive.bounds.retention.clone();
        let life = self.naive.life_or_new(name);
        assert_eq!(position, life.at(life.head() + 1), "{name}");
        life.append(name, draft, key, &keep);
        if is_tight {
            self.see_shed(name);
        }
        self.given.push(position);
        let attached = self
            .clients
            .iter()
            .filter_map(|client| client.attached.as_ref());
        attached
            .filter(|attached| attached.session.is_subscribed(name))
            .for_each(Attached::assert_woken);
    }

    /// Where the newest messages alone were too many bytes, the longest idle channels that nobody attends were forgotten.
    fn see_forgotten(&mut self, publishing: &ChannelName) {
        let lives = &self.naive.lives;
        let gone: Vec<ChannelName> = (lives.iter())
            .filter(|(name, life)| *name != publishing && self.head(name) != life.at(life.head()))
            .map(|(name, _)| name.clone())
            .collect();
        if gone.is_empty() {
            return;
        }
        let latest = gone.iter().map(|name| lives[name].active).max();
        for (name, life) in lives.iter().filter(|(name, _)| *name != publishing) {
            let stays = !gone.contains(name);
            assert!(stays || life.audience == 0, "{name} went though attended");
            let is_idler = life.audience == 0 && Some(life.active) < latest;
            assert!(
                !(stays && is_idler),
                "{name} was idle for longer and stayed"
            );
        }
        gone.iter()
            .for_each(|name| drop(self.naive.lives.remove(name)));
        let epoch = vacant_epoch(&self.bus);
        self.naive.see_epoch(epoch, epoch != self.naive.epoch);
    }

    /// Where the bytes of all channels were short, the longest idle gave up their history, the one published to last.
    fn see_shed(&mut self, publishing: &ChannelName) {
        self.naive.expire();
        let (mut shed, mut unshed) = (Vec::new(), Vec::new());
        let mut publishing_was_shed = false;
        for (name, life) in &mut self.naive.lives {
            let tail = tail(&self.bus, name).offset;
            // The new message came after the shedding, so where it went two may be left.
            let newest = if name == publishing { 2 } else { 1 };
            let shed_tail = life.tail.max(life.head().saturating_sub(newest));
            assert!(
                [life.tail, shed_tail].contains(&tail),
                "{name} lost history up to {tail}"
            );
            let lost = tail > life.tail;
            if name == publishing {
                publishing_was_shed = lost;
            } else if lost {
                shed.push((life.audience > 0, life.active));
            } else if tail < shed_tail {
                unshed.push((life.audience > 0, life.active));
            }
            life.tail = tail;
        }
        assert!(
            !publishing_was_shed || unshed.is_empty(),
            "others were idle for longer"
        );
        if let (Some(latest), Some(earliest)) = (shed.into_iter().max(), unshed.into_iter().min()) {
            assert!(
                latest <= earliest,
                "history went, but not of the longest idle"
            );
        }
    }

    /// Full is the answer only if nothing is left to go.
    fn check_full(&mut self, needed: usize) {
        self.naive.expire();
        if needed > self.bytes_max() {
            return;
        }
        for (name, life) in &mut self.naive.lives {
            let tail = tail(&self.bus, name).offset;
            assert_eq!(tail, life.shed_tail(), "full, and {name} was not shed");
            life.tail = tail;
        }
        let most = *self.naive.kept_bytes().end();
        assert!(
            most + needed > self.bytes_max(),
            "full with {most} bytes kept"
        );
    }

    async fn attach(&mut self, client: usize, channels: &[(usize, From)]) {
        self.detach(client);
        let names: Vec<ChannelName> = channels.iter().map(|(index, _)| name(*index)).collect();
        let starts: Vec<Start> = (channels.iter())
            .map(|(index, from)| self.start(Some(client), *index, *from))
            .collect();
        let session = Session::open(self.bus.clone(), signal(), &names, &starts).await;
        let me = &mut self.clients[client];
        me.attached = Some(Attached::new(session.unwrap()));
        for (name, start) in names.iter().zip(starts) {
            let position = self.naive.attach(name, start);
            me.held.insert(name.clone(), position);
        }
    }

    fn detach(&mut self, client: usize) {
        if let Some(attached) = self.clients[client].attached.take() {
            let names = attached.channels();
            drop(attached);
            names.iter().for_each(|name| self.naive.detach(name));
        }
    }

    async fn subscribe(&mut self, client: usize, channel: usize, from: From) {
        let (name, start) = (name(channel), self.start(Some(client), channel, from));
        let me = &mut self.clients[client];
        let Some(attached) = &mut me.attached else {
            return;
        };
        if attached.session.is_subscribed(&name) {
            return;
        }
        let joined = attached.session.join(&name, start).await.unwrap();
        let position = attached.session.add(joined).expect("nobody is present");
        assert_eq!(position, self.naive.attach(&name, start), "{name}");
        me.held.insert(name, position);
        attached.assert_woken();
    }

    fn unsubscribe(&mut self, client: usize, name: &ChannelName) {
        let Some(attached) = &mut self.clients[client].attached else {
            return;
        };
        if attached.session.unsubscribe(name) {
            self.naive.detach(name);
        }
    }

    /// A short poll: it is told what a session would be told, and leaves nothing behind.
    fn look(&mut self, channels: &[(usize, From)], budget: Budget) {
        let (mut owed, mut held, mut readers) = (Owed::new(), BTreeMap::new(), Vec::new());
        for (index, from) in channels {
            let (name, start) = (name(*index), self.start(None, *index, *from));
            let reader = self.bus.peek(&name, start);
            let at = self.naive.look(&name, |life| life.locate(start));
            assert_eq!(reader.position, at, "{name}");
            let told = self.naive.look(&name, |life| life.owes(at));
            owed.insert(name.clone(), told);
            held.insert(name, at);
            readers.push(reader);
        }
        let mut ready: Vec<(u32, &mut Reader)> = (0..).zip(&mut readers).collect();
        let batch = self.bus.read_fair(&mut ready, budget);
        settle(&mut self.naive, &owed, &mut held, batch, budget);
        for reader in readers {
            assert_eq!(reader.position, held[&reader.name]);
        }
    }

    fn back(&mut self, channel: usize, from: From, messages: usize) {
        let (name, start) = (name(channel), self.start(None, channel, from));
        let budget = Budget {
            messages,
            bytes: PLENTY,
        };
        let page = self.bus.history_back(&name, start, budget);
        let (head, tail) = self
            .naive
            .look(&name, |life| (life.at(life.head()), life.tail));
        let above = head.offset + 1;
        let (bound, reason) = match start {
            Start::Now => (above, None),
            Start::Earliest => (tail + 1, None),
            Start::After(at) if at.epoch != head.epoch => (above, Some(GapReason::Epoch)),
            Start::After(at) if at.offset > above => (above, Some(GapReason::Ahead)),
            Start::After(at) => (at.offset, None),
        };
        let kept: Vec<Told> = self.naive.look(&name, |life| {
            let below = life.after(0).filter(|(offset, _)| *offset < bound).rev();
            below
                .map(|(offset, payload)| Told::Message(offset, payload))
                .collect()
        });
        let told: Vec<Told> = (page.messages.iter())
            .map(|publication| read_message(publication.json()).1)
            .collect();
        assert_eq!(told, kept[..kept.len().min(messages)], "{name}");
        assert_eq!(page.more, kept.len() > messages);
        let follow = bound.saturating_sub(1);
        assert_eq!(
            page.follow,
            Position {
                offset: follow,
                ..head
            }
        );
        assert_eq!(page.gap.map(|gap| gap.lost.reason), reason);
        let last = page
            .messages
            .last()
            .map_or(bound, |publication| publication.offset);
        assert_eq!(
            page.bound,
            Position {
                offset: last,
                ..head
            }
        );
    }

    async fn sweep(&mut self) {
        self.bus.sweep().await;
        let has_forgotten = self.naive.sweep();
        self.naive.see_epoch(vacant_epoch(&self.bus), has_forgotten);
        let (bytes, kept) = (self.bus.totals().1, self.naive.kept_bytes());
        assert!(
            kept.contains(&bytes),
            "{bytes} bytes are kept, not {kept:?}"
        );
    }

    fn start(&mut self, client: Option<usize>, channel: usize, from: From) -> Start {
        let name = name(channel);
        match from {
            From::Now => Start::Now,
            From::Earliest => Start::Earliest,
            From::Held => {
                let holder = client.unwrap_or(channel % CLIENTS);
                let held = self.clients[holder].held.get(&name);
                held.map_or(Start::Now, |position| Start::After(*position))
            }
            From::Stale(_) if self.given.is_empty() => Start::Earliest,
            From::Stale(index) => Start::After(self.given[index % self.given.len()]),
            From::MadeUp(offset) => {
                let epoch = self.naive.look(&name, |life| life.epoch);
                Start::After(Position { epoch, offset })
            }
            From::Foreign(offset) => {
                let epoch = Epoch::parse("foreign").unwrap();
                Start::After(Position { epoch, offset })
            }
        }
    }

    fn head(&self, name: &ChannelName) -> Position {
        self.bus.peek(name, Start::Now).position
    }

    fn bytes_max(&self) -> usize {
        self.naive.bounds.bytes_max
    }
}

fn name(index: usize) -> ChannelName {
    ChannelName::parse(CHANNELS[index]).unwrap()
}

fn signal() -> Arc<Signal> {
    Arc::default()
}

/// The epoch of channels without state, asked through one that is never used.
fn vacant_epoch(bus: &Bus) -> Epoch {
    let vacant = ChannelName::parse("never:used").unwrap();
    let position = bus.peek(&vacant, Start::Now).position;
    assert_eq!(position.offset, 0);
    position.epoch
}

fn tail(bus: &Bus, name: &ChannelName) -> Position {
    bus.peek(name, Start::Earliest).position
}

fn draft(payload: &str, key: Option<u8>) -> Draft {
    // The digest only has to tell the payloads of one key apart, and those differ in length.
    let key = key.map(|key| Key {
        id: format!("k{key}").into(),
        digest: [(payload.len() % 251) as u8; 32],
    });
    Draft {
        from: None,
        payload: Payload::Json(Bytes::from(payload.to_owned())),
        key,
    }
}
