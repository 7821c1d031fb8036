//! What is particular to WebSocket: commands, frames, heartbeats, the ways it closes.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use yawc::HttpVersion;

use super::support::bare::{Bare, masked};
use super::support::ws::Ws;
use super::support::yawc::Yawc;
use super::support::{Gateway, until, within};

fn is_error(answer: &Value, code: &str) -> bool {
    answer["type"] == "error" && answer["code"] == code && answer["message"].is_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_are_answered_with_their_ref() {
    let gateway = Gateway::start().await;
    let (mut ws, welcome) = Ws::welcomed(gateway.address, "/v1/ws?user=al").await;
    assert_eq!(
        (
            &welcome["user"],
            &welcome["channels"],
            &welcome["heartbeat_s"]
        ),
        (&json!("al"), &json!([]), &json!(25))
    );
    let subscribed = ws
        .ask(json!({"action": "subscribe", "channel": "a", "ref": 7}))
        .await;
    let epoch = subscribed["epoch"].clone();
    assert_eq!(
        subscribed,
        json!({"type": "subscribed", "ref": 7, "channel": "a", "epoch": epoch, "offset": 0})
    );
    ws.send(
        json!({"action": "publish", "channel": "a", "data": {"x": [1, 2]}, "ref": "p"}).to_string(),
    )
    .await;
    let (one, two) = (ws.json().await, ws.json().await);
    let (published, message) = if one["type"] == "published" {
        (one, two)
    } else {
        (two, one)
    };
    assert_eq!(
        published,
        json!({"type": "published", "ref": "p", "channel": "a", "epoch": epoch, "offset": 1})
    );
    assert_eq!(
        (&message["from"], &message["data"]),
        (&json!("al"), &json!({"x": [1, 2]}))
    );
    assert_eq!(
        ws.ask(json!({"action": "ping", "ref": -1})).await,
        json!({"type": "pong", "ref": -1})
    );
    assert_eq!(
        ws.ask(json!({"action": "ping"})).await,
        json!({"type": "pong"})
    );
    let history = ws
        .ask(
            json!({"action": "history", "channel": "a", "ref": "h\"", "limit": 1, "order": "desc"}),
        )
        .await;
    assert_eq!(
        (
            &history["type"],
            &history["ref"],
            &history["messages"][0]["offset"]
        ),
        (&json!("history"), &json!("h\""), &json!(1))
    );
    assert!(history["follow"].is_string());
    let left = ws
        .ask(json!({"action": "unsubscribe", "channel": "a", "ref": "u"}))
        .await;
    assert_eq!(
        left,
        json!({"type": "unsubscribed", "ref": "u", "channel": "a"})
    );
    gateway.publish("a", &json!("unheard")).await;
    assert_eq!(
        ws.ask(json!({"action": "ping"})).await["type"],
        "pong",
        "nothing comes after unsubscribe"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_commands_are_answered_and_the_connection_stays() {
    let gateway = Gateway::start().await;
    let (mut ws, _) = Ws::welcomed(gateway.address, "/v1/ws?channel=a").await;
    for (text, code) in [
        ("hello", "bad_json"),
        ("{\"action\":", "bad_json"),
        ("[]", "bad_request"),
        ("{\"action\":\"fly\"}", "bad_request"),
        (
            "{\"action\":\"subscribe\",\"channel\":\"a\"}",
            "bad_request",
        ),
        (
            "{\"action\":\"unsubscribe\",\"channel\":\"b\"}",
            "bad_request",
        ),
        (
            "{\"action\":\"subscribe\",\"channel\":\"b\",\"cursor\":\"?\"}",
            "bad_cursor",
        ),
        ("{\"action\":\"publish\",\"channel\":\"a\"}", "bad_request"),
        ("{\"action\":\"presence\"}", "bad_request"),
        ("{\"action\":\"refresh\",\"token\":\"x\"}", "bad_request"),
    ] {
        ws.send(text).await;
        let answer = ws.json().await;
        assert!(is_error(&answer, code), "{text}: {answer}");
    }
    ws.send_message(Message::binary(vec![1, 2, 3])).await;
    assert!(
        is_error(&ws.json().await, "bad_request"),
        "a binary frame is a bad command"
    );
    let answer = ws.ask(json!({"action": "fly", "ref": "x"})).await;
    assert_eq!(
        (is_error(&answer, "bad_request"), &answer["ref"]),
        (true, &json!("x"))
    );
    gateway.publish("a", &json!("still here")).await;
    assert_eq!(ws.json().await["data"], "still here");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_starts_at_its_cursor_after_its_answer() {
    let gateway = Gateway::start().await;
    gateway.publish_all("a", 1..=3).await;
    let (mut ws, _) = Ws::welcomed(gateway.address, "/v1/ws").await;
    let subscribed = ws
        .ask(json!({"action": "subscribe", "channel": "a", "cursor": "earliest"}))
        .await;
    assert_eq!(
        (&subscribed["type"], &subscribed["offset"]),
        (&json!("subscribed"), &json!(0))
    );
    for n in 1..=3 {
        assert_eq!(ws.json().await["data"], json!(n));
    }
    let lost = ws
        .ask(json!({"action": "subscribe", "channel": "b", "cursor": "other.9"}))
        .await;
    assert_eq!(
        (&lost["epoch"], &lost["offset"]),
        (&json!("other"), &json!(9)),
        "the position it brought, until told"
    );
    assert_eq!(ws.json().await["reason"], "epoch");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_subscriptions_fit_and_one_more_does_not() {
    let gateway = Gateway::start().await;
    let (mut ws, _) = Ws::welcomed(gateway.address, "/v1/ws?channel=c0").await;
    for n in 1..100 {
        let answer = ws
            .ask(json!({"action": "subscribe", "channel": format!("c{n}")}))
            .await;
        assert_eq!(answer["type"], "subscribed", "{n}");
    }
    let answer = ws
        .ask(json!({"action": "subscribe", "channel": "c100"}))
        .await;
    assert!(is_error(&answer, "limit_reached"), "{answer}");
    ws.ask(json!({"action": "unsubscribe", "channel": "c5"}))
        .await;
    assert_eq!(
        ws.ask(json!({"action": "subscribe", "channel": "c100"}))
            .await["type"],
        "subscribed"
    );
    gateway.publish("c100", &json!("in the place of c5")).await;
    assert_eq!(ws.json().await["data"], "in the place of c5");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publish_that_repeats_its_key_gets_the_first_answer() {
    let gateway = Gateway::start().await;
    let (mut ws, _) = Ws::welcomed(gateway.address, "/v1/ws").await;
    let publish =
        |data: i32| json!({"action": "publish", "channel": "a", "data": data, "key": "k"});
    let first = ws.ask(publish(1)).await;
    assert_eq!(first, ws.ask(publish(1)).await);
    assert!(is_error(&ws.ask(publish(2)).await, "key_conflict"));
    let over_http = gateway
        .publish_raw("a", b"1", &[("idempotency-key", "k")])
        .await;
    assert_eq!(
        over_http.json()["offset"],
        first["offset"],
        "one key, whatever the way in"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishes_of_one_connection_keep_their_order() {
    let gateway = Gateway::start().await;
    let (mut ws, _) = Ws::welcomed(gateway.address, "/v1/ws").await;
    for n in 0..500 {
        ws.send(json!({"action": "publish", "channel": "a", "data": n, "ref": n}).to_string())
            .await;
    }
    for n in 0..500 {
        let answer = ws.json().await;
        assert_eq!(
            (&answer["ref"], &answer["offset"]),
            (&json!(n), &json!(n + 1))
        );
    }
}

/// Sends commands without waiting, each in a DATA frame of its own, and then reads the answers.
async fn commands_in_a_row_over_http2(gateway: &Gateway) {
    let mut ws = Yawc::open(gateway.address, "/v1/ws", HttpVersion::Http2, false).await;
    assert_eq!(ws.json().await["type"], "welcome");
    for n in 0..5000 {
        let publish = json!({"action": "publish", "channel": "a", "data": n, "ref": n});
        ws.send(publish).await;
    }
    for n in 0..5000 {
        let answer = ws.json().await;
        assert_eq!(
            (&answer["ref"], &answer["offset"]),
            (&json!(n), &json!(n + 1))
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_in_a_row_over_http2_are_all_answered() {
    commands_in_a_row_over_http2(&Gateway::start().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_over_its_limit_is_an_error_and_a_frame_over_its_own_ends() {
    let gateway = Gateway::with(|config| config.limits.message_bytes_max = 3000).await;
    let (mut ws, _) = Ws::welcomed(gateway.address, "/v1/ws").await;
    let publish =
        |length: usize| json!({"action": "publish", "channel": "a", "data": "x".repeat(length)});
    assert_eq!(ws.ask(publish(2998)).await["type"], "published");
    assert!(is_error(&ws.ask(publish(2999)).await, "too_large"));
    ws.send(" ".repeat(8097)).await;
    let (last, close, reason) = ws.end().await;
    assert_eq!(
        (close, reason.as_str(), &last["code"]),
        (1009, "too_large", &json!("too_large"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_websocket_is_answered_and_forgotten() {
    let gateway = Gateway::start().await;
    let (ws, _) = Ws::welcomed(gateway.address, "/v1/ws?channel=a").await;
    ws.close().await;
    let gone = || async { gateway.metric("everyway_sockets").await == 1.0 };
    until("only the scraper's own connection to be open", gone).await;
    let ended = gateway
        .metric("everyway_endings_total{transport=\"websocket\",code=\"normal\"}")
        .await;
    assert_eq!(ended, 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_framing_closes_with_its_code() {
    let gateway = Gateway::start().await;
    let cases: [(&str, Vec<u8>, u16); 8] = [
        ("an unmasked frame", vec![0x81, 1, b'x'], 1002),
        ("a reserved bit", masked(0xc1, b"x"), 1002),
        ("an unknown opcode", masked(0x83, b"x"), 1002),
        ("a fragmented ping", masked(0x09, b"x"), 1002),
        (
            "an oversized ping",
            [&[0x89, 0xfe, 0, 126, 1, 2, 3, 4][..], &[0; 126]].concat(),
            1002,
        ),
        ("a continuation of nothing", masked(0x80, b"x"), 1002),
        ("bad UTF-8", masked(0x81, b"\xff"), 1007),
        (
            "bad UTF-8 over two frames",
            [masked(0x01, b"\xc3"), masked(0x80, b"\x28")].concat(),
            1007,
        ),
    ];
    for (case, bytes, code) in cases {
        let mut stream = Bare::open(gateway.address, "/v1/ws?channel=a").await;
        stream.send(&bytes).await;
        assert_eq!(stream.close_code().await, Some(code), "{case}");
    }
    let huge_head = [0x81, 0xff, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 1, 2, 3, 4];
    let mut stream = Bare::open(gateway.address, "/v1/ws").await;
    stream.send(&huge_head).await;
    assert_eq!(
        stream.close_code().await,
        Some(1009),
        "a frame that says it is 2 GiB"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_answer_comes_in_fragments() {
    let gateway = Gateway::start().await;
    gateway.publish("a", &json!("x".repeat(50_000))).await;
    let mut ws = Bare::open(gateway.address, "/v1/ws").await;
    ws.frame().await.expect("welcome");
    ws.send(&masked(0x81, br#"{"action":"history","channel":"a"}"#))
        .await;
    let mut firsts = Vec::new();
    while firsts.last().is_none_or(|first| first & 0x80 == 0) {
        let frame = ws.frame().await.expect("a fragment");
        assert!(frame.payload.len() <= 16 * 1024);
        firsts.push(frame.first);
    }
    assert_eq!(firsts, [0x01, 0, 0, 0x80]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_answers_no_ping_is_let_go() {
    let gateway = Gateway::with(|config| {
        config.timeouts.heartbeat_s = serde_json::from_value(json!(0.1)).expect("seconds");
        config.timeouts.pong_s = serde_json::from_value(json!(0.1)).expect("seconds");
    })
    .await;
    let silent = Bare::open(gateway.address, "/v1/ws?channel=a").await;
    assert_eq!(silent.close_code().await, Some(1001));
    let (mut alive, _) = Ws::welcomed(gateway.address, "/v1/ws").await;
    for _ in 0..5 {
        let ping = alive.message().await.expect("a client that answers stays");
        assert!(ping.is_ping(), "{ping:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_stays_incomplete_ends_its_client_as_slow() {
    let gateway = Gateway::with(|config| {
        config.timeouts.body_s = serde_json::from_value(json!(0.1)).expect("seconds");
        config.timeouts.heartbeat_s = serde_json::from_value(json!(0.5)).expect("seconds");
        config.timeouts.pong_s = config.timeouts.heartbeat_s;
        config.timeouts.close_s = serde_json::from_value(json!(0.2)).expect("seconds");
    })
    .await;
    // A fragment, and a part of a head; the ping between says that its client is there.
    for half in [&masked(0x01, b"{")[..], &[0x81]] {
        let mut ws = Bare::open(gateway.address, "/v1/ws?channel=a").await;
        ws.send(&[&masked(0x89, b""), half].concat()).await;
        assert_eq!(ws.close_code().await, Some(4008));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_takes_nothing_ends_as_slow() {
    let gateway = Gateway::with(|config| {
        // A few messages fill all buffers between us.
        config.limits.message_bytes_max = 1 << 20;
        config.history.bytes_max = 4 << 20;
        config.timeouts.stall_s = serde_json::from_value(json!(0.3)).expect("seconds");
        config.timeouts.close_s = serde_json::from_value(json!(0.2)).expect("seconds");
    })
    .await;
    let stuck = Bare::open(gateway.address, "/v1/ws?channel=a").await;
    let (mut other, _) = Ws::welcomed(gateway.address, "/v1/ws?channel=a").await;
    let big = json!("x".repeat(1_000_000));
    let slow = "everyway_endings_total{transport=\"websocket\",code=\"slow\"}";
    let ended = async {
        loop {
            gateway.publish("a", &big).await;
            assert_eq!(
                other.json().await["type"],
                "message",
                "others do not notice"
            );
            if gateway.get("/metrics").await.text().contains(slow) {
                break;
            }
        }
    };
    within("the stuck client to end", ended).await;
    drop(stuck);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_vanishes_is_forgotten() {
    let gateway = Gateway::start().await;
    let stream = Bare::open(gateway.address, "/v1/ws?channel=a").await;
    drop(stream);
    let gone = || async {
        gateway
            .metric("everyway_attachments{transport=\"websocket\"}")
            .await
            == 0.0
    };
    until("the attachment to go", gone).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ping_is_answered_at_once_though_nothing_else_happens() {
    let gateway = Gateway::start().await;
    let (mut ws, _) = Ws::welcomed(gateway.address, "/v1/ws").await;
    for n in 0..3_u8 {
        ws.send_message(Message::Ping(vec![n].into())).await;
        let pong = ws.message().await.expect("an open WebSocket");
        assert_eq!(pong, Message::Pong(vec![n].into()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pings_are_answered_amid_a_backlog_and_frames_stay_whole() {
    let gateway = Gateway::start().await;
    let (mut ws, _) = Ws::welcomed(gateway.address, "/v1/ws?channel=a").await;
    let mut pongs = 0;
    for n in 0..200_u64 {
        gateway
            .publish("a", &json!({"n": n, "pad": "x".repeat(2000)}))
            .await;
        if n % 10 == 0 {
            ws.send_message(Message::Ping(n.to_be_bytes().to_vec().into()))
                .await;
        }
    }
    let mut next = 0_u64;
    while next < 200 || pongs < 20 {
        match ws.message().await.expect("an open WebSocket") {
            Message::Pong(_) => pongs += 1,
            Message::Text(text) => {
                let message: Value = serde_json::from_str(&text).expect("a whole frame");
                assert_eq!(message["data"]["n"], json!(next));
                next += 1;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn frames_that_come_with_the_request_are_not_lost() {
    let gateway = Gateway::start().await;
    let ping = masked(0x89, b"early");
    // A second one that is cut in the middle: half of it comes later.
    let command = masked(0x81, br#"{"action":"ping","ref":7}"#);
    let (now, later) = command.split_at(9);
    let early = [&ping, now].concat();
    let mut ws = Bare::hasty(gateway.address, "/v1/ws?channel=a", "", &early).await;
    ws.send(later).await;
    let mut heard = Vec::new();
    for _ in 0..3 {
        let frame = ws.frame().await.expect("an answer");
        heard.push(String::from_utf8(frame.payload).expect("text"));
    }
    assert!(heard.contains(&"early".to_owned()), "{heard:?}");
    assert!(heard.iter().any(|text| text.contains("pong")), "{heard:?}");
}
