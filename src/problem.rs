//! What a client is told when something cannot be done: a code, and a message that says what to do.
//!
//! The inside cause of a failure never goes in here; it is logged where it happens.

use std::borrow::Cow;
use std::time::Duration;

use crate::broker::PublishError;
use crate::bus::{ChannelName, CursorError, NameError};
use crate::code::{Code, End};
use crate::limits::Standing;

/// Something that cannot be done, as it is told outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which row of the table.
    pub code: Code,
    /// What to do, for the person who reads it.
    pub message: Cow<'static, str>,
    /// When to try again, if that may help.
    pub retry_after: Option<Duration>,
    /// The channel it is about, if it is about one.
    pub channel: Option<ChannelName>,
    /// Where the client stands, if a rule for how often refused it.
    pub standing: Option<Standing>,
    /// True if the gateway is to blame and not the request, though the code alone does not say so.
    pub is_ours: bool,
}

/// How long a client waits before it tries again when nothing better is known.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl Problem {
    /// A problem with a message.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            retry_after: None,
            channel: None,
            standing: None,
            is_ours: false,
        }
    }

    /// A malformed request.
    pub fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::BadRequest, message)
    }

    /// The same, about a channel.
    pub fn about(mut self, channel: &ChannelName) -> Self {
        self.channel = Some(channel.clone());
        self
    }

    /// The same, worth trying again after a while.
    pub fn retry(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }
}

impl From<NameError> for Problem {
    fn from(error: NameError) -> Self {
        Self::new(Code::BadRequest, error.to_string())
    }
}

impl From<CursorError> for Problem {
    fn from(error: CursorError) -> Self {
        Self::new(Code::BadCursor, error.to_string())
    }
}

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Self {
        let message = error.to_string();
        match error {
            // The store is the gateway's own: 503 and not 429.
            PublishError::Full => Self {
                is_ours: true,
                ..Self::new(Code::LimitReached, message)
            }
            .retry(RETRY_AFTER),
            PublishError::KeyConflict => Self::new(Code::KeyConflict, message),
            PublishError::Unavailable => Self::new(Code::Unavailable, message).retry(RETRY_AFTER),
        }
    }
}

impl From<Problem> for End {
    fn from(problem: Problem) -> Self {
        Self {
            code: problem.code,
            retry_after: problem.retry_after,
            message: Some(problem.message),
            channel: problem.channel,
        }
    }
}

impl From<End> for Problem {
    fn from(end: End) -> Self {
        Self {
            code: end.code,
            message: end
                .message
                .unwrap_or(Cow::Borrowed(end.code.meaning().trim_ascii())),
            retry_after: end.retry_after,
            channel: end.channel,
            standing: None,
            is_ours: false,
        }
    }
}
