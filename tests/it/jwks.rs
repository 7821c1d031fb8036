//! Keys of tokens that come from a URL: they change, they come late, and their source goes down.

use everyway::config::Auth;
use serde_json::json;
use tokio::process::Command;
use yawc::HttpVersion;

use super::support::http::Response;
use super::support::http2::Http2;
use super::support::issuer::{Issuer, Says, Signer};
use super::support::program::Program;
use super::support::sse::Stream;
use super::support::tunnel::Certs;
use super::support::ws::Ws;
use super::support::yawc::Yawc;
use super::support::{Gateway, until, within};

/// A gateway that takes the tokens of an issuer.
async fn of(issuer: &Issuer, change: impl FnOnce(&mut Auth)) -> Gateway {
    Gateway::with(|config| {
        config.auth.jwks_url = issuer.url();
        change(&mut config.auth);
    })
    .await
}

async fn poll(gateway: &Gateway, token: &str) -> Response {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    gateway
        .request("GET", "/v1/poll?channel=news", &headers, b"")
        .await
}

async fn status(gateway: &Gateway, token: &str) -> u16 {
    poll(gateway, token).await.status
}

/// An issuer and a gateway that knows the first key, and a token of the one that came after.
async fn rotated() -> (Issuer, Gateway, String) {
    let issuer = Issuer::start().await;
    let first = issuer.rotate();
    let gateway = of(&issuer, |_| ()).await;
    assert_eq!(status(&gateway, &first.token()).await, 200);
    let token = issuer.rotate().token();
    (issuer, gateway, token)
}

/// Bytes for one more byte than a document may have.
fn too_large() -> String {
    " ".repeat(1024 * 1024 + 1)
}

