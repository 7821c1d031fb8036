//! How much of what is on its way in is held at once: bodies of requests and messages over WebSocket that are not complete,
//! or not handled yet.
//!
//! What is small costs nothing: each WebSocket and each connection has room of its own, [`FREE_BYTES`]. Nothing that is shared
//! is touched for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::counts::Counts;
use super::key::AddressKey;
use super::refused::Counted;
use crate::config::Config;

/// What each WebSocket, and all bodies of a connection together, may hold without being counted.
pub const FREE_BYTES: usize = 64 * 1024;
/// A share grows by so much at a time. It is what a frame of HTTP/2 brings at most, so that what arrives in many streams
/// takes little more than it holds.
const STEP_BYTES: usize = 16 * 1024;
/// One address has at most this part of the room for all.
const ADDRESS_PART: usize = 4;

/// The room for all that is on its way in.
#[derive(Debug)]
pub struct Intake {
    bytes: AtomicUsize,
    bytes_max: AtomicUsize,
    bytes_per_address_max: AtomicUsize,
    by_address: Counts<AddressKey>,
}

/// Whose shares something takes.
#[derive(Debug, Clone)]
pub struct Inlet {
    intake: Arc<Intake>,
    /// The address, unless it is exempt.
    key: Option<AddressKey>,
}

/// A part of the room, given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    inlet: Inlet,
    bytes: usize,
}

impl Intake {
    /// Room as configured, with nothing in it.
    pub fn new(config: &Config) -> Self {
        let intake = Self {
            bytes: AtomicUsize::new(0),
            bytes_max: AtomicUsize::new(0),
            bytes_per_address_max: AtomicUsize::new(0),
            by_address: Counts::default(),
        };
        intake.reload(config);
        intake
    }

    /// Takes over the numbers of another configuration. What is held already may stay.
    pub fn reload(&self, config: &Config) {
        let bytes_max = config.limits.incoming_bytes_max;
        // However small its part is, an address may send one message, whatever its size.
        let of_address = (bytes_max / ADDRESS_PART).max(config.body_bytes_max());
        self.bytes_max.store(bytes_max, Ordering::Relaxed);
        self.bytes_per_address_max
            .store(of_address, Ordering::Relaxed);
    }

    /// What all shares have together.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The number of addresses that have shares.
    pub fn addresses(&self) -> usize {
        self.by_address.len()
    }

    /// Takes so many bytes, all or none.
    fn take(&self, key: Option<&AddressKey>, bytes: usize) -> Result<(), Counted> {
        // Only the sum counts; nothing else is read or written by its order.
        let bytes_max = self.bytes_max.load(Ordering::Relaxed);
        let fits = |held: usize| held.checked_add(bytes).filter(|sum| *sum <= bytes_max);
        self.bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .map_err(|_| Counted::Incoming)?;
        let of_address = self.bytes_per_address_max.load(Ordering::Relaxed);
        if let Some(key) = key
            && !self.by_address.enter_many(key, bytes, of_address)
        {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(Counted::IncomingByAddress);
        }
        Ok(())
    }

