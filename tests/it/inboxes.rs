//! Direct messages: sent over HTTP and WebSocket, read over every transport, by nobody else; and what they do not tell.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::http::Response;
use super::support::ws::Ws;
use super::support::{Gateway, Reader, Via};
use super::tokens::{API_KEY, get, guarded, post, token};

/// Sends as somebody in open mode.
async fn send(gateway: &Gateway, from: &str, to: &str, body: &str) -> Response {
    let target = format!("/v1/send?to={to}&user={from}");
    gateway.request("POST", &target, &[], body.as_bytes()).await
}

async fn send_with_key(gateway: &Gateway, to: &str, key: &str, body: &str) -> Response {
    let target = format!("/v1/send?to={to}&user=eve");
    let headers = [("idempotency-key", key)];
    gateway
        .request("POST", &target, &headers, body.as_bytes())
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_reaches_its_user_over_every_transport() {
    for via in Via::ALL {
        let gateway = Gateway::start().await;
        let (address, me) = (gateway.address, "&user=b%20b");
        let channels = ["@b=20b", "news"];
        let mut bob = Reader::attach_as(address, via, &channels, "now", me).await;
        let sent = send(&gateway, "eve", "b%20b", r#"{"n": 1}"#).await;
        assert_eq!((sent.status, sent.json()), (200, json!({"to": "b b"})));
        let message = bob.message().await;
        assert_eq!(
            message,
            ("@b=20b".to_owned(), 1, json!({"n": 1})),
            "{via:?}"
        );
        gateway.publish("news", &json!(2)).await;
        assert_eq!(bob.message().await.0, "news", "{via:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_at_sign_is_the_readers_own_inbox_everywhere() {
    let gateway = Gateway::start().await;
    send(&gateway, "eve", "bob", "1").await;
    let page = gateway
        .poll("channel=@&channel=a&user=bob&cursor=earliest")
        .await;
    assert_eq!(page["messages"][0]["from"], "eve", "{page}");
    assert_eq!(page["messages"][0]["channel"], "@bob", "{page}");
    // The cursor is of the channels that are meant, however they are called.
    let cursor = page["cursor"].as_str().expect("a cursor");
    for inbox in ["@", "@bob"] {
        let query = format!("channel={inbox}&channel=a&user=bob&cursor={cursor}");
        assert_eq!(gateway.poll(&query).await["messages"], json!([]), "{inbox}");
    }
    let history = gateway.get("/v1/history?channel=@&user=bob").await.json();
    assert_eq!(history["messages"].as_array().map(Vec::len), Some(1));
    let (mut ws, _) = Ws::welcomed(gateway.address, "/v1/ws?user=bob").await;
    for (action, channel) in [
        ("subscribe", "@"),
        ("unsubscribe", "@"),
        ("subscribe", "@bob"),
    ] {
        let answer = ws.ask(json!({"action": action, "channel": channel})).await;
        assert_eq!(answer["channel"], "@bob", "{action}: {answer}");
    }
    let twice = gateway
        .get("/v1/poll?channel=@&channel=@bob&user=bob")
        .await;
    assert_eq!((twice.status, twice.code().as_str()), (400, "bad_request"));
    let nobody = gateway.get("/v1/poll?channel=@").await;
    assert_eq!(
        (nobody.status, nobody.code().as_str()),
        (400, "bad_request")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_sends_and_an_inbox_has_history_and_resume() {
    let gateway = Gateway::start().await;
    let (mut eve, _) = Ws::welcomed(gateway.address, "/v1/ws?user=eve").await;
    for n in 1..=3 {
        let answer = eve
            .ask(json!({"action": "send", "to": "bob", "data": n, "ref": n}))
            .await;
        assert_eq!(answer, json!({"type": "sent", "ref": n, "to": "bob"}));
    }
    let mut bob = Reader::attach_as(
        gateway.address,
        Via::Sse,
        &["@bob"],
        "earliest",
        "&user=bob",
    )
    .await;
    assert_eq!(bob.take(2).await, [json!(1), json!(2)]);
    bob.switch(Via::LongPoll).await;
    assert_eq!(bob.message().await.2, json!(3));
    let answer = eve
        .ask(json!({"action": "send", "to": "bob", "base64": "AA=="}))
        .await;
    assert_eq!(answer["type"], "sent");
    assert_eq!(bob.message().await.2, json!("AA=="));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeat_is_sent_once_whichever_way_it_comes() {
    let gateway = Gateway::start().await;
    for _ in 0..2 {
        let sent = send_with_key(&gateway, "bob", "k", "1").await;
        assert_eq!((sent.status, sent.json()), (200, json!({"to": "bob"})));
    }
    let (mut eve, _) = Ws::welcomed(gateway.address, "/v1/ws?user=eve").await;
    let repeat = json!({"action": "send", "to": "bob", "data": 1, "key": "k"});
    assert_eq!(eve.ask(repeat).await["type"], "sent");
    let other = json!({"action": "send", "to": "bob", "data": 2, "key": "k"});
    assert_eq!(eve.ask(other).await["code"], "key_conflict");
    assert_eq!(send_with_key(&gateway, "bob", "k", "2").await.status, 409);
    // The same key to somebody else is another message.
    assert_eq!(send_with_key(&gateway, "ann", "k", "2").await.status, 200);
    let page = gateway.poll("channel=@&user=bob&cursor=earliest").await;
    assert_eq!(page["messages"].as_array().map(Vec::len), Some(1));
}

/// What is answered to a sender, for each of some messages.
async fn answers(gateway: &Gateway, to: &str) -> Vec<(u16, String)> {
    let mut answers = Vec::new();
    for (key, body) in [("k", "1"), ("k", "1"), ("k", "2"), ("l", "2"), ("m", "{")] {
        let answer = send_with_key(gateway, to, key, body).await;
        answers.push((answer.status, answer.text().replace(to, "USER")));
    }
    let plain = send(gateway, "eve", to, "3").await;
    answers.push((plain.status, plain.text().replace(to, "USER")));
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_learns_whether_a_user_is_known() {
    let gateway = Gateway::with(|config| config.inbox.unknown_users = false).await;
    let known = "/v1/poll?channel=@&user=known&cursor=now";
    assert_eq!(gateway.get(known).await.status, 200);
    let of_known = answers(&gateway, "known").await;
    assert_eq!(answers(&gateway, "zoe").await, of_known);
    let zoe = gateway.poll("channel=@&user=zoe&cursor=earliest").await;
    assert_eq!(zoe["messages"], json!([]), "what came before was dropped");
    let known = gateway.poll("channel=@&user=known&cursor=earliest").await;
    assert_eq!(known["messages"].as_array().map(Vec::len), Some(3));
    // Who read their inbox is known from then on, whatever they read it over.
    send(&gateway, "eve", "zoe", "4").await;
    let zoe = gateway.poll("channel=@&user=zoe&cursor=earliest").await;
    assert_eq!(zoe["messages"][0]["data"], 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_known_is_forgotten_after_a_while_and_not_before() {
    let gateway = Gateway::with(|config| {
        config.inbox.unknown_users = false;
        config.history.channels_max = 2;
    })
    .await;
    for user in ["ann", "bob"] {
        let page = format!("/v1/poll?channel=@&user={user}");
        assert_eq!(gateway.get(&page).await.status, 200);
    }
    assert_eq!(gateway.inner.bus.totals().0, 2);
    // The longest idle of the channels goes when there is no room.
    let page = "/v1/poll?channel=@&user=eve";
    assert_eq!(gateway.get(page).await.status, 200);
    send(&gateway, "eve", "bob", "1").await;
    let bob = gateway.poll("channel=@&user=bob&cursor=earliest").await;
    assert_eq!(bob["messages"].as_array().map(Vec::len), Some(1), "{bob}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_inbox_is_its_users_and_the_administrators() {
    let gateway = guarded(|_| ()).await;
    let sender = token(json!({"sub": "eve", "send": ["bob"]}));
    let sent = post(&gateway, "/v1/send?to=bob", &sender, "1").await;
    assert_eq!(sent.status, 200, "{}", sent.text());
    for (credential, status) in [
        (token(json!({})), 200),
        (API_KEY.to_owned(), 200),
        (sender, 403),
    ] {
        let page = get(
            &gateway,
            "/v1/poll?channel=@bob&cursor=earliest",
            &credential,
        )
        .await;
        assert_eq!(page.status, status, "{}", page.text());
    }
    let elsewhere = post(
        &gateway,
        "/v1/send?to=ann",
        &token(json!({"send": ["bob"]})),
        "1",
    )
    .await;
    assert_eq!(
        (elsewhere.status, elsewhere.code().as_str()),
        (403, "forbidden")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_sends_under_any_name_that_it_may_use() {
    let gateway = guarded(|auth| auth.api_keys[0].send = vec!["*".to_owned()]).await;
    let sent = post(&gateway, "/v1/send?to=bob&from=billing", API_KEY, "1").await;
    assert_eq!(sent.status, 200, "{}", sent.text());
    let page = get(
        &gateway,
        "/v1/poll?channel=@&cursor=earliest",
        &token(json!({})),
    )
    .await;
    assert_eq!(page.json()["messages"][0]["from"], "billing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_for_ones_inbox_reads_it() {
    let gateway = guarded(|_| ()).await;
    let ticket = post(
        &gateway,
        "/v1/ticket",
        &token(json!({})),
        r#"{"channels":["@"]}"#,
    )
    .await;
    let ticket = ticket.json()["ticket"]
        .as_str()
        .expect("a ticket")
        .to_owned();
    let page = gateway
        .get(&format!("/v1/poll?channel=@&ticket={ticket}"))
        .await;
    assert_eq!(page.status, 200, "{}", page.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sends_count_as_publishes_and_end_with_the_gateway() {
    let gateway =
        Gateway::with(|config| config.limits.publish = "2/60s".parse().expect("a rule")).await;
    let statuses = [
        send(&gateway, "eve", "bob", "1").await.status,
        send(&gateway, "eve", "bob", "2").await.status,
        send(&gateway, "eve", "bob", "3").await.status,
    ];
    assert_eq!(statuses, [200, 200, 429]);
    gateway.inner.close();
    let late = send(&gateway, "ann", "bob", "4").await;
    assert_eq!((late.status, late.code().as_str()), (503, "shutdown"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_inbox_keeps_what_its_own_settings_say() {
    let gateway = Gateway::with(|config| {
        config.inbox.history_count_max = Some(2);
        config.namespaces.insert(
            "room".to_owned(),
            everyway::config::Namespace {
                history_count_max: Some(1),
                ..Default::default()
            },
        );
    })
    .await;
    for n in 1..=4 {
        send(&gateway, "eve", "bob", &n.to_string()).await;
        gateway.publish("room:1", &json!(n)).await;
        gateway.publish("news", &json!(n)).await;
    }
    let kept = async |channel: &str| {
        let page = gateway
            .poll(&format!("channel={channel}&user=bob&cursor=earliest"))
            .await;
        let messages: Vec<Value> = page["messages"].as_array().expect("messages").clone();
        messages.len()
    };
    assert_eq!(
        (kept("@").await, kept("room:1").await, kept("news").await),
        (2, 1, 4)
    );
    let mut config = gateway.inner.config().as_ref().clone();
    config.namespaces.clear();
    config.inbox.history_age_s_max = serde_json::from_value(json!(0.001)).ok();
    gateway.inner.reload(config).expect("a good configuration");
    tokio::time::sleep(Duration::from_millis(5)).await;
    gateway.publish("room:1", &json!(5)).await;
    assert_eq!((kept("@").await, kept("room:1").await), (0, 2));
}
