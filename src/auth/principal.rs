//! Somebody, with their rights.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::clock::unix_now_s;
use super::openings::Openings;
use super::pattern::Patterns;
use crate::bus::{ChannelName, UserName};
use crate::code::Code;
use crate::problem::Problem;

/// What somebody wants to do with a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Read it: subscribe, poll, history.
    Subscribe,
    /// Write to it.
    Publish,
}

/// Somebody, with their rights. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Principal {
    /// Who; nobody in particular if absent.
    pub user: Option<UserName>,
    grant: Arc<Grant>,
    /// The channels of the ticket that was used, sorted.
    only: Option<Arc<[ChannelName]>>,
    /// What is open besides, if anything is.
    openings: Option<Arc<Openings>>,
}

/// What a credential grants.
#[derive(Debug, Default)]
pub(super) struct Grant {
    pub subscribe: Patterns,
    pub publish: Patterns,
    pub send: Patterns,
    pub admin: bool,
    /// May publish under any name.
    pub any_sender: bool,
    /// JSON that presence shows.
    pub info: Option<Arc<str>>,
    /// The token's `jti`.
    pub token_id: Option<Arc<str>>,
    pub life: Option<Life>,
    /// Whose it is, where it is not a user's: what one API key published under a key of its own is not another's.
    pub owner: Box<str>,
    /// Set when it is taken back. Tokens end by themselves.
    pub withdrawn: Option<Withdrawn>,
}

/// Whether what a credential grants was taken back. Clones are the same.
pub(super) type Withdrawn = Arc<AtomicBool>;

impl Grant {
    /// True if it is for the same things.
    pub fn has_rights_of(&self, other: &Self) -> bool {
        let rights = |grant: &Self| {
            let patterns = [&grant.subscribe, &grant.publish, &grant.send].map(Patterns::clone);
            (patterns, grant.admin, grant.any_sender)
        };
        rights(self) == rights(other)
    }

    /// Takes it back from everybody who has it.
    pub fn withdraw(&self) {
        if let Some(withdrawn) = &self.withdrawn {
            withdrawn.store(true, Ordering::Release);
        }
    }
}

/// How long a token is good for, in seconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct Life {
    /// Its `exp`.
    pub expires_s: u64,
    /// The first second in which it is refused.
    pub refused_s: u64,
}

impl Principal {
    pub(super) fn new(user: Option<UserName>, grant: Arc<Grant>) -> Self {
        Self {
            user,
            grant,
            only: None,
            openings: None,
        }
    }

    /// The same, with what is open besides.
    pub(super) fn with(mut self, openings: Arc<Openings>) -> Self {
        self.openings = Some(openings);
        self
    }

    /// The same, without rights to other channels and without those of an administrator.
    pub(super) fn restricted(mut self, mut channels: Vec<ChannelName>) -> Self {
        channels.sort_unstable();
        self.only = Some(channels.into());
        self
    }

    /// Checks a right. Whoever may subscribe to a channel may learn who is in it.
    ///
    /// # Errors
    /// `forbidden`, with the channel and the rule.
    pub fn may(&self, action: Action, channel: &ChannelName) -> Result<(), Problem> {
        let refused = |message: &str| {
            let problem = Problem::new(Code::Forbidden, message.to_owned());
            Err(problem.about(channel))
        };
        let base = channel.base();
        if action == Action::Publish && base.is_some() {
            return refused("only the server writes to presence channels: publish to another one");
        }
        if action == Action::Publish && channel.is_inbox() {
            return refused("nobody publishes to an inbox: send to its user");
        }
        let is_listed = |only: &Arc<[ChannelName]>| {
            let is_in = |channel| only.binary_search(channel).is_ok();
            is_in(channel) || base.as_ref().is_some_and(is_in)
        };
        if !self.only.as_ref().is_none_or(is_listed) {
            return refused("the ticket was not made for this channel: get one that names it");
        }
        if self.has_right(action, base.as_ref().unwrap_or(channel)) {
            return Ok(());
        }
        match action {
            Action::Subscribe => refused("you may not subscribe to this channel"),
            Action::Publish => refused("you may not publish to this channel"),
        }
    }

