//! Namespaces of channels, presence and inboxes.

use serde::{Deserialize, Serialize};

use super::{Config, History, Key, Seconds};
use crate::bus::{ChannelName, Retention, Retentions};

section! {
    /// A namespace: the channels whose names begin with its name and `:`. `NAME` stands for it, as in
    /// `namespaces.room.presence`.
    Namespace at "namespaces.NAME." {
        /// Most messages kept in a channel of this namespace. Absent: `history.count_max`.
        history_count_max: Option<usize> = None,
        /// Most bytes kept in a channel of this namespace. Absent: `history.bytes_max`.
        history_bytes_max: Option<usize> = None,
        /// How long a message of this namespace is kept, in seconds. Absent: `history.age_s_max`.
        history_age_s_max: Option<Seconds> = None,
        /// Whether its channels tell who is there. Absent: `presence.enabled`.
        presence: Option<bool> = None,
        /// Who may subscribe besides those whose credentials say so: `everyone`, even without credentials; `users`, who
        /// have a user name; or `nobody`.
        subscribe: Whoever = Whoever::Nobody,
        /// Who may publish besides those whose credentials say so, written the same way.
        publish: Whoever = Whoever::Nobody,
    }
}

section! {
    /// Who is where.
    Presence at "presence." {
        /// Whether channels whose namespace does not say tell who is there.
        enabled: bool = true,
        /// How long somebody who went without a word is still there, in seconds: time to come back, or to change the
        /// transport.
        grace_s: Seconds = Seconds::new(10),
        /// How long a poll with a `session` makes its user present, in seconds, beyond the time that it may wait.
        lease_s: Seconds = Seconds::new(30),
        /// Most presences: each session of a user in each channel is one. One more is answered `overloaded`.
        sessions_max: usize = 1_000_000,
    }
}

section! {
    /// The inboxes of users, channels whose names begin with `@`.
    Inbox at "inbox." {
        /// Most messages kept in an inbox. Absent: `history.count_max`.
        history_count_max: Option<usize> = None,
        /// Most bytes kept in an inbox. Absent: `history.bytes_max`.
        history_bytes_max: Option<usize> = None,
        /// How long a message is kept in an inbox, in seconds. Absent: `history.age_s_max`.
        history_age_s_max: Option<Seconds> = None,
        /// Whether messages are kept for users who were never seen: who read their inbox within `history.forget_after_s` is
        /// known. If not, such a message is dropped; the answer is the same, so that nobody learns who is known.
        unknown_users: bool = true,
    }
}

/// Who has a right besides those whose credentials grant it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Whoever {
    /// Everybody, even without credentials.
    Everyone,
    /// Who has a user name.
    Users,
    /// Nobody else.
    Nobody,
}

/// How much of a history is kept, where it is not what [`History`] says.
struct Keep {
    count_max: Option<usize>,
    bytes_max: Option<usize>,
    age_s_max: Option<Seconds>,
}

impl Keep {
    fn retention(self, history: &History) -> Retention {
        Retention {
            count_max: self.count_max.unwrap_or(history.count_max),
            bytes_max: self.bytes_max.unwrap_or(history.bytes_max),
            age_max: self.age_s_max.unwrap_or(history.age_s_max).duration(),
            keys_max: history.keys_max,
            key_age_max: history.key_age_s_max.duration(),
        }
    }

    /// Checks that what is kept fits the rest. `of` names the section.
    fn check(&self, of: &str, config: &Config) -> Result<(), String> {
        let (history, limits) = (&config.history, &config.limits);
        let count = self.count_max.unwrap_or(history.count_max);
        if count == 0 || count > u32::MAX as usize {
            return Err(format!("{of}.history_count_max must be from 1 to 2^32"));
        }
        let bytes = self.bytes_max.unwrap_or(history.bytes_max);
        if bytes < limits.message_bytes_max || bytes > history.bytes_total_max {
            return Err(format!(
                "{of}.history_bytes_max must be at least limits.message_bytes_max and at most history.bytes_total_max"
            ));
        }
        let age = self.age_s_max.unwrap_or(history.age_s_max);
        if age <= Seconds::new(0) || age > history.forget_after_s {
            return Err(format!(
                "{of}.history_age_s_max must be more than 0 and at most history.forget_after_s"
            ));
        }
        Ok(())
    }
}

