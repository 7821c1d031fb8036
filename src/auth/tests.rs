use super::*;

use std::path::Path;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::clock::unix_now_s;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn with_secret(change: impl FnOnce(&mut config::Auth)) -> Auth {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config::Auth {
        secret_file: write(folder.path(), "secret", SECRET),
        ..config::Auth::default()
    };
    change(&mut config);
    Auth::new(&config).unwrap()
}

fn signed(claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    encode(&Header::default(), claims, &key).unwrap()
}

fn present(auth: &Auth, token: &str) -> Result<Principal, Problem> {
    auth.principal(Some(&Credential::Bearer(Secret::new(token))), None)
}

fn soon() -> u64 {
    unix_now_s() + 60
}

fn anonymous() -> config::Anonymous {
    config::Anonymous {
        subscribe: vec!["news".to_owned()],
        publish: Vec::new(),
    }
}

#[test]
fn nobody_publishes_to_presence() {
    let open = Auth::new(&config::Auth::default()).unwrap();
    let everybody = open.principal(None, None).unwrap();
    let presence = ChannelName::parse("presence:room:1").unwrap();
    let refused = everybody.may(Action::Publish, &presence).unwrap_err();
    assert_eq!(refused.code, Code::Forbidden);
    assert!(everybody.may(Action::Subscribe, &presence).is_ok());
}

#[test]
fn an_inbox_is_its_users_and_the_administrators() {
    let auth = with_secret(|_| ());
    let inbox = ChannelName::parse("@bob").unwrap();
    let who = |claims: Value| present(&auth, &signed(&claims)).unwrap();
    let everything = json!(["*", "@*", "@bob", "presence:*"]);
    let claims = |user: &str, admin: bool| json!({"sub": user, "exp": soon(), "subscribe": everything, "publish": everything, "admin": admin});
    let (bob, eve, root) = (
        claims("bob", false),
        claims("eve", false),
        claims("root", true),
    );
    let (bob, eve, root) = (who(bob), who(eve), who(root));
    let may = |who: &Principal| who.may(Action::Subscribe, &inbox).is_ok();
    assert!(may(&bob) && may(&root) && !may(&eve));
    for somebody in [&bob, &root] {
        assert!(somebody.may(Action::Publish, &inbox).is_err());
    }
}

#[test]
fn presence_is_for_those_who_may_read_the_channel() {
    let auth = with_secret(|_| ());
    let claims = json!({"exp": soon(), "subscribe": ["room:*", "presence:lobby"]});
    let somebody = present(&auth, &signed(&claims)).unwrap();
    let may = |name| {
        somebody
            .may(Action::Subscribe, &ChannelName::parse(name).unwrap())
            .is_ok()
    };
    assert!(may("presence:room:1") && !may("presence:lobby") && !may("presence:news"));
}

#[test]
fn a_namespace_may_be_open_to_everybody_or_to_users() {
    let auth = with_secret(|_| ());
    let opening = |subscribe, publish| config::Namespace {
        subscribe,
        publish,
        ..config::Namespace::default()
    };
    let open = opening(config::Whoever::Everyone, config::Whoever::Users);
    let namespaces = [("open".to_owned(), open)].into();
    assert!(auth.principal(None, None).is_err());
    auth.open_namespaces(&namespaces);
    let nobody = auth.principal(None, None).unwrap();
    let bob = present(&auth, &signed(&json!({"sub": "bob", "exp": soon()}))).unwrap();
    let may =
        |who: &Principal, action, name| who.may(action, &ChannelName::parse(name).unwrap()).is_ok();
    for (who, publishes) in [(&nobody, false), (&bob, true)] {
        assert!(
            may(who, Action::Subscribe, "open:1") && may(who, Action::Subscribe, "presence:open:1")
        );
        assert_eq!(may(who, Action::Publish, "open:1"), publishes);
        assert!(!may(who, Action::Subscribe, "open") && !may(who, Action::Subscribe, "closed:1"));
    }
    assert!(auth.check(&nobody).is_ok());
    auth.open_namespaces(&namespaces);
    assert!(auth.check(&nobody).is_ok(), "nothing changed");
    auth.open_namespaces(&[].into());
    assert!(auth.check(&nobody).is_err() && auth.principal(None, None).is_err());
}

#[test]
fn a_name_is_self_chosen_in_open_mode_only() {
    let alice = || UserName::parse("alice").ok();
    let open = Auth::new(&config::Auth::default()).unwrap();
    assert!(open.principal(None, alice()).is_ok());
    let guarded = with_secret(|config| config.anonymous = Some(anonymous()));
    let refused = guarded.principal(None, alice()).unwrap_err();
    assert_eq!(refused.code, Code::BadRequest);
    assert!(
        guarded
            .principal(None, None)
            .unwrap()
            .must_be_admin()
            .is_err()
    );
}

