//! What was granted, and to whom: it ends when it is taken back, and nobody has it from another.

use everyway::config::{Anonymous, ApiKey, Config};
use serde_json::{Value, json};

use crate::support::Gateway;
use crate::support::frames::{DATA, Frames, NO_ERROR, RST_STREAM, frame, post as head_of_post};
use crate::support::sse::Stream;
use crate::support::ws::Ws;
use crate::tokens::{API_KEY, get, guarded, hex, post, ticket, token};

/// What a gateway is configured as, to be changed.
fn config_of(gateway: &Gateway) -> Config {
    (**gateway.inner.config()).clone()
}

fn reload(gateway: &Gateway, config: Config) {
    gateway.inner.reload(config).expect("a reload");
}

/// Somebody who publishes over HTTP, with a key of idempotency.
async fn publish_once(gateway: &Gateway, headers: &[(&str, &str)], data: &str) -> Value {
    let mut all = vec![("idempotency-key", "order-17")];
    all.extend(headers);
    let target = "/v1/publish?channel=news";
    let answer = gateway.request("POST", target, &all, data.as_bytes()).await;
    answer.json()
}

/// Section 3: a ticket stands in for a token once, for 30 seconds at most. One that made others would be good for ever.
#[tokio::test]
async fn a_ticket_makes_no_tickets() {
    let gateway = guarded(|_| ()).await;
    let first = ticket(&gateway, &token(json!({})), json!(["news"])).await;
    let target = format!("/v1/ticket?ticket={first}");
    let body = br#"{"channels":["news"]}"#;
    let refused = gateway.request("POST", &target, &[], body).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert!(refused.text().contains("a ticket makes no tickets"));
}

/// Section 6: what a credential grants ends with the credential, also for who is attached already.
#[tokio::test]
async fn a_removed_api_key_grants_nothing_to_anybody() {
    let gateway = guarded(|_| ()).await;
    let ticket_of_key = ticket(&gateway, API_KEY, json!(["news"])).await;
    let target = format!("/v1/ws?token={API_KEY}");
    let (mut by_key, _) = Ws::welcomed(gateway.address, &target).await;
    let target = format!("/v1/ws?token={}", token(json!({})));
    let (mut by_token, _) = Ws::welcomed(gateway.address, &target).await;

    // The same key stays what it was, whatever else changes.
    let mut config = config_of(&gateway);
    config.auth.api_keys.push(ApiKey {
        sha256: hex("ew_another"),
        ..ApiKey::default()
    });
    reload(&gateway, config);
    assert_eq!(by_key.ask(json!({"action": "ping"})).await["type"], "pong");

    let mut config = config_of(&gateway);
    config.auth.api_keys.remove(0);
    reload(&gateway, config);
    let (last, close, _) = by_key.end().await;
    assert_eq!((close, &last["code"]), (4001, &json!("unauthorized")));
    assert_eq!(
        by_token.ask(json!({"action": "ping"})).await["type"],
        "pong"
    );
    let target = format!("/v1/publish?channel=news&ticket={ticket_of_key}");
    let refused = gateway.request("POST", &target, &[], b"1").await;
    assert_eq!(refused.status, 401, "{}", refused.text());
    assert_eq!(get(&gateway, "/metrics", API_KEY).await.status, 401);
}

/// Section 6: the same for the rights of those without a credential.
#[tokio::test]
async fn rights_that_everybody_had_end_with_the_reload() {
    let gateway = guarded(|auth| {
        auth.anonymous = Some(Anonymous {
            subscribe: vec!["news".to_owned()],
            ..Anonymous::default()
        });
    })
    .await;
    let mut stream = Stream::open(gateway.address, "/v1/sse?channel=news", &[]).await;
    assert_eq!(stream.next().await.expect("an event").name, "welcome");
    let mut config = config_of(&gateway);
    config.auth.anonymous = Some(Anonymous::default());
    reload(&gateway, config);
    let last = stream.next_but_ping().await.expect("a farewell");
    assert_eq!(last.name, "disconnect");
    assert!(last.data.contains("unauthorized"), "{}", last.data);
}

/// Section 3: the scope of a key is the principal, and not the name under which somebody publishes, or the lack of one.
#[tokio::test]
async fn an_idempotency_key_is_of_its_principal() {
    let gateway = guarded(|auth| {
        let publish = vec!["news".to_owned()];
        auth.anonymous = Some(Anonymous {
            publish: publish.clone(),
            ..Anonymous::default()
        });
        auth.api_keys.push(ApiKey {
            sha256: hex("ew_another"),
            publish,
            ..ApiKey::default()
        });
    })
    .await;
    let (one, other) = (format!("Bearer {API_KEY}"), "Bearer ew_another");
    let principals: [&[(&str, &str)]; 3] =
        [&[], &[("authorization", &one)], &[("authorization", other)]];
    for (i, headers) in principals.into_iter().enumerate() {
        for _ in 0..2 {
            let answer = publish_once(&gateway, headers, &format!("{i}")).await;
            assert_eq!(answer["offset"], i + 1, "{answer}");
        }
    }
    // A name that an API key chooses does not lead to the keys of its bearer.
    let bob = token(json!({"publish": ["news"]}));
    let target = "/v1/publish?channel=news&from=bob";
    let by_key = [("idempotency-key", "k"), ("authorization", one.as_str())];
    gateway.request("POST", target, &by_key, b"7").await;
    let bearer = format!("Bearer {bob}");
    let by_bob = [("idempotency-key", "k"), ("authorization", bearer.as_str())];
    let target = "/v1/publish?channel=news";
    let answer = gateway.request("POST", target, &by_bob, b"8").await.json();
    assert_eq!(answer["offset"], 5, "{answer}");
}

/// Tenet 1: half a message is none. A stream that is reset without an error has not ended (RFC 9113, section 8.1.1).
#[tokio::test]
async fn a_body_that_is_cut_is_not_published() {
    let gateway = Gateway::start().await;
    for code in [NO_ERROR, 8, 2] {
        let mut client = Frames::open(gateway.address).await;
        let head = head_of_post(1, "/v1/publish?channel=news");
        let half = frame(DATA, 0, 1, b"12345");
        let cut = frame(RST_STREAM, 0, 1, &code.to_be_bytes());
        client.send(&[head, half, cut].concat()).await;
        assert!(client.is_alive().await, "{code}");
    }
    // What comes after them is the first message that there is.
    assert_eq!(gateway.publish("news", &json!(1)).await, 1);
    let answer = post(&gateway, "/v1/publish?channel=news", "x", "2").await;
    assert_eq!(answer.json()["offset"], 2);
}
