//! API keys of backends, of which only the hash is known.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::pattern::Patterns;
use super::principal::{Grant, Withdrawn};
use crate::config;

/// How an API key begins, which tells it from a token.
pub const PREFIX: &str = "ew_";

/// One key, with what it grants.
pub(super) struct ApiKey {
    hash: [u8; 32],
    grant: Arc<Grant>,
}

impl ApiKey {
    /// A key as configured; nothing if its hash is none.
    pub fn new(config: &config::ApiKey) -> Option<Self> {
        let patterns = |texts: &[String]| Patterns::parse(texts.iter().map(String::as_str), None);
        Some(Self {
            hash: parse_hash(&config.sha256)?,
            grant: Arc::new(Grant {
                subscribe: patterns(&config.subscribe),
                publish: patterns(&config.publish),
                send: patterns(&config.send),
                admin: config.admin,
                any_sender: config.from,
                owner: config.sha256.to_ascii_lowercase().into(),
                withdrawn: Some(Withdrawn::default()),
                ..Grant::default()
            }),
        })
    }
}

impl ApiKey {
    /// Takes over what it granted before, if it grants the same. True if it was there.
    pub fn inherit(&mut self, old: &Self) -> bool {
        let is_same = self.hash == old.hash && self.grant.has_rights_of(&old.grant);
        if is_same {
            self.grant = Arc::clone(&old.grant);
        }
        is_same
    }

    /// True if both grant by the same grant.
    pub fn is_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.grant, &other.grant)
    }

    /// Takes back what it grants.
    pub fn withdraw(&self) {
        self.grant.withdraw();
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey").finish_non_exhaustive()
    }
}

/// What a key grants. All keys are compared, and each comparison takes the same time, whatever was sent.
pub(super) fn find(keys: &[ApiKey], text: &str) -> Option<Arc<Grant>> {
    let hash = Sha256::digest(text);
    let mut found = None;
    for key in keys {
        if bool::from(key.hash.ct_eq(hash.as_slice())) {
            found = Some(&key.grant);
        }
    }
    found.map(Arc::clone)
}

fn parse_hash(hex: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    if hex.len() != 2 * hash.len() || !hex.is_ascii() {
        return None;
    }
    for (i, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_by_its_hash() {
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let config = config::ApiKey {
            sha256: hex.to_owned(),
            ..config::ApiKey::default()
        };
        let keys = [ApiKey::new(&config).unwrap()];
        assert!(find(&keys, "abc").is_some());
        assert!(find(&keys, "abd").is_none());
        assert!(find(&keys, "").is_none());
        assert!(find(&[], "abc").is_none());
        assert_eq!(parse_hash("zz"), None);
    }
}
