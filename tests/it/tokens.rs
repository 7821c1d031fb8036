//! Who may do what: tokens, API keys and tickets, and every way to abuse them. Each attack names the rule that it meets.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use everyway::config::{ApiKey, Auth};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::process::Command;

use super::support::http::Response;
use super::support::program::Program;
use super::support::sse::Stream;
use super::support::ws::Ws;
use super::support::{Gateway, until};

pub const SECRET: &str = "a-secret-of-more-than-thirty-two-bytes";
pub const API_KEY: &str = "ew_0123456789abcdef0123456789abcdef";

/// A file that is there while the test program runs.
pub fn file(name: &str, text: &str) -> String {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| tempfile::tempdir().expect("a folder"));
    let digest = URL_SAFE_NO_PAD.encode(&Sha256::digest(text)[..6]);
    let path = folder.path().join(format!("{name}-{digest}"));
    // Whole at once, because another test may read it already.
    let mut fresh = tempfile::NamedTempFile::new_in(folder.path()).expect("a file");
    std::io::Write::write_all(&mut fresh, text.as_bytes()).expect("a file");
    fresh.persist(&path).expect("a file");
    path.to_str().expect("a path in UTF-8").to_owned()
}

pub fn hex(text: &str) -> String {
    let digest = Sha256::digest(text);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A gateway that takes tokens by a secret, and one API key.
pub async fn guarded(change: impl FnOnce(&mut Auth)) -> Gateway {
    Gateway::with(|config| {
        config.auth.secret_file = file("secret", SECRET);
        config.auth.api_keys = vec![ApiKey {
            sha256: hex(API_KEY),
            publish: vec!["news".to_owned()],
            admin: true,
            from: true,
            ..ApiKey::default()
        }];
        change(&mut config.auth);
    })
    .await
}

pub fn now_s() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("a clock after 1970").as_secs()
}

/// A token good for a minute, with some claims changed.
pub fn token(claims: Value) -> String {
    sign(
        claims,
        Algorithm::HS256,
        &EncodingKey::from_secret(SECRET.as_bytes()),
    )
}

pub fn sign(claims: Value, algorithm: Algorithm, key: &EncodingKey) -> String {
    let mut all = json!({"sub": "bob", "exp": now_s() + 60, "subscribe": ["news", "own:{user}"]});
    for (name, value) in claims.as_object().expect("claims") {
        all[name] = value.clone();
    }
    encode(&Header::new(algorithm), &all, key).expect("a token")
}

/// A token that is refused from the next second but one on: its end, and 30 seconds of leeway.
pub fn short(claims: Value) -> String {
    let mut claims = claims;
    claims["exp"] = json!(now_s() - 29);
    token(claims)
}

pub async fn get(gateway: &Gateway, target: &str, token: &str) -> Response {
    let bearer = format!("Bearer {token}");
    gateway
        .request("GET", target, &[("authorization", &bearer)], b"")
        .await
}

pub async fn post(gateway: &Gateway, target: &str, token: &str, body: &str) -> Response {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    gateway
        .request("POST", target, &headers, body.as_bytes())
        .await
}

/// Checks that a token is refused everywhere, with a message that says why.
pub async fn refused(gateway: &Gateway, token: &str, code: &str, says: &str) {
    let response = get(gateway, "/v1/poll?channel=news", token).await;
    assert_eq!((response.status, response.code().as_str()), (401, code));
    assert!(response.header("www-authenticate").starts_with("Bearer"));
    assert!(response.text().contains(says), "{}", response.text());
    assert!(!response.text().contains(token), "{}", response.text());
    let target = format!("/v1/ws?channel=news&token={token}");
    let (last, close, reason) = Ws::open(gateway.address, &target).await.end().await;
    assert_eq!((close, reason.as_str()), (4001, code), "{last}");
    assert_eq!(last["reconnect"], false);
}

