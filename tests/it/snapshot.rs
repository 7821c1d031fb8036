//! A snapshot, then what follows: pages of history and live reading are one sequence, whoever publishes meanwhile.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use everyway::config::{Config, Seconds};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::interval;

use super::support::ws::Ws;
use super::support::{Gateway, Reader, Told, Via, http, until};

/// Between two messages. Without it a slow machine is never done with a snapshot.
const PACE: Duration = Duration::from_millis(2);

/// Somebody who publishes 1, 2, 3 and so on to `a`.
struct Publisher {
    over: Arc<AtomicBool>,
    task: JoinHandle<u64>,
}

impl Publisher {
    fn start(address: SocketAddr) -> Self {
        let over = Arc::<AtomicBool>::default();
        let told = Arc::clone(&over);
        let task = tokio::spawn(async move {
            let (mut ws, _) = Ws::welcomed(address, "/v1/ws").await;
            let mut offset = 0;
            let mut pace = interval(PACE);
            while !told.load(Ordering::Acquire) {
                pace.tick().await;
                let command = json!({"action": "publish", "channel": "a", "data": offset + 1});
                offset = ws.ask(command).await["offset"].as_u64().expect("an offset");
            }
            offset
        });
        Self { over, task }
    }

    /// Stops, and says how far it came.
    async fn stop(self) -> u64 {
        self.over.store(true, Ordering::Release);
        self.task.await.expect("it publishes")
    }
}

/// A gateway without limits on how often, and somebody who has published a bit already.
async fn busy(change: impl FnOnce(&mut Config)) -> (Gateway, Publisher) {
    let gateway = Gateway::with(|config| {
        config.limits.publish = "off".parse().expect("a rule");
        config.history.count_max = 1_000_000;
        config.history.bytes_max = 256 << 20;
        change(config);
    })
    .await;
    let publisher = Publisher::start(gateway.address);
    let has_begun = async || newest(&page(&gateway, "order=desc").await) > Some(100);
    until("a hundred messages", has_begun).await;
    (gateway, publisher)
}

async fn page(gateway: &Gateway, query: &str) -> Value {
    let target = format!("/v1/history?channel=a&{query}");
    let answer = http::request(gateway.address, "GET", &target, &[], b"").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn offsets(page: &Value) -> Vec<u64> {
    let messages = page["messages"].as_array().expect("messages");
    let offset = |message: &Value| message["offset"].as_u64().expect("an offset");
    messages.iter().map(offset).collect()
}

fn newest(page: &Value) -> Option<u64> {
    offsets(page).into_iter().max()
}

fn text<'a>(page: &'a Value, name: &str) -> &'a str {
    page[name]
        .as_str()
        .unwrap_or_else(|| panic!("no {name} in {page}"))
}

/// The offset of a position of one channel.
fn offset_of(position: &str) -> u64 {
    let (_, offset) = position.split_once('.').expect("epoch.offset");
    offset.parse().expect("a number")
}

/// What a page shows, and where it goes on.
struct Snapshot {
    /// Oldest first.
    offsets: Vec<u64>,
    follow: String,
}

impl Snapshot {
    /// Pages back to the beginning. Each page goes on where the last one ended.
    async fn take(mut next: impl AsyncFnMut(Option<&str>) -> Value) -> Self {
        let first = next(None).await;
        let follow = text(&first, "follow").to_owned();
        let mut seen = offsets(&first);
        let mut last = first;
        while last.get("more").is_some() {
            last = next(Some(text(&last, "cursor"))).await;
            assert_eq!(last.get("gap"), None, "{last}");
            seen.extend(offsets(&last));
        }
        seen.reverse();
        assert_eq!(
            seen.last(),
            Some(&offset_of(&follow)),
            "it ends where what follows begins"
        );
        assert!(
            seen.windows(2).all(|pair| pair[1] == pair[0] + 1),
            "{seen:?}"
        );
        Self {
            offsets: seen,
            follow,
        }
    }

