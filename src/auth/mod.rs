//! Who somebody is and what they may do.

mod api_key;
mod claims;
mod clock;
mod keys;
mod mint;
mod pattern;
mod principal;
mod revocation;
mod ticket;
mod token;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

pub use keys::KeyError;
pub use mint::{Claims, mint};
pub use principal::{Action, Principal};
pub use revocation::Revoked;

use crate::bus::{ChannelName, UserName};
use crate::code::Code;
use crate::config;
use crate::problem::Problem;
use crate::secret::Secret;
use keys::Keys;
use revocation::Revocations;
use ticket::Tickets;
use token::TokenError;

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
            tickets: Tickets::default(),
            revocations: Revocations::default(),
        })
    }

    /// Reads the keys again, and puts them in the place of the old ones. Who is attached stays until the token ends; tickets
    /// and revocations stay, too.
    ///
    /// # Errors
    /// [`KeyError`] for keys that cannot be used, and for a configuration that would begin the open mode: its listeners
    /// are checked at the start only. Nothing has changed then.
    pub fn reload(&self, config: &config::Auth) -> Result<(), KeyError> {
        let keys = Keys::read(config)?;
        if keys.is_open && !self.is_open() {
            let what = "a reload cannot begin the open mode: keep a key, or start anew";
            return Err(KeyError::new("auth", what));
        }
        self.keys.store(Arc::new(keys));
        Ok(())
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
    /// name where names mean something. Each says which rule.
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
        let principal = match (credential, &keys.anonymous) {
            (_, Some(everything)) if keys.is_open => Principal::new(user, Arc::clone(everything)),
            (Some(Credential::Bearer(secret)), _) => bearer(&keys, secret)?,
            (Some(Credential::Ticket(ticket)), _) => self.tickets.redeem(ticket)?,
            (None, Some(anonymous)) => Principal::new(None, Arc::clone(anonymous)),
            (None, None) => {
                return Err(unauthorized(
                    "credentials are missing: send Authorization: Bearer, or token= or ticket= in the query",
                ));
            }
        };
        self.check(&principal)?;
        Ok(principal)
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
    token::read(text, keys.verifiers.iter(), &keys.rules).map_err(|error| match error {
        TokenError::Refused(problem) => problem,
        TokenError::UnknownKey => {
            unauthorized("the token names a key (kid) that is not known here")
        }
    })
}

fn unauthorized(message: &'static str) -> Problem {
    Problem::new(Code::Unauthorized, message)
}

#[cfg(test)]
mod tests;
