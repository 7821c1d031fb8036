//! Going down: newcomers are turned away, and who is attached is told in batches.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::interval;

use super::Attachments;
use crate::bus::Signal;
use crate::code::{Code, End};

/// How often a batch is ended when the gateway goes down.
const DRAIN_TICK: Duration = Duration::from_millis(100);
/// The least that a batch ends.
const DRAIN_BATCH_MIN: usize = 100;

impl Attachments {
    /// Turns newcomers away from now on, each with its own delay up to this.
    pub fn close(&self, spread: Duration) {
        self.table.lock().draining = Some(spread);
    }

    /// Ends all attachments with `shutdown`, each with its own delay, in batches over this time: a crowd that is told all at
    /// once comes back all at once, and its farewells stand in each other's way. Few are told at once.
    pub async fn drain(&self, over: Duration, spread: Duration) {
        let signals = self.signals();
        let batches = over.div_duration_f64(DRAIN_TICK).max(1.0);
        let batch = ((signals.len() as f64 / batches).ceil() as usize).max(DRAIN_BATCH_MIN);
        let mut ticks = interval(DRAIN_TICK);
        for batch in signals.chunks(batch) {
            ticks.tick().await;
            for signal in batch {
                signal.end(End::jittered(Code::Shutdown, spread));
            }
        }
    }

    fn signals(&self) -> Vec<Arc<Signal>> {
        let table = self.table.lock();
        let all = table.slots.iter().flatten();
        all.map(|(_, attached)| Arc::clone(&attached.signal))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attachments::tests::nobody_yet;
    use crate::attachments::{Attachment, Holder};
    use crate::bus::Marks;
    use crate::transport::Transport;
    use tokio::time::{Instant, sleep};

    #[tokio::test(start_paused = true)]
    async fn going_down_takes_its_time_with_a_crowd_and_none_with_a_few() {
        let attachments = nobody_yet();
        let enter = || attachments.enter(Transport::Sse, Holder::nobody()).unwrap();
        let has_ended =
            |attachment: &Attachment| attachment.signal.take(&mut Marks::default()).is_err();
        let crowd: Vec<_> = (0..5000).map(|_| enter()).collect();
        let (over, begin) = (Duration::from_secs(5), Instant::now());
        let draining = Arc::clone(&attachments);
        let drain = tokio::spawn(async move { draining.drain(over, Duration::ZERO).await });
        sleep(over / 2).await;
        let half = crowd.iter().filter(|one| has_ended(one)).count();
        assert!((2000..3200).contains(&half), "{half}");
        drain.await.unwrap();
        assert!(crowd.iter().all(has_ended) && begin.elapsed() <= over);
        drop(crowd);

        let (few, begin) = ([enter(), enter()], Instant::now());
        attachments.drain(over, Duration::ZERO).await;
        assert!(few.iter().all(has_ended) && begin.elapsed() < DRAIN_TICK);
    }
}
