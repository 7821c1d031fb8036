//! The states of a rate limiter by key, bounded: past the cap, newcomers share what there is.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};

use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::ShrinkableKeyedStateStore;
use parking_lot::Mutex;

/// How many allowances newcomers share when there is no room for one of their own. Which one is drawn by a hash that
/// nobody outside knows, so that an attacker cannot aim at somebody, and has to use up all of them to shut everybody out.
const SHARED: usize = 1024;

/// The states, each the theoretical arrival time of the next one (GCRA: ITU-T I.371), in nanoseconds since the limiter
/// was made. The hasher has a random key, because keys come from outside.
#[derive(Debug)]
pub struct Store<K> {
    states: Mutex<States<K>>,
    hasher: RandomState,
    keys_max: usize,
}

#[derive(Debug)]
struct States<K> {
    own: HashMap<K, Nanos>,
    /// Empty until the cap is met.
    shared: Vec<Option<Nanos>>,
}

impl<K: Hash + Eq + Clone> Store<K> {
    /// An empty store that keeps so many keys apart.
    pub fn new(keys_max: usize) -> Self {
        Self {
            states: Mutex::new(States {
                own: HashMap::new(),
                shared: Vec::new(),
            }),
            hasher: RandomState::new(),
            keys_max,
        }
    }
}

impl<K: Hash + Eq + Clone> StateStore for Store<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut states = self.states.lock();
        if let Some(state) = states.own.get_mut(key) {
            let (outcome, next) = measure(Some(*state))?;
            *state = next;
            return Ok(outcome);
        }
        if states.own.len() < self.keys_max {
            let (outcome, next) = measure(None)?;
            states.own.insert(key.clone(), next);
            return Ok(outcome);
        }
        if states.shared.is_empty() {
            states.shared.resize(SHARED, None);
        }
        let share = (self.hasher.hash_one(key) % SHARED as u64) as usize;
        let (outcome, next) = measure(states.shared[share])?;
        states.shared[share] = Some(next);
        Ok(outcome)
    }
}

impl<K: Hash + Eq + Clone> ShrinkableKeyedStateStore<K> for Store<K> {
    fn retain_recent(&self, drop_below: Nanos) {
        let mut states = self.states.lock();
        states.own.retain(|_, state| *state > drop_below);
        if states.own.len() < self.keys_max
            && states
                .shared
                .iter()
                .flatten()
                .all(|state| *state <= drop_below)
        {
            states.shared = Vec::new();
        }
    }

    fn shrink_to_fit(&self) {
        let own = &mut self.states.lock().own;
        // A map that is about as large as it was stays as it is, so that a steady crowd costs nothing.
        if own.len() < own.capacity() / 4 {
            own.shrink_to_fit();
        }
    }

    fn len(&self) -> usize {
        self.states.lock().own.len()
    }

    fn is_empty(&self) -> bool {
        self.states.lock().own.is_empty()
    }
}
