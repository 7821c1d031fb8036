//! Tickets: what stands in for a token in a URL, once and for a moment.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::principal::Principal;
use crate::bus::ChannelName;
use crate::code::Code;
use crate::problem::Problem;
use crate::secret::Secret;

/// The tickets that wait to be used. Who looks for one finds it by its hash, so the time of a look tells nothing about it.
#[derive(Debug, Default)]
pub(super) struct Tickets(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    tickets: HashMap<Hash, Ticket>,
    /// In the order in which they end.
    ends: VecDeque<(Instant, Hash)>,
    /// How many channels all of them name.
    channels: usize,
}

type Hash = [u8; 32];

#[derive(Debug)]
struct Ticket {
    principal: Principal,
    channels: Vec<ChannelName>,
}

impl Tickets {
    /// Makes a ticket for some channels, good for `life`.
    pub fn issue(
        &self,
        principal: Principal,
        channels: Vec<ChannelName>,
        life: Duration,
        channels_max: usize,
    ) -> Result<Secret, Problem> {
        let ticket = random();
        let (now, hash) = (Instant::now(), hash(ticket.reveal()));
        let mut waiting = self.0.lock();
        waiting.forget(now);
        if waiting.channels + channels.len() > channels_max {
            let message = "too many tickets wait to be used: try again later";
            return Err(Problem::new(Code::LimitReached, message).retry(life));
        }
        waiting.channels += channels.len();
        waiting.ends.push_back((now + life, hash));
        waiting.tickets.insert(
            hash,
            Ticket {
                principal,
                channels,
            },
        );
        Ok(ticket)
    }

    /// Uses a ticket up. Whatever comes of the request, there is no second time.
    pub fn redeem(&self, ticket: &Secret) -> Result<Principal, Problem> {
        let hash = hash(ticket.reveal());
        let mut waiting = self.0.lock();
        waiting.forget(Instant::now());
        let Some(Ticket {
            principal,
            channels,
        }) = waiting.take(&hash)
        else {
            let message =
                "this ticket is not known: each is good once and for a moment, get a new one";
            return Err(Problem::new(Code::Unauthorized, message));
        };
        Ok(principal.restricted(channels))
    }
}

impl Waiting {
    fn take(&mut self, hash: &Hash) -> Option<Ticket> {
        let ticket = self.tickets.remove(hash)?;
        self.channels -= ticket.channels.len();
        Some(ticket)
    }

    /// Drops what has run out, and the ends of tickets that were used once they are the larger part.
    fn forget(&mut self, now: Instant) {
        const USED_MAX: usize = 64;
        if self.ends.len() > 2 * self.tickets.len() + USED_MAX {
            let tickets = &self.tickets;
            self.ends.retain(|(_, hash)| tickets.contains_key(hash));
        }
        while let Some((_, hash)) = self.ends.pop_front_if(|(end, _)| *end <= now) {
            self.take(&hash);
        }
    }
}

fn hash(text: &str) -> Hash {
    Sha256::digest(text).into()
}

fn random() -> Secret {
    let mut bytes = [0; 32];
    // It fails only where the system has no random source at all, and nothing could be kept apart there.
    getrandom::fill(&mut bytes).expect("the system has a random source");
    Secret::new(&URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Action;
    use crate::auth::pattern::Patterns;
    use crate::auth::principal::Grant;
    use std::sync::Arc;

    const LIFE: Duration = Duration::from_secs(30);

    fn channel(name: &str) -> ChannelName {
        ChannelName::parse(name).unwrap()
    }

    fn issue(tickets: &Tickets, names: &[&str], max: usize) -> Result<Secret, Problem> {
        let grant = Grant {
            subscribe: Patterns::everything(),
            admin: true,
            ..Grant::default()
        };
        let principal = Principal::new(None, Arc::new(grant));
        let channels = names.iter().map(|name| channel(name)).collect();
        tickets.issue(principal, channels, LIFE, max)
    }

    #[tokio::test(start_paused = true)]
    async fn a_ticket_is_good_once_and_for_its_channels() {
        let tickets = Tickets::default();
        let ticket = issue(&tickets, &["b", "a"], 10).unwrap();
        let principal = tickets.redeem(&ticket).unwrap();
        for (name, allowed) in [("a", true), ("b", true), ("c", false)] {
            let may = principal.may(Action::Subscribe, &channel(name));
            assert_eq!(may.is_ok(), allowed, "{name}");
        }
        assert!(principal.must_be_admin().is_err());
        let again = tickets.redeem(&ticket).unwrap_err();
        assert_eq!(again.code, Code::Unauthorized);
    }

    #[tokio::test(start_paused = true)]
    async fn used_tickets_leave_nothing_behind() {
        let tickets = Tickets::default();
        for _ in 0..1000 {
            let ticket = issue(&tickets, &["a"], 1).unwrap();
            tickets.redeem(&ticket).unwrap();
        }
        let waiting = tickets.0.lock();
        assert!(waiting.tickets.is_empty() && waiting.channels == 0);
        assert!(waiting.ends.len() < 100, "{}", waiting.ends.len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_ticket_ends_and_makes_room() {
        let tickets = Tickets::default();
        let ticket = issue(&tickets, &["a", "b"], 3).unwrap();
        assert!(issue(&tickets, &["a", "b"], 3).is_err());
        assert!(issue(&tickets, &["a"], 3).is_ok());
        tokio::time::advance(LIFE).await;
        assert!(tickets.redeem(&ticket).is_err());
        assert!(issue(&tickets, &["a", "b", "c"], 3).is_ok());
    }
}
