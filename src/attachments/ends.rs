//! Ends that come by themselves: an attachment ends with its token, and by its age.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::sleep;

use super::table::Place;
use super::{Attachments, LOOKED_AT_MAX};
use crate::bus::Signal;
use crate::code::{Code, End};

/// Between two looks for those whose time has come.
const ENDS_LOOK: Duration = Duration::from_secs(1);
/// The least share of the greatest age that an attachment gets.
const AGE_SHARE_MIN: f64 = 0.75;
/// Within how long those come back that ended by their age, each after its own delay. They end one by one, so it is short.
const RETIRED_SPREAD: Duration = Duration::from_secs(1);

/// When attachments end, in seconds of some clock, the next one first. Who has no end costs nothing.
#[derive(Debug, Default)]
pub(super) struct Ends(BTreeSet<(u64, Place)>);

/// Why an attachment ends by itself.
#[derive(Debug, Clone, Copy)]
enum Why {
    TokenExpired,
    Retired,
}

/// What the two clocks say that ends are counted by.
#[derive(Debug, Clone, Copy)]
struct Now {
    /// For tokens: seconds since 1970.
    unix_s: u64,
    /// For ages: seconds since the start. A clock that is set ends nobody.
    age_s: u64,
}

impl Ends {
    /// Notes an end, if there is one.
    pub fn add(&mut self, at_s: Option<u64>, place: Place) {
        self.0.extend(at_s.map(|at_s| (at_s, place)));
    }

    /// Forgets an end. It may have been taken already.
    pub fn remove(&mut self, at_s: Option<u64>, place: Place) {
        if let Some(at_s) = at_s {
            self.0.remove(&(at_s, place));
        }
    }

    /// Takes one of the ends that have come.
    fn take(&mut self, now_s: u64) -> Option<Place> {
        self.0.first().filter(|(at_s, _)| *at_s <= now_s)?;
        self.0.pop_first().map(|(_, place)| place)
    }
}

impl Attachments {
    /// Ends attachments with their tokens and by their age, two seconds late at most. Between two looks there is no timer.
    pub(super) async fn end_in_time(&self) {
        loop {
            sleep(ENDS_LOOK).await;
            let now = self.now();
            loop {
                let due = self.take_due(now);
                if due.is_empty() {
                    break;
                }
                for (signal, why) in due {
                    signal.end(why.end());
                }
                tokio::task::yield_now().await;
            }
        }
    }

    /// When a newcomer ends by its age: drawn anew for each, so that a crowd that came together does not leave together.
    pub(super) fn draw_retirement(&self, age_max: Duration) -> Option<NonZeroU32> {
        let share = AGE_SHARE_MIN + (1.0 - AGE_SHARE_MIN) * fastrand::f64();
        let at = self.started.elapsed() + age_max.mul_f64(share);
        let at_s = u32::try_from(at.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
        NonZeroU32::new(at_s)
    }

    /// Some of those whose time has come, each with the reason. Nobody is returned twice for one reason.
    fn take_due(&self, now: Now) -> Vec<(Arc<Signal>, Why)> {
        let table = &mut *self.table.lock();
        let mut due = Vec::new();
        while due.len() < LOOKED_AT_MAX {
            if let Some(place) = table.token_ends.take(now.unix_s) {
                due.push((place, Why::TokenExpired));
            } else if let Some(place) = table.age_ends.take(now.age_s) {
                due.push((place, Why::Retired));
            } else {
                break;
            }
        }
        let there = due.into_iter().filter_map(|(place, why)| {
            let attached = table.at(place)?;
            Some((Arc::clone(&attached.signal), why))
        });
        there.collect()
    }

    fn now(&self) -> Now {
        // A clock before 1970 ends nobody.
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Now {
            unix_s: since.map_or(0, |since| since.as_secs()),
            age_s: self.started.elapsed().as_secs(),
        }
    }
}

impl Why {
    /// What the client is told.
    fn end(self) -> End {
        let (end, message) = match self {
            Self::TokenExpired => (
                End::from(Code::TokenExpired),
                "the token has run out (exp): come back with a new one",
            ),
            Self::Retired => (
                End::jittered(Code::Shutdown, RETIRED_SPREAD),
                "attached for as long as may be (attachment.age_s_max): come back from your cursor",
            ),
        };
        End {
            message: Some(message.into()),
            ..end
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attachments::tests::{aged, nobody_yet};
    use crate::attachments::{Attachment, Holder};
    use crate::bus::Marks;
    use crate::config::Timeouts;
    use crate::transport::Transport;
    use tokio::time::Instant;

    fn until(ends_at_s: u64) -> Holder {
        Holder {
            ends_at_s: Some(ends_at_s),
            ..Holder::nobody()
        }
    }

    fn at(unix_s: u64) -> Now {
        Now { unix_s, age_s: 0 }
    }

    #[tokio::test(start_paused = true)]
    async fn an_attachment_ends_with_its_token_and_not_before() {
        let attachments = nobody_yet();
        let enter = |end| attachments.enter(Transport::Sse, until(end)).unwrap();
        let (early, late, renewed) = (enter(100), enter(200), enter(100));
        renewed.renew(None, Some(201), None);
        drop(enter(50));
        assert_eq!(attachments.take_due(at(99)).len(), 0);
        let ended = attachments.take_due(at(100));
        assert!(ended.len() == 1 && Arc::ptr_eq(&ended[0].0, early.signal()));
        assert_eq!(attachments.take_due(at(100)).len(), 0);
        assert_eq!(attachments.take_due(at(200)).len(), 1);
        drop((early, late, renewed));
        assert!(attachments.table.lock().token_ends.0.is_empty());
    }

    /// How an attachment ended, if it did.
    fn end_of(attachment: &Attachment) -> Option<End> {
        attachment.signal().take(&mut Marks::default()).err()
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_that_came_together_leaves_over_a_quarter_of_its_age() {
        const AGE_S: u64 = 1000;
        let attachments = aged(AGE_S);
        let enter = || attachments.enter(Transport::Sse, Holder::nobody()).unwrap();
        let crowd: Vec<_> = (0..3 * LOOKED_AT_MAX).map(|_| enter()).collect();
        let kept = Arc::clone(&attachments);
        tokio::spawn(async move { kept.keep_alive(&Timeouts::default()).await });
        let begin = Instant::now();
        let gone_after = async |seconds| {
            tokio::time::sleep_until(begin + Duration::from_secs(seconds)).await;
            crowd.iter().filter(|one| end_of(one).is_some()).count()
        };
        assert_eq!(gone_after(AGE_S * 3 / 4 - 1).await, 0);
        for share in 1..5 {
            let gone = gone_after(AGE_S * 3 / 4 + share * AGE_S / 20).await;
            let expected = crowd.len() * share as usize / 5;
            assert!(
                gone.abs_diff(expected) < crowd.len() / 10,
                "{share}: {gone}"
            );
        }
        assert_eq!(gone_after(AGE_S + 2).await, crowd.len());
        let end = end_of(&crowd[0]).unwrap();
        let after = end.retry_after.unwrap();
        assert!(end.code == Code::Shutdown && after < Duration::from_secs(2));
        drop(crowd);
        assert!(attachments.table.lock().age_ends.0.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_neither_token_nor_age_has_no_end() {
        let attachments = nobody_yet();
        let one = attachments.enter(Transport::Sse, Holder::nobody()).unwrap();
        let table = attachments.table.lock();
        assert!(table.token_ends.0.is_empty() && table.age_ends.0.is_empty());
        drop(table);
        drop(one);
    }
}
