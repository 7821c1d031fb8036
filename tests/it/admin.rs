//! What administrators see and do, by a credential or by the listener that is theirs; and everybody who is none.

use std::sync::LazyLock;

use everyway::attachments::Holder;
use everyway::bus::UserName;
use everyway::config::{ApiKey, Config, Seconds};
use everyway::server::Server;
use everyway::transport::Transport;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::process::Command;

use super::support::http::{self, Response};
use super::support::http2::Http2;
use super::support::program::Program;
use super::support::ws::Ws;
use super::support::{Gateway, until, within};

const ADMIN: &str = "ew_admin_0123456789abcdef0123456789";
const BACKEND: &str = "ew_backend_0123456789abcdef01234567";
const SECRET: &str = "a-secret-of-more-than-thirty-two-bytes";
/// What an administrator may ask for, and nobody else.
const ASKED: [(&str, &str); 5] = [
    ("GET", "/v1/admin/channels"),
    ("GET", "/v1/admin/sessions"),
    ("DELETE", "/v1/history?channel=news"),
    ("POST", "/v1/disconnect?user=nobody"),
    ("GET", "/metrics"),
];

fn key(text: &str, admin: bool) -> ApiKey {
    let digest = Sha256::digest(text);
    ApiKey {
        sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        subscribe: vec!["*".to_owned()],
        publish: vec!["*".to_owned()],
        admin,
        ..ApiKey::default()
    }
}

/// A gateway with a key for an administrator, one for a backend, tokens, and a listener for administrators.
async fn guarded(change: impl FnOnce(&mut Config)) -> Gateway {
    // Written once: other tests read it meanwhile.
    static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("secret"), SECRET).expect("a file");
        folder
    });
    let secret = FOLDER.path().join("secret");
    let secret = secret.to_str().expect("a path in UTF-8").to_owned();
    Gateway::with(|config| {
        config.auth.api_keys = vec![key(ADMIN, true), key(BACKEND, false)];
        config.auth.secret_file = secret;
        config.server.admin_listen = vec!["127.0.0.1:0".to_owned()];
        change(config);
    })
    .await
}

/// A token of a user, good until a time in seconds since 1970.
fn token(user: &str, id: &str, expires_s: u64) -> String {
    let claims = json!({"sub": user, "jti": id, "exp": expires_s, "subscribe": ["*"]});
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    encode(&Header::default(), &claims, &key).expect("a token")
}

async fn ask(gateway: &Gateway, method: &str, target: &str, key: &str) -> Response {
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", bearer.as_str())];
    gateway.request(method, target, &headers, b"").await
}

/// A page of a list, by the listener for administrators.
async fn page(gateway: &Gateway, target: &str) -> Value {
    let response = gateway.admin("GET", target).await;
    assert_eq!(response.status, 200, "{target}: {}", response.text());
    assert_eq!(response.header("cache-control"), "no-store");
    response.json()
}

/// All pages of a list, as one.
async fn pages(gateway: &Gateway, list: &str, query: &str) -> Vec<Value> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let page = page(gateway, &format!("/v1/admin/{list}?{query}{after}")).await;
        let entries = page[list].as_array().expect("a list");
        all.extend(entries.iter().cloned());
        let Some(next) = page.get("after") else {
            assert_eq!(page.get("more"), None);
            return all;
        };
        assert_eq!(page["more"], true);
        after = format!("&after={}", next.as_str().expect("text"));
    }
}

fn members<'a>(entries: &'a [Value], name: &str) -> Vec<&'a str> {
    let member = |entry: &'a Value| entry[name].as_str().expect("text");
    entries.iter().map(member).collect()
}

async fn publish(gateway: &Gateway, channel: &str, count: u64) {
    for n in 1..=count {
        let bearer = format!("Bearer {BACKEND}");
        let headers = [("authorization", bearer.as_str())];
        let body = n.to_string();
        let response = gateway
            .publish_raw(channel, body.as_bytes(), &headers)
            .await;
        assert_eq!(response.status, 200, "{}", response.text());
    }
}

