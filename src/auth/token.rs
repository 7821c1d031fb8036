//! Tokens: JSON Web Tokens (RFC 7519), checked by the rules of the configuration and turned into rights.

use std::sync::Arc;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::Value;

use super::claims::Claims;
use super::pattern::Patterns;
use super::principal::{Grant, Life, Principal, expired};
use crate::bus::UserName;
use crate::code::Code;
use crate::problem::Problem;

/// How far the clocks of the issuer and of this machine may be apart.
const LEEWAY_S: u64 = 30;
/// The longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// The most patterns in one claim.
const PATTERNS_MAX: usize = 256;
/// The largest `info`, as JSON.
const INFO_BYTES_MAX: usize = 1024;
/// The deepest nesting of `info`. Presence puts it inside of other lists, and stock parsers stop at 128 levels.
const INFO_DEPTH_MAX: usize = 32;
/// The longest `jti`.
const TOKEN_ID_BYTES_MAX: usize = 128;

/// What tokens have to say.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    /// Their `iss`, if it matters.
    pub issuer: Option<String>,
    /// Their `aud`; without one, tokens must have none.
    pub audience: Option<String>,
    /// The claim that names the user.
    pub user_claim: String,
}

/// A key, with what it may verify.
#[derive(Debug)]
pub(super) struct Verifier {
    /// The key's name. A key without one is tried for every token.
    key_id: Option<String>,
    key: DecodingKey,
    validation: Validation,
}

impl Verifier {
    /// A key for some algorithms, which must be of its family: a public key never becomes the secret of an HMAC.
    pub fn new(
        key: DecodingKey,
        key_id: Option<String>,
        algorithms: Vec<Algorithm>,
        rules: &Rules,
    ) -> Self {
        let mut validation = Validation {
            algorithms,
            leeway: LEEWAY_S,
            validate_nbf: true,
            ..Validation::default()
        };
        let mut required = vec!["exp"];
        if let Some(issuer) = &rules.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        if let Some(audience) = &rules.audience {
            validation.set_audience(&[audience]);
            required.push("aud");
        }
        validation.set_required_spec_claims(&required);
        Self {
            key_id,
            key,
            validation,
        }
    }

    /// True if the key has the name that a token gives.
    pub fn is_named(&self, key_id: Option<&str>) -> bool {
        key_id.is_some() && self.key_id.as_deref() == key_id
    }

    /// True if a token that gives this name, or none, may be signed by the key.
    fn may_fit(&self, key_id: Option<&str>) -> bool {
        self.key_id.is_none() || key_id.is_none() || self.is_named(key_id)
    }
}

/// Why a token is refused.
#[derive(Debug)]
pub(super) enum TokenError {
    /// No key has the name that the token gives; or it gives none, and is signed by none of the keys. The right one may be
    /// elsewhere.
    NoKey(Problem),
    /// Anything else.
    Refused(Problem),
}

/// Reads a token and says whose it is.
pub(super) fn read<'a>(
    text: &str,
    verifiers: impl Iterator<Item = &'a Verifier>,
    rules: &Rules,
) -> Result<Principal, TokenError> {
    if text.len() > TOKEN_BYTES_MAX {
        let message = format!("a token has at most {TOKEN_BYTES_MAX} bytes");
        return Err(TokenError::Refused(unauthorized(message)));
    }
    let claims = verify(text, verifiers)?;
    principal(&claims, rules).map_err(TokenError::Refused)
}

/// Checks the signature and the claims that do not depend on who asks.
fn verify<'a>(
    text: &str,
    verifiers: impl Iterator<Item = &'a Verifier>,
) -> Result<Claims, TokenError> {
    let refused = |kind: &ErrorKind| TokenError::Refused(problem(kind));
    let header = decode_header(text).map_err(|error| refused(error.kind()))?;
    if header.crit.is_some() {
        // It demands what we do not know (RFC 7515, section 4.1.11).
        let message = "the token's header has crit: nothing that it may name is known here";
        return Err(TokenError::Refused(unauthorized(message)));
    }
    let key_id = header.kid.as_deref();
    let (mut is_known, mut tried) = (false, None);
    for verifier in verifiers.filter(|verifier| verifier.may_fit(key_id)) {
        is_known |= verifier.is_named(key_id);
        match decode::<Claims>(text, &verifier.key, &verifier.validation) {
            Ok(data) => return Ok(data.claims),
            Err(error) => match error.kind() {
                // Another key may fit.
                kind @ ErrorKind::InvalidAlgorithm => {
                    tried.get_or_insert_with(|| problem(kind));
                }
                kind @ ErrorKind::InvalidSignature => tried = Some(problem(kind)),
                ErrorKind::InvalidAudience if verifier.validation.aud.is_none() => {
                    return Err(TokenError::Refused(unwanted_audience()));
                }
                kind => return Err(refused(kind)),
            },
        }
    }
    let unknown = || unauthorized("the token names a key (kid) that is not known here");
    let problem = tried.unwrap_or_else(unknown);
    Err(match is_known {
        true => TokenError::Refused(problem),
        false => TokenError::NoKey(problem),
    })
}

/// The name of the key (`kid`) that a token gives, if it is one and gives one.
pub(super) fn key_id(text: &str) -> Option<String> {
    let is_short = text.len() <= TOKEN_BYTES_MAX;
    is_short.then(|| decode_header(text).ok()?.kid)?
}

