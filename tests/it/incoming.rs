//! What is on its way in has one room, `limits.incoming_bytes_max`: at it and past it, by every way in, and given back.

use std::net::SocketAddr;

use everyway::config::{Config, Seconds};
use hyper::body::Bytes;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::support::bare::{Bare, masked};
use super::support::frames::{DATA, Frames, frame, post};
use super::support::http2::Http2;
use super::support::ws::Ws;
use super::support::{Gateway, http, until, within};

/// What is not counted.
const FREE_BYTES: usize = 64 * 1024;
/// What each of the slow ones takes of the room, beside that.
const PART_BYTES: usize = 256 * 1024;
/// Four of them fit.
const ROOM_BYTES: usize = 4 * PART_BYTES;
const TARGET: &str = "/v1/publish?channel=a";
const TEXT: (&str, &str) = ("content-type", "text/plain");

fn small_room(config: &mut Config) {
    config.limits.message_bytes_max = 300 * 1024;
    config.limits.incoming_bytes_max = ROOM_BYTES;
    config.http2.stream_window_bytes = 1 << 20;
}

/// A way for something large to come in.
#[derive(Debug, Clone, Copy)]
enum Way {
    Http1,
    Http2,
    WebSocket,
    Compressed,
}

impl Way {
    const ALL: [Self; 4] = [Self::Http1, Self::Http2, Self::WebSocket, Self::Compressed];

    /// Sends so many bytes of something that has more, and no more.
    async fn begin(self, gateway: &Gateway, bytes: usize) -> TcpStream {
        let (address, body) = (gateway.address, vec![b'x'; bytes]);
        match self {
            Self::Http1 => {
                let mut stream = TcpStream::connect(address).await.expect("it listens");
                begin_http1(&mut stream, bytes).await;
                stream
            }
            Self::Http2 => {
                let mut frames = settled(address).await;
                frames.send(&post(1, TARGET)).await;
                for piece in body.chunks(16 * 1024) {
                    frames.send(&frame(DATA, 0, 1, piece)).await;
                }
                frames.stream
            }
            Self::WebSocket => {
                let mut ws = Bare::open(address, "/v1/ws").await;
                ws.send(&masked(0x01, &body)).await;
                ws.stream
            }
            Self::Compressed => {
                let mut ws = Bare::offering(address, "/v1/ws", "permessage-deflate").await;
                ws.send(&masked(0x41, &body)).await;
                ws.stream
            }
        }
    }
}

/// A connection whose windows are as the gateway wants them, because it acknowledged that.
async fn settled(address: SocketAddr) -> Frames {
    let mut frames = Frames::open(address).await;
    assert!(frames.is_alive().await);
    frames
}

/// A request whose body is a byte longer than what is sent of it.
async fn begin_http1(stream: &mut TcpStream, bytes: usize) {
    let length = bytes + 1;
    let head = format!(
        "POST {TARGET} HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n"
    );
    let sending = async {
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&vec![b'x'; bytes]).await
    };
    let sent = within("the gateway to take a body", sending).await;
    sent.expect("the gateway reads");
}

async fn until_held(gateway: &Gateway, bytes: usize) {
    let held = || async { gateway.inner.limits.incoming_bytes() == bytes };
    until(&format!("{bytes} bytes to be held"), held).await;
}

/// The answer to a request of which so much is sent.
async fn answer_http1(stream: &mut TcpStream, bytes: usize) -> String {
    use tokio::io::AsyncReadExt;
    begin_http1(stream, bytes).await;
    let mut answer = Vec::new();
    let read = within("an answer", stream.read_to_end(&mut answer)).await;
    read.expect("the gateway closes");
    String::from_utf8_lossy(&answer).into_owned()
}

fn is_overloaded(answer: &str) -> bool {
    answer.starts_with("HTTP/1.1 503")
        && answer.contains("\"overloaded\"")
        && answer.contains("retry-after: ")
}

/// A byte past the free part is refused by every way, and told so.
async fn nothing_large_passes(gateway: &Gateway) {
    let mut stream = TcpStream::connect(gateway.address)
        .await
        .expect("it listens");
    let answer = answer_http1(&mut stream, FREE_BYTES + 1).await;
    assert!(is_overloaded(&answer), "{answer}");
    let past = "x".repeat(FREE_BYTES + 1);
    let http2 = Http2::connect(gateway.address).await;
    let answer = http2.publish("a", TEXT.1, past.clone().into()).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"));
    assert!(!answer.header("retry-after").is_empty());
    let (mut ws, _) = Ws::welcomed(gateway.address, "/v1/ws").await;
    ws.send(past).await;
    let (last, close, reason) = ws.end().await;
    assert_eq!((close, reason.as_str()), (1013, "overloaded"));
    assert_eq!(
        (&last["code"], &last["reconnect"]),
        (&json!("overloaded"), &json!(true))
    );
    assert!(last["retry_after_ms"].as_u64() >= Some(500), "{last}");
}

