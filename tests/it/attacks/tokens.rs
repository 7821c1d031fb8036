//! Forged, malformed and tricky tokens, beyond those of `tests/it/tokens.rs`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};

use crate::support::Gateway;
use crate::support::ws::Ws;
use crate::tokens::{SECRET, file, get, guarded, now_s, post, refused, sign, ticket, token};

/// A token of any header and any claims, well formed or not, with a good signature.
fn signed(header: &str, claims: &str) -> String {
    let head = URL_SAFE_NO_PAD.encode(header);
    let text = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims));
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signature = crypto::sign(text.as_bytes(), &key, Algorithm::HS256).expect("a signature");
    format!("{text}.{signature}")
}

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// The status of a short poll with a token.
async fn status(gateway: &Gateway, token: &str) -> u16 {
    get(gateway, "/v1/poll?channel=news", token).await.status
}

/// A public key of a curve is no secret of an HMAC, in whatever form it is written: algorithm confusion (RFC 8725, section
/// 3.1).
#[tokio::test]
async fn a_public_key_of_a_curve_is_never_a_secret() {
    for kind in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ED25519] {
        let pair = rcgen::KeyPair::generate_for(kind).expect("a key");
        let pem = pair.public_key_pem();
        let der = rcgen::PublicKeyData::subject_public_key_info(&pair);
        let gateway = guarded(|auth| {
            auth.secret_file = String::new();
            auth.pem_files = vec![file("public", &pem)];
        })
        .await;
        for secret in [
            pem.as_bytes(),
            pem.trim().as_bytes(),
            &der,
            pair.public_key_raw(),
        ] {
            for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
                let forged = sign(json!({}), algorithm, &EncodingKey::from_secret(secret));
                refused(&gateway, &forged, "unauthorized", "alg").await;
            }
        }
    }
}

/// A key for one kind of signature verifies no other kind, and no other curve (RFC 8725, section 3.1).
#[tokio::test]
async fn a_signature_of_another_kind_is_refused() {
    let key = |kind| rcgen::KeyPair::generate_for(kind).expect("a key");
    let (own, other) = (
        key(&rcgen::PKCS_ED25519),
        key(&rcgen::PKCS_ECDSA_P256_SHA256),
    );
    let gateway = guarded(|auth| {
        auth.secret_file = String::new();
        auth.pem_files = vec![file("public", &own.public_key_pem())];
    })
    .await;
    let other = EncodingKey::from_ec_pem(other.serialize_pem().as_bytes()).expect("a key");
    refused(
        &gateway,
        &sign(json!({}), Algorithm::ES256, &other),
        "unauthorized",
        "alg",
    )
    .await;
    let stranger = key(&rcgen::PKCS_ED25519);
    let stranger = EncodingKey::from_ed_pem(stranger.serialize_pem().as_bytes()).expect("a key");
    let forged = sign(json!({}), Algorithm::EdDSA, &stranger);
    refused(&gateway, &forged, "unauthorized", "signature").await;
}

/// A header that demands what is not known here is refused (RFC 7515, section 4.1.11).
#[tokio::test]
async fn a_critical_extension_is_refused() {
    let gateway = guarded(|_| ()).await;
    let claims = json!({"sub": "bob", "exp": now_s() + 60, "subscribe": ["news"]}).to_string();
    assert_eq!(status(&gateway, &signed(HEADER, &claims)).await, 200);
    for header in [
        r#"{"alg":"HS256","crit":["b64"],"b64":false}"#,
        r#"{"alg":"HS256","crit":["exp"]}"#,
        r#"{"alg":"HS256","crit":[]}"#,
        r#"{"alg":"HS256","crit":"exp"}"#,
    ] {
        assert_eq!(
            status(&gateway, &signed(header, &claims)).await,
            401,
            "{header}"
        );
    }
}

