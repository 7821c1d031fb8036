//! Who somebody is and what they may do.

use std::sync::Arc;

use crate::bus::{ChannelName, UserName};
use crate::code::Code;
use crate::config;
use crate::problem::Problem;

/// What somebody wants to do with a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Read it: subscribe, poll, history.
    Subscribe,
    /// Write to it.
    Publish,
}

/// Somebody, with their rights.
#[derive(Debug, Clone)]
pub struct Principal {
    /// Who; nobody in particular if absent.
    pub user: Option<UserName>,
    rights: Arc<Rights>,
}

#[derive(Debug)]
struct Rights {
    subscribe: Patterns,
    publish: Patterns,
    admin: bool,
}

/// Literal channel names, and prefixes that end in `*`.
#[derive(Debug, Default)]
struct Patterns(Vec<String>);

/// How clients without credentials are taken.
#[derive(Debug, Clone)]
pub enum Access {
    /// No credentials are configured: everybody may do everything, from this machine only.
    Open,
    /// Everybody may do what the configuration allows, from anywhere.
    Anonymous,
}

/// The door.
#[derive(Debug, Clone)]
pub struct Auth {
    access: Access,
    anonymous: Arc<Rights>,
}

impl Auth {
    /// The door as configured.
    pub fn new(config: &config::Auth) -> Self {
        let (access, rights) = match &config.anonymous {
            None => {
                let everything = || Patterns(vec!["*".to_owned()]);
                (
                    Access::Open,
                    Rights {
                        subscribe: everything(),
                        publish: everything(),
                        admin: true,
                    },
                )
            }
            Some(anonymous) => {
                let subscribe = Patterns(anonymous.subscribe.clone());
                let publish = Patterns(anonymous.publish.clone());
                (
                    Access::Anonymous,
                    Rights {
                        subscribe,
                        publish,
                        admin: false,
                    },
                )
            }
        };
        Self {
            access,
            anonymous: Arc::new(rights),
        }
    }

    /// True if everybody may do everything. The server then takes requests from this machine only.
    pub fn is_open(&self) -> bool {
        matches!(self.access, Access::Open)
    }

    /// Who a request comes from.
    ///
    /// # Errors
    /// `bad_request` for a self-chosen name where names mean something.
    pub fn principal(&self, user: Option<UserName>) -> Result<Principal, Problem> {
        if user.is_some() && !self.is_open() {
            return Err(Problem::bad_request(
                "user= chooses a name in open mode only: leave it out",
            ));
        }
        Ok(Principal {
            user,
            rights: Arc::clone(&self.anonymous),
        })
    }
}

impl Principal {
    /// Checks a right.
    ///
    /// # Errors
    /// `forbidden`, with the channel.
    pub fn may(&self, action: Action, channel: &ChannelName) -> Result<(), Problem> {
        let (patterns, verb) = match action {
            Action::Subscribe => (&self.rights.subscribe, "subscribe to"),
            Action::Publish => (&self.rights.publish, "publish to"),
        };
        if action == Action::Publish && channel.is_written_by_server() {
            let message = "only the server writes to presence channels: publish to another one";
            return Err(Problem::new(Code::Forbidden, message).about(channel));
        }
        if patterns.matches(channel) {
            return Ok(());
        }
        Err(
            Problem::new(Code::Forbidden, format!("you may not {verb} this channel"))
                .about(channel),
        )
    }

    /// Checks that this is an administrator.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn must_be_admin(&self) -> Result<(), Problem> {
        let refused = || Problem::new(Code::Forbidden, "this is for administrators");
        if self.rights.admin {
            Ok(())
        } else {
            Err(refused())
        }
    }
}

impl Patterns {
    fn matches(&self, channel: &ChannelName) -> bool {
        self.0
            .iter()
            .any(|pattern| match pattern.strip_suffix('*') {
                Some(prefix) => channel.as_str().starts_with(prefix),
                None => pattern == channel.as_str(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anonymous(subscribe: &[&str]) -> Principal {
        let subscribe = subscribe.iter().map(ToString::to_string).collect();
        let anonymous = config::Anonymous {
            subscribe,
            publish: Vec::new(),
        };
        Auth::new(&config::Auth {
            anonymous: Some(anonymous),
        })
        .principal(None)
        .unwrap()
    }

    fn may_read(patterns: &[&str], channel: &str) -> bool {
        anonymous(patterns)
            .may(Action::Subscribe, &ChannelName::parse(channel).unwrap())
            .is_ok()
    }

    #[test]
    fn a_pattern_is_a_literal_or_a_prefix() {
        assert!(may_read(&["news"], "news"));
        assert!(!may_read(&["news"], "newsroom"));
        assert!(may_read(&["room:*"], "room:1"));
        assert!(!may_read(&["room:*"], "roo"));
        assert!(!may_read(&[], "news"));
    }

    #[test]
    fn nobody_publishes_to_presence() {
        let everybody = Auth::new(&config::Auth::default()).principal(None).unwrap();
        let presence = ChannelName::parse("presence:room:1").unwrap();
        assert_eq!(
            everybody.may(Action::Publish, &presence).unwrap_err().code,
            Code::Forbidden
        );
        assert!(everybody.may(Action::Subscribe, &presence).is_ok());
    }

    #[test]
    fn a_name_is_self_chosen_in_open_mode_only() {
        let alice = || Some(UserName::parse("alice").unwrap());
        assert!(
            Auth::new(&config::Auth::default())
                .principal(alice())
                .is_ok()
        );
        let guarded = Auth::new(&config::Auth {
            anonymous: Some(config::Anonymous::default()),
        });
        assert_eq!(
            guarded.principal(alice()).unwrap_err().code,
            Code::BadRequest
        );
        assert!(guarded.principal(None).unwrap().must_be_admin().is_err());
    }
}
