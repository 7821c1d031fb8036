//! Why a limit refused something, and how a client is told.

use std::time::Duration;

use super::standing::Standing;
use crate::code::{Code, End};
use crate::problem::Problem;

/// Why a limit refused something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Not now: where the key stands, and the time after which it may be tried again.
    Wait(Standing, Duration),
    /// Never: it costs more than may ever be spent at once.
    Never {
        /// What it costs.
        cost: u32,
        /// What may be spent at once.
        burst: u32,
    },
    /// There are as many as there may be.
    Full(Counted),
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// Attachments from one address.
    ByAddress,
    /// Attachments of one user.
    ByUser,
    /// Attachments in all.
    All,
    /// Bytes on their way in from one address.
    IncomingByAddress,
    /// Bytes on their way in, from all.
    Incoming,
}

/// Who found a place taken comes back after a delay drawn from up to this.
const OVERLOADED_SPREAD: Duration = Duration::from_secs(5);

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Wait(standing, after) => Self {
                standing: Some(standing),
                ..Self::new(Code::RateLimited, too_often(standing.name)).retry(in_millis(after))
            },
            Refused::Never { cost, burst } => Self::new(
                Code::LimitReached,
                format!(
                    "this costs {cost}, one for each channel, and at most {burst} are allowed at once: name fewer channels"
                ),
            ),
            Refused::Full(counted) => Self {
                message: counted.sentence().into(),
                ..End::jittered(Code::Overloaded, OVERLOADED_SPREAD).into()
            },
        }
    }
}

/// Rounded up: clients wait by whole milliseconds.
fn in_millis(after: Duration) -> Duration {
    Duration::from_millis((after.as_nanos().div_ceil(1_000_000)) as u64)
}

fn too_often(name: &str) -> &'static str {
    match name {
        super::PUBLISH => "you publish too often: wait, then try again",
        super::ATTACH => {
            "new streams and waiting polls come too often from your address: wait, then try again"
        }
        _ => "requests come too often from your address: wait, then try again",
    }
}

impl Counted {
    const fn sentence(self) -> &'static str {
        match self {
            Self::ByAddress => {
                "your address has as many streams and waiting polls as it may: close some"
            }
            Self::ByUser => "you have as many streams and waiting polls as you may: close some",
            Self::All => "the gateway has as many clients as it takes: come back later",
            Self::IncomingByAddress => {
                "as many bytes are on their way in from your address as may be: send less at once, or come back later"
            }
            Self::Incoming => {
                "as many bytes are on their way in as the gateway takes at once: come back later"
            }
        }
    }
}