pub async fn ticket(gateway: &Gateway, token: &str, channels: Value) -> String {
    let body = json!({ "channels": channels }).to_string();
    let response = post(gateway, "/v1/ticket", token, &body).await;
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.json()["expires_in_s"], 30);
    response.json()["ticket"]
        .as_str()
        .expect("a ticket")
        .to_owned()
}

#[tokio::test]
async fn without_a_credential_there_is_nothing() {
    let gateway = guarded(|_| ()).await;
    for path in ["/v1/poll", "/v1/longpoll", "/v1/sse", "/v1/history"] {
        let response = gateway.get(&format!("{path}?channel=news")).await;
        assert_eq!(response.status, 401, "{path}");
        assert_eq!(response.header("www-authenticate"), "Bearer");
    }
    let published = gateway.publish_raw("news", b"1", &[]).await;
    assert_eq!(published.code(), "unauthorized");
    assert_eq!(gateway.get("/metrics").await.status, 401);
    let (last, close, _) = Ws::open(gateway.address, "/v1/ws").await.end().await;
    assert_eq!(close, 4001);
    assert!(
        last["message"]
            .as_str()
            .is_some_and(|text| text.contains("bearer.")),
        "{last}"
    );
    assert_eq!(gateway.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn each_presentation_works_over_each_transport_that_can_use_it() {
    let gateway = guarded(|_| ()).await;
    let token = token(json!({}));
    let bearer = format!("Bearer {token}");
    for via in ["poll", "longpoll", "sse", "history"] {
        let target = format!("/v1/{via}?channel=news&wait=0");
        let ticket = ticket(&gateway, &token, json!(["news"])).await;
        for (more, header) in [
            (String::new(), Some(bearer.as_str())),
            (format!("&token={token}"), None),
            (format!("&ticket={ticket}"), None),
        ] {
            let headers: Vec<_> = header
                .map(|value| ("authorization", value))
                .into_iter()
                .collect();
            let target = format!("{target}{more}");
            let stream = Stream::open(gateway.address, &target, &headers).await;
            assert_eq!(stream.status, 200, "{via} {more}");
        }
    }
    let ticket = ticket(&gateway, &token, json!(["news"])).await;
    let offer = format!("everyway.v1, bearer.{token}");
    for (more, headers) in [
        (String::new(), vec![("authorization", bearer.as_str())]),
        (format!("&token={token}"), vec![]),
        (format!("&ticket={ticket}"), vec![]),
        (
            String::new(),
            vec![("sec-websocket-protocol", offer.as_str())],
        ),
    ] {
        let target = format!("/v1/ws?channel=news{more}");
        let (mut ws, answer) = Ws::with(gateway.address, &target, &headers).await;
        assert_eq!(ws.json().await["user"], "bob", "{headers:?}");
        // RFC 6455, section 4.2.2: one of those offered; the token is never said again.
        let chosen = answer
            .get("sec-websocket-protocol")
            .map(|value| value.to_str().expect("text"));
        assert_eq!(
            chosen,
            headers
                .iter()
                .any(|(name, _)| name.starts_with("sec-"))
                .then_some("everyway.v1")
        );
    }
}

#[tokio::test]
async fn two_credentials_at_once_are_a_bad_request() {
    let gateway = guarded(|_| ()).await;
    let token = token(json!({}));
    for query in [
        format!("token={token}&ticket=x"),
        format!("token={token}&token={token}"),
    ] {
        let response = gateway.get(&format!("/v1/poll?channel=news&{query}")).await;
        assert_eq!(response.code(), "bad_request");
    }
    let target = format!("/v1/poll?channel=news&token={token}");
    assert_eq!(get(&gateway, &target, &token).await.code(), "bad_request");
    let offer = format!("everyway.v1, bearer.{token}");
    let target = format!("/v1/ws?token={token}");
    let (mut ws, _) = Ws::with(
        gateway.address,
        &target,
        &[("sec-websocket-protocol", &offer)],
    )
    .await;
    assert_eq!(ws.end().await.1, 4000);
    let basic = [("authorization", "Basic Ym9iOmJvYg==")];
    let response = gateway
        .request("GET", "/v1/poll?channel=news", &basic, b"")
        .await;
    assert_eq!(response.code(), "unauthorized");
}

#[tokio::test]
async fn an_unsigned_token_is_refused() {
    let gateway = guarded(|_| ()).await;
    let good = token(json!({}));
    let claims = good.split('.').nth(1).expect("claims");
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let header = URL_SAFE_NO_PAD.encode(json!({"alg": alg, "typ": "JWT"}).to_string());
        refused(
            &gateway,
            &format!("{header}.{claims}."),
            "unauthorized",
            "expected a JWT",
        )
        .await;
    }
    let (signed, _) = good.rsplit_once('.').expect("a signature");
    refused(&gateway, &format!("{signed}."), "unauthorized", "signature").await;
    refused(&gateway, "zzz", "unauthorized", "expected a JWT").await;
}

#[tokio::test]
async fn a_public_key_is_never_a_secret() {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).expect("a key");
    let public = rcgen::PublicKeyData::subject_public_key_info(&pair);
    let pem = pair.public_key_pem();
    let gateway = guarded(|auth| {
        auth.secret_file = String::new();
        auth.pem_files = vec![file("public", &pem)];
    })
    .await;
    for secret in [pem.as_bytes(), pem.trim().as_bytes(), &public] {
        let forged = sign(
            json!({}),
            Algorithm::HS256,
            &EncodingKey::from_secret(secret),
        );
        refused(&gateway, &forged, "unauthorized", "alg").await;
    }
    let private = EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes()).expect("a key");
    for algorithm in [Algorithm::RS256, Algorithm::PS256] {
        let token = sign(json!({}), algorithm, &private);
        assert_eq!(
            get(&gateway, "/v1/poll?channel=news", &token).await.status,
            200
        );
    }
    refused(
        &gateway,
        &sign(json!({}), Algorithm::RS512, &private),
        "unauthorized",
        "alg",
    )
    .await;
}

