//! Another user's inbox, by every way in: `@bob` is bob's, and no pattern grants it (design, section 5).

use serde_json::{Value, json};

use crate::support::Gateway;
use crate::support::http::Response;
use crate::support::ws::Ws;
use crate::tokens::{API_KEY, get, guarded, post, token};

/// A token with every right that patterns can give, and not bob's.
fn eve() -> String {
    let everything = json!(["*", "@*", "@bob", "@{user}*", "@"]);
    token(json!({"sub": "eve", "subscribe": everything, "publish": everything, "send": ["eve"]}))
}

fn is_refused(response: &Response, how: &str) {
    assert!(
        [400, 403].contains(&response.status),
        "{how}: {}",
        response.text()
    );
    assert!(
        !response.text().contains("messages"),
        "{how}: {}",
        response.text()
    );
}

async fn refused_everywhere(gateway: &Gateway, token: &str, channel: &str) {
    for path in ["poll", "longpoll", "sse", "history"] {
        for more in ["", "&cursor=earliest", "&wait=0", "&channel=news"] {
            let target = format!("/v1/{path}?channel={channel}{more}");
            is_refused(&get(gateway, &target, token).await, &target);
        }
    }
    let target = format!("/v1/publish?channel={channel}");
    is_refused(&post(gateway, &target, token, "1").await, &target);
    let (_, close, _) = Ws::open(
        gateway.address,
        &format!("/v1/ws?channel={channel}&token={token}"),
    )
    .await
    .end()
    .await;
    assert!([4000, 4003].contains(&close), "{channel}: {close}");
}

/// Subscribing, publishing and reading the history of another user's inbox is refused on every transport (design, section 5).
#[tokio::test]
async fn the_inbox_of_another_is_closed_to_every_verb() {
    let gateway = guarded(|_| ()).await;
    refused_everywhere(&gateway, &eve(), "@bob").await;
    let target = "/v1/publish?channel=@bob";
    is_refused(
        &post(&gateway, target, API_KEY, "1").await,
        "an administrator publishes",
    );
    let (mut ws, _) = Ws::welcomed(gateway.address, &format!("/v1/ws?token={}", eve())).await;
    for command in [
        json!({"action": "subscribe", "channel": "@bob"}),
        json!({"action": "subscribe", "channel": "@bob", "cursor": "earliest"}),
        json!({"action": "publish", "channel": "@bob", "data": 1}),
        json!({"action": "history", "channel": "@bob"}),
        json!({"action": "presence", "channel": "@bob"}),
        json!({"action": "send", "to": "bob", "data": 1}),
    ] {
        let answer = ws.ask(command.clone()).await;
        assert_eq!(answer["type"], "error", "{command}: {answer}");
    }
}

/// Percent signs, Unicode and other disguises of `@bob` reach no inbox: a name is decoded once, strictly (design, section 3).
#[tokio::test]
async fn no_spelling_reaches_the_inbox_of_another() {
    let gateway = guarded(|_| ()).await;
    for channel in [
        "%40bob",
        "%2540bob",
        "%EF%BC%A0bob",
        "%EF%B9%ABbob",
        "%00@bob",
        "@bob%00",
        "+@bob",
        "%20@bob",
        "@bob%20",
        "@=62ob",
        "=40bob",
        "%E2%80%8B@bob",
        "%EF%BB%BF@bob",
        "@%C2%ADbob",
        "./@bob",
        "x/../@bob",
        "%C0%80@bob",
        "%E0%81%80bob",
        "@Bob",
        "@@bob",
    ] {
        refused_everywhere(&gateway, &eve(), channel).await;
    }
}

/// A cursor says where to read, never what: positions of an inbox in it grant nothing (design, section 3).
#[tokio::test]
async fn a_cursor_is_no_way_into_an_inbox() {
    let gateway = guarded(|_| ()).await;
    let sender = token(json!({"publish": ["news"]}));
    let sent = post(&gateway, "/v1/publish?channel=news", &sender, "1").await;
    assert_eq!(sent.status, 200, "{}", sent.text());
    for cursor in [
        "@bob@earliest,news@earliest",
        "@bob@earliest",
        "@bob@a.0,news@earliest",
        "%40bob%40earliest",
    ] {
        let target = format!("/v1/poll?channel=news&cursor={cursor}");
        let response = get(&gateway, &target, &eve()).await;
        let is_news = |message: &Value| message["channel"] == "news";
        let only_news = || {
            let page = response.json();
            let messages = page["messages"].as_array().expect("messages");
            messages.iter().all(is_news) && !page["cursor"].as_str().expect("one").contains("bob")
        };
        assert!(
            response.status == 400 || only_news(),
            "{cursor}: {}",
            response.text()
        );
    }
}

/// A ticket for the inbox of another is not given, so none can be used to get around the rights (design, section 6).
#[tokio::test]
async fn no_ticket_is_given_for_the_inbox_of_another() {
    let gateway = guarded(|_| ()).await;
    for channel in ["@bob", "@ bob", "%40bob"] {
        let body = json!({ "channels": [channel] }).to_string();
        is_refused(&post(&gateway, "/v1/ticket", &eve(), &body).await, channel);
    }
}