#[test]
fn without_anonymous_rights_credentials_are_needed_and_a_bad_one_is_never_anonymous() {
    let refused = with_secret(|_| ()).principal(None, None).unwrap_err();
    assert_eq!(refused.code, Code::Unauthorized);
    let guarded = with_secret(|config| config.anonymous = Some(anonymous()));
    assert_eq!(present(&guarded, "x").unwrap_err().code, Code::Unauthorized);
}

#[test]
fn the_claims_become_rights() {
    let auth = with_secret(|_| ());
    let claims = json!({"sub": "bob", "exp": soon(), "jti": "t1", "info": {"a": 1},
        "subscribe": ["room:*", "own:{user}"], "publish": ["room:1"], "send": ["*"]});
    let bob = present(&auth, &signed(&claims)).unwrap();
    let may = |action, name| bob.may(action, &ChannelName::parse(name).unwrap()).is_ok();
    assert!(may(Action::Subscribe, "room:2") && may(Action::Subscribe, "own:bob"));
    assert!(!may(Action::Subscribe, "own:eve") && !may(Action::Publish, "room:2"));
    assert!(may(Action::Publish, "room:1"));
    assert!(bob.may_send(&UserName::parse("eve").unwrap()).is_ok());
    assert_eq!(bob.info().map(|info| &**info), Some(r#"{"a":1}"#));
    assert_eq!(bob.token_id().map(|id| &**id), Some("t1"));
    assert!(bob.must_be_admin().is_err() && bob.sender(bob.user.clone()).is_err());
}

#[test]
fn absent_claims_grant_nothing() {
    let auth = with_secret(|_| ());
    let nobody = present(&auth, &signed(&json!({"exp": soon()}))).unwrap();
    let news = ChannelName::parse("news").unwrap();
    assert!(nobody.user.is_none());
    assert!(nobody.may(Action::Subscribe, &news).is_err());
    assert!(nobody.may(Action::Publish, &news).is_err());
    assert!(nobody.may_send(&UserName::parse("eve").unwrap()).is_err());
}

#[test]
fn claims_of_another_type_refuse_the_token() {
    let auth = with_secret(|_| ());
    for (claim, value) in [
        ("sub", json!(1)),
        ("sub", json!("")),
        ("subscribe", json!("*")),
        ("subscribe", json!([1])),
        ("publish", json!(vec!["a"; 257])),
        ("admin", json!("true")),
        ("jti", json!("x".repeat(129))),
        ("info", json!("x".repeat(1024))),
        ("exp", json!("soon")),
        ("nbf", json!("now")),
        ("aud", json!("somebody")),
    ] {
        let mut claims = json!({"sub": "bob", "exp": soon()});
        claims[claim] = value;
        let refused = present(&auth, &signed(&claims)).unwrap_err();
        assert_eq!(refused.code, Code::Unauthorized, "{claims}");
    }
}

#[test]
fn a_token_is_bounded() {
    let auth = with_secret(|_| ());
    let long = json!({"exp": soon(), "more": "x".repeat(16_384)});
    let refused = present(&auth, &signed(&long)).unwrap_err();
    assert!(refused.message.contains("16384"), "{}", refused.message);
}

#[test]
fn an_unknown_critical_header_refuses_the_token() {
    let header = Header {
        crit: Some(vec!["exp".to_owned()]),
        ..Header::default()
    };
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let token = encode(&header, &json!({"exp": soon()}), &key).unwrap();
    let refused = present(&with_secret(|_| ()), &token).unwrap_err();
    assert!(refused.message.contains("crit"), "{}", refused.message);
}

#[test]
fn only_the_configured_algorithms_count() {
    let auth = with_secret(|config| config.algorithms = vec![config::Algorithm::HS512]);
    let claims = json!({"exp": soon()});
    assert!(present(&auth, &signed(&claims)).is_err());
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let token = encode(&Header::new(Algorithm::HS512), &claims, &key).unwrap();
    assert!(present(&auth, &token).is_ok());
}

#[test]
fn a_set_of_keys_is_chosen_from_by_name() {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let folder = tempfile::tempdir().unwrap();
    let key = |id: &str, secret: &str| json!({"kty": "oct", "kid": id, "k": URL_SAFE_NO_PAD.encode(secret)});
    // What cannot be understood is passed over (RFC 7517, section 5).
    let odd = [
        json!({"kty": "oct", "kid": 5}),
        json!(null),
        json!({"kty": "new"}),
    ];
    let [one, two, three] = odd;
    let keys = json!([one, key("a", SECRET), two, key("b", "another"), three]);
    let set = json!({ "keys": keys }).to_string();
    let config = config::Auth {
        jwks_file: write(folder.path(), "jwks", &set),
        ..config::Auth::default()
    };
    let auth = Auth::new(&config).unwrap();
    for (id, is_good) in [
        (Some("a"), true),
        (Some("b"), false),
        (Some("c"), false),
        (None, true),
    ] {
        let header = Header {
            kid: id.map(str::to_owned),
            ..Header::default()
        };
        let secret = EncodingKey::from_secret(SECRET.as_bytes());
        let token = encode(&header, &json!({"exp": soon()}), &secret).unwrap();
        assert_eq!(present(&auth, &token).is_ok(), is_good, "{id:?}");
    }
}

#[test]
fn bad_keys_are_told_with_their_setting() {
    let folder = tempfile::tempdir().unwrap();
    let file = |text: &str| write(folder.path(), "file", text);
    let refused = |change: &dyn Fn(&mut config::Auth)| {
        let mut config = config::Auth::default();
        change(&mut config);
        Auth::new(&config).unwrap_err().to_string()
    };
    for (setting, error) in [
        (
            "auth.secret_file",
            refused(&|c| c.secret_file = file("short")),
        ),
        (
            "auth.secret_file",
            refused(&|c| c.secret_file = "/nowhere".to_owned()),
        ),
        (
            "auth.pem_files",
            refused(&|c| c.pem_files = vec![file("no PEM, but a secret")]),
        ),
        (
            "public one",
            refused(&|c| c.pem_files = vec![file("-----BEGIN PRIVATE KEY-----")]),
        ),
        ("auth.jwks_file", refused(&|c| c.jwks_file = file("{}"))),
        (
            "auth.jwks_file",
            refused(&|c| c.jwks_file = file(r#"{"keys":[]}"#)),
        ),
    ] {
        assert!(error.contains(setting), "{error}");
        assert!(
            !error.contains("short") && !error.contains("but a secret"),
            "{error}"
        );
    }
}

#[test]
fn a_reload_takes_all_or_nothing_and_never_begins_the_open_mode() {
    let auth = with_secret(|_| ());
    let token = signed(&json!({"exp": soon()}));
    assert!(auth.reload(&config::Auth::default()).is_err());
    let bad = config::Auth {
        secret_file: "/nowhere".to_owned(),
        ..config::Auth::default()
    };
    assert!(auth.reload(&bad).is_err());
    assert!(present(&auth, &token).is_ok());
    let folder = tempfile::tempdir().unwrap();
    let other = config::Auth {
        secret_file: write(folder.path(), "other", &SECRET.to_uppercase()),
        ..config::Auth::default()
    };
    auth.reload(&other).unwrap();
    assert!(present(&auth, &token).is_err());
}

#[test]
fn nothing_secret_is_in_the_debug_output() {
    let auth = with_secret(|config| {
        config.api_keys = vec![config::ApiKey {
            sha256: "ab".repeat(32),
            ..config::ApiKey::default()
        }];
    });
    let (ticket, _) = {
        let admin = json!({"exp": soon(), "subscribe": ["*"]});
        let principal = present(&auth, &signed(&admin)).unwrap();
        let channels = vec![ChannelName::parse("a").unwrap()];
        auth.issue_ticket(&principal, channels).unwrap()
    };
    let text = format!(
        "{auth:?} {ticket:?} {:?}",
        Credential::Ticket(ticket.clone())
    );
    for secret in [SECRET, ticket.reveal(), &format!("{:?}", SECRET.as_bytes())] {
        assert!(!text.contains(secret), "{text}");
    }
    assert!(!text.contains("171, 171"), "the hash of an API key: {text}");
}

#[test]
fn info_is_bounded_in_bytes_and_in_depth() {
    let auth = with_secret(|_| ());
    let fits = |info: &Value| {
        present(&auth, &signed(&json!({"exp": soon(), "info": info})))
            .map_err(|problem| problem.code)
    };
    let nested = |depth| (0..depth).fold(json!(1), |inside, _| json!([inside]));
    for (fitting, not) in [
        (json!("x".repeat(1022)), json!("x".repeat(1023))),
        (nested(32), nested(33)),
    ] {
        let principal = fits(&fitting).unwrap();
        assert_eq!(
            principal.info().map(|info| &**info),
            Some(&*fitting.to_string())
        );
        assert_eq!(fits(&not).err(), Some(Code::Unauthorized));
    }
}
