//! The one table of codes: every error and every way out of a session, on every transport.

use std::borrow::Cow;
use std::time::Duration;

use http::StatusCode;

use crate::bus::name::ChannelName;

/// Whether and when a client may come back after a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ComeBack {
    /// Not with the same request.
    No,
    /// At once, from its cursor.
    Now,
    /// After the delay that comes with the code.
    AfterDelay,
    /// With a new token.
    WithNewToken,
}

/// One row of the table.
struct Row {
    name: &'static str,
    close: Option<u16>,
    status: Option<StatusCode>,
    come_back: ComeBack,
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident $name:literal $close:tt $status:tt $come_back:ident;)+) => {
        /// What went wrong, or why a session ended.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Code {
            /// All codes, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            const fn row(self) -> Row {
                match self {
                    $(Self::$variant => Row {
                        name: $name,
                        close: codes!(@close $close),
                        status: codes!(@status $status),
                        come_back: ComeBack::$come_back,
                    },)+
                }
            }

            /// What the code means, in a sentence.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($doc),+),)+
                }
            }
        }
    };
    (@close none) => { None };
    (@close $close:literal) => { Some($close) };
    (@status none) => { None };
    (@status $status:ident) => { Some(StatusCode::$status) };
}

codes! {
    /// The client closed.
    Normal "normal" 1000 none No;
    /// The client did not answer a ping in time.
    Heartbeat "heartbeat" 1001 none Now;
    /// A body or a message is over its limit.
    TooLarge "too_large" 1009 PAYLOAD_TOO_LARGE No;
    /// The gateway failed.
    Internal "internal" 1011 INTERNAL_SERVER_ERROR Now;
    /// The gateway is going down.
    Shutdown "shutdown" 1012 SERVICE_UNAVAILABLE AfterDelay;
    /// A limit on connections, on who is present, or on what comes in at once, was reached.
    Overloaded "overloaded" 1013 SERVICE_UNAVAILABLE AfterDelay;
    /// The broker or the source of keys did not answer, or the feature is not there yet.
    Unavailable "unavailable" 1013 SERVICE_UNAVAILABLE AfterDelay;
    /// The request is malformed.
    BadRequest "bad_request" 4000 BAD_REQUEST No;
    /// The body or command is not JSON.
    BadJson "bad_json" 4000 BAD_REQUEST No;
    /// The cursor cannot be read, or is not of these channels.
    BadCursor "bad_cursor" 4000 BAD_REQUEST No;
    /// The credentials are missing or not valid.
    Unauthorized "unauthorized" 4001 UNAUTHORIZED WithNewToken;
    /// The token has run out.
    TokenExpired "token_expired" 4001 UNAUTHORIZED WithNewToken;
    /// The principal has no right to this.
    Forbidden "forbidden" 4003 FORBIDDEN No;
    /// There is nothing at this path.
    NotFound "not_found" none NOT_FOUND No;
    /// The path does not take this method.
    MethodNotAllowed "method_not_allowed" none METHOD_NOT_ALLOWED No;
    /// The reader made no progress, or a message did not arrive in time.
    Slow "slow" 4008 none Now;
    /// A newer attachment of the same session took over.
    Superseded "superseded" 4009 CONFLICT No;
    /// The idempotency key was used with another payload.
    KeyConflict "key_conflict" 4009 CONFLICT No;
    /// An administrator ended the session.
    Disconnected "disconnected" 4010 FORBIDDEN No;
    /// Too many requests in a time.
    RateLimited "rate_limited" 4029 TOO_MANY_REQUESTS AfterDelay;
    /// A limit on things that are kept was reached.
    LimitReached "limit_reached" 4029 TOO_MANY_REQUESTS No;
}

impl Code {
    /// The code's name on the wire.
    pub const fn as_str(self) -> &'static str {
        self.row().name
    }

    /// The WebSocket close code (RFC 6455, section 7.4), if a session can end this way.
    pub const fn close(self) -> Option<u16> {
        self.row().close
    }

    /// The HTTP status, if a request can be answered this way.
    pub const fn status(self) -> Option<StatusCode> {
        self.row().status
    }

    /// Whether and when the client may come back.
    pub const fn come_back(self) -> ComeBack {
        self.row().come_back
    }

    /// True if a client may come back by itself, without anything new from its user.
    pub fn reconnect(self) -> bool {
        matches!(self.come_back(), ComeBack::Now | ComeBack::AfterDelay)
    }

    /// The code of a name, for clients.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == name)
    }
}

/// Why a session ends, as its client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The way out.
    pub code: Code,
    /// When the client may come back, if it has to wait.
    pub retry_after: Option<Duration>,
    /// More than the code says, for the person who reads it.
    pub message: Option<Cow<'static, str>>,
    /// The channel it is about, if it is about one.
    pub channel: Option<ChannelName>,
}

impl From<Code> for End {
    fn from(code: Code) -> Self {
        Self {
            code,
            retry_after: None,
            message: None,
            channel: None,
        }
    }
}

impl End {
    /// An end with a delay drawn at random up to `spread`, so that clients do not come back all at once.
    pub fn jittered(code: Code, spread: Duration) -> Self {
        // An EventSource keeps the delay for every later try, so it is never a busy loop.
        const FLOOR: Duration = Duration::from_millis(500);
        let retry_after = FLOOR + spread.mul_f64(fastrand::f64());
        Self {
            retry_after: Some(retry_after),
            ..Self::from(code)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_read_back() {
        for code in Code::ALL {
            assert_eq!(Code::parse(code.as_str()), Some(*code));
        }
    }

    #[test]
    fn every_code_can_be_told_by_at_least_one_transport() {
        for code in Code::ALL {
            assert!(
                code.close().is_some() || code.status().is_some(),
                "{code:?}"
            );
        }
    }

    #[test]
    fn a_jittered_end_stays_in_its_spread() {
        for _ in 0..1000 {
            let end = End::jittered(Code::Shutdown, Duration::from_secs(2));
            let delay = end.retry_after.unwrap();
            assert!(
                (Duration::from_millis(500)..=Duration::from_millis(2500)).contains(&delay),
                "{delay:?}"
            );
        }
    }
}
