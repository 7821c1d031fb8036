//! The keys of a URL: fetched when they are due, and when a token needs one that is not among them; kept while they cannot be
//! fetched.
//!
//! One task asks the source, so there is never more than one request to it. Everybody else looks at the round: whether it is
//! under way, and how it ended.

use std::path::Path;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::key_set::Reading;
use super::token::Verifier;
use crate::code::Code;
use crate::config;
use crate::fetch::{FetchError, Fetched, Source};
use crate::problem::Problem;

/// How long a set is taken as it is, where its source does not say.
const FRESH_DEFAULT: Duration = Duration::from_secs(600);
/// The bounds of what a source may say.
const FRESH_MIN: Duration = Duration::from_secs(60);
const FRESH_MAX: Duration = Duration::from_secs(3600);
/// After a failure the source is asked again: soon, and then after ever longer rests.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// Between two rounds that tokens with unknown keys began: anybody can make up such a token.
const WANTED_GAP: Duration = Duration::from_secs(30);
/// A set that was fetched so long ago at most says for sure that it has no such key. While a round is held back, an older one
/// does not: the key may be new.
const SURE_WITHIN: Duration = Duration::from_secs(2);
/// Most requests that wait for a round.
const WAITING_MAX: usize = 1000;
/// When to come back while keys cannot be fetched; up to twice as long.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// A source of keys, with what it last gave.
pub(super) struct Remote {
    /// Where it is, as configured: the URL and the file of authorities.
    address: [String; 2],
    source: Source,
    reading: Reading,
    set: ArcSwapOption<Set>,
    round: watch::Sender<Round>,
}

/// A set that was fetched.
pub(super) struct Set {
    text: Bytes,
    pub verifiers: Vec<Verifier>,
}

/// One asking of the source.
#[derive(Debug, Clone, Copy)]
struct Round {
    /// Begun, or about to begin.
    under_way: bool,
    /// The last one that ended.
    failed: bool,
    /// When the last one began that a token had begin.
    wanted_at: Option<Instant>,
    /// When the last good one ended.
    fetched_at: Option<Instant>,
}

impl Remote {
    /// The source that is configured, if there is one. Nothing is fetched yet.
    ///
    /// # Errors
    /// A sentence about the URL or the authorities.
    pub fn new(config: &config::Auth, reading: Reading) -> Result<Option<Self>, String> {
        let (url, ca) = (&config.jwks_url, &config.jwks_ca);
        if url.is_empty() {
            return Ok(None);
        }
        let file = (!ca.is_empty()).then(|| Path::new(ca));
        Ok(Some(Self {
            source: Source::new(url, "auth.jwks_ca", file)?,
            address: [url.clone(), ca.clone()],
            reading: reading.without_secrets(),
            set: ArcSwapOption::empty(),
            round: watch::Sender::new(Round {
                under_way: true,
                failed: false,
                wanted_at: None,
                fetched_at: None,
            }),
        }))
    }

    /// Begins with the keys of an earlier one, if it is the same source: it may be down just now.
    pub fn inherit(&self, old: &Self) {
        let set = old.set.load();
        let Some(set) = set.as_ref().filter(|_| self.address == old.address) else {
            return;
        };
        // What the new configuration cannot use any more is left behind.
        if let Ok(verifiers) = self.reading.read(&set.text) {
            let text = set.text.clone();
            self.set.store(Some(Set { text, verifiers }.into()));
        }
    }

    /// The keys that there are.
    pub fn set(&self) -> arc_swap::Guard<Option<std::sync::Arc<Set>>> {
        self.set.load()
    }

    /// Keeps the keys fresh. It never ends. Cancel safe: who waits for the round under way waits no longer.
    pub async fn keep(&self) {
        self.keep_from(|| self.source.get()).await;
    }

    async fn keep_from<F>(&self, fetch: impl Fn() -> F)
    where
        F: Future<Output = Result<Fetched, FetchError>>,
    {
        let mut round = self.round.subscribe();
        let mut failures = Failures::default();
        loop {
            let mut ending = Ending::begin(&self.round);
            let outcome = fetch().await.map_err(|error| error.to_string());
            let outcome = outcome.and_then(|fetched| self.take_over(fetched));
            ending.failed = outcome.is_err();
            let rest = match outcome {
                Ok(fresh_for) => failures.ended(fresh_for),
                Err(error) => failures.another(error, self.set.load().is_some()),
            };
            drop(ending);
            // Sooner, if a token needs a key. The sender is our own and lives.
            let wanted = round.wait_for(|round| round.under_way);
            let _ = timeout(rest, wanted).await;
        }
    }

