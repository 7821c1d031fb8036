//! How many of something there are by key. An entry goes when its count is 0, so there are never more keys than things.

use std::collections::HashMap;
use std::hash::Hash;

use parking_lot::Mutex;

/// Counts by key. The hasher has a random key, because keys come from outside.
#[derive(Debug)]
pub struct Counts<K> {
    counts: Mutex<HashMap<K, usize>>,
}

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self {
            counts: Mutex::default(),
        }
    }
}

/// A map that is smaller than this is never worth shrinking.
const SHRINK_FROM: usize = 1024;

impl<K: Hash + Eq + Clone> Counts<K> {
    /// Counts one in, unless there are `max` already.
    pub fn enter(&self, key: &K, max: usize) -> bool {
        self.enter_many(key, 1, max)
    }

    /// Counts so many in, more than none of them, unless there would be more than `max`.
    pub fn enter_many(&self, key: &K, many: usize, max: usize) -> bool {
        let mut counts = self.counts.lock();
        let count = counts.get_mut(key);
        let fits = |count: usize| count.checked_add(many).filter(|sum| *sum <= max);
        let Some(sum) = fits(count.as_ref().map_or(0, |count| **count)) else {
            return false;
        };
        match count {
            Some(count) => *count = sum,
            None => drop(counts.insert(key.clone(), sum)),
        }
        true
    }

    /// Counts one out that was counted in.
    pub fn leave(&self, key: &K) {
        self.leave_many(key, 1);
    }

    /// Counts so many out that were counted in.
    pub fn leave_many(&self, key: &K, many: usize) {
        let mut counts = self.counts.lock();
        match counts.get_mut(key) {
            Some(count) if *count > many => *count -= many,
            _ => drop(counts.remove(key)),
        }
        // A crowd that left must not leave its room behind.
        if counts.capacity() > SHRINK_FROM && counts.len() < counts.capacity() / 8 {
            let room = counts.len() * 2;
            counts.shrink_to(room);
        }
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        self.counts.lock().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_so_many_and_no_more() {
        let counts = Counts::default();
        assert!(counts.enter(&1, 2) && counts.enter(&1, 2));
        assert!(!counts.enter(&1, 2));
        assert!(counts.enter(&2, 2));
        counts.leave(&1);
        assert!(counts.enter(&1, 2));
    }

    #[test]
    fn many_come_and_go_at_once_or_none() {
        let counts = Counts::default();
        assert!(counts.enter_many(&1, 3, 5));
        assert!(!counts.enter_many(&1, 3, 5) && counts.enter_many(&1, 2, 5));
        assert!(!counts.enter_many(&2, 6, 5));
        counts.leave_many(&1, 4);
        assert!(counts.enter_many(&1, 4, 5));
        counts.leave_many(&1, 5);
        assert_eq!(counts.len(), 0);
    }

    #[test]
    fn nothing_is_kept_of_who_has_none() {
        let counts = Counts::default();
        for key in 0..100_000 {
            assert!(counts.enter(&key, 1));
        }
        (0..100_000).for_each(|key| counts.leave(&key));
        assert_eq!(counts.len(), 0);
        assert!(counts.counts.lock().capacity() <= SHRINK_FROM);
    }
}
