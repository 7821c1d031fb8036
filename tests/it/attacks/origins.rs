//! Pages of other sites, and requests whose `Host` or target says something else than their connection.

use std::fmt::Write as _;

use crate::support::Gateway;
use crate::support::frames::{END_HEADERS, END_STREAM, Frames, HEADERS, RST_STREAM, frame};
use crate::support::http::raw;
use crate::tokens::{get, guarded, token};

const FOREIGN: &[&str] = &[
    "http://evil.example",
    "https://evil.example",
    "null",
    "file://",
    "",
    "*",
    "http://localhost.evil.example",
    "http://localhost:1",
    "http://evil.example http://localhost",
];

/// With or without a good token, a page of another origin is refused by HTTP on every path, before any upgrade (design,
/// section 6; RFC 6455, section 10.2).
#[tokio::test]
async fn a_page_elsewhere_is_refused_on_every_path_and_method() {
    let gateway = guarded(|_| ()).await;
    let bearer = format!("Bearer {}", token(serde_json::json!({"publish": ["news"]})));
    for origin in FOREIGN {
        for (method, target) in [
            ("POST", "/v1/publish?channel=news"),
            ("POST", "/v1/ticket"),
            ("POST", "/v1/disconnect?user=bob"),
            ("GET", "/v1/poll?channel=news"),
            ("GET", "/v1/sse?channel=news"),
            ("GET", "/v1/history?channel=news"),
            ("OPTIONS", "/v1/publish"),
            ("GET", "/metrics"),
            ("GET", "/healthz"),
            ("GET", "/nowhere"),
        ] {
            let headers = [("origin", *origin), ("authorization", bearer.as_str())];
            let response = gateway.request(method, target, &headers, b"1").await;
            assert_eq!(response.status, 403, "{origin}: {method} {target}");
            assert_eq!(response.header("access-control-allow-origin"), "");
            assert_eq!(response.header("access-control-allow-credentials"), "");
        }
    }
}

/// The upgrade of a page elsewhere is answered 403 and not 101: no WebSocket opens, not even for a moment (RFC 6455, section
/// 4.2.2).
#[tokio::test]
async fn a_websocket_of_a_page_elsewhere_never_opens() {
    let (open, guarded) = (Gateway::start().await, guarded(|_| ()).await);
    for gateway in [open, guarded] {
        for origin in FOREIGN {
            let request = format!(
                "GET /v1/ws?channel=news HTTP/1.1\r\nhost: {}\r\nconnection: upgrade, close\r\nupgrade: websocket\r\n\
                 sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\norigin: {origin}\r\n\r\n",
                gateway.address
            );
            let answer = raw(gateway.address, request.as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 403 "), "{origin}: {answer}");
        }
    }
}

/// In open mode a `Host` that is not this machine's is refused, in whatever way it is written: DNS rebinding (design, section
/// 6).
#[tokio::test]
async fn a_host_that_only_looks_local_is_refused() {
    let gateway = Gateway::start().await;
    for host in [
        "localhost.evil.example",
        "127.0.0.1.nip.io",
        "evil.example#localhost",
        "localhost@evil.example",
        "evil.example@localhost",
        "0",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "[::ffff:127.0.0.1]",
        "[::1",
        "localhost:80:80",
        "localhost.",
        "%6Cocalhost",
        "localhost, evil.example",
        "local\thost",
    ] {
        let request = format!("GET /healthz HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let answer = raw(gateway.address, request.as_bytes()).await;
        let is_refused = ["HTTP/1.1 403 ", "HTTP/1.1 400 "].iter();
        assert!(
            is_refused.clone().any(|status| answer.starts_with(status)),
            "{host}: {answer}"
        );
    }
}

/// The host of the request line counts, as it must (RFC 9112, section 3.2.2), and without any host nothing is served in open
/// mode.
#[tokio::test]
async fn an_absolute_target_is_no_way_around_the_host() {
    let gateway = Gateway::start().await;
    let answer = async |line: &str, headers: &str| {
        let request = format!("{line}\r\n{headers}connection: close\r\n\r\n");
        raw(gateway.address, request.as_bytes()).await
    };
    for (line, headers) in [
        (
            "GET http://evil.example/healthz HTTP/1.1",
            "host: localhost\r\n",
        ),
        (
            "GET http://evil.example/healthz HTTP/1.1",
            "host: evil.example\r\n",
        ),
        (
            "GET http://localhost@evil.example/healthz HTTP/1.1",
            "host: localhost\r\n",
        ),
        ("GET /healthz HTTP/1.1", ""),
        ("GET /healthz HTTP/1.1", "host:\r\n"),
        ("GET /healthz HTTP/1.0", ""),
        (
            "GET //evil.example/healthz HTTP/1.1",
            "host: evil.example\r\n",
        ),
    ] {
        let answer = answer(line, headers).await;
        assert!(
            answer.starts_with("HTTP/1.") && answer[8..].starts_with(" 403 "),
            "{line}: {answer}"
        );
    }
    let good = answer(
        "GET http://localhost/healthz HTTP/1.1",
        "host: localhost\r\n",
    )
    .await;
    assert!(good.starts_with("HTTP/1.1 200 "), "{good}");
}

/// A target of no path is no endpoint, and a gateway is no proxy (RFC 9110, section 9.3.6).
#[tokio::test]
async fn the_gateway_is_no_proxy() {
    let gateway = Gateway::start().await;
    for line in [
        "CONNECT 127.0.0.1:22 HTTP/1.1",
        "CONNECT localhost:443 HTTP/1.1",
        "TRACE /healthz HTTP/1.1",
        "DEBUG /healthz HTTP/1.1",
        "OPTIONS * HTTP/1.1",
    ] {
        let request = format!("{line}\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let answer = raw(gateway.address, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{line}: {answer}");
    }
}

/// A field of a field block, without the tables (RFC 7541, section 6.2.2).
fn field(name: &str, value: &str) -> Vec<u8> {
    let mut block = vec![0];
    for text in [name, value] {
        block.push(
            u8::try_from(text.len())
                .ok()
                .filter(|length| *length < 127)
                .expect("short"),
        );
        block.extend(text.as_bytes());
    }
    block
}

/// The answer to a request over HTTP/2: true if it got a good status.
async fn is_served(gateway: &Gateway, fields: &[(&str, &str)]) -> bool {
    let mut connection = Frames::open(gateway.address).await;
    let block: Vec<u8> = fields
        .iter()
        .flat_map(|(name, value)| field(name, value))
        .collect();
    connection
        .send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &block))
        .await;
    while let Some(answer) = connection.next().await {
        match answer.kind {
            // The first field is the status, from the static table: 0x88 is 200.
            HEADERS => return answer.payload.first() == Some(&0x88),
            RST_STREAM => return false,
            _ => {}
        }
    }
    false
}