#[tokio::test]
async fn only_administrators_are_answered() {
    let gateway = guarded(|_| ()).await;
    for (method, target) in ASKED {
        let none = gateway.request(method, target, &[], b"").await;
        assert_eq!((none.status, none.code().as_str()), (401, "unauthorized"));
        let backend = ask(&gateway, method, target, BACKEND).await;
        assert_eq!(
            (backend.status, backend.code().as_str()),
            (403, "forbidden")
        );
        let admin = ask(&gateway, method, target, ADMIN).await;
        assert_eq!(admin.status, 200, "{method} {target}: {}", admin.text());
        let by_listener = gateway.admin(method, target).await;
        assert_eq!(by_listener.status, 200, "{method} {target}");
    }
}

#[tokio::test]
async fn the_admin_listener_has_nothing_for_others() {
    let gateway = guarded(|_| ()).await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(gateway.admin("GET", path).await.status, 200);
    }
    for (method, target) in [
        ("GET", "/v1/poll?channel=news"),
        ("GET", "/v1/longpoll?channel=news&wait=0"),
        ("GET", "/v1/sse?channel=news"),
        ("GET", "/v1/ws?channel=news"),
        ("POST", "/v1/publish?channel=news"),
        ("POST", "/v1/ticket"),
        ("GET", "/v1/transports"),
        ("GET", "/v1/admin"),
    ] {
        let response = gateway.admin(method, target).await;
        assert_eq!(
            (response.status, response.code().as_str()),
            (404, "not_found")
        );
        assert!(response.text().contains("/v1/admin/channels"));
    }
    let history = gateway.admin("GET", "/v1/history?channel=news").await;
    assert_eq!(history.status, 405);
    assert_eq!(history.header("allow"), "DELETE, OPTIONS");
    // What is presented there does not matter.
    let address = gateway.admin.expect("a listener");
    let bad = [("authorization", "Bearer nonsense")];
    let response = http::request(address, "GET", "/metrics", &bad, b"").await;
    assert_eq!(response.status, 200);
}