/// Keys that a token brings along or points to are not looked at: only the configuration names keys (RFC 8725, section 3.10).
#[tokio::test]
async fn a_key_that_a_token_brings_is_not_used() {
    let gateway = guarded(|_| ()).await;
    let (claims, secret) = (
        json!({"sub": "eve", "exp": now_s() + 60}),
        "of-the-attacker",
    );
    let jwk = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(secret)});
    for (name, value) in [
        ("jwk", jwk),
        ("jku", json!("http://127.0.0.1:1/keys")),
        ("x5u", json!("http://127.0.0.1:1/chain")),
        ("x5c", json!(["AAAA"])),
    ] {
        let header = json!({"alg": "HS256", name: value}).to_string();
        let good = signed(&header, &claims.to_string());
        let (text, _) = good.rsplit_once('.').expect("a signature");
        let key = EncodingKey::from_secret(secret.as_bytes());
        let signature = crypto::sign(text.as_bytes(), &key, Algorithm::HS256).expect("one");
        assert_eq!(
            status(&gateway, &format!("{text}.{signature}")).await,
            401,
            "{name}"
        );
    }
}

/// The name of a key is compared and never opened, whatever path or query it looks like (RFC 8725, section 3.10).
#[tokio::test]
async fn the_name_of_a_key_is_no_path() {
    let secret = URL_SAFE_NO_PAD.encode(SECRET);
    let set = json!({"keys": [{"kty": "oct", "k": secret, "kid": "k1", "alg": "HS256"}]});
    let gateway = guarded(|auth| {
        auth.secret_file = String::new();
        auth.jwks_file = file("keys", &set.to_string());
    })
    .await;
    let claims = json!({"sub": "bob", "exp": now_s() + 60, "subscribe": ["news"]}).to_string();
    let named = |kid: &str| signed(&json!({"alg": "HS256", "kid": kid}).to_string(), &claims);
    assert_eq!(status(&gateway, &named("k1")).await, 200);
    for kid in [
        "../../../../dev/null",
        "/proc/sys/kernel/randomize_va_space",
        "k1\0",
        "K1",
        "k1' OR '1'='1",
        "http://127.0.0.1:1/k1",
        "",
        &"k".repeat(9000),
    ] {
        refused(&gateway, &named(kid), "unauthorized", "kid").await;
    }
}

