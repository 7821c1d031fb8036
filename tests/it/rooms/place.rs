//! Where it all happens: a gateway with short times, twenty channels, and fifty sessions of fifteen users.

use std::collections::BTreeMap;
use std::time::Duration;

use everyway::bus::{ChannelName, UserName};
use everyway::config::{Config, Namespace, Seconds};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::super::support::Gateway;
use super::super::tokens;
use super::member::Who;
use super::model::{Channel, Model};

pub const SESSIONS: usize = 50;
/// Two users have names that are escaped everywhere.
const USERS: [&str; 14] = [
    "ann",
    "b b",
    "cid",
    "dan",
    "eve",
    "fay",
    "gus",
    "hal",
    "ida",
    "jo=",
    "kim",
    "leo",
    "mia",
    "ned\u{e9}",
];
/// How long who went without a word is there, and how long a poll makes somebody present beyond its wait.
pub const GRACE_MS: u32 = 1000;
pub const LEASE_MS: u32 = 700;
/// Messages that are kept in channels that lose some.
const FEW: usize = 4;

/// A gateway for such a walk.
pub async fn gateway() -> Gateway {
    Gateway::with(|config: &mut Config| {
        config.server.admin_listen = vec!["127.0.0.1:0".to_owned()];
        config.auth.secret_file = tokens::file("secret", tokens::SECRET);
        config.presence.grace_s = milliseconds(GRACE_MS);
        config.presence.lease_s = milliseconds(LEASE_MS);
        config.limits.publish = "100000/s".parse().expect("a rule");
        // Pings come more often than a client that hears nothing gives up.
        config.timeouts.heartbeat_s = Seconds::new(5);
        config.timeouts.pong_s = Seconds::new(5);
        let quiet = Namespace {
            presence: Some(false),
            ..Namespace::default()
        };
        let short = Namespace {
            history_count_max: Some(FEW),
            ..Namespace::default()
        };
        config.namespaces.insert("quiet".to_owned(), quiet);
        config.namespaces.insert("short".to_owned(), short);
    })
    .await
}

fn milliseconds(ms: u32) -> Seconds {
    serde_json::from_value(json!(f64::from(ms) / 1000.0)).expect("seconds")
}

/// The twenty channels.
pub fn channels() -> Vec<String> {
    let rooms = (0..14).map(|n| format!("room:{n}"));
    let others = ["lobby", "a/b.c", "short:0", "short:1", "quiet:0", "quiet:1"];
    rooms.chain(others.map(str::to_owned)).collect()
}

/// Those that tell who is there.
pub fn rooms() -> Vec<String> {
    let has_presence = |channel: &String| !channel.starts_with("quiet:");
    channels().into_iter().filter(has_presence).collect()
}

/// The inbox of a user.
pub fn inbox(user: &str) -> String {
    let user = UserName::parse(user).expect("a name");
    ChannelName::inbox(&user).as_str().to_owned()
}

/// All clients. Some have the same session id as another user's, and some have none.
pub fn people() -> Vec<Who> {
    let who = |number: usize| Who {
        number,
        user: USERS
            .get(number % (USERS.len() + 1))
            .map(ToString::to_string),
        session: (number % 4 != 3).then(|| format!("session-{:012}", number / (USERS.len() + 1))),
    };
    (0..SESSIONS).map(who).collect()
}

pub fn users() -> impl Iterator<Item = &'static str> {
    USERS.into_iter()
}

/// Nothing was said yet, and nobody is anywhere.
pub fn model() -> Model {
    let channel = |name: &str| Channel {
        messages: Vec::new(),
        kept_max: if name.starts_with("short:") {
            FEW
        } else {
            usize::MAX
        },
        has_presence: !name.starts_with("quiet:") && !name.starts_with('@'),
    };
    let names = channels().into_iter().chain(users().map(inbox));
    let channels: BTreeMap<String, Channel> =
        names.map(|name| (name.clone(), channel(&name))).collect();
    let mut model = Model::new(channels, &people());
    model.grace = Duration::from_millis(GRACE_MS.into());
    model.lease = Duration::from_millis(LEASE_MS.into());
    model
}

/// A token of a user, which ends after so long; what is shown of the user is in it.
pub fn token(user: Option<&str>, info: &Value, life_s: i64) -> String {
    let end_s = i64::try_from(tokens::now_s()).expect("a clock of this age") + life_s;
    let all = json!(["*"]);
    let mut claims = json!({"exp": end_s, "subscribe": all, "publish": all, "send": all});
    if let Some(user) = user {
        claims["sub"] = json!(user);
    }
    if !info.is_null() {
        claims["info"] = info.clone();
    }
    let key = EncodingKey::from_secret(tokens::SECRET.as_bytes());
    encode(&Header::new(Algorithm::HS256), &claims, &key).expect("a token")
}