/// Messages of so many bytes pass by every way.
async fn passes(gateway: &Gateway, bytes: usize) {
    let text = "x".repeat(bytes);
    let answer = gateway.publish_raw("a", text.as_bytes(), &[TEXT]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let http2 = Http2::connect(gateway.address).await;
    let answer = http2.publish("a", TEXT.1, Bytes::from(text.clone())).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let (mut ws, _) = Ws::welcomed(gateway.address, "/v1/ws").await;
    let publish = json!({"action": "publish", "channel": "a", "data": text});
    assert_eq!(ws.ask(publish).await["type"], "published");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn past_the_limit_everybody_is_told_and_others_pass_when_it_is_given_back() {
    for way in Way::ALL {
        let gateway = Gateway::with(small_room).await;
        let mut slow = Vec::new();
        for part in 1..=4 {
            slow.push(way.begin(&gateway, FREE_BYTES + PART_BYTES).await);
            until_held(&gateway, part * PART_BYTES).await;
        }
        let told = gateway.metric("everyway_incoming_bytes").await;
        assert_eq!(told, ROOM_BYTES as f64, "{way:?}");
        nothing_large_passes(&gateway).await;
        passes(&gateway, 60_000).await;
        drop(slow);
        until_held(&gateway, 0).await;
        passes(&gateway, 300_000).await;
        until_held(&gateway, 0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_small_takes_no_room() {
    let gateway = Gateway::with(small_room).await;
    let mut slow = Vec::new();
    for way in Way::ALL {
        slow.push(way.begin(&gateway, FREE_BYTES).await);
        slow.push(way.begin(&gateway, FREE_BYTES + 1).await);
    }
    // Of each pair the second takes a step.
    until_held(&gateway, 4 * 16 * 1024).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_streams_of_a_connection_have_one_free_part() {
    let gateway = Gateway::with(small_room).await;
    let mut frames = settled(gateway.address).await;
    for stream in 0..10 {
        let stream = 2 * stream + 1;
        frames.send(&post(stream, TARGET)).await;
        for piece in vec![b'x'; FREE_BYTES].chunks(16 * 1024) {
            frames.send(&frame(DATA, 0, stream, piece)).await;
        }
    }
    until_held(&gateway, 9 * FREE_BYTES).await;
    drop(frames);
    until_held(&gateway, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_has_a_quarter_and_others_have_theirs() {
    let gateway = Gateway::with(|config| {
        small_room(config);
        config.limits.incoming_bytes_max = 4 * ROOM_BYTES;
        config.limits.loopback = true;
    })
    .await;
    let mut slow = Vec::new();
    for way in Way::ALL {
        slow.push(way.begin(&gateway, FREE_BYTES + PART_BYTES).await);
    }
    until_held(&gateway, ROOM_BYTES).await;
    let mut stream = TcpStream::connect(gateway.address)
        .await
        .expect("it listens");
    let answer = answer_http1(&mut stream, FREE_BYTES + 1).await;
    assert!(
        is_overloaded(&answer) && answer.contains("your address"),
        "{answer}"
    );
    let mut elsewhere = http::connect_from([127, 0, 0, 2], gateway.address).await;
    begin_http1(&mut elsewhere, FREE_BYTES + PART_BYTES).await;
    until_held(&gateway, ROOM_BYTES + PART_BYTES).await;
    drop(slow);
    until_held(&gateway, PART_BYTES).await;
    passes(&gateway, 300_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_takes_too_long_gives_its_room_back() {
    let gateway = Gateway::with(|config| {
        small_room(config);
        config.timeouts.body_s = Seconds::new(1);
    })
    .await;
    let _slow = [
        Way::Http1.begin(&gateway, FREE_BYTES + PART_BYTES).await,
        Way::Http2.begin(&gateway, FREE_BYTES + PART_BYTES).await,
    ];
    until_held(&gateway, 2 * PART_BYTES).await;
    until_held(&gateway, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_changes_while_it_runs() {
    let gateway = Gateway::with(small_room).await;
    let mut slow = Vec::new();
    for _ in 0..4 {
        slow.push(
            Way::WebSocket
                .begin(&gateway, FREE_BYTES + PART_BYTES)
                .await,
        );
    }
    until_held(&gateway, ROOM_BYTES).await;
    let mut config = Config::clone(&gateway.inner.config());
    config.limits.incoming_bytes_max = 2 * ROOM_BYTES;
    let fixed = gateway.inner.reload(config).expect("it can be used");
    assert!(fixed.is_empty(), "{fixed:?}");
    passes(&gateway, 300_000).await;
}