/// Of a claim that stands there twice nothing is believed: who checks one and uses the other is fooled (RFC 7519, section 4).
#[tokio::test]
async fn a_claim_that_stands_there_twice_refuses_the_token() {
    let gateway = guarded(|auth| auth.issuer = "us".to_owned()).await;
    let (past, future) = (now_s() - 100, now_s() + 60);
    let once = format!(r#"{{"iss":"us","sub":"bob","exp":{future},"subscribe":["news"]}}"#);
    assert_eq!(status(&gateway, &signed(HEADER, &once)).await, 200);
    for twice in [
        format!(r#""exp":{past}"#),
        format!(r#""exp":{}"#, future + 1),
        r#""iss":"them""#.to_owned(),
        r#""sub":"eve""#.to_owned(),
        r#""subscribe":["news","secret"]"#.to_owned(),
        r#""\u0073ub":"eve""#.to_owned(),
        r#""admin":true,"admin":false"#.to_owned(),
    ] {
        for claims in [
            once.replacen('{', &format!("{{{twice},"), 1),
            once.replacen('}', &format!(",{twice}}}"), 1),
        ] {
            assert_eq!(
                status(&gateway, &signed(HEADER, &claims)).await,
                401,
                "{claims}"
            );
        }
    }
}

/// Times that are no seconds since 1970 refuse the token, and the farthest one is a time like any other (RFC 7519, section
/// 4.1.4).
#[tokio::test]
async fn times_are_numbers_of_seconds() {
    let gateway = guarded(|_| ()).await;
    let timed = |claim: &str, text: &str| {
        let now = now_s() + 60;
        let exp = if claim == "exp" {
            String::new()
        } else {
            format!(r#""exp":{now},"#)
        };
        signed(
            HEADER,
            &format!(r#"{{"sub":"bob",{exp}"{claim}":{text},"subscribe":["news"]}}"#),
        )
    };
    for exp in [
        "\"9999999999\"",
        "true",
        "[]",
        "{}",
        "-1",
        "-9e99",
        "0",
        "1e-400",
        "0.4",
        "1e20",
        "1e308",
        "1e400",
        "18446744073709551616",
        "NaN",
        "Infinity",
        "null",
    ] {
        assert_eq!(status(&gateway, &timed("exp", exp)).await, 401, "exp {exp}");
    }
    for nbf in ["\"0\"", "true", "[0]", "1e20", "18446744073709551615", "-1"] {
        assert_eq!(status(&gateway, &timed("nbf", nbf)).await, 401, "nbf {nbf}");
    }
    for exp in [
        "9999999999.5",
        "1e10",
        "18446744073709551615",
        "18446744073709551614",
    ] {
        let token = timed("exp", exp);
        assert_eq!(status(&gateway, &token).await, 200, "exp {exp}");
        let (mut ws, _) = Ws::welcomed(
            gateway.address,
            &format!("/v1/ws?channel=news&token={token}"),
        )
        .await;
        let again = json!({"action": "refresh", "token": token});
        assert_eq!(ws.ask(again).await["type"], "refreshed", "exp {exp}");
    }
}

/// A token for somebody else is refused however its audience is written; without `auth.audience` every audience is somebody
/// else (RFC 7519, section 4.1.3).
#[tokio::test]
async fn an_audience_in_disguise_is_refused() {
    for own in ["", "here"] {
        let gateway = guarded(|auth| auth.audience = own.to_owned()).await;
        for aud in [
            json!("there"),
            json!(["there"]),
            json!([["here"]]),
            json!(["there", 5]),
            json!({"here": 1}),
            json!(5),
            json!(true),
            json!("Here"),
            json!("here "),
            json!(["*"]),
        ] {
            let token = token(json!({ "aud": aud }));
            assert_eq!(status(&gateway, &token).await, 401, "{aud} for {own:?}");
        }
    }
}

/// Claims of a wrong form refuse the whole token, rather than grant what is left of them (design, section 6).
#[tokio::test]
async fn malformed_claims_grant_nothing() {
    let gateway = guarded(|_| ()).await;
    let deep = |levels: usize| {
        let nested = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        format!(
            r#"{{"sub":"bob","exp":{},"subscribe":["news"],"x":{nested}}}"#,
            now_s() + 60
        )
    };
    assert_eq!(status(&gateway, &signed(HEADER, &deep(20))).await, 200);
    assert_eq!(status(&gateway, &signed(HEADER, &deep(4000))).await, 401);
    for claims in [
        json!({"subscribe": "news"}),
        json!({"subscribe": [["news"]]}),
        json!({"subscribe": ["news", 5]}),
        json!({"subscribe": {"0": "news"}}),
        json!({"subscribe": vec!["news"; 257]}),
        json!({"admin": "true"}),
        json!({"admin": 1}),
        json!({"sub": ["bob"]}),
        json!({"sub": 5}),
        json!({"sub": ""}),
        json!({"sub": "b\u{0}ob"}),
        json!({"sub": "b".repeat(129)}),
        json!({"jti": "j".repeat(129)}),
        json!({"info": "i".repeat(1025)}),
    ] {
        assert_eq!(
            status(&gateway, &token(claims.clone())).await,
            401,
            "{claims}"
        );
    }
    for claims in ["[]", "null", "\"bob\"", "5", "", "{", "{}{}", "\u{feff}{}"] {
        assert_eq!(
            status(&gateway, &signed(HEADER, claims)).await,
            401,
            "{claims}"
        );
    }
}

/// A token has at most 16 KiB, wherever it stands, and a longer one is not read (design, tenet 2).
#[tokio::test]
async fn a_huge_token_is_refused_before_it_is_read() {
    let gateway = guarded(|_| ()).await;
    let padded = |bytes: usize| token(json!({"padding": "x".repeat(bytes)}));
    let length = padded(0).len();
    let fits = padded((16 * 1024 - length) / 4 * 3 - 3);
    assert!(
        fits.len() > 16 * 1024 - 16 && fits.len() <= 16 * 1024,
        "{}",
        fits.len()
    );
    assert_eq!(status(&gateway, &fits).await, 200);
    refused(
        &gateway,
        &padded(13 * 1024),
        "unauthorized",
        "at most 16384 bytes",
    )
    .await;
    let (mut ws, _) = Ws::welcomed(gateway.address, &format!("/v1/ws?token={fits}")).await;
    let huge = json!({"action": "refresh", "token": padded(40 * 1024)});
    assert_eq!(ws.ask(huge).await["code"], "unauthorized");
    assert_eq!(ws.ask(json!({"action": "ping"})).await["type"], "pong");
}

/// Base64 with padding, the other alphabet, stray bits, spaces or a fourth part make no token (RFC 7515, section 2).
#[tokio::test]
async fn a_token_has_one_spelling() {
    let gateway = guarded(|_| ()).await;
    let good = token(json!({"x": "???>>>"}));
    assert_eq!(status(&gateway, &good).await, 200);
    let [head, claims, signature]: [&str; 3] = good
        .split('.')
        .collect::<Vec<_>>()
        .try_into()
        .expect("three parts");
    for bad in [
        format!("{head}.{claims}.{signature}="),
        format!("{head}.{claims}.{signature}.x"),
        format!(".{claims}.{signature}"),
        format!("{head}..{signature}"),
        format!("{head}.{claims}.{signature}{signature}"),
        format!("{head}.{claims} .{signature}"),
        format!("{head}.{claims}.{}", signature.to_lowercase()),
    ] {
        assert_eq!(status(&gateway, &bad).await, 401, "{bad}");
    }
}

/// A ticket opens no other door than the channels it was made for, and makes no further tickets (design, section 6).
#[tokio::test]
async fn a_ticket_opens_no_other_door() {
    let gateway = guarded(|_| ()).await;
    let owner = token(json!({"publish": ["news", "other"], "send": ["*"], "admin": true}));
    let fresh = async || ticket(&gateway, &owner, json!(["news"])).await;
    for (method, target, body) in [
        ("POST", "/v1/publish?channel=other", "1"),
        ("POST", "/v1/publish?channel=news&channel=other", "1"),
        ("POST", "/v1/publish?channel=news&from=eve", "1"),
        ("POST", "/v1/disconnect?user=bob", ""),
        ("POST", "/v1/ticket?", r#"{"channels":["other"]}"#),
        ("GET", "/v1/history?channel=own:bob", ""),
        ("GET", "/v1/poll?channel=news&channel=own:bob", ""),
        ("GET", "/metrics?", ""),
    ] {
        let target = format!("{target}&ticket={}", fresh().await).replace("?&", "?");
        let response = gateway.request(method, &target, &[], body.as_bytes()).await;
        assert_eq!(response.code(), "forbidden", "{method} {target}");
    }
    let target = format!("/v1/ws?channel=news&ticket={}", fresh().await);
    let (mut ws, _) = Ws::welcomed(gateway.address, &target).await;
    for command in [
        json!({"action": "subscribe", "channel": "own:bob"}),
        json!({"action": "history", "channel": "other"}),
        json!({"action": "publish", "channel": "other", "data": 1}),
    ] {
        assert_eq!(
            ws.ask(command.clone()).await["code"],
            "forbidden",
            "{command}"
        );
    }
}

/// Of many who come with one ticket at the same moment, one is let in (design, section 6).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_wins_one_race() {
    let gateway = guarded(|_| ()).await;
    let owner = token(json!({}));
    for _ in 0..5 {
        let target = format!(
            "/v1/poll?channel=news&ticket={}",
            ticket(&gateway, &owner, json!(["news"])).await
        );
        let racers = (0..16).map(|_| gateway.get(&target));
        let answers = futures_util::future::join_all(racers).await;
        let let_in = answers.iter().filter(|answer| answer.status == 200).count();
        assert_eq!(let_in, 1);
        assert!(
            answers
                .iter()
                .all(|answer| [200, 401].contains(&answer.status))
        );
    }
}

/// Who takes tickets and never uses them is stopped, and they all end (design, tenet 2).
#[tokio::test]
async fn a_flood_of_tickets_is_bounded() {
    let gateway = guarded(|auth| {
        auth.tickets_max = 50;
        auth.ticket_s = everyway::config::Seconds::new(1);
    })
    .await;
    let owner = token(json!({}));
    let take = async || {
        let body = json!({"channels": ["news", "own:bob"]}).to_string();
        post(&gateway, "/v1/ticket", &owner, &body).await
    };
    let mut refusals = Vec::new();
    for _ in 0..40 {
        let answer = take().await;
        if answer.status != 200 {
            refusals.push((answer.status, answer.code()));
        }
    }
    assert_eq!(refusals, vec![(429, "limit_reached".to_owned()); 15]);
    crate::support::until("tickets to end", async || take().await.status == 200).await;
}

/// A credential that was said in two places, or twice in one, is a guess which one counts, and refused (design, section 3).
#[tokio::test]
async fn a_credential_said_twice_is_refused() {
    let gateway = guarded(|_| ()).await;
    let (bob, eve) = (token(json!({})), token(json!({"sub": "eve"})));
    let (bob_header, eve_header) = (format!("Bearer {bob}"), format!("Bearer {eve}"));
    for (target, headers) in [
        (String::new(), vec![&bob_header, &eve_header]),
        (String::new(), vec![&bob_header, &bob_header]),
        (format!("&token={eve}"), vec![&bob_header]),
        (format!("&token={bob}&%74oken={eve}"), vec![]),
        (format!("&token={bob}&ticket="), vec![]),
        ("&token=".to_owned(), vec![&bob_header]),
    ] {
        let target = format!("/v1/poll?channel=news{target}");
        let headers: Vec<_> = headers
            .iter()
            .map(|value| ("authorization", value.as_str()))
            .collect();
        let response = gateway.request("GET", &target, &headers, b"").await;
        assert_eq!(
            (response.status, response.code().as_str()),
            (400, "bad_request"),
            "{target}"
        );
    }
    let both = format!("everyway.v1, bearer.{bob}, bearer.{eve}");
    let (mut ws, _) = Ws::with(
        gateway.address,
        "/v1/ws",
        &[("sec-websocket-protocol", &both)],
    )
    .await;
    assert_eq!(ws.end().await.1, 4000);
}

/// Names that are nearly the user's own match no pattern of the user (design, section 6: literally).
#[tokio::test]
async fn a_user_put_into_a_pattern_is_text() {
    let gateway = guarded(|_| ()).await;
    for user in [
        "*",
        "bob*",
        "{user}",
        "{user}*",
        "b:*",
        "..",
        "%2A",
        "own:bob",
        "bob\u{2a}",
    ] {
        let claims = json!({"sub": user, "subscribe": ["own:{user}", "{user}", "x:{user}:*"]});
        let token = token(claims);
        for channel in ["own:bob", "own:alice", "news", "x::a", "x:bob:a", "own:"] {
            let status = get(&gateway, &format!("/v1/poll?channel={channel}"), &token)
                .await
                .status;
            let is_own = channel == user;
            assert_eq!(
                status,
                if is_own { 200 } else { 403 },
                "{user} and {channel}"
            );
        }
    }
    let nobody = token(json!({"sub": Value::Null, "subscribe": ["own:{user}", "own:{user}*"]}));
    for channel in ["own:", "own:null", "own:%7Buser%7D"] {
        let status = get(&gateway, &format!("/v1/poll?channel={channel}"), &nobody)
            .await
            .status;
        assert!([400, 403].contains(&status), "{channel}: {status}");
    }
}