    async fn by_http(gateway: &Gateway) -> Self {
        Self::take(async |cursor: Option<&str>| {
            let cursor = cursor.map(|cursor| format!("&cursor={cursor}"));
            page(
                gateway,
                &format!("order=desc&limit=20{}", cursor.unwrap_or_default()),
            )
            .await
        })
        .await
    }

    async fn by_websocket(ws: &mut Ws) -> Self {
        Self::take(async |cursor: Option<&str>| {
            let mut command =
                json!({"action": "history", "channel": "a", "order": "desc", "limit": 20});
            if let Some(cursor) = cursor {
                command["cursor"] = cursor.into();
            }
            ws.ask(command).await
        })
        .await
    }
}

/// Reads on to an offset. Returns how many messages came, and how many were told to be missing; `Reader` sees to it that
/// none comes twice or is left out without a word.
async fn read_to(reader: &mut Reader, last: u64) -> (u64, u64) {
    let (mut came, mut missing) = (0, 0);
    while reader.positions[0].1 < last {
        match reader.next().await {
            Told::Message { .. } => came += 1,
            Told::Gap { lost, .. } => missing += lost.expect("a count"),
        }
    }
    (came, missing)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_and_what_follows_are_every_message_once_over_each_transport() {
    let (gateway, publisher) = busy(|_| ()).await;
    let mut readers = Vec::new();
    for via in Via::ALL {
        let snapshot = Snapshot::by_http(&gateway).await;
        assert_eq!(snapshot.offsets[0], 1, "{via:?}: back to the beginning");
        let reader = Reader::attach(gateway.address, via, &["a"], &snapshot.follow).await;
        assert_eq!(
            reader.positions[0].1,
            offset_of(&snapshot.follow),
            "{via:?}"
        );
        readers.push((snapshot, reader));
    }
    let last = publisher.stop().await;
    for (snapshot, mut reader) in readers {
        let (came, missing) = read_to(&mut reader, last).await;
        let all = snapshot.offsets.len() as u64 + came;
        assert_eq!((all, missing), (last, 0), "{:?}", reader.via);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_follows_may_change_the_transport_as_it_likes() {
    let (gateway, publisher) = busy(|_| ()).await;
    let snapshot = Snapshot::by_http(&gateway).await;
    let mut reader = Reader::attach(gateway.address, Via::Poll, &["a"], &snapshot.follow).await;
    let mut came = 0;
    for via in Via::ALL.into_iter().chain(Via::TRANSPORTS) {
        reader.switch(via).await;
        came += reader.take(5).await.len() as u64;
    }
    let last = publisher.stop().await;
    came += read_to(&mut reader, last).await.0;
    assert_eq!(snapshot.offsets.len() as u64 + came, last);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_websocket_takes_the_snapshot_and_follows() {
    let (gateway, publisher) = busy(|_| ()).await;
    let (mut ws, _) = Ws::welcomed(gateway.address, "/v1/ws").await;
    let snapshot = Snapshot::by_websocket(&mut ws).await;
    let command = json!({"action": "subscribe", "channel": "a", "cursor": snapshot.follow});
    let subscribed = ws.ask(command).await;
    assert_eq!(
        subscribed["offset"],
        offset_of(&snapshot.follow),
        "{subscribed}"
    );
    let last = publisher.stop().await;
    let mut at = offset_of(&snapshot.follow);
    while at < last {
        let message = ws.json().await;
        assert_eq!(message["offset"], at + 1, "{message}");
        at += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_dropped_meanwhile_is_the_oldest_or_is_told() {
    let by_count = |config: &mut Config| config.history.count_max = 150;
    let by_bytes = |config: &mut Config| {
        config.limits.message_bytes_max = 1000;
        config.history.bytes_max = 40_000;
    };
    let by_age = |config: &mut Config| {
        config.history.age_s_max = serde_json::from_value::<Seconds>(json!(0.2)).expect("seconds")
    };
    for change in [&by_count as &dyn Fn(&mut Config), &by_bytes, &by_age] {
        let (gateway, publisher) = busy(change).await;
        let mut followers = Vec::new();
        for via in Via::TRANSPORTS {
            let snapshot = Snapshot::by_http(&gateway).await;
            let reader = Reader::attach(gateway.address, via, &["a"], &snapshot.follow).await;
            followers.push((offset_of(&snapshot.follow), reader));
        }
        let last = publisher.stop().await;
        for (follow, mut reader) in followers {
            reader_ends_at(&mut reader, follow, last).await;
        }
    }
}

/// All after the snapshot came, or was told to be missing.
async fn reader_ends_at(reader: &mut Reader, follow: u64, last: u64) {
    // The first page of a poll may tell of a gap already.
    reader.positions[0].1 = follow;
    let (came, missing) = read_to(reader, last).await;
    assert_eq!(follow + came + missing, last, "{:?}", reader.via);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_forwards_end_where_what_follows_begins() {
    let (gateway, publisher) = busy(|_| ()).await;
    let mut query = "limit=50".to_owned();
    let mut seen = Vec::new();
    let last_page = loop {
        let page = page(&gateway, &query).await;
        seen.extend(offsets(&page));
        assert_eq!(page["follow"], page["cursor"], "forwards they are the same");
        if page.get("more").is_none() {
            break page;
        }
        query = format!("limit=50&cursor={}", text(&page, "cursor"));
    };
    let mut reader = Reader::attach(
        gateway.address,
        Via::Sse,
        &["a"],
        text(&last_page, "follow"),
    )
    .await;
    let last = publisher.stop().await;
    let (came, missing) = read_to(&mut reader, last).await;
    assert!(seen.iter().copied().eq(1..=seen.len() as u64), "{seen:?}");
    assert_eq!((seen.len() as u64 + came, missing), (last, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_page_goes_on_right_behind_its_newest_message() {
    let gateway = Gateway::start().await;
    gateway.publish_all("a", 1..=10).await;
    let mut query = "order=desc&limit=3".to_owned();
    for newest_offset in [10, 7, 4, 1] {
        let shown = page(&gateway, &query).await;
        assert_eq!(newest(&shown), Some(newest_offset));
        assert_eq!(offset_of(text(&shown, "follow")), newest_offset, "{shown}");
        query = format!("order=desc&limit=3&cursor={}", text(&shown, "cursor"));
    }
    // Nothing is there yet, or nothing any more: what comes next follows.
    let empty = page(&gateway, &query).await;
    assert_eq!(
        (newest(&empty), offset_of(text(&empty, "follow"))),
        (None, 0)
    );
    let vacant = gateway.get("/v1/history?channel=b&order=desc").await.json();
    gateway.publish("b", &json!("first")).await;
    let follow = text(&vacant, "follow");
    let live = gateway.poll(&format!("channel=b&cursor={follow}")).await;
    assert_eq!((offsets(&live), live.get("gap")), (vec![1], None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_between_the_snapshot_and_what_follows_is_told() {
    let gateway =
        Gateway::with(|config| config.server.admin_listen = vec!["127.0.0.1:0".to_owned()]).await;
    gateway.publish_all("a", 1..=5).await;
    let shown = page(&gateway, "order=desc&limit=2").await;
    gateway.publish_all("a", 6..=7).await;
    assert_eq!(
        gateway
            .admin("DELETE", "/v1/history?channel=a")
            .await
            .status,
        200
    );
    gateway.publish("a", &json!(8)).await;
    let older = page(
        &gateway,
        &format!("order=desc&cursor={}", text(&shown, "cursor")),
    )
    .await;
    assert_eq!(
        (offsets(&older), older.get("more")),
        (vec![], None),
        "the beginning is here now"
    );
    for via in Via::TRANSPORTS {
        let mut reader = Reader::attach(gateway.address, via, &["a"], text(&shown, "follow")).await;
        reader_ends_at(&mut reader, 5, 8).await;
    }
}