/// CONNECT over HTTP/2 without `:protocol` asks for a tunnel to elsewhere, and malformed pseudo-header fields ask for
/// trouble: neither is served (RFC 9113, sections 8.3.1 and 8.5; RFC 8441).
#[tokio::test]
async fn over_http2_neither_tunnels_nor_two_hosts_are_served() {
    let gateway = Gateway::start().await;
    let get = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/healthz"),
    ];
    let with = |more: &[(&'static str, &'static str)]| [&get[..], more].concat();
    assert!(is_served(&gateway, &with(&[(":authority", "localhost")])).await);
    for fields in [
        vec![(":method", "CONNECT"), (":authority", "127.0.0.1:22")],
        vec![
            (":method", "CONNECT"),
            (":protocol", "connect-udp"),
            (":scheme", "http"),
            (":path", "/v1/ws"),
            (":authority", "localhost"),
        ],
        with(&[(":authority", "evil.example"), ("host", "localhost")]),
        with(&[(":authority", "localhost"), (":authority", "evil.example")]),
        with(&[("host", "localhost"), (":authority", "localhost")]),
        with(&[("host", "evil.example")]),
        with(&[(":path", "/metrics"), (":authority", "localhost")]),
        with(&[(":authority", "localhost"), ("connection", "upgrade")]),
        with(&[(":authority", "localhost"), ("x\r\ny", "z")]),
        with(&[(":authority", "localhost"), ("X-Upper", "z")]),
        with(&[(":authority", "localhost"), ("x", "a\r\nb: c")]),
        with(&[]),
    ] {
        let mut shown = String::new();
        write!(shown, "{fields:?}").expect("text");
        assert!(!is_served(&gateway, &fields).await, "{shown}");
    }
}

/// Bodies whose length can be read in two ways would hide a second request from a proxy: request smuggling (RFC 9112, section
/// 6.3). The second one is never answered.
#[tokio::test]
async fn a_body_has_one_length() {
    let gateway = Gateway::start().await;
    let hidden = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    for framing in [
        "content-length: 3\r\ncontent-length: 0\r\n",
        "content-length: 0\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 0\r\n",
        "transfer-encoding: identity, chunked\r\ntransfer-encoding: x\r\n",
        "transfer-encoding: xchunked\r\n",
        "content-length: +0\r\n",
        "content-length: 0x0\r\n",
        "content-length : 0\r\n",
        "content-length:\r\n 0\r\n",
        "content-length: 0, 3\r\n",
    ] {
        let request = format!(
            "POST /v1/publish?channel=a HTTP/1.1\r\nhost: localhost\r\n{framing}\r\n{hidden}"
        );
        let answer = raw(gateway.address, request.as_bytes()).await;
        let is_bad = answer.starts_with("HTTP/1.1 4") || answer.is_empty();
        assert!(
            is_bad && !answer.contains("HTTP/1.1 200"),
            "{framing:?}: {answer}"
        );
    }
}

/// Rights are looked up for the path that is served: no dots, case or percent signs reach an endpoint by another name.
#[tokio::test]
async fn a_path_has_one_spelling() {
    let gateway = guarded(|_| ()).await;
    let token = token(serde_json::json!({"admin": true}));
    for path in [
        "/metrics/",
        "//metrics",
        "/./metrics",
        "/x/../metrics",
        "/Metrics",
        "/%6Detrics",
        "/metrics;x",
        "/metrics%00",
        "/metrics%3Fa",
        "/v1/../metrics",
        "/v1//poll?channel=news",
    ] {
        assert_eq!(get(&gateway, path, &token).await.status, 404, "{path}");
    }
}
