//! A list of who is attached, a slice at a time: nobody waits for long for the table.

use std::net::IpAddr;
use std::sync::Arc;

use super::Attachments;
use super::table::{Attached, Place};
use crate::bus::{PublicId, Signal, UserName};
use crate::transport::Transport;

/// An attachment as it was looked at. The session's secret id and the token are not known here.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// What everybody may see of the session, if it has an id.
    pub public_id: Option<PublicId>,
    /// Who; nobody in particular if absent.
    pub user: Option<UserName>,
    /// How it is attached.
    pub transport: Transport,
    /// When it came, in milliseconds since 1970.
    pub since_ms: u64,
    /// How many channels it reads.
    pub channels: u32,
    /// Where it is.
    pub address: IpAddr,
    /// The `jti` of its token.
    pub token_id: Option<Arc<str>>,
    /// When it ends with its token, in seconds since 1970.
    pub ends_at_s: Option<u64>,
}

impl Attachments {
    /// Some of the attachments, those of a user or all of them, each with the number of its place: of so many places as may
    /// be looked at under one lock, from a number on. Also the number to go on from; nothing at the end.
    ///
    /// On the way through all of them who stays is met exactly once; who comes or goes meanwhile may be met.
    pub fn list(&self, from: u64, user: Option<&UserName>) -> (Vec<(u64, Listed)>, Option<u64>) {
        let table = self.table.lock();
        let (slice, next) = table.slice(Place::of(from));
        let meant = slice.filter(|(_, attached)| attached.is_of(user));
        let listed = meant.map(|(place, attached)| (place.number(), attached.listed()));
        (listed.collect(), next.map(Place::number))
    }

    /// The attachments behind some signals, those of a user or all of them, each with what came with its signal.
    pub fn behind(
        &self,
        signals: &[(usize, Arc<Signal>)],
        user: Option<&UserName>,
    ) -> Vec<(u64, Listed)> {
        let table = self.table.lock();
        let attached = signals.iter().filter_map(|(seat, signal)| {
            let attached = table.at(Place::of(signal.number()))?;
            // Who left gave its place to somebody else, maybe.
            let is_there = Arc::ptr_eq(&attached.signal, signal) && attached.is_of(user);
            is_there.then(|| (*seat as u64, attached.listed()))
        });
        attached.collect()
    }
}

impl Attached {
    fn is_of(&self, user: Option<&UserName>) -> bool {
        user.is_none_or(|user| self.holder.user.as_ref() == Some(user))
    }

    fn listed(&self) -> Listed {
        let holder = self.holder.clone();
        Listed {
            public_id: holder.public_id,
            user: holder.user,
            transport: self.transport,
            since_ms: self.since_ms,
            channels: self.signal.subscriptions(),
            address: holder.address,
            token_id: holder.token_id,
            ends_at_s: holder.ends_at_s,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attachments::tests::nobody_yet;
    use crate::attachments::{Attachment, Holder, LOOKED_AT_MAX};
    use std::collections::HashMap;

    fn of(user: &str) -> Holder {
        Holder {
            user: UserName::parse(user).ok(),
            ..Holder::nobody()
        }
    }

    /// How often each user is met on the way through all, while `meanwhile` runs between two slices.
    fn walk(attachments: &Attachments, mut meanwhile: impl FnMut()) -> HashMap<String, usize> {
        let (mut met, mut from) = (HashMap::new(), Some(0));
        while let Some(number) = from {
            let (listed, next) = attachments.list(number, None);
            assert!(listed.len() <= LOOKED_AT_MAX);
            assert!(listed.is_sorted_by_key(|(number, _)| *number));
            for (_, listed) in listed {
                *met.entry(listed.user.unwrap().as_str().to_owned())
                    .or_default() += 1;
            }
            from = next;
            meanwhile();
        }
        met
    }

    #[test]
    fn who_stays_is_met_once_whoever_comes_and_goes() {
        let attachments = nobody_yet();
        let enter = |user: &str| attachments.enter(Transport::Sse, of(user)).unwrap();
        let mut random = fastrand::Rng::with_seed(20_261_122);
        let mut others = Vec::new();
        let mut staying = Vec::new();
        for n in 0..5 * LOOKED_AT_MAX {
            // Over several slots, as the heartbeat goes on.
            attachments.table.lock().slot = 7 * random.usize(..3);
            others.push(enter(&format!("other {n}")));
            staying.push(enter(&n.to_string()));
        }
        let met = walk(&attachments, || {
            for n in 0..200 {
                let gone: Attachment = others.swap_remove(random.usize(..others.len()));
                drop(gone);
                others.push(enter(&format!("newcomer {n}")));
            }
        });
        assert!((0..staying.len()).all(|n| met[&n.to_string()] == 1));
        let one = UserName::parse("17").unwrap();
        let (mut found, mut from) = (Vec::new(), Some(0));
        while let Some(number) = from {
            let (listed, next) = attachments.list(number, Some(&one));
            found.extend(listed);
            from = next;
        }
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn a_signal_leads_to_its_attachment_while_it_is_there() {
        let attachments = nobody_yet();
        let bob = attachments.enter(Transport::Sse, of("bob")).unwrap();
        let signals = [(7, Arc::clone(bob.signal()))];
        let found = attachments.behind(&signals, None);
        assert_eq!(found[0].0, 7);
        let eve = UserName::parse("eve").unwrap();
        assert!(attachments.behind(&signals, Some(&eve)).is_empty());
        drop(bob);
        let _eve = attachments.enter(Transport::Sse, of("eve")).unwrap();
        assert!(attachments.behind(&signals, None).is_empty());
    }

    #[test]
    fn numbers_of_places_that_nobody_has_are_past_the_end() {
        let attachments = nobody_yet();
        let _one = attachments.enter(Transport::Sse, of("bob")).unwrap();
        for number in [u64::MAX, 16 << 32, u64::MAX - 1] {
            assert_eq!(attachments.list(number, None), (Vec::new(), None));
        }
    }
}
