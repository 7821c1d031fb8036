//! A rule for how often something may be done, as the configuration writes it: `50/s burst 100`, `100/60s` or `off`.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How often something may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateRule {
    /// As often as anybody likes.
    Off,
    /// So often.
    Per(Pace),
}

/// So many in so many seconds, and so many at once. Who was quiet for long enough may do `burst` at once; from then on
/// one more is allowed every `period / count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    count: NonZeroU32,
    period_s: NonZeroU32,
    burst: NonZeroU32,
}

/// The largest count and burst.
const COUNT_MAX: u32 = 1_000_000;
/// The longest period: a day.
const PERIOD_S_MAX: u32 = 86_400;
/// The longest time until a whole burst is allowed again: 366 days, so that no sum of times overflows.
const REFILL_S_MAX: u64 = 366 * 86_400;

impl Pace {
    fn new(count: u32, period_s: u32, burst: u32) -> Option<Self> {
        let fits = count <= COUNT_MAX && period_s <= PERIOD_S_MAX && burst <= COUNT_MAX;
        let pace = Self {
            count: NonZeroU32::new(count)?,
            period_s: NonZeroU32::new(period_s)?,
            burst: NonZeroU32::new(burst)?,
        };
        (fits && pace.refill() <= Duration::from_secs(REFILL_S_MAX)).then_some(pace)
    }

    /// The time after which one more is allowed.
    pub fn interval(self) -> Duration {
        Duration::from_secs(u64::from(self.period_s.get())) / self.count.get()
    }

    /// How many may be done at once after a quiet time.
    pub fn burst(self) -> NonZeroU32 {
        self.burst
    }

    /// The time after which a whole burst is allowed again.
    pub fn refill(self) -> Duration {
        self.interval() * self.burst.get()
    }
}

impl fmt::Display for RateRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Per(pace) = self else {
            return f.write_str("off");
        };
        write!(f, "{}/", pace.count)?;
        if pace.period_s.get() != 1 {
            write!(f, "{}", pace.period_s)?;
        }
        f.write_str("s")?;
        if pace.burst != pace.count {
            write!(f, " burst {}", pace.burst)?;
        }
        Ok(())
    }
}

/// A rule that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a rule such as \"50/s burst 100\", \"100/60s\" or \"off\": counts from 1 to a million, periods from 1 s to \
     a day, and a burst that is allowed again within a year"
)]
pub struct RateRuleError;

impl FromStr for RateRule {
    type Err = RateRuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text == "off" {
            return Ok(Self::Off);
        }
        let (rate, burst) = match text.split_once(" burst ") {
            Some((rate, burst)) => (rate.trim_end(), Some(number(burst.trim_start())?)),
            None => (text, None),
        };
        let (count, period) = rate.split_once('/').ok_or(RateRuleError)?;
        let count = number(count)?;
        let period_s = match period.strip_suffix('s').ok_or(RateRuleError)? {
            "" => 1,
            seconds => number(seconds)?,
        };
        Pace::new(count, period_s, burst.unwrap_or(count))
            .map(Self::Per)
            .ok_or(RateRuleError)
    }
}

/// Digits only: Rust would also read a sign.
fn number(text: &str) -> Result<u32, RateRuleError> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(RateRuleError);
    }
    text.parse().map_err(|_| RateRuleError)
}

impl Serialize for RateRule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RateRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl RateRule {
    /// A rule that is known to be valid; one that is not would be `off`, which a test of the defaults would notice.
    pub(super) fn fixed(count: u32, period_s: u32, burst: u32) -> Self {
        Pace::new(count, period_s, burst).map_or(Self::Off, Self::Per)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Result<RateRule, RateRuleError> {
        text.parse()
    }

    #[test]
    fn a_rule_prints_itself_back() {
        for text in ["50/s burst 100", "100/60s", "20/s", "1/86400s", "off"] {
            assert_eq!(rule(text).unwrap().to_string(), text);
        }
        assert_eq!(rule(" 5/1s burst 5 ").unwrap().to_string(), "5/s");
    }

    #[test]
    fn a_rule_means_what_it_says() {
        let RateRule::Per(pace) = rule("100/60s").unwrap() else {
            panic!("a pace")
        };
        assert_eq!(pace.interval(), Duration::from_millis(600));
        assert_eq!(pace.burst().get(), 100);
        assert_eq!(pace.refill(), Duration::from_secs(60));
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for text in [
            "",
            "100",
            "100/",
            "100/m",
            "0/s",
            "1/0s",
            "1/s burst 0",
            "1/s burst",
            "-1/s",
            "+1/s",
            "1.5/s",
            "1000001/s",
            "1/86401s",
            "1/86400s burst 1000000",
            "99999999999/s",
            "Off",
            "1/s1s",
        ] {
            assert_eq!(rule(text), Err(RateRuleError), "{text:?}");
        }
    }
}
