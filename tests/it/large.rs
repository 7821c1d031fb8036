//! Messages of 16 MiB, the largest that can be configured: in by every way, out by every transport, one byte past each limit,
//! and what they cost in memory.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use everyway::config::{Config, MESSAGE_BYTES_MAX};
use hyper::body::Bytes;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use yawc::HttpVersion;

use super::support::bare::{Bare, masked};
use super::support::http2::Http2;
use super::support::program::Program;
use super::support::tunnel::{self, Certs};
use super::support::ws::Ws;
use super::support::yawc::Yawc;
use super::support::{Gateway, Reader, Via, http, until, within};

/// Settings with which such messages are let in, and a few of them kept.
fn allow(config: &mut Config) {
    config.limits.message_bytes_max = MESSAGE_BYTES_MAX;
    config.history.bytes_max = 8 * MESSAGE_BYTES_MAX;
}

/// A text that is this long as JSON, and that tells where it was cut.
fn text(json_bytes: usize) -> String {
    let numbers = (0_u32..).flat_map(|n| format!("{n:07} ").into_bytes());
    String::from_utf8(numbers.take(json_bytes - 2).collect()).expect("ASCII")
}

fn json_of(text: &str) -> String {
    format!("\"{text}\"")
}

/// The `data` or `base64` of the newest message of a channel.
async fn newest(gateway: &Gateway, channel: &str) -> String {
    let target = format!("/v1/history?channel={channel}&order=desc&limit=1");
    let page = gateway.get(&target).await.json();
    let message = &page["messages"][0];
    let payload = message.get("data").or_else(|| message.get("base64"));
    payload.and_then(Value::as_str).expect("text").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_arrives_over_every_transport() {
    let gateway = Gateway::with(allow).await;
    let mut readers = Vec::new();
    for via in Via::ALL {
        readers.push(Reader::attach(gateway.address, via, &["a"], "now").await);
    }
    let text = text(MESSAGE_BYTES_MAX);
    let body = json_of(&text);
    assert_eq!(
        gateway.publish_raw("a", body.as_bytes(), &[]).await.status,
        200
    );
    gateway.publish("a", &json!("after it")).await;
    for reader in &mut readers {
        let (_, _, data) = reader.message().await;
        assert!(data == text.as_str(), "{:?}", reader.via);
        assert_eq!(reader.message().await.2, "after it", "{:?}", reader.via);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_arrives_within_tls() {
    let certs = Certs::make();
    let gateway = Gateway::with(|config| {
        allow(config);
        config.server.tls_listen = vec!["127.0.0.1:0".to_owned()];
        config.tls.cert = certs.path("server.pem");
        config.tls.key = certs.path("server.key");
    })
    .await;
    let encrypted = gateway.tls_addresses[0];
    let address = tunnel::before(encrypted, &certs).await;
    let text = text(MESSAGE_BYTES_MAX);
    let body = json_of(&text);
    let published = http::request(
        address,
        "POST",
        "/v1/publish?channel=a",
        &[],
        body.as_bytes(),
    );
    assert_eq!(published.await.status, 200);
    for via in Via::ALL {
        let mut reader = Reader::attach(address, via, &["a"], "earliest").await;
        assert!(reader.message().await.2 == text.as_str(), "{via:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http_the_limit_passes_and_a_byte_more_is_too_large() {
    let gateway = Gateway::with(allow).await;
    let http2 = Http2::connect(gateway.address).await;
    let (fits, past) = (text(MESSAGE_BYTES_MAX + 2), text(MESSAGE_BYTES_MAX + 3));
    for kind in ["text/plain", "application/octet-stream", "application/json"] {
        let is_json = kind == "application/json";
        // JSON counts with its quotes, and without the white space around it.
        let body = |text: &str| match is_json {
            true => format!(" \n{}", json_of(&text[2..])),
            false => text.to_owned(),
        };
        let headers = [("content-type", kind)];
        for (text, status) in [(&fits, 200), (&past, 413)] {
            let body = body(text);
            let answer = gateway.publish_raw("a", body.as_bytes(), &headers).await;
            assert_eq!(answer.status, status, "{kind}: {}", answer.text());
            let answer = http2.publish("a", kind, body.into()).await;
            assert_eq!(
                answer.status,
                status,
                "{kind} over HTTP/2: {}",
                answer.text()
            );
        }
        let newest = newest(&gateway, "a").await;
        let wanted = match kind {
            "application/octet-stream" => STANDARD.encode(&fits),
            "text/plain" => fits.clone(),
            _ => fits[2..].to_owned(),
        };
        assert!(newest == wanted, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_past_its_limit_is_told_so_and_the_connection_of_others_goes_on() {
    let gateway = Gateway::with(allow).await;
    let http2 = Http2::connect(gateway.address).await;
    let past = Bytes::from(vec![b' '; gateway.inner.body_bytes_max() + 1]);
    // The answer comes before the body is sent, and a client that goes on sending may miss it.
    let head = format!(
        "POST /v1/publish?channel=a HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n\r\n",
        gateway.address,
        past.len()
    );
    let answer = http::raw(gateway.address, head.as_bytes()).await;
    assert!(
        answer.starts_with("HTTP/1.1 413") && answer.contains("too_large"),
        "{answer}"
    );
    let answer = http2.publish("a", "text/plain", past).await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "too_large"));
    assert_eq!(http2.get("/healthz").await.status, 200);
}

/// The command that publishes a text, as JSON or as bytes.
fn publish(data: &str, base64: bool) -> Value {
    match base64 {
        true => json!({"action": "publish", "channel": "a", "base64": STANDARD.encode(data)}),
        false => json!({"action": "publish", "channel": "a", "data": data}),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_websocket_the_limit_passes_and_a_byte_more_is_an_error() {
    let gateway = Gateway::with(allow).await;
    let (mut ws, _) = Ws::welcomed(gateway.address, "/v1/ws").await;
    for is_base64 in [false, true] {
        // JSON counts with its quotes.
        let least = MESSAGE_BYTES_MAX + if is_base64 { 2 } else { 0 };
        let (fits, past) = (text(least), text(least + 1));
        let answer = ws.ask(publish(&fits, is_base64)).await;
        assert_eq!(answer["type"], "published", "{answer}");
        let answer = ws.ask(publish(&past, is_base64)).await;
        assert_eq!(answer["code"], "too_large", "{answer}");
        let wanted = if is_base64 {
            STANDARD.encode(&fits)
        } else {
            fits
        };
        assert!(newest(&gateway, "a").await == wanted);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_that_sends_a_frame_past_its_limit_is_closed() {
    let gateway = Gateway::with(allow).await;
    let past = " ".repeat(gateway.inner.body_bytes_max() + 1);
    let (mut ws, _) = Ws::welcomed(gateway.address, "/v1/ws").await;
    ws.send_or_not(past.as_str()).await;
    let (last, code, reason) = ws.end().await;
    assert_eq!(
        (last["code"].as_str(), code, reason.as_str()),
        (Some("too_large"), 1009, "too_large")
    );
    // In fragments each of which would fit.
    let mut ws = Bare::open(gateway.address, "/v1/ws").await;
    ws.frame().await.expect("welcome");
    let half = past.len() / 2;
    ws.send(&masked(0x01, &past.as_bytes()[..half])).await;
    ws.send(&masked(0x80, &past.as_bytes()[half..])).await;
    assert_eq!(ws.close_code().await, Some(1009));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_may_send_it_in_fragments_compressed_or_over_http2() {
    let gateway = Gateway::with(allow).await;
    let text = text(MESSAGE_BYTES_MAX);
    let command = publish(&text, false);
    let mut ws = Bare::open(gateway.address, "/v1/ws").await;
    ws.frame().await.expect("welcome");
    let command_text = command.to_string();
    let last = command_text.len() / 50_000;
    for (i, piece) in command_text.as_bytes().chunks(50_000).enumerate() {
        let opcode = if i == 0 { 1 } else { 0 } | if i == last { 0x80 } else { 0 };
        ws.send(&[masked(opcode, piece), masked(0x89, b"")].concat())
            .await;
    }
    let is_published = |payload: &[u8]| payload.starts_with(br#"{"type":"published""#);
    while !is_published(&ws.frame().await.expect("an answer").payload) {}
    assert!(newest(&gateway, "a").await == text);
    for version in [HttpVersion::Http1, HttpVersion::Http2] {
        let mut ws = Yawc::open(gateway.address, "/v1/ws", version, true).await;
        ws.json().await;
        ws.send(command.clone()).await;
        let answer = ws.json().await;
        assert_eq!(answer["type"], "published", "{version:?}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_over_the_limit_of_compression_go_as_they_are() {
    let gateway = Gateway::with(|config| config.websocket.deflate_bytes_max = 5000).await;
    let target = "/v1/ws?channel=a";
    let mut ws = Bare::offering(gateway.address, target, "permessage-deflate").await;
    ws.frame().await.expect("welcome");
    let around = gateway
        .publish_raw("a", json_of(&text(100)).as_bytes(), &[])
        .await;
    assert_eq!(around.status, 200);
    let around = ws.frame().await.expect("a message").payload.len() - 100;
    for (bytes, first) in [(5000, 0xc1), (5001, 0x81)] {
        let body = json_of(&text(bytes - around));
        gateway.publish_raw("a", body.as_bytes(), &[]).await;
        assert_eq!(ws.frame().await.expect("a message").first, first, "{bytes}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_holds_up_nobody_and_gets_all_of_them() {
    let gateway = Gateway::with(allow).await;
    let mut slow = Bare::open(gateway.address, "/v1/ws?channel=a").await;
    let mut quick = Reader::attach(gateway.address, Via::WebSocket, &["a"], "now").await;
    let text = text(MESSAGE_BYTES_MAX);
    for n in 0..3 {
        let body = json_of(&text.replacen('0', &n.to_string(), 1));
        assert_eq!(
            gateway.publish_raw("a", body.as_bytes(), &[]).await.status,
            200
        );
        quick.message().await;
    }
    slow.frame().await.expect("welcome");
    for n in 0..3 {
        let mut message = Vec::new();
        loop {
            let frame = slow.frame().await.expect("a fragment");
            message.extend_from_slice(&frame.payload);
            if frame.first & 0x80 != 0 {
                break;
            }
        }
        let message: Value = serde_json::from_slice(&message).expect("JSON");
        let data = message["data"].as_str().expect("text");
        assert!(data.len() == text.len() && data.starts_with(&n.to_string()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_go_on_in_the_midst_over_any_transport() {
    let gateway = Gateway::with(allow).await;
    let text = text(MESSAGE_BYTES_MAX / 2);
    for n in 1..=5 {
        let body = json!([n, text]).to_string();
        assert_eq!(
            gateway.publish_raw("a", body.as_bytes(), &[]).await.status,
            200
        );
    }
    let mut reader = Reader::attach(gateway.address, Via::Sse, &["a"], "earliest").await;
    for (n, via) in [
        Via::Sse,
        Via::LongPoll,
        Via::WebSocket,
        Via::Poll,
        Via::SseOverHttp2,
    ]
    .into_iter()
    .enumerate()
    {
        reader.switch(via).await;
        let (_, offset, data) = reader.message().await;
        assert_eq!((offset, &data[0]), (n as u64 + 1, &json!(n + 1)), "{via:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_history_holds_one_and_says_that_there_is_more() {
    let gateway = Gateway::with(allow).await;
    let text = text(MESSAGE_BYTES_MAX);
    for _ in 0..3 {
        gateway
            .publish_raw("a", json_of(&text).as_bytes(), &[])
            .await;
    }
    let (mut ws, _) = Ws::welcomed(gateway.address, "/v1/ws").await;
    for (order, offsets) in [("asc", [1, 2, 3]), ("desc", [3, 2, 1])] {
        let mut cursor = Value::Null;
        for (i, offset) in offsets.into_iter().enumerate() {
            let (target, mut command) = (
                format!("/v1/history?channel=a&order={order}"),
                json!({"action": "history", "channel": "a", "order": order}),
            );
            let target = match cursor.as_str() {
                Some(cursor) => format!("{target}&cursor={cursor}"),
                None => target,
            };
            if !cursor.is_null() {
                command["cursor"] = cursor.take();
            }
            let page = gateway.get(&target).await.json();
            let told = ws.ask(command).await;
            assert!(page["messages"] == told["messages"] && page["cursor"] == told["cursor"]);
            assert_eq!(page["messages"].as_array().map(Vec::len), Some(1));
            assert_eq!(page["messages"][0]["offset"], offset);
            assert_eq!(page.get("more"), (i < 2).then_some(&json!(true)));
            cursor = page["cursor"].clone();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_that_the_history_has_no_room_for_changes_nothing() {
    let gateway = Gateway::with(|config| config.history.bytes_total_max = 64 << 20).await;
    let mut config = Config::clone(&gateway.inner.config());
    allow(&mut config);
    config.history.bytes_total_max = 1 << 30;
    config.limits.channels_max = 7;
    config.check().expect("it would be good at the start");
    let refused = gateway.inner.reload(config.clone());
    let says = refused.expect_err("the total stays").to_string();
    assert!(
        says.contains("history.bytes_total_max must be")
            && says.contains("new start: history.bytes_total_max"),
        "{says}"
    );
    assert_eq!(gateway.inner.config().limits.channels_max, 100);
    config.limits.message_bytes_max = 1 << 20;
    config.history.bytes_max = 8 << 20;
    let fixed = gateway.inner.reload(config).expect("it fits");
    assert_eq!(fixed, ["history.bytes_total_max"]);
    assert_eq!(gateway.inner.config().limits.message_bytes_max, 1 << 20);
}

/// What a hundred readers of one message may cost: it, its frames, how it came in, and what fits in their sockets.
const READERS_BYTES_MAX: u64 = 256 << 20;

/// The real program, that lets the largest messages in.
async fn program() -> (Program, SocketAddr) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_everyway"));
    command.args(["--listen", "127.0.0.1:0"]);
    for setting in [
        "limits.message_bytes_max=16777216",
        "history.bytes_max=33554432",
        "timeouts.stall_s=60",
    ] {
        command.args(["--set", setting]);
    }
    let program = Program::start(command);
    let printed = program.printed_with("listening address=").await;
    let (_, rest) = printed.split_once("listening address=").expect("printed");
    let address = rest.split_whitespace().next().expect("an address");
    (program, address.parse().expect("an address"))
}

/// A reader that takes next to nothing, by one of the ways, with the largest message to come.
async fn idle_reader(address: SocketAddr, n: usize) -> Bare {
    let history = br#"{"action":"history","channel":"a","order":"desc"}"#;
    match n % 4 {
        0 => Bare::open(address, "/v1/ws?channel=a&cursor=earliest").await,
        1 => Bare::hasty(address, "/v1/ws", "", &masked(0x81, history)).await,
        2 => Bare::get(address, "/v1/sse?channel=a&cursor=earliest").await,
        _ => Bare::get(address, "/v1/poll?channel=a&cursor=earliest").await,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_readers_do_not_hold_a_hundred_copies() {
    let (program, address) = program().await;
    let before = program.resident_bytes();
    let body = json_of(&text(MESSAGE_BYTES_MAX));
    let published = http::request(
        address,
        "POST",
        "/v1/publish?channel=a",
        &[],
        body.as_bytes(),
    );
    assert_eq!(published.await.status, 200);
    let mut readers = Vec::new();
    for n in 0..100 {
        readers.push(idle_reader(address, n).await);
    }
    // Each has its first bytes, so each was handed the message.
    for reader in &mut readers {
        within("the first bytes", reader.stream.readable())
            .await
            .expect("an answer");
    }
    let held = program.resident_bytes().saturating_sub(before);
    assert!(held < READERS_BYTES_MAX, "{} MiB more are held", held >> 20);
    for mut reader in readers {
        // Some are gone by now, in the middle of it.
        drop(reader.stream.shutdown().await);
    }
    let falls_back = async || program.resident_bytes().saturating_sub(before) < 96 << 20;
    until("the memory to be given back", falls_back).await;
}