#[tokio::test]
async fn keys_of_curves_work_too() {
    let ec = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
    let ed = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
    let gateway = guarded(|auth| {
        auth.pem_files = vec![
            file("ec", &ec.public_key_pem()),
            file("ed", &ed.public_key_pem()),
        ];
    })
    .await;
    let ec = EncodingKey::from_ec_pem(ec.serialize_pem().as_bytes()).expect("a key");
    let ed = EncodingKey::from_ed_pem(ed.serialize_pem().as_bytes()).expect("a key");
    for token in [
        sign(json!({}), Algorithm::ES256, &ec),
        sign(json!({}), Algorithm::EdDSA, &ed),
    ] {
        assert_eq!(
            get(&gateway, "/v1/poll?channel=news", &token).await.status,
            200
        );
    }
}

#[tokio::test]
async fn an_audience_that_nobody_asked_for_is_refused_with_the_setting_that_is_missing() {
    let gateway = guarded(|_| ()).await;
    for aud in [json!("here"), json!(["here", "there"]), json!(5)] {
        let token = token(json!({ "aud": aud }));
        refused(&gateway, &token, "unauthorized", "auth.audience is not set").await;
    }
}

#[tokio::test]
async fn time_issuer_and_audience_are_checked() {
    let gateway = guarded(|auth| {
        auth.issuer = "us".to_owned();
        auth.audience = "here".to_owned();
    })
    .await;
    let ours = |change: Value| {
        let mut claims = json!({"iss": "us", "aud": "here"});
        for (name, value) in change.as_object().expect("claims") {
            claims[name] = value.clone();
        }
        token(claims)
    };
    let now = now_s();
    for (change, code, says) in [
        (json!({"exp": now - 32}), "token_expired", "exp"),
        (json!({"exp": null}), "unauthorized", "exp"),
        (json!({"nbf": now + 40}), "unauthorized", "nbf"),
        (json!({"iss": "them"}), "unauthorized", "iss"),
        (json!({"iss": null}), "unauthorized", "iss"),
        (json!({"aud": "there"}), "unauthorized", "another audience"),
        (json!({"aud": null}), "unauthorized", "aud"),
    ] {
        refused(&gateway, &ours(change), code, says).await;
    }
    for change in [
        json!({"exp": now - 20}),
        json!({"nbf": now + 20}),
        json!({"aud": ["there", "here"]}),
    ] {
        let response = get(&gateway, "/v1/poll?channel=news", &ours(change)).await;
        assert_eq!(
            response.status,
            200,
            "within the leeway: {}",
            response.text()
        );
    }
}