    fn has_right(&self, action: Action, channel: &ChannelName) -> bool {
        if channel.is_inbox() {
            let is_own = |user| ChannelName::inbox(user) == *channel;
            return self.grant.admin || self.user.as_ref().is_some_and(is_own);
        }
        let patterns = match action {
            Action::Subscribe => &self.grant.subscribe,
            Action::Publish => &self.grant.publish,
        };
        let user = self.user.as_ref();
        let is_open = |openings: &Arc<Openings>| openings.may(action, channel, user);
        patterns.match_channel(channel.as_str()) || self.openings.as_ref().is_some_and(is_open)
    }

    /// Checks the right to send to a user.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn may_send(&self, to: &UserName) -> Result<(), Problem> {
        if self.only.is_none() && self.grant.send.match_name(to.as_str()) {
            return Ok(());
        }
        let message = "you may not send to this user";
        Err(Problem::new(Code::Forbidden, message))
    }

    /// Checks that this is an administrator.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn must_be_admin(&self) -> Result<(), Problem> {
        if self.grant.admin && self.only.is_none() {
            return Ok(());
        }
        let message = "this is for administrators: use a token or an API key with admin";
        Err(Problem::new(Code::Forbidden, message))
    }

    /// The name under which to publish: the one that was asked for, or the principal's own.
    ///
    /// # Errors
    /// `forbidden` for all but API keys that may use any name.
    pub fn sender(&self, from: Option<UserName>) -> Result<Option<UserName>, Problem> {
        match from {
            None => Ok(self.user.clone()),
            Some(from) if self.grant.any_sender && self.only.is_none() => Ok(Some(from)),
            Some(_) => {
                let message = "from= is for API keys with from = true: leave it out";
                Err(Problem::new(Code::Forbidden, message))
            }
        }
    }

    /// True for who came with a ticket.
    pub(super) fn is_restricted(&self) -> bool {
        self.only.is_some()
    }

    /// Who it is, apart from all others: the user, or the API key. Nobody in particular is one.
    pub fn identity(&self) -> String {
        match &self.user {
            Some(user) => format!("user {}", user.as_str()),
            None => format!("key {}", self.grant.owner),
        }
    }

    /// Whether the rights were taken back, if that can be.
    pub fn withdrawn(&self) -> Option<&Arc<AtomicBool>> {
        self.grant.withdrawn.as_ref()
    }

    /// What presence shows of the user: JSON.
    pub fn info(&self) -> Option<&Arc<str>> {
        self.grant.info.as_ref()
    }

    /// The `jti` of the token.
    pub fn token_id(&self) -> Option<&Arc<str>> {
        self.grant.token_id.as_ref()
    }

    /// The first second since 1970 in which the token is refused; nothing if the rights do not end.
    pub fn ends_at_s(&self) -> Option<u64> {
        self.grant.life.map(|life| life.refused_s)
    }

    /// The seconds that are left of the token; nothing if the rights do not end.
    pub fn expires_in_s(&self) -> Option<u64> {
        let life = self.grant.life?;
        Some(life.expires_s.saturating_sub(unix_now_s()))
    }

    /// Checks that the token has not run out since it was read, and that nothing was taken back.
    pub(super) fn must_be_alive(&self) -> Result<(), Problem> {
        let is_withdrawn = |withdrawn: &Withdrawn| withdrawn.load(Ordering::Acquire);
        if self.withdrawn().is_some_and(is_withdrawn) {
            let message = "what this was granted by is not configured any more: come back with a credential that is";
            return Err(Problem::new(Code::Unauthorized, message));
        }
        match self.ends_at_s() {
            Some(ends_at_s) if ends_at_s <= unix_now_s() => Err(expired()),
            _ => Ok(()),
        }
    }
}

/// What the holder of a token that has run out is told.
pub(super) fn expired() -> Problem {
    Problem::new(
        Code::TokenExpired,
        "the token has run out (exp): get a new one",
    )
}
