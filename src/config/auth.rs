//! Who may do what: credentials and the rights of those who have none.

use serde::{Deserialize, Serialize};

use super::{Key, Seconds};
use crate::bus::ChannelName;

section! {
    /// Who may do what. Keys and secrets are read from files, so that no configuration holds one.
    Auth at "auth." {
        /// A file with the secret that tokens are signed with by HMAC: 32 bytes or more; a line feed at its end is not part
        /// of it. Setting this, `auth.pem_files`, `auth.jwks_file`, `auth.jwks_url` or `auth.api_keys` ends the open mode.
        secret_file: String = String::new(),
        /// Files with the public keys (PEM) of those who sign tokens by RSA, ECDSA or EdDSA.
        pem_files: Vec<String> = Vec::new(),
        /// A file with a JSON Web Key Set (RFC 7517). Its keys are chosen by `kid`.
        jwks_file: String = String::new(),
        /// The URL of a JSON Web Key Set with public keys: https, or http on this machine; redirects are not followed. It is
        /// fetched at the start, on SIGHUP, when its `max-age` is over (1 minute at least, 1 hour at most, 10 minutes if
        /// it has none), and when a token names a key that is not in it, at most every 30 seconds for that. While it
        /// cannot be fetched the keys that there are stay; a token that needs another one is answered `unavailable`.
        jwks_url: String = String::new(),
        /// Authorities, in PEM, one of which must have signed the certificate of `auth.jwks_url`. Empty: those that the
        /// system trusts.
        jwks_ca: String = String::new(),
        /// The algorithms that tokens may be signed with. What a token says of itself never adds one.
        algorithms: Vec<Algorithm> = Algorithm::ALL.to_vec(),
        /// The `iss` that tokens must have. Empty: any, or none.
        issuer: String = String::new(),
        /// The `aud` that tokens must have, alone or among others. Empty: tokens must have none.
        audience: String = String::new(),
        /// The claim that names the user.
        user_claim: String = "sub".to_owned(),
        /// Keys for backends: tables with `sha256` (64 hex digits: the hash of a key that begins with `ew_`), `subscribe`,
        /// `publish` and `send` (patterns), `admin` (true or false) and `from` (true: the key may publish under any name, by
        /// the parameter `from`).
        api_keys: Vec<ApiKey> = Vec::new(),
        /// How long a ticket may wait to be used, in seconds; 30 at most.
        ticket_s: Seconds = Seconds::new(30),
        /// Most tickets that wait to be used; one for several channels counts for each of them. One more is answered
        /// `limit_reached`.
        tickets_max: usize = 10_000,
        /// Most users and tokens that are revoked at a time. One more is answered `limit_reached`.
        revocations_max: usize = 10_000,
    }
    with {
        /// Rights of clients without credentials. Absent: there are no such clients, or, with no credentials configured
        /// either, open mode: every right, on loopback addresses only.
        anonymous: Option<Anonymous> = None,
    }
}

section! {
    /// Rights of clients without credentials.
    Anonymous at "auth.anonymous." {
        /// Channels that anybody may subscribe to: literal names, or prefixes that end in `*`. Setting any key of this
        /// section ends the open mode and allows addresses other than loopback. Without it, where credentials are
        /// configured, who has none is told `unauthorized`.
        subscribe: Vec<String> = Vec::new(),
        /// Channels that anybody may publish to, written the same way.
        publish: Vec<String> = Vec::new(),
    }
}

/// A key for a backend.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiKey {
    /// SHA-256 of the key, in hex.
    pub sha256: String,
    /// Channels that it may subscribe to.
    pub subscribe: Vec<String>,
    /// Channels that it may publish to.
    pub publish: Vec<String>,
    /// Users that it may send to.
    pub send: Vec<String>,
    /// Whether it is an administrator's.
    pub admin: bool,
    /// Whether it may publish under any name.
    pub from: bool,
}

/// How tokens may be signed (RFC 7518, section 3.1; RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    HS256,
    /// HMAC with SHA-384.
    HS384,
    /// HMAC with SHA-512.
    HS512,
    /// RSA with PKCS #1 v1.5 and SHA-256.
    RS256,
    /// RSA-PSS with SHA-256.
    PS256,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// Ed25519.
    EdDSA,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::HS256,
        Self::HS384,
        Self::HS512,
        Self::RS256,
        Self::PS256,
        Self::ES256,
        Self::EdDSA,
    ];
}

/// The longest that a ticket may wait, in seconds: it stands in a URL, which others may see later.
const TICKET_S_MAX: Seconds = Seconds::new(30);

impl Auth {
    /// Checks what no single key can say.
    pub(super) fn check(&self) -> Result<(), String> {
        let bad = |key: &str, text: &str| {
            Err(format!(
                "{key}: {text:?} is not a channel's name, or the beginning of one and *"
            ))
        };
        let anonymous = self.anonymous.iter();
        let mut patterns =
            anonymous.flat_map(|rights| rights.subscribe.iter().chain(&rights.publish));
        if let Some(pattern) = patterns.find(|pattern| !is_channel_pattern(pattern)) {
            return bad("auth.anonymous", pattern);
        }
        let keys = self.api_keys.iter();
        let mut patterns = keys.flat_map(|key| key.subscribe.iter().chain(&key.publish));
        if let Some(pattern) = patterns.find(|pattern| !is_channel_pattern(pattern)) {
            return bad("auth.api_keys", pattern);
        }
        let is_hash =
            |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        // What is there instead may be the key itself, so it is not repeated.
        if !self.api_keys.iter().all(|key| is_hash(&key.sha256)) {
            return Err(
                "auth.api_keys: sha256 has 64 hex digits: printf %s \"$key\" | sha256sum"
                    .to_owned(),
            );
        }
        self.check_rest()
    }

    fn check_rest(&self) -> Result<(), String> {
        let rules = [
            (
                !self.algorithms.is_empty(),
                "auth.algorithms must name at least one",
            ),
            (
                !self.user_claim.is_empty(),
                "auth.user_claim must name a claim, such as sub",
            ),
            (
                self.ticket_s > Seconds::new(0) && self.ticket_s <= TICKET_S_MAX,
                "auth.ticket_s must be more than 0 and at most 30",
            ),
            (
                self.jwks_ca.is_empty() || self.jwks_url.starts_with("https:"),
                "auth.jwks_ca is for an auth.jwks_url that begins with https:",
            ),
            (self.tickets_max > 0, "auth.tickets_max must be at least 1"),
            (
                self.revocations_max > 0,
                "auth.revocations_max must be at least 1",
            ),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, sentence)) => Err((*sentence).to_owned()),
            None => Ok(()),
        }
    }
}

/// True for what may stand for channels: a name, or the beginning of one and `*`. No pattern is about an inbox.
pub fn is_channel_pattern(text: &str) -> bool {
    let prefix = text.strip_suffix('*').unwrap_or(text);
    let is_channel = ChannelName::parse(prefix).is_ok_and(|name| !name.is_inbox());
    (prefix.is_empty() && text == "*") || is_channel
}
