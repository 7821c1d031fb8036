//! Who is attached: every WebSocket, SSE stream and long poll that waits, counted, bounded, kept alive and ended from here.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use slab::Slab;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::bus::{Beats, PublicId, Signal, UserName};
use crate::code::{Code, End};
use crate::config::Timeouts;
use crate::limits::{Account, AttachmentPlace, Counted, Limits, Refused};
use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::transport::Transport;

/// All attachments of a gateway.
#[derive(Debug)]
pub struct Attachments {
    table: Mutex<Table>,
    limits: Arc<Limits>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Table {
    slots: [Slab<Attached>; SLOTS],
    /// The slot whose heartbeat was last. Newcomers join it, because it is the one with the longest time ahead.
    slot: usize,
    count: usize,
    /// When attachments end by themselves, in seconds since 1970, the next one first.
    ends: BTreeSet<(u64, Place)>,
    /// Set when the gateway goes down: newcomers are turned away, with a delay up to this.
    draining: Option<Duration>,
}

#[derive(Debug)]
struct Attached {
    signal: Arc<Signal>,
    transport: Transport,
    holder: Holder,
}

/// Who holds a place, and until when.
#[derive(Debug, Clone, Default)]
pub struct Holder {
    /// Who; nobody in particular if absent.
    pub user: Option<UserName>,
    /// What everybody may see of the session, if it has an id.
    pub public_id: Option<PublicId>,
    /// The `jti` of the token.
    pub token_id: Option<Arc<str>>,
    /// When the attachment ends with its token, in seconds since 1970.
    pub ends_at_s: Option<u64>,
    /// On whose account it is counted.
    pub account: Account,
}

/// Whose attachments an administrator ends.
#[derive(Debug, Clone, Copy)]
pub enum Whom<'a> {
    /// A user's.
    User(&'a UserName),
    /// A session's, by its public id.
    Session(&'a str),
    /// Those of a token, by its `jti`.
    Token(&'a str),
}

/// A place among the attachments, given back when it is dropped.
#[derive(Debug)]
pub struct Attachment {
    attachments: Arc<Attachments>,
    transport: Transport,
    signal: Arc<Signal>,
    place: Place,
    /// Held for its drop: a place in the counts of its address and its user.
    _counted: AttachmentPlace,
    code: Code,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    slot: usize,
    key: usize,
}

/// A heartbeat has so many ticks, and each tick serves its share of the attachments.
const SLOTS: usize = 16;
/// The runtime's timers are no finer.
const TICK_MIN: Duration = Duration::from_millis(1);
/// How many attachments are looked at under one lock.
const LOOKED_AT_MAX: usize = 1024;
/// Between two looks for tokens that have run out.
const ENDS_LOOK: Duration = Duration::from_secs(1);
/// How often a batch is ended when the gateway goes down.
const DRAIN_TICK: Duration = Duration::from_millis(100);
/// The least that a batch ends.
const DRAIN_BATCH_MIN: usize = 100;

impl Attachments {
    /// No attachments yet.
    pub fn new(limits: Arc<Limits>, metrics: Arc<Metrics>) -> Self {
        Self {
            table: Mutex::default(),
            limits,
            metrics,
        }
    }

    /// Takes a place on somebody's account.
    ///
    /// # Errors
    /// `shutdown` while the gateway goes down, `rate_limited` if its address attached too often, `overloaded` at a limit:
    /// all with a delay.
    pub fn enter(
        self: &Arc<Self>,
        transport: Transport,
        holder: Holder,
    ) -> Result<Attachment, Problem> {
        self.table.lock().check_draining()?;
        let counted = self.limits.attach(holder.account.clone())?;
        let attachments_max = self.limits.attachments_max();
        let signal = Arc::new(Signal::default());
        let mut table = self.table.lock();
        table.check_draining()?;
        if table.count >= attachments_max {
            drop(table);
            return Err(Refused::Full(Counted::All).into());
        }
        let place = table.insert(Attached {
            signal: Arc::clone(&signal),
            transport,
            holder,
        });
        drop(table);
        let metrics = self.metrics.transport(transport);
        metrics.attachments.inc();
        metrics.attachments_total.inc();
        tracing::debug!(transport = transport.as_str(), ?place, "attached");
        Ok(Attachment {
            attachments: Arc::clone(self),
            transport,
            signal,
            place,
            _counted: counted,
            code: Code::Normal,
        })
    }

    /// Keeps WebSockets and event streams alive, without an end: one timer for all of them. A ping comes at least every
    /// `heartbeat_s`, and the check of its answer at least `pong_s` later.
    ///
    /// Whose token has run out is ended from here, too.
    pub async fn keep_alive(&self, timeouts: &Timeouts) {
        tokio::join!(self.beat_on(timeouts), self.end_with_tokens());
    }

    /// Ends attachments with their tokens, a second late at most. Between two looks there is no timer.
    async fn end_with_tokens(&self) {
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

    /// Ends the attachments of a user, a session or a token, and says how many there were.
    pub fn end(&self, whom: Whom, end: &End) -> usize {
        let signals: Vec<Arc<Signal>> = {
            let table = self.table.lock();
            let all = table.slots.iter().flatten();
            all.filter(|(_, attached)| whom.is(&attached.holder))
                .map(|(_, attached)| Arc::clone(&attached.signal))
                .collect()
        };
        // Who is on the way out already does not count.
        let ended = signals.iter().filter(|signal| signal.end(end.clone()));
        ended.count()
    }

    async fn beat_on(&self, timeouts: &Timeouts) {
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

    /// The number of attachments.
    pub fn len(&self) -> usize {
        self.table.lock().count
    }

    /// True if nobody is attached.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Table {
    /// Turns newcomers away while the gateway goes down.
    fn check_draining(&self) -> Result<(), Problem> {
        match self.draining {
            Some(spread) => Err(End::jittered(Code::Shutdown, spread).into()),
            None => Ok(()),
        }
    }

    fn insert(&mut self, attached: Attached) -> Place {
        self.count += 1;
        let slot = self.slot;
        let ends_at_s = attached.holder.ends_at_s;
        let key = self.slots[slot].insert(attached);
        let place = Place { slot, key };
        self.ends.extend(ends_at_s.map(|end| (end, place)));
        place
    }

    fn remove(&mut self, place: Place) {
        self.count -= 1;
        let slot = &mut self.slots[place.slot];
        let attached = slot.remove(place.key);
        if let Some(end) = attached.holder.ends_at_s {
            self.ends.remove(&(end, place));
        }
        if slot.is_empty() {
            // A crowd that left must not leave its places behind.
            slot.shrink_to_fit();
        }
    }
}

impl Whom<'_> {
    fn is(self, holder: &Holder) -> bool {
        match self {
            Self::User(user) => holder.user.as_ref() == Some(user),
            Self::Session(id) => holder.public_id.as_ref().map(PublicId::as_str) == Some(id),
            Self::Token(id) => holder.token_id.as_deref() == Some(id),
        }
    }
}

/// What a client is told whose token has run out.
fn token_expired() -> End {
    End {
        message: Some("the token has run out (exp): come back with a new one".into()),
        ..End::from(Code::TokenExpired)
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

impl Attachment {
    /// The signal that wakes and ends this attachment's session.
    pub fn signal(&self) -> &Arc<Signal> {
        &self.signal
    }

    /// Goes on with a new token.
    pub fn renew(&self, token_id: Option<Arc<str>>, ends_at_s: Option<u64>) {
        let mut table = self.attachments.table.lock();
        let table = &mut *table;
        // The place is ours until we are dropped.
        if let Some(attached) = table.slots[self.place.slot].get_mut(self.place.key) {
            if let Some(end) = attached.holder.ends_at_s {
                table.ends.remove(&(end, self.place));
            }
            attached.holder.token_id = token_id;
            attached.holder.ends_at_s = ends_at_s;
            table.ends.extend(ends_at_s.map(|end| (end, self.place)));
        }
    }

    /// Notes the way out, for the count of endings. `normal` is assumed.
    pub fn ended(&mut self, code: Code) {
        self.code = code;
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.attachments.table.lock().remove(self.place);
        self.attachments
            .metrics
            .transport(self.transport)
            .attachments
            .dec();
        self.attachments
            .metrics
            .count_end(self.transport, self.code);
        let (transport, code) = (self.transport.as_str(), self.code.as_str());
        tracing::debug!(transport, place = ?self.place, code, "detached");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::Marks;
    use crate::config::{Config, Seconds};
    use tokio::time::{Instant, sleep};

    const HEARTBEAT: Duration = Duration::from_secs(32);
    const PONG: Duration = Duration::from_secs(10);

    fn nobody_yet() -> Arc<Attachments> {
        let limits = Arc::new(Limits::new(&Config::default()));
        Arc::new(Attachments::new(limits, Arc::default()))
    }

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
                .enter(Transport::WebSocket, Holder::default())
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
                .enter(Transport::WebSocket, Holder::default())
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
        let stream = attachments
            .enter(Transport::Sse, Holder::default())
            .unwrap();
        let poll = attachments
            .enter(Transport::LongPoll, Holder::default())
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

    fn until(ends_at_s: u64) -> Holder {
        Holder {
            user: UserName::parse("bob").ok(),
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

    #[tokio::test(start_paused = true)]
    async fn an_administrator_ends_those_of_one_user() {
        let attachments = nobody_yet();
        let bob = attachments.enter(Transport::Sse, until(9)).unwrap();
        let other = attachments
            .enter(Transport::Sse, Holder::default())
            .unwrap();
        let user = UserName::parse("bob").unwrap();
        let end = End::from(Code::Disconnected);
        assert_eq!(attachments.end(Whom::User(&user), &end), 1);
        assert_eq!(attachments.end(Whom::Session(""), &end), 0);
        assert!(bob.signal.take(&mut Marks::default()).is_err());
        assert!(other.signal.take(&mut Marks::default()).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn going_down_takes_its_time_with_a_crowd_and_none_with_a_few() {
        let attachments = attachments();
        let enter = || {
            attachments
                .enter(Transport::Sse, Holder::default())
                .unwrap()
        };
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

    #[tokio::test(start_paused = true)]
    async fn everybody_in_a_slot_is_served_and_places_are_given_back() {
        let attachments = attachments();
        let mut crowd: Vec<_> = (0..3 * LOOKED_AT_MAX)
            .map(|_| {
                attachments
                    .enter(Transport::Sse, Holder::default())
                    .unwrap()
            })
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
