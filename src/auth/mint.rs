//! New tokens, for trying out and for backends without a library of their own.

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Map, Value, json};

use super::clock::unix_now_s;
use super::keys::{KeyError, algorithm, read_file, read_secret};
use crate::config;
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

/// Makes a token by the rules of a configuration, signed with a private key in PEM, or with the configured secret.
///
/// # Errors
/// [`KeyError`] if there is no key, or none that `auth.algorithms` can use.
pub fn mint(config: &config::Auth, pem: Option<&str>, claims: &Claims) -> Result<Secret, KeyError> {
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
    let token = encode(&Header::new(algorithm), &body(config, claims), &key);
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
