//! What the gateway has to do, said as simply as can be: channels are lists, and who is where is a table.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::super::support::Via;
use super::member::{Entry, Plan, Start, Who};

/// What ends within it is waited for: longer than a grace, and much shorter than the wait of a long poll.
const BRIEF: Duration = Duration::from_secs(4);

/// All of it.
pub struct Model {
    pub grace: Duration,
    pub lease: Duration,
    pub wait: Duration,
    pub channels: BTreeMap<String, Channel>,
    pub seats: Vec<Seat>,
    rooms: BTreeMap<String, BTreeMap<String, Person>>,
}

/// A channel: all messages that it ever had.
#[derive(Debug, Clone)]
pub struct Channel {
    pub messages: Vec<Value>,
    /// Most messages that are kept.
    pub kept_max: usize,
    pub has_presence: bool,
}

/// What a client has to know.
#[derive(Debug)]
pub struct Seat {
    pub who: Who,
    /// How it is attached.
    pub via: Option<Via>,
    /// What it reads, or would come back to, and how far.
    pub reads: BTreeMap<String, u64>,
    pub expected: BTreeMap<String, Vec<Entry>>,
    /// What is to be shown of it now.
    pub info: Value,
    /// Its token runs out at some time: nobody knows what it was told last.
    pub is_doomed: bool,
    /// Which of its attachments this is, if each of them is a session of its own.
    visit: usize,
}

/// A user in a room.
#[derive(Debug, Default)]
struct Person {
    /// What its sessions brought to be shown. Polls come again at their own time, so any of them may be shown; which one wins
    /// is tested elsewhere.
    infos: Vec<Value>,
    stays: BTreeMap<(usize, usize), Stay>,
}

/// A session in a room.
#[derive(Debug)]
struct Stay {
    is_attached: bool,
    /// Attached with a token that runs out.
    is_doomed: bool,
    transport: &'static str,
    /// Not gone before that.
    until: Option<Instant>,
}

/// A user as a page of presence shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// What may be shown.
    pub infos: Vec<Value>,
    pub sessions: usize,
    pub transports: BTreeSet<String>,
}

/// Who is in a room.
#[derive(Debug)]
pub struct Room {
    /// Those who are there for certain.
    pub there: BTreeMap<String, Row>,
    /// The same, with the sessions that may be gone by now.
    pub at_most: BTreeMap<String, Row>,
}

impl Channel {
    pub fn head(&self) -> u64 {
        self.messages.len() as u64
    }

    /// The offset before the oldest message that is kept.
    fn before_oldest(&self) -> u64 {
        self.head().saturating_sub(self.kept_max as u64)
    }
}

/// The name of a transport.
pub fn name(via: Via) -> &'static str {
    match via.transport() {
        Via::WebSocket => "websocket",
        Via::Sse => "sse",
        Via::LongPoll => "longpoll",
        _ => "poll",
    }
}

impl Person {
    fn bring(&mut self, info: &Value) {
        if !self.infos.contains(info) {
            self.infos.push(info.clone());
        }
    }
}

impl Model {
    pub fn new(channels: BTreeMap<String, Channel>, people: &[Who]) -> Self {
        let seat = |who: &Who| Seat {
            who: who.clone(),
            via: None,
            reads: BTreeMap::new(),
            expected: BTreeMap::new(),
            info: Value::Null,
            is_doomed: false,
            visit: 0,
        };
        Self {
            grace: Duration::ZERO,
            lease: Duration::ZERO,
            wait: Duration::ZERO,
            channels,
            seats: people.iter().map(seat).collect(),
            rooms: BTreeMap::new(),
        }
    }

    /// A client attaches anew, and its older attachment ends.
    pub fn attach(&mut self, number: usize, via: Via, plan: &Plan, before: Instant) {
        if via.transport() == Via::LongPoll {
            self.poll(number, via, plan, before, self.wait);
        } else {
            // The older one is at its end before the newer one is there.
            self.hang_up(number, before);
            self.seats[number].visit += 1;
            for channel in plan.keys() {
                self.enter(number, channel, name(via));
            }
            self.follow(number, plan);
        }
        self.seats[number].via = Some(via);
    }

    /// A client polls once, and waits for so long. Its older attachment ends.
    pub fn poll(&mut self, number: usize, via: Via, plan: &Plan, before: Instant, wait: Duration) {
        for channel in plan.keys() {
            self.lease(number, channel, name(via), before + wait + self.lease);
        }
        self.hang_up(number, before);
        self.follow(number, plan);
    }

    fn follow(&mut self, number: usize, plan: &Plan) {
        let reads = &mut self.seats[number].reads;
        reads.retain(|channel, _| plan.contains_key(channel));
        for (channel, start) in plan {
            self.read(number, channel, *start);
        }
    }