#[tokio::test]
async fn a_name_is_never_a_wildcard() {
    let gateway = guarded(|_| ()).await;
    for user in ["*", "a*", "{user}", "b\"ob"] {
        let token = token(json!({"sub": user, "subscribe": ["{user}", "own:{user}"]}));
        for channel in ["news", "own:bob", "own:", "a1"] {
            let response = get(&gateway, &format!("/v1/poll?channel={channel}"), &token).await;
            assert_eq!(response.code(), "forbidden", "{user} and {channel}");
            assert!(response.text().contains("may not subscribe"));
        }
    }
    let all = token(json!({"subscribe": ["*", "@*", "@{user}"]}));
    let inbox = get(&gateway, "/v1/poll?channel=@eve", &all).await;
    assert_eq!(inbox.status, 403, "no pattern grants an inbox");
}

#[tokio::test]
async fn rights_are_those_of_the_token() {
    let gateway = guarded(|_| ()).await;
    let token = token(json!({"publish": ["news"]}));
    let published = post(&gateway, "/v1/publish?channel=news", &token, "1").await;
    assert_eq!(published.status, 200, "{}", published.text());
    let page = get(
        &gateway,
        "/v1/poll?channel=news&channel=own:bob&cursor=earliest",
        &token,
    )
    .await;
    assert_eq!(page.json()["messages"][0]["from"], "bob");
    let other = post(&gateway, "/v1/publish?channel=own:bob", &token, "1").await;
    assert_eq!((other.status, other.code()), (403, "forbidden".to_owned()));
    let named = post(&gateway, "/v1/publish?channel=news&from=eve", &token, "1").await;
    assert_eq!(named.code(), "forbidden");
    assert_eq!(get(&gateway, "/metrics", &token).await.code(), "forbidden");
    assert_eq!(
        post(&gateway, "/v1/disconnect?user=eve", &token, "")
            .await
            .code(),
        "forbidden"
    );
    let target = format!("/v1/ws?channel=other&token={token}");
    assert_eq!(Ws::open(gateway.address, &target).await.end().await.1, 4003);
}

#[tokio::test]
async fn anonymous_rights_stand_beside_tokens() {
    let gateway = guarded(|auth| {
        let rights = json!({"subscribe": ["lobby"], "publish": []});
        auth.anonymous = Some(serde_json::from_value(rights).expect("rights"));
    })
    .await;
    assert_eq!(gateway.get("/v1/poll?channel=lobby").await.status, 200);
    assert_eq!(
        gateway.get("/v1/poll?channel=news").await.code(),
        "forbidden"
    );
    let token = token(json!({}));
    assert_eq!(
        get(&gateway, "/v1/poll?channel=news", &token).await.status,
        200
    );
    // A bad credential is not the same as none.
    assert_eq!(
        get(&gateway, "/v1/poll?channel=lobby", "bad").await.status,
        401
    );
}

