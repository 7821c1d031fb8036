//! An older event stream whose client takes nothing, and which does not hear of its end: it is waited for, and not for long.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::super::support::http2::Http2;
use super::super::support::sse::Stream;
use super::super::support::ws::Ws;
use super::super::support::{Gateway, Reader, Via, http, random_text, until};
use super::SESSION;

/// How long it is waited for.
const GONE_WITHIN: Duration = Duration::from_millis(200);
/// Less than a message, so that the stream stands still with the first ones.
const WINDOW_BYTES: u32 = 16 * 1024;

/// A stream that nobody reads, alone at a gateway and stuck.
async fn stuck(gateway: &Gateway) -> Stream {
    let nobody = || async { gateway.inner.attachments.is_empty() };
    until("everybody else to be gone", nobody).await;
    let sent = "everyway_messages_total{transport=\"sse\"}";
    let before = gateway.metric(sent).await;
    let http2 = Http2::with_window(gateway.address, WINDOW_BYTES).await;
    let target = format!("/v1/sse?channel=filled{SESSION}");
    let mut stream = Stream::of(http2.open(&target).await);
    assert_eq!(stream.next().await.expect("an event").name, "welcome");
    // One message is on its way, and one is asked for and cannot be sent.
    for n in 1..=2 {
        gateway.publish("filled", &json!(random_text(60_000))).await;
        let is_taken = || async { gateway.metric(sent).await == before + f64::from(n) };
        until("the stream to take a message", is_taken).await;
    }
    stream
}

/// How long an attachment over a transport takes while the older one is stuck.
async fn attach(gateway: &Gateway, via: Via) -> Duration {
    let stuck = stuck(gateway).await;
    let begin = Instant::now();
    Reader::attach_as(gateway.address, via, &["a"], "now", SESSION).await;
    let took = begin.elapsed();
    drop(stuck);
    took
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_attachment_waits_so_long_for_one_that_does_not_hear_its_end() {
    let gateway = Gateway::start().await;
    for via in Via::TRANSPORTS {
        let took = attach(&gateway, via).await;
        assert!(took >= GONE_WITHIN, "{via:?} after {took:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_subscription_and_a_poll_that_waits_do_the_same() {
    let gateway = Gateway::start().await;
    let older = stuck(&gateway).await;
    let target = format!("/v1/ws?{}", &SESSION[1..]);
    let (mut ws, _) = Ws::welcomed(gateway.address, &target).await;
    let begin = Instant::now();
    let answer = ws.ask(json!({"action": "subscribe", "channel": "a"})).await;
    assert!(answer["type"] == "subscribed" && begin.elapsed() >= GONE_WITHIN);
    drop((older, ws));

    let older = stuck(&gateway).await;
    let begin = Instant::now();
    // It finds nothing, and comes to its end 1 ms after it began to read.
    let target = format!("/v1/longpoll?channel=a&wait=0.001{SESSION}");
    assert_eq!(gateway.get(&target).await.status, 200);
    assert!(begin.elapsed() >= GONE_WITHIN);
    drop(older);
}

/// Both attach while the oldest one is waited for. Tried again if the machine was too slow for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_superseded_before_its_welcome_is_not_welcomed() {
    const TRIES: usize = 20;
    let gateway = Gateway::start().await;
    for via in [Via::WebSocket, Via::Sse] {
        let mut welcomed = true;
        for _ in 0..TRIES {
            let oldest = stuck(&gateway).await;
            let target = format!("{}?channel=a{SESSION}", via.path());
            let address = gateway.address;
            let first = tokio::spawn(async move { is_welcomed(address, via, &target).await });
            until("the first one to be attached", || async {
                gateway.inner.attachments.len() == 2
            })
            .await;
            Reader::attach_as(address, Via::Sse, &["a"], "now", SESSION).await;
            drop(oldest);
            welcomed = first.await.expect("no panic");
            if !welcomed {
                break;
            }
        }
        assert!(!welcomed, "{via:?}, {TRIES} times");
    }
}

async fn is_welcomed(address: std::net::SocketAddr, via: Via, target: &str) -> bool {
    if via == Via::WebSocket {
        let mut ws = Ws::open(address, target).await;
        return ws.json().await["type"] == "welcome";
    }
    let answer = http::open(address, "GET", target, &[], b"").await;
    answer.status() == 200
}
