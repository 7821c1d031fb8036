use std::time::Duration;

use super::*;
use crate::bus::publication::{Key, Payload};

const KEEP: Retention = Retention {
    count_max: 3,
    bytes_max: 1 << 20,
    age_max: Duration::from_secs(300),
    keys_max: 2,
    key_age_max: Duration::from_secs(60),
};

struct Bench {
    log: Log,
    now: Instant,
}

impl Bench {
    fn new(keep: Retention) -> Self {
        Self {
            log: Log::new(Epoch::parse("k").unwrap(), Arc::new(keep)),
            now: Instant::now(),
        }
    }

    fn append(&mut self, text: &str, key: Option<&str>) -> Appended {
        let payload = Payload::Json(format!("\"{text}\"").into());
        let key = key.map(|id| Key {
            id: id.into(),
            digest: [text.len() as u8; 32],
        });
        let draft = Draft {
            from: None,
            payload,
            key,
        };
        let moment = Moment {
            instant: self.now,
            unix_ms: 0,
        };
        self.log
            .append(&ChannelName::parse("a").unwrap(), &draft, moment)
    }

    fn offsets(&self) -> Vec<u64> {
        self.log
            .after(self.log.tail().offset)
            .map(|publication| publication.offset)
            .collect()
    }

    fn check(&self, epoch: &str, offset: u64) -> Result<(), (GapReason, u64, Option<u64>)> {
        let position = Position {
            epoch: Epoch::parse(epoch).unwrap(),
            offset,
        };
        self.log
            .check(position)
            .map_err(|lost| (lost.reason, lost.resume.offset, lost.count))
    }
}

fn new(offset: u64) -> Appended {
    Appended::New(Position {
        epoch: Epoch::parse("k").unwrap(),
        offset,
    })
}

fn repeat(offset: u64) -> Appended {
    Appended::Repeat(Position {
        epoch: Epoch::parse("k").unwrap(),
        offset,
    })
}

#[test]
fn the_first_message_has_offset_1_and_the_ring_keeps_its_count() {
    let mut bench = Bench::new(KEEP);
    for offset in 1..=3 {
        assert_eq!(bench.append("x", None), new(offset));
    }
    assert_eq!(bench.offsets(), [1, 2, 3]);
    bench.append("x", None);
    assert_eq!(bench.offsets(), [2, 3, 4]);
}

#[test]
fn the_ring_keeps_its_bytes_and_always_the_newest() {
    let mut bench = Bench::new(Retention {
        bytes_max: 1000,
        ..KEEP
    });
    bench.append(&"x".repeat(200), None);
    bench.append(&"x".repeat(200), None);
    assert_eq!(bench.offsets(), [1, 2]);
    assert!(bench.log.kept_bytes() <= 1000);
    bench.append(&"x".repeat(5000), None);
    assert_eq!(bench.offsets(), [3]);
}

#[test]
fn the_ring_keeps_its_age() {
    let mut bench = Bench::new(KEEP);
    bench.append("x", None);
    bench.now += Duration::from_secs(299);
    bench.append("x", None);
    bench.log.expire(bench.now);
    assert_eq!(bench.offsets(), [1, 2]);
    bench.now += Duration::from_secs(1);
    bench.log.expire(bench.now);
    assert_eq!(bench.offsets(), [2]);
    bench.now += Duration::from_secs(299);
    bench.log.expire(bench.now);
    assert_eq!(bench.offsets(), [0_u64; 0]);
    assert_eq!(bench.log.kept_bytes(), 0);
    assert_eq!((bench.log.head().offset, bench.log.tail().offset), (2, 2));
}

#[test]
fn a_lost_position_has_its_reason() {
    let mut bench = Bench::new(KEEP);
    assert_eq!(bench.check("k", 0), Ok(()));
    assert_eq!(bench.check("k", 1), Err((GapReason::Ahead, 0, None)));
    for _ in 0..5 {
        bench.append("x", None);
    }
    assert_eq!(bench.check("k", 5), Ok(()));
    assert_eq!(bench.check("k", 2), Ok(()));
    assert_eq!(bench.check("k", 1), Err((GapReason::History, 2, Some(1))));
    assert_eq!(bench.check("k", 0), Err((GapReason::History, 2, Some(2))));
    assert_eq!(bench.check("k", 6), Err((GapReason::Ahead, 2, None)));
    assert_eq!(bench.check("other", 4), Err((GapReason::Epoch, 2, None)));
}

#[test]
fn reading_goes_both_ways() {
    let mut bench = Bench::new(KEEP);
    for _ in 0..5 {
        bench.append("x", None);
    }
    let after = |offset| {
        bench
            .log
            .after(offset)
            .map(|p| p.offset)
            .collect::<Vec<_>>()
    };
    assert_eq!(after(3), [4, 5]);
    assert_eq!(after(5), [0_u64; 0]);
    let before = |offset| {
        bench
            .log
            .before(offset)
            .map(|p| p.offset)
            .collect::<Vec<_>>()
    };
    assert_eq!(before(6), [5, 4, 3]);
    assert_eq!(before(4), [3]);
    assert_eq!(before(3), [0_u64; 0]);
    assert_eq!(before(0), [0_u64; 0]);
}

#[test]
fn a_repeated_key_gets_the_first_answer_for_its_time() {
    let mut bench = Bench::new(KEEP);
    assert_eq!(bench.append("x", Some("a")), new(1));
    assert_eq!(bench.append("x", Some("a")), repeat(1));
    assert_eq!(bench.append("longer", Some("a")), Appended::KeyConflict);
    bench.now += KEEP.key_age_max;
    assert_eq!(bench.append("x", Some("a")), new(2));
}

#[test]
fn at_the_limit_the_oldest_key_is_forgotten() {
    let mut bench = Bench::new(KEEP);
    for (key, offset) in [("a", 1), ("b", 2), ("c", 3)] {
        assert_eq!(bench.append("x", Some(key)), new(offset));
    }
    assert_eq!(bench.append("x", Some("c")), repeat(3));
    assert_eq!(bench.append("x", Some("b")), repeat(2));
    assert_eq!(bench.append("x", Some("a")), new(4));
}

#[test]
fn a_key_outlives_its_message() {
    let mut bench = Bench::new(Retention {
        count_max: 1,
        ..KEEP
    });
    bench.append("x", Some("a"));
    bench.append("x", None);
    assert_eq!(bench.offsets(), [2]);
    assert_eq!(bench.append("x", Some("a")), repeat(1));
}