#[tokio::test]
async fn an_api_key_is_good_and_another_is_not() {
    let gateway = guarded(|_| ()).await;
    let published = post(&gateway, "/v1/publish?channel=news&from=eve", API_KEY, "1").await;
    assert_eq!(published.status, 200, "{}", published.text());
    assert_eq!(get(&gateway, "/metrics", API_KEY).await.status, 200);
    let page = get(
        &gateway,
        "/v1/poll?channel=news&cursor=earliest",
        &token(json!({})),
    )
    .await;
    assert_eq!(page.json()["messages"][0]["from"], "eve");
    for wrong in [
        "ew_",
        "ew_0123456789abcdef0123456789abcdee",
        &format!("{API_KEY}0"),
        &hex(API_KEY),
    ] {
        refused(&gateway, wrong, "unauthorized", "").await;
    }
}

#[tokio::test]
async fn a_ticket_is_good_once_and_for_its_channels() {
    let gateway = guarded(|_| ()).await;
    let token = token(json!({"publish": ["news"], "admin": true}));
    let poll = |channel: &str, ticket: &str| format!("/v1/poll?channel={channel}&ticket={ticket}");
    let used = ticket(&gateway, &token, json!(["news"])).await;
    assert_eq!(gateway.get(&poll("news", &used)).await.status, 200);
    assert_eq!(
        gateway.get(&poll("news", &used)).await.code(),
        "unauthorized"
    );
    let foreign = ticket(&gateway, &token, json!(["news"])).await;
    let response = gateway.get(&poll("own:bob", &foreign)).await;
    assert_eq!(response.code(), "forbidden");
    assert!(
        response
            .text()
            .contains("ticket was not made for this channel")
    );
    let forged = URL_SAFE_NO_PAD.encode([7; 32]);
    assert_eq!(
        gateway.get(&poll("news", &forged)).await.code(),
        "unauthorized"
    );
    let admin = ticket(&gateway, &token, json!(["news"])).await;
    let metrics = gateway.get(&format!("/metrics?ticket={admin}")).await;
    assert_eq!(
        metrics.code(),
        "forbidden",
        "a ticket is no administrator's"
    );
}

