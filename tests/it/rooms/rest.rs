//! What is compared with the model: one room, or everything once nothing is under way.

use std::collections::BTreeMap;
use std::time::Instant;

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::super::support::{Via, until};
use super::follower::{Follower, Rooms};
use super::member::{Plan, Start};
use super::model::{Room, Row, name};
use super::page::{self, Page};
use super::place::rooms;
use super::until_same;
use super::walk::Walk;

impl Walk {
    /// Checks who is in a room, and returns it. Who has to be there is; who must not be goes soon.
    pub async fn look(&self, room: &str) -> Page {
        let address = self.gateway.address;
        let seen = Mutex::new(None);
        until_same(|| async {
            let from = Instant::now();
            let page = page::read(address, room, &self.watcher).await;
            let model = self.model.room(room, from, Instant::now());
            let is_missing = |user: &&String| !page.users.contains_key(*user);
            let missing: Vec<_> = model.there.keys().filter(is_missing).collect();
            assert!(missing.is_empty(), "{room} lacks {missing:?}: {page:?}");
            if page.count == page.users.len() as u64 && model.allows(&page.users) {
                *seen.lock() = Some(page);
                return None;
            }
            Some(format!("{room} has {model:?}, not {page:?}"))
        })
        .await;
        seen.into_inner().expect("a page without a difference")
    }

    /// Waits until nothing is under way, and compares everything.
    pub async fn rest(&mut self) -> Rooms {
        self.reap().await;
        let is_over = || async { self.model.is_quiet(Instant::now()) };
        until("graces and leases to be over", is_over).await;
        let mut there = Rooms::new();
        for room in rooms() {
            let page = self.look(&room).await;
            there.insert(room, page.shown());
        }
        for room in ["quiet:0", "quiet:1"] {
            let target = format!("/v1/presence?channel={room}&token={}", self.watcher);
            assert_eq!(self.gateway.get(&target).await.status, 403, "{room}");
        }
        self.compare_lists();
        self.compare_attachments().await;
        let present: usize = there.values().map(BTreeMap::len).sum();
        self.metric_is("everyway_present", present).await;
        for follower in &self.followers {
            follower.knows(&there).await;
        }
        self.poll_anew().await;
        there
    }

    /// Polls that wait begin anew, so that none of them comes to its end by itself before the next rest.
    async fn poll_anew(&mut self) {
        for number in 0..self.members.len() {
            let via = self.model.seats[number].via;
            let Some(via) = via.filter(|via| via.transport() == Via::LongPoll) else {
                continue;
            };
            let reads = self.model.reads(number).into_iter();
            let plan: Plan = reads.map(|channel| (channel, Start::Resume)).collect();
            let info = self.model.seats[number].info.clone();
            if self.members[number].who.session.is_none() {
                self.hang_up(number).await;
            }
            self.attach(number, via, &plan, info, false).await;
        }
    }

    /// Everybody leaves, most of them by one poll more, until nobody is anywhere.
    pub async fn wind_down(&mut self) {
        self.rest().await;
        for number in 0..self.members.len() {
            match self.model.seats[number].via {
                Some(Via::WebSocket) if self.random.bool() => self.close(number).await,
                Some(_) => self.hang_up(number).await,
                None => {}
            }
            self.poll_last(number).await;
        }
        let there = self.rest().await;
        assert!(there.values().all(BTreeMap::is_empty), "{there:?}");
        // Whoever comes late learns the same from history, over polls too.
        for via in [Via::Poll, Via::LongPollOverHttp2] {
            let (address, rooms) = (self.gateway.address, rooms());
            let late = Follower::from_the_beginning(address, via, &rooms, &self.watcher);
            late.await.knows(&there).await;
        }
        self.followers.clear();
        let attachments = &self.gateway.inner.attachments;
        until("nobody to be attached", || async { attachments.is_empty() }).await;
        self.compare_attachments().await;
        self.metric_is("everyway_present", 0).await;
    }

    /// Reads everything that a client has not, and lets it be present for no longer than a lease.
    async fn poll_last(&mut self, number: usize) {
        let reads = self.model.reads(number);
        let resumes = reads.into_iter().map(|channel| (channel, Start::Resume));
        let mut plan: Plan = resumes.collect();
        for channel in self.model.lingers(number, Instant::now()) {
            plan.entry(channel).or_insert(Start::Now);
        }
        if !plan.is_empty() {
            self.poll(number, Via::Poll, &plan).await;
        }
    }

    /// Checks that each client was told what it had to be told, in each channel in this order.
    fn compare_lists(&self) {
        for (member, seat) in self.members.iter().zip(&self.model.seats) {
            for (channel, expected) in &seat.expected {
                let heard = member.heard.get(channel);
                assert_eq!(heard, Some(expected), "{channel} of {:?}", member.who);
            }
            assert_eq!(member.heard.len(), seat.expected.len(), "{:?}", member.who);
        }
    }

    /// Checks that each session that has to be attached is, once, and nobody else.
    async fn compare_attachments(&self) {
        let seats = self.model.seats.iter();
        let attached = seats.filter_map(|seat| {
            let user = seat
                .who
                .user
                .as_ref()
                .map_or(Value::Null, |user| json!(user));
            Some(json!([user, name(seat.via?), seat.reads.len()]).to_string())
        });
        let mut expected: Vec<String> = attached.collect();
        expected.sort();
        let difference = || async {
            let page = self
                .gateway
                .admin("GET", "/v1/admin/sessions?limit=1000")
                .await;
            let page = page.json();
            let sessions = page["sessions"].as_array().expect("a list").iter();
            let others = sessions.filter(|session| !self.follows(session));
            let one =
                |one: &Value| json!([one["user"], one["transport"], one["channels"]]).to_string();
            let mut listed: Vec<String> = others.map(one).collect();
            listed.sort();
            (listed != expected).then(|| format!("attached: {listed:?}, not {expected:?}"))
        };
        until_same(difference).await;
        for transport in ["websocket", "sse", "longpoll"] {
            let is_it = |line: &&String| line.contains(&format!(",\"{transport}\","));
            let followers = self
                .followers
                .iter()
                .filter(|one| one.transport == transport);
            let count = expected.iter().filter(is_it).count() + followers.count();
            let metric = format!("everyway_attachments{{transport=\"{transport}\"}}");
            self.metric_is(&metric, count).await;
        }
    }

    /// True for an attachment of a follower: no client reads as many channels.
    fn follows(&self, session: &Value) -> bool {
        session["user"].is_null() && session["channels"] == rooms().len()
    }

    async fn metric_is(&self, metric: &str, expected: usize) {
        let difference = || async {
            let text = self.gateway.admin("GET", "/metrics").await.text();
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(metric)?.strip_prefix(' '));
            let value: f64 = line.expect("the metric").parse().expect("a number");
            (value != expected as f64).then(|| format!("{metric} is {value}, not {expected}"))
        };
        until_same(difference).await;
    }
}

impl Room {
    /// True if these may be there.
    fn allows(&self, users: &BTreeMap<String, Row>) -> bool {
        let fits = |(user, row): (&String, &Row)| {
            let Some(most) = self.at_most.get(user) else {
                return false;
            };
            let least = self.there.get(user);
            let least_transports = least.into_iter().flat_map(|least| &least.transports);
            (least.map_or(1, |least| least.sessions)..=most.sessions).contains(&row.sessions)
                && most.infos.contains(&row.infos[0])
                && row.transports.is_subset(&most.transports)
                && least_transports
                    .into_iter()
                    .all(|one| row.transports.contains(one))
        };
        users.iter().all(fits)
    }
}
