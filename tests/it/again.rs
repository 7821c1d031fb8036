//! Long polls one after the other on one connection. HTTP answers the first of them, and lets go of the connection then; none
//! of that may be seen.

use std::time::Duration;

use everyway::config::{Config, RateRule, Seconds};
use everyway::transport::Transport;
use serde_json::json;

use super::leaving::until_attached;
use super::support::polls::{Answer, Kept};
use super::support::{Gateway, until};
use super::tokens::{API_KEY, guarded, short, token};

const WAIT: &str = "wait=0.02";

/// What an answer is besides what differs from one to the next.
fn shape(answer: &Answer) -> String {
    let mut headers = answer.headers.clone();
    for differs in ["etag", "x-request-id", "date", "content-length"] {
        assert!(headers.remove(differs).is_some(), "{differs}: {answer:?}");
    }
    format!("{} {headers:?}", answer.status)
}

/// A change of the configuration, and what a poll is told after it.
type Case<'a> = (&'a dyn Fn(&mut Config), &'a str);

fn never_waits(config: &mut Config) {
    config.timeouts.wait_s = Seconds::new(0);
    config.timeouts.wait_s_max = Seconds::new(0);
}

/// A rule that lets one through, for clients at this machine, too.
fn once(config: &mut Config) -> RateRule {
    config.limits.loopback = true;
    "1/600s".parse().expect("a rule")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_on_a_connection_has_the_same_head() {
    let gateway =
        Gateway::with(|config| config.server.origins = vec!["https://a.example".into()]).await;
    for lines in [
        "",
        "Origin: https://a.example\r\nAccept: */*\r\n",
        "X-Request-Id: r-1\r\nConnection: keep-alive\r\n",
        "X-Other: 1\r\n",
    ] {
        let mut kept = Kept::open(gateway.address).await;
        kept.lines = lines.to_owned();
        // Without a wait HTTP answers by itself.
        let by_http = kept.get("/v1/longpoll?channel=a&wait=0").await;
        let mut cursor = by_http.cursor();
        for _ in 0..5 {
            let page = kept
                .get(&format!("/v1/longpoll?channel=a&cursor={cursor}&{WAIT}"))
                .await;
            assert_eq!(shape(&page), shape(&by_http), "{lines}");
            assert_eq!(page.headers["etag"], format!("\"{}\"", page.cursor()));
            let id = &page.headers["x-request-id"];
            assert_eq!(id == "r-1", lines.contains("r-1"), "{id}");
            assert!(page.headers["date"].ends_with(" GMT"));
            cursor = page.cursor();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_come_in_order_and_once_whatever_is_waited_for() {
    let gateway = Gateway::start().await;
    let mut kept = Kept::open(gateway.address).await;
    let (mut cursor, mut got) = (kept.settle("channel=a&channel=b").await, Vec::new());
    for n in 0..60 {
        let target = format!("/v1/longpoll?channel=a&channel=b&cursor={cursor}&wait=9");
        let channel = if n % 3 == 0 { "b" } else { "a" };
        if n % 2 == 0 {
            // Sometimes the message is there before it is asked for.
            gateway.publish(channel, &n.into()).await;
            kept.ask(&target).await;
        } else {
            kept.ask(&target).await;
            gateway.publish(channel, &n.into()).await;
        }
        let page = kept.answer().await;
        let messages = page.json()["messages"]
            .as_array()
            .expect("messages")
            .clone();
        got.extend(messages.iter().map(|message| message["data"].clone()));
        cursor = page.cursor();
    }
    assert_eq!(got, (0..60).map(|n| json!(n)).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_takes_any_other_request_between_two_polls() {
    let gateway = Gateway::start().await;
    let mut kept = Kept::open(gateway.address).await;
    let cursor = kept.settle("channel=a").await;
    let poll = format!("/v1/longpoll?channel=a&cursor={cursor}&{WAIT}");
    assert_eq!(kept.get("/healthz").await.body, "ok\n");
    assert_eq!(kept.get(&poll).await.cursor(), cursor);
    assert_eq!(
        kept.get("/v1/longpoll?channel=a&cursor=%21").await.code(),
        "bad_cursor"
    );
    assert_eq!(kept.get(&poll).await.cursor(), cursor);
    // A bad cursor in a head that is like the one before otherwise.
    assert_eq!(
        kept.get(&poll.replace(&cursor, "no-cursor")).await.code(),
        "bad_cursor"
    );
    kept.send(
        "POST /v1/publish?channel=a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n7",
    )
    .await;
    assert_eq!(kept.answer().await.status, 200);
    assert_eq!(kept.get(&poll).await.json()["messages"][0]["data"], 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_looks_like_a_poll_is_a_body() {
    let gateway = Gateway::start().await;
    let mut kept = Kept::open(gateway.address).await;
    let cursor = kept.settle("channel=a").await;
    let poll = kept.head(&format!("/v1/longpoll?channel=a&cursor={cursor}&{WAIT}"));
    let length = format!(
        "Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
        poll.len()
    );
    // The head and its body come one after the other, as a proxy may send them.
    for head in [
        "POST /v1/publish?channel=b",
        "GET /v1/longpoll?channel=c&wait=0.1",
    ] {
        kept.send(&format!("{head} HTTP/1.1\r\nHost: localhost\r\n{length}"))
            .await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        kept.send(&poll).await;
        let answer = kept.answer().await;
        assert_eq!(answer.status, 200);
        // What comes next is the answer to what is asked next, if the connection is kept.
        if answer.headers.contains_key("connection") {
            assert!(kept.is_over().await);
        } else {
            assert_eq!(kept.get("/healthz").await.body, "ok\n");
        }
    }
    let published = gateway.poll("channel=b&cursor=earliest").await;
    assert_eq!(published["messages"][0]["data"], poll);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_may_come_in_pieces_and_two_may_come_at_once() {
    let gateway = Gateway::start().await;
    let mut kept = Kept::open(gateway.address).await;
    let cursor = kept.settle("channel=a").await;
    let head = kept.head(&format!("/v1/longpoll?channel=a&cursor={cursor}&{WAIT}"));
    for at in [1, 20, head.len() - 1] {
        kept.send(&head[..at]).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        kept.send(&head[at..]).await;
        assert_eq!(kept.answer().await.cursor(), cursor, "cut at {at}");
    }
    for bytes in [head.repeat(2), head.replace("\r\n", "\n").repeat(2)] {
        kept.send(&bytes).await;
        for _ in 0..2 {
            assert_eq!(kept.answer().await.cursor(), cursor);
        }
    }
    // The second one comes while the first one waits.
    let named = head.replace("\r\n\r\n", "\r\nX-Request-Id: r-1\r\n\r\n");
    kept.send(&named.replace("0.02", "0.3")).await;
    until_attached(&gateway, "longpoll", 1.0).await;
    kept.send(&kept.head("/healthz")).await;
    let first = kept.answer().await;
    assert_eq!(first.cursor(), cursor);
    assert_eq!(first.headers["x-request-id"], "r-1");
    assert_eq!(kept.answer().await.body, "ok\n");
    assert_eq!(kept.get("/healthz").await.body, "ok\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_of_any_length_is_read() {
    let gateway = Gateway::start().await;
    let mut kept = Kept::open(gateway.address).await;
    let cursor = kept.settle("channel=a").await;
    for bytes in [4000, 4096, 4097, 6000] {
        let poll = kept.head(&format!("/v1/longpoll?channel=a&cursor={cursor}&{WAIT}"));
        let cookie = "x".repeat(bytes - poll.len() - "Cookie: \r\n".len());
        let poll = poll.replace("\r\n\r\n", &format!("\r\nCookie: {cookie}\r\n\r\n"));
        assert_eq!(poll.len(), bytes);
        for _ in 0..4 {
            kept.send(&poll).await;
            assert_eq!(kept.answer().await.cursor(), cursor, "{bytes}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_configured_anew_counts_for_the_next_poll() {
    let gateway = Gateway::start().await;
    let before = Config::clone(&gateway.inner.config());
    let reload = |change: &dyn Fn(&mut Config)| {
        let mut config = before.clone();
        change(&mut config);
        gateway.inner.reload(config).expect("usable");
    };
    let cases: [Case; 4] = [
        (
            &|config| config.limits.requests = once(config),
            "rate_limited",
        ),
        (
            &|config| config.limits.attach = once(config),
            "rate_limited",
        ),
        (&never_waits, "bad_request"),
        (
            &|config| config.server.transports = vec![Transport::Poll],
            "not_found",
        ),
    ];
    for (change, code) in cases {
        reload(&|_| ());
        let mut kept = Kept::open(gateway.address).await;
        let cursor = kept.settle("channel=a").await;
        reload(change);
        let poll = format!("/v1/longpoll?channel=a&cursor={cursor}&{WAIT}");
        let answers = [kept.get(&poll).await, kept.get(&poll).await];
        assert_eq!(answers[1].code(), code, "{answers:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_that_is_refused_is_counted_once() {
    let gateway = Gateway::with(|config| {
        config.limits.loopback = true;
        config.limits.requests = "9/3600s".parse().expect("a rule");
    })
    .await;
    let mut kept = Kept::open(gateway.address).await;
    // Three that are let in, and then a bad one that looks like them, again and again.
    for _ in 0..2 {
        let cursor = kept.settle("channel=a").await;
        let bad = format!("/v1/longpoll?channel=a&cursor=no-{cursor}&{WAIT}");
        assert_eq!(kept.get(&bad).await.code(), "bad_cursor");
    }
    assert_eq!(kept.get("/healthz").await.body, "ok\n", "the ninth");
    let over = kept.get("/healthz").await;
    assert_eq!((over.status, over.code().as_str()), (429, "rate_limited"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_lost_their_rights_is_told_at_the_next_poll() {
    let gateway = guarded(|_| ()).await;
    for (token, code) in [
        (short(json!({})), "token_expired"),
        (token(json!({"sub": "eve"})), "unauthorized"),
    ] {
        let mut kept = Kept::open(gateway.address).await;
        kept.lines = format!("Authorization: Bearer {token}\r\n");
        let cursor = kept.settle("channel=news").await;
        // One that waits when it happens.
        kept.ask(&format!("/v1/longpoll?channel=news&cursor={cursor}&wait=9"))
            .await;
        until("the poll waits", || async {
            gateway.inner.attachments.len() == 1
        })
        .await;
        if code == "unauthorized" {
            let target = "/v1/disconnect?user=eve&revoke=60";
            let authorization = format!("Bearer {API_KEY}");
            let headers = [("authorization", authorization.as_str())];
            let revoked = gateway.request("POST", target, &headers, b"").await;
            assert_eq!(revoked.status, 200, "{}", revoked.text());
            assert_eq!(kept.answer().await.code(), "disconnected");
        } else {
            assert_eq!(kept.answer().await.json()["messages"], json!([]));
        }
        let next = format!("/v1/longpoll?channel=news&cursor={cursor}&{WAIT}");
        let next = kept.get(&next).await;
        assert_eq!((next.status, next.code().as_str()), (401, code));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_in_any_poll_is_dropped_at_once() {
    let gateway = Gateway::start().await;
    let mut kept = Kept::open(gateway.address).await;
    let cursor = kept.settle("channel=a").await;
    for count in 0..2 {
        kept.ask(&format!(
            "/v1/longpoll?channel=a&cursor={cursor}&wait={}",
            50 + count
        ))
        .await;
        until_attached(&gateway, "longpoll", 1.0).await;
        drop(kept);
        until_attached(&gateway, "longpoll", 0.0).await;
        kept = Kept::open(gateway.address).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn going_down_answers_the_poll_that_waits_and_closes() {
    for polls in 0..3 {
        let gateway = Gateway::start().await;
        let mut kept = Kept::open(gateway.address).await;
        let mut cursor = "now".to_owned();
        for _ in 0..polls {
            cursor = kept
                .get(&format!("/v1/longpoll?channel=a&cursor={cursor}&{WAIT}"))
                .await
                .cursor();
        }
        kept.ask(&format!("/v1/longpoll?channel=a&cursor={cursor}&wait=20"))
            .await;
        until_attached(&gateway, "longpoll", 1.0).await;
        let mut idle = Kept::open(gateway.address).await;
        idle.settle("channel=b").await;
        let down = tokio::spawn(gateway.down());
        let page = kept.answer().await;
        assert_eq!(
            (page.status, page.headers["connection"].as_str()),
            (200, "close"),
            "{polls}"
        );
        assert!(kept.is_over().await && idle.is_over().await);
        down.await.expect("it went down");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_asks_for_nothing_more_is_closed_after_its_time() {
    let gateway = Gateway::with(|config| {
        config.timeouts.idle_s = Seconds::new(1);
        config.timeouts.head_s = Seconds::new(1);
    })
    .await;
    let (mut idle, mut dripping) = (
        Kept::open(gateway.address).await,
        Kept::open(gateway.address).await,
    );
    idle.settle("channel=a").await;
    dripping.settle("channel=a").await;
    dripping.send("GET /").await;
    assert!(idle.is_over().await && dripping.is_over().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_may_be_longer_than_what_the_client_takes_at_once() {
    let gateway = Gateway::start().await;
    let mut kept = Kept::open(gateway.address).await;
    for bytes in [15_000, 17_000, 60_000] {
        let cursor = kept.settle("channel=a").await;
        kept.ask(&format!("/v1/longpoll?channel=a&cursor={cursor}&wait=9"))
            .await;
        until_attached(&gateway, "longpoll", 1.0).await;
        gateway.publish("a", &json!("x".repeat(bytes))).await;
        let page = kept.answer().await.json();
        assert_eq!(
            page["messages"].as_array().map(Vec::len),
            Some(1),
            "{bytes}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_that_waits_cuts_nothing_off_the_answer_before_it() {
    let gateway = Gateway::start().await;
    for n in 0..30 {
        gateway.publish("a", &json!(format!("{n:060000}"))).await;
    }
    let mut kept = Kept::narrow(gateway.address).await;
    let (page, poll) = (
        kept.head("/v1/poll?channel=a&cursor=earliest&limit=30"),
        kept.head(&format!("/v1/longpoll?channel=b&{WAIT}")),
    );
    kept.send(&[page, poll].concat()).await;
    // It takes a little at a time, so the end of the page waits for its way out when the poll is looked at.
    let page = kept.answer().await.json();
    let messages = page["messages"].as_array().expect("messages");
    assert!(messages.len() > 10, "{}", messages.len());
    assert_eq!(kept.answer().await.json()["messages"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_began_behind_a_poll_has_its_own_time() {
    let gateway = Gateway::start().await;
    let mut kept = Kept::open(gateway.address).await;
    let poll = kept.head("/v1/longpoll?channel=a&wait=0.05");
    let next = kept.head("/healthz");
    kept.send(&[&poll, &next[..9]].concat()).await;
    assert_eq!(kept.answer().await.status, 200);
    // Longer than the poll had.
    tokio::time::sleep(Duration::from_millis(200)).await;
    kept.send(&next[9..]).await;
    assert_eq!(kept.answer().await.body, "ok\n");
}
