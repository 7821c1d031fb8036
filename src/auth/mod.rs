//! Who somebody is and what they may do.

mod api_key;
mod claims;
mod clock;
mod key_set;
mod keys;
mod mint;
mod openings;
mod pattern;
mod principal;
mod remote;
mod revocation;
mod ticket;
mod token;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::time::timeout;

pub use keys::KeyError;
pub use mint::{Claims, mint};
pub use principal::{Action, Principal};
pub use revocation::Revoked;

use crate::bus::{ChannelName, UserName};
use crate::code::Code;
use crate::config;
use crate::fetch::FETCH_WITHIN;
use crate::problem::Problem;
use crate::secret::Secret;
use keys::Keys;
use openings::Openings;
use remote::Remote;
use revocation::Revocations;
use ticket::Tickets;
use token::TokenError;

/// The longest that a request waits for keys to be fetched: as long as that takes at most, and a little.
const KEY_WITHIN: Duration = FETCH_WITHIN.saturating_add(Duration::from_secs(1));

/// What a client presents.
#[derive(Debug, Clone)]
pub enum Credential {
    /// A token or an API key.
    Bearer(Secret),
    /// A ticket.
    Ticket(Secret),
}

/// The door.
#[derive(Debug)]
pub struct Auth {
    keys: ArcSwap<Keys>,
    openings: ArcSwap<Openings>,
    /// The keys are others than before.
    replaced: Notify,
    tickets: Tickets,
    revocations: Revocations,
}

impl Auth {
    /// The door as configured, with its keys read.
    ///
    /// # Errors
    /// [`KeyError`] for a key that cannot be read or used.
    pub fn new(config: &config::Auth) -> Result<Self, KeyError> {
        Ok(Self {
            keys: ArcSwap::from_pointee(Keys::read(config)?),
            openings: ArcSwap::default(),
            replaced: Notify::new(),
            tickets: Tickets::default(),
            revocations: Revocations::default(),
        })
    }

    /// Reads the keys again, and puts them in the place of the old ones; those of a URL are fetched anew, and kept until
    /// then. Who is attached by a token stays until that ends. What an API key granted, or everybody had, is taken back if it is
    /// not granted any more: [`Auth::check`] refuses it. Tickets and revocations stay.
    ///
    /// # Errors
    /// [`KeyError`] for keys that cannot be used, and for a configuration that would begin the open mode: its listeners
    /// are checked at the start only. Nothing has changed then.
    pub fn reload(&self, config: &config::Auth) -> Result<(), KeyError> {
        let mut keys = Keys::read(config)?;
        if keys.is_open && !self.is_open() {
            let what = "a reload cannot begin the open mode: keep a key, or start anew";
            return Err(KeyError::new("auth", what));
        }
        if let (Some(new), Some(old)) = (&keys.remote, &self.keys.load().remote) {
            new.inherit(old);
        }
        let old = self.keys.load_full();
        keys.inherit(&old);
        let keys = Arc::new(keys);
        self.keys.store(Arc::clone(&keys));
        // Who asks from now on meets the new ones.
        old.withdraw_but(&keys);
        self.replaced.notify_one();
        Ok(())
    }

    /// Opens namespaces to others than those whose credentials say so, from now on. Who is attached without credentials and
    /// could by what was open before is refused by [`Auth::check`], if it is not the same; who has credentials stays.
    pub fn open_namespaces(&self, namespaces: &BTreeMap<String, config::Namespace>) {
        let openings = Openings::new(namespaces);
        let old = self.openings.load_full();
        if openings.opens_same(&old) {
            return;
        }
        self.openings.store(Arc::new(openings));
        if let Some(everybody) = &old.everybody {
            everybody.withdraw();
        }
    }

