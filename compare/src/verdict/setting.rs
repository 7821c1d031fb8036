//! Finds the cells that speak for a case.

use std::cmp::Ordering;

use super::case::{Case, ONE_WAY_MS_NEAR, Path, Setting, TINY, Weight};
use super::contender::measured_weights;
use crate::cell::{Network, Rate, Transport};
use crate::condition::Condition;
use crate::metric::Metric;
use crate::results::{CellResult, Results};
use crate::text;

impl Case {
    /// Of the conditions that fit, the one to judge by, in this order: the most transports; a delayed network, if one is
    /// wanted; the most of what is weighed; the nearest rate, subscribers and delay; the smallest payload; TLS before none,
    /// as on the Internet.
    pub fn condition(&self, results: &Results) -> Option<Condition> {
        let rank = |condition: &Condition| {
            let cells = condition.cells(results);
            let may_send =
                |transport: &&CellResult| !self.must_send || transport.cell.transport.sends();
            let speaks =
                |cell: &&CellResult| cell.is_valid() && self.limit.metric.of(cell).is_some();
            let mut speaking: Vec<Transport> = cells
                .iter()
                .copied()
                .filter(may_send)
                .filter(speaks)
                .map(|cell| cell.cell.transport)
                .collect();
            speaking.dedup();
            let measured: f64 = measured_weights(self, &cells, results)
                .iter()
                .map(|weight| weight.weight)
                .sum();
            let is_near = condition.network == Network::Loopback;
            // h1+TLS, h2+TLS, h1.
            let protocol = f64::from((condition.protocol as u8 + 2) % 3);
            [
                -(speaking.len() as f64),
                f64::from(u8::from(self.setting.path != Path::Near && is_near)),
                -measured,
                self.setting.distance(condition),
                condition.payload_bytes as f64,
                protocol,
            ]
        };
        let by_rank = |a: &Condition, b: &Condition| {
            let pairs = rank(a).into_iter().zip(rank(b));
            pairs
                .map(|(a, b)| a.total_cmp(&b))
                .fold(Ordering::Equal, Ordering::then)
        };
        Condition::all_in(results)
            .into_iter()
            .filter(|condition| self.setting.fits(condition))
            .min_by(by_rank)
    }
}

impl Setting {
    /// How far a condition is from what is best, in factors.
    fn distance(&self, condition: &Condition) -> f64 {
        let network = match self.path {
            Path::Near => 0.0,
            Path::FarIfMeasured | Path::Far => {
                distance(condition.network.one_way_ms(), ONE_WAY_MS_NEAR)
            }
        };
        // A hundredth, so that what is equally far by arithmetic is so in digits.
        let sum = distance(condition.rate.per_s(), self.per_s_near)
            + distance(condition.subscribers as f64, self.subscribers_near as f64)
            + network;
        (sum * 100.0).round()
    }

    /// Whether a condition's cells may speak for the case at all. Somebody has to receive something, and nobody waits for
    /// bursts.
    fn fits(&self, condition: &Condition) -> bool {
        let Rate::Steady { per_s } = condition.rate else {
            return false;
        };
        let network = match self.path {
            Path::Near => condition.network == Network::Loopback,
            Path::FarIfMeasured => true,
            Path::Far => condition.network != Network::Loopback,
        };
        (self.per_s.0..=self.per_s.1).contains(&per_s)
            && condition.subscribers >= self.subscribers_min
            && network
    }

    /// The cells that are wanted, in words.
    pub fn in_words(&self) -> String {
        let (least, most) = self.per_s;
        let rate = match (least > 0.0, most.is_finite()) {
            (true, true) => format!("{least} to {most} messages/s"),
            (true, false) => format!("{least} messages/s or more"),
            (false, _) => format!("up to {most} messages/s"),
        };
        let subscribers = match self.subscribers_min {
            1 => String::new(),
            least => format!(", {least} subscribers or more"),
        };
        let path = match self.path {
            Path::Near => "on loopback",
            Path::FarIfMeasured => "over a delayed network if one was measured",
            Path::Far => "over a delayed network",
        };
        format!("{rate}, evenly{subscribers}, {path}")
    }

    /// What is best for the case, in words.
    pub fn best_in_words(&self) -> String {
        let (rate, subscribers) = (self.per_s_near, self.subscribers_near);
        let subscribers = match subscribers {
            1 => "one subscriber".to_owned(),
            many => format!("{} subscribers", text::count(many as u64)),
        };
        let delay = match self.path {
            Path::Near => String::new(),
            Path::FarIfMeasured | Path::Far => format!(", {ONE_WAY_MS_NEAR} ms each way"),
        };
        format!("{rate}/s, {subscribers}{delay}")
    }
}

impl Case {
    /// The rule in words: what must hold, then what is weighed.
    pub fn rule(&self) -> String {
        let limit = &self.limit;
        let sends = if self.must_send {
            "clients send over it; "
        } else {
            ""
        };
        let most = text::with_unit(limit.metric, limit.at_most);
        let weighed: Vec<String> = self
            .weights
            .iter()
            .map(|weight| weight.in_words())
            .collect();
        let name = limit.metric.name();
        format!(
            "Must: {sends}{name} at most {most}. Weighed: {}.",
            weighed.join(", ")
        )
    }
}

impl Weight {
    fn in_words(&self) -> String {
        let mut text = format!("{} × {}", self.weight, self.metric.name());
        if self.at_rest && !matches!(self.metric, Metric::IdleBytes) {
            text.push_str(" at rest");
        }
        if self.posts > 0.0 {
            text.push_str(&format!(
                " (and {} to send, if not over a WebSocket; the bytes and the CPU time of these are in no figure)",
                self.posts
            ));
        }
        if self.floor > TINY {
            text.push_str(&format!(
                " (at least {})",
                text::with_unit(self.metric, self.floor)
            ));
        }
        text
    }
}

/// How far apart two numbers are, as a logarithm.
fn distance(one: f64, other: f64) -> f64 {
    (one.max(1e-3) / other.max(1e-3)).ln().abs()
}
