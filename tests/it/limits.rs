//! How much one client may take: every limit at it and past it, over each transport that it concerns.

use everyway::config::{Anonymous, Config};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::http::{Response, connect_from};
use super::support::sse::Stream;
use super::support::ws::Ws;
use super::support::{Gateway, until, within};

const HERE: [u8; 4] = [127, 0, 0, 1];
const ELSEWHERE: [u8; 4] = [127, 0, 0, 2];
const EVERYTHING: &str = "*";

/// A gateway whose limits count this machine's addresses, as they are.
async fn counting(change: impl FnOnce(&mut Config)) -> Gateway {
    Gateway::with(|config| {
        config.limits.loopback = true;
        change(config);
    })
    .await
}

/// A gateway behind a proxy at 127.0.0.1, open to everybody.
async fn behind_proxy(change: impl FnOnce(&mut Config)) -> Gateway {
    Gateway::with(|config| {
        let all = || vec![EVERYTHING.to_owned()];
        config.auth.anonymous = Some(Anonymous {
            subscribe: all(),
            publish: all(),
        });
        config.server.trusted_proxies = vec!["127.0.0.1".parse().expect("an address")];
        change(config);
    })
    .await
}

/// A rule that a test never waits for: one more comes after a quarter of an hour.
fn at_once(count: u32) -> everyway::config::RateRule {
    format!("{count}/{}s", count * 900).parse().expect("a rule")
}

/// A request that the proxy passes on for a client.
async fn from(gateway: &Gateway, client: &str, method: &str, target: &str) -> Response {
    let headers = [("x-forwarded-for", client)];
    gateway.request(method, target, &headers, b"1").await
}

async fn publish_from(gateway: &Gateway, client: &str, query: &str) -> Response {
    from(gateway, client, "POST", &format!("/v1/publish?{query}")).await
}

/// Checks a refusal that says when to come back: after 15 minutes, give or take what the test took.
fn is_told_to_wait(response: &Response, rule: &str) {
    assert_eq!(response.status, 429, "{}", response.text());
    assert_eq!(response.code(), "rate_limited");
    let after: u64 = response.header("retry-after").parse().expect("seconds");
    assert!((800..=900).contains(&after), "{after}");
    let left = format!("\"{rule}\";r=0;t={after}");
    assert_eq!(response.header("ratelimit"), left);
    let after_ms = response.json()["error"]["retry_after_ms"]
        .as_u64()
        .expect("ms");
    assert_eq!(after_ms.div_ceil(1000), after);
}

/// A WebSocket from an address of this machine.
async fn ws_from(gateway: &Gateway, source: [u8; 4], target: &str) -> Ws {
    let stream = connect_from(source, gateway.address).await;
    Ws::over(stream, gateway.address, target).await
}

fn size(gateway: &Gateway, map: &str) -> usize {
    let sizes = gateway.inner.limits.sizes();
    sizes
        .iter()
        .find(|(name, _)| *name == map)
        .expect("a map")
        .1
}

#[tokio::test]
async fn publishes_pass_up_to_the_limit_and_their_answers_count_down() {
    let gateway = behind_proxy(|config| config.limits.publish = at_once(3)).await;
    for left in ["2", "1", "0"] {
        let response = publish_from(&gateway, "192.0.2.1", "channel=a").await;
        assert_eq!(response.status, 200, "{}", response.text());
        assert_eq!(
            response.header("ratelimit-policy"),
            "\"publish\";q=3;w=2700"
        );
        let standing = format!("\"publish\";r={left};t=");
        assert!(response.header("ratelimit").starts_with(&standing));
    }
    let refused = publish_from(&gateway, "192.0.2.1", "channel=a").await;
    is_told_to_wait(&refused, "publish");
    let elsewhere = publish_from(&gateway, "192.0.2.2", "channel=a").await;
    assert_eq!(
        elsewhere.json()["offset"],
        4,
        "what was refused is not there"
    );
}

#[tokio::test]
async fn several_channels_cost_several() {
    let gateway = behind_proxy(|config| config.limits.publish = at_once(3)).await;
    let two = publish_from(&gateway, "192.0.2.1", "channel=a&channel=b").await;
    assert_eq!(two.status, 200);
    let two_more = publish_from(&gateway, "192.0.2.1", "channel=a&channel=b").await;
    is_told_to_wait(&two_more, "publish");
    let one = publish_from(&gateway, "192.0.2.1", "channel=a").await;
    assert_eq!(one.json()["offset"], 2, "a refusal costs nothing");
}

