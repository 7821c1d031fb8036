//! Ends that come by themselves: an attachment ends with its token.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::sleep;

use super::{Attachments, LOOKED_AT_MAX};
use crate::bus::Signal;
use crate::code::{Code, End};

/// Between two looks for tokens that have run out.
const ENDS_LOOK: Duration = Duration::from_secs(1);

impl Attachments {
    /// Ends attachments with their tokens, a second late at most. Between two looks there is no timer.
    pub(super) async fn end_with_tokens(&self) {
        loop {
            sleep(ENDS_LOOK).await;
            // A clock before 1970 ends nobody.
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            let now_s = since.map_or(0, |since| since.as_secs());
            loop {
                let ended = self.take_ended(now_s);
                if ended.is_empty() {
                    break;
                }
                for signal in ended {
                    signal.end(token_expired());
                }
                tokio::task::yield_now().await;
            }
        }
    }

    /// Some of those whose token has run out, each of them once.
    fn take_ended(&self, now_s: u64) -> Vec<Arc<Signal>> {
        let mut table = self.table.lock();
        let mut signals = Vec::new();
        while signals.len() < LOOKED_AT_MAX
            && table.ends.first().is_some_and(|(end, _)| *end <= now_s)
        {
            let Some((_, place)) = table.ends.pop_first() else {
                break;
            };
            let attached = table.slots[place.slot].get(place.key);
            signals.extend(attached.map(|attached| Arc::clone(&attached.signal)));
        }
        signals
    }
}

/// What a client is told whose token has run out.
fn token_expired() -> End {
    End {
        message: Some("the token has run out (exp): come back with a new one".into()),
        ..End::from(Code::TokenExpired)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attachments::Holder;
    use crate::attachments::tests::nobody_yet;
    use crate::transport::Transport;

    fn until(ends_at_s: u64) -> Holder {
        Holder {
            ends_at_s: Some(ends_at_s),
            ..Holder::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_attachment_ends_with_its_token_and_not_before() {
        let attachments = nobody_yet();
        let enter = |end| attachments.enter(Transport::Sse, until(end)).unwrap();
        let (early, late, renewed) = (enter(100), enter(200), enter(100));
        renewed.renew(None, Some(201));
        drop(enter(50));
        assert_eq!(attachments.take_ended(99).len(), 0);
        let ended = attachments.take_ended(100);
        assert!(ended.len() == 1 && Arc::ptr_eq(&ended[0], early.signal()));
        assert_eq!(attachments.take_ended(100).len(), 0);
        assert_eq!(attachments.take_ended(200).len(), 1);
        drop((early, late, renewed));
        assert!(attachments.table.lock().ends.is_empty());
    }
}
