//! Rooms against a simple model: whoever follows the messages from a page on ends up with those who are there.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use serde_json::Value;
use tokio::time::Instant;

use super::{Due, REST, Rooms, SETTLE, Window};
use crate::bus::{ChannelName, PublicId, SessionId, UserName};
use crate::presence::change::{Change, Standing};
use crate::presence::member::{Leaving, UNATTACHED_MAX};
use crate::presence::{Full, Visitor};
use crate::transport::Transport;

const GRACE: Duration = Duration::from_secs(10);
const EVERYBODY: Window = Window {
    after: None,
    limit: usize::MAX,
};

fn room(name: &str) -> ChannelName {
    ChannelName::parse(name).unwrap()
}

fn visitor(user: &str, session: usize, transport: Transport) -> Visitor {
    let user = UserName::parse(user).unwrap();
    let session = SessionId::parse(&format!("session-{session:012}")).unwrap();
    Visitor {
        public_id: PublicId::of(Some(&user), &session),
        user,
        info: None,
        transport,
    }
}

/// Who is there as a client sees it: names with what is shown of them.
type View = BTreeMap<String, Option<String>>;

fn fold(view: &mut View, message: &Value) {
    for joined in message["joined"].as_array().unwrap() {
        let info = joined.get("info").map(Value::to_string);
        view.insert(joined["user"].as_str().unwrap().to_owned(), info);
    }
    for left in message["left"].as_array().unwrap() {
        view.remove(left["user"].as_str().unwrap());
    }
}

/// A client that has a page, and follows the messages from where it was told to.
struct Follower {
    from: usize,
    view: View,
}

/// One session of the model.
#[derive(Debug, Default)]
struct Stay {
    attached: Vec<Transport>,
    until: Option<Instant>,
}

/// A walk through one room.
struct Walk {
    random: Rng,
    now: Instant,
    rooms: Rooms,
    channel: ChannelName,
    /// The model: users with what is shown of them and their sessions.
    users: BTreeMap<String, (Option<String>, BTreeMap<usize, Stay>)>,
    messages: Vec<Value>,
    followers: Vec<Follower>,
    /// A message on its way, and whether it has landed.
    flight: Option<(Change, bool)>,
    told_at: Option<Instant>,
}

impl Walk {
    fn new(seed: u64) -> Self {
        Self {
            random: Rng::with_seed(seed),
            now: Instant::now(),
            rooms: Rooms::default(),
            channel: room("room:1"),
            users: BTreeMap::new(),
            messages: Vec::new(),
            followers: vec![Follower {
                from: 0,
                view: View::new(),
            }],
            flight: None,
            told_at: None,
        }
    }

    fn step(&mut self) {
        match self.random.u8(..20) {
            0..5 => self.attach(),
            5..9 => self.detach(),
            9..11 => self.lease(),
            11..13 => self.follow(),
            13..16 => {
                let ms_max = if self.random.u8(..3) == 0 {
                    12_000
                } else {
                    700
                };
                let ms = self.random.u64(..ms_max);
                self.advance(Duration::from_millis(ms));
            }
            _ => self.tell(true),
        }
    }

    fn draw(&mut self) -> (String, usize, Visitor) {
        let user = ["ann", "bob", "cid", "dan", "eve"][self.random.usize(..5)];
        let (session, transport) = (self.random.usize(..2), self.random.usize(..4));
        let mut visitor = visitor(user, session, Transport::ALL[transport]);
        let info = self.random.bool().then(|| self.random.u8(..3).to_string());
        visitor.info = info.as_deref().map(Into::into);
        (user.to_owned(), session, visitor)
    }

    fn attach(&mut self) {
        let (user, session, visitor) = self.draw();
        self.rooms
            .attach(&self.channel, &visitor, usize::MAX, self.now)
            .unwrap();
        let (info, stays) = self.users.entry(user).or_default();
        *info = visitor.info.as_deref().map(str::to_owned);
        let stay = stays.entry(session).or_default();
        stay.attached.push(visitor.transport);
        stay.until = None;
    }

    fn detach(&mut self) {
        let (user, session, mut visitor) = self.draw();
        let stays = self.users.get_mut(&user).map(|(_, stays)| stays);
        let Some(stay) = stays.and_then(|stays| stays.get_mut(&session)) else {
            return;
        };
        let Some(transport) = stay.attached.pop() else {
            return;
        };
        visitor.transport = transport;
        let is_last = stay.attached.is_empty();
        let leaving = if self.random.bool() {
            Leaving::AtOnce
        } else {
            Leaving::Until(self.now + GRACE)
        };
        match leaving {
            Leaving::AtOnce if is_last => stay.until = Some(self.now),
            Leaving::Until(until) if is_last => stay.until = stay.until.max(Some(until)),
            _ => {}
        }
        self.rooms
            .detach(&self.channel, &visitor, leaving, self.now);
    }

