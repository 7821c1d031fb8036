//! Follows channels over whatever transport works, across failures, from one cursor.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::Method;
use serde::Deserialize;
use tokio::time::sleep;

use super::attachment::{Attachment, Ended};
use super::credentials::Credentials;
use super::endpoint::{Endpoint, Failure};
use super::{poll, sse, websocket};
use crate::code::Code;
use crate::transport::Transport;

/// The first delay before another try; it doubles up to [`BACK_OFF_MAX`].
const BACK_OFF_MIN: Duration = Duration::from_secs(1);
const BACK_OFF_MAX: Duration = Duration::from_secs(30);

/// Which transport to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// The first that works, in the order in which the gateway prefers them.
    Auto,
    /// This one.
    Only(Transport),
}

/// What to follow.
#[derive(Debug, Clone)]
pub struct Follow {
    /// The channels.
    pub channels: Vec<String>,
    /// Where to start.
    pub cursor: String,
    /// Over what.
    pub choice: Choice,
    /// A name of our own; for gateways in open mode.
    pub user: Option<String>,
    /// What to show; looked at again for each attachment.
    pub credentials: Credentials,
    /// Between two short polls that found nothing.
    pub poll_interval: Duration,
}

/// What a follower hands over: one JSON object, or a note about the connection.
pub trait Follower {
    /// A message or a gap. Returns false to stop.
    fn object(&mut self, json: &str) -> bool;
    /// What happens to the connection, for a person.
    fn note(&mut self, note: &str);
}

impl Follow {
    /// Follows until the follower wants no more.
    ///
    /// # Errors
    /// What the gateway said, if it said that coming back is of no use: also without another token than the one that it
    /// refused. [`Failure::Untrusted`] if it is not the gateway that answers, [`Failure::Local`] for a token that cannot
    /// be used.
    pub async fn run(
        &self,
        endpoint: &Endpoint,
        follower: &mut dyn Follower,
    ) -> Result<(), Failure> {
        let (mut cursor, session) = (self.cursor.clone(), draw_session());
        let mut back_off = BACK_OFF_MIN;
        let mut endpoint = endpoint.with_token(self.credentials.read()?);
        loop {
            let transports = self.transports(&endpoint).await;
            let count = transports.len();
            for (i, transport) in transports.into_iter().enumerate() {
                self.renew(&mut endpoint, follower);
                follower.note(&format!("{}, from {cursor}", transport.as_str()));
                let attachment = Attachment {
                    endpoint: &endpoint,
                    follow: self,
                    session: &session,
                    cursor: &mut cursor,
                    follower,
                };
                let (code, reason, retry_after, was_proven) =
                    match attach(transport, attachment).await {
                        Ended::Enough => return Ok(()),
                        Ended::Hopeless(failure) => return Err(failure),
                        Ended::Lost {
                            code,
                            reason,
                            retry_after,
                            was_proven,
                        } => (code, reason, retry_after, was_proven),
                    };
                // A transport that is switched off is one more that does not work here, if there are others.
                let code = code.filter(|code| *code != Code::NotFound || count == 1);
                if let Some(code) = code.filter(|code| !code.reconnect()) {
                    let failure = Failure::Refused {
                        code: Some(code),
                        message: reason,
                        retry_after_ms: None,
                    };
                    if failure.wants_token() && self.credentials.has_other(endpoint.token()) {
                        follower.note(&format!("{failure}: there is another one now"));
                        break;
                    }
                    return Err(failure);
                }
                follower.note(&reason);
                if was_proven {
                    back_off = BACK_OFF_MIN;
                }
                // A transport that never worked gives way to the next at once; a gateway that answered is waited for.
                let tries_next = !was_proven && code.is_none() && i + 1 < count;
                if !tries_next {
                    sleep(retry_after.unwrap_or_else(|| jitter(back_off))).await;
                    back_off = (back_off * 2).min(BACK_OFF_MAX);
                    break;
                }
            }
        }
    }

    /// Shows the token as it is now. One that cannot be read is about to be replaced, as it could be read before: until
    /// then the old one has to do.
    fn renew(&self, endpoint: &mut Endpoint, follower: &mut dyn Follower) {
        match self.credentials.read() {
            Ok(token) => *endpoint = endpoint.with_token(token),
            Err(failure) => follower.note(&format!("{failure}: the token stays as it was")),
        }
    }

    async fn transports(&self, endpoint: &Endpoint) -> Vec<Transport> {
        match self.choice {
            Choice::Only(transport) => vec![transport],
            // A gateway that cannot be asked is tried in our own order.
            Choice::Auto => discover(endpoint).await.unwrap_or(Transport::ALL.to_vec()),
        }
    }
}

async fn attach(transport: Transport, attachment: Attachment<'_>) -> Ended {
    match transport {
        Transport::WebSocket => websocket::attach(attachment).await,
        Transport::Sse => sse::attach(attachment).await,
        Transport::LongPoll => poll::attach(attachment, true).await,
        Transport::Poll => poll::attach(attachment, false).await,
    }
}

async fn discover(endpoint: &Endpoint) -> Option<Vec<Transport>> {
    #[derive(Deserialize)]
    struct Discovery {
        transports: Vec<Offer>,
    }
    #[derive(Deserialize)]
    struct Offer {
        name: String,
    }
    let target = endpoint.target("/v1/transports", &[]);
    let body = endpoint
        .fetch(Method::GET, &target, &[], Bytes::new())
        .await
        .ok()?;
    let discovery: Discovery = serde_json::from_slice(&body).ok()?;
    let known = |offer: Offer| {
        Transport::ALL
            .into_iter()
            .find(|transport| transport.as_str() == offer.name)
    };
    let transports: Vec<Transport> = discovery.transports.into_iter().filter_map(known).collect();
    (!transports.is_empty()).then_some(transports)
}

/// A session of our own: what an earlier attachment is still sent after we left it ends when we come back.
fn draw_session() -> String {
    let mut bytes = [0; 16];
    // It must not be guessed. This fails only where the system has no random source at all.
    getrandom::fill(&mut bytes).expect("the system has a random source");
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Between half and the whole of a delay, so that clients that lost one gateway do not come back as one.
fn jitter(delay: Duration) -> Duration {
    delay.mul_f64(0.5 + fastrand::f64() / 2.0)
}
