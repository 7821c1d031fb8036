//! The clock of tokens: seconds since 1970, as the claims count them (RFC 7519, section 2).

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
pub(super) fn unix_now_s() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    // A clock before 1970 is wrong by decades; then every token is still to come, and none is good.
    since.map_or(0, |since| since.as_secs())
}