#[tokio::test]
async fn more_channels_than_a_burst_are_refused_for_good() {
    let gateway = behind_proxy(|config| config.limits.publish = at_once(2)).await;
    let three = publish_from(&gateway, "192.0.2.1", "channel=a&channel=b&channel=c").await;
    assert_eq!(
        (three.status, three.code().as_str()),
        (429, "limit_reached")
    );
    assert_eq!(three.header("retry-after"), "");
    assert!(three.text().contains("at most 2"), "{}", three.text());
}

#[tokio::test]
async fn a_user_has_an_allowance_of_its_own_wherever_it_is() {
    let gateway = counting(|config| config.limits.publish = at_once(2)).await;
    for status in [200, 200, 429] {
        assert_eq!(
            gateway.publish_raw("a&user=alice", b"1", &[]).await.status,
            status
        );
    }
    for status in [200, 200, 429] {
        assert_eq!(
            gateway.publish_raw("a&user=bob", b"1", &[]).await.status,
            status
        );
    }
    let mut ws = ws_from(&gateway, ELSEWHERE, "/v1/ws?user=alice").await;
    ws.json().await;
    let answer = ws
        .ask(json!({"action": "publish", "channel": "a", "data": 1}))
        .await;
    assert_eq!(answer["code"], "rate_limited");
    assert_eq!(gateway.publish_raw("a", b"1", &[]).await.status, 200);
}

#[tokio::test]
async fn a_websocket_that_keeps_on_is_told_each_time_and_then_closed() {
    let gateway = counting(|config| {
        config.limits.publish = at_once(2);
        config.limits.refusals_max = 3;
    })
    .await;
    let publish = json!({"action": "publish", "ref": 7, "channel": "a", "data": 1});
    let (mut ws, _) = Ws::welcomed(gateway.address, "/v1/ws").await;
    for _ in 0..2 {
        assert_eq!(ws.ask(publish.clone()).await["type"], "published");
    }
    for _ in 0..3 {
        let answer = ws.ask(publish.clone()).await;
        assert_eq!(
            (&answer["type"], &answer["ref"]),
            (&json!("error"), &json!(7))
        );
        assert_eq!(answer["code"], "rate_limited");
        let after_ms = answer["retry_after_ms"].as_u64().expect("ms");
        assert!((800_000..=900_000).contains(&after_ms), "{answer}");
    }
    ws.send(publish.to_string()).await;
    let (last, code, reason) = ws.end().await;
    assert_eq!((code, reason.as_str()), (4029, "rate_limited"));
    assert_eq!(
        (&last["type"], &last["reconnect"]),
        (&json!("disconnect"), &json!(true))
    );
    let mut elsewhere = ws_from(&gateway, ELSEWHERE, "/v1/ws").await;
    elsewhere.json().await;
    assert_eq!(elsewhere.ask(publish).await["type"], "published");
}

#[tokio::test]
async fn requests_pass_up_to_the_limit_and_each_transport_is_told_in_its_own_way() {
    let gateway = behind_proxy(|config| config.limits.requests = at_once(2)).await;
    for _ in 0..2 {
        let poll = from(&gateway, "192.0.2.1", "GET", "/v1/poll?channel=a").await;
        assert_eq!(poll.status, 200);
    }
    for target in [
        "/v1/poll?channel=a",
        "/v1/longpoll?channel=a",
        "/v1/history?channel=a",
        "/nowhere",
    ] {
        let refused = from(&gateway, "192.0.2.1", "GET", target).await;
        is_told_to_wait(&refused, "requests");
    }
    is_told_to_wait(
        &publish_from(&gateway, "192.0.2.1", "channel=a").await,
        "requests",
    );
    stream_is_told_to_wait(&gateway, "192.0.2.1").await;
    let elsewhere = from(&gateway, "192.0.2.2", "GET", "/v1/poll?channel=a").await;
    assert_eq!(elsewhere.status, 200);
}

