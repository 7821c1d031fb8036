//! Finds the cells that speak for a case.

use super::case::{Case, Path, Setting, TINY, Weight};
use crate::cell::Network;
use crate::condition::Condition;
use crate::metric::Metric;
use crate::results::Results;
use crate::text;

impl Setting {
    /// Of the conditions that fit, that with the most transports; of these, the one whose rate, subscribers and network are
    /// nearest, and TLS before none, as on the Internet.
    pub fn condition(&self, results: &Results) -> Option<Condition> {
        let rank = |condition: &Condition| {
            let uncovered = (4 - condition.transports_covered(results)) as f64;
            let rate = distance(condition.rate.per_s(), self.per_s_near);
            let subscribers = distance(condition.subscribers as f64, self.subscribers_near as f64);
            let path = f64::from(u8::from(
                self.path != Path::Near && condition.network == Network::Loopback,
            ));
            // h1+TLS, h2+TLS, h1.
            let protocol = ((condition.protocol as u8 + 2) % 3) as f64;
            uncovered * 1e6
                + path * 1e5
                + (rate + subscribers) * 100.0
                + condition.payload_bytes as f64 / 1e4
                + protocol / 10.0
        };
        Condition::all_in(results)
            .into_iter()
            .filter(|condition| self.fits(condition))
            .min_by(|a, b| rank(a).total_cmp(&rank(b)))
    }

    /// Whether a condition's cells may speak for the case at all. Somebody has to receive something.
    fn fits(&self, condition: &Condition) -> bool {
        let per_s = condition.rate.per_s();
        let network = match self.path {
            Path::Near => condition.network == Network::Loopback,
            Path::FarIfMeasured => true,
            Path::Far => condition.network != Network::Loopback,
        };
        per_s > 0.0
            && (self.per_s.0..=self.per_s.1).contains(&per_s)
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
            Path::Near => ", on loopback",
            Path::FarIfMeasured => ", delayed if that was measured",
            Path::Far => ", over a delayed network",
        };
        format!("{rate}{subscribers}{path}")
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
                " (and {} to send, if not over a WebSocket)",
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