    fn lease(&mut self) {
        let (user, session, visitor) = self.draw();
        let until = self.now + Duration::from_millis(self.random.u64(1..40_000));
        self.rooms
            .lease(&self.channel, &visitor, until, usize::MAX, self.now)
            .unwrap();
        let (info, stays) = self.users.entry(user).or_default();
        *info = visitor.info.as_deref().map(str::to_owned);
        stays.entry(session).or_default().until = Some(until);
    }

    /// A client asks who is there: first where the messages stand, then who is there.
    fn follow(&mut self) {
        let from = self.messages.len();
        if self.random.bool() {
            self.tell(true);
        }
        let view = self.page();
        self.followers.push(Follower { from, view });
    }

    fn page(&mut self) -> View {
        let (count, rows, more) = self.rooms.show(&self.channel, EVERYBODY);
        assert_eq!((count, more), (rows.len(), false));
        let shown = rows.iter().map(|row| {
            let info = row.info().map(str::to_owned);
            (row.user.as_str().to_owned(), info)
        });
        shown.collect()
    }

    fn advance(&mut self, by: Duration) {
        self.now += by;
        while self.rooms.end_next(self.now) {}
        for (_, stays) in self.users.values_mut() {
            let is_there = |stay: &Stay| {
                !stay.attached.is_empty() || stay.until.is_some_and(|until| until > self.now)
            };
            stays.retain(|_, stay| is_there(stay));
        }
    }

    /// Goes one step on with a message: it is made, it lands, and the room hears of it.
    fn tell(&mut self, may_fail: bool) {
        match self.flight.take() {
            None => {
                let due = self.rooms.tell_next(self.now, 60, |_| true);
                if let Some(Due::Tell(_, change)) = due {
                    let early = self.told_at.is_some_and(|told| self.now < told + REST);
                    assert!(!early, "two messages within a second");
                    self.flight = Some((change, false));
                }
            }
            Some((change, false)) if may_fail && self.random.u8(..4) == 0 => {
                self.done(change, false);
            }
            Some((change, false)) => {
                let text = change.payload().text().clone();
                self.messages.push(serde_json::from_slice(&text).unwrap());
                self.flight = Some((change, true));
            }
            // What failed may have happened.
            Some((change, true)) => {
                let is_there = !may_fail || self.random.u8(..8) > 0;
                self.done(change, is_there);
            }
        }
    }

    fn done(&mut self, change: Change, is_there: bool) {
        let channel = self.channel.clone();
        self.rooms.told(&channel, change, is_there, self.now);
        self.told_at = Some(self.now);
    }

