//! Attachments of one session that come at the same moment: one of them is served.

use std::net::SocketAddr;

use futures_util::future::{Either, select};
use serde_json::{Value, json};

use super::super::support::sse::Stream;
use super::super::support::ws::Ws;
use super::super::support::{Gateway, Via, http, seed, until, within};
use super::SESSION;

/// How an attachment went.
#[derive(Debug, PartialEq)]
enum Went {
    Served(Value),
    Superseded,
}

/// Attaches, and waits for a message or for the end. Who is superseded before its welcome is not welcomed at all.
async fn attach(address: SocketAddr, via: Via, target: String) -> Went {
    match via {
        Via::WebSocket => {
            let mut ws = Ws::open(address, &target).await;
            loop {
                match ws.next_json().await {
                    Ok(object) if object["type"] == "message" => {
                        return Went::Served(object["data"].clone());
                    }
                    Ok(_) => {}
                    Err(close) => {
                        assert_eq!(close, (4009, "superseded".to_owned()));
                        return Went::Superseded;
                    }
                }
            }
        }
        Via::Sse => {
            let mut stream = Stream::open(address, &target, &[]).await;
            if stream.status == 409 {
                return Went::Superseded;
            }
            while let Some(event) = stream.next().await {
                let object: Value = serde_json::from_str(&event.data).expect("data is JSON");
                match event.name.as_str() {
                    "message" => return Went::Served(object["data"].clone()),
                    "disconnect" => assert_eq!(object["code"], "superseded"),
                    _ => {}
                }
            }
            Went::Superseded
        }
        _ => {
            let answer = http::request(address, "GET", &target, &[], b"").await;
            if answer.status == 409 {
                assert_eq!(answer.code(), "superseded");
                return Went::Superseded;
            }
            Went::Served(answer.json()["messages"][0]["data"].clone())
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_that_attach_at_the_same_moment_one_is_served() {
    const WAITING: [Via; 3] = [Via::WebSocket, Via::Sse, Via::LongPoll];
    let gateway = Gateway::start().await;
    let mut random = fastrand::Rng::with_seed(seed());
    for round in 0..150 {
        let channel = format!("a{round}");
        let mut begin = || {
            let via = WAITING[random.usize(..WAITING.len())];
            let target = format!(
                "{}?channel={channel}&cursor=earliest&wait=20{SESSION}",
                via.path()
            );
            (via, tokio::spawn(attach(gateway.address, via, target)))
        };
        let ((one_via, one), (other_via, other)) = (begin(), begin());
        let what = format!("round {round}, {one_via:?} and {other_via:?}");
        let first = within(&format!("{what}: the first to end"), select(one, other)).await;
        let (first, rest) = match first {
            Either::Left((first, rest)) | Either::Right((first, rest)) => (first, rest),
        };
        assert_eq!(first.expect("no panic"), Went::Superseded, "{what}");
        gateway.publish(&channel, &json!(round)).await;
        let served = within(&format!("{what}: the other one"), rest).await;
        assert_eq!(
            served.expect("no panic"),
            Went::Served(json!(round)),
            "{what}"
        );
    }
    let nobody = || async { gateway.inner.attachments.is_empty() };
    until("everybody to be gone", nobody).await;
}
