//! Durations as the configuration writes them: seconds, with a fraction if need be.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A duration of 0 to 10 years, written as a number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Seconds(f64);

/// The longest duration, so that adding one to a point in time cannot overflow.
const SECONDS_MAX: f64 = 10.0 * 366.0 * 86_400.0;

impl Seconds {
    /// Whole seconds.
    pub const fn new(seconds: u32) -> Self {
        Self(seconds as f64)
    }

    /// As a duration.
    pub fn duration(self) -> Duration {
        Duration::from_secs_f64(self.0)
    }
}

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.fract() == 0.0 {
            serializer.serialize_u64(self.0 as u64)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        if (0.0..=SECONDS_MAX).contains(&seconds) {
            Ok(Self(seconds))
        } else {
            Err(serde::de::Error::custom(
                "expected a number of seconds from 0 to ten years",
            ))
        }
    }
}
