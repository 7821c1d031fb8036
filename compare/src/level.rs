//! When two figures are level: the one rule of the tables, the sentences and the verdicts.

use crate::results::Figure;

/// Medians whose ratio is below this are level.
pub const LEVEL_RATIO: f64 = 1.1;

/// How a figure stands beside a smaller one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The medians are within [`LEVEL_RATIO`]: neither is better.
    Close,
    /// They are further apart, and the spreads of the repeats meet: this run does not tell which is better.
    Blurred,
    /// The other is larger.
    Apart,
}

impl Level {
    /// How `other` stands beside `least`, which has the smaller median.
    pub fn of(least: &Figure, other: &Figure) -> Self {
        // Nothing is within no factor of nothing.
        let is_close = other.median <= least.median || other.median < least.median * LEVEL_RATIO;
        match (is_close, other.min <= least.max) {
            (true, _) => Self::Close,
            (false, true) => Self::Blurred,
            (false, false) => Self::Apart,
        }
    }

    /// Whether the other is not known to be larger.
    pub fn is_level(self) -> bool {
        self != Self::Apart
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_level_within_a_tenth_or_a_spread() {
        let figure = |min, median, max| Figure { median, min, max };
        let of = |other| Level::of(&figure(9.0, 10.0, 12.0), &other);
        assert_eq!(of(figure(10.9, 10.9, 10.9)), Level::Close);
        assert_eq!(of(figure(12.0, 14.0, 15.0)), Level::Blurred);
        assert_eq!(of(figure(12.1, 14.0, 15.0)), Level::Apart);
        let nothing = figure(0.0, 0.0, 0.0);
        assert_eq!(Level::of(&nothing, &nothing), Level::Close);
        assert_eq!(Level::of(&nothing, &figure(1.0, 1.0, 1.0)), Level::Apart);
    }
}
