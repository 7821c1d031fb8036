//! The page of `examples/chat` in Chromium, driven by `tests/clients/browser_chat.js`.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::support::program::Program;
use crate::support::proxy::Proxy;
use crate::support::ws::Ws;
use crate::support::{Gateway, need, seed, within};

/// A transport as the page chooses it, and as it names it.
const TRANSPORTS: [(&str, &str); 4] = [
    ("websocket", "WebSocket"),
    ("sse", "SSE"),
    ("longpoll", "long poll"),
    ("poll", "short poll"),
];

/// People who look at the page, each in a browser of their own.
struct People(Program);

impl People {
    fn start() -> Option<Self> {
        need::browser("browser_chat.js").map(|command| Self(Program::typing(command)))
    }

    /// Has somebody do something, and returns what the page shows then.
    async fn ask(&mut self, who: &str, mut command: Value) -> Value {
        command["who"] = who.into();
        self.0.say(&command.to_string()).await;
        let shown = self.0.json().await;
        assert!(shown["error"].is_null(), "{command}: {shown:#}");
        assert_eq!(shown["faults"], json!([]), "{command}: {shown:#}");
        shown
    }

    /// Somebody comes to the room `1`, and is connected over a transport.
    async fn come(&mut self, who: &str, gateway: SocketAddr, transport: (&str, &str)) {
        self.ask(who, open(gateway, transport.0)).await;
        self.connected(who, transport.1).await;
    }

    async fn connected(&mut self, who: &str, named: &str) {
        let state = format!("{named}: connected");
        self.see(who, "state", &state).await;
    }

    async fn say(&mut self, who: &str, text: &str) {
        self.ask(who, json!({"do": "say", "text": text})).await;
    }

    /// Waits until the page shows this in its `lines`, its `count` or its `state`.
    async fn see(&mut self, who: &str, what: &str, text: &str) -> Value {
        self.ask(who, json!({"do": "see", "what": what, "text": text}))
            .await
    }

    /// The lines that begin like this, the rest of each.
    async fn lines(&mut self, who: &str, beginning: &str) -> Vec<String> {
        let shown = self.ask(who, json!({"do": "look"})).await;
        let lines = shown["lines"].as_array().expect("lines").iter();
        lines
            .filter_map(|line| line.as_str()?.strip_prefix(beginning))
            .map(str::to_owned)
            .collect()
    }
}

fn open(gateway: SocketAddr, transport: &str) -> Value {
    let gateway = format!("http://{gateway}/");
    json!({"do": "open", "gateway": gateway, "transport": transport})
}

async fn gateway() -> Gateway {
    Gateway::with(|config| config.server.pages = "examples/chat".to_owned()).await
}

