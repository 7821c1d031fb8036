//! The fence of sessions: of the attachments of one session only the newest is served, and it begins when the older one is at
//! its end.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::table::{Place, Table};
use super::{Attachment, Attachments, Holder};
use crate::bus::{PublicId, Signal};
use crate::code::{Code, End};

/// How long a newer attachment waits for the older one to take its end. The reader of an event stream that takes nothing does
/// not hear of it, and the newer one must not wait for that.
const GONE_WITHIN: Duration = Duration::from_millis(200);
/// A map that is smaller than this is never worth shrinking.
const SHRINK_FROM: usize = 1024;

/// Which attachment each session has. Both maps are bounded by the attachments: an entry goes with its attachment.
#[derive(Debug, Default)]
pub(super) struct Fence {
    /// The newest attachment of each session whose id was brought by its client.
    holders: HashMap<PublicId, Place>,
    /// Those who were superseded and are not at their end yet, each with who waits for that.
    leaving: HashMap<Place, Leaving>,
}

/// Its drop says that an attachment is at its end.
pub(super) type Leaving = oneshot::Sender<Infallible>;

/// The older attachment of a session, which was told to end.
#[derive(Debug)]
pub struct Predecessor(oneshot::Receiver<Infallible>);

impl Fence {
    /// Gives a session to a newer attachment, or to a poll that has no place. Returns the older attachment, if there is one.
    fn take(
        &mut self,
        session: PublicId,
        newer: Option<Place>,
    ) -> Option<(Place, oneshot::Receiver<Infallible>)> {
        // Who was superseded may not know it yet.
        if newer.is_some_and(|newer| self.leaving.contains_key(&newer)) {
            return None;
        }
        let older = match newer {
            Some(newer) => self.holders.insert(session, newer),
            None => self.holders.remove(&session),
        };
        let older = older.filter(|older| Some(*older) != newer)?;
        let (leaving, gone) = oneshot::channel();
        self.leaving.insert(older, leaving);
        Some((older, gone))
    }

    /// True if a session has an attachment.
    pub fn holds(&self, session: &PublicId) -> bool {
        self.holders.contains_key(session)
    }

    /// Notes that an attachment is at its end. Whoever waits for it is told by a drop.
    pub fn left(&mut self, session: PublicId, place: Place) -> Option<Leaving> {
        if let Entry::Occupied(holder) = self.holders.entry(session)
            && *holder.get() == place
        {
            holder.remove();
        }
        let leaving = self.leaving.remove(&place);
        // A crowd that left must not leave its room behind.
        let (room, held) = (self.holders.capacity(), self.holders.len());
        if room > SHRINK_FROM && held < room / 8 {
            self.holders.shrink_to(held * 2);
            self.leaving.shrink_to(held * 2);
        }
        leaving
    }
}

impl Table {
    fn supersede(
        &mut self,
        session: PublicId,
        newer: Option<Place>,
    ) -> Option<(Arc<Signal>, Predecessor)> {
        let (older, gone) = self.fence.take(session, newer)?;
        let signal = Arc::clone(&self.at(older)?.signal);
        Some((signal, Predecessor(gone)))
    }
}

impl Attachments {
    /// Ends the attachment of a session whose client polls without a place of its own. Returns the one that was ended.
    pub fn supersede(&self, holder: &Holder) -> Option<Predecessor> {
        let session = holder.fenced()?;
        let older = self.table.lock().supersede(session, None);
        end(older)
    }
}

impl Attachment {
    /// Makes this the newest attachment of its session, and ends the older one. Call it before anything is subscribed, and
    /// wait for the one that is returned to be gone. Whoever calls it last has the session; who was superseded does not get
    /// it back.
    ///
    /// A session whose id was not brought by its client has no other attachment.
    pub fn take_over(&self) -> Option<Predecessor> {
        if !self.is_fenced {
            return None;
        }
        let older = {
            let mut table = self.attachments.table.lock();
            // The place is ours until we are dropped.
            let session = table.at(self.place)?.holder.fenced()?;
            table.supersede(session, Some(self.place))
        };
        end(older)
    }
}

fn end(older: Option<(Arc<Signal>, Predecessor)>) -> Option<Predecessor> {
    let (signal, predecessor) = older?;
    signal.end(End {
        message: Some("a newer attachment of this session took over".into()),
        ..End::from(Code::Superseded)
    });
    Some(predecessor)
}