#[tokio::test]
async fn a_new_key_is_good_at_its_first_request_over_every_way_in() {
    for way in [
        "poll", "longpoll", "sse", "history", "publish", "ticket", "query",
    ] {
        let (issuer, gateway, token) = rotated().await;
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        let get = async |target: &str| gateway.request("GET", target, &headers, b"").await.status;
        let post = async |target: &str, body: &[u8]| {
            gateway.request("POST", target, &headers, body).await.status
        };
        let status = match way {
            "poll" => get("/v1/poll?channel=news").await,
            "longpoll" => get("/v1/longpoll?channel=news&wait=0").await,
            "sse" => {
                let target = "/v1/sse?channel=news";
                Stream::open(gateway.address, target, &headers).await.status
            }
            "history" => get("/v1/history?channel=news").await,
            "publish" => post("/v1/publish?channel=news", b"1").await,
            "ticket" => post("/v1/ticket", br#"{"channels":["news"]}"#).await,
            _ => {
                let target = format!("/v1/poll?channel=news&token={token}");
                gateway.get(&target).await.status
            }
        };
        assert_eq!((way, status, issuer.asked()), (way, 200, 2));
    }
}

#[tokio::test]
async fn a_new_key_is_good_at_the_opening_of_a_websocket() {
    let (_issuer, gateway, token) = rotated().await;
    let offers = format!("everyway.v1, bearer.{token}");
    let headers = [("sec-websocket-protocol", offers.as_str())];
    let (mut ws, _) = Ws::with(gateway.address, "/v1/ws?channel=news", &headers).await;
    assert_eq!(ws.json().await["type"], "welcome");
}

#[tokio::test]
async fn a_new_key_is_good_at_its_first_request_over_http2() {
    let (_issuer, gateway, token) = rotated().await;
    let target = format!("/v1/ws?channel=news&token={token}");
    let mut ws = Yawc::open(gateway.address, &target, HttpVersion::Http2, false).await;
    assert_eq!(ws.json().await["type"], "welcome");
    let (_issuer, gateway, token) = rotated().await;
    let http2 = Http2::connect(gateway.address).await;
    let target = format!("/v1/publish?channel=news&token={token}");
    let published = http2.request("POST", &target, "1".into()).await;
    assert_eq!(published.status, 200, "{}", published.text());
}

#[tokio::test]
async fn a_new_key_is_good_for_a_refresh() {
    let issuer = Issuer::start().await;
    let first = issuer.rotate();
    let gateway = of(&issuer, |_| ()).await;
    let target = format!("/v1/ws?channel=news&token={}", first.token());
    let (mut ws, _) = Ws::welcomed(gateway.address, &target).await;
    let second = issuer.rotate();
    let refresh = json!({"action": "refresh", "token": second.token(), "ref": 1});
    let refreshed = ws.ask(refresh).await;
    assert_eq!(refreshed["type"], "refreshed", "{refreshed}");
    assert_eq!((&refreshed["ref"], issuer.asked()), (&json!(1), 2));
    // A key that nobody has stays unknown, and the connection stays as it was.
    let unknown = json!({"action": "refresh", "token": second.sign(Some("x")), "ref": 2});
    let refused = ws.ask(unknown).await;
    assert_eq!(
        (&refused["code"], &refused["ref"]),
        (&json!("unauthorized"), &json!(2))
    );
    assert_eq!(ws.ask(json!({"action": "ping"})).await["type"], "pong");
}

#[tokio::test]
async fn messages_pass_while_a_refresh_waits_for_its_key() {
    let issuer = Issuer::start().await;
    let first = issuer.rotate().token();
    let gateway = of(&issuer, |_| ()).await;
    let target = format!("/v1/ws?channel=news&token={first}");
    let (mut ws, _) = Ws::welcomed(gateway.address, &target).await;
    issuer.says(Says::Silence);
    let refresh = json!({"action": "refresh", "token": issuer.rotate().token(), "ref": 1});
    ws.send(refresh.to_string()).await;
    issuer.asked_times(2).await;
    let target = format!("/v1/publish?channel=news&token={first}");
    let published = gateway.request("POST", &target, &[], b"7").await;
    assert_eq!(published.status, 200, "{}", published.text());
    assert_eq!(ws.json().await["data"], 7);
    let refused = ws.json().await;
    assert_eq!(
        (&refused["code"], &refused["ref"]),
        (&json!("unavailable"), &json!(1))
    );
}

#[tokio::test]
async fn a_flood_of_unknown_keys_asks_once() {
    let (issuer, gateway, token) = rotated().await;
    let unknown = Signer::token(&Issuer::start().await.rotate());
    let asks = (0..100).map(|_| status(&gateway, &unknown));
    let statuses = futures_util::future::join_all(asks).await;
    assert!(statuses.iter().all(|status| *status == 401), "{statuses:?}");
    assert_eq!(issuer.asked(), 2);
    // The round that the flood began brought the new key.
    assert_eq!((status(&gateway, &token).await, issuer.asked()), (200, 2));
}

#[tokio::test]
async fn a_key_without_a_name_is_found_too() {
    let issuer = Issuer::start().await;
    let first = issuer.rotate();
    let gateway = of(&issuer, |_| ()).await;
    assert_eq!(status(&gateway, &first.sign(None)).await, 200);
    let second = issuer.rotate();
    assert_eq!(status(&gateway, &second.sign(None)).await, 200);
    assert_eq!(status(&gateway, &first.sign(None)).await, 401);
    assert_eq!(issuer.asked(), 2);
}

#[tokio::test]
async fn keys_stay_while_their_source_is_down() {
    let issuer = Issuer::start().await;
    let first = issuer.rotate();
    let gateway = of(&issuer, |_| ()).await;
    assert_eq!(status(&gateway, &first.token()).await, 200);
    let second = issuer.rotate();
    issuer.says(Says::Down);
    let refused = poll(&gateway, &second.token()).await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (503, "unavailable")
    );
    assert!(!refused.header("retry-after").is_empty());
    assert_eq!(status(&gateway, &first.token()).await, 200);
    // It is asked again by itself, and not only when somebody needs it.
    issuer.says(Says::Keys);
    until("the new key", async || {
        status(&gateway, &second.token()).await == 200
    })
    .await;
    assert_eq!(status(&gateway, &first.token()).await, 401);
}

