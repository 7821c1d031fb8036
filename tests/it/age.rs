//! Attachments that have been there for long enough end, and come back as if nothing had happened.

use std::sync::Arc;

use everyway::config::{Config, Seconds};
use serde_json::{Value, json};

use super::support::http;
use super::support::http2::Http2;
use super::support::sse::Stream;
use super::support::ws::Ws;
use super::support::{Gateway, Reader, Via, until, within};

async fn aging(age_s_max: u32) -> Gateway {
    Gateway::with(|config| config.attachment.age_s_max = Seconds::new(age_s_max)).await
}

/// Checks a farewell, and that it asks for no long wait.
fn is_told_to_come_back(last: &Value) {
    let told = (&last["code"], &last["reconnect"]);
    assert_eq!(told, (&json!("shutdown"), &json!(true)), "{last}");
    let after_ms = last["retry_after_ms"].as_u64().expect("a delay");
    assert!((500..=1500).contains(&after_ms), "{last}");
    let message = last["message"].as_str().expect("a message");
    assert!(message.contains("attachment.age_s_max"), "{last}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_transport_ends_in_its_own_way() {
    let gateway = aging(1).await;
    let (mut ws, _) = Ws::welcomed(gateway.address, "/v1/ws?channel=a").await;
    let mut sse = Stream::open(gateway.address, "/v1/sse?channel=a", &[]).await;
    let poll = gateway.get("/v1/longpoll?channel=a&wait=50").await;
    let page = (poll.status, poll.json()["messages"].clone());
    assert_eq!(page, (200, json!([])));
    let (last, close, reason) = ws.end().await;
    assert_eq!((close, reason.as_str()), (1012, "shutdown"));
    is_told_to_come_back(&last);
    assert_eq!(sse.next().await.expect("an event").name, "welcome");
    let last = sse.next_but_ping().await.expect("an event");
    assert_eq!(last.name, "disconnect");
    let last: Value = serde_json::from_str(&last.data).expect("JSON");
    is_told_to_come_back(&last);
    assert_eq!(sse.retry_ms, last["retry_after_ms"].as_u64());
    assert_eq!(sse.next().await, None);
}

/// A balancer that works on connections sees only those that close.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http1_the_connection_goes_with_its_attachment() {
    let gateway = aging(1).await;
    for target in ["/v1/sse?channel=a", "/v1/longpoll?channel=a&wait=50"] {
        let request = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        // Read until the gateway closes, which is long before a connection without a request would be.
        let answer = http::raw(gateway.address, request.as_bytes()).await;
        let ends_well = answer.ends_with("0\r\n\r\n") || answer.ends_with("\"messages\":[]}");
        assert!(answer.starts_with("HTTP/1.1 200 ") && ends_well, "{answer}");
    }
    // Over HTTP/2 others share it.
    let http2 = Http2::connect(gateway.address).await;
    let mut stream = Stream::of(http2.open("/v1/sse?channel=a").await);
    while stream.next().await.is_some() {}
    assert_eq!(http2.get("/v1/poll?channel=a").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_comes_back_loses_and_repeats_nothing() {
    const RETURNS: usize = 3;
    let gateway = Arc::new(aging(1).await);
    let readers: Vec<_> = (Via::ALL.into_iter())
        .filter(|via| via.transport() != Via::Poll)
        .map(|via| {
            let address = gateway.address;
            tokio::spawn(async move {
                let mut reader = Reader::attach(address, via, &["a", "b"], "earliest").await;
                reader.comes_back = true;
                let (mut seen, mut last) = ([0; 2], false);
                while !last {
                    let (channel, offset, data) = reader.message().await;
                    let seen = &mut seen[usize::from(channel == "b")];
                    assert_eq!(offset, *seen + 1, "{via:?} in {channel}");
                    *seen = offset;
                    last = data == "last";
                }
                (via, reader.returns)
            })
        })
        .collect();
    let begin = tokio::time::Instant::now();
    // Twice as long as any of them may stay, for each return.
    let over = begin + std::time::Duration::from_secs(3) * RETURNS as u32;
    let mut n = 0;
    while tokio::time::Instant::now() < over {
        n += 1;
        gateway.publish(["a", "b"][n % 2], &json!(n)).await;
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    gateway.publish("a", &json!("last")).await;
    for reader in readers {
        let (via, returns) = within("a reader to see the last", reader)
            .await
            .expect("no panic");
        let is_stream = via.transport() != Via::LongPoll;
        assert!(
            returns >= RETURNS || !is_stream,
            "{via:?} came back {returns} times"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_counts_for_those_who_come_then() {
    let gateway = aging(0).await;
    let (mut before, _) = Ws::welcomed(gateway.address, "/v1/ws?channel=a").await;
    let mut config = Config::clone(&gateway.inner.config());
    config.attachment.age_s_max = Seconds::new(1);
    gateway.inner.reload(config).expect("it can be used");
    let (mut after, _) = Ws::welcomed(gateway.address, "/v1/ws?channel=a").await;
    is_told_to_come_back(&after.end().await.0);
    let attached = "everyway_attachments{transport=\"websocket\"}";
    let one_left = async || gateway.metric(attached).await == 1.0;
    until("one of two to leave", one_left).await;
    let shutdown = "everyway_endings_total{transport=\"websocket\",code=\"shutdown\"}";
    assert_eq!(gateway.metric(shutdown).await, 1.0);
    assert_eq!(before.ask(json!({"action": "ping"})).await["type"], "pong");
}
