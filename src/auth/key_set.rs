//! Sets of public keys (RFC 7517): which of their keys can be used, and for what.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde::Deserialize;

use super::keys::{KEYS_MAX, algorithm};
use super::token::{Rules, Verifier};
use crate::config;

/// How keys become verifiers.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    /// What tokens may be signed with.
    algorithms: Vec<Algorithm>,
    rules: Rules,
}

/// A set, with keys of all kinds.
#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

impl Reading {
    pub fn new(config: &config::Auth, rules: &Rules) -> Self {
        let algorithms = config.algorithms.iter().copied().map(algorithm);
        Self {
            algorithms: algorithms.collect(),
            rules: rules.clone(),
        }
    }

    /// The same without secrets: what anybody can fetch is none.
    pub fn without_secrets(mut self) -> Self {
        let is_secret = |algorithm: &Algorithm| algorithm.family() == AlgorithmFamily::Hmac;
        self.algorithms.retain(|algorithm| !is_secret(algorithm));
        self
    }

    /// The keys of a set that can be used, at least one.
    pub fn read(&self, text: &[u8]) -> Result<Vec<Verifier>, &'static str> {
        let set: Set = serde_json::from_slice(text)
            .map_err(|_| "this is no JSON Web Key Set: expected {\"keys\":[…]} of RFC 7517")?;
        // A key that cannot be understood is passed over (RFC 7517, section 5).
        let keys = set.keys.into_iter();
        let keys = keys.filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
        let verifiers: Vec<Verifier> = keys.filter_map(|jwk| self.verifier(&jwk)).collect();
        match verifiers.len() {
            0 => Err("the set has no key that auth.algorithms can use"),
            1..=KEYS_MAX => Ok(verifiers),
            _ => Err("the set has more than 64 keys"),
        }
    }

    fn verifier(&self, jwk: &Jwk) -> Option<Verifier> {
        let algorithms = self.algorithms_of(jwk);
        let key = DecodingKey::from_jwk(jwk).ok()?;
        let id = jwk.common.key_id.clone();
        (!algorithms.is_empty()).then(|| Verifier::new(key, id, algorithms, &self.rules))
    }

    /// What a key of a set is for: what its type can do and the configuration allows, less if the key says so.
    fn algorithms_of(&self, jwk: &Jwk) -> Vec<Algorithm> {
        let family = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => AlgorithmFamily::Rsa,
            AlgorithmParameters::OctetKey(_) => AlgorithmFamily::Hmac,
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
                AlgorithmFamily::Ec
            }
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                AlgorithmFamily::Ed
            }
            _ => return Vec::new(),
        };
        if matches!(&jwk.common.public_key_use, Some(usage) if *usage != PublicKeyUse::Signature) {
            return Vec::new();
        }
        let said = jwk.common.key_algorithm;
        let allowed = self.algorithms.iter().copied();
        allowed
            .filter(|algorithm| algorithm.family() == family)
            .filter(|algorithm| said.is_none_or(|said| said == (*algorithm).into()))
            .collect()
    }
}
