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
        let mut counts = self.counts.lock();
        match counts.get_mut(key) {
            Some(count) if *count >= max => false,
            Some(count) => {
                *count += 1;
                true
            }
            None => {
                counts.insert(key.clone(), 1);
                true
            }
        }
    }

    /// Counts one out that was counted in.
    pub fn leave(&self, key: &K) {
        let mut counts = self.counts.lock();
        match counts.get_mut(key) {
            Some(count) if *count > 1 => *count -= 1,
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
