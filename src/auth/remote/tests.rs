use super::*;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use http::StatusCode;
use serde_json::json;

use crate::auth::token::Rules;

/// Public keys of RFC 8037, appendix A.2, and RFC 7517, appendix A.1.
const ED: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const EC: [&str; 2] = [
    "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
];

fn remote(url: &str) -> Remote {
    let config = config::Auth {
        jwks_url: url.to_owned(),
        ..config::Auth::default()
    };
    let reading = Reading::new(&config, &Rules::new(&config));
    Remote::new(&config, reading).unwrap().unwrap()
}

fn set(kid: &str) -> Bytes {
    let key = json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": ED});
    json!({ "keys": [key] }).to_string().into()
}

fn names(remote: &Remote) -> Vec<String> {
    let set = remote.set();
    let set = set.iter().flat_map(|set| set.verifiers.iter());
    let known = ["a", "b", "c"];
    let named = |verifier: &Verifier| {
        let named = known.iter().find(|name| verifier.is_named(Some(name)));
        named.unwrap_or(&"?").to_string()
    };
    set.map(named).collect()
}

/// A source without a network: what it answers next, when it was asked, and how long it takes.
struct Fake {
    answer: RefCell<Result<(Bytes, Option<Duration>), ()>>,
    asked_at: RefCell<Vec<Instant>>,
    takes: Cell<Duration>,
}

impl Fake {
    fn with(kid: &str) -> Rc<Self> {
        Rc::new(Self {
            answer: RefCell::new(Ok((set(kid), None))),
            asked_at: RefCell::default(),
            takes: Cell::default(),
        })
    }

    fn answers(&self, body: impl Into<Bytes>, fresh_for: Option<Duration>) {
        *self.answer.borrow_mut() = Ok((body.into(), fresh_for));
    }

    fn goes_down(&self) {
        *self.answer.borrow_mut() = Err(());
    }

    fn count(&self) -> usize {
        self.asked_at.borrow().len()
    }

    async fn get(&self) -> Result<Fetched, FetchError> {
        self.asked_at.borrow_mut().push(Instant::now());
        tokio::time::sleep(self.takes.get()).await;
        let down = || FetchError::Status("id".to_owned(), StatusCode::BAD_GATEWAY);
        let answer = self.answer.borrow().clone();
        let (body, fresh_for) = answer.map_err(|()| down())?;
        Ok(Fetched { body, fresh_for })
    }
}

