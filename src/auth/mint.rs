//! New tokens, for trying out and for backends without a library of their own.

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Map, Value, json};

use super::clock::unix_now_s;
use super::keys::{KeyError, algorithm, read_file, read_secret};
use super::pattern::{USER, is_user_pattern};
use super::token::{self, Rules};
use crate::config::{self, is_channel_pattern};
use crate::secret::Secret;

/// What a new token says.
#[derive(Debug, Clone, Default)]
pub struct Claims {
    /// Who it is for; nobody in particular if absent.
    pub user: Option<String>,
    /// Patterns of channels to subscribe to.
    pub subscribe: Vec<String>,
    /// Patterns of channels to publish to.
    pub publish: Vec<String>,
    /// Patterns of users to send to.
    pub send: Vec<String>,
    /// Whether it is an administrator's.
    pub admin: bool,
    /// How long it is good for, in seconds.
    pub expires_s: u64,
    /// Its `jti`, by which it can be revoked.
    pub id: Option<String>,
}

impl Claims {
    /// True if a token with them grants nothing at all.
    pub fn are_without_rights(&self) -> bool {
        let lists = [&self.subscribe, &self.publish, &self.send];
        !self.admin && lists.into_iter().all(Vec::is_empty)
    }

    /// Checks what a gateway takes without a word, though it is of no use.
    fn check(&self) -> Result<(), KeyError> {
        if self.expires_s == 0 {
            let what = "must be at least 1: a token that ends at once is of no use";
            return Err(KeyError::new("--expires-s", what));
        }
        let channels = "a channel's name, or the beginning of one and * at its end";
        let users = "a user's name, or the beginning of one and * at its end";
        type Check = fn(&str) -> bool;
        let lists: [(_, _, Check, _); 3] = [
            ("--subscribe", &self.subscribe, is_channel_pattern, channels),
            ("--publish", &self.publish, is_channel_pattern, channels),
            ("--send", &self.send, is_user_pattern, users),
        ];
        for (flag, patterns, is_pattern, expected) in lists {
            for pattern in patterns {
                let named = match &self.user {
                    Some(user) => pattern.replace(USER, user),
                    None if pattern.contains(USER) => {
                        let what = format!("{pattern:?} is about the token's user: add --user");
                        return Err(KeyError::new(flag, what));
                    }
                    None => pattern.clone(),
                };
                if !is_pattern(&named) {
                    return Err(KeyError::new(flag, format!("{named:?} is not {expected}")));
                }
            }
        }
        Ok(())
    }
}

/// Reads the claims as a gateway with the same configuration will.
fn check_reading(config: &config::Auth, body: &Map<String, Value>) -> Result<(), KeyError> {
    let refused = |why: &dyn std::fmt::Display| KeyError::new("token", why);
    let read = serde_json::from_value(Value::Object(body.clone()));
    let read = read.map_err(|error| refused(&error))?;
    let principal = token::principal(&read, &Rules::new(config));
    principal
        .map(drop)
        .map_err(|problem| refused(&problem.message))
}

/// Makes a token by the rules of a configuration, signed with a private key in PEM, or with the configured secret.
///
/// # Errors
/// [`KeyError`] for claims that a gateway would refuse or that could never match, and if there is no key, or none that
/// `auth.algorithms` can use.
pub fn mint(config: &config::Auth, pem: Option<&str>, claims: &Claims) -> Result<Secret, KeyError> {
    claims.check()?;
    let body = body(config, claims);
    check_reading(config, &body)?;
    let (setting, key) = match pem {
        Some(path) => ("--pem", read_private(path)?),
        None if config.secret_file.is_empty() => {
            let what = "not set: name the file of the secret, or give a private key with --pem";
            return Err(KeyError::new("auth.secret_file", what));
        }
        None => {
            let secret = read_secret(&config.secret_file)?;
            ("auth.secret_file", EncodingKey::from_secret(&secret))
        }
    };
    let mut algorithms = config.algorithms.iter().copied().map(algorithm);
    let Some(algorithm) = algorithms.find(|algorithm| algorithm.family() == key.family()) else {
        let what = "auth.algorithms names none that this key is for";
        return Err(KeyError::new(setting, what));
    };
    let token = encode(&Header::new(algorithm), &body, &key);
    // What failed is the key, and its error may hold parts of it.
    let token = token.map_err(|_| KeyError::new(setting, "this key cannot sign"))?;
    Ok(Secret::new(&token))
}

fn read_private(path: &str) -> Result<EncodingKey, KeyError> {
    let text = read_file("--pem", path)?;
    let key = EncodingKey::from_rsa_pem(&text)
        .or_else(|_| EncodingKey::from_ec_pem(&text))
        .or_else(|_| EncodingKey::from_ed_pem(&text));
    let what = || format!("{path} is no private key in PEM (PKCS #8), of RSA, P-256 or Ed25519");
    key.map_err(|_| KeyError::new("--pem", what()))
}

fn body(config: &config::Auth, claims: &Claims) -> Map<String, Value> {
    let mut body = Map::new();
    let mut add = |name: &str, value: Value| drop(body.insert(name.to_owned(), value));
    for (name, list) in [
        ("subscribe", &claims.subscribe),
        ("publish", &claims.publish),
        ("send", &claims.send),
    ] {
        if !list.is_empty() {
            add(name, json!(list));
        }
    }
    if claims.admin {
        add("admin", json!(true));
    }
    for (name, text) in [("iss", &config.issuer), ("aud", &config.audience)] {
        if !text.is_empty() {
            add(name, json!(text));
        }
    }
    if let Some(id) = &claims.id {
        add("jti", json!(id));
    }
    if let Some(user) = &claims.user {
        add(&config.user_claim, json!(user));
    }
    add("exp", json!(unix_now_s().saturating_add(claims.expires_s)));
    body
}