    /// Takes the set over, and says for how long it is fresh.
    fn take_over(&self, fetched: Fetched) -> Result<Duration, String> {
        let verifiers = self.reading.read(&fetched.body);
        let verifiers = verifiers.map_err(|what| format!("{}: {what}", self.source.host()))?;
        let old = self.set.load();
        if old.as_ref().is_none_or(|old| old.text != fetched.body) {
            tracing::info!(source = %self.source.host(), keys = verifiers.len(), "keys of tokens were fetched");
        }
        // A copy: the body may be a slice of a larger buffer.
        let text = Bytes::copy_from_slice(&fetched.body);
        self.set.store(Some(Set { text, verifiers }.into()));
        let fresh_for = fetched.fresh_for.unwrap_or(FRESH_DEFAULT);
        Ok(fresh_for.clamp(FRESH_MIN, FRESH_MAX))
    }

    /// Has the source asked because a token needs a key that is not here. False if it was asked for that a moment ago, and
    /// there is nothing to wait for.
    pub fn want(&self) -> bool {
        let now = Instant::now();
        let is_due = |round: &Round| round.wanted_at.is_none_or(|at| now >= at + WANTED_GAP);
        self.round.send_if_modified(|round| {
            // A round that is under way will do.
            let begins = !round.under_way && is_due(round);
            if begins {
                round.under_way = true;
                round.wanted_at = Some(now);
            }
            begins
        });
        self.round.borrow().under_way
    }

    /// Waits for the end of the round that is under way. Cancel safe.
    ///
    /// # Errors
    /// `unavailable` if too many wait already.
    pub async fn ended(&self) -> Result<(), Problem> {
        let mut round = self.round.subscribe();
        // The task that asks looks at the round, too.
        if self.round.receiver_count() > WAITING_MAX + 1 {
            return Err(unavailable());
        }
        // The sender is our own and lives.
        let _ = round.wait_for(|round| !round.under_way).await;
        Ok(())
    }

    /// What to say to a token whose key is not here. While the source does not answer, or was asked for another key a moment
    /// ago, nobody knows whether it is good.
    pub fn refuse(&self, problem: Problem) -> Problem {
        let round = *self.round.borrow();
        if self.set.load().is_none() || round.failed {
            return unavailable();
        }
        let is_sure = round
            .fetched_at
            .is_some_and(|at| at.elapsed() <= SURE_WITHIN);
        match round
            .wanted_at
            .map(|at| (at + WANTED_GAP).saturating_duration_since(Instant::now()))
        {
            Some(held_back) if !is_sure && !held_back.is_zero() => {
                let message = "the keys of tokens were fetched a moment ago, without that of this token: try again later";
                Problem::new(Code::Unavailable, message).retry(held_back + jitter())
            }
            _ => problem,
        }
    }
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote").finish_non_exhaustive()
    }
}

fn unavailable() -> Problem {
    let message = "the keys of tokens cannot be fetched just now: try again later";
    Problem::new(Code::Unavailable, message).retry(RETRY_AFTER + jitter())
}

/// So that those who were sent away do not come back as one.
fn jitter() -> Duration {
    RETRY_AFTER.mul_f64(fastrand::f64())
}

/// Says how a round ended, also if it is dropped half-way.
struct Ending<'a> {
    round: &'a watch::Sender<Round>,
    failed: bool,
}

impl<'a> Ending<'a> {
    fn begin(round: &'a watch::Sender<Round>) -> Self {
        round.send_modify(|round| round.under_way = true);
        Self {
            round,
            failed: true,
        }
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.round.send_modify(|round| {
            round.under_way = false;
            round.failed = self.failed;
            if !self.failed {
                round.fetched_at = Some(Instant::now());
            }
        });
    }
}

/// Rounds that failed, one after another.
#[derive(Default)]
struct Failures {
    count: u32,
    /// What was last said of them.
    told: String,
}

impl Failures {
    /// A round went well. Returns what it returned.
    fn ended(&mut self, fresh_for: Duration) -> Duration {
        if self.count > 0 {
            tracing::info!("the keys of tokens can be fetched again");
        }
        *self = Self::default();
        fresh_for
    }

    /// Says what went wrong, unless that was said, and returns when to ask again.
    fn another(&mut self, error: String, has_keys: bool) -> Duration {
        if self.told != error {
            let meanwhile = match has_keys {
                true => "those that were fetched before stay",
                false => "tokens that need them are answered unavailable",
            };
            tracing::warn!(%error, "auth.jwks_url: no keys from there, and {meanwhile}");
            self.told = error;
        }
        let rest = RETRY_MIN.saturating_mul(1 << self.count.min(10));
        self.count += 1;
        // Not all gateways at once.
        rest.min(RETRY_MAX).mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

#[cfg(test)]
mod tests;