#[tokio::test]
async fn a_gateway_starts_without_its_source_and_takes_tokens_once_it_is_there() {
    let issuer = Issuer::start().await;
    let token = issuer.rotate().token();
    issuer.says(Says::Down);
    let gateway = of(&issuer, |_| ()).await;
    let refused = poll(&gateway, &token).await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (503, "unavailable")
    );
    let target = format!("/v1/ws?channel=news&token={token}");
    let (last, close, reason) = Ws::open(gateway.address, &target).await.end().await;
    assert_eq!((close, reason.as_str()), (1013, "unavailable"), "{last}");
    assert!(last["reconnect"] == true && last["retry_after_ms"].is_u64());
    // Nobody is let in meanwhile who has no credentials.
    assert_eq!(gateway.get("/v1/poll?channel=news").await.status, 401);
    issuer.says(Says::Keys);
    until("the first keys", async || {
        status(&gateway, &token).await == 200
    })
    .await;
}

#[tokio::test]
async fn a_source_that_says_nothing_holds_up_only_those_that_need_it() {
    let (issuer, gateway, token) = rotated().await;
    issuer.says(Says::Silence);
    let began = tokio::time::Instant::now();
    let waits = poll(&gateway, &token);
    let others = async {
        issuer.asked_times(2).await;
        let healthy = format!("/healthz?token={token}");
        assert_eq!(gateway.get(&healthy).await.status, 200);
        assert_eq!(gateway.get("/v1/poll?channel=news").await.status, 401);
        began.elapsed()
    };
    let (refused, others) = within("a bounded wait", async { tokio::join!(waits, others) }).await;
    assert_eq!(refused.status, 503);
    assert!(others < began.elapsed() / 2, "{others:?}");
}