    /// Tells all there is to tell, and compares.
    fn settle(&mut self) {
        // What ends by itself ends before, not meanwhile.
        self.advance(Duration::from_secs(60));
        let quiet_at = self.now + Duration::from_secs(9);
        while self.now < quiet_at {
            self.advance(Duration::from_millis(100));
            (0..3).for_each(|_| self.tell(false));
        }
        let present: View = self
            .users
            .iter()
            .filter(|(_, (_, stays))| !stays.is_empty())
            .map(|(user, (info, _))| (user.clone(), info.clone()))
            .collect();
        assert_eq!(self.page(), present);
        assert_eq!(self.rooms.present(), present.len());
        for follower in &mut self.followers {
            for message in &self.messages[follower.from..] {
                fold(&mut follower.view, message);
            }
            follower.from = self.messages.len();
            assert_eq!(follower.view, present);
        }
        if let Some(last) = self.messages.last() {
            assert_eq!(last["users"], present.len());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_follows_from_a_page_knows_who_is_there() {
    for seed in 0..300 {
        let mut walk = Walk::new(seed);
        for _ in 0..4 {
            (0..80).for_each(|_| walk.step());
            walk.settle();
        }
        assert!(!walk.messages.is_empty(), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_of_a_room_that_everybody_left() {
    let (mut rooms, channel, mut now) = (Rooms::default(), room("room:1"), Instant::now());
    for session in 0..3 {
        let bob = visitor("bob", session, Transport::Sse);
        rooms.attach(&channel, &bob, 100, now).unwrap();
        rooms.lease(&channel, &bob, now + GRACE, 100, now).unwrap();
        rooms.detach(&channel, &bob, Leaving::Until(now + 2 * GRACE), now);
    }
    while let Some(next) = rooms.next() {
        now = now.max(next);
        while rooms.end_next(now) {}
        if let Some(Due::Tell(channel, change)) = rooms.tell_next(now, 1000, |_| true) {
            rooms.told(&channel, change, true, now);
        }
    }
    assert_eq!((rooms.present(), rooms.sizes()), (0, [0, 0, 0, 0]));
}

#[tokio::test(start_paused = true)]
async fn who_is_gone_for_less_than_a_message_costs_none() {
    let (mut rooms, channel, now) = (Rooms::default(), room("room:1"), Instant::now());
    let bob = visitor("bob", 1, Transport::Sse);
    rooms.attach(&channel, &bob, 100, now).unwrap();
    rooms.detach(&channel, &bob, Leaving::AtOnce, now);
    let due = rooms.tell_next(now + SETTLE, 1000, |_| true);
    assert!(matches!(due, Some(Due::Quiet)), "{due:?}");
    assert_eq!(rooms.sizes(), [0, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn the_limit_holds_for_new_sessions_and_not_for_those_that_are_there() {
    let (mut rooms, now) = (Rooms::default(), Instant::now());
    let mut attach = |channel: &str, session| {
        let bob = visitor("bob", session, Transport::WebSocket);
        rooms.attach(&room(channel), &bob, 3, now)
    };
    assert_eq!(attach("a", 1), Ok(()));
    assert_eq!(attach("a", 2), Ok(()));
    assert_eq!(attach("b", 1), Ok(()));
    assert_eq!(attach("b", 2), Err(Full));
    assert_eq!(attach("c", 1), Err(Full));
    assert_eq!(attach("a", 1), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn sessions_without_an_attachment_are_bounded_and_the_user_stays() {
    let (mut rooms, channel, now) = (Rooms::default(), room("a"), Instant::now());
    for session in 0..=UNATTACHED_MAX {
        let bob = visitor("bob", session, Transport::Poll);
        let until = now + GRACE + Duration::from_secs(session as u64);
        rooms.lease(&channel, &bob, until, 1000, now).unwrap();
        let (_, rows, _) = rooms.show(&channel, EVERYBODY);
        assert_eq!(rows[0].sessions(), (session + 1).min(UNATTACHED_MAX));
    }
    // The first one to end is the one that went.
    assert!(!rooms.end_next(now + GRACE));
    assert!(rooms.end_next(now + GRACE + Duration::from_secs(1)));
}

#[tokio::test(start_paused = true)]
async fn a_room_in_which_nothing_may_be_told_is_forgotten() {
    let (mut rooms, channel, now) = (Rooms::default(), room("a"), Instant::now());
    let bob = visitor("bob", 1, Transport::Sse);
    rooms.attach(&channel, &bob, 100, now).unwrap();
    let due = rooms.tell_next(now + SETTLE, 1000, |_| false);
    assert!(matches!(due, Some(Due::Quiet)), "{due:?}");
    rooms.detach(&channel, &bob, Leaving::Until(now + GRACE), now);
    assert_eq!(rooms.sizes(), [0, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_crowd_that_changes_all_the_time_starves_nobody() {
    let (mut rooms, channel, mut now) = (Rooms::default(), room("a"), Instant::now());
    let users = ["ann", "bob", "cid", "zoe"].map(|user| visitor(user, 1, Transport::Sse));
    for user in &users {
        rooms.attach(&channel, user, 100, now).unwrap();
    }
    let mut told = Vec::new();
    for _ in 0..4 {
        now += REST;
        // Room for one, and the first three are never done.
        if let Some(Due::Tell(channel, change)) = rooms.tell_next(now, 1, |_| true) {
            told.extend(change.told.iter().map(|(user, _)| user.as_str().to_owned()));
            rooms.told(&channel, change, true, now);
        }
        for user in &users[..3] {
            rooms.detach(&channel, user, Leaving::AtOnce, now);
            rooms.show(&channel, EVERYBODY);
            rooms.attach(&channel, user, 100, now).unwrap();
        }
    }
    assert_eq!(told, ["ann", "bob", "cid", "zoe"]);
}

#[test]
fn standings_are_compared_by_what_is_shown() {
    let shown = |info: Option<&str>| Standing::Present(info.map(Into::into));
    assert_eq!(shown(Some("1")), shown(Some("1")));
    assert_ne!(shown(Some("1")), shown(None));
    assert_ne!(shown(None), Standing::Absent);
}
