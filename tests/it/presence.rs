//! Who is in a channel: asked, told, and for how long.

use std::collections::BTreeMap;
use std::time::Duration;

use everyway::bus::{ChannelName, PublicId, SessionId, UserName};
use everyway::config::{Config, Namespace, Seconds};
use everyway::presence::Visitor;
use everyway::transport::Transport;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::support::sse::Stream;
use super::support::ws::Ws;
use super::support::{Gateway, Reader, Via, until, within};
use super::tokens::{self, guarded, token};

/// A session id, as a client makes one.
const SESSION: &str = "0123456789abcdef";
const FOR_EVER: Seconds = Seconds::new(600);

fn seconds(seconds: f64) -> Seconds {
    serde_json::from_value(json!(seconds)).expect("seconds")
}

/// A gateway where who goes without a word is there for so long.
async fn with_grace(grace_s: Seconds) -> Gateway {
    Gateway::with(|config| config.presence.grace_s = grace_s).await
}

/// What `/v1/presence` says of the room.
async fn ask(gateway: &Gateway, more: &str) -> Value {
    let response = gateway
        .get(&format!("/v1/presence?channel=room:1{more}"))
        .await;
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()
}

fn names(users: &Value) -> Vec<String> {
    let users = users.as_array().expect("a list");
    let name = |user: &Value| user["user"].as_str().expect("a name").to_owned();
    users.iter().map(name).collect()
}

/// Waits until these are in the room.
async fn until_there(gateway: &Gateway, expected: &[&str]) {
    let asked = async || names(&ask(gateway, "").await["users"]) == expected;
    until(&format!("{expected:?} to be there"), asked).await;
}

/// Somebody who asked who is in the room, and follows what changes.
struct Watch {
    reader: Reader,
    view: BTreeMap<String, Value>,
    users: Value,
}

impl Watch {
    async fn over(gateway: &Gateway, via: Via) -> Self {
        let page = ask(gateway, "").await;
        let cursor = page["cursor"].as_str().expect("a cursor");
        let reader = Reader::attach(gateway.address, via, &["presence:room:1"], cursor).await;
        let users = page["users"].as_array().expect("a list").iter();
        let view = users.map(|user| (user["user"].to_string(), user["info"].clone()));
        Self {
            reader,
            view: view.collect(),
            users: page["count"].clone(),
        }
    }

    async fn start(gateway: &Gateway) -> Self {
        Self::over(gateway, Via::WebSocket).await
    }

    /// The next change.
    async fn change(&mut self) -> Value {
        let change = self.reader.message().await.2;
        for joined in change["joined"].as_array().expect("a list") {
            self.view
                .insert(joined["user"].to_string(), joined["info"].clone());
        }
        for left in change["left"].as_array().expect("a list") {
            self.view.remove(&left["user"].to_string());
        }
        self.users = change["users"].clone();
        change
    }

    /// Follows until exactly these are there.
    async fn until(&mut self, expected: &[&str]) {
        let expected: Vec<String> = expected
            .iter()
            .map(|name| json!(name).to_string())
            .collect();
        while !self.view.keys().eq(&expected) || self.users != json!(expected.len()) {
            let seen = format!("{expected:?}, not {:?}", self.view);
            within(&seen, self.change()).await;
        }
    }
}

async fn enter(gateway: &Gateway, user: &str) -> Ws {
    let target = format!("/v1/ws?channel=room:1&user={user}");
    Ws::welcomed(gateway.address, &target).await.0
}

