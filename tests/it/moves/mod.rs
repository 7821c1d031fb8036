//! Sessions that move: the newest attachment of a session is served, the older one ends, and nothing is lost on the way.

mod at_limits;
mod queued;
mod races;
mod stuck;

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::support::tunnel::{self, Certs};
use super::support::ws::Ws;
use super::support::{Gateway, Reader, Told, Via, http, seed, until, within};
use super::tokens::{guarded, token};

/// A session's id, as a parameter.
const SESSION: &str = "&session=0123456789abcdef";

/// The older attachment of a session, read to its end by a task of its own. A long poll is parked, and a short poll is over.
struct Older(JoinHandle<Vec<Told>>);

impl Older {
    async fn attach(gateway: &Gateway, via: Via, more: &str) -> Self {
        let nobody = || async { gateway.inner.attachments.is_empty() };
        until("everybody else to be gone", nobody).await;
        let reader = Reader::attach_as(gateway.address, via, &["a"], "now", more).await;
        let older = Self(tokio::spawn(reader.superseded()));
        if via.transport() != Via::Poll {
            let is_there = || async { gateway.inner.attachments.len() == 1 };
            until("the older one to be attached", is_there).await;
        }
        older
    }

    /// Waits for it to be superseded, and returns what it was told before.
    async fn ended(self, what: &str) -> Vec<Told> {
        let ended = within(what, self.0).await;
        ended.unwrap_or_else(|error| panic!("{what}: {error}"))
    }
}