#[tokio::test]
async fn a_ticket_is_made_for_channels_that_its_maker_may_use() {
    let gateway = guarded(|auth| auth.tickets_max = 3).await;
    let token = token(json!({}));
    for (body, code) in [
        (r#"{"channels":["other"]}"#, "forbidden"),
        (r#"{"channels":[]}"#, "bad_request"),
        (r#"{"channels":["a b"]}"#, "bad_request"),
        ("news", "bad_json"),
    ] {
        assert_eq!(
            post(&gateway, "/v1/ticket", &token, body).await.code(),
            code,
            "{body}"
        );
    }
    ticket(&gateway, &token, json!(["news", "own:bob"])).await;
    ticket(&gateway, &token, json!(["news"])).await;
    let over = post(&gateway, "/v1/ticket", &token, r#"{"channels":["news"]}"#).await;
    assert_eq!(
        (over.status, over.code()),
        (429, "limit_reached".to_owned())
    );
}

#[tokio::test]
async fn an_attachment_ends_with_its_token() {
    let gateway = guarded(|_| ()).await;
    let token = short(json!({}));
    let target = |path: &str| format!("{path}?channel=news&token={token}");
    let mut sse = Stream::open(gateway.address, &target("/v1/sse"), &[]).await;
    let mut ws = Ws::open(gateway.address, &target("/v1/ws")).await;
    let poll = gateway.get(&target("/v1/longpoll")).await;
    assert_eq!(
        (poll.status, poll.json()["messages"].clone()),
        (200, json!([]))
    );
    let again = gateway.get(&target("/v1/longpoll")).await;
    assert_eq!(
        (again.status, again.code()),
        (401, "token_expired".to_owned())
    );
    assert!(again.header("www-authenticate").contains("invalid_token"));
    let (last, close, reason) = ws.end().await;
    assert_eq!((close, reason.as_str()), (4001, "token_expired"));
    assert_eq!(last["reconnect"], false);
    assert_eq!(sse.next().await.expect("an event").name, "welcome");
    let last = sse.next().await.expect("an event");
    assert!(
        last.name == "disconnect" && last.data.contains("token_expired"),
        "{last:?}"
    );
    assert_eq!(sse.next().await, None);
}

#[tokio::test]
async fn refresh_prolongs_and_takes_rights_away() {
    let gateway = guarded(|_| ()).await;
    let first = short(json!({}));
    let target = format!("/v1/ws?channel=news&channel=own:bob&token={first}");
    let (mut ws, _) = Ws::welcomed(gateway.address, &target).await;
    let refresh = |token: String| json!({"action": "refresh", "token": token, "ref": 1});
    let eve = ws.ask(refresh(token(json!({"sub": "eve"})))).await;
    assert_eq!(
        (&eve["type"], &eve["code"]),
        (&json!("error"), &json!("forbidden"))
    );
    let bad = ws.ask(refresh("x".to_owned())).await;
    assert_eq!(
        (&bad["code"], &bad["ref"]),
        (&json!("unauthorized"), &json!(1))
    );
    let less = token(json!({"subscribe": ["own:bob"], "publish": ["own:bob"]}));
    let refreshed = ws.ask(refresh(less)).await;
    assert_eq!(
        (&refreshed["type"], &refreshed["ref"]),
        (&json!("refreshed"), &json!(1))
    );
    assert!(
        refreshed["expires_in_s"].as_u64().expect("a number") > 50,
        "{refreshed}"
    );
    let lost = ws.json().await;
    assert_eq!(
        lost,
        json!({"type": "unsubscribed", "channel": "news", "code": "forbidden"})
    );
    let again = ws
        .ask(json!({"action": "subscribe", "channel": "news"}))
        .await;
    assert_eq!(again["code"], "forbidden");
    // The first token is refused by now, and the connection is not.
    until("the first token to run out", async || {
        get(&gateway, "/v1/poll?channel=news", &first).await.status == 401
    })
    .await;
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    let own = ws
        .ask(json!({"action": "publish", "channel": "own:bob", "data": 1}))
        .await;
    assert!(
        ["published", "message"].contains(&own["type"].as_str().expect("a type")),
        "{own}"
    );
}

#[tokio::test]
async fn an_administrator_ends_a_user_or_a_session() {
    let gateway = guarded(|_| ()).await;
    let token = token(json!({}));
    let target = |more: &str| format!("/v1/ws?channel=news&token={token}{more}");
    let (mut ws, _) = Ws::welcomed(gateway.address, &target("")).await;
    let (mut other, welcome) =
        Ws::welcomed(gateway.address, &target("&session=0123456789abcdef")).await;
    let session = welcome["session"].as_str().expect("a public id");
    let one = post(
        &gateway,
        &format!("/v1/disconnect?session={session}"),
        API_KEY,
        "",
    )
    .await;
    assert_eq!(one.json(), json!({"ended": 1}));
    let (last, close, reason) = other.end().await;
    assert_eq!((close, reason.as_str()), (4010, "disconnected"), "{last}");
    let rest = post(&gateway, "/v1/disconnect?user=bob", API_KEY, "").await;
    assert_eq!(rest.json(), json!({"ended": 1}));
    assert_eq!(ws.end().await.1, 4010);
    assert_eq!(
        get(&gateway, "/v1/poll?channel=news", &token).await.status,
        200
    );
    for query in [
        "",
        "?user=bob&session=x",
        "?session=x&revoke=5",
        "?user=bob&revoke=0",
        "?user=bob&revoke=x",
    ] {
        let response = post(&gateway, &format!("/v1/disconnect{query}"), API_KEY, "").await;
        assert_eq!(response.code(), "bad_request", "{query}");
    }
}

#[tokio::test]
async fn what_is_revoked_is_refused_everywhere() {
    let gateway = guarded(|auth| auth.revocations_max = 2).await;
    let (bob, eve) = (token(json!({"jti": "t1"})), token(json!({"sub": "eve"})));
    let ticket = ticket(&gateway, &bob, json!(["news"])).await;
    let target = format!("/v1/ws?channel=news&token={bob}");
    let (mut ws, _) = Ws::welcomed(gateway.address, &target).await;
    let ended = post(&gateway, "/v1/disconnect?jti=t1&revoke=60", API_KEY, "").await;
    assert_eq!(ended.json(), json!({"ended": 1}));
    assert_eq!(ws.end().await.1, 4010);
    refused(&gateway, &bob, "unauthorized", "revoked").await;
    let by_ticket = gateway
        .get(&format!("/v1/poll?channel=news&ticket={ticket}"))
        .await;
    assert_eq!(by_ticket.code(), "unauthorized");
    assert_eq!(
        get(&gateway, "/v1/poll?channel=news", &token(json!({})))
            .await
            .status,
        200
    );
    post(&gateway, "/v1/disconnect?user=eve&revoke=60", API_KEY, "").await;
    refused(&gateway, &eve, "unauthorized", "revoked").await;
    let over = post(&gateway, "/v1/disconnect?user=bob&revoke=60", API_KEY, "").await;
    assert_eq!(
        (over.status, over.code()),
        (429, "limit_reached".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_credential_is_ever_logged() {
    let config = format!("auth.secret_file={}", file("secret", SECRET));
    let keys = format!("auth.api_keys=[{{sha256=\"{}\",admin=true}}]", hex(API_KEY));
    let mut command = Command::new(env!("CARGO_BIN_EXE_everyway"));
    command.args([
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--set",
        &config,
        "--set",
        &keys,
    ]);
    command.args(["--set", "log.filter=debug"]);
    let program = Program::start(command);
    let started = program.printed_with("listening address=").await;
    let (_, rest) = started
        .split_once("listening address=")
        .expect("it was printed");
    let address = rest.split_whitespace().next().expect("an address");
    let address = address.parse().expect("an address");
    let (good, bad) = (token(json!({})), format!("{}x", token(json!({}))));
    for token in [&good, &bad, &API_KEY.to_owned()] {
        let bearer = format!("Bearer {token}");
        for (target, value) in [
            ("/v1/poll?channel=news", bearer.as_str()),
            ("/metrics", &bearer),
        ] {
            super::support::http::request(address, "GET", target, &[("authorization", value)], b"")
                .await;
        }
        let target = format!("/v1/poll?channel=news&token={token}&ticket={token}");
        super::support::http::request(address, "GET", &target, &[], b"").await;
        let target = format!("/v1/ws?token={token}");
        Ws::open(address, &target).await.next_json().await.ok();
        let offer = format!("everyway.v1, bearer.{token}");
        let (mut ws, _) = Ws::with(address, "/v1/ws", &[("sec-websocket-protocol", &offer)]).await;
        if ws
            .next_json()
            .await
            .is_ok_and(|first| first["type"] == "welcome")
        {
            ws.ask(json!({"action": "refresh", "token": good})).await;
        }
    }
    let printed = program.printed_with("detached").await;
    for secret in [
        good.as_str(),
        &bad,
        API_KEY,
        SECRET,
        &good[good.len() - 20..],
    ] {
        assert!(!printed.contains(secret), "{printed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_makes_tokens() {
    let secret = format!("auth.secret_file={}", file("secret", SECRET));
    let mut command = Command::new(env!("CARGO_BIN_EXE_everyway"));
    command.args([
        "token",
        "--user",
        "ann",
        "--subscribe",
        "news",
        "--expires-s",
        "60",
        "--admin",
    ]);
    command.args(["--set", &secret, "--set", "auth.issuer=us"]);
    let minted = Program::start(command).text().await;
    let gateway = guarded(|auth| auth.issuer = "us".to_owned()).await;
    let (_, welcome) = Ws::welcomed(
        gateway.address,
        &format!("/v1/ws?channel=news&token={minted}"),
    )
    .await;
    assert_eq!(welcome["user"], "ann");
    assert_eq!(get(&gateway, "/metrics", &minted).await.status, 200);
}
