//! Event streams as HTTP/1.1 frames them, and what comes after them on their connection.

use std::ops::RangeInclusive;
use std::time::Duration;

use everyway::config::Seconds;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::interval;

use super::leaving::until_attached;
use super::support::polls::Kept;
use super::support::{Gateway, within};

const STREAM: &str = "/v1/sse?channel=a&session=abcdefghijklmnopqrstuv";

/// The next chunk; nothing after the last one.
async fn chunk(kept: &mut Kept) -> Option<String> {
    let mut line = String::new();
    while !line.ends_with("\r\n") {
        let byte = within("the size of a chunk", kept.stream.read_u8()).await;
        line.push(byte.expect("the stream goes on").into());
    }
    let bytes = usize::from_str_radix(line.trim_end(), 16).expect("a size");
    let mut data = vec![0; bytes + 2];
    let read = within("a chunk", kept.stream.read_exact(&mut data)).await;
    read.expect("a whole chunk");
    let data = String::from_utf8(data).expect("text");
    let data = data.strip_suffix("\r\n").expect("the end of a chunk");
    (bytes > 0).then(|| data.to_owned())
}

/// What is left of a stream.
async fn rest(kept: &mut Kept) -> String {
    let mut events = String::new();
    while let Some(chunk) = chunk(kept).await {
        events.push_str(&chunk);
    }
    events
}

/// A stream that was welcomed.
async fn open(gateway: &Gateway, lines: &str) -> Kept {
    let mut kept = Kept::narrow(gateway.address).await;
    kept.lines = lines.to_owned();
    kept.ask(STREAM).await;
    hear_welcome(&mut kept).await;
    kept
}

async fn hear_welcome(kept: &mut Kept) {
    let head = kept.answer().await;
    assert_eq!(
        (head.status, head.headers["transfer-encoding"].as_str()),
        (200, "chunked")
    );
    let welcome = chunk(kept).await.expect("a welcome");
    assert!(welcome.contains("event: welcome\n"), "{welcome}");
}

/// Hears these messages. Several may come in one chunk.
async fn hear(kept: &mut Kept, messages: RangeInclusive<u32>) {
    let mut events = String::new();
    for n in messages {
        while !events.contains(&format!("\"data\":{n}}}")) {
            events += &chunk(kept).await.expect("a message");
        }
    }
}

