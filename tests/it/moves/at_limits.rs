//! A session that moves at a limit: there is one place more for it, in all, until the older attachment is gone.

use everyway::config::Config;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;

use super::super::support::sse::Stream;
use super::super::support::ws::Ws;
use super::super::support::{Gateway, Reader, Via, random_text, until};
use super::{Older, SESSION};

/// What a limit of one attachment does, whichever limit it is.
const LIMITS: [fn(&mut Config); 3] = [
    |config| config.limits.attachments_max = 1,
    |config| config.limits.attachments_per_address_max = 1,
    |config| config.limits.attachments_per_user_max = 1,
];

async fn with_one(limit: fn(&mut Config)) -> Gateway {
    Gateway::with(|config| {
        config.limits.loopback = true;
        config.limits.requests = everyway::config::RateRule::Off;
        config.limits.attach = everyway::config::RateRule::Off;
        config.limits.publish = everyway::config::RateRule::Off;
        limit(config);
    })
    .await
}

async fn is_overloaded(gateway: &Gateway, more: &str) {
    let target = format!("/v1/longpoll?channel=a&wait=1{more}");
    let answer = gateway.get(&target).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_moves_at_a_limit_and_others_do_not_come_in() {
    for limit in LIMITS {
        let gateway = with_one(limit).await;
        let more = format!("&user=bob{SESSION}");
        for (older, newer) in [
            (Via::WebSocket, Via::Sse),
            (Via::Sse, Via::LongPoll),
            (Via::LongPoll, Via::WebSocket),
        ] {
            let older = Older::attach(&gateway, older, &more).await;
            is_overloaded(&gateway, "&user=bob").await;
            is_overloaded(&gateway, "&user=bob&session=another-secret-id").await;
            let newer = Reader::attach_as(gateway.address, newer, &["a"], "now", &more);
            let mut newer = newer.await;
            gateway.publish("a", &json!(1)).await;
            assert_eq!(newer.message().await.2, 1);
            older.ended("the older one at the limit").await;
        }
    }
}

/// A stream over HTTP/1.0 that takes nothing does not hear of its end, and keeps its place until it is cut.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_one_that_does_not_go_counts_and_leaves_no_place_for_a_third() {
    for limit in LIMITS {
        let gateway = with_one(limit).await;
        let more = format!("&user=bob{SESSION}");
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(16 * 1024).expect("a buffer");
        let stuck = socket.connect(gateway.address).await;
        let mut stuck = stuck.expect("the gateway listens");
        let request = format!("GET /v1/sse?channel=a{more} HTTP/1.0\r\nhost: localhost\r\n\r\n");
        let sent = stuck.write_all(request.as_bytes()).await;
        sent.expect("the gateway reads");
        let attached = || async { gateway.inner.attachments.len() == 1 };
        until("the stuck one to be attached", attached).await;
        for _ in 0..200 {
            gateway.publish("a", &json!(random_text(60_000))).await;
        }
        let target = format!("/v1/ws?channel=b{more}");
        let (mut ws, _) = Ws::welcomed(gateway.address, &target).await;
        let target = format!("/v1/sse?channel=b{more}");
        let mut third = Stream::open(gateway.address, &target, &[]).await;
        let event = third.next().await.expect("an event");
        assert!(event.data.contains("overloaded"), "{event:?}");
        assert_eq!(ws.ask(json!({"action": "ping"})).await["type"], "pong");
        drop(stuck);
        until("the stuck one to be gone", attached).await;
        Reader::attach_as(gateway.address, Via::Sse, &["b"], "now", &more).await;
        assert_eq!(ws.end().await.1, 4009);
    }
}
