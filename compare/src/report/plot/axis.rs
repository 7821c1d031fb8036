//! Axes: where a value stands, and which values are written beside the axis.

use maud::{Markup, html};

use super::label;

/// An axis from one pixel to another.
#[derive(Debug, Clone, Copy)]
pub struct Axis {
    scale: Scale,
    from: f64,
    to: f64,
    start: f64,
    end: f64,
}

/// Up to so many decades, 2 and 5 are written between the powers of ten.
const DECADES_WITH_DIGITS: f64 = 2.1;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Scale {
    /// Equal steps for equal differences, from zero.
    Linear,
    /// Equal steps for equal ratios.
    Log,
    /// Shares from 0 to nearly 1: as much room from 0.9 to 0.99 as from 0.99 to 0.999.
    Tail,
}

impl Axis {
    /// From zero to a round number above the largest value.
    pub fn linear(largest: f64, start: f64, end: f64) -> Self {
        let step = step(largest.max(f64::MIN_POSITIVE));
        Self {
            scale: Scale::Linear,
            from: 0.0,
            to: (largest / step).ceil().max(1.0) * step,
            start,
            end,
        }
    }

    /// From a round number at or below the smallest value to one at or above the largest. Values that are not above zero
    /// have no place on it, and are left out.
    pub fn log(values: impl Iterator<Item = f64>, start: f64, end: f64) -> Self {
        let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
        for value in values.filter(|&value| value > 0.0 && value.is_finite()) {
            (least, most) = (least.min(value), most.max(value));
        }
        if most == 0.0 {
            (least, most) = (1.0, 10.0);
        }
        let from = rounded(least, |digit, lead| digit <= lead * 1.000_001);
        let mut to = rounded(most, |digit, lead| digit < lead * 0.999_999) * 1.000_000_1;
        to = next_round(to);
        if (to / from).log10() > DECADES_WITH_DIGITS {
            // Half a decade at most is left empty for a number at the end.
            let decade = 10_f64.powf((to.log10() - 1e-6).ceil());
            to = if to * 2.001 >= decade { decade } else { to };
        }
        if to / from < 4.0 {
            to = from * 5.0;
        }
        Self {
            scale: Scale::Log,
            from,
            to,
            start,
            end,
        }
    }

    /// Shares of a whole, up to the last that is told.
    pub fn tail(last: f64, start: f64, end: f64) -> Self {
        Self {
            scale: Scale::Tail,
            from: 0.0,
            to: last.clamp(0.5, 0.99999),
            start,
            end,
        }
    }

    /// Where a value stands. Values outside stand at the nearer end.
    pub fn at(&self, value: f64) -> f64 {
        let value = value.clamp(self.from, self.to);
        let part = |value: f64| match self.scale {
            Scale::Linear => value,
            Scale::Log => value.ln(),
            Scale::Tail => -(1.0 - value).ln(),
        };
        let share = (part(value) - part(self.from)) / (part(self.to) - part(self.from));
        self.start + share * (self.end - self.start)
    }

