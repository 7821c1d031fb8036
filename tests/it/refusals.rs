//! Bad input gets a clear error, on every endpoint, and nothing breaks.

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::support::http::raw;
use super::support::sse::Stream;
use super::support::ws::Ws;
use super::support::{Gateway, Via};

/// What is wrong with a query, whatever the transport.
fn bad_queries() -> Vec<(String, &'static str)> {
    let many: Vec<String> = (0..101).map(|n| format!("channel=c{n}")).collect();
    let long = "x".repeat(201);
    let huge = "k".repeat(33_000);
    let bad = [
        ("channel=", "bad_request"),
        ("channel=a%20b", "bad_request"),
        ("channel=a&channel=a", "bad_request"),
        ("channel=%ff", "bad_request"),
        ("channel=%C3%A9", "bad_request"),
        ("channel=@b%20b", "bad_request"),
        ("channel=@", "bad_request"),
        ("channel=a&cursor=", "bad_cursor"),
        ("channel=a&cursor=5", "bad_cursor"),
        ("channel=a&cursor=-1.5", "bad_cursor"),
        ("channel=a&cursor=k.9007199254740992", "bad_cursor"),
        ("channel=a&cursor=K.1", "bad_cursor"),
        ("channel=a&cursor=abcdefghijklmnopq.1", "bad_cursor"),
        ("channel=a&cursor=a@k.1,a@k.2", "bad_cursor"),
        ("channel=a&channel=b&cursor=k.1", "bad_cursor"),
        ("channel=a&channel=b&cursor=~00000000~k.1,k.1", "bad_cursor"),
        ("channel=a&channel=b&cursor=~00000000~k.1", "bad_cursor"),
        ("channel=a&cursor=now&cursor=now", "bad_request"),
        ("channel=a&session=short", "bad_request"),
        (
            "channel=a&session=0123456789abcdef&session=0123456789abcdef",
            "bad_request",
        ),
        ("channel=a&user=", "bad_request"),
        ("channel=a&user=a%0Ab", "bad_request"),
    ];
    let bad = bad
        .into_iter()
        .map(|(query, code)| (query.to_owned(), code));
    let computed = [
        (many.join("&"), "bad_request"),
        (format!("channel={long}"), "bad_request"),
        (format!("channel=a&user={}", "x".repeat(129)), "bad_request"),
        (format!("channel=a&cursor={huge}"), "bad_cursor"),
    ];
    bad.chain(computed).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_queries_are_refused_by_http() {
    let gateway = Gateway::start().await;
    for (query, code) in bad_queries() {
        for via in [Via::Sse, Via::LongPoll, Via::Poll] {
            let response = gateway.get(&format!("{}?{query}", via.path())).await;
            let shown = &query[..query.len().min(60)];
            assert_eq!(
                response.code(),
                code,
                "{via:?} {shown}: {}",
                response.text()
            );
            let status = if code == "forbidden" { 403 } else { 400 };
            assert_eq!(response.status, status, "{via:?} {shown}");
        }
    }
    for via in [Via::Sse, Via::LongPoll, Via::Poll] {
        assert_eq!(
            gateway.get(via.path()).await.code(),
            "bad_request",
            "{via:?} without a channel"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_queries_are_told_over_the_websocket() {
    let gateway = Gateway::start().await;
    for (query, code) in bad_queries() {
        let mut ws = Ws::open(gateway.address, &format!("/v1/ws?{query}")).await;
        let (last, close, reason) = ws.end().await;
        let shown = &query[..query.len().min(60)];
        assert_eq!(
            (last["type"].as_str(), last["code"].as_str()),
            (Some("disconnect"), Some(code)),
            "{shown}"
        );
        assert_eq!(last["reconnect"], false, "{shown}");
        assert!(
            last["message"]
                .as_str()
                .is_some_and(|message| !message.is_empty()),
            "{shown}"
        );
        let expected = if code == "forbidden" { 4003 } else { 4000 };
        assert_eq!((close, reason.as_str()), (expected, code), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_channels_and_names_of_200_bytes_are_fine() {
    let gateway = Gateway::start().await;
    let long = "x".repeat(197);
    let names: Vec<String> = (0..100).map(|n| format!("channel={long}{n:03}")).collect();
    let query = names.join("&");
    for via in [Via::LongPoll, Via::Poll] {
        let page = gateway.get(&format!("{}?{query}&wait=0", via.path())).await;
        assert_eq!(page.status, 200, "{via:?}");
        let cursor = page.json()["cursor"].as_str().expect("a cursor").to_owned();
        let again = format!("/v1/poll?{query}&cursor={cursor}");
        assert_eq!(gateway.get(&again).await.status, 200);
    }
    assert_eq!(
        Stream::open(gateway.address, &format!("/v1/sse?{query}"), &[])
            .await
            .status,
        200
    );
    let (_, welcome) = Ws::welcomed(gateway.address, &format!("/v1/ws?{query}")).await;
    assert_eq!(welcome["channels"].as_array().unwrap().len(), 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_values_of_polls_and_history_are_refused() {
    let gateway = Gateway::start().await;
    let refused = [
        "/v1/poll?channel=a&limit=0",
        "/v1/poll?channel=a&limit=1001",
        "/v1/poll?channel=a&limit=ten",
        "/v1/poll?channel=a&limit=1&limit=1",
        "/v1/poll?channel=a&limit=99999999999999999999",
        "/v1/longpoll?channel=a&wait=56",
        "/v1/longpoll?channel=a&wait=-1",
        "/v1/longpoll?channel=a&wait=",
        "/v1/longpoll?channel=a&wait=nan",
        "/v1/longpoll?channel=a&wait=1e3",
        "/v1/longpoll?channel=a&wait=1.2.3",
        "/v1/history",
        "/v1/history?channel=a&channel=b",
        "/v1/history?channel=a&order=up",
        "/v1/history?channel=a&limit=0",
    ];
    for target in refused {
        let response = gateway.get(target).await;
        assert_eq!(
            (response.status, response.code().as_str()),
            (400, "bad_request"),
            "{target}"
        );
    }
    let accepted = [
        "/v1/poll?channel=a&limit=1000",
        "/v1/poll?channel=a&limit=1",
        "/v1/longpoll?channel=a&wait=0.01",
        "/v1/poll?channel=a&unknown=x&unknown=y",
        "/v1/history?channel=a&cursor=now&order=desc",
    ];
    for target in accepted {
        assert_eq!(gateway.get(target).await.status, 200, "{target}");
    }
    let tag = gateway
        .request(
            "GET",
            "/v1/poll?channel=a",
            &[("if-none-match", "nonsense")],
            b"",
        )
        .await;
    assert_eq!(
        (tag.status, tag.code().as_str()),
        (400, "bad_cursor"),
        "a bad tag is never a silent now"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_paths_and_methods_get_json_errors() {
    let gateway = Gateway::start().await;
    for path in [
        "/nope",
        "/v1",
        "/v1/ws/",
        "/v1/poll/x",
        "//v1/poll",
        "/v1/sends",
        "/v1/presences",
    ] {
        let response = gateway.get(path).await;
        assert_eq!(
            (response.status, response.code().as_str()),
            (404, "not_found"),
            "{path}"
        );
    }
    let wrong = [
        ("POST", "/v1/poll", "GET, OPTIONS"),
        ("GET", "/v1/publish", "POST, OPTIONS"),
        ("DELETE", "/healthz", "GET, HEAD, OPTIONS"),
        ("HEAD", "/v1/sse", "GET, OPTIONS"),
        ("PUT", "/v1/ws", "GET, CONNECT, OPTIONS"),
    ];
    for (method, path, allow) in wrong {
        let response = gateway.request(method, path, &[], b"").await;
        assert_eq!(
            (response.status, response.header("allow")),
            (405, allow),
            "{method} {path}"
        );
        if method != "HEAD" {
            assert_eq!(response.code(), "method_not_allowed", "{method} {path}");
        }
    }
    for path in ["/healthz", "/readyz", "/metrics", "/v1/transports"] {
        let head = gateway.request("HEAD", path, &[], b"").await;
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        assert_eq!(gateway.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_bodies_are_refused() {
    let gateway = Gateway::start().await;
    let text: &[(&str, &str)] = &[("content-type", "text/plain")];
    let json: &[(&str, &str)] = &[("content-type", "application/json")];
    let form: &[(&str, &str)] = &[("content-type", "application/x-www-form-urlencoded")];
    type Headers<'a> = &'a [(&'a str, &'a str)];
    let cases: [(&[u8], Headers, &str); 7] = [
        (b"", json, "bad_json"),
        (b"hello", json, "bad_json"),
        (b"hello", form, "bad_json"),
        (b"hello", &[], "bad_json"),
        (b"\"\xff\"", json, "bad_json"),
        (b"\xff", text, "bad_request"),
        (b"{\"a\":1", json, "bad_json"),
    ];
    for (body, headers, code) in cases {
        let response = gateway.publish_raw("a", body, headers).await;
        assert_eq!(
            (response.status, response.code().as_str()),
            (400, code),
            "{body:?}"
        );
    }
    let hint = gateway.publish_raw("a", b"hello", &[]).await.text();
    assert!(
        hint.contains("text/plain"),
        "the error says what to do: {hint}"
    );
    assert_eq!(
        gateway.poll("channel=a&cursor=earliest").await["messages"],
        json!([]),
        "nothing was published"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_fits_its_limit_and_not_a_byte_more() {
    let gateway = Gateway::with(|config| config.limits.message_bytes_max = 1000).await;
    let text: &[(&str, &str)] = &[("content-type", "text/plain")];
    let bytes: &[(&str, &str)] = &[("content-type", "application/octet-stream")];
    let string = |length: usize| json!("x".repeat(length - 2)).to_string().into_bytes();
    for (fits, past, headers) in [
        (string(1000), string(1001), &[][..]),
        (vec![b'x'; 1000], vec![b'x'; 1001], text),
        (vec![0xff; 1000], vec![0xff; 1001], bytes),
        (
            [b" ".repeat(500), string(1000)].concat(),
            [b" ".repeat(500), string(1001)].concat(),
            &[][..],
        ),
    ] {
        assert_eq!(gateway.publish_raw("a", &fits, headers).await.status, 200);
        let refused = gateway.publish_raw("a", &past, headers).await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (413, "too_large")
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_says_it_is_too_large_is_refused_before_it_is_read() {
    let gateway = Gateway::start().await;
    let head = format!(
        "POST /v1/publish?channel=a HTTP/1.1\r\nhost: {}\r\ncontent-length: 10000000000\r\n\r\n",
        gateway.address
    );
    let answer = raw(gateway.address, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_without_a_length_is_cut_at_the_limit() {
    let gateway = Gateway::with(|config| config.limits.message_bytes_max = 1000).await;
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    let head = format!(
        "POST /v1/publish?channel=a HTTP/1.1\r\nhost: {}\r\ntransfer-encoding: chunked\r\n\r\n",
        gateway.address
    );
    let answer = raw(gateway.address, (head + &chunk.repeat(4)).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_does_not_end_is_cut() {
    let gateway = Gateway::with(|config| {
        config.timeouts.head_s = serde_json::from_value(json!(0.2)).expect("seconds");
    })
    .await;
    for begun in [
        "",
        "GET /healthz HT",
        "GET /healthz HTTP/1.1\r\nhost: local",
    ] {
        // Ends only because the gateway closes.
        let answer = raw(gateway.address, begun.as_bytes()).await;
        assert!(
            !answer.contains("200 OK"),
            "{begun:?} was answered {answer:?}"
        );
    }
    assert_eq!(gateway.get("/healthz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_does_not_end_is_given_up() {
    let gateway = Gateway::with(|config| {
        config.timeouts.body_s = serde_json::from_value(json!(0.2)).expect("seconds");
    })
    .await;
    let head = format!(
        "POST /v1/publish?channel=a HTTP/1.1\r\nhost: {}\r\ncontent-length: 5\r\n\r\n12",
        gateway.address
    );
    let answer = raw(gateway.address, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_over_its_limit_is_refused() {
    let gateway = Gateway::with(|config| config.limits.head_bytes_max = 8192).await;
    let request = |padding: usize| {
        format!(
            "GET /healthz HTTP/1.1\r\nhost: {}\r\nconnection: close\r\nx-padding: {}\r\n\r\n",
            gateway.address,
            "x".repeat(padding)
        )
    };
    assert!(
        raw(gateway.address, request(7000).as_bytes())
            .await
            .starts_with("HTTP/1.1 200 ")
    );
    assert!(
        raw(gateway.address, request(9000).as_bytes())
            .await
            .starts_with("HTTP/1.1 431 ")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_upgrades_are_refused_by_http() {
    let gateway = Gateway::start().await;
    let good = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let without = |name: &str| {
        good.iter()
            .copied()
            .filter(|(known, _)| *known != name)
            .collect::<Vec<_>>()
    };
    for (missing, status) in [
        ("connection", 426),
        ("upgrade", 426),
        ("sec-websocket-version", 426),
        ("sec-websocket-key", 400),
    ] {
        let response = gateway
            .request("GET", "/v1/ws", &without(missing), b"")
            .await;
        assert_eq!(
            (response.status, response.code().as_str()),
            (status, "bad_request"),
            "without {missing}"
        );
        if status == 426 {
            assert_eq!(
                (
                    response.header("upgrade"),
                    response.header("sec-websocket-version")
                ),
                ("websocket", "13")
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_over_the_limit_are_closed() {
    let gateway = Gateway::with(|config| config.limits.sockets_max = 2).await;
    let (first, _) = Ws::welcomed(gateway.address, "/v1/ws").await;
    let (second, _) = Ws::welcomed(gateway.address, "/v1/ws").await;
    let mut third = tokio::net::TcpStream::connect(gateway.address)
        .await
        .expect("the port is open");
    // It may be closed before or after this is written.
    drop(
        third
            .write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
            .await,
    );
    assert_eq!(raw_rest(third).await, "");
    drop((first, second));
    let freed = || async {
        let asked = raw(
            gateway.address,
            b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
        )
        .await;
        asked.starts_with("HTTP/1.1 200")
    };
    super::support::until("a place to be free", freed).await;
}

async fn raw_rest(mut stream: tokio::net::TcpStream) -> String {
    use tokio::io::AsyncReadExt;
    let mut rest = Vec::new();
    let read = super::support::within("the gateway to close", stream.read_to_end(&mut rest)).await;
    drop(read);
    String::from_utf8_lossy(&rest).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_open_mode_requests_from_elsewhere_are_refused() {
    let gateway = Gateway::start().await;
    let cases: [(&str, &[(&str, &str)]); 8] = [
        ("DNS rebinding", &[("host", "evil.example:8080")]),
        (
            "DNS rebinding, same origin",
            &[("host", "evil.example"), ("origin", "http://evil.example")],
        ),
        ("another name of this machine", &[("host", "0.0.0.0:8080")]),
        ("a proxy", &[("forwarded", "for=1.2.3.4")]),
        ("a proxy", &[("x-forwarded-for", "1.2.3.4")]),
        ("another origin", &[("origin", "http://evil.example")]),
        ("no origin to speak of", &[("origin", "null")]),
        (
            "another site, without an origin",
            &[
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "no-cors"),
            ],
        ),
    ];
    for (case, headers) in cases {
        for (method, target) in [
            ("GET", "/v1/poll?channel=a"),
            ("POST", "/v1/publish?channel=a"),
            ("GET", "/v1/ws"),
            ("GET", "/healthz"),
            ("OPTIONS", "/v1/publish"),
        ] {
            let response = gateway.request(method, target, headers, b"1").await;
            assert_eq!(
                (response.status, response.code().as_str()),
                (403, "forbidden"),
                "{case}: {method} {target}"
            );
            assert_eq!(
                response.header("access-control-allow-origin"),
                "",
                "{case}: {method} {target}"
            );
        }
    }
    let port = gateway.address.port();
    for host in [
        format!("localhost:{port}"),
        format!("LOCALHOST:{port}"),
        "127.0.0.1".to_owned(),
        "[::1]:1".to_owned(),
    ] {
        assert_eq!(
            gateway
                .request("GET", "/healthz", &[("host", &host)], b"")
                .await
                .status,
            200,
            "{host}"
        );
    }
    let port = gateway.address.port();
    let own = format!("http://localhost:{port}");
    let host = format!("localhost:{port}");
    let two = [
        ("host", host.as_str()),
        ("origin", own.as_str()),
        ("origin", "http://evil.example"),
    ];
    assert_eq!(
        gateway.request("GET", "/healthz", &two, b"").await.status,
        403
    );
    let shouted = [("sec-fetch-site", "Cross-Site")];
    assert_eq!(
        gateway
            .request("GET", "/healthz", &shouted, b"")
            .await
            .status,
        403
    );
    let absolute =
        "GET http://evil.example/healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    assert!(
        raw(gateway.address, absolute.as_bytes())
            .await
            .starts_with("HTTP/1.1 403 ")
    );
    let two = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\nconnection: close\r\n\r\n";
    assert!(
        raw(gateway.address, two.as_bytes())
            .await
            .starts_with("HTTP/1.1 403 ")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_allowed_origin_may_see_and_send() {
    let gateway =
        Gateway::with(|config| config.server.origins = vec!["https://app.example".to_owned()])
            .await;
    let origin = [("origin", "https://app.example")];
    let response = gateway
        .request("GET", "/v1/poll?channel=a", &origin, b"")
        .await;
    assert_eq!(
        (
            response.status,
            response.header("access-control-allow-origin")
        ),
        (200, "https://app.example")
    );
    assert!(
        response
            .header("access-control-expose-headers")
            .contains("ETag")
    );
    assert_eq!(response.header("vary"), "Origin");
    assert!(
        !response
            .headers
            .contains_key("access-control-allow-credentials")
    );

    let preflight = gateway
        .request("OPTIONS", "/v1/publish?channel=a", &origin, b"")
        .await;
    assert_eq!((preflight.status, preflight.body.len()), (204, 0));
    assert!(
        preflight
            .header("access-control-allow-methods")
            .contains("POST")
    );
    assert!(
        preflight
            .header("access-control-allow-headers")
            .contains("Idempotency-Key")
    );

    let error = gateway.request("GET", "/v1/poll", &origin, b"").await;
    assert_eq!(
        (error.status, error.header("access-control-allow-origin")),
        (400, "https://app.example")
    );
    let own = format!("http://{}", gateway.address);
    let other = gateway
        .request("GET", "/healthz", &[("origin", &own)], b"")
        .await;
    assert_eq!(other.status, 403, "with a list, the list decides");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anonymous_rights_are_all_or_nothing_and_named() {
    let gateway = Gateway::with(|config| {
        let anonymous = json!({"subscribe": ["news", "room:*"], "publish": ["room:1"]});
        config.auth.anonymous = Some(serde_json::from_value(anonymous).expect("rights"));
    })
    .await;
    let headers = [("host", "public.example"), ("x-forwarded-for", "1.2.3.4")];
    let allowed = gateway
        .request("GET", "/v1/poll?channel=news&channel=room:7", &headers, b"")
        .await;
    assert_eq!(
        allowed.status, 200,
        "with rights configured, others are served, through proxies too"
    );
    for via in [Via::Sse, Via::LongPoll, Via::Poll] {
        let refused = gateway
            .get(&format!("{}?channel=news&channel=secret", via.path()))
            .await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (403, "forbidden"),
            "{via:?}"
        );
        assert_eq!(refused.json()["error"]["channel"], "secret", "{via:?}");
    }
    let (last, close, _) = Ws::open(gateway.address, "/v1/ws?channel=news&channel=secret")
        .await
        .end()
        .await;
    assert_eq!((close, &last["channel"]), (4003, &json!("secret")));

    let (mut ws, _) = Ws::welcomed(gateway.address, "/v1/ws?channel=news").await;
    for command in [
        json!({"action": "subscribe", "channel": "secret"}),
        json!({"action": "publish", "channel": "news", "data": 1}),
        json!({"action": "history", "channel": "secret"}),
    ] {
        let answer = ws.ask(command.clone()).await;
        assert_eq!(
            (&answer["type"], &answer["code"]),
            (&json!("error"), &json!("forbidden")),
            "{command}"
        );
    }
    let answer = ws
        .ask(json!({"action": "publish", "channel": "room:1", "data": 1}))
        .await;
    assert_eq!(answer["type"], "published");

    assert_eq!(gateway.publish_raw("news", b"1", &[]).await.status, 403);
    assert_eq!(gateway.get("/v1/history?channel=secret").await.status, 403);
    assert_eq!(
        gateway.get("/metrics").await.status,
        403,
        "counters are for administrators"
    );
    assert_eq!(
        gateway.get("/v1/poll?channel=news&user=alice").await.code(),
        "bad_request"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_writes_to_presence() {
    let gateway = Gateway::start().await;
    let refused = gateway.publish_raw("presence:room:1", b"1", &[]).await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (403, "forbidden")
    );
    let mixed = gateway
        .publish_raw("a&channel=presence:room:1", b"1", &[])
        .await;
    assert_eq!(mixed.status, 403);
    let page: Value = gateway.poll("channel=a&cursor=earliest").await;
    assert_eq!(
        page["messages"],
        json!([]),
        "one channel refused refuses the request"
    );
}