/// An `EventSource` would stop for good at a status of 429.
async fn stream_is_told_to_wait(gateway: &Gateway, client: &str) {
    // In open mode nothing may come through a proxy.
    let headers: &[_] = match client {
        "" => &[],
        client => &[("x-forwarded-for", client)],
    };
    let mut stream = Stream::open(gateway.address, "/v1/sse?channel=a", headers).await;
    assert_eq!(stream.status, 200);
    let event = stream.next().await.expect("an event");
    assert_eq!(event.name, "disconnect");
    let data: Value = serde_json::from_str(&event.data).expect("JSON");
    assert_eq!(data["code"], "rate_limited");
    assert!((800_000..=900_000).contains(&stream.retry_ms.expect("retry:")));
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn a_websocket_past_the_limit_of_requests_is_accepted_and_closed() {
    let gateway = counting(|config| config.limits.requests = at_once(1)).await;
    let (_first, _) = Ws::welcomed(gateway.address, "/v1/ws").await;
    let mut second = ws_from(&gateway, HERE, "/v1/ws").await;
    let (last, code, _) = second.end().await;
    assert_eq!((code, &last["code"]), (4029, &json!("rate_limited")));
    let mut elsewhere = ws_from(&gateway, ELSEWHERE, "/v1/ws").await;
    assert_eq!(elsewhere.json().await["type"], "welcome");
}

/// Commands that cost a request.
fn costly_commands() -> [Value; 3] {
    [
        json!({"action": "history", "channel": "a"}),
        json!({"action": "refresh", "token": "a guess"}),
        json!({"action": "subscribe", "channel": "b"}),
    ]
}

#[tokio::test]
async fn commands_of_a_websocket_are_requests_of_its_address() {
    let gateway = counting(|config| config.limits.requests = at_once(4)).await;
    let (mut ws, _) = Ws::welcomed(gateway.address, "/v1/ws").await;
    let subscribe = json!({"action": "subscribe", "channel": "a"});
    let unsubscribe = json!({"action": "unsubscribe", "channel": "a"});
    assert_eq!(ws.ask(subscribe).await["type"], "subscribed");
    for command in costly_commands() {
        assert_ne!(ws.ask(command).await["code"], "rate_limited");
    }
    for command in costly_commands() {
        let answer = ws.ask(command).await;
        assert_eq!(answer["code"], "rate_limited", "{answer}");
        let after_ms = answer["retry_after_ms"].as_u64().expect("ms");
        assert!((800_000..=900_000).contains(&after_ms), "{answer}");
    }
    assert_eq!(ws.ask(json!({"action": "ping"})).await["type"], "pong");
    assert_eq!(ws.ask(unsubscribe).await["type"], "unsubscribed");
    let publish = json!({"action": "publish", "channel": "a", "data": 1});
    assert_eq!(ws.ask(publish).await["type"], "published");
    is_told_to_wait(&gateway.get("/v1/poll?channel=a").await, "requests");
}

#[tokio::test]
async fn a_websocket_that_keeps_on_asking_is_closed() {
    for command in costly_commands() {
        let gateway = counting(|config| {
            config.limits.requests = at_once(1);
            config.limits.refusals_max = 3;
        })
        .await;
        let (mut ws, _) = Ws::welcomed(gateway.address, "/v1/ws").await;
        ws.ask(json!({"action": "subscribe", "channel": "a"})).await;
        for _ in 0..3 {
            assert_eq!(ws.ask(command.clone()).await["code"], "rate_limited");
        }
        ws.send(command.to_string()).await;
        let (_, code, reason) = ws.end().await;
        assert_eq!((code, reason.as_str()), (4029, "rate_limited"), "{command}");
    }
}

#[tokio::test]
async fn a_burst_of_a_hundred_opens_a_websocket_and_subscribes_to_a_hundred_channels() {
    // One more comes after 36 seconds.
    let rule = "100/3600s".parse().expect("a rule");
    let gateway = counting(|config| config.limits.requests = rule).await;
    let (mut ws, _) = Ws::welcomed(gateway.address, "/v1/ws").await;
    for i in 0..100 {
        let subscribe = json!({"action": "subscribe", "channel": format!("c{i}")});
        assert_eq!(ws.ask(subscribe).await["type"], "subscribed", "{i}");
    }
    let history = json!({"action": "history", "channel": "c0"});
    assert_eq!(ws.ask(history).await["code"], "rate_limited");
}

#[tokio::test]
async fn attaching_too_often_is_refused_on_each_transport() {
    let gateway = counting(|config| config.limits.attach = at_once(2)).await;
    for _ in 0..2 {
        Ws::welcomed(gateway.address, "/v1/ws")
            .await
            .0
            .close()
            .await;
    }
    let mut ws = Ws::open(gateway.address, "/v1/ws").await;
    assert_eq!(ws.end().await.1, 4029);
    is_told_to_wait(
        &gateway.get("/v1/longpoll?channel=a&wait=5").await,
        "attach",
    );
    stream_is_told_to_wait(&gateway, "").await;
    let short = gateway.get("/v1/poll?channel=a").await;
    assert_eq!(short.status, 200, "a short poll is no attachment");
    let mut elsewhere = ws_from(&gateway, ELSEWHERE, "/v1/ws").await;
    assert_eq!(elsewhere.json().await["type"], "welcome");
}

#[tokio::test]
async fn an_address_has_so_many_attachments_and_their_places_come_back() {
    let gateway = counting(|config| config.limits.attachments_per_address_max = 2).await;
    let (first, _) = Ws::welcomed(gateway.address, "/v1/ws").await;
    let mut stream = Stream::open(gateway.address, "/v1/sse?channel=a", &[]).await;
    assert_eq!(stream.next().await.expect("welcome").name, "welcome");
    everybody_is_overloaded(&gateway, "").await;
    let mut elsewhere = ws_from(&gateway, ELSEWHERE, "/v1/ws").await;
    assert_eq!(elsewhere.json().await["type"], "welcome");
    first.close().await;
    until("a place", || async { gateway.inner.attachments.len() == 2 }).await;
    Ws::welcomed(gateway.address, "/v1/ws").await;
}

/// There is no place for one more, over any transport.
async fn everybody_is_overloaded(gateway: &Gateway, query: &str) {
    let mut ws = Ws::open(gateway.address, &format!("/v1/ws?channel=a{query}")).await;
    assert_eq!(ws.end().await.1, 1013);
    let poll = gateway
        .get(&format!("/v1/longpoll?channel=a&wait=5{query}"))
        .await;
    assert_eq!((poll.status, poll.code().as_str()), (503, "overloaded"));
    assert!(!poll.header("retry-after").is_empty());
    let target = format!("/v1/sse?channel=a{query}");
    let mut stream = Stream::open(gateway.address, &target, &[]).await;
    let event = stream.next().await.expect("an event");
    assert!(event.data.contains("overloaded"), "{event:?}");
}

#[tokio::test]
async fn a_user_has_so_many_attachments() {
    let gateway = Gateway::with(|config| config.limits.attachments_per_user_max = 2).await;
    let (first, _) = Ws::welcomed(gateway.address, "/v1/ws?user=alice").await;
    let (_second, _) = Ws::welcomed(gateway.address, "/v1/ws?user=alice").await;
    everybody_is_overloaded(&gateway, "&user=alice").await;
    let (_bob, _) = Ws::welcomed(gateway.address, "/v1/ws?user=bob").await;
    assert_eq!(size(&gateway, "attachments_per_user"), 2);
    first.close().await;
    until("a place", || async { gateway.inner.attachments.len() == 2 }).await;
    Ws::welcomed(gateway.address, "/v1/ws?user=alice").await;
}

/// True if the gateway closed a connection without a word.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut byte = [0];
    !matches!(
        within("the gateway to close", stream.read(&mut byte)).await,
        Ok(1..)
    )
}

