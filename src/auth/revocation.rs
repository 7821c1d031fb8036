//! Users and tokens that are refused for a while, whatever they bring.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::principal::Principal;
use crate::bus::UserName;
use crate::code::Code;
use crate::problem::Problem;

/// What can be revoked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Revoked {
    /// All credentials of a user.
    User(UserName),
    /// A token, by its `jti`.
    Token(Arc<str>),
}

/// What is revoked, each until its time.
#[derive(Debug, Default)]
pub(super) struct Revocations {
    list: Mutex<HashMap<Revoked, Instant>>,
    /// How many there are, so that who looks at none waits for nobody.
    count: AtomicUsize,
}

impl Revocations {
    /// Revokes for a while. A longer time that was set before stays.
    pub fn add(&self, revoked: Revoked, time: Duration, count_max: usize) -> Result<(), Problem> {
        let now = Instant::now();
        let mut list = self.list.lock();
        if list.len() >= count_max && !list.contains_key(&revoked) {
            list.retain(|_, until| *until > now);
            list.shrink_to_fit();
        }
        if list.len() >= count_max && !list.contains_key(&revoked) {
            let message =
                "as much is revoked as can be: raise auth.revocations_max, or change the key";
            return Err(Problem::new(Code::LimitReached, message));
        }
        let until = list.entry(revoked).or_insert(now);
        *until = (*until).max(now + time);
        self.count.store(list.len(), Ordering::Release);
        Ok(())
    }

    /// Checks that neither the user nor the token is revoked.
    pub fn check(&self, principal: &Principal) -> Result<(), Problem> {
        if self.count.load(Ordering::Acquire) == 0 {
            return Ok(());
        }
        let list = self.list.lock();
        let now = Instant::now();
        let is_revoked = |revoked: Revoked| list.get(&revoked).is_some_and(|until| *until > now);
        let user = principal.user.clone().map(Revoked::User);
        let token = principal.token_id().cloned().map(Revoked::Token);
        if user.into_iter().chain(token).any(is_revoked) {
            let message = "this user or token was revoked by an administrator";
            return Err(Problem::new(Code::Unauthorized, message));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::principal::Grant;

    fn user(name: &str) -> Revoked {
        Revoked::User(UserName::parse(name).unwrap())
    }

    fn principal(name: &str, token_id: &str) -> Principal {
        let grant = Grant {
            token_id: Some(token_id.into()),
            ..Grant::default()
        };
        Principal::new(Some(UserName::parse(name).unwrap()), Arc::new(grant))
    }

    #[tokio::test(start_paused = true)]
    async fn a_revocation_has_its_time() {
        let list = Revocations::default();
        let (short, long) = (Duration::from_secs(5), Duration::from_secs(10));
        list.add(user("bob"), long, 10).unwrap();
        list.add(user("bob"), short, 10).unwrap();
        list.add(Revoked::Token("t".into()), short, 10).unwrap();
        assert!(list.check(&principal("bob", "x")).is_err());
        assert!(list.check(&principal("eve", "t")).is_err());
        // A user's name is not a token's.
        assert!(list.check(&principal("t", "bob")).is_ok());
        tokio::time::advance(short).await;
        assert!(list.check(&principal("eve", "t")).is_ok());
        assert!(list.check(&principal("bob", "x")).is_err());
        tokio::time::advance(short).await;
        assert!(list.check(&principal("bob", "x")).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn the_list_is_bounded_and_what_has_ended_makes_room() {
        let list = Revocations::default();
        let time = Duration::from_secs(5);
        list.add(user("a"), time, 2).unwrap();
        list.add(user("b"), time, 2).unwrap();
        let refused = list.add(user("c"), time, 2).unwrap_err();
        assert_eq!(refused.code, Code::LimitReached);
        list.add(user("a"), time, 2).unwrap();
        tokio::time::advance(time).await;
        list.add(user("c"), time, 2).unwrap();
    }
}