fn problem(kind: &ErrorKind) -> Problem {
    unauthorized(match kind {
        ErrorKind::ExpiredSignature => return expired(),
        ErrorKind::ImmatureSignature => "the token is not valid yet (nbf)",
        ErrorKind::InvalidIssuer => "the token is of another issuer (iss) than auth.issuer",
        ErrorKind::InvalidAudience => "the token is for another audience (aud) than auth.audience",
        ErrorKind::InvalidAlgorithm => "the token's algorithm (alg) is not one that its key is for",
        ErrorKind::InvalidSignature => "the token's signature is not that of a key known here",
        ErrorKind::MissingRequiredClaim(claim) if claim == "exp" => "the token has no end: add exp",
        ErrorKind::MissingRequiredClaim(claim) if claim == "iss" => "the token has no issuer (iss)",
        ErrorKind::MissingRequiredClaim(_) => "the token has no audience (aud)",
        ErrorKind::InvalidClaimFormat(_) => "exp and nbf are seconds since 1970, as numbers",
        _ => "this is not a token: expected a JWT, signed by one of auth.algorithms",
    })
}

/// It may be for somebody else, and nobody said who we are.
fn unwanted_audience() -> Problem {
    unauthorized(
        "the token has an audience (aud), and auth.audience is not set: set it to that, or make tokens without aud",
    )
}

fn unauthorized(message: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::new(Code::Unauthorized, message)
}

/// From claims to rights. What is absent grants nothing, and what is malformed refuses the token.
pub(super) fn principal(claims: &Claims, rules: &Rules) -> Result<Principal, Problem> {
    // Looked at here, too, because the library takes an audience of a form that it cannot read for none.
    if rules.audience.is_none() && claims.get("aud").is_some() {
        return Err(unwanted_audience());
    }
    let user = text(claims, &rules.user_claim)?
        .map(UserName::parse)
        .transpose()
        .map_err(|error| unauthorized(format!("the user's claim cannot be used: {error}")))?;
    let name = user.as_ref().map(UserName::as_str);
    let patterns = |claim| texts(claims, claim).map(|texts| Patterns::parse(texts, name));
    let token_id = token_id(claims)?;
    let grant = Grant {
        subscribe: patterns("subscribe")?,
        publish: patterns("publish")?,
        send: patterns("send")?,
        admin: flag(claims, "admin")?,
        any_sender: false,
        info: info(claims)?,
        life: Some(life(claims)?),
        owner: format!("of token {}", token_id.as_deref().unwrap_or_default()).into(),
        token_id,
        withdrawn: None,
    };
    Ok(Principal::new(user, Arc::new(grant)))
}

fn text<'a>(claims: &'a Claims, claim: &str) -> Result<Option<&'a str>, Problem> {
    match claims.get(claim) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(unauthorized(format!("the claim {claim} must be text"))),
    }
}

fn texts<'a>(claims: &'a Claims, claim: &str) -> Result<Vec<&'a str>, Problem> {
    let refused = || {
        unauthorized(format!(
            "the claim {claim} must be a list of at most {PATTERNS_MAX} texts"
        ))
    };
    match claims.get(claim) {
        None => Ok(Vec::new()),
        Some(Value::Array(list)) if list.len() <= PATTERNS_MAX => {
            let texts = list.iter().map(Value::as_str).collect::<Option<_>>();
            texts.ok_or_else(refused)
        }
        Some(_) => Err(refused()),
    }
}

fn flag(claims: &Claims, claim: &str) -> Result<bool, Problem> {
    match claims.get(claim) {
        None => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(unauthorized(format!(
            "the claim {claim} must be true or false"
        ))),
    }
}

fn info(claims: &Claims) -> Result<Option<Arc<str>>, Problem> {
    let Some(info) = claims.get("info") else {
        return Ok(None);
    };
    let json = info.to_string();
    if json.len() > INFO_BYTES_MAX {
        let message = format!("the claim info has at most {INFO_BYTES_MAX} bytes");
        return Err(unauthorized(message));
    }
    if depth(info) > INFO_DEPTH_MAX {
        let message = format!("the claim info is nested at most {INFO_DEPTH_MAX} levels deep");
        return Err(unauthorized(message));
    }
    Ok(Some(json.into()))
}

/// How many lists and objects stand in each other. What was parsed is never so deep that this could not be asked.
fn depth(value: &Value) -> usize {
    let inside = match value {
        Value::Array(list) => list.iter().map(depth).max(),
        Value::Object(map) => map.values().map(depth).max(),
        _ => return 0,
    };
    1 + inside.unwrap_or(0)
}

fn token_id(claims: &Claims) -> Result<Option<Arc<str>>, Problem> {
    let id = text(claims, "jti")?;
    if id.is_some_and(|id| id.len() > TOKEN_ID_BYTES_MAX) {
        let message = format!("the claim jti has at most {TOKEN_ID_BYTES_MAX} bytes");
        return Err(unauthorized(message));
    }
    Ok(id.map(Arc::from))
}

fn life(claims: &Claims) -> Result<Life, Problem> {
    let exp = claims.get("exp");
    // A fraction is rounded as the check of the claim rounds it.
    let number = exp.and_then(|exp| exp.as_u64().or_else(|| Some(exp.as_f64()?.round() as u64)));
    let expires_s = number.ok_or_else(|| unauthorized("the token has no end: add exp"))?;
    Ok(Life {
        expires_s,
        refused_s: expires_s.saturating_add(LEEWAY_S + 1),
    })
}