/// Keeps the keys of a fake source fresh while the test goes on.
async fn keeping(fake: &Rc<Fake>, test: impl AsyncFnOnce(&Remote)) {
    let remote = remote("http://127.0.0.1/keys");
    tokio::select! {
        () = remote.keep_from(|| fake.get()) => {}
        () = test(&remote) => {}
    }
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

fn refused(remote: &Remote) -> Code {
    remote.refuse(Problem::new(Code::Unauthorized, "")).code
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_unknown_keys_asks_once_in_30_seconds() {
    let fake = Fake::with("a");
    keeping(&fake, async |remote| {
        remote.ended().await.unwrap();
        for second in 0..60 {
            for _ in 0..10 {
                if remote.want() {
                    remote.ended().await.unwrap();
                }
            }
            assert_eq!(fake.count(), 2 + second / 30, "at {second} s");
            pass(1).await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn while_a_round_is_held_back_a_new_key_is_not_refused_for_good() {
    let fake = Fake::with("a");
    keeping(&fake, async |remote| {
        pass(60).await;
        // Somebody makes up a key, and then the source gets a new one.
        assert!(remote.want());
        pass(1).await;
        assert_eq!(refused(remote), Code::Unauthorized);
        fake.answers(set("b"), None);
        pass(4).await;
        assert!(!remote.want());
        let problem = remote.refuse(Problem::new(Code::Unauthorized, "unknown"));
        assert_eq!(problem.code, Code::Unavailable);
        let after = problem.retry_after.unwrap();
        assert!(after >= WANTED_GAP - Duration::from_secs(6), "{after:?}");
        tokio::time::sleep(after).await;
        assert!(remote.want());
        pass(1).await;
        assert_eq!(
            (names(remote), refused(remote)),
            (vec!["b".to_owned()], Code::Unauthorized)
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_new_is_there_after_one_wait() {
    let fake = Fake::with("a");
    keeping(&fake, async |remote| {
        remote.ended().await.unwrap();
        fake.answers(set("b"), None);
        fake.takes.set(Duration::from_secs(3));
        assert!(remote.want());
        // Who comes meanwhile waits for the same round.
        assert!(remote.want());
        tokio::join!(async { remote.ended().await.unwrap() }, async {
            remote.ended().await.unwrap()
        });
        assert_eq!((names(remote), fake.count()), (vec!["b".to_owned()], 2));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_set_is_fresh_for_as_long_as_its_source_says_within_bounds() {
    let hour = 3600;
    for (said, rest) in [
        (None, 600),
        (Some(0), 60),
        (Some(59), 60),
        (Some(61), 61),
        (Some(hour), hour),
        (Some(hour + 1), hour),
        (Some(u64::MAX), hour),
    ] {
        let fake = Fake::with("a");
        fake.answers(set("a"), said.map(Duration::from_secs));
        keeping(&fake, async |_| pass(rest + 1).await).await;
        let asked_at = fake.asked_at.borrow();
        assert_eq!(asked_at.len(), 2, "{said:?}");
        assert_eq!((asked_at[1] - asked_at[0]).as_secs(), rest, "{said:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_down_is_asked_after_ever_longer_rests() {
    let fake = Fake::with("a");
    fake.goes_down();
    keeping(&fake, async |_| pass(600).await).await;
    let asked_at = fake.asked_at.borrow().clone();
    let rests: Vec<_> = asked_at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (i, rest) in rests.iter().enumerate() {
        let most = RETRY_MAX.min(RETRY_MIN * (1 << i.min(10)));
        assert!(
            (most / 2..=most + RETRY_MIN / 100).contains(rest),
            "{rests:?}"
        );
    }
    assert!((15..40).contains(&rests.len()), "{rests:?}");
}

#[tokio::test(start_paused = true)]
async fn keys_stay_while_the_source_is_down_or_says_nonsense() {
    let fake = Fake::with("a");
    keeping(&fake, async |remote| {
        remote.ended().await.unwrap();
        assert_eq!(refused(remote), Code::Unauthorized);
        fake.goes_down();
        pass(700).await;
        assert!(fake.count() > 1);
        // Nobody knows now whether a key that is not here is a good one.
        assert_eq!(refused(remote), Code::Unavailable);
        for nonsense in [
            "<html>",
            "{}",
            r#"{"keys":[]}"#,
            r#"{"keys":[{"kty":"x"}]}"#,
        ] {
            fake.answers(nonsense, None);
            pass(70).await;
            assert_eq!(names(remote), ["a"], "{nonsense}");
        }
        fake.answers(set("b"), None);
        pass(70).await;
        assert_eq!(names(remote), ["b"]);
        assert_eq!(refused(remote), Code::Unauthorized);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn without_a_first_set_nobody_is_judged() {
    let fake = Fake::with("a");
    fake.goes_down();
    keeping(&fake, async |remote| {
        assert_eq!(refused(remote), Code::Unavailable);
        remote.ended().await.unwrap();
        let problem = remote.refuse(Problem::new(Code::Unauthorized, ""));
        assert_eq!(problem.code, Code::Unavailable);
        let after = problem.retry_after.unwrap();
        assert!(
            (RETRY_AFTER..=2 * RETRY_AFTER).contains(&after),
            "{after:?}"
        );
        fake.answers(set("a"), None);
        pass(2).await;
        assert_eq!(names(remote), ["a"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn only_so_many_wait() {
    let fake = Fake::with("a");
    fake.takes.set(Duration::from_secs(5));
    keeping(&fake, async |remote| {
        let waiting: Vec<_> = (0..WAITING_MAX).map(|_| Box::pin(remote.ended())).collect();
        let all = futures_util::future::join_all(waiting);
        let one_more = async {
            pass(1).await;
            assert_eq!(remote.ended().await.unwrap_err().code, Code::Unavailable);
        };
        let (all, ()) = tokio::join!(all, one_more);
        assert!(all.iter().all(Result::is_ok));
        // There is room again.
        remote.ended().await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_told_when_the_asking_is_given_up() {
    let remote = remote("http://127.0.0.1/keys");
    let keeping = tokio::time::timeout(
        Duration::from_secs(1),
        remote.keep_from(std::future::pending::<Result<Fetched, FetchError>>),
    );
    let (kept, ended) = tokio::join!(keeping, remote.ended());
    assert!(kept.is_err() && ended.is_ok());
}

#[test]
fn another_configuration_begins_with_the_keys_of_the_same_source_only() {
    let old = remote("http://127.0.0.1/keys");
    let fetched = |body| Fetched {
        body,
        fresh_for: None,
    };
    old.take_over(fetched(set("a"))).unwrap();
    let same = remote("http://127.0.0.1/keys");
    same.inherit(&old);
    assert_eq!(names(&same), ["a"]);
    let other = remote("http://127.0.0.1/other");
    other.inherit(&old);
    assert!(names(&other).is_empty());
}

#[test]
fn a_set_of_a_url_has_public_keys_for_signatures_only() {
    let remote = remote("http://127.0.0.1/keys");
    let keys = json!({"keys": [
        {"kty": "oct", "kid": "secret", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"},
        {"kty": "EC", "crv": "P-256", "kid": "a", "x": EC[0], "y": EC[1], "use": "enc"},
        {"kty": "EC", "crv": "P-256", "kid": "b", "x": EC[0], "y": EC[1], "use": "sig"},
        {"kty": "OKP", "crv": "Ed25519", "kid": "c", "x": ED, "alg": "EdDSA"},
    ]});
    let fetched = |keys: &serde_json::Value| Fetched {
        body: keys.to_string().into(),
        fresh_for: None,
    };
    remote.take_over(fetched(&keys)).unwrap();
    assert_eq!(names(&remote), ["b", "c"]);
    let many: Vec<_> = (0..65).map(|_| keys["keys"][3].clone()).collect();
    remote
        .take_over(fetched(&json!({ "keys": many[..64] })))
        .unwrap();
    let error = remote.take_over(fetched(&json!({ "keys": many })));
    assert!(error.unwrap_err().contains("64"));
}