    /// A client's attachment ends, and it may come back.
    pub fn hang_up(&mut self, number: usize, before: Instant) {
        let older = self.seats[number].via.take();
        self.detach(number, older, before);
    }

    /// A client closes its WebSocket.
    pub fn close(&mut self, number: usize) {
        self.seats[number].via = None;
        for channel in self.reads(number) {
            self.leave(number, &channel);
        }
    }

    pub fn subscribe(&mut self, number: usize, channel: &str, start: Start) {
        self.enter(number, channel, "websocket");
        self.read(number, channel, start);
    }

    pub fn unsubscribe(&mut self, number: usize, channel: &str) {
        self.leave(number, channel);
        self.seats[number].reads.remove(channel);
    }

    /// A client shows something else of itself from now on.
    pub fn refresh(&mut self, number: usize, info: Value) {
        self.seats[number].info = info.clone();
        for channel in self.reads(number) {
            if let Some(person) = self.person(number, &channel) {
                person.bring(&info);
            }
        }
    }

    /// Somebody says something, and all who listen are told.
    pub fn publish(&mut self, channel: &str, data: Value, before: Instant) {
        let known = self.channels.get_mut(channel).expect("a channel");
        known.messages.push(data);
        let listens = |seat: &Seat| seat.via.is_some() && seat.reads.contains_key(channel);
        let all = 0..self.seats.len();
        let those: Vec<usize> = all.filter(|number| listens(&self.seats[*number])).collect();
        for number in &those {
            if !self.seats[*number].is_doomed {
                self.catch_up(*number, channel);
            }
        }
        self.poll_again(&those, before);
    }

    /// Those of them who poll do so again, all at once. Whoever is doomed may be gone before.
    fn poll_again(&mut self, those: &[usize], before: Instant) {
        let until = before + self.wait + self.lease;
        for number in those {
            let seat = &self.seats[*number];
            let (info, is_doomed) = (seat.info.clone(), seat.is_doomed);
            let polls = seat.via.is_some_and(|via| name(via) == "longpoll");
            if !polls || seat.who.session.is_none() {
                continue;
            }
            for channel in self.reads(*number) {
                if !is_doomed {
                    self.lease(*number, &channel, "longpoll", until);
                } else if let Some(person) = self.person(*number, &channel) {
                    person.bring(&info);
                }
            }
        }
    }

    /// The token of an attached client runs out soon.
    pub fn doom(&mut self, number: usize) {
        self.seats[number].is_doomed = true;
        self.each_stay(number, |stay| stay.is_doomed = true);
    }

    /// The token of a client ran out. It had read so far.
    pub fn expire(&mut self, number: usize, read: &BTreeMap<String, u64>, before: Instant) {
        self.each_stay(number, |stay| stay.is_doomed = false);
        self.seats[number].is_doomed = false;
        self.hang_up(number, before);
        for channel in self.reads(number) {
            let head = self.channels[&channel].head();
            assert!(read[&channel] <= head, "{number} read on in {channel}");
            self.catch_up_to(number, &channel, read[&channel]);
        }
    }

    /// Reads a channel from somewhere up to its head.
    fn read(&mut self, number: usize, channel: &str, start: Start) {
        let known = &self.channels[channel];
        let from = match start {
            Start::Resume => None,
            Start::Now => Some(known.head()),
            Start::Earliest => Some(known.before_oldest()),
        };
        let seat = &mut self.seats[number];
        if let Some(from) = from {
            seat.reads.insert(channel.to_owned(), from);
            let expected = seat.expected.entry(channel.to_owned()).or_default();
            expected.push(Entry::From(from));
        }
        self.catch_up(number, channel);
    }

    fn catch_up(&mut self, number: usize, channel: &str) {
        self.catch_up_to(number, channel, self.channels[channel].head());
    }

    fn catch_up_to(&mut self, number: usize, channel: &str, to: u64) {
        let (known, seat) = (&self.channels[channel], &mut self.seats[number]);
        let at = seat.reads.get_mut(channel).expect("it reads it");
        let expected = seat.expected.entry(channel.to_owned()).or_default();
        let offset = known.before_oldest().min(to);
        if *at < offset {
            let lost = offset - *at;
            expected.push(Entry::Gap { offset, lost });
            *at = offset;
        }
        for offset in *at + 1..=to {
            let data = known.messages[offset as usize - 1].clone();
            expected.push(Entry::Message(offset, data));
        }
        *at = (*at).max(to);
    }

    /// The channels that a client reads.
    pub fn reads(&self, number: usize) -> Vec<String> {
        self.seats[number].reads.keys().cloned().collect()
    }

    /// How many are attached.
    pub fn attached(&self) -> usize {
        let seats = self.seats.iter();
        seats.filter(|seat| seat.via.is_some()).count()
    }

    // --- Who is where ---