/// Present without any connection, as a poll is.
fn lease(gateway: &Gateway, user: &str) {
    let user = UserName::parse(user).expect("a name");
    let session = SessionId::parse(SESSION).expect("an id");
    let visitor = Visitor {
        public_id: PublicId::of(Some(&user), &session),
        user,
        info: None,
        transport: Transport::Poll,
    };
    let room = ChannelName::parse("room:1").expect("a name");
    let leased = gateway
        .inner
        .presence
        .lease(&[room], &visitor, Duration::ZERO);
    leased.expect("room for all of them");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn arrivals_and_departures_are_told_over_every_transport() {
    for via in Via::TRANSPORTS {
        let gateway = with_grace(FOR_EVER).await;
        let mut watch = Watch::over(&gateway, via).await;
        let ann = enter(&gateway, "ann").await;
        let joined = watch.change().await;
        assert_eq!(
            joined,
            json!({"joined": [{"user": "ann"}], "left": [], "users": 1}),
            "{via:?}"
        );
        let _bob = enter(&gateway, "bob").await;
        watch.until(&["ann", "bob"]).await;
        ann.close().await;
        let left = watch.change().await;
        assert_eq!(
            left,
            json!({"joined": [], "left": [{"user": "ann"}], "users": 1}),
            "{via:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_sessions_of_a_user_over_several_transports_are_one_user() {
    let gateway = with_grace(seconds(0.1)).await;
    let ws = enter(&gateway, "ann").await;
    let target = "/v1/sse?channel=room:1&user=ann";
    let sse = Stream::open(gateway.address, target, &[]).await;
    let poll = format!("channel=room:1&user=ann&session={SESSION}");
    gateway.poll(&poll).await;
    let long = format!("/v1/longpoll?{poll}2&wait=0.01");
    assert_eq!(gateway.get(&long).await.status, 200);
    let expected = json!([{"user": "ann", "sessions": 4, "transports": ["longpoll", "poll", "sse", "websocket"]}]);
    let page = ask(&gateway, "").await;
    assert_eq!(page["users"], expected);
    assert_eq!(page["count"], 1);
    drop(sse);
    until("one session less", async || {
        ask(&gateway, "").await["users"][0]["sessions"] == 3
    })
    .await;
    ws.close().await;
    until_there(&gateway, &["ann"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_says_nothing_of_sessions_but_how_many_there_are() {
    let gateway = Gateway::start().await;
    let target = format!("/v1/ws?channel=room:1&user=ann&session={SESSION}");
    let (_ann, welcome) = Ws::welcomed(gateway.address, &target).await;
    let mut watch = Watch::start(&gateway).await;
    let _bob = enter(&gateway, "bob").await;
    let told = [ask(&gateway, "").await, watch.change().await];
    let public_id = welcome["session"].as_str().expect("an id");
    for object in told {
        let text = object.to_string();
        assert!(
            !text.contains(SESSION) && !text.contains(public_id),
            "{text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_name_is_neither_listed_nor_counted() {
    let gateway = Gateway::start().await;
    let (_nobody, _) = Ws::welcomed(gateway.address, "/v1/ws?channel=room:1").await;
    gateway
        .poll(&format!("channel=room:1&session={SESSION}"))
        .await;
    let _ann = enter(&gateway, "ann").await;
    let page = ask(&gateway, "").await;
    assert_eq!(
        (&page["count"], names(&page["users"])),
        (&json!(1), vec!["ann".to_owned()])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unsubscribing_and_closing_with_1000_leave_at_once() {
    let gateway = with_grace(FOR_EVER).await;
    let (mut ann, bob) = (enter(&gateway, "ann").await, enter(&gateway, "bob").await);
    until_there(&gateway, &["ann", "bob"]).await;
    let unsubscribe = json!({"action": "unsubscribe", "channel": "room:1"});
    assert_eq!(ann.ask(unsubscribe).await["type"], "unsubscribed");
    assert_eq!(names(&ask(&gateway, "").await["users"]), ["bob"]);
    bob.close().await;
    until_there(&gateway, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_goes_without_a_word_is_there_for_the_grace() {
    let gateway = with_grace(seconds(0.5)).await;
    let mut watch = Watch::start(&gateway).await;
    let ann = enter(&gateway, "ann").await;
    let sse = Stream::open(gateway.address, "/v1/sse?channel=room:1&user=bob", &[]).await;
    let (mut cid, mut dan) = (enter(&gateway, "cid").await, enter(&gateway, "dan").await);
    watch.until(&["ann", "bob", "cid", "dan"]).await;
    let before = tokio::time::Instant::now();
    drop((ann, sse));
    let away = CloseFrame {
        code: CloseCode::Away,
        reason: "".into(),
    };
    cid.send_message(Message::Close(Some(away))).await;
    dan.send_message(Message::Close(None)).await;
    watch.until(&[]).await;
    let after = before.elapsed();
    assert!(after >= Duration::from_millis(500), "after {after:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_back_over_another_transport_within_the_grace_was_never_gone() {
    let gateway = with_grace(FOR_EVER).await;
    let mut watch = Watch::start(&gateway).await;
    let member = format!("channel=room:1&user=ann&session={SESSION}");
    let target = format!("/v1/ws?{member}");
    let (ws, _) = Ws::welcomed(gateway.address, &target).await;
    watch.until(&["ann"]).await;
    drop(ws);
    gateway.poll(&member).await;
    let sse = Stream::open(gateway.address, &format!("/v1/sse?{member}"), &[]).await;
    until("only the stream to be there", async || {
        let user = ask(&gateway, "").await["users"][0].clone();
        user == json!({"user": "ann", "sessions": 1, "transports": ["sse"]})
    })
    .await;
    // Of all that, the next one who follows hears nothing.
    let _bob = enter(&gateway, "bob").await;
    let next = watch.change().await;
    assert_eq!(
        next,
        json!({"joined": [{"user": "bob"}], "left": [], "users": 2})
    );
    drop(sse);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_with_a_session_is_there_for_its_wait_and_the_lease() {
    let gateway = Gateway::with(|config| config.presence.lease_s = seconds(1.0)).await;
    gateway.poll("channel=room:1&user=ann").await;
    assert_eq!(ask(&gateway, "").await["count"], 0, "no session");
    let before = tokio::time::Instant::now();
    gateway
        .poll(&format!("channel=room:1&user=ann&session={SESSION}"))
        .await;
    assert_eq!(ask(&gateway, "").await["count"], 1);
    let long =
        format!("/v1/longpoll?channel=room:1&user=bob&session={SESSION}&wait=0.5&cursor=earliest");
    assert_eq!(gateway.get(&long).await.status, 200);
    until_there(&gateway, &["bob"]).await;
    until_there(&gateway, &[]).await;
    assert!(before.elapsed() >= Duration::from_millis(1500));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_resumes_misses_no_change() {
    let gateway = with_grace(FOR_EVER).await;
    let mut watch = Watch::start(&gateway).await;
    let ann = enter(&gateway, "ann").await;
    watch.until(&["ann"]).await;
    let (mut others, mut seen) = (Vec::new(), 1);
    for via in [Via::Sse, Via::LongPoll, Via::Poll, Via::WebSocket] {
        others.push(enter(&gateway, &format!("u{seen}")).await);
        seen += 1;
        watch.reader.switch(via).await;
    }
    ann.close().await;
    watch.until(&["u1", "u2", "u3", "u4"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_answers_as_the_request_does() {
    let gateway = Gateway::start().await;
    let mut ann = enter(&gateway, "ann").await;
    until("the arrival to be told", async || {
        gateway.metric("everyway_presence_changes_total").await == 1.0
    })
    .await;
    let answer = ann
        .ask(json!({"action": "presence", "channel": "room:1", "ref": 7}))
        .await;
    let mut expected = ask(&gateway, "").await;
    expected["type"] = json!("presence");
    expected["ref"] = json!(7);
    assert_eq!(answer, expected);
    let keys: Vec<&String> = answer.as_object().expect("an object").keys().collect();
    assert_eq!(
        keys,
        ["channel", "count", "cursor", "more", "ref", "type", "users"]
    );
    assert_eq!(gateway.metric("everyway_present").await, 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn info_is_that_of_the_token_and_a_new_token_changes_it() {
    let gateway = guarded(|_| ()).await;
    let claims = |info: Value| token(json!({"sub": "ann", "info": info, "subscribe": ["*"]}));
    let first = claims(json!({"name": "Ann \"A\""}));
    let target = format!("/v1/ws?channel=room:1&channel=presence:room:1&token={first}");
    let (mut ann, _) = Ws::welcomed(gateway.address, &target).await;
    let joined = ann.json().await["data"]["joined"].clone();
    assert_eq!(
        joined,
        json!([{"user": "ann", "info": {"name": "Ann \"A\""}}])
    );
    let refresh = json!({"action": "refresh", "token": claims(json!("new"))});
    assert_eq!(ann.ask(refresh).await["type"], "refreshed");
    let again = ann.json().await["data"].clone();
    assert_eq!(
        again,
        json!({"joined": [{"user": "ann", "info": "new"}], "left": [], "users": 1})
    );
    let page = tokens::get(&gateway, "/v1/presence?channel=room:1", &first).await;
    assert_eq!(page.json()["users"][0]["info"], "new");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_that_is_lost_is_left_at_once() {
    let gateway = guarded(|_| ()).await;
    let claims = |subscribe: Value| token(json!({"sub": "ann", "subscribe": subscribe}));
    let all = claims(json!(["*"]));
    let target = format!("/v1/ws?channel=room:1&token={all}");
    let (mut ann, _) = Ws::welcomed(gateway.address, &target).await;
    let count = async || {
        let page = tokens::get(&gateway, "/v1/presence?channel=room:1", &all).await;
        page.json()["count"].as_u64()
    };
    assert_eq!(count().await, Some(1));
    let refresh = json!({"action": "refresh", "token": claims(json!(["news"]))});
    ann.ask(refresh).await;
    assert_eq!(ann.json().await["type"], "unsubscribed");
    assert_eq!(count().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_may_read_a_channel_learns_who_is_there_and_nobody_writes_it() {
    let gateway = guarded(|_| ()).await;
    let other = token(json!({"sub": "eve", "subscribe": ["news", "presence:*"], "publish": ["*"]}));
    for target in [
        "/v1/presence?channel=room:1",
        "/v1/poll?channel=presence:room:1",
        "/v1/history?channel=presence:room:1",
    ] {
        let refused = tokens::get(&gateway, target, &other).await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (403, "forbidden"),
            "{target}"
        );
    }
    let target = format!("/v1/ws?channel=news&token={other}");
    let (mut ws, _) = Ws::welcomed(gateway.address, &target).await;
    for command in [
        json!({"action": "presence", "channel": "room:1"}),
        json!({"action": "subscribe", "channel": "presence:room:1"}),
        json!({"action": "publish", "channel": "presence:news", "data": 1}),
    ] {
        let answer = ws.ask(command.clone()).await;
        assert_eq!(answer["code"], "forbidden", "{command}");
    }
    let publish = tokens::post(&gateway, "/v1/publish?channel=presence:news", &other, "1").await;
    assert_eq!(publish.status, 403);
    let none = gateway.get("/v1/presence?channel=room:1").await;
    assert_eq!(none.status, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_nobody_is_in_looks_like_one_that_never_was() {
    let gateway = Gateway::start().await;
    gateway.publish("used", &json!(1)).await;
    let page = async |channel: &str| {
        let target = format!("/v1/presence?channel={channel}");
        let mut page = gateway.get(&target).await.json();
        page.as_object_mut().expect("an object").remove("channel");
        page
    };
    let empty = page("used").await;
    assert_eq!(empty, page("never").await);
    assert_eq!((&empty["count"], &empty["users"]), (&json!(0), &json!([])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_presence_is_off_nobody_is_present_and_nobody_may_ask() {
    let off = |config: &mut Config| {
        let namespace = Namespace {
            presence: Some(false),
            ..Namespace::default()
        };
        config.namespaces.insert("room".to_owned(), namespace);
    };
    let gateway = Gateway::with(off).await;
    let mut ann = enter(&gateway, "ann").await;
    for target in [
        "/v1/presence?channel=room:1",
        "/v1/poll?channel=presence:room:1",
        "/v1/sse?channel=presence:room:1",
        "/v1/history?channel=presence:room:1",
        "/v1/presence?channel=presence:news",
        "/v1/poll?channel=presence:presence:news",
    ] {
        let refused = gateway.get(target).await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (403, "forbidden"),
            "{target}"
        );
        assert!(refused.text().contains("switched off"), "{target}");
    }
    for action in ["presence", "subscribe"] {
        let channel = if action == "presence" {
            "room:1"
        } else {
            "presence:room:1"
        };
        let answer = ann.ask(json!({"action": action, "channel": channel})).await;
        assert_eq!(answer["code"], "forbidden", "{action}");
    }
    assert_eq!(gateway.metric("everyway_present").await, 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn presence_is_switched_off_and_on_while_it_runs() {
    let gateway = Gateway::start().await;
    let reload = |enabled: bool| {
        let mut config = Config::clone(&gateway.inner.config());
        config.presence.enabled = enabled;
        gateway.inner.reload(config).expect("usable keys");
    };
    let _ann = enter(&gateway, "ann").await;
    let mut watch = Watch::start(&gateway).await;
    let cursor = watch.reader.cursor();
    reload(false);
    let bob = enter(&gateway, "bob").await;
    assert_eq!(gateway.get("/v1/presence?channel=room:1").await.status, 403);
    reload(true);
    let _cid = enter(&gateway, "cid").await;
    watch.reader.switch(Via::LongPoll).await;
    watch.until(&["ann", "cid"]).await;
    drop((bob, cursor));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_are_read_a_page_at_a_time() {
    let gateway = Gateway::start().await;
    for n in 0..10_000 {
        lease(&gateway, &format!("u {n:05}"));
    }
    let (mut after, mut seen) = (String::new(), Vec::new());
    loop {
        let page = ask(&gateway, &format!("&limit=1000{after}")).await;
        assert_eq!(page["count"], 10_000);
        seen.extend(names(&page["users"]));
        if page["more"] == false {
            break;
        }
        let last = seen.last().expect("a page that is not empty");
        after = format!("&after={}", last.replace(' ', "%20"));
    }
    let expected: Vec<String> = (0..10_000).map(|n| format!("u {n:05}")).collect();
    assert_eq!(seen, expected);
    assert_eq!(
        ask(&gateway, "").await["users"].as_array().map(Vec::len),
        Some(100)
    );
    let count = ask(&gateway, "&limit=0").await;
    assert_eq!(
        (&count["count"], &count["users"], &count["more"]),
        (&json!(10_000), &json!([]), &json!(true))
    );
    for bad in [
        "limit=1001",
        "limit=-1",
        "limit=x",
        "after=",
        "limit=1&limit=2",
    ] {
        let refused = gateway
            .get(&format!("/v1/presence?channel=room:1&{bad}"))
            .await;
        assert_eq!(refused.status, 400, "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_is_bounded_in_bytes() {
    let gateway = Gateway::with(|config| config.limits.page_bytes_max = 1000).await;
    for n in 0..100 {
        lease(&gateway, &format!("u{n:03}"));
    }
    let page = gateway.get("/v1/presence?channel=room:1").await;
    assert!(page.body.len() < 1100, "{} bytes", page.body.len());
    let page = page.json();
    assert_eq!(page["more"], true);
    assert!(!names(&page["users"]).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_ten_thousand_costs_each_member_a_message_a_second() {
    let gateway = Gateway::start().await;
    let mut watch = Watch::start(&gateway).await;
    let mut expected = 0;
    for n in 0..10_000 {
        lease(&gateway, &format!("u{n}"));
        expected += 1;
        if n % 1000 == 0 {
            tokio::task::yield_now().await;
        }
    }
    while watch.view.len() < expected {
        watch.change().await;
    }
    let page = gateway
        .poll("channel=presence:room:1&cursor=earliest")
        .await;
    let messages = page["messages"].as_array().expect("a list");
    let times: Vec<u64> = messages
        .iter()
        .map(|m| m["time"].as_u64().expect("a time"))
        .collect();
    assert!(messages.len() <= 10, "{} messages", messages.len());
    for pair in times.windows(2) {
        assert!(
            pair[1] - pair[0] >= 990,
            "two messages within a second: {times:?}"
        );
    }
    for message in messages {
        assert!(message["data"].to_string().len() < 33 * 1024);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_present_too_many_is_told_so_over_every_transport() {
    let gateway = Gateway::with(|config| config.presence.sessions_max = 2).await;
    let mut ann = enter(&gateway, "ann").await;
    let subscribe = |channel| json!({"action": "subscribe", "channel": channel});
    assert_eq!(ann.ask(subscribe("room:2")).await["type"], "subscribed");
    let answer = ann.ask(subscribe("room:3")).await;
    assert_eq!(
        (&answer["code"], &answer["channel"]),
        (&json!("overloaded"), &json!("room:3"))
    );
    let mut bob = Ws::open(gateway.address, "/v1/ws?channel=room:1&user=bob").await;
    assert_eq!(bob.end().await.1, 1013);
    let target = format!("channel=room:1&user=bob&session={SESSION}");
    let mut sse = Stream::open(gateway.address, &format!("/v1/sse?{target}"), &[]).await;
    assert_eq!(
        sse.next().await.map(|event| event.name).as_deref(),
        Some("disconnect")
    );
    let poll = gateway.get(&format!("/v1/poll?{target}")).await;
    assert_eq!((poll.status, poll.code().as_str()), (503, "overloaded"));
    assert!(poll.headers.contains_key("retry-after"));
    // Who is no member is let in, and there is room again once somebody left.
    gateway.poll("channel=room:1&user=bob").await;
    ann.close().await;
    until("room for one more", async || {
        gateway.get(&format!("/v1/poll?{target}")).await.status == 200
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_refused_for_one_channel_is_in_none() {
    let gateway = Gateway::with(|config| config.presence.sessions_max = 1).await;
    let target = "channel=room:1&channel=room:2&user=bob";
    let mut sse = Stream::open(gateway.address, &format!("/v1/sse?{target}"), &[]).await;
    let last = sse.next().await.expect("an event");
    assert!(last.data.contains("overloaded"), "{last:?}");
    assert_eq!(ask(&gateway, "").await["count"], 0);
    let mut ws = Ws::open(gateway.address, &format!("/v1/ws?{target}")).await;
    assert_eq!(ws.end().await.2, "overloaded");
    assert_eq!(ask(&gateway, "").await["count"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asking_costs_a_request() {
    let gateway = Gateway::with(|config| {
        config.limits.loopback = true;
        config.limits.requests = "3/60s".parse().expect("a rule");
    })
    .await;
    let mut ann = enter(&gateway, "ann").await;
    let presence = json!({"action": "presence", "channel": "room:1"});
    assert_eq!(ann.ask(presence.clone()).await["type"], "presence");
    assert_eq!(ask(&gateway, "").await["count"], 1);
    assert_eq!(ann.ask(presence).await["code"], "rate_limited");
    assert_eq!(gateway.get("/v1/presence?channel=room:1").await.status, 429);
}