impl Predecessor {
    /// Waits until the older attachment is sent nothing more but its farewell, and not for long. Boxed, because it is rare,
    /// and its room would be part of every poll that waits.
    pub fn gone(self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            // Ready once the other end is dropped.
            if timeout(GONE_WITHIN, self.0).await.is_err() {
                tracing::debug!("a superseded attachment does not hear that it ended");
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attachments::tests::nobody_yet;
    use crate::bus::{Marks, SessionId, UserName};
    use crate::transport::Transport;
    use tokio::time::{Instant, sleep};

    /// Somebody with a session of this name.
    fn of(session: &str) -> Holder {
        let session = SessionId::parse(&format!("{session:-<16}")).unwrap();
        Holder {
            public_id: Some(PublicId::of(None, &session)),
            brings_session: true,
            ..Holder::nobody()
        }
    }

    fn enter(attachments: &Arc<Attachments>, session: &str) -> Attachment {
        attachments.enter(Transport::Sse, of(session)).unwrap()
    }

    fn code_of(attachment: &Attachment) -> Option<Code> {
        let end = attachment.signal().take(&mut Marks::default()).err();
        end.map(|end| end.code)
    }

    /// How many entries there are.
    fn entries(attachments: &Attachments) -> (usize, usize) {
        let fence = &attachments.table.lock().fence;
        (fence.holders.len(), fence.leaving.len())
    }

    #[tokio::test(start_paused = true)]
    async fn a_newer_attachment_begins_when_the_older_one_took_its_end() {
        let attachments = nobody_yet();
        let (mut older, newer) = (enter(&attachments, "one"), enter(&attachments, "one"));
        assert!(older.take_over().is_none() && older.take_over().is_none());
        let gone = newer.take_over().expect("an older one").gone();
        assert_eq!(code_of(&older), Some(Code::Superseded));
        let begin = Instant::now();
        tokio::spawn(async move {
            sleep(GONE_WITHIN / 2).await;
            older.ended(Code::Superseded);
            sleep(GONE_WITHIN * 10).await;
        });
        gone.await;
        assert_eq!(begin.elapsed(), GONE_WITHIN / 2);
        assert_eq!((code_of(&newer), entries(&attachments)), (None, (1, 0)));
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_hear_its_end_is_waited_for_as_long_as_it_says() {
        let attachments = nobody_yet();
        let (older, newer) = (enter(&attachments, "one"), enter(&attachments, "one"));
        assert!(older.take_over().is_none());
        let begin = Instant::now();
        newer.take_over().expect("an older one").gone().await;
        assert!(begin.elapsed().abs_diff(GONE_WITHIN) <= Duration::from_millis(1));
        drop((older, newer));
        assert_eq!(entries(&attachments), (0, 0));
    }

    #[test]
    fn who_was_superseded_does_not_get_the_session_back() {
        let attachments = nobody_yet();
        let (older, newer) = (enter(&attachments, "one"), enter(&attachments, "one"));
        assert!(older.take_over().is_none() && newer.take_over().is_some());
        assert!(older.take_over().is_none());
        assert_eq!(code_of(&newer), None);
    }

    #[test]
    fn a_poll_ends_the_older_one_and_leaves_nothing_behind() {
        let attachments = nobody_yet();
        let stream = enter(&attachments, "one");
        assert!(attachments.supersede(&of("one")).is_none());
        assert!(stream.take_over().is_none());
        let gone = attachments.supersede(&of("one"));
        assert!(gone.is_some() && attachments.supersede(&of("one")).is_none());
        assert_eq!(code_of(&stream), Some(Code::Superseded));
        drop(stream);
        assert_eq!(entries(&attachments), (0, 0));
    }

    #[test]
    fn sessions_of_others_and_those_that_nobody_brought_are_left_alone() {
        let attachments = nobody_yet();
        let session = SessionId::parse("0123456789abcdef").unwrap();
        let bob = UserName::parse("bob").unwrap();
        let public_id = PublicId::of(Some(&bob), &session);
        let its_public_id = SessionId::parse(public_id.as_str()).unwrap();
        let ids = [
            public_id,
            PublicId::of(None, &session),
            PublicId::of(Some(&bob), &its_public_id),
            PublicId::of(None, &its_public_id),
        ];
        let mut all = Vec::new();
        for (id, brings_session) in ids.iter().flat_map(|id| [(id, true), (id, false)]) {
            let holder = Holder {
                public_id: Some(*id),
                brings_session,
                ..Holder::nobody()
            };
            all.push(attachments.enter(Transport::Sse, holder).unwrap());
        }
        assert!(all.iter().all(|one| one.take_over().is_none()));
        assert!(all.iter().all(|one| code_of(one).is_none()));
    }

    #[test]
    fn of_many_that_take_over_at_once_one_is_left() {
        let attachments = nobody_yet();
        for _ in 0..200 {
            let entered: Vec<_> = (0..4).map(|_| enter(&attachments, "one")).collect();
            std::thread::scope(|scope| {
                for attachment in &entered {
                    scope.spawn(|| {
                        let first = attachment.take_over();
                        drop((first, attachment.take_over()));
                    });
                }
            });
            let left = entered.iter().filter(|one| code_of(one).is_none()).count();
            assert_eq!((left, entries(&attachments)), (1, (1, 3)));
        }
    }
}
