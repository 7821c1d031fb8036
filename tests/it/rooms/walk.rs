//! A walk of one step after the other: each is done when the gateway has seen it, so the model knows exactly what is so.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use everyway::attachments::Listed;
use everyway::transport::Transport;
use fastrand::Rng;
use serde_json::{Value, json};

use super::super::support::{Gateway, Via, until};
use super::follower::Follower;
use super::member::{Member, Plan, Start};
use super::model::Model;
use super::place::{self, people, rooms, token};

/// How long a poll of the walk waits: longer than it takes from rest to rest, so that what happens ends it.
pub const WAIT_S: f64 = 50.0;
/// A token that outlives the walk.
const LONG_S: i64 = 600;
/// A token that is good for two or three seconds, the leeway of 30 seconds included.
const SHORT_S: i64 = -28;
/// How a client attaches. The first one is the only one that closes with 1000.
const ATTACHED: [Via; 8] = [
    Via::WebSocket,
    Via::Sse,
    Via::LongPoll,
    Via::Deflate,
    Via::WebSocketOverHttp2,
    Via::SseOverHttp2,
    Via::LongPollOverHttp2,
    Via::DeflateOverHttp2,
];

/// A walk.
pub struct Walk {
    pub gateway: Gateway,
    pub random: Rng,
    pub model: Model,
    pub members: Vec<Member>,
    /// Who was given a token that runs out, and when.
    pub doomed: BTreeMap<usize, Instant>,
    pub followers: Vec<Follower>,
    /// Of somebody who only looks.
    pub watcher: String,
    /// The last number that was given out, to a message or to a token.
    serial: u64,
    steps: usize,
}

impl Walk {
    pub async fn new(seed: u64) -> Self {
        let gateway = place::gateway().await;
        let address = gateway.address;
        let watcher = token(None, &Value::Null, LONG_S);
        let mut model = place::model();
        model.wait = Duration::from_secs_f64(WAIT_S);
        let mut followers = Vec::new();
        for via in [Via::WebSocket, Via::SseOverHttp2] {
            let rooms = rooms();
            let follower = Follower::from_the_beginning(address, via, &rooms, &watcher);
            followers.push(follower.await);
        }
        Self {
            random: Rng::with_seed(seed),
            model,
            members: people()
                .into_iter()
                .map(|who| Member::new(who, address))
                .collect(),
            doomed: BTreeMap::new(),
            followers,
            watcher,
            serial: 0,
            steps: 0,
            gateway,
        }
    }

    /// Takes so many steps, and compares everything now and then and at the end.
    pub async fn run(mut self, steps: usize, between_rests: usize) {
        while self.steps < steps {
            self.steps += 1;
            self.step().await;
            if self.steps.is_multiple_of(between_rests) {
                self.rest().await;
                let via = [Via::Sse, Via::DeflateOverHttp2][self.random.usize(..2)];
                let address = self.gateway.address;
                let late = Follower::from_pages(address, via, &rooms(), &self.watcher).await;
                self.followers.push(late);
            }
        }
        self.wind_down().await;
    }

    async fn step(&mut self) {
        match self.random.u8(..100) {
            0..22 => self.attach_somebody().await,
            22..30 => self.hang_up_somebody().await,
            30..35 => self.close_somebody().await,
            35..42 => self.subscribe_somebody().await,
            42..47 => self.unsubscribe_somebody().await,
            47..66 => self.publish_something().await,
            66..76 => self.send_something().await,
            76..84 => self.poll_somebody().await,
            84..86 => self.kick_a_user().await,
            86..88 => self.kick_a_session().await,
            88..91 => self.doom_somebody().await,
            91..94 => self.refresh_somebody().await,
            _ => {
                let rooms = rooms();
                let room = self.random.choice(&rooms).expect("rooms").clone();
                self.look(&room).await;
            }
        }
    }

    /// Says what is done, for whoever reads how a walk failed.
    fn note(&self, what: &str) {
        println!("{}: {what}", self.steps);
    }

