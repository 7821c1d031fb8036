//! Which transport for which case, computed from the results.
//!
//! A case names the cells that speak for it, what must hold, and what is weighed. Each transport that holds what must hold
//! has a *cost*: each weighed figure divided by the least of them, to the power of its share of the weights, multiplied. So
//! who is best at everything costs 1. The least cost is taken. A transport that comes within [`LEVEL`], or whose spread
//! reaches the first one's, is level with it.

pub mod case;
mod contender;
mod cost;
mod setting;
#[cfg(test)]
mod tests;

use crate::condition::{Choice, Condition};
use crate::metric::Metric;
use crate::results::{Figure, Results};
use case::{CASES, Case, Weight};
use contender::{examine, measured_weights, not_measured};
use cost::{answer, is_level, rank};

/// Costs whose ratio is below this are level.
pub const LEVEL: f64 = 1.1;

/// The least share of what a case weighs that has to be measured.
pub const MEASURED_SHARE_MIN: f64 = 0.5;

/// What the results say of a case.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The case.
    pub case: &'static Case,
    /// The condition whose cells spoke, if there is one.
    pub condition: Option<Condition>,
    /// What came out.
    pub answer: Answer,
    /// What it weighs and what was measured of nobody, so that it counts for nobody.
    pub unmeasured: Vec<Metric>,
    /// Every transport that was considered: those with a cost first, the least first.
    pub contenders: Vec<Contender>,
}

/// What came out.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The first contender is to be taken.
    Take {
        /// The next one with another transport; absent if no other holds what must hold.
        runner_up: Option<RunnerUp>,
    },
    /// Measured, and none holds what must hold.
    Nobody,
    /// The cells that it needs are missing or invalid.
    CannotSay(String),
}

/// Who came second.
#[derive(Debug, Clone, PartialEq)]
pub struct RunnerUp {
    /// What it is.
    pub choice: Choice,
    /// Its cost, divided by that of the first.
    pub ratio: f64,
    /// Whether the difference is too small, or the spread too large, to call one of them better.
    pub level: bool,
    /// What the ratio is made of, the most decisive first, without what made no difference.
    pub decided: Vec<Decisive>,
}

/// A figure's part in a ratio.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decisive {
    /// The figure.
    pub metric: Metric,
    /// That of the first.
    pub first: f64,
    /// That of the runner-up.
    pub second: f64,
    /// What the ratio is multiplied by for it; below 1 it speaks for the runner-up.
    pub factor: f64,
}

/// A transport that was considered.
#[derive(Debug, Clone, PartialEq)]
pub struct Contender {
    /// What it is.
    pub choice: Choice,
    /// How it stands.
    pub standing: Standing,
    /// The figures that decided: that of the limit, then those that are weighed.
    pub figures: Vec<(Metric, Figure)>,
}

/// How a transport stands in a case.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// It holds what must hold.
    Ranked {
        /// Its cost.
        cost: Cost,
    },
    /// It does not hold what must hold.
    Out(String),
    /// It was not measured, or not well enough.
    Unknown(String),
}

/// A cost with its spread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// By the medians.
    pub median: f64,
    /// If all of its figures were the smallest of the repeats.
    pub min: f64,
    /// If all were the largest.
    pub max: f64,
}

impl Verdict {
    /// What is to be taken: the first, and the best setting of each transport that is level with it. Nothing if there is no
    /// first.
    pub fn taken(&self) -> Vec<Choice> {
        let (Answer::Take { .. }, [first, others @ ..]) = (&self.answer, &self.contenders[..])
        else {
            return Vec::new();
        };
        let mut seen = vec![first.choice.transport];
        let mut taken = vec![first.choice];
        for other in others {
            let is_best = !seen.contains(&other.choice.transport);
            seen.push(other.choice.transport);
            if is_best && is_level(first, other) {
                taken.push(other.choice);
            }
        }
        taken
    }
}

/// The verdict on every case.
pub fn all(results: &Results) -> Vec<Verdict> {
    CASES.iter().map(|case| judge(case, results)).collect()
}

/// The verdict on one case.
pub fn judge(case: &'static Case, results: &Results) -> Verdict {
    let Some(condition) = case.condition(results) else {
        let wanted = case.setting.in_words();
        return Verdict {
            case,
            condition: None,
            answer: Answer::CannotSay(format!("nothing was measured with {wanted}")),
            unmeasured: Vec::new(),
            contenders: Vec::new(),
        };
    };
    let cells = condition.cells(results);
    let weights = measured_weights(case, &cells, results);
    let mut contenders: Vec<Contender> = cells
        .iter()
        .map(|cell| examine(case, &weights, cell, results))
        .collect();
    contenders.extend(not_measured(case, &cells));
    rank(&weights, &mut contenders);
    Verdict {
        case,
        condition: Some(condition),
        answer: if is_enough(case, &weights) {
            answer(&weights, &contenders)
        } else {
            Answer::CannotSay("most of what it weighs was not measured".to_owned())
        },
        unmeasured: unmeasured(case, &weights),
        contenders,
    }
}

fn is_enough(case: &Case, measured: &[Weight]) -> bool {
    let sum = |weights: &[Weight]| -> f64 { weights.iter().map(|weight| weight.weight).sum() };
    sum(measured) >= sum(case.weights) * MEASURED_SHARE_MIN
}

fn unmeasured(case: &Case, measured: &[Weight]) -> Vec<Metric> {
    let is_missing = |weight: &&Weight| !measured.iter().any(|other| other.metric == weight.metric);
    case.weights
        .iter()
        .filter(is_missing)
        .map(|weight| weight.metric)
        .collect()
}
