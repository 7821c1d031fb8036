//! What was published, and what came of it: every arrival is checked against what was sent, and timed from the moment at
//! which it should have been sent.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::payload::Payloads;
use crate::results::Deliveries;
use crate::text::counted;

/// Digits of a latency in microseconds that are kept: exact up to 0.2 s.
const DIGITS: u8 = 5;

/// The book of one run, shared by the publisher and all clients.
#[derive(Debug)]
pub struct Ledger {
    payloads: Payloads,
    inner: Mutex<Inner>,
    all_arrived: Notify,
}

#[derive(Debug)]
struct Inner {
    sent: Vec<Sent>,
    readers: Vec<Reader>,
    latency_us: Histogram<u64>,
    deliveries: Deliveries,
    /// First arrivals, those of the warm-up included.
    arrivals: u64,
    /// Messages that have yet to come, over all readers.
    missing: u64,
    failures: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    intended: Instant,
    counts: bool,
}

/// What one client has seen.
#[derive(Debug, Clone, Default)]
struct Reader {
    seen: Vec<bool>,
    newest: Option<u32>,
}

/// What a run delivered.
#[derive(Debug, Serialize, Deserialize)]
pub struct Delivered {
    /// The messages that count.
    pub deliveries: Deliveries,
    /// How long they took, in microseconds.
    #[serde(with = "counts")]
    pub latency_us: Histogram<u64>,
    /// What clients said when they failed.
    pub failures: Vec<String>,
}

/// A histogram as pairs of a value and how often it came.
mod counts {
    use hdrhistogram::Histogram;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(
        histogram: &Histogram<u64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let recorded = histogram.iter_recorded();
        serializer
            .collect_seq(recorded.map(|value| (value.value_iterated_to(), value.count_at_value())))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Histogram<u64>, D::Error> {
        let mut histogram = Histogram::new(super::DIGITS).map_err(de::Error::custom)?;
        for (value, count) in Vec::<(u64, u64)>::deserialize(deserializer)? {
            histogram
                .record_n(value, count)
                .map_err(de::Error::custom)?;
        }
        Ok(histogram)
    }
}

impl Ledger {
    /// An empty book for so many clients.
    pub fn new(payloads: Payloads, readers: usize) -> Self {
        let inner = Inner {
            sent: Vec::new(),
            readers: vec![Reader::default(); readers],
            // Fails for more than 5 digits only.
            latency_us: Histogram::new(DIGITS).expect("a histogram may have 5 digits"),
            deliveries: Deliveries::default(),
            arrivals: 0,
            missing: 0,
            failures: Vec::new(),
        };
        Self {
            payloads,
            inner: Mutex::new(inner),
            all_arrived: Notify::new(),
        }
    }

    /// The next message: what to send. `intended` is when it should go out, and `counts` is false in the warm-up.
    pub fn publish(&self, intended: Instant, counts: bool) -> Bytes {
        let mut inner = self.inner();
        let number = inner.sent.len() as u32;
        let readers = inner.readers.len() as u64;
        inner.sent.push(Sent { intended, counts });
        inner.missing += readers;
        if counts {
            inner.deliveries.expected += readers;
        }
        drop(inner);
        self.payloads.make(number)
    }

    /// A payload arrived at a client. Returns whether it was whole and new.
    pub fn arrive(&self, reader: usize, at: Instant, payload: &[u8]) -> bool {
        let number = self.payloads.number(payload);
        let mut inner = self.inner();
        let is_new = inner.arrive(reader, at, number);
        let is_last = inner.missing == 0;
        drop(inner);
        if is_last {
            self.all_arrived.notify_waiters();
        }
        is_new
    }

    /// A client failed: it will receive no more.
    pub fn fail(&self, what: String) {
        /// So many are enough to see why.
        const KEPT: usize = 5;
        let mut inner = self.inner();
        if inner.failures.len() < KEPT {
            inner.failures.push(what);
        }
    }

    /// First arrivals so far, the warm-up included.
    pub fn arrivals(&self) -> u64 {
        self.inner().arrivals
    }

    /// Waits until everything that was published has come, but no longer than `most`. Cancel safe.
    pub async fn all_arrived(&self, most: Duration) {
        let waiting = async {
            loop {
                let notified = self.all_arrived.notified();
                if self.inner().missing == 0 {
                    return;
                }
                notified.await;
            }
        };
        // What has not come by then is lost, which the figures say.
        let _ = tokio::time::timeout(most, waiting).await;
    }

