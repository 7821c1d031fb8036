//! The heartbeat of all attachments: one tick tells a share of them what is due.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::table::SLOTS;
use super::{Attachments, LOOKED_AT_MAX};
use crate::bus::{Beats, Signal};
use crate::config::Timeouts;
use crate::transport::Transport;

/// The runtime's timers are no finer.
const TICK_MIN: Duration = Duration::from_millis(1);

impl Attachments {
    pub(super) async fn beat_on(&self, timeouts: &Timeouts) {
        let tick = (timeouts.heartbeat_s.duration() / SLOTS as u32).max(TICK_MIN);
        let answer_ticks = timeouts.pong_s.duration().div_duration_f64(tick).ceil() as usize;
        // Two at least: after a pause of the whole process the first tick comes at once, and answers may lie unread.
        let answer_ticks = answer_ticks.clamp(2, SLOTS);
        let mut ticks = interval(tick);
        // After a pause of the whole process the ticks keep their distance, so that clients have time to answer.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let slot = (self.table.lock().slot + 1) % SLOTS;
            let pinged_then = (slot + SLOTS - answer_ticks) % SLOTS;
            self.beat(pinged_then, Beats::CHECK).await;
            self.beat(slot, Beats::PING).await;
            // Only now, or newcomers would be pinged at once.
            self.table.lock().slot = slot;
        }
    }

    /// Tells a slot what is due.
    async fn beat(&self, slot: usize, beats: Beats) {
        let mut signals = Vec::new();
        let mut from = 0;
        while self.collect(slot, from, beats, &mut signals) {
            signals.drain(..).for_each(|signal| signal.beat(beats));
            from += LOOKED_AT_MAX;
            // Who was woken goes first.
            tokio::task::yield_now().await;
        }
    }

    /// Finds some of those in a slot whom it concerns. False after the last.
    fn collect(
        &self,
        slot: usize,
        from: usize,
        beats: Beats,
        signals: &mut Vec<Arc<Signal>>,
    ) -> bool {
        let table = self.table.lock();
        let attached = &table.slots[slot];
        let until = attached.capacity().min(from + LOOKED_AT_MAX);
        let concerned = (from..until)
            .filter_map(|key| attached.get(key))
            .filter(|attached| concerns(attached.transport, beats))
            .map(|attached| Arc::clone(&attached.signal));
        signals.extend(concerned);
        from < until
    }
}

/// Only WebSockets answer; a long poll ends before it would need a ping.
fn concerns(transport: Transport, beats: Beats) -> bool {
    match transport {
        Transport::WebSocket => true,
        Transport::Sse => beats.ping,
        Transport::LongPoll | Transport::Poll => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attachments::tests::nobody_yet;
    use crate::attachments::{Attachment, Holder};
    use crate::bus::Marks;
    use crate::config::Seconds;
    use tokio::time::{Instant, sleep};

    const HEARTBEAT: Duration = Duration::from_secs(32);
    const PONG: Duration = Duration::from_secs(10);

    fn attachments() -> Arc<Attachments> {
        let attachments = nobody_yet();
        let timeouts = Timeouts {
            heartbeat_s: Seconds::new(32),
            pong_s: Seconds::new(10),
            ..Timeouts::default()
        };
        let kept = Arc::clone(&attachments);
        tokio::spawn(async move { kept.keep_alive(&timeouts).await });
        attachments
    }

    /// What was due until `deadline`, and when.
    async fn heard(attachment: &Attachment, deadline: Duration) -> Vec<(Beats, Duration)> {
        let (begin, mut heard) = (Instant::now(), Vec::new());
        while begin.elapsed() < deadline {
            let beats = attachment.signal.take(&mut Marks::default()).unwrap();
            if beats != Beats::default() {
                heard.push((beats, begin.elapsed()));
            }
            sleep(Duration::from_millis(50)).await;
        }
        heard
    }

    #[tokio::test(start_paused = true)]
    async fn pings_come_in_time_and_checks_not_too_early() {
        let attachments = attachments();
        for entered_ms in [0, 500, 7000, 31_990] {
            sleep(Duration::from_millis(entered_ms)).await;
            let attachment = attachments
                .enter(Transport::WebSocket, Holder::nobody())
                .unwrap();
            let heard = heard(&attachment, 3 * HEARTBEAT).await;
            let pings: Vec<_> = heard.iter().filter(|(beats, _)| beats.ping).collect();
            let checks: Vec<_> = heard.iter().filter(|(beats, _)| beats.check).collect();
            assert!(pings.len() >= 2, "{heard:?}");
            let first = pings[0].1;
            assert!(first > PONG && first < HEARTBEAT * 21 / 20, "{heard:?}");
            let answer_within = checks.iter().find(|check| check.1 > first).unwrap().1 - first;
            assert!(
                answer_within >= PONG && answer_within <= PONG + HEARTBEAT / 8,
                "{heard:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_during_a_tick_is_not_pinged_at_once() {
        let attachments = nobody_yet();
        let enter = || {
            attachments
                .enter(Transport::WebSocket, Holder::nobody())
                .unwrap()
        };
        // The first check looks at these, and rests between them.
        let timeouts = Timeouts {
            heartbeat_s: Seconds::new(3600),
            ..Timeouts::default()
        };
        let _others: Vec<_> = (0..5 * LOOKED_AT_MAX).map(|_| enter()).collect();
        let kept = Arc::clone(&attachments);
        tokio::spawn(async move { kept.keep_alive(&timeouts).await });
        let mut newcomers = Vec::new();
        for _ in 0..20 {
            tokio::task::yield_now().await;
            newcomers.push(enter());
        }
        for newcomer in newcomers {
            let beats = newcomer.signal.take(&mut Marks::default()).unwrap();
            // A check without a ping before it means nothing.
            assert!(!beats.ping);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_stream_is_pinged_and_a_long_poll_is_let_be() {
        let attachments = attachments();
        let stream = attachments.enter(Transport::Sse, Holder::nobody()).unwrap();
        let poll = attachments
            .enter(Transport::LongPoll, Holder::nobody())
            .unwrap();
        let heard_by_stream = heard(&stream, 2 * HEARTBEAT).await;
        assert!(!heard_by_stream.is_empty());
        assert!(
            heard_by_stream
                .iter()
                .all(|(beats, _)| *beats == Beats::PING)
        );
        assert_eq!(heard(&poll, 2 * HEARTBEAT).await, []);
    }

    #[tokio::test(start_paused = true)]
    async fn everybody_in_a_slot_is_served_and_places_are_given_back() {
        let attachments = attachments();
        let mut crowd: Vec<_> = (0..3 * LOOKED_AT_MAX)
            .map(|_| attachments.enter(Transport::Sse, Holder::nobody()).unwrap())
            .collect();
        // Holes in the table are skipped, and stop nothing.
        crowd.drain(10..2 * LOOKED_AT_MAX);
        sleep(2 * HEARTBEAT).await;
        for attachment in &crowd {
            let beats = attachment.signal.take(&mut Marks::default()).unwrap();
            assert_eq!(beats, Beats::PING);
        }
        assert_eq!(attachments.len(), crowd.len());
        drop(crowd);
        assert!(attachments.is_empty());
    }
}