    /// The values that are written beside it.
    pub fn ticks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Linear => {
                let step = step(self.to);
                let steps = (self.to / step).round() as u64;
                (0..=steps).map(|index| index as f64 * step).collect()
            }
            Scale::Log => self.log_ticks(),
            // Where the tail is long, the beginning has no room for two numbers.
            Scale::Tail => [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999]
                .into_iter()
                .filter(|&share| share <= self.to + 1e-9 && (share > 0.0 || self.to < 0.995))
                .collect(),
        }
    }

    fn log_ticks(&self) -> Vec<f64> {
        let decades = (self.to / self.from).log10();
        let digits: &[f64] = if decades <= DECADES_WITH_DIGITS {
            &[1.0, 2.0, 5.0]
        } else {
            &[1.0]
        };
        let every = if decades > 7.0 { 2 } else { 1 };
        let first = self.from.log10().floor() as i32;
        let last = self.to.log10().ceil() as i32;
        (first..=last)
            .filter(|exponent| exponent % every == 0)
            .flat_map(|exponent| {
                digits
                    .iter()
                    .map(move |digit| digit * 10_f64.powi(exponent))
            })
            .filter(|&value| value >= self.from * 0.999 && value <= self.to * 1.001)
            .collect()
    }

    /// As a horizontal axis below an area: lines over its height, values below where there is room, the name at the end.
    pub fn across(
        &self,
        top: f64,
        bottom: f64,
        name: &str,
        written: impl Fn(f64) -> String,
    ) -> Markup {
        let mut texts: Vec<(f64, String)> = Vec::new();
        let mut end = f64::NEG_INFINITY;
        for value in self.ticks() {
            let (x, text) = (self.at(value), written(value));
            let half = label::width(&text) * 0.45;
            if x - half > end {
                end = x + half + 8.0;
                texts.push((x, text));
            }
        }
        html! {
            @for value in self.ticks() {
                @let x = px(self.at(value));
                line class="grid" x1=(x) x2=(x) y1=(px(top)) y2=(px(bottom)) {}
            }
            @for (x, text) in texts {
                text class="tick" x=(px(x)) y=(px(bottom + 17.0)) text-anchor="middle" { (text) }
            }
            text class="axis" x=(px(self.start.max(self.end))) y=(px(bottom + 36.0)) text-anchor="end" { (name) " →" }
        }
    }

    /// As a vertical axis at the left of an area: lines over its width, values at the left, the name on top.
    pub fn upwards(
        &self,
        left: f64,
        right: f64,
        name: &str,
        written: impl Fn(f64) -> String,
    ) -> Markup {
        html! {
            @for value in self.ticks() {
                @let y = px(self.at(value));
                line class="grid" y1=(y) y2=(y) x1=(px(left)) x2=(px(right)) {}
                text class="tick" x=(px(left - 7.0)) y=(px(self.at(value) + 4.0)) text-anchor="end" { (written(value)) }
            }
            text class="axis" x="4" y=(px(self.end.min(self.start) - 12.0)) { "↑ " (name) }
        }
    }
}

/// A coordinate: a tenth of a pixel is fine enough.
pub fn px(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

/// The distance of ticks on a linear axis: 1, 2 or 5 times a power of ten, three to six times up to the end.
fn step(largest: f64) -> f64 {
    let power = 10_f64.powf((largest / 4.0).log10().floor());
    let lead = largest / 4.0 / power;
    let digit = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|digit| lead <= digit * 1.000_001);
    digit.unwrap_or(10.0) * power
}

/// The largest of 1, 2 or 5 times a power of ten whose digit is right beside the value's own.
fn rounded(value: f64, is_below: impl Fn(f64, f64) -> bool) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let lead = value / power;
    let digit = [5.0, 2.0, 1.0]
        .into_iter()
        .find(|&digit| is_below(digit, lead));
    digit.map_or(power / 2.0, |digit| digit * power)
}

/// The least of 1, 2 or 5 times a power of ten above a value.
fn next_round(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let digit = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|digit| digit * power > value);
    digit.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_axis_begins_and_ends_at_round_numbers() {
        let axis = Axis::log([0.07, 430.0].into_iter(), 0.0, 100.0);
        assert_eq!((axis.from, axis.to.round()), (0.05, 1000.0));
        assert_eq!(axis.ticks(), [0.1, 1.0, 10.0, 100.0, 1000.0]);
        let exact = Axis::log([1.0, 1000.0].into_iter(), 0.0, 30.0);
        assert_eq!((exact.from, exact.to.round()), (1.0, 1000.0));
        assert_eq!(
            (exact.at(0.0), exact.at(10.0).round(), exact.at(1e9)),
            (0.0, 10.0, 30.0)
        );
    }

    #[test]
    fn one_value_or_none_makes_an_axis_too() {
        assert_eq!(
            Axis::log([3.0].into_iter(), 0.0, 1.0).ticks(),
            [2.0, 5.0, 10.0]
        );
        assert!(
            Axis::log([0.0, f64::NAN].into_iter(), 0.0, 1.0)
                .ticks()
                .len()
                > 1
        );
        assert!(Axis::linear(0.0, 0.0, 1.0).at(0.0).is_finite());
    }

    #[test]
    fn a_linear_axis_has_round_steps() {
        assert_eq!(
            Axis::linear(437.0, 0.0, 1.0).ticks(),
            [0.0, 200.0, 400.0, 600.0]
        );
        assert_eq!(Axis::linear(3.0, 0.0, 1.0).ticks(), [0.0, 1.0, 2.0, 3.0]);
    }

    #[test]
    fn the_tail_has_as_much_room_for_each_nine() {
        let axis = Axis::tail(0.9999, 0.0, 400.0);
        assert_eq!(
            [0.9, 0.99, 0.999, 0.9999].map(|share| axis.at(share).round()),
            [100.0, 200.0, 300.0, 400.0]
        );
    }
}