    fn give_back(&self, key: Option<&AddressKey>, bytes: usize) {
        if let Some(key) = key {
            self.by_address.leave_many(key, bytes);
        }
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Inlet {
    /// For an address, or for one that is exempt.
    pub fn new(intake: &Arc<Intake>, key: Option<AddressKey>) -> Self {
        Self {
            intake: Arc::clone(intake),
            key,
        }
    }

    /// A share of nothing yet.
    pub fn share(&self) -> Share {
        Share {
            inlet: self.clone(),
            bytes: 0,
        }
    }
}

impl Share {
    /// Makes the share as large as what is held, if it is not: in steps, so that few of many small arrivals ask.
    ///
    /// # Errors
    /// What there is too much of. The share is as it was then.
    pub fn cover(&mut self, bytes: usize) -> Result<(), Counted> {
        let Some(missing) = bytes.checked_sub(self.bytes).filter(|more| *more > 0) else {
            return Ok(());
        };
        let missing = missing.next_multiple_of(STEP_BYTES);
        let Inlet { intake, key } = &self.inlet;
        intake.take(key.as_ref(), missing)?;
        self.bytes += missing;
        Ok(())
    }

    /// Gives back what is not needed for so many bytes.
    pub fn shrink(&mut self, bytes: usize) {
        let spare = self
            .bytes
            .saturating_sub(bytes.next_multiple_of(STEP_BYTES));
        if spare > 0 {
            let Inlet { intake, key } = &self.inlet;
            intake.give_back(key.as_ref(), spare);
            self.bytes -= spare;
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    /// The room that the tests have: eight steps, so that an address has a part of two.
    const ROOM: usize = 8 * STEP_BYTES;

    fn intake(bytes_max: usize) -> Arc<Intake> {
        let mut config = Config::default();
        config.limits.message_bytes_max = 1000;
        config.limits.incoming_bytes_max = bytes_max;
        Arc::new(Intake::new(&config))
    }

    fn share(intake: &Arc<Intake>, address: &str) -> Share {
        let key = address.parse::<IpAddr>().ok().map(AddressKey::from);
        Inlet::new(intake, key).share()
    }

    #[test]
    fn all_have_so_much_and_no_more_and_give_it_back() {
        let intake = intake(ROOM);
        let mut most = share(&intake, "exempt");
        assert_eq!(most.cover(ROOM), Ok(()));
        assert_eq!(intake.bytes(), ROOM);
        let mut other = share(&intake, "exempt");
        assert_eq!(other.cover(1), Err(Counted::Incoming));
        drop(most);
        assert_eq!(intake.bytes(), 0);
        assert_eq!(other.cover(ROOM), Ok(()));
    }

    #[test]
    fn a_share_grows_in_steps_and_keeps_what_it_had_when_there_is_no_more() {
        let intake = intake(ROOM);
        let mut share = share(&intake, "exempt");
        for (covered, held) in [(0, 0), (1, 1), (STEP_BYTES, 1), (STEP_BYTES + 1, 2)] {
            assert_eq!(share.cover(covered), Ok(()));
            assert_eq!(intake.bytes(), held * STEP_BYTES, "{covered}");
        }
        assert_eq!(share.cover(ROOM + 1), Err(Counted::Incoming));
        assert_eq!(intake.bytes(), 2 * STEP_BYTES);
        share.shrink(1);
        assert_eq!(intake.bytes(), STEP_BYTES);
    }

    #[test]
    fn one_address_has_a_quarter_and_another_one_its_own() {
        let intake = intake(ROOM);
        let mut here = [share(&intake, "192.0.2.1"), share(&intake, "192.0.2.1")];
        assert_eq!(here[0].cover(2 * STEP_BYTES), Ok(()));
        assert_eq!(here[1].cover(1), Err(Counted::IncomingByAddress));
        assert_eq!(
            intake.bytes(),
            2 * STEP_BYTES,
            "what was refused is not held"
        );
        let mut elsewhere = share(&intake, "192.0.2.2");
        assert_eq!(elsewhere.cover(2 * STEP_BYTES), Ok(()));
        assert_eq!(intake.addresses(), 2);
        drop(elsewhere);
        here[0].shrink(STEP_BYTES);
        assert_eq!(here[1].cover(1), Ok(()));
        drop(here);
        assert_eq!((intake.bytes(), intake.addresses()), (0, 0));
    }

    #[test]
    fn one_address_can_always_send_one_message() {
        let mut config = Config::default();
        config.limits.incoming_bytes_max = config.body_bytes_max();
        let intake = Arc::new(Intake::new(&config));
        let mut one = share(&intake, "192.0.2.1");
        assert_eq!(one.cover(config.body_bytes_max() - FREE_BYTES), Ok(()));
    }

    #[test]
    fn who_holds_more_than_a_new_limit_keeps_it_and_gets_no_more() {
        let intake = intake(ROOM);
        let mut before = share(&intake, "exempt");
        assert_eq!(before.cover(4 * STEP_BYTES), Ok(()));
        let mut config = Config::default();
        config.limits.message_bytes_max = 1000;
        config.limits.incoming_bytes_max = 2 * STEP_BYTES;
        intake.reload(&config);
        assert_eq!(before.cover(5 * STEP_BYTES), Err(Counted::Incoming));
        assert_eq!(intake.bytes(), 4 * STEP_BYTES);
        drop(before);
        assert_eq!(share(&intake, "exempt").cover(2 * STEP_BYTES), Ok(()));
    }
}