/// Each of these supersedes each other one, and is served then.
async fn every_pair(gateway: &Gateway, transports: &[Via]) {
    let pairs = transports
        .iter()
        .flat_map(|older| transports.iter().map(move |newer| (*older, *newer)));
    for (n, (via, newer)) in pairs.enumerate() {
        let what = format!("{newer:?} supersedes {via:?}");
        let more = format!("&session=a-secret-id-{n:06}");
        let older = Older::attach(gateway, via, &more).await;
        let mut newer = Reader::attach_as(gateway.address, newer, &["a"], "now", &more).await;
        // Nothing after the newer one's welcome.
        let offset = gateway.publish("a", &json!(n)).await;
        assert_eq!(newer.message().await.1, offset, "{what}");
        assert_eq!(older.ended(&what).await, [], "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_attachment_supersedes_an_older_one_over_any_two_transports() {
    let gateway = Gateway::start().await;
    every_pair(&gateway, &Via::ALL).await;
    let none = || async { gateway.inner.attachments.is_empty() };
    until("everybody to be gone", none).await;
    let ended = |transport: &str| {
        format!("everyway_endings_total{{transport=\"{transport}\",code=\"superseded\"}}")
    };
    for (transport, variants) in [("websocket", 4.0), ("sse", 2.0), ("longpoll", 2.0)] {
        let count = gateway.metric(&ended(transport)).await;
        assert_eq!(count, variants * 10.0, "{transport}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_attachment_supersedes_an_older_one_within_tls() {
    let certs = Certs::make();
    let mut gateway = Gateway::with(|config| {
        config.server.listen = Vec::new();
        config.server.tls_listen = vec!["127.0.0.1:0".to_owned()];
        config.tls.cert = certs.path("server.pem");
        config.tls.key = certs.path("server.key");
    })
    .await;
    gateway.address = tunnel::before(gateway.address, &certs).await;
    let with_http2 = [Via::Deflate, Via::SseOverHttp2, Via::LongPollOverHttp2];
    every_pair(&gateway, &[&Via::TRANSPORTS[..], &with_http2].concat()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_that_waits_supersedes_the_older_attachment_when_it_begins_to() {
    let gateway = Gateway::start().await;
    for via in Via::TRANSPORTS {
        let older = Older::attach(&gateway, via, SESSION).await;
        let target = format!("/v1/longpoll?channel=a&wait=20{SESSION}");
        let address = gateway.address;
        let poll =
            tokio::spawn(async move { http::request(address, "GET", &target, &[], b"").await });
        older.ended("the older one, by a poll that waits").await;
        let waits = || async { gateway.inner.attachments.len() == 1 };
        until("the poll to wait alone", waits).await;
        gateway.publish("a", &json!(via.path())).await;
        let page = within("the poll", poll).await.expect("an answer").json();
        assert_eq!(page["messages"][0]["data"], via.path(), "{via:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_without_channels_takes_over_when_it_subscribes() {
    let gateway = Gateway::start().await;
    let stream = Reader::attach_as(gateway.address, Via::Sse, &["a"], "now", SESSION);
    let mut stream = stream.await;
    let target = format!("/v1/ws?{}", &SESSION[1..]);
    let (mut other, _) = Ws::welcomed(gateway.address, &target).await;
    let (mut ws, _) = Ws::welcomed(gateway.address, &target).await;
    let publish = json!({"action": "publish", "channel": "a", "data": 1});
    assert_eq!(ws.ask(publish.clone()).await["type"], "published");
    assert_eq!(stream.message().await.2, 1);
    let subscribed = ws.ask(json!({"action": "subscribe", "channel": "b"})).await;
    assert_eq!(subscribed["type"], "subscribed");
    assert_eq!(stream.superseded().await, []);
    assert_eq!(
        other.ask(json!({"action": "ping"})).await["type"],
        "pong",
        "it was never the newest"
    );
    ws.ask(json!({"action": "unsubscribe", "channel": "b"}))
        .await;
    ws.ask(json!({"action": "subscribe", "channel": "a"})).await;
    assert_eq!(other.ask(publish).await["type"], "published");
    assert_eq!(ws.json().await["data"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_id_of_two_users_and_of_nobody_is_three_sessions() {
    let gateway = Gateway::start().await;
    let mut readers = Vec::new();
    let mut public_ids = Vec::new();
    for (n, user) in ["", "&user=alice", "&user=bob"].iter().enumerate() {
        let more = format!("{user}{SESSION}");
        let target = format!("/v1/ws?{}", &more[1..]);
        let (_, welcome) = Ws::welcomed(gateway.address, &target).await;
        public_ids.push(welcome["session"].as_str().expect("an id").to_owned());
        let via = Via::TRANSPORTS[n % 2];
        readers.push(Reader::attach_as(gateway.address, via, &["a"], "now", &more).await);
    }
    // What everybody may see opens nothing, whoever presents it.
    for (public_id, user) in public_ids
        .iter()
        .flat_map(|id| ["", "&user=alice", "&user=bob"].map(|user| (id, user)))
    {
        let query = format!("channel=a{user}&session={public_id}");
        Ws::welcomed(gateway.address, &format!("/v1/ws?{query}")).await;
        gateway.poll(&query).await;
    }
    gateway.publish("a", &json!(1)).await;
    for reader in &mut readers {
        assert_eq!(reader.message().await.2, 1, "{:?}", reader.via);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_refused_takes_nothing_over() {
    let gateway = guarded(|_| ()).await;
    let credentials = format!("&token={}{SESSION}", token(json!({})));
    let reader = Reader::attach_as(gateway.address, Via::Sse, &["news"], "now", &credentials);
    let mut reader = reader.await;
    let wrong = [
        format!("channel=news&cursor=x{credentials}"),
        format!("channel=elsewhere{credentials}"),
        format!("channel=news&channel=elsewhere{credentials}"),
        format!("channel=news{SESSION}"),
        format!("channel=news&token=x{SESSION}"),
    ];
    for (query, via) in wrong
        .iter()
        .flat_map(|query| Via::TRANSPORTS.map(|via| (query, via)))
    {
        let target = format!("{}?{query}", via.path());
        if via == Via::WebSocket {
            let (last, code, _) = Ws::open(gateway.address, &target).await.end().await;
            assert!([4000, 4001, 4003].contains(&code), "{target}: {last}");
        } else {
            let status = gateway.get(&target).await.status;
            assert!([400, 401, 403].contains(&status), "{target}: {status}");
        }
    }
    let target = format!("/v1/ws?{}", &credentials[1..]);
    let (mut ws, _) = Ws::welcomed(gateway.address, &target).await;
    let refused = ws.ask(json!({"action": "subscribe", "channel": "elsewhere"}));
    assert_eq!(refused.await["code"], "forbidden");
    publish_news(&gateway).await;
    assert_eq!(reader.message().await.2, 1);
}

async fn publish_news(gateway: &Gateway) {
    let key = format!("Bearer {}", super::tokens::API_KEY);
    let headers = [("authorization", key.as_str())];
    let answer = gateway.publish_raw("news", b"1", &headers).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Publishes numbers until it is stopped.
fn publish_on(gateway: &Arc<Gateway>) -> JoinHandle<()> {
    let gateway = Arc::clone(gateway);
    tokio::spawn(async move {
        for n in 1_u64.. {
            gateway.publish("a", &n.into()).await;
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_session_that_moves_under_a_stream_of_messages_is_told_each_of_them_once() {
    let gateway = Arc::new(Gateway::start().await);
    let publisher = publish_on(&gateway);
    let mut random = fastrand::Rng::with_seed(seed());
    let mut draw = |count: usize| random.usize(..count);
    let first = Via::ALL[draw(Via::ALL.len())];
    let mut reader = Reader::attach_as(gateway.address, first, &["a"], "earliest", SESSION).await;
    let mut last = 0;
    for _ in 0..100 {
        for _ in 0..draw(12) {
            // The reader checks that offsets are contiguous, and the message is its number.
            let (_, offset, data) = reader.message().await;
            assert_eq!((offset, &data), (last + 1, &Value::from(offset)));
            last = offset;
        }
        let newer = reader.attach_again(Via::ALL[draw(Via::ALL.len())]).await;
        let at_welcome = head(&gateway).await;
        let older = std::mem::replace(&mut reader, newer);
        // What it was told and did not hand out is told again by the newer one.
        let told = if older.is_attached() {
            older.superseded().await
        } else {
            Vec::new()
        };
        let is_early =
            |told: &Told| matches!(told, Told::Message { offset, .. } if *offset <= at_welcome);
        assert!(told.iter().all(is_early), "after {at_welcome}: {told:?}");
    }
    assert!(last > 100, "{last}");
    publisher.abort();
}

/// The offset of the last message.
async fn head(gateway: &Gateway) -> u64 {
    let page = gateway.poll("channel=a").await;
    let cursor = page["cursor"].as_str().expect("a cursor");
    let (_, offset) = cursor.rsplit_once('.').expect("epoch.offset");
    offset.parse().expect("a number")
}