/// Says something to the room as a client of its own.
async fn publish(gateway: &Gateway, user: &str, text: &str) {
    let body = json!(text).to_string();
    let target = format!("/v1/publish?channel=room:1&user={user}");
    let answer = gateway.request("POST", &target, &[], body.as_bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_people_come_talk_and_leave() {
    let gateway = gateway().await;
    publish(&gateway, "carol", "I was here before you.").await;
    let Some(mut people) = People::start() else {
        return;
    };
    people.come("alice", gateway.address, TRANSPORTS[0]).await;
    people.see("alice", "count", "1 here").await;
    people
        .come("Bob Ümläut", gateway.address, TRANSPORTS[0])
        .await;
    people.see("alice", "lines", "Bob Ümläut came").await;
    people.say("alice", "Good morning!").await;
    people.see("Bob Ümläut", "lines", "Good morning!").await;
    people.say("Bob Ümläut", "おはよう").await;
    people.see("alice", "lines", "おはよう").await;
    people.say("alice", "/msg Bob Ümläut only you").await;
    people.see("Bob Ümläut", "lines", "only you").await;
    let leave = json!({"do": "click", "on": "#leave"});
    people.ask("Bob Ümläut", leave).await;
    let shown = people.see("alice", "lines", "Bob Ümläut left").await;
    let expected = json!([
        "carol: I was here before you.",
        "alice (you) came",
        "Bob Ümläut came",
        "alice (you): Good morning!",
        "Bob Ümläut: おはよう",
        "you to Bob Ümläut, only: only you",
        "Bob Ümläut left"
    ]);
    assert_eq!(shown["lines"], expected);
    assert_eq!(
        (&shown["count"], &shown["people"]),
        (&json!("1 here"), &json!(["alice (you)"]))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_pass_is_passed_over() {
    let gateway = gateway().await;
    let Some(mut people) = People::start() else {
        return;
    };
    let cases: [(&[&str], &[&str], &str); 3] = [
        (&["ws"], &[], "SSE"),
        // A proxy that holds streams back.
        (&["ws"], &["sse"], "long poll"),
        (&["ws", "sse", "longpoll"], &[], "short poll"),
    ];
    for (blocked, held, named) in cases {
        let mut command = open(gateway.address, "auto");
        command["blocked"] = json!(blocked);
        command["held"] = json!(held);
        people.ask(named, command).await;
        people.connected(named, named).await;
        publish(&gateway, "carol", &format!("you hear {named}")).await;
        people
            .see(named, "lines", &format!("you hear {named}"))
            .await;
        people.say(named, &format!("I say {named}")).await;
        let mine = format!("{named} (you): I say {named}");
        let said = async || people.lines(named, &mine).await;
        assert_eq!(within("what was said", said_once(said)).await, [""]);
    }
}

/// Asks until nothing of it waits to be sent.
async fn said_once(mut said: impl AsyncFnMut() -> Vec<String>) -> Vec<String> {
    loop {
        let lines = said().await;
        if lines.iter().all(|line| !line.contains('[')) {
            return lines;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_cut_nothing_is_missed_over_any_transport() {
    let Some(mut people) = People::start() else {
        return;
    };
    for (n, transport) in TRANSPORTS.into_iter().enumerate() {
        let gateway = gateway().await;
        let proxy = Proxy::before(gateway.address).await;
        let who = format!("alice{n}");
        people.come(&who, proxy.address, transport).await;
        people.see(&who, "count", "1 here").await;
        publish(&gateway, "carol", "1").await;
        people.see(&who, "lines", "carol: 1").await;
        proxy.cut();
        people.say(&who, "said in between").await;
        let (bob, _) = Ws::welcomed(gateway.address, "/v1/ws?channel=room:1&user=bob").await;
        for text in ["2", "3"] {
            publish(&gateway, "carol", text).await;
        }
        proxy.mend();
        people.see(&who, "lines", "bob came").await;
        drop(bob);
        publish(&gateway, "carol", "4").await;
        people.see(&who, "lines", "carol: 4").await;
        assert_eq!(
            people.lines(&who, "carol: ").await,
            ["1", "2", "3", "4"],
            "{transport:?}"
        );
        let mine = format!("{who} (you): ");
        let said = async || people.lines(&who, &mine).await;
        let said = within("what was said", said_once(said)).await;
        assert_eq!(said, ["said in between"], "{transport:?}");
        for gap in ["Missing here", "May be missing here"] {
            assert_eq!(people.lines(&who, gap).await, [""; 0], "{transport:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_choice_of_transport_moves_without_a_loss() {
    let gateway = gateway().await;
    let Some(mut people) = People::start() else {
        return;
    };
    people.come("alice", gateway.address, TRANSPORTS[0]).await;
    people.see("alice", "count", "1 here").await;
    let mut random = fastrand::Rng::with_seed(seed());
    let mut sent = Vec::new();
    for _ in 0..12 {
        let (transport, named) = TRANSPORTS[random.usize(..TRANSPORTS.len())];
        let choose = json!({"do": "choose", "transport": transport});
        people.ask("alice", choose).await;
        for _ in 0..random.usize(..4) {
            sent.push(sent.len().to_string());
            publish(&gateway, "carol", &sent[sent.len() - 1]).await;
        }
        people.connected("alice", named).await;
    }
    publish(&gateway, "carol", "the last one").await;
    sent.push("the last one".to_owned());
    people.see("alice", "lines", "the last one").await;
    assert_eq!(
        people.lines("alice", "carol: ").await,
        sent,
        "seed {}",
        seed()
    );
    // Who moves was never gone.
    assert_eq!(people.lines("alice", "alice (you) ").await, ["came"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_starts_again_is_a_gap_and_no_end() {
    let gateway = gateway().await;
    let address = gateway.address;
    let Some(mut people) = People::start() else {
        return;
    };
    people.come("alice", address, TRANSPORTS[0]).await;
    people.come("bob", address, TRANSPORTS[1]).await;
    people.see("alice", "count", "2 here").await;
    gateway.down().await;
    people.see("bob", "state", "Not connected").await;
    let gateway = Gateway::with(|config| {
        config.server.pages = "examples/chat".to_owned();
        config.server.listen = vec![address.to_string()];
    })
    .await;
    for who in ["alice", "bob"] {
        people
            .see(who, "lines", "May be missing here: messages")
            .await;
        people.see(who, "count", "2 here").await;
    }
    people.say("alice", "again").await;
    people.see("bob", "lines", "alice: again").await;
    publish(&gateway, "carol", "as before").await;
    people.see("alice", "lines", "carol: as before").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_and_texts_are_never_markup() {
    const EVIL: &str = "<img src=x onerror=hit=1><script>hit=2</script><b>";
    let gateway = gateway().await;
    let Some(mut people) = People::start() else {
        return;
    };
    people.come(EVIL, gateway.address, TRANSPORTS[0]).await;
    people.come("alice", gateway.address, TRANSPORTS[0]).await;
    people.say(EVIL, EVIL).await;
    people.say(EVIL, &format!("/msg alice {EVIL} to you")).await;
    people.say(EVIL, "the last one").await;
    let shown = people.see("alice", "lines", "the last one").await;
    let lines = shown["lines"].as_array().expect("lines");
    assert!(
        lines.contains(&json!(format!("{EVIL}: {EVIL}"))),
        "{shown:#}"
    );
    assert!(
        lines.contains(&json!(format!("{EVIL} to you only: {EVIL} to you"))),
        "{shown:#}"
    );
    assert!(
        shown["people"]
            .as_array()
            .is_some_and(|people| people.contains(&EVIL.into())),
        "{shown:#}"
    );
    assert_eq!(
        (&shown["hit"], &shown["elements"]),
        (&Value::Null, &json!(0))
    );
}