    fn key(&self, number: usize) -> (usize, usize) {
        let seat = &self.seats[number];
        let visit = if seat.who.session.is_some() {
            0
        } else {
            seat.visit
        };
        (number, visit)
    }

    fn person(&mut self, number: usize, channel: &str) -> Option<&mut Person> {
        let user = self.seats[number].who.user.as_ref()?;
        self.rooms.get_mut(channel)?.get_mut(user)
    }

    /// The person of a client in a room, who comes with what is to be shown now.
    fn arrive(&mut self, number: usize, channel: &str) -> Option<&mut Person> {
        if !self.channels[channel].has_presence {
            return None;
        }
        let seat = &self.seats[number];
        let (user, info) = (seat.who.user.clone()?, seat.info.clone());
        let room = self.rooms.entry(channel.to_owned()).or_default();
        let person = room.entry(user).or_default();
        person.bring(&info);
        Some(person)
    }

    fn enter(&mut self, number: usize, channel: &str, transport: &'static str) {
        let (key, is_doomed) = (self.key(number), self.seats[number].is_doomed);
        if let Some(person) = self.arrive(number, channel) {
            let stay = Stay {
                is_attached: true,
                is_doomed,
                transport,
                until: None,
            };
            person.stays.insert(key, stay);
        }
    }

    fn lease(&mut self, number: usize, channel: &str, transport: &'static str, until: Instant) {
        if self.seats[number].who.session.is_none() {
            return;
        }
        let key = self.key(number);
        if let Some(person) = self.arrive(number, channel) {
            let is_attached = person.stays.get(&key).is_some_and(|stay| stay.is_attached);
            let stay = Stay {
                is_attached,
                is_doomed: false,
                transport,
                until: Some(until),
            };
            person.stays.insert(key, stay);
        }
    }

    /// A stream ends, wherever it was.
    fn detach(&mut self, number: usize, older: Option<Via>, before: Instant) {
        let until = before + self.grace;
        if older.is_some_and(|via| matches!(name(via), "websocket" | "sse")) {
            self.each_stay(number, |stay| {
                if stay.is_attached {
                    stay.is_attached = false;
                    stay.until = Some(stay.until.map_or(until, |at| at.max(until)));
                }
            });
        }
    }

    fn leave(&mut self, number: usize, channel: &str) {
        let key = self.key(number);
        if let Some(person) = self.person(number, channel) {
            person.stays.remove(&key);
        }
    }

    fn each_stay(&mut self, number: usize, mut change: impl FnMut(&mut Stay)) {
        let key = self.key(number);
        let people = self.rooms.values_mut().flat_map(BTreeMap::values_mut);
        people
            .filter_map(|person| person.stays.get_mut(&key))
            .for_each(&mut change);
    }

    /// Who is in a room from one instant to another.
    pub fn room(&self, channel: &str, from: Instant, to: Instant) -> Room {
        let certain = |stay: &&Stay| !stay.is_doomed && (stay.is_attached || stay.until > Some(to));
        let possible = |stay: &&Stay| stay.is_doomed || stay.is_attached || stay.until > Some(from);
        let people = self.rooms.get(channel).into_iter().flatten();
        let mut room = Room {
            there: BTreeMap::new(),
            at_most: BTreeMap::new(),
        };
        for (user, person) in people {
            let row = |stays: Vec<&Stay>| Row {
                infos: person.infos.clone(),
                sessions: stays.len(),
                transports: stays.iter().map(|stay| stay.transport.to_owned()).collect(),
            };
            let (there, at_most) = (
                row(person.stays.values().filter(certain).collect()),
                row(person.stays.values().filter(possible).collect()),
            );
            if there.sessions > 0 {
                room.there.insert(user.clone(), there);
            }
            if at_most.sessions > 0 {
                room.at_most.insert(user.clone(), at_most);
            }
        }
        room
    }

    /// True if nobody leaves soon by a grace or a lease. What lasts longer is there for certain.
    pub fn is_quiet(&self, now: Instant) -> bool {
        let people = self.rooms.values().flat_map(BTreeMap::values);
        let mut stays = people.flat_map(|person| person.stays.values());
        stays.all(|stay| {
            let until = stay.until.filter(|_| !stay.is_attached);
            until.is_none_or(|until| until <= now || until > now + BRIEF)
        })
    }

    /// The channels in which a client is present for longer than this although it is not attached.
    pub fn lingers(&self, number: usize, after: Instant) -> Vec<String> {
        let (key, user) = (self.key(number), self.seats[number].who.user.as_ref());
        let lingers = |room: &BTreeMap<String, Person>| {
            let stay = user.and_then(|user| room.get(user)?.stays.get(&key));
            stay.is_some_and(|stay| !stay.is_attached && stay.until > Some(after))
        };
        let rooms = self.rooms.iter().filter(|(_, room)| lingers(room));
        rooms.map(|(channel, _)| channel.clone()).collect()
    }
}
