//! What credentials are checked with: read from files at the start, and again on a reload. It never changes; a reload
//! makes a new one. Only the keys of a URL come and go in between.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};

use super::api_key::ApiKey;
use super::key_set::Reading;
use super::pattern::Patterns;
use super::principal::{Grant, Withdrawn};
use super::remote::Remote;
use super::token::{Rules, Verifier};
use crate::config;
use crate::path::absolute;

/// The most keys of all files together, and of the set of a URL: a token without a `kid` is tried with each of them.
pub(super) const KEYS_MAX: usize = 64;
/// The shortest secret, in bytes: as long as the shortest hash (RFC 7518, section 3.2).
const SECRET_BYTES_MIN: usize = 32;
/// The largest file of keys.
const FILE_BYTES_MAX: usize = 1024 * 1024;

/// Keys that cannot be used. The text names the setting and says what to do; it never holds what a file holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeyError(String);

impl KeyError {
    pub(super) fn new(setting: &str, what: impl std::fmt::Display) -> Self {
        Self(format!("{setting}: {what}"))
    }
}

/// Everything that decides who somebody is.
#[derive(Debug)]
pub(super) struct Keys {
    /// The keys of files.
    pub verifiers: Vec<Verifier>,
    /// The keys of a URL.
    pub remote: Option<Arc<Remote>>,
    pub api_keys: Vec<ApiKey>,
    /// The rights of those without credentials, if there may be any.
    pub anonymous: Option<Arc<Grant>>,
    /// True if nothing is configured.
    pub is_open: bool,
    pub rules: Rules,
    pub ticket_life: Duration,
    pub tickets_max: usize,
    pub revocations_max: usize,
}

impl Keys {
    /// Reads all keys.
    pub fn read(config: &config::Auth) -> Result<Self, KeyError> {
        let rules = Rules::new(config);
        let verifiers = verifiers(config, &rules)?;
        let remote = Remote::new(config, Reading::new(config, &rules));
        let remote = remote.map_err(|what| KeyError::new("auth.jwks_url", what))?;
        let has_keys = !verifiers.is_empty() || remote.is_some() || !config.api_keys.is_empty();
        let is_open = !has_keys && config.anonymous.is_none();
        let api_keys = config.api_keys.iter().map(ApiKey::new);
        let bad_hash = || KeyError::new("auth.api_keys", "sha256 has 64 hex digits");
        Ok(Self {
            verifiers,
            remote: remote.map(Arc::new),
            api_keys: api_keys.collect::<Option<_>>().ok_or_else(bad_hash)?,
            anonymous: anonymous(config, is_open),
            is_open,
            rules,
            ticket_life: config.ticket_s.duration(),
            tickets_max: config.tickets_max,
            revocations_max: config.revocations_max,
        })
    }
}

impl Keys {
    /// Takes the place of others: what is granted by the same API key or to everybody, and is the same, goes on. The rest is
    /// what [`Keys::withdraw_but`] takes back.
    pub fn inherit(&mut self, old: &Self) {
        for key in &mut self.api_keys {
            let _ = old.api_keys.iter().any(|old| key.inherit(old));
        }
        if let (Some(new), Some(old)) = (&mut self.anonymous, &old.anonymous)
            && new.has_rights_of(old)
        {
            *new = Arc::clone(old);
        }
    }

    /// Takes back what these grant and those that took their place do not.
    pub fn withdraw_but(&self, new: &Self) {
        let stays = |key: &ApiKey| new.api_keys.iter().any(|new| new.is_of(key));
        let gone = self.api_keys.iter().filter(|key| !stays(key));
        gone.for_each(ApiKey::withdraw);
        if let Some(old) = &self.anonymous
            && !new
                .anonymous
                .as_ref()
                .is_some_and(|new| Arc::ptr_eq(new, old))
        {
            old.withdraw();
        }
    }
}

impl Rules {
    pub(super) fn new(config: &config::Auth) -> Self {
        let set = |text: &String| (!text.is_empty()).then(|| text.clone());
        Self {
            issuer: set(&config.issuer),
            audience: set(&config.audience),
            user_claim: config.user_claim.clone(),
        }
    }
}

fn anonymous(config: &config::Auth, is_open: bool) -> Option<Arc<Grant>> {
    let grant = match &config.anonymous {
        Some(rights) => {
            let parse = |texts: &[String]| Patterns::parse(texts.iter().map(String::as_str), None);
            Grant {
                subscribe: parse(&rights.subscribe),
                publish: parse(&rights.publish),
                withdrawn: Some(Withdrawn::default()),
                ..Grant::default()
            }
        }
        None if is_open => Grant {
            subscribe: Patterns::everything(),
            publish: Patterns::everything(),
            send: Patterns::everything(),
            admin: true,
            withdrawn: Some(Withdrawn::default()),
            ..Grant::default()
        },
        None => return None,
    };
    Some(Arc::new(grant))
}