#[tokio::test]
async fn nobody_pretends_to_come_by_the_admin_listener() {
    let gateway = guarded(|_| ()).await;
    let admin = gateway.admin.expect("a listener").to_string();
    for (name, value) in [
        ("host", admin.as_str()),
        ("host", "localhost"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", &admin),
        (
            "x-forwarded-port",
            admin.rsplit_once(':').expect("a port").1,
        ),
        ("forwarded", &format!("for=127.0.0.1;host=\"{admin}\"")),
        ("x-everyway-entrance", "admin"),
    ] {
        for (method, target) in ASKED {
            let response = gateway.request(method, target, &[(name, value)], b"").await;
            assert_eq!(response.code(), "unauthorized", "{name}: {value}");
        }
    }
    // The absolute form names another authority than the port that it is sent to (RFC 9112, section 3.2.2).
    let request = format!(
        "GET http://{admin}/metrics HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n"
    );
    let answer = http::raw(gateway.address, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    let http2 = Http2::connect(gateway.address).await;
    assert_eq!(http2.get("/metrics").await.status, 401);
    let http2 = Http2::connect(gateway.admin.expect("a listener")).await;
    assert_eq!(http2.get("/metrics").await.status, 200);
}

#[tokio::test]
async fn the_admin_listener_keeps_pages_and_proxies_out() {
    let gateway = guarded(|config| {
        config.server.admin_hosts = vec!["gateway.internal".to_owned()];
        config.server.origins = vec!["https://app.example".to_owned()];
    })
    .await;
    let address = gateway.admin.expect("a listener");
    let own = format!("http://{address}");
    for refused in [
        &[("host", "evil.example")][..],
        &[("host", "gateway.internal.evil.example:9100")],
        &[("origin", "http://evil.example")],
        &[("origin", "https://app.example")],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "no-cors"),
        ],
        &[("x-forwarded-for", "10.0.0.1")],
        &[("forwarded", "for=10.0.0.1")],
    ] {
        for (method, target) in ASKED {
            let response = http::request(address, method, target, refused, b"").await;
            let told = (response.status, response.code());
            assert_eq!(told, (403, "forbidden".to_owned()), "{refused:?}");
            assert_eq!(response.header("access-control-allow-origin"), "");
        }
    }
    for let_in in [
        &[("host", "gateway.internal:9100")][..],
        &[("host", "10.1.2.3:9100")],
        &[("host", "[fd00::1]:9100")],
        &[("host", "localhost")],
        &[("origin", own.as_str())],
        &[("sec-fetch-site", "same-origin")],
        &[("sec-fetch-site", "none")],
        &[
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
        ],
    ] {
        let response = http::request(address, "GET", "/metrics", let_in, b"").await;
        assert_eq!(response.status, 200, "{let_in:?}: {}", response.text());
    }
    // Following a link does nothing but look.
    let link = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
    ];
    let response = http::request(address, "POST", "/v1/disconnect?user=a", &link, b"").await;
    assert_eq!(response.status, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_does_not_lock_administrators_out() {
    let gateway = guarded(|config| {
        config.limits.loopback = true;
        config.limits.requests = "1/3600s".parse().expect("a rule");
        config.limits.sockets_max = 1;
        config.limits.sockets_per_address_max = 1;
        config.limits.admin_sockets_max = 2;
    })
    .await;
    let connect = async |address| TcpStream::connect(address).await.expect("a listener");
    let _crowd = connect(gateway.address).await;
    let is_full = async || {
        let mut other = connect(gateway.address).await;
        let read = within("an end", other.read(&mut [0])).await;
        read.is_ok_and(|bytes| bytes == 0)
    };
    until("the crowd to fill the gateway", is_full).await;
    let admin = gateway.admin.expect("a listener");
    let one = Http2::connect(admin).await;
    for _ in 0..20 {
        assert_eq!(one.get("/metrics").await.status, 200);
    }
    // They have a limit of their own.
    let _two = connect(admin).await;
    let mut third = connect(admin).await;
    let read = within("the third to be closed", third.read(&mut [0])).await;
    assert!(read.is_err() || read.is_ok_and(|bytes| bytes == 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_can_be_scraped_while_it_goes_down() {
    let mut gateway = guarded(|_| ()).await;
    let target = format!("/v1/ws?channel=news&token={BACKEND}");
    // It does not answer the farewell, so the drain waits for it.
    let ws = Ws::welcomed(gateway.address, &target).await;
    gateway.begin_drain();
    let unready = async || gateway.admin("GET", "/readyz").await.status == 503;
    until("readiness to go", unready).await;
    for _ in 0..5 {
        let metrics = gateway.admin("GET", "/metrics").await;
        assert_eq!(metrics.status, 200);
        assert!(metrics.text().contains("everyway_attachments"));
        assert_eq!(gateway.admin("GET", "/v1/admin/sessions").await.status, 200);
    }
    drop(ws);
    let address = gateway.admin.expect("a listener");
    gateway.down().await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn channels_are_listed_with_what_they_hold() {
    let gateway = guarded(|_| ()).await;
    publish(&gateway, "news", 3).await;
    publish(&gateway, "room:1", 1).await;
    let target = format!("/v1/ws?channel=news&channel=room:2&token={BACKEND}");
    let (_ws, _) = Ws::welcomed(gateway.address, &target).await;
    let list = page(&gateway, "/v1/admin/channels").await;
    assert_eq!(
        list.as_object().expect("an object").len(),
        1,
        "no more: {list}"
    );
    let channels = list["channels"].as_array().expect("a list");
    assert_eq!(members(channels, "channel"), ["news", "room:1", "room:2"]);
    let mut news = channels[0].clone();
    let bytes = news["bytes"].as_u64().expect("a number");
    assert!(bytes > 3 * 192, "{bytes}");
    for name in ["bytes", "epoch", "idle_s"] {
        assert!(
            news.as_object_mut()
                .expect("an object")
                .remove(name)
                .is_some()
        );
    }
    let expected = json!({"channel": "news", "offset": 3, "messages": 3, "subscribers": 1});
    assert_eq!(news, expected);
    assert_eq!(
        (&channels[2]["offset"], &channels[2]["subscribers"]),
        (&json!(0), &json!(1))
    );
    let rooms = page(&gateway, "/v1/admin/channels?prefix=room:&limit=1").await;
    assert_eq!(
        (&rooms["more"], &rooms["after"]),
        (&json!(true), &json!("room:1"))
    );
}

#[tokio::test]
async fn pages_of_channels_hold_while_channels_come_and_go() {
    let gateway = guarded(|config| {
        config.history.channels_max = 60;
    })
    .await;
    let mut random = fastrand::Rng::with_seed(super::support::seed());
    let name = |n: u32| format!("stays:{n:02}");
    let target: String = (0..20).map(|n| format!("&channel={}", name(n))).collect();
    let (_ws, _) = Ws::welcomed(gateway.address, &format!("/v1/ws?token={BACKEND}{target}")).await;
    let (mut listed, mut after) = (Vec::new(), String::new());
    loop {
        // Each new one takes the place of an idle one, from the fortieth on.
        publish(&gateway, &format!("goes:{}", random.u32(..)), 1).await;
        publish(&gateway, &format!("zoes:{}", random.u32(..)), 1).await;
        let page = page(&gateway, &format!("/v1/admin/channels?limit=3{after}")).await;
        let channels = page["channels"].as_array().expect("a list");
        listed.extend(
            channels
                .iter()
                .map(|entry| entry["channel"].as_str().expect("text").to_owned()),
        );
        match page.get("after") {
            Some(next) => after = format!("&after={}", next.as_str().expect("text")),
            None => break,
        }
    }
    assert!(
        listed.is_sorted_by(|a, b| a < b),
        "each once, in order: {listed:?}"
    );
    let staying = listed.iter().filter(|name| name.starts_with("stays:"));
    assert_eq!(staying.count(), 20);
}

#[tokio::test]
async fn sessions_are_listed_with_who_they_are_and_no_secret() {
    let gateway = guarded(|_| ()).await;
    let token = token("bob", "t1", 4_000_000_000);
    let secret_id = "0123456789abcdef";
    let target = format!("channel=news&channel=room:1&session={secret_id}&token={token}");
    let before = page(&gateway, "/v1/admin/sessions").await;
    assert_eq!(before, json!({"sessions": []}));
    let (mut ws, welcome) = Ws::welcomed(gateway.address, &format!("/v1/ws?{target}")).await;
    let response = gateway.admin("GET", "/v1/admin/sessions").await;
    for secret in [token.as_str(), secret_id] {
        assert!(!response.text().contains(secret), "{}", response.text());
    }
    let mut session = response.json()["sessions"][0].clone();
    let since = session["since"].as_u64().expect("a number");
    assert!(since > 1_700_000_000_000, "{since}");
    session.as_object_mut().expect("an object").remove("since");
    let expected = json!({"session": welcome["session"], "user": "bob", "transport": "websocket", "address": "127.0.0.1",
        "channels": 2, "until": 4_000_000_031_000_u64, "jti": "t1"});
    assert_eq!(session, expected);
    ws.ask(json!({"action": "unsubscribe", "channel": "news"}))
        .await;
    let list = page(&gateway, "/v1/admin/sessions?user=bob&channel=room:1").await;
    assert_eq!(list["sessions"][0]["channels"], 1);
    for query in [
        "channel=news",
        "user=eve",
        "user=eve&channel=room:1",
        "channel=nobody",
    ] {
        let list = page(&gateway, &format!("/v1/admin/sessions?{query}")).await;
        assert_eq!(list, json!({"sessions": []}), "{query}");
    }
    ws.close().await;
    let is_empty = async || page(&gateway, "/v1/admin/sessions").await == before;
    until("the session to leave the list", is_empty).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_sessions_hold_while_sessions_come_and_go() {
    let gateway = guarded(|_| ()).await;
    let open = async |user: &str| {
        let token = token(user, user, 4_000_000_000);
        let target = format!("/v1/ws?channel=news&token={token}");
        Ws::welcomed(gateway.address, &target).await.0
    };
    let (mut staying, mut others) = (Vec::new(), Vec::new());
    for n in 0..10 {
        others.push(open(&format!("other{n}")).await);
        staying.push(open(&format!("stays{n}")).await);
    }
    for query in ["limit=2", "limit=3&channel=news"] {
        let (mut users, mut after) = (Vec::new(), String::new());
        loop {
            others.remove(0).close().await;
            others.push(open(&format!("later{}", users.len())).await);
            let page = page(&gateway, &format!("/v1/admin/sessions?{query}{after}")).await;
            let sessions = page["sessions"].as_array().expect("a list");
            users.extend(
                members(sessions, "user")
                    .iter()
                    .map(|user| (*user).to_owned()),
            );
            match page.get("after") {
                Some(next) => after = format!("&after={}", next.as_str().expect("text")),
                None => break,
            }
        }
        for n in 0..10 {
            let user = format!("stays{n}");
            assert_eq!(
                users.iter().filter(|met| **met == user).count(),
                1,
                "{query}: {user}"
            );
        }
    }
    let one = pages(&gateway, "sessions", "limit=1&user=stays3").await;
    assert_eq!(members(&one, "user"), ["stays3"]);
}

#[tokio::test]
async fn a_page_of_sessions_looks_at_so_many_and_no_more() {
    const PLACES_MAX: usize = 65_536;
    let gateway = guarded(|_| ()).await;
    let enter = |user: &str| {
        let holder = Holder {
            user: UserName::parse(user).ok(),
            public_id: None,
            brings_session: false,
            withdrawn: None,
            token_id: None,
            ends_at_s: None,
            address: [127, 0, 0, 1].into(),
        };
        let attachments = &gateway.inner.attachments;
        attachments.enter(Transport::Sse, holder).expect("a place")
    };
    let _crowd: Vec<_> = (0..PLACES_MAX).map(|_| enter("")).collect();
    let _bob = enter("bob");
    let first = page(&gateway, "/v1/admin/sessions?user=bob").await;
    assert_eq!(
        (&first["sessions"], &first["more"]),
        (&json!([]), &json!(true))
    );
    let bobs = pages(&gateway, "sessions", "user=bob").await;
    assert_eq!(members(&bobs, "user"), ["bob"]);
    let full = page(&gateway, "/v1/admin/sessions?limit=1000").await;
    assert_eq!(full["sessions"].as_array().expect("a list").len(), 1000);
    assert_eq!(full["more"], true);
}

#[tokio::test]
async fn every_transport_that_stays_is_listed() {
    let gateway = guarded(|_| ()).await;
    let target = |path: &str| format!("{path}?channel=news&wait=50&token={BACKEND}");
    let (_ws, _) = Ws::welcomed(gateway.address, &target("/v1/ws")).await;
    let sse = http::open(gateway.address, "GET", &target("/v1/sse"), &[], b"").await;
    let (address, poll) = (gateway.address, target("/v1/longpoll"));
    let poll = tokio::spawn(async move { http::request(address, "GET", &poll, &[], b"").await });
    let all_there = async || {
        let list = pages(&gateway, "sessions", "channel=news").await;
        let mut transports = members(&list, "transport");
        transports.sort_unstable();
        transports == ["longpoll", "sse", "websocket"]
    };
    until("all three to be listed", all_there).await;
    poll.abort();
    drop(sse);
}

#[tokio::test]
async fn bad_questions_are_bad_requests() {
    let gateway = guarded(|_| ()).await;
    // The longest name of a channel is an inbox's.
    let (at, past) = ("a".repeat(385), "a".repeat(386));
    for query in [
        "channels?limit=1000",
        &format!("channels?prefix={at}&after={at}"),
        "sessions?limit=1000&after=0",
        "sessions?after=18446744073709551615",
        "sessions?channel=news&after=18446744073709551614",
    ] {
        let response = gateway.admin("GET", &format!("/v1/admin/{query}")).await;
        assert_eq!(response.status, 200, "{query}: {}", response.text());
    }
    for query in [
        "channels?limit=1001",
        "channels?limit=0",
        "channels?limit=x",
        &format!("channels?prefix={past}"),
        &format!("channels?after={past}"),
        "channels?prefix=a&prefix=b",
        "sessions?limit=1001",
        "sessions?after=x",
        "sessions?after=-1",
        "sessions?after=18446744073709551616",
        "sessions?channel=a%20b",
        "sessions?user=",
    ] {
        let response = gateway.admin("GET", &format!("/v1/admin/{query}")).await;
        assert_eq!(response.code(), "bad_request", "{query}");
    }
    for query in ["", "?channel=a%20b", "?channel=a&channel=b"] {
        let response = gateway
            .admin("DELETE", &format!("/v1/history{query}"))
            .await;
        assert_eq!(response.code(), "bad_request", "{query}");
    }
}

#[tokio::test]
async fn a_reload_changes_the_names_and_no_port() {
    let gateway = guarded(|_| ()).await;
    let address = gateway.admin.expect("a listener");
    let named = async || {
        let host = [("host", "gateway.internal:9100")];
        let response = http::request(address, "GET", "/metrics", &host, b"").await;
        response.status
    };
    assert_eq!(named().await, 403);
    let mut config = Config::clone(&gateway.inner.config());
    config.server.admin_hosts = vec!["gateway.internal".to_owned()];
    let reload = |config: &Config| gateway.inner.reload(config.clone()).expect("usable");
    assert!(reload(&config).is_empty());
    assert_eq!(named().await, 200);
    config.server.admin_listen = vec!["127.0.0.1:9".to_owned()];
    config.limits.admin_sockets_max = 7;
    let fixed = ["server.admin_listen", "limits.admin_sockets_max"];
    assert_eq!(reload(&config), fixed);
}

#[tokio::test]
async fn a_reload_names_what_is_not_in_force_each_time_until_it_is_taken_back() {
    let gateway = guarded(|_| ()).await;
    let reload = |config: &Config| gateway.inner.reload(config.clone()).expect("usable");
    let before = Config::clone(&gateway.inner.config());
    let mut config = before.clone();
    config.history.channels_max = 5;
    config.server.echo = true;
    config.timeouts.heartbeat_s = Seconds::new(99);
    for _ in 0..2 {
        assert_eq!(
            reload(&config),
            [
                "server.echo",
                "history.channels_max",
                "timeouts.heartbeat_s"
            ]
        );
    }
    assert_eq!(gateway.get("/v1/echo").await.status, 404);
    // Clients are told the heartbeat that they get.
    let in_force = gateway.inner.config().timeouts.heartbeat_s;
    assert_eq!(in_force, before.timeouts.heartbeat_s);
    assert!(reload(&before).is_empty());
}

#[tokio::test]
async fn an_address_that_others_reach_is_warned_of_and_refused_in_open_mode() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_everyway"));
    command.args(["serve", "--listen=127.0.0.1:0"]);
    command.args(["--set=server.admin_listen=0.0.0.0:0"]);
    command.args(["--set=auth.anonymous.subscribe=news"]);
    let program = Program::start(command);
    let printed = program.printed_with("listening for administrators").await;
    assert!(printed.contains("WARN"), "{printed}");
    assert!(
        printed.contains("an administrator without a token"),
        "{printed}"
    );
    let mut config = Config::default();
    config.server.listen = vec!["127.0.0.1:0".to_owned()];
    config.server.admin_listen = vec!["0.0.0.0:0".to_owned()];
    let refused = Server::bind(config.clone()).await.expect_err("open mode");
    assert!(
        refused.to_string().contains("server.admin_listen"),
        "{refused}"
    );
    config.server.admin_listen = vec!["nonsense".to_owned()];
    let wrong = config.check().expect_err("no address");
    assert!(wrong.contains("server.admin_listen"), "{wrong}");
    config.server.admin_listen = Vec::new();
    config.server.admin_hosts = vec!["gateway:9100".to_owned()];
    let wrong = config.check().expect_err("no name");
    assert!(wrong.contains("server.admin_hosts"), "{wrong}");
}

#[tokio::test]
async fn what_administrators_do_and_who_can_read_the_secret_is_logged() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_everyway"));
    let secret = crate::tokens::file("shared", crate::tokens::SECRET);
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&secret, open).expect("a file of ours");
    command.args(["serve", "--listen=127.0.0.1:0"]);
    command.args(["--set=server.admin_listen=127.0.0.1:0"]);
    command.args(["--set", &format!("auth.secret_file={secret}")]);
    let program = Program::start(command);
    let printed = program.printed_with("listening for administrators").await;
    assert!(printed.contains("chmod 600"), "{printed}");
    let line = printed.lines().find(|line| line.contains("administrators"));
    let (_, rest) = line
        .and_then(|line| line.rsplit_once("127.0.0.1:"))
        .expect("an address");
    let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let address = format!("127.0.0.1:{port}").parse().expect("an address");
    let target = "/v1/disconnect?user=bob&revoke=60";
    let answer = crate::support::http::request(address, "POST", target, &[], b"").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let logged = program.printed_with("an administrator ended").await;
    assert!(logged.contains("bob") && logged.contains("60"), "{logged}");
}