#[tokio::test]
async fn ten_thousand_sockets_from_one_address_are_as_many_as_it_may_have() {
    let gateway = counting(|config| config.limits.sockets_per_address_max = 20).await;
    let mut kept = Vec::new();
    for _ in 0..20 {
        kept.push(connect_from(HERE, gateway.address).await);
    }
    for _ in 0..200 {
        assert!(is_closed(&mut connect_from(HERE, gateway.address).await).await);
    }
    let mut elsewhere = ws_from(&gateway, ELSEWHERE, "/v1/ws").await;
    assert_eq!(elsewhere.json().await["type"], "welcome");
    assert_eq!(gateway.inner.metrics.sockets_refused.get(), 200);
    kept.clear();
    until("room", || async {
        gateway.inner.metrics.sockets.get() == 1
    })
    .await;
    assert_eq!(gateway.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn this_machine_and_trusted_proxies_have_as_many_sockets_as_they_like() {
    let few = |config: &mut Config| config.limits.sockets_per_address_max = 2;
    let local = Gateway::with(few).await;
    let proxied = behind_proxy(|config| {
        few(config);
        config.limits.loopback = true;
    })
    .await;
    for gateway in [local, proxied] {
        let mut streams = Vec::new();
        for _ in 0..10 {
            let mut stream = connect_from(HERE, gateway.address).await;
            stream
                .write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
                .await
                .expect("an open connection");
            assert!(!is_closed(&mut stream).await);
            streams.push(stream);
        }
    }
}

#[tokio::test]
async fn an_address_that_a_stranger_claims_is_ignored() {
    let gateway = behind_proxy(|config| {
        config.limits.loopback = true;
        config.limits.requests = at_once(3);
        config.server.trusted_proxies = vec!["10.0.0.0/8".parse().expect("a network")];
    })
    .await;
    for n in 0..3 {
        let poll = from(&gateway, &format!("192.0.2.{n}"), "GET", "/healthz").await;
        assert_eq!(poll.status, 200);
    }
    let spoofed = from(&gateway, "192.0.2.99", "GET", "/healthz").await;
    is_told_to_wait(&spoofed, "requests");
    assert_eq!(size(&gateway, "requests"), 1);
}

#[tokio::test]
async fn what_a_client_wrote_before_its_proxy_did_is_ignored() {
    let gateway = behind_proxy(|config| config.limits.requests = at_once(3)).await;
    for n in 0..4 {
        let claim = format!("203.0.113.{n}, 192.0.2.1");
        let response = from(&gateway, &claim, "GET", "/healthz").await;
        assert_eq!(response.status, if n < 3 { 200 } else { 429 });
    }
}

#[tokio::test]
async fn an_ipv6_network_is_one_client() {
    let gateway = behind_proxy(|config| config.limits.requests = at_once(3)).await;
    for n in 0..4 {
        let client = format!("[2001:db8::{n}:1]:443");
        let response = from(&gateway, &client, "GET", "/healthz").await;
        assert_eq!(response.status, if n < 3 { 200 } else { 429 });
    }
    let next = from(&gateway, "2001:db8:0:1::1", "GET", "/healthz").await;
    assert_eq!(next.status, 200);
}

#[tokio::test]
async fn a_flood_of_addresses_stays_within_the_map_and_who_was_there_goes_on() {
    let gateway = behind_proxy(|config| {
        config.limits.requests = at_once(90);
        config.limits.rate_keys_max = 50;
    })
    .await;
    let honest = || async { from(&gateway, "192.0.2.1", "GET", "/healthz").await.status };
    assert_eq!(honest().await, 200);
    for n in 0..300 {
        from(
            &gateway,
            &format!("198.18.{}.{}", n / 250, n % 250),
            "GET",
            "/healthz",
        )
        .await;
        assert!(size(&gateway, "requests") <= 50);
    }
    assert_eq!(honest().await, 200);
    let newcomer = from(&gateway, "192.0.2.77", "GET", "/healthz").await;
    assert_eq!(
        newcomer.status, 200,
        "newcomers share, and are not shut out"
    );
}

#[tokio::test]
async fn the_sizes_of_the_maps_are_metrics() {
    let gateway = counting(|_| ()).await;
    let (_ws, _) = Ws::welcomed(gateway.address, "/v1/ws?user=al").await;
    gateway.publish("a", &json!(1)).await;
    for map in ["publish", "requests", "attach", "attachments_per_user"] {
        let metric = format!("everyway_limit_keys{{limit=\"{map}\"}}");
        assert_eq!(gateway.metric(&metric).await, 1.0, "{map}");
    }
}

#[tokio::test]
async fn rules_change_while_it_runs_and_counts_stay() {
    let gateway = counting(|config| {
        config.limits.publish = at_once(1);
        config.limits.requests = at_once(4);
    })
    .await;
    let (_ws, _) = Ws::welcomed(gateway.address, "/v1/ws").await;
    for status in [200, 429] {
        assert_eq!(gateway.publish_raw("a", b"1", &[]).await.status, status);
    }
    let mut config = everyway::config::Config::clone(&gateway.inner.config());
    config.limits.publish = at_once(2);
    config.limits.attachments_per_address_max = 1;
    gateway.inner.limits.reload(&config);
    let now = gateway.publish_raw("a", b"1", &[]).await;
    assert_eq!(now.status, 200, "the new rule");
    let fifth = gateway.get("/v1/poll?channel=a").await;
    is_told_to_wait(&fifth, "requests");
    config.limits.requests = everyway::config::RateRule::Off;
    gateway.inner.limits.reload(&config);
    everybody_is_overloaded(&gateway, "").await;
}