    /// Closes the book: what has not come is lost. What is lost of the warm-up counts as a client that failed.
    pub fn close(&self) -> Delivered {
        let mut inner = self.inner();
        let lost = inner.deliveries.expected - inner.deliveries.delivered;
        inner.deliveries.lost = lost;
        let mut failures = inner.failures.clone();
        if inner.missing > lost {
            let of_warm_up = inner.missing - lost;
            failures.push(format!(
                "{} of the warm-up never came",
                counted(of_warm_up as usize, "message")
            ));
        }
        Delivered {
            deliveries: inner.deliveries,
            latency_us: inner.latency_us.clone(),
            failures,
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing in between can panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn arrive(&mut self, reader: usize, at: Instant, number: Option<u32>) -> bool {
        let sent = number.and_then(|number| Some((number, *self.sent.get(number as usize)?)));
        let Some((number, sent)) = sent else {
            self.deliveries.corrupted += 1;
            return false;
        };
        let seen = &mut self.readers[reader];
        if !seen.see(number) {
            self.deliveries.repeated += 1;
            return false;
        }
        self.deliveries.out_of_order +=
            u64::from(seen.newest.is_some_and(|newest| newest > number));
        seen.newest = seen.newest.max(Some(number));
        self.arrivals += 1;
        self.missing -= 1;
        if sent.counts {
            self.deliveries.delivered += 1;
            let latency = at.saturating_duration_since(sent.intended);
            // The histogram grows by itself, so it takes any value.
            let _ = self.latency_us.record(latency.as_micros() as u64);
        }
        true
    }
}

impl Reader {
    /// True if this number is new.
    fn see(&mut self, number: u32) -> bool {
        let at = number as usize;
        if at >= self.seen.len() {
            self.seen.resize(at + 1, false);
        }
        !std::mem::replace(&mut self.seen[at], true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_wrong_is_counted_by_what_it_is() {
        let ledger = Ledger::new(Payloads::new(40, 1), 2);
        let start = Instant::now();
        let sent: Vec<_> = (0..4).map(|_| ledger.publish(start, true)).collect();
        let later = start + Duration::from_millis(3);
        for payload in [&sent[0], &sent[2], &sent[1], &sent[2]] {
            ledger.arrive(0, later, payload);
        }
        ledger.arrive(1, later, b"\"rubbish\"");
        let delivered = ledger.close();
        let expected = Deliveries {
            expected: 8,
            delivered: 3,
            lost: 5,
            repeated: 1,
            out_of_order: 1,
            corrupted: 1,
        };
        assert_eq!(delivered.deliveries, expected);
        assert_eq!(delivered.latency_us.max(), 3000);
    }

    #[test]
    fn a_number_that_was_never_sent_is_corrupted() {
        let ledger = Ledger::new(Payloads::new(40, 1), 1);
        ledger.arrive(0, Instant::now(), &Payloads::new(40, 1).make(9));
        assert_eq!(ledger.close().deliveries.corrupted, 1);
    }

    #[test]
    fn what_is_lost_in_the_warm_up_is_told_and_is_none_of_those_that_count() {
        let ledger = Ledger::new(Payloads::new(40, 1), 2);
        let (early, start) = (ledger.publish(Instant::now(), false), Instant::now());
        let counted = ledger.publish(start, true);
        ledger.arrive(0, start, &early);
        for reader in 0..2 {
            ledger.arrive(reader, start, &counted);
        }
        let closed = ledger.close();
        assert_eq!(
            (closed.deliveries.delivered, closed.deliveries.lost),
            (2, 0)
        );
        assert_eq!(closed.failures, ["1 message of the warm-up never came"]);
    }

    #[test]
    fn the_warm_up_is_checked_and_not_counted() {
        let ledger = Ledger::new(Payloads::new(40, 1), 1);
        let payload = ledger.publish(Instant::now(), false);
        ledger.arrive(0, Instant::now(), &payload);
        ledger.arrive(0, Instant::now(), &payload);
        let delivered = ledger.close().deliveries;
        assert_eq!(
            (delivered.expected, delivered.delivered, delivered.repeated),
            (0, 0, 1)
        );
        assert_eq!(ledger.arrivals(), 1);
    }
}
