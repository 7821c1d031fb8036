//! The idempotency keys of one channel: what was published under a key, for a while.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::publication::Key;

/// What is known of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recall {
    /// The same payload was published at this offset.
    Same(u64),
    /// The key was used with another payload.
    OtherPayload,
}

/// The keys of one channel, oldest first. At the limit the oldest is forgotten.
#[derive(Debug, Default)]
pub struct Keys {
    by_id: HashMap<Arc<str>, Used>,
    order: VecDeque<(Arc<str>, Instant)>,
    bytes: usize,
}

#[derive(Debug)]
struct Used {
    digest: [u8; 32],
    offset: u64,
}

impl Keys {
    /// What is known of a key.
    pub fn recall(&self, key: &Key) -> Option<Recall> {
        let used = self.by_id.get(&key.id)?;
        Some(if used.digest == key.digest {
            Recall::Same(used.offset)
        } else {
            Recall::OtherPayload
        })
    }

    /// Remembers a key that is not known.
    pub fn remember(&mut self, key: &Key, offset: u64, keys_max: usize, now: Instant) {
        while self.order.len() >= keys_max.max(1) {
            self.forget_oldest();
        }
        self.bytes += cost(&key.id);
        self.by_id.insert(
            Arc::clone(&key.id),
            Used {
                digest: key.digest,
                offset,
            },
        );
        self.order.push_back((Arc::clone(&key.id), now));
    }

    /// Forgets what is too old.
    pub fn expire(&mut self, age_max: Duration, now: Instant) {
        while self
            .order
            .front()
            .is_some_and(|(_, since)| now.duration_since(*since) >= age_max)
        {
            self.forget_oldest();
        }
    }

    /// What the keys cost to keep, in bytes.
    pub fn kept_bytes(&self) -> usize {
        self.bytes
    }

    fn forget_oldest(&mut self) {
        if let Some((id, _)) = self.order.pop_front() {
            self.bytes -= cost(&id);
            self.by_id.remove(&id);
        }
        if self.order.is_empty() {
            *self = Self::default();
        }
    }
}

fn cost(id: &str) -> usize {
    const BOOK_KEEPING_BYTES: usize = 128;
    id.len() + BOOK_KEEPING_BYTES
}