/// Ends the stream: its session moves away.
async fn supersede(gateway: &Gateway) {
    let poll = STREAM.replace("/v1/sse", "/v1/poll");
    assert_eq!(gateway.get(&poll).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_takes_streams_and_requests_in_turns() {
    let gateway = Gateway::start().await;
    let mut kept = open(&gateway, "").await;
    for n in 0..3 {
        gateway.publish("a", &json!(n)).await;
        let message = chunk(&mut kept).await.expect("a message");
        assert!(message.contains(&format!("\"data\":{n}}}")), "{message}");
        supersede(&gateway).await;
        assert!(rest(&mut kept).await.contains("superseded"));
        until_attached(&gateway, "sse", 0.0).await;
        assert_eq!(kept.get("/healthz").await.body, "ok\n");
        let cursor = kept.settle("channel=b").await;
        assert!(!cursor.is_empty());
        kept.ask(STREAM).await;
        hear_welcome(&mut kept).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_asks_meanwhile_is_answered_after_the_stream() {
    let gateway = Gateway::start().await;
    // More than is read before the end of the stream.
    for requests in [1, 400] {
        let mut kept = open(&gateway, "").await;
        gateway.publish("a", &json!(1)).await;
        kept.send(&kept.head("/healthz").repeat(requests)).await;
        gateway.publish("a", &json!(2)).await;
        hear(&mut kept, 1..=2).await;
        supersede(&gateway).await;
        assert!(rest(&mut kept).await.contains("superseded"));
        for _ in 0..requests {
            assert_eq!(kept.answer().await.body, "ok\n");
        }
        assert_eq!(kept.get("/healthz").await.body, "ok\n");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_in_one_piece_with_that_of_a_stream_is_answered_after_it() {
    let gateway = Gateway::start().await;
    let mut kept = Kept::open(gateway.address).await;
    kept.send(&(kept.head(STREAM) + &kept.head("/healthz")))
        .await;
    hear_welcome(&mut kept).await;
    gateway.publish("a", &json!(1)).await;
    assert!(
        chunk(&mut kept)
            .await
            .expect("a message")
            .contains("\"data\":1}")
    );
    supersede(&gateway).await;
    assert!(rest(&mut kept).await.contains("superseded"));
    assert_eq!(kept.answer().await.body, "ok\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_for_it_is_closed_after_the_stream_and_who_does_not_is_kept() {
    let gateway = Gateway::start().await;
    for (lines, is_kept) in [
        ("", true),
        ("Connection: Keep-Alive\r\n", true),
        ("Connection: close\r\n", false),
        ("Connection: keep-alive, close\r\n", false),
        ("Connection: keep-alive\r\nConnection: close\r\n", false),
    ] {
        let mut kept = open(&gateway, lines).await;
        supersede(&gateway).await;
        assert!(rest(&mut kept).await.contains("superseded"));
        if is_kept {
            assert_eq!(kept.get("/healthz").await.body, "ok\n", "{lines}");
        } else {
            assert!(kept.is_over().await, "{lines}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_narrow_reader_gets_every_byte_in_order() {
    let gateway = roomy().await;
    let mut kept = open(&gateway, "").await;
    // More than any socket holds, of small ones and large ones.
    let texts: Vec<String> = (0..250_u8)
        .map(|n| {
            let letter = char::from(b'a' + n % 26).to_string();
            letter.repeat(usize::from(n) * 7919 % 65_000)
        })
        .collect();
    for text in &texts {
        gateway.publish("a", &json!(text)).await;
    }
    let (mut events, mut begun) = (String::new(), 0);
    while begun < texts.len() || !events.ends_with("\n\n") {
        let chunk = chunk(&mut kept).await.expect("a message");
        begun += chunk.matches("data: ").count();
        events.push_str(&chunk);
    }
    let datas = events
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    let got: Vec<Value> = datas
        .map(|data| serde_json::from_str::<Value>(data).expect("JSON")["data"].clone())
        .collect();
    assert!(got == texts, "they differ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn going_down_ends_a_stream_and_closes_its_connection() {
    let mut gateway = Gateway::with(|config| config.drain.spread_s = Seconds::new(0)).await;
    let mut kept = open(&gateway, "").await;
    // It comes too late to be answered.
    kept.send(&kept.head("/healthz")).await;
    gateway.begin_drain();
    assert!(rest(&mut kept).await.contains("shutdown"));
    assert!(kept.is_over().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_has_no_time_to_keep_and_the_next_request_has() {
    let gateway = Gateway::with(|config| {
        config.timeouts.idle_s = serde_json::from_value(json!(0.3)).expect("seconds");
        config.timeouts.head_s = serde_json::from_value(json!(0.3)).expect("seconds");
        config.timeouts.heartbeat_s = Seconds::new(1);
        config.timeouts.pong_s = Seconds::new(1);
    })
    .await;
    let mut kept = open(&gateway, "").await;
    for _ in 0..2 {
        let ping = chunk(&mut kept).await.expect("a ping");
        assert!(ping.contains("event: ping\n"), "{ping}");
    }
    // From before the gateway begins to count, so that a slow client does not see less.
    let begin = tokio::time::Instant::now();
    supersede(&gateway).await;
    assert!(rest(&mut kept).await.contains("superseded"));
    assert!(kept.is_over().await);
    assert!(begin.elapsed() >= Duration::from_millis(300));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_is_noticed_however_it_leaves() {
    let gateway = Gateway::start().await;
    for (resets, requests) in [(false, 0), (true, 0), (false, 1), (true, 1)] {
        let mut kept = open(&gateway, "").await;
        until_attached(&gateway, "sse", 1.0).await;
        kept.send(&kept.head("/healthz").repeat(requests)).await;
        if resets {
            let socket = socket2::SockRef::from(&kept.stream);
            socket.set_linger(Some(Duration::ZERO)).expect("an option");
        } else {
            kept.stream.shutdown().await.expect("an end");
        }
        drop(kept);
        until_attached(&gateway, "sse", 0.0).await;
    }
}

/// More than any socket holds.
async fn fill(gateway: &Gateway) {
    let text = json!("x".repeat(60_000));
    for _ in 0..250 {
        gateway.publish("a", &text).await;
    }
}

async fn roomy() -> Gateway {
    Gateway::with(|config| config.history.bytes_max = 16 << 20).await
}

/// Reads a stream to its end, which must be this one, behind whole events.
async fn ends_as(kept: &mut Kept, code: &str) {
    let events = rest(kept).await;
    let last = events.trim_end().rsplit("\n\n").next().expect("an event");
    assert!(
        last.contains("event: disconnect\n") && last.contains(code),
        "{last}"
    );
    let datas = events
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    for data in datas {
        serde_json::from_str::<Value>(data).expect("whole events");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_ends_before_its_client_caught_up_is_attached_no_more() {
    let gateway = roomy().await;
    fill(&gateway).await;
    let mut kept = Kept::narrow(gateway.address).await;
    // HTTP still has it when it ends: there was always more to send.
    kept.ask(&format!("{STREAM}&cursor=earliest")).await;
    until_attached(&gateway, "sse", 1.0).await;
    supersede(&gateway).await;
    hear_welcome(&mut kept).await;
    ends_as(&mut kept, "superseded").await;
    // The connection is kept, and nothing is asked over it.
    until_attached(&gateway, "sse", 0.0).await;
    assert_eq!(kept.get("/healthz").await.body, "ok\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_nothing_is_attached_no_more_once_its_stream_ends() {
    let ended = "everyway_endings_total{transport=\"sse\",code=\"superseded\"}";
    for lines in ["", "Connection: close\r\n"] {
        let gateway = roomy().await;
        let mut kept = open(&gateway, lines).await;
        fill(&gateway).await;
        supersede(&gateway).await;
        until_attached(&gateway, "sse", 0.0).await;
        assert_eq!(gateway.metric(ended).await, 1.0, "{lines}");
        ends_as(&mut kept, "superseded").await;
        match lines {
            "" => assert_eq!(kept.get("/healthz").await.body, "ok\n"),
            _ => assert!(kept.is_over().await),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_stream_arrives_though_more_was_asked_than_is_read() {
    let gateway = Gateway::with(|config| config.drain.spread_s = Seconds::new(0)).await;
    let mut kept = open(&gateway, "").await;
    // More than the client has room for, and less than the system has.
    for _ in 0..20 {
        gateway.publish("a", &json!("x".repeat(2000))).await;
    }
    kept.send(&kept.head("/healthz").repeat(400)).await;
    // A reset would take along what was not read yet.
    gateway.down().await;
    ends_as(&mut kept, "shutdown").await;
    assert!(kept.is_over().await);
}

/// Takes a little at a time for four seconds.
async fn sip(gateway: &Gateway, target: &str, lines: &str) -> Kept {
    let mut kept = Kept::narrow(gateway.address).await;
    kept.lines = lines.to_owned();
    kept.ask(&format!("{target}?channel=a&cursor=earliest"))
        .await;
    let mut pace = interval(Duration::from_millis(100));
    let mut sip = [0; 16 * 1024];
    for _ in 0..40 {
        pace.tick().await;
        let read = within("a sip", kept.stream.read_exact(&mut sip)).await;
        read.expect("it goes on");
    }
    kept
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_little_is_not_taken_for_one_who_takes_nothing() {
    let gateway = Gateway::with(|config| {
        config.history.bytes_max = 16 << 20;
        config.timeouts.stall_s = Seconds::new(2);
        // A ping is behind more than is taken in time.
        config.timeouts.heartbeat_s = serde_json::from_value(json!(0.5)).expect("seconds");
        config.timeouts.pong_s = serde_json::from_value(json!(0.1)).expect("seconds");
    })
    .await;
    fill(&gateway).await;
    let upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let _readers = tokio::join!(
        sip(&gateway, "/v1/sse", ""),
        sip(&gateway, "/v1/ws", upgrade)
    );
    for transport in ["sse", "websocket"] {
        let attached = format!("everyway_attachments{{transport=\"{transport}\"}}");
        assert_eq!(gateway.metric(&attached).await, 1.0, "{transport}");
    }
}
