//! Publishing over HTTP: what becomes of a body, several channels, and keys that make a repeat harmless.

use serde_json::{Value, json};

use super::support::Gateway;

async fn messages(gateway: &Gateway, channel: &str) -> Vec<Value> {
    let page = gateway
        .poll(&format!("channel={channel}&cursor=earliest"))
        .await;
    page["messages"].as_array().expect("messages").clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_is_the_message_s_position() {
    let gateway = Gateway::start().await;
    let first = gateway.publish_raw("news", b"{\"a\": 1}", &[]).await.json();
    let epoch = first["epoch"].as_str().expect("an epoch").to_owned();
    assert_eq!(
        first,
        json!({"channel": "news", "epoch": epoch, "offset": 1})
    );
    assert_eq!(gateway.publish("news", &json!(2)).await, 2);
    let page = gateway.poll("channel=news&cursor=earliest").await;
    assert_eq!(page["cursor"], format!("{epoch}.2"));
    let message = &page["messages"][0];
    assert_eq!(
        (&message["type"], &message["channel"], &message["data"]),
        (&json!("message"), &json!("news"), &json!({"a": 1}))
    );
    assert!(
        message["time"]
            .as_u64()
            .is_some_and(|time| time > 1_700_000_000_000)
    );
    assert!(
        message.get("from").is_none(),
        "an anonymous publisher is not named"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_is_json_text_or_bytes() {
    let gateway = Gateway::start().await;
    let number = b" [1.50, 1e400, \"\\u00e9\" , {\"b\":1,\"a\":2}] ";
    assert_eq!(gateway.publish_raw("a", number, &[]).await.status, 200);
    gateway
        .publish_raw(
            "a",
            "line\nné".as_bytes(),
            &[("content-type", "text/plain; charset=utf-8")],
        )
        .await;
    gateway
        .publish_raw(
            "a",
            b"\x00\xff",
            &[("content-type", "application/octet-stream")],
        )
        .await;
    gateway
        .publish_raw(
            "a",
            b"null",
            &[("content-type", "application/x-www-form-urlencoded")],
        )
        .await;
    let text = gateway
        .get("/v1/poll?channel=a&cursor=earliest")
        .await
        .text();
    assert!(
        text.contains(r#""data":[1.50,1e400,"\u00e9",{"b":1,"a":2}]"#),
        "only white space is removed: {text}"
    );
    assert!(text.contains(r#""data":"line\nné""#), "{text}");
    assert!(text.contains(r#""base64":"AP8=""#), "{text}");
    assert!(text.contains(r#""data":null"#), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chosen_name_is_the_sender() {
    let gateway = Gateway::start().await;
    let response = gateway
        .publish_raw("a&user=al%22ice%20%C3%A9", b"1", &[])
        .await;
    assert_eq!(response.status, 200);
    assert_eq!(messages(&gateway, "a").await[0]["from"], "al\"ice é");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_body_goes_to_several_channels() {
    let gateway = Gateway::start().await;
    gateway.publish("b", &json!(0)).await;
    let answer = gateway.publish_raw("a&channel=b", b"1", &[]).await.json();
    let offsets: Vec<_> = answer
        .as_array()
        .expect("a list")
        .iter()
        .map(|at| (at["channel"].clone(), at["offset"].clone()))
        .collect();
    assert_eq!(offsets, [(json!("a"), json!(1)), (json!("b"), json!(2))]);
    let refused = gateway
        .publish_raw("a&channel=b&channel=bad%20name", b"2", &[])
        .await;
    assert_eq!(refused.code(), "bad_request");
    assert_eq!(
        messages(&gateway, "a").await.len(),
        1,
        "everything is checked before anything is published"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_key_gets_the_first_answer() {
    let gateway = Gateway::start().await;
    let key = [("idempotency-key", "order-7")];
    let first = gateway.publish_raw("a", b"[1, 2]", &key).await;
    let repeat = gateway.publish_raw("a", b"[1,2]", &key).await;
    assert_eq!((first.status, first.json()), (repeat.status, repeat.json()));
    let conflict = gateway.publish_raw("a", b"[1,3]", &key).await;
    assert_eq!(
        (conflict.status, conflict.code().as_str()),
        (409, "key_conflict")
    );
    let other_user = gateway.publish_raw("a&user=bob", b"[1,3]", &key).await;
    assert_eq!(
        other_user.json()["offset"],
        2,
        "a key belongs to its principal"
    );
    let other_channel = gateway.publish_raw("b", b"[1,3]", &key).await;
    assert_eq!(other_channel.json()["offset"], 1, "and to its channel");
    assert_eq!(messages(&gateway, "a").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_repeats_publish_once() {
    let gateway = std::sync::Arc::new(Gateway::start().await);
    let publish = |_| {
        let gateway = std::sync::Arc::clone(&gateway);
        tokio::spawn(async move {
            gateway
                .publish_raw("a", b"1", &[("idempotency-key", "k")])
                .await
                .json()
        })
    };
    let answers: Vec<_> = (0..20).map(publish).collect();
    for answer in answers {
        assert_eq!(answer.await.expect("an answer")["offset"], 1);
    }
    assert_eq!(messages(&gateway, "a").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conflict_in_one_channel_publishes_to_none() {
    let gateway = Gateway::start().await;
    let key = [("idempotency-key", "k")];
    gateway.publish_raw("b", b"1", &key).await;
    let conflict = gateway.publish_raw("a&channel=b", b"2", &key).await;
    assert_eq!(
        (conflict.status, conflict.json()["error"]["channel"].clone()),
        (409, json!("b"))
    );
    assert!(messages(&gateway, "a").await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_1_to_128_visible_characters() {
    let gateway = Gateway::start().await;
    let longest = "k".repeat(128);
    assert_eq!(
        gateway
            .publish_raw("a", b"1", &[("idempotency-key", &longest)])
            .await
            .status,
        200
    );
    for bad in ["", "a b", &"k".repeat(129)] {
        let refused = gateway
            .publish_raw("a", b"1", &[("idempotency-key", bad)])
            .await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (400, "bad_request"),
            "{bad:?}"
        );
    }
    let twice = [("idempotency-key", "a"), ("idempotency-key", "b")];
    assert_eq!(gateway.publish_raw("a", b"1", &twice).await.status, 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_store_that_cannot_make_room_says_what_was_published() {
    let gateway = Gateway::with(|config| config.history.channels_max = 2).await;
    let (mut first, _) =
        super::support::ws::Ws::welcomed(gateway.address, "/v1/ws?channel=a").await;
    let response = gateway.publish_raw("a&channel=b", b"1", &[]).await;
    assert_eq!(response.status, 200);
    assert_eq!(first.json().await["type"], "message");
    let (_second, _) = super::support::ws::Ws::welcomed(gateway.address, "/v1/ws?channel=b").await;
    // Both channels are attended, so neither can be forgotten for a third.
    let refused = gateway.publish_raw("a&channel=c", b"2", &[]).await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (503, "limit_reached")
    );
    assert_eq!(refused.json()["error"]["channel"], "c");
    assert_eq!(refused.json()["published"][0]["offset"], 2);
    assert_eq!(refused.header("retry-after"), "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_limit_of_channels_the_longest_idle_goes() {
    let gateway = Gateway::with(|config| config.history.channels_max = 2).await;
    for channel in ["old", "new", "newest"] {
        gateway.publish(channel, &json!(1)).await;
        // Idleness is measured in milliseconds.
        tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    }
    assert!(messages(&gateway, "old").await.is_empty());
    assert_eq!(messages(&gateway, "new").await.len(), 1);
    assert_eq!(gateway.metric("everyway_channels").await, 2.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_limit_of_bytes_the_longest_idle_lose_all_but_their_newest() {
    let gateway = Gateway::with(|config| {
        config.limits.message_bytes_max = 10_000;
        config.history.bytes_max = 50_000;
        config.history.bytes_total_max = 65_000;
    })
    .await;
    let big = json!("x".repeat(9_000));
    for _ in 0..4 {
        gateway.publish("idle", &big).await;
    }
    for _ in 0..4 {
        gateway.publish("busy", &big).await;
    }
    assert_eq!(
        messages(&gateway, "idle").await.len(),
        1,
        "the newest is kept"
    );
    assert_eq!(messages(&gateway, "busy").await.len(), 4);
    assert!(gateway.metric("everyway_history_bytes").await <= 65_000.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_of_channels_without_messages_take_no_room() {
    let gateway = Gateway::with(|config| config.history.channels_max = 2).await;
    gateway.publish("kept", &json!(1)).await;
    let target = "/v1/ws?channel=c1&channel=c2&channel=c3";
    let (_reader, _) = super::support::ws::Ws::welcomed(gateway.address, target).await;
    assert_eq!(gateway.metric("everyway_channels").await, 1.0);
    gateway.publish("c1", &json!(1)).await;
    assert_eq!(
        messages(&gateway, "kept").await.len(),
        1,
        "there was room for two"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_encoded_body_is_refused() {
    let gateway = Gateway::start().await;
    let gzip = [("content-encoding", "gzip")];
    assert_eq!(
        gateway.publish_raw("a", b"12", &gzip).await.code(),
        "bad_request"
    );
    let identity = [("content-encoding", "identity")];
    assert_eq!(gateway.publish_raw("a", b"12", &identity).await.status, 200);
}