    /// Keeps the keys of `auth.jwks_url` fresh: the server runs this until it is down. Cancel safe.
    pub async fn keep_fresh(&self) {
        loop {
            let keys = self.keys.load_full();
            let keeping = async {
                match &keys.remote {
                    Some(remote) => remote.keep().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = keeping => {}
                () = self.replaced.notified() => {}
            }
        }
    }

    /// True if there is a source of keys that may be asked again.
    pub fn fetches_keys(&self) -> bool {
        self.keys.load().remote.is_some()
    }

    /// True if a token needs a key that is not here and is being fetched, or would be by now: wait for it by
    /// [`Auth::seek_key`], and judge the token then.
    pub fn lacks_key(&self, credential: &Credential) -> bool {
        let (keys, Credential::Bearer(secret)) = (self.keys.load(), credential) else {
            return false;
        };
        let Some(remote) = &keys.remote else {
            return false;
        };
        let text = secret.reveal();
        if text.starts_with(api_key::PREFIX) || is_named_in(remote, text) {
            return false;
        }
        matches!(read(&keys, text), Err(TokenError::NoKey(_))) && remote.want()
    }

    /// Waits until the key of a token was asked for, if it is not here. Cancel safe.
    ///
    /// # Errors
    /// `unavailable` if too many wait already.
    pub async fn seek_key(&self, credential: &Credential) -> Result<(), Problem> {
        let sought = async {
            // A reload on the way begins anew. It asks once for each set of keys.
            while self.lacks_key(credential) {
                let keys = self.keys.load_full();
                if let Some(remote) = &keys.remote {
                    remote.ended().await?;
                }
            }
            Ok(())
        };
        // Who waited in vain is judged by the keys that there are.
        timeout(KEY_WITHIN, sought).await.unwrap_or(Ok(()))
    }

    /// True if everybody may do everything. The server then takes requests from this machine only.
    pub fn is_open(&self) -> bool {
        self.keys.load().is_open
    }

    /// Who a request comes from, by what it presents and by the name that it chose. In open mode nothing that is
    /// presented matters.
    ///
    /// # Errors
    /// `unauthorized` or `token_expired` for a credential that is missing or not good, `bad_request` for a self-chosen
    /// name where names mean something, `unavailable` for a token whose key cannot be fetched just now. Each says which
    /// rule.
    pub fn principal(
        &self,
        credential: Option<&Credential>,
        user: Option<UserName>,
    ) -> Result<Principal, Problem> {
        let keys = self.keys.load();
        if user.is_some() && !keys.is_open {
            return Err(Problem::bad_request(
                "user= chooses a name in open mode only: leave it out",
            ));
        }
        let openings = self.openings.load();
        let anonymous = keys.anonymous.as_ref().or(openings.everybody.as_ref());
        let principal = match (credential, anonymous) {
            (_, Some(everything)) if keys.is_open => Principal::new(user, Arc::clone(everything)),
            (Some(Credential::Bearer(secret)), _) => bearer(&keys, secret)?,
            (Some(Credential::Ticket(ticket)), _) => self.tickets.redeem(ticket)?,
            (None, Some(anonymous)) => Principal::new(None, Arc::clone(anonymous)),
            (None, None) => {
                return Err(unauthorized(
                    "credentials are missing: send Authorization: Bearer, or token= or ticket= in the query; \
                     a WebSocket may also send bearer. and the token as a subprotocol",
                ));
            }
        };
        self.check(&principal)?;
        if openings.is_empty() {
            return Ok(principal);
        }
        Ok(principal.with(Arc::clone(&openings)))
    }

    /// Checks that what was granted was not taken back since, by time or by an administrator.
    ///
    /// # Errors
    /// `token_expired` or `unauthorized`.
    pub fn check(&self, principal: &Principal) -> Result<(), Problem> {
        principal.must_be_alive()?;
        self.revocations.check(principal)
    }

    /// Who somebody is by a new token, which must be of the same user.
    ///
    /// # Errors
    /// As [`Auth::principal`], `forbidden` for the token of another user, and `bad_request` where there is none to renew.
    pub fn refresh(&self, principal: &Principal, token: Secret) -> Result<Principal, Problem> {
        if self.is_open() || token.reveal().starts_with(api_key::PREFIX) {
            let message =
                "refresh takes a token, where tokens are in use: there is nothing to renew";
            return Err(Problem::bad_request(message));
        }
        let renewed = self.principal(Some(&Credential::Bearer(token)), None)?;
        if renewed.user == principal.user {
            return Ok(renewed);
        }
        let message = "the new token is of another user: open a connection of its own for it";
        Err(Problem::new(Code::Forbidden, message))
    }

    /// Makes a ticket, and says how long it is good for.
    ///
    /// # Errors
    /// `forbidden` for a channel that the principal has no right to, `limit_reached` if too many tickets wait.
    pub fn issue_ticket(
        &self,
        principal: &Principal,
        channels: Vec<ChannelName>,
    ) -> Result<(Secret, Duration), Problem> {
        if principal.is_restricted() {
            // Else a ticket would be good for ever.
            let message = "a ticket makes no tickets: use the token that it was made by";
            return Err(Problem::new(Code::Forbidden, message));
        }
        for channel in &channels {
            principal
                .may(Action::Subscribe, channel)
                .or_else(|refused| principal.may(Action::Publish, channel).map_err(|_| refused))?;
        }
        let keys = self.keys.load();
        let (life, max) = (keys.ticket_life, keys.tickets_max);
        let ticket = self.tickets.issue(principal.clone(), channels, life, max)?;
        Ok((ticket, life))
    }

    /// Refuses a user or a token for a while.
    ///
    /// # Errors
    /// `limit_reached` if as much is revoked as can be.
    pub fn revoke(&self, revoked: Revoked, time: Duration) -> Result<(), Problem> {
        let count_max = self.keys.load().revocations_max;
        self.revocations.add(revoked, time, count_max)
    }
}

fn bearer(keys: &Keys, secret: &Secret) -> Result<Principal, Problem> {
    let text = secret.reveal();
    if text.starts_with(api_key::PREFIX) {
        return match api_key::find(&keys.api_keys, text) {
            Some(grant) => Ok(Principal::new(None, grant)),
            None => Err(unauthorized("this API key is not known")),
        };
    }
    read(keys, text).map_err(|error| match (error, &keys.remote) {
        (TokenError::NoKey(problem), Some(remote)) => remote.refuse(problem),
        (TokenError::NoKey(problem), None) | (TokenError::Refused(problem), _) => problem,
    })
}

/// Reads a token with all keys that there are.
fn read(keys: &Keys, text: &str) -> Result<Principal, TokenError> {
    let set = keys.remote.as_ref().map(|remote| remote.set());
    let fetched = set.iter().filter_map(|set| set.as_ref());
    let fetched = fetched.flat_map(|set| set.verifiers.iter());
    token::read(text, keys.verifiers.iter().chain(fetched), &keys.rules)
}

/// True if the key that a token names was fetched: most tokens are told by that.
fn is_named_in(remote: &Remote, text: &str) -> bool {
    let key_id = token::key_id(text);
    let set = remote.set();
    let mut fetched = set.iter().flat_map(|set| set.verifiers.iter());
    fetched.any(|verifier| verifier.is_named(key_id.as_deref()))
}

fn unauthorized(message: &'static str) -> Problem {
    Problem::new(Code::Unauthorized, message)
}

#[cfg(test)]
mod tests;