#[tokio::test]
async fn tokens_of_a_secret_need_no_source() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("secret");
    let secret = "a-secret-of-more-than-thirty-two-bytes";
    std::fs::write(&file, secret).expect("a file");
    let issuer = Issuer::start().await;
    issuer.says(Says::Silence);
    let gateway = of(&issuer, |auth| {
        auth.secret_file = file.to_str().expect("UTF-8").to_owned();
    })
    .await;
    let claims = json!({"exp": 4_102_444_800_u64, "subscribe": ["*"]});
    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    for kid in [None, Some("x".to_owned())] {
        let header = jsonwebtoken::Header {
            kid,
            ..jsonwebtoken::Header::default()
        };
        let token = jsonwebtoken::encode(&header, &claims, &key).expect("a token");
        let began = tokio::time::Instant::now();
        assert_eq!(status(&gateway, &token).await, 200);
        assert!(began.elapsed().as_secs() < 4, "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_set_has_a_mebibyte_at_most_and_nothing_else_replaces_one() {
    for (says, status) in [
        ("a mebibyte", 200),
        ("more", 503),
        ("more, without a length", 503),
        ("a redirect", 503),
        ("nonsense", 503),
        ("an error", 503),
    ] {
        let (issuer, gateway, token) = rotated().await;
        let set = issuer.set();
        let room = " ".repeat(1024 * 1024 - set.len());
        let elsewhere = "HTTP/1.1 302 Found\r\nLocation: /keys\r\nContent-Length: 0\r\n\r\n";
        issuer.says(match says {
            "a mebibyte" => Says::body(&(set + &room)),
            "more" => Says::body(&(set + &room + " ")),
            "more, without a length" => Says::endless(&(set + &too_large())),
            "a redirect" => Says::Raw(elsewhere.into()),
            "nonsense" => Says::body("<html>"),
            _ => Says::Raw(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n".to_vec()),
        });
        let answered = poll(&gateway, &token).await.status;
        assert_eq!((says, answered), (says, status));
    }
}

#[tokio::test]
async fn a_source_with_tls_is_trusted_by_its_authority() {
    let (certs, others) = (Certs::make(), Certs::make());
    let issuer = Issuer::encrypted(&certs).await;
    let token = issuer.rotate().token();
    for (ca, expected) in [
        (certs.path("ca.pem"), 200),
        (others.path("ca.pem"), 503),
        // Those of the system, if it has any: ours is not among them.
        (String::new(), 503),
    ] {
        let is_system = ca.is_empty();
        let mut config = everyway::config::Config::default();
        config.auth.jwks_url = issuer.url();
        config.auth.jwks_ca = ca.clone();
        if is_system && everyway::auth::Auth::new(&config.auth).is_err() {
            eprintln!("skipped: this system has no authorities");
            continue;
        }
        let gateway = of(&issuer, |auth| auth.jwks_ca = ca).await;
        assert_eq!(status(&gateway, &token).await, expected);
    }
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn a_reload_fetches_anew_and_keeps_the_keys_of_a_source_that_is_down() {
    let issuer = Issuer::start().await;
    let first = issuer.rotate();
    let gateway = of(&issuer, |_| ()).await;
    assert_eq!(status(&gateway, &first.token()).await, 200);
    let again = (**gateway.inner.config()).clone();
    issuer.says(Says::Down);
    gateway.inner.reload(again.clone()).expect("a reload");
    issuer.asked_times(2).await;
    assert_eq!(status(&gateway, &first.token()).await, 200);
    issuer.says(Says::Keys);
    let second = issuer.rotate();
    gateway.inner.reload(again.clone()).expect("a reload");
    assert_eq!(status(&gateway, &second.token()).await, 200);
    assert_eq!(status(&gateway, &first.token()).await, 401);
    // A source that is not asked any more is forgotten.
    let mut other = again;
    other.auth.jwks_url = String::new();
    other.auth.anonymous = Some(everyway::config::Anonymous::default());
    gateway.inner.reload(other).expect("a reload");
    assert_eq!(status(&gateway, &second.token()).await, 401);
}

#[tokio::test]
async fn what_a_source_says_wrong_is_logged_once_and_not_repeated() {
    let issuer = Issuer::start().await;
    let token = issuer.rotate().token();
    issuer.says(Says::body("what-is-not-for-the-log"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_everyway"));
    command.args(["--listen=127.0.0.1:0", "--set=log.filter=everyway=debug"]);
    command.arg(format!(
        "--set=auth.jwks_url={}?key=not-for-it",
        issuer.url()
    ));
    let gateway = Program::start(command);
    issuer.asked_times(3).await;
    issuer.says(Says::Keys);
    let printed = gateway.printed_with("can be fetched again").await;
    assert_eq!(
        printed.matches("no keys from there").count(),
        1,
        "{printed}"
    );
    assert!(printed.contains("auth.jwks_url"), "{printed}");
    for secret in ["not-for-it", "what-is-not", token.as_str()] {
        assert!(!printed.contains(secret), "{printed}");
    }
}

#[tokio::test]
async fn a_source_that_cannot_be_safe_is_refused_at_the_start() {
    let error = async |change: &dyn Fn(&mut Auth)| {
        let mut auth = Auth::default();
        change(&mut auth);
        everyway::auth::Auth::new(&auth)
            .expect_err("no keys")
            .to_string()
    };
    let http = error(&|auth| auth.jwks_url = "http://id.example.com/keys".to_owned()).await;
    assert!(
        http.contains("auth.jwks_url") && http.contains("https"),
        "{http}"
    );
    let ca = error(&|auth| {
        auth.jwks_url = "https://id.example.com/keys".to_owned();
        auth.jwks_ca = "/nowhere".to_owned();
    })
    .await;
    assert!(
        ca.contains("auth.jwks_ca") && ca.contains("/nowhere"),
        "{ca}"
    );
    let mut config = everyway::config::Config::default();
    config.auth.jwks_ca = "ca.pem".to_owned();
    assert!(
        config
            .check()
            .is_err_and(|error| error.contains("jwks_url"))
    );
}
