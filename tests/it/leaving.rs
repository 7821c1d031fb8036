//! Clients that go, and a gateway that goes.

use std::time::Duration;

use everyway::config::Seconds;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use yawc::HttpVersion;

use super::support::frames::{self, Frames};
use super::support::sse::Stream;
use super::support::ws::Ws;
use super::support::yawc::Yawc;
use super::support::{Gateway, Via, until, within};

/// Sends the head of a request and keeps the connection.
async fn begin(gateway: &Gateway, target: &str) -> TcpStream {
    let mut stream = TcpStream::connect(gateway.address)
        .await
        .expect("the gateway listens");
    let request = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .await
        .expect("the gateway reads");
    stream
}

pub async fn until_attached(gateway: &Gateway, transport: &str, count: f64) {
    let metric = format!("everyway_attachments{{transport=\"{transport}\"}}");
    let reached = || async { gateway.metric(&metric).await == count };
    until(&format!("{count} attachments over {transport}"), reached).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_whose_client_left_is_dropped_at_once() {
    let gateway = Gateway::start().await;
    let waiting = begin(&gateway, "/v1/longpoll?channel=a&wait=50").await;
    until_attached(&gateway, "longpoll", 1.0).await;
    drop(waiting);
    until_attached(&gateway, "longpoll", 0.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_with_bytes_behind_it_ends_with_its_wait() {
    let gateway = Gateway::start().await;
    // hyper does not see that a client left while bytes of its next request are unread.
    let mut waiting = begin(&gateway, "/v1/longpoll?channel=a&wait=0.3").await;
    until_attached(&gateway, "longpoll", 1.0).await;
    waiting.write_all(b"GET").await.expect("the gateway reads");
    drop(waiting);
    until_attached(&gateway, "longpoll", 0.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_whose_client_left_is_dropped() {
    let gateway = Gateway::start().await;
    let stream = begin(&gateway, "/v1/sse?channel=a").await;
    until_attached(&gateway, "sse", 1.0).await;
    drop(stream);
    until_attached(&gateway, "sse", 0.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_whose_client_takes_nothing_is_cut_and_memory_stays_bounded() {
    let gateway = Gateway::with(|config| {
        config.timeouts.stall_s = serde_json::from_value(json!(0.3)).expect("seconds");
    })
    .await;
    let _stuck = begin(&gateway, "/v1/sse?channel=a").await;
    until_attached(&gateway, "sse", 1.0).await;
    let big = json!("x".repeat(60_000));
    let cut = async {
        while gateway
            .metric("everyway_attachments{transport=\"sse\"}")
            .await
            > 0.0
        {
            gateway.publish("a", &big).await;
        }
    };
    within("the stuck stream to be cut", cut).await;
    let slow = "everyway_endings_total{transport=\"sse\",code=\"slow\"}";
    assert_eq!(gateway.metric(slow).await, 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_goes_first_and_clients_are_served_until_the_notice_is_over() {
    let mut gateway = Gateway::with(|config| {
        config.drain.notice_s = serde_json::from_value(json!(0.5)).expect("seconds");
    })
    .await;
    assert_eq!(gateway.get("/readyz").await.status, 200);
    gateway.begin_drain();
    let unready = || async { gateway.get("/readyz").await.status == 503 };
    until("readiness to go", unready).await;
    let (mut ws, _) = Ws::welcomed(gateway.address, "/v1/ws?channel=a").await;
    gateway.publish("a", &json!("still served")).await;
    assert_eq!(gateway.get("/healthz").await.status, 200);
    let (_, close, reason) = ws.end().await;
    assert_eq!((close, reason.as_str()), (1012, "shutdown"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn going_down_tells_everybody_in_its_own_way() {
    let mut gateway = Gateway::with(|config| config.drain.spread_s = Seconds::new(3)).await;
    let (mut ws, _) = Ws::welcomed(gateway.address, "/v1/ws?channel=a").await;
    let mut sse = Stream::open(gateway.address, "/v1/sse?channel=a", &[]).await;
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-store, no-transform"),
        ("x-accel-buffering", "no"),
    ] {
        assert_eq!(sse.headers[name], value);
    }
    assert_eq!(sse.next().await.expect("welcome").name, "welcome");
    let address = gateway.address;
    let poll = tokio::spawn(async move {
        super::support::http::request(address, "GET", "/v1/longpoll?channel=a&wait=50", &[], b"")
            .await
    });
    until_attached(&gateway, "longpoll", 1.0).await;
    gateway.begin_drain();

    let (last, close, reason) = ws.end().await;
    assert_eq!((close, reason.as_str()), (1012, "shutdown"));
    let delay = last["retry_after_ms"].as_u64().expect("a delay");
    assert!(
        (500..=3500).contains(&delay) && last["reconnect"] == true,
        "{last}"
    );

    let event = sse.next_but_ping().await.expect("a farewell");
    let farewell: serde_json::Value = serde_json::from_str(&event.data).expect("JSON");
    assert_eq!(
        (event.name.as_str(), event.id, &farewell["code"]),
        ("disconnect", None, &json!("shutdown"))
    );
    assert_eq!(sse.retry_ms, farewell["retry_after_ms"].as_u64());
    assert_eq!(sse.next().await, None, "the stream ends");

    let answer = within("the parked poll to be answered", poll)
        .await
        .expect("an answer");
    assert_eq!(
        (answer.status, &answer.json()["messages"]),
        (200, &json!([]))
    );
    gateway.down().await;
    assert!(
        TcpStream::connect(address).await.is_err(),
        "the port is closed"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_reset_is_dropped_at_once_and_its_connection_stays() {
    let gateway = Gateway::start().await;
    let mut connection = Frames::open(gateway.address).await;
    let targets = [
        ("longpoll", "/v1/longpoll?channel=a&wait=50"),
        ("sse", "/v1/sse?channel=a"),
    ];
    for (stream, (transport, target)) in (1..).step_by(2).zip(targets) {
        connection.send(&frames::get(stream, target)).await;
        until_attached(&gateway, transport, 1.0).await;
        connection.send(&frames::reset(stream)).await;
        until_attached(&gateway, transport, 0.0).await;
    }
    assert!(connection.is_alive().await);
    assert_eq!(gateway.metric("everyway_channels").await, 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_vanishes_takes_all_its_streams_along() {
    let gateway = Gateway::start().await;
    let mut connection = Frames::open(gateway.address).await;
    for stream in (1..100).step_by(2) {
        let target = "/v1/sse?channel=a";
        connection.send(&frames::get(stream, target)).await;
    }
    until_attached(&gateway, "sse", 50.0).await;
    drop(connection);
    until_attached(&gateway, "sse", 0.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn going_down_tells_every_stream_of_a_connection_before_it_closes() {
    let mut gateway = Gateway::start().await;
    let mut connection = Frames::open(gateway.address).await;
    let poll = "/v1/longpoll?channel=a&wait=50";
    connection.send(&frames::get(1, poll)).await;
    connection.send(&frames::get(3, "/v1/sse?channel=a")).await;
    until_attached(&gateway, "longpoll", 1.0).await;
    until_attached(&gateway, "sse", 1.0).await;
    gateway.begin_drain();
    let (mut said, mut ended, mut farewells) = ([String::new(), String::new()], 0, Vec::new());
    while let Some(frame) = connection.next().await {
        match frame.kind {
            frames::DATA => {
                let index = frame.stream as usize / 2;
                said[index] += std::str::from_utf8(&frame.payload).expect("text");
                ended += u8::from(frame.flags & frames::END_STREAM != 0);
            }
            frames::GOAWAY => farewells.push(frame.error()),
            _ => {}
        }
    }
    assert!(said[0].contains("\"messages\":[]"), "{said:?}");
    assert!(said[1].contains("event: disconnect") && said[1].contains("shutdown"));
    assert_eq!(ended, 2, "both streams ended by themselves");
    // A farewell may overtake the ends of the streams that it lets finish (RFC 9113, section 6.8).
    assert!(
        !farewells.is_empty(),
        "the client was told to come elsewhere"
    );
    assert!(
        farewells.iter().all(|error| *error == frames::NO_ERROR),
        "{farewells:?}"
    );
    gateway.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn going_down_closes_websockets_over_http2_with_their_code() {
    let mut gateway = Gateway::start().await;
    let target = "/v1/ws?channel=a";
    let mut ws = Yawc::open(gateway.address, target, HttpVersion::Http2, true).await;
    assert_eq!(ws.json().await["type"], "welcome");
    gateway.begin_drain();
    let (last, close, reason) = ws.end().await;
    assert_eq!((close, reason.as_str()), (1012, "shutdown"));
    assert_eq!(last["code"], "shutdown");
    gateway.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_it_goes_down_newcomers_are_told_and_readiness_says_no() {
    let mut gateway = Gateway::with(|config| config.timeouts.close_s = Seconds::new(10)).await;
    // A client that does not answer the close frame keeps the gateway waiting.
    let mut silent = TcpStream::connect(gateway.address)
        .await
        .expect("the gateway listens");
    let upgrade = "GET /v1/ws HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    silent
        .write_all(upgrade.as_bytes())
        .await
        .expect("the gateway reads");
    until_attached(&gateway, "websocket", 1.0).await;
    gateway.begin_drain();
    let not_ready = || async { gateway.get("/readyz").await.status == 503 };
    until("readiness to say no", not_ready).await;
    assert_eq!(gateway.get("/healthz").await.status, 200);
    let (_, close, reason) = Ws::open(gateway.address, "/v1/ws").await.end().await;
    assert_eq!((close, reason.as_str()), (1012, "shutdown"));
    let mut sse = Stream::open(gateway.address, "/v1/sse?channel=a", &[]).await;
    assert_eq!(
        (
            sse.status,
            sse.next().await.expect("a farewell").name.as_str()
        ),
        (200, "disconnect")
    );
    let poll = gateway.get("/v1/longpoll?channel=a").await;
    assert_eq!((poll.status, poll.code().as_str()), (503, "shutdown"));
    let late = gateway.publish_raw("a", b"1", &[]).await;
    assert_eq!(
        (late.status, late.code().as_str()),
        (503, "shutdown"),
        "it would go down with the gateway"
    );
    drop(silent);
    gateway.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_that_is_not_told_yet_may_neither_publish_nor_subscribe() {
    let gateway = Gateway::start().await;
    let (mut ws, _) = Ws::welcomed(gateway.address, "/v1/ws").await;
    let commands = [
        json!({"action": "publish", "ref": 1, "channel": "a", "data": 1}),
        json!({"action": "subscribe", "ref": 1, "channel": "a"}),
    ];
    // As at the beginning of going down; in a crowd the farewells take their time.
    gateway.inner.close();
    for command in commands {
        let answer = ws.ask(command).await;
        assert_eq!(
            (&answer["type"], &answer["ref"]),
            (&json!("error"), &json!(1))
        );
        assert_eq!(answer["code"], "shutdown");
        assert!(answer["retry_after_ms"].as_u64() >= Some(1), "{answer}");
    }
    assert_eq!(ws.ask(json!({"action": "ping"})).await["type"], "pong");
    assert_eq!(
        gateway.metric("everyway_channels").await,
        0.0,
        "nothing was published"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_deadline_the_rest_is_cut() {
    let gateway = Gateway::with(|config| {
        config.drain.deadline_s = serde_json::from_value(json!(0.2)).expect("seconds");
        config.drain.over_s = config.drain.deadline_s;
    })
    .await;
    let mut slow = TcpStream::connect(gateway.address)
        .await
        .expect("the gateway listens");
    let head =
        "POST /v1/publish?channel=a HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\n1";
    slow.write_all(head.as_bytes())
        .await
        .expect("the gateway reads");
    let busy = || async { gateway.metric("everyway_sockets").await == 2.0 };
    until("the slow publisher to be counted", busy).await;
    gateway.down().await;
    let mut rest = Vec::new();
    drop(within("the connection to be cut", slow.read_to_end(&mut rest)).await);
    assert!(rest.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_under_way_is_answered_before_the_end() {
    let mut gateway = Gateway::start().await;
    let mut slow = TcpStream::connect(gateway.address)
        .await
        .expect("the gateway listens");
    let head =
        "POST /v1/publish?channel=a HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\n1";
    slow.write_all(head.as_bytes())
        .await
        .expect("the gateway reads");
    let busy = || async { gateway.metric("everyway_sockets").await == 2.0 };
    until("the slow publisher to be counted", busy).await;
    gateway.begin_drain();
    let draining = || async { gateway.inner.is_draining() };
    until("the gateway to go down", draining).await;
    slow.write_all(b"2345")
        .await
        .expect("the gateway still reads");
    let mut answer = String::new();
    within(
        "the publisher to be answered",
        slow.read_to_string(&mut answer),
    )
    .await
    .expect("text");
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"offset\":1"),
        "{answer}"
    );
    gateway.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_are_closed_after_their_time() {
    let gateway = Gateway::with(|config| {
        config.timeouts.idle_s = serde_json::from_value(json!(0.2)).expect("seconds");
    })
    .await;
    let mut stream = begin(&gateway, "/healthz").await;
    let mut answer = String::new();
    within(
        "the idle connection to be closed",
        stream.read_to_string(&mut answer),
    )
    .await
    .expect("text");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    for via in [Via::Sse, Via::LongPoll] {
        let _busy = begin(&gateway, &format!("{}?channel=a", via.path())).await;
        let transport = if via == Via::Sse { "sse" } else { "longpoll" };
        until_attached(&gateway, transport, 1.0).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        until_attached(&gateway, transport, 1.0).await;
    }
}
