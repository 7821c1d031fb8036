//! What namespaces open to others than those whose credentials say so.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::principal::{Action, Grant, Withdrawn};
use crate::bus::{ChannelName, UserName};
use crate::config::{Namespace, Whoever};

/// What namespaces open, and to whom. Namespaces that open nothing are not here.
#[derive(Debug, Default)]
pub(super) struct Openings {
    namespaces: BTreeMap<Box<str>, Opening>,
    /// The rights of those without credentials, if a namespace is open to everybody: none but that.
    pub everybody: Option<Arc<Grant>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Opening {
    subscribe: Whoever,
    publish: Whoever,
}

impl Openings {
    /// What is configured.
    pub fn new(namespaces: &BTreeMap<String, Namespace>) -> Self {
        let openings = namespaces.iter().map(|(name, namespace)| {
            let opening = Opening {
                subscribe: namespace.subscribe,
                publish: namespace.publish,
            };
            (Box::from(name.as_str()), opening)
        });
        let is_opening =
            |opening: &Opening| [opening.subscribe, opening.publish] != [Whoever::Nobody; 2];
        let namespaces: BTreeMap<Box<str>, Opening> = openings
            .filter(|(_, opening)| is_opening(opening))
            .collect();
        let is_for_everybody = namespaces
            .values()
            .any(|opening| [opening.subscribe, opening.publish].contains(&Whoever::Everyone));
        let everybody = is_for_everybody.then(|| {
            Arc::new(Grant {
                withdrawn: Some(Withdrawn::default()),
                ..Grant::default()
            })
        });
        Self {
            namespaces,
            everybody,
        }
    }

    /// True if nothing is open.
    pub fn is_empty(&self) -> bool {
        self.namespaces.is_empty()
    }

    /// True if the same is open to the same.
    pub fn opens_same(&self, other: &Self) -> bool {
        self.namespaces == other.namespaces
    }

    /// True if a channel is open to who has this name.
    pub fn may(&self, action: Action, channel: &ChannelName, user: Option<&UserName>) -> bool {
        let namespace = channel.namespace();
        let Some(opening) = namespace.and_then(|name| self.namespaces.get(name)) else {
            return false;
        };
        let whoever = match action {
            Action::Subscribe => opening.subscribe,
            Action::Publish => opening.publish,
        };
        match whoever {
            Whoever::Everyone => true,
            Whoever::Users => user.is_some(),
            Whoever::Nobody => false,
        }
    }
}