impl Namespace {
    /// The defaults, with what stands elsewhere as it is there.
    pub(super) fn spelled_out() -> Self {
        let history = History::default();
        Self {
            history_count_max: Some(history.count_max),
            history_bytes_max: Some(history.bytes_max),
            history_age_s_max: Some(history.age_s_max),
            presence: Some(Presence::default().enabled),
            ..Self::default()
        }
    }

    fn keep(&self) -> Keep {
        Keep {
            count_max: self.history_count_max,
            bytes_max: self.history_bytes_max,
            age_s_max: self.history_age_s_max,
        }
    }
}

impl Inbox {
    /// The defaults, with what stands elsewhere as it is there.
    pub(super) fn spelled_out() -> Self {
        let history = History::default();
        Self {
            history_count_max: Some(history.count_max),
            history_bytes_max: Some(history.bytes_max),
            history_age_s_max: Some(history.age_s_max),
            ..Self::default()
        }
    }

    fn keep(&self) -> Keep {
        Keep {
            count_max: self.history_count_max,
            bytes_max: self.history_bytes_max,
            age_s_max: self.history_age_s_max,
        }
    }
}

impl Config {
    /// What each channel keeps.
    pub fn retentions(&self) -> Retentions {
        let nothing_else = Keep {
            count_max: None,
            bytes_max: None,
            age_s_max: None,
        };
        let mut retentions = Retentions::new(nothing_else.retention(&self.history));
        retentions.set_inboxes(self.inbox.keep().retention(&self.history));
        for (name, namespace) in &self.namespaces {
            retentions.set_namespace(name, namespace.keep().retention(&self.history));
        }
        retentions
    }

    /// Whether a channel tells who is there.
    pub fn has_presence(&self, channel: &ChannelName) -> bool {
        if channel.is_inbox() || channel.is_written_by_server() {
            return false;
        }
        let namespace = channel
            .namespace()
            .and_then(|name| self.namespaces.get(name));
        let own = namespace.and_then(|namespace| namespace.presence);
        own.unwrap_or(self.presence.enabled)
    }

    /// Checks the settings of this file.
    pub(super) fn check_namespaces(&self) -> Result<(), String> {
        for (name, namespace) in &self.namespaces {
            let is_name = ChannelName::parse(name).is_ok_and(|name| !name.is_inbox());
            if !is_name || name.contains(':') {
                return Err(format!(
                    "namespaces: {name:?} is not the name of a namespace: those have no : and are made of A-Z a-z 0-9 _ - . /"
                ));
            }
            if name == "presence" {
                let sentence = "namespaces.presence: the changes of presence have the settings of the channels that they are about";
                return Err(sentence.to_owned());
            }
            namespace
                .keep()
                .check(&format!("namespaces.{name}"), self)?;
        }
        self.inbox.keep().check("inbox", self)?;
        if self.presence.sessions_max == 0 {
            return Err("presence.sessions_max must be at least 1".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, namespace: Namespace) -> Config {
        let mut config = Config::default();
        config.namespaces.insert(name.to_owned(), namespace);
        config
    }

    #[test]
    fn a_namespace_decides_for_its_channels_and_for_their_presence() {
        let config = with(
            "room",
            Namespace {
                history_count_max: Some(3),
                presence: Some(false),
                ..Namespace::default()
            },
        );
        let name = |text: &str| ChannelName::parse(text).unwrap();
        let retentions = config.retentions();
        let count = |text: &str| retentions.of(&name(text)).count_max;
        assert_eq!((count("room:1"), count("presence:room:1")), (3, 3));
        assert_eq!((count("room"), count("lobby:1")), (10_000, 10_000));
        assert!(config.has_presence(&name("news")) && config.has_presence(&name("lobby:1")));
        for none in ["room:1", "presence:news", "@bob"] {
            assert!(!config.has_presence(&name(none)), "{none}");
        }
    }

    #[test]
    fn namespaces_that_cannot_be_are_refused() {
        for name in ["a:b", "", "@", "a b", "presence"] {
            assert!(with(name, Namespace::default()).check().is_err(), "{name}");
        }
        assert!(with("room", Namespace::default()).check().is_ok());
        let small = Namespace {
            history_bytes_max: Some(1000),
            ..Namespace::default()
        };
        assert!(
            with("room", small)
                .check()
                .unwrap_err()
                .contains("namespaces.room")
        );
    }
}