fn verifiers(config: &config::Auth, rules: &Rules) -> Result<Vec<Verifier>, KeyError> {
    let mut verifiers = Vec::new();
    if !config.secret_file.is_empty() {
        let secret = read_secret(&config.secret_file)?;
        let key = DecodingKey::from_secret(&secret);
        let algorithms = algorithms_for("auth.secret_file", config, AlgorithmFamily::Hmac)?;
        verifiers.push(Verifier::new(key, None, algorithms, rules));
    }
    for path in &config.pem_files {
        let key = read_pem(path)?;
        let algorithms = algorithms_for("auth.pem_files", config, key.family())?;
        verifiers.push(Verifier::new(key, None, algorithms, rules));
    }
    if !config.jwks_file.is_empty() {
        let text = read_file("auth.jwks_file", &config.jwks_file)?;
        let found = Reading::new(config, rules).read(&text);
        verifiers.extend(found.map_err(|what| KeyError::new("auth.jwks_file", what))?);
    }
    if verifiers.len() > KEYS_MAX {
        let what = format!("there are more than {KEYS_MAX} keys: remove those that are not in use");
        return Err(KeyError::new("auth", what));
    }
    Ok(verifiers)
}

/// The secret for HMAC.
pub(super) fn read_secret(path: &str) -> Result<Vec<u8>, KeyError> {
    const SETTING: &str = "auth.secret_file";
    let mut secret = read_file(SETTING, path)?;
    if secret.ends_with(b"\n") {
        secret.pop();
    }
    if secret.len() < SECRET_BYTES_MIN {
        let what = format!(
            "{path} has less than {SECRET_BYTES_MIN} bytes: make one with openssl rand -hex 32"
        );
        return Err(KeyError::new(SETTING, what));
    }
    warn_if_shared(path);
    Ok(secret)
}

/// Whoever can read the secret can make any token.
fn warn_if_shared(path: &str) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(path).map(|metadata| metadata.permissions().mode());
        if mode.is_ok_and(|mode| mode & 0o077 != 0) {
            tracing::warn!(
                path,
                "others on this machine can read the secret of tokens: chmod 600 it"
            );
        }
    }
}

fn read_pem(path: &str) -> Result<DecodingKey, KeyError> {
    const SETTING: &str = "auth.pem_files";
    let text = read_file(SETTING, path)?;
    let is_private = text.windows(11).any(|window| window == b"PRIVATE KEY");
    if is_private {
        let what = format!(
            "{path} holds a private key: give the public one, openssl pkey -in FILE -pubout"
        );
        return Err(KeyError::new(SETTING, what));
    }
    let key = DecodingKey::from_rsa_pem(&text)
        .or_else(|_| DecodingKey::from_ec_pem(&text))
        .or_else(|_| DecodingKey::from_ed_pem(&text));
    let what = || format!("{path} is no public key in PEM, of RSA, P-256 or Ed25519");
    key.map_err(|_| KeyError::new(SETTING, what()))
}

pub(super) fn read_file(setting: &str, path: &str) -> Result<Vec<u8>, KeyError> {
    let bytes = std::fs::read(path).map_err(|error| {
        let path = absolute(Path::new(path));
        KeyError::new(setting, format!("cannot read {}: {error}", path.display()))
    })?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(KeyError::new(setting, format!("{path} is too large")));
    }
    Ok(bytes)
}

fn algorithms_for(
    setting: &str,
    config: &config::Auth,
    family: AlgorithmFamily,
) -> Result<Vec<Algorithm>, KeyError> {
    let algorithms = allowed(config, family);
    if algorithms.is_empty() {
        let what =
            "auth.algorithms names none that this key is for: add one, such as HS256 for a secret";
        return Err(KeyError::new(setting, what));
    }
    Ok(algorithms)
}

fn allowed(config: &config::Auth, family: AlgorithmFamily) -> Vec<Algorithm> {
    let algorithms = config.algorithms.iter().copied().map(algorithm);
    algorithms
        .filter(|algorithm| algorithm.family() == family)
        .collect()
}

pub(super) fn algorithm(configured: config::Algorithm) -> Algorithm {
    match configured {
        config::Algorithm::HS256 => Algorithm::HS256,
        config::Algorithm::HS384 => Algorithm::HS384,
        config::Algorithm::HS512 => Algorithm::HS512,
        config::Algorithm::RS256 => Algorithm::RS256,
        config::Algorithm::PS256 => Algorithm::PS256,
        config::Algorithm::ES256 => Algorithm::ES256,
        config::Algorithm::EdDSA => Algorithm::EdDSA,
    }
}
