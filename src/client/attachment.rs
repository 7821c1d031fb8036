//! One attachment over one transport: what it is given, and how it ends.

use std::time::Duration;

use serde::Deserialize;

use super::endpoint::{Endpoint, Failure};
use super::{Follow, Follower};
use crate::code::Code;

/// A transport that has not delivered its first word by then does not work here, even if it opened: a proxy may hold it
/// back.
pub(super) const PROOF_WITHIN: Duration = Duration::from_secs(5);

/// How an attachment ended.
pub(super) enum Ended {
    /// The follower wants no more.
    Enough,
    /// There is no way on.
    Hopeless(Failure),
    /// The gateway said so, or the connection broke.
    Lost {
        /// What the gateway said.
        code: Option<Code>,
        /// What happened, for a person.
        reason: String,
        /// When to come back.
        retry_after: Option<Duration>,
        /// True if the transport had delivered something.
        was_proven: bool,
    },
}

impl Ended {
    pub(super) fn failed(failure: Failure, was_proven: bool) -> Self {
        match failure {
            Failure::Refused {
                code,
                message,
                retry_after_ms,
            } => Self::Lost {
                code,
                reason: message,
                retry_after: retry_after_ms.map(Duration::from_millis),
                was_proven,
            },
            Failure::Broken(reason) => Self::Lost {
                code: None,
                reason,
                retry_after: None,
                was_proven,
            },
            failure @ (Failure::Untrusted(_) | Failure::Local(_)) => Self::Hopeless(failure),
        }
    }
}

/// The last object of a stream.
#[derive(Debug, Deserialize)]
pub(super) struct Disconnect {
    code: String,
    message: Option<String>,
    retry_after_ms: Option<u64>,
}

impl Disconnect {
    pub(super) fn ended(self) -> Ended {
        let reason = match &self.message {
            Some(message) => format!("{}: {message}", self.code),
            None => self.code.clone(),
        };
        Ended::Lost {
            code: Code::parse(&self.code),
            reason,
            retry_after: self.retry_after_ms.map(Duration::from_millis),
            was_proven: true,
        }
    }
}

/// One attachment's view of what is followed.
pub(super) struct Attachment<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) follow: &'a Follow,
    /// The id of all attachments of this follow, which nobody else has.
    pub(super) session: &'a str,
    /// Where we stand; every transport moves it on.
    pub(super) cursor: &'a mut String,
    pub(super) follower: &'a mut dyn Follower,
}

impl Attachment<'_> {
    /// The query that attaches here.
    pub(super) fn query<'q>(&'q self, more: &[(&'q str, &'q str)]) -> Vec<(&'q str, &'q str)> {
        let channels = self
            .follow
            .channels
            .iter()
            .map(|channel| ("channel", channel.as_str()));
        let user = self.follow.user.iter().map(|user| ("user", user.as_str()));
        channels
            .chain([("cursor", self.cursor.as_str()), ("session", self.session)])
            .chain(user)
            .chain(more.iter().copied())
            .collect()
    }
}