    pub fn next(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    // --- Whom and what ---

    /// Somebody of whom this is so.
    fn pick(&mut self, is_so: impl Fn(&Self, usize) -> bool) -> Option<usize> {
        let all = 0..self.members.len();
        let those: Vec<usize> = all
            .filter(|number| !self.doomed.contains_key(number) && is_so(self, *number))
            .collect();
        self.random.choice(&those).copied()
    }

    fn is_on_websocket(&self, number: usize) -> bool {
        let via = self.model.seats[number].via;
        via.is_some_and(|via| via.transport() == Via::WebSocket)
    }

    /// Most of what somebody read, and a few channels more.
    fn plan(&mut self, number: usize) -> Plan {
        let mut plan = Plan::new();
        for channel in self.model.reads(number) {
            if self.random.u8(..4) > 0 {
                plan.insert(channel, Start::Resume);
            }
        }
        let more = if plan.is_empty() { 2 } else { 0 } + self.random.usize(..3);
        for _ in 0..more {
            let (channel, start) = (self.channel_for(number), self.start());
            plan.entry(channel).or_insert(start);
        }
        plan
    }

    fn start(&mut self) -> Start {
        if self.random.bool() {
            Start::Now
        } else {
            Start::Earliest
        }
    }

    /// A channel that somebody may read.
    fn channel_for(&mut self, number: usize) -> String {
        let mut channels = place::channels();
        let user = self.members[number].who.user.as_deref();
        // Three times, because it is one among many.
        channels.extend(
            user.into_iter()
                .flat_map(|user| [place::inbox(user), place::inbox(user), place::inbox(user)]),
        );
        channels.swap_remove(self.random.usize(..channels.len()))
    }

    /// Gives somebody a token, with something new to be shown.
    fn give_token(&mut self, number: usize, life_s: i64) -> Value {
        let serial = self.next();
        let info = if serial.is_multiple_of(5) {
            Value::Null
        } else {
            json!({"n": serial})
        };
        let member = &mut self.members[number];
        member.token = token(member.who.user.as_deref(), &info, life_s);
        info
    }

    // --- Steps ---

    async fn attach_somebody(&mut self) {
        let Some(number) = self.pick(|_, _| true) else {
            return;
        };
        let via = ATTACHED[self.random.usize(..ATTACHED.len())];
        let plan = self.plan(number);
        let is_bare = via == Via::WebSocket && self.random.bool();
        let drops_first = self.random.bool() || self.members[number].who.session.is_none();
        if drops_first && self.model.seats[number].via.is_some() {
            self.hang_up(number).await;
        }
        self.note(&format!(
            "{number} attaches over {via:?}, bare {is_bare}, to {plan:?}"
        ));
        let info = self.give_token(number, LONG_S);
        self.attach(number, via, &plan, info, is_bare).await;
    }

    pub async fn attach(
        &mut self,
        number: usize,
        via: Via,
        plan: &Plan,
        info: Value,
        is_bare: bool,
    ) {
        let before = Instant::now();
        let member = &mut self.members[number];
        let older = if is_bare {
            member.attach_bare(plan).await
        } else {
            member.attach(via, plan, WAIT_S).await
        };
        assert_eq!(member.ended, None, "{number} over {via:?}");
        self.model.seats[number].info = info;
        self.model.attach(number, via, plan, before);
        if let Some(older) = older {
            // A poll that was between two requests has nothing to end.
            let is_poll = older.via.transport() == Via::LongPoll;
            let code = older.end().await;
            assert!(
                code == "superseded" || is_poll && code == "cut",
                "{number}: {code}"
            );
        }
        self.caught_up(number).await;
        if via.transport() == Via::LongPoll {
            self.waits(number).await;
        }
        self.settle().await;
    }

    /// Waits until the long poll of a client waits: its first request, which pins the cursor, promises less.
    async fn waits(&self, number: usize) {
        let Some(id) = self.members[number].who.public_id() else {
            return;
        };
        let attachments = &self.gateway.inner.attachments;
        let is_it = |listed: &Listed| {
            listed.public_id == Some(id) && listed.transport == Transport::LongPoll
        };
        let is_there = || async {
            let (mut found, mut from) = (false, Some(0));
            while let Some(number) = from {
                let (listed, next) = attachments.list(number, None);
                found |= listed.iter().any(|(_, listed)| is_it(listed));
                from = next;
            }
            found
        };
        until(&format!("the long poll of {number} to wait"), is_there).await;
    }

    async fn hang_up_somebody(&mut self) {
        let is_attached = |walk: &Self, number: usize| walk.model.seats[number].via.is_some();
        let Some(number) = self.pick(is_attached) else {
            return;
        };
        self.hang_up(number).await;
    }

    pub async fn hang_up(&mut self, number: usize) {
        self.note(&format!("{number} hangs up"));
        let before = Instant::now();
        self.members[number].hang_up();
        self.model.hang_up(number, before);
        self.settle().await;
    }

    async fn close_somebody(&mut self) {
        let closes =
            |walk: &Self, number: usize| walk.model.seats[number].via == Some(Via::WebSocket);
        let Some(number) = self.pick(closes) else {
            return;
        };
        self.close(number).await;
    }

    pub async fn close(&mut self, number: usize) {
        self.note(&format!("{number} closes"));
        self.members[number].close().await;
        assert_eq!(self.members[number].ended.as_deref(), Some("normal"));
        self.model.close(number);
        self.settle().await;
    }

    async fn subscribe_somebody(&mut self) {
        let Some(number) = self.pick(Self::is_on_websocket) else {
            return;
        };
        let (channel, start) = (self.channel_for(number), self.start());
        let is_read = self.model.seats[number].reads.contains_key(&channel);
        self.note(&format!(
            "{number} subscribes to {channel} from {start:?}, again {is_read}"
        ));
        let start = if is_read { Start::Resume } else { start };
        let answer = self.members[number].subscribe(&channel, start).await;
        if is_read {
            assert_eq!(answer["code"], "bad_request", "{answer}");
        } else {
            assert_eq!(answer["type"], "subscribed", "{answer}");
            self.model.subscribe(number, &channel, start);
            self.caught_up(number).await;
        }
    }

    async fn unsubscribe_somebody(&mut self) {
        let reads = |walk: &Self, number: usize| {
            walk.is_on_websocket(number) && !walk.model.seats[number].reads.is_empty()
        };
        let Some(number) = self.pick(reads) else {
            return;
        };
        let reads = self.model.reads(number);
        let channel = self.random.choice(&reads).expect("some channels").clone();
        self.note(&format!("{number} unsubscribes from {channel}"));
        self.members[number].listen();
        // What it was sent before is what it has to have.
        self.heard(&[number], &channel).await;
        let answer = self.members[number].unsubscribe(&channel).await;
        assert_eq!(answer["type"], "unsubscribed", "{answer}");
        self.model.unsubscribe(number, &channel);
    }

    async fn publish_something(&mut self) {
        let channels = place::channels();
        let channel = channels[self.random.usize(..channels.len())].clone();
        let (number, data) = (self.random.usize(..self.members.len()), json!(self.next()));
        self.note(&format!("{number} publishes {data} to {channel}"));
        let is_command = self.is_on_websocket(number) && !self.doomed.contains_key(&number);
        let before = Instant::now();
        let offset = if is_command {
            let command = json!({"action": "publish", "channel": channel, "data": data});
            self.members[number].ask(command).await["offset"].as_u64()
        } else {
            let target = format!("/v1/publish?channel={channel}&token={}", self.watcher);
            let body = data.to_string();
            let answer = self
                .gateway
                .request("POST", &target, &[], body.as_bytes())
                .await;
            answer.json()["offset"].as_u64()
        };
        self.model.publish(&channel, data, before);
        assert_eq!(
            offset,
            Some(self.model.channels[&channel].head()),
            "{channel}"
        );
        self.all_heard(&channel).await;
    }

    async fn send_something(&mut self) {
        let users: Vec<&str> = place::users().collect();
        let to = *self.random.choice(&users).expect("users");
        let (number, data) = (self.random.usize(..self.members.len()), json!(self.next()));
        self.note(&format!("{number} sends {data} to {to}"));
        let before = Instant::now();
        if self.is_on_websocket(number) && !self.doomed.contains_key(&number) {
            let command = json!({"action": "send", "to": to, "data": data});
            let answer = self.members[number].ask(command).await;
            assert_eq!(answer["type"], "sent", "{answer}");
        } else {
            let to = super::page::escaped(to);
            let target = format!("/v1/send?to={to}&token={}", self.watcher);
            let body = data.to_string();
            let answer = self
                .gateway
                .request("POST", &target, &[], body.as_bytes())
                .await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        self.model.publish(&place::inbox(to), data, before);
        self.all_heard(&place::inbox(to)).await;
    }

    async fn poll_somebody(&mut self) {
        // A poll without a session leaves an attachment of its client alone.
        let polls = |walk: &Self, number: usize| {
            walk.members[number].who.session.is_some() || walk.model.seats[number].via.is_none()
        };
        let Some(number) = self.pick(polls) else {
            return;
        };
        let via = [Via::Poll, Via::PollOverHttp2, Via::LongPoll][self.random.usize(..3)];
        let plan = self.plan(number);
        self.poll(number, via, &plan).await;
    }

    /// Polls once, without a wait.
    pub async fn poll(&mut self, number: usize, via: Via, plan: &Plan) {
        self.note(&format!("{number} polls over {via:?} {plan:?}"));
        let info = self.give_token(number, LONG_S);
        let before = Instant::now();
        let member = &mut self.members[number];
        member.listen();
        let older = member.line.take();
        if let Some(older) = &older {
            older.retire();
        }
        member.poll(via, plan).await;
        self.model.seats[number].info = info;
        self.model.poll(number, via, plan, before, Duration::ZERO);
        if let Some(older) = older {
            let is_poll = older.via.transport() == Via::LongPoll;
            let code = older.end().await;
            assert!(
                code == "superseded" || is_poll && code == "cut",
                "{number}: {code}"
            );
        }
        self.settle().await;
    }

    async fn kick_a_user(&mut self) {
        let users: Vec<&str> = place::users().collect();
        let user = *self.random.choice(&users).expect("users");
        let those: Vec<usize> = (0..self.members.len())
            .filter(|number| self.members[*number].who.user.as_deref() == Some(user))
            .collect();
        if those.iter().any(|number| self.doomed.contains_key(number)) {
            return;
        }
        let is_attached = |number: &usize| self.model.seats[*number].via.is_some();
        let those: BTreeSet<usize> = those.into_iter().filter(is_attached).collect();
        self.kick(&format!("user={}", super::page::escaped(user)), those)
            .await;
    }

    async fn kick_a_session(&mut self) {
        let is_stream = |walk: &Self, number: usize| {
            let via = walk.model.seats[number].via;
            via.is_some_and(|via| via.transport() != Via::LongPoll)
        };
        let Some(number) = self.pick(is_stream) else {
            return;
        };
        let public_id = self.members[number]
            .public_id
            .clone()
            .expect("it was welcomed");
        self.kick(&format!("session={public_id}"), [number].into())
            .await;
    }

    /// An administrator ends some attachments.
    async fn kick(&mut self, query: &str, those: BTreeSet<usize>) {
        self.note(&format!("{query} is kicked: {those:?}"));
        let before = Instant::now();
        let (mut ended, expected) = (0, those.len() as u64);
        let target = format!("/v1/disconnect?{query}");
        // A poll that is between two requests is not there to be ended.
        while ended < expected {
            let answer = self.gateway.admin("POST", &target).await.json();
            ended += answer["ended"].as_u64().expect("a number");
        }
        assert_eq!(ended, expected, "{query}");
        for number in those {
            let member = &mut self.members[number];
            member.until("to be kicked", Member::is_over).await;
            assert_eq!(member.ended.as_deref(), Some("disconnected"), "{number}");
            member.hang_up();
            self.model.hang_up(number, before);
        }
        self.settle().await;
    }

    /// Gives somebody who is attached a token that runs out.
    async fn doom_somebody(&mut self) {
        let Some(number) = self.pick(|_, _| true) else {
            return;
        };
        self.note(&format!("the token of {number} runs out soon"));
        let doomed_at = Instant::now();
        if self.is_on_websocket(number) {
            self.refresh(number, SHORT_S).await;
        } else {
            if self.model.seats[number].via.is_some() {
                self.hang_up(number).await;
            }
            let via = ATTACHED[self.random.usize(..ATTACHED.len())];
            let plan = self.plan(number);
            let info = self.give_token(number, SHORT_S);
            self.attach(number, via, &plan, info, false).await;
        }
        self.model.doom(number);
        self.doomed.insert(number, doomed_at);
    }

    async fn refresh_somebody(&mut self) {
        let Some(number) = self.pick(Self::is_on_websocket) else {
            return;
        };
        self.note(&format!("{number} refreshes its token"));
        // One that would end soon does not, once there is a better one.
        self.refresh(number, SHORT_S).await;
        self.refresh(number, LONG_S).await;
    }

    async fn refresh(&mut self, number: usize, life_s: i64) {
        let info = self.give_token(number, life_s);
        let command = json!({"action": "refresh", "token": self.members[number].token});
        let answer = self.members[number].ask(command).await;
        assert_eq!(answer["type"], "refreshed", "{answer}");
        self.model.refresh(number, info);
    }

    /// Waits for those whose tokens run out.
    pub async fn reap(&mut self) {
        for (number, doomed_at) in std::mem::take(&mut self.doomed) {
            self.note(&format!("the token of {number} has run out"));
            let member = &mut self.members[number];
            member.until("to end with its token", Member::is_over).await;
            assert_eq!(member.ended.as_deref(), Some("token_expired"), "{number}");
            member.hang_up();
            let offset =
                |(channel, (_, offset)): (&String, &(String, u64))| (channel.clone(), *offset);
            let read = member.stands.iter().map(offset).collect();
            self.model.expire(number, &read, doomed_at);
        }
        self.settle().await;
    }

    // --- Until the gateway has seen it ---

    /// Waits until those who listen to a channel have heard everything.
    async fn all_heard(&mut self, channel: &str) {
        let listens = |number: &usize| {
            let seat = &self.model.seats[*number];
            seat.via.is_some() && seat.reads.contains_key(channel)
        };
        let those: Vec<usize> = (0..self.members.len()).filter(listens).collect();
        self.heard(&those, channel).await;
        self.settle().await;
    }

    async fn heard(&mut self, those: &[usize], channel: &str) {
        let head = self.model.channels[channel].head();
        for number in those {
            let is_doomed = self.doomed.contains_key(number);
            let has_heard = |member: &Member| {
                member.offset(channel) == Some(head) || is_doomed && member.is_over()
            };
            let what = format!("to hear {head} of {channel}");
            self.members[*number].until(&what, has_heard).await;
        }
    }

    /// Waits until a client has read what there is.
    async fn caught_up(&mut self, number: usize) {
        for channel in self.model.reads(number) {
            self.heard(&[number], &channel).await;
        }
    }

    /// Waits until as many are attached as have to be.
    pub async fn settle(&mut self) {
        let mut over = 0;
        for number in self.doomed.keys() {
            let member = &mut self.members[*number];
            member.listen();
            over += usize::from(member.is_over());
        }
        let may_go = self.doomed.len() - over;
        let most = self.model.attached() - over + self.followers.len();
        let attachments = &self.gateway.inner.attachments;
        let expected = most - may_go..=most;
        let is_so = || async { expected.contains(&attachments.len()) };
        until(&format!("{expected:?} attachments"), is_so).await;
    }
}
