//! Which transport for which case, computed from the results.
//!
//! A case names the cells that speak for it, what must hold, and what is weighed. Each transport that holds what must hold
//! has a *cost*: each weighed figure divided by the least of them, to the power of its share of the weights, multiplied. So
//! who is best at everything costs 1. The least cost is taken. A transport that is level with it by the rule of
//! [`Level`] is named beside it.

pub mod case;
mod contender;
mod cost;
mod setting;
#[cfg(test)]
mod tests;

use crate::condition::{Choice, Condition};
use crate::level::Level;
use crate::metric::Metric;
use crate::results::{Figure, Results};
use case::{CASES, Case, Weight};
use contender::{examine, measured_weights, not_measured, rested};
use cost::{answer, level, rank};

/// The least share of what a case weighs that has to be measured.
pub const MEASURED_SHARE_MIN: f64 = 0.5;

/// What the results say of a case.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The case.
    pub case: &'static Case,
    /// The condition whose cells spoke, if there is one.
    pub condition: Option<Condition>,
    /// The conditions of the idle cells that spoke for what is weighed at rest; none if there was no such cell.
    pub at_rest: Vec<Condition>,
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
    /// Whether one of them can be called better.
    pub level: Level,
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
    /// What each sends beside what is in `first` and `second`: requests for each message received.
    pub posts: (f64, f64),
}

/// A transport that was considered.
#[derive(Debug, Clone, PartialEq)]
pub struct Contender {
    /// What it is.
    pub choice: Choice,
    /// How it stands.
    pub standing: Standing,
    /// The figures that decided: that of the limit, then those that are weighed. All of them were measured.
    pub figures: Vec<(Metric, Figure)>,
    /// Requests for each message received with which it has to send what it sends. They are counted beside its requests, and
    /// were not measured: their bytes and their CPU time are in no figure.
    pub posts: f64,
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
            if is_best && level(first, other).is_level() {
                taken.push(other.choice);
            }
        }
        taken
    }

    /// Those that are taken beside the first and the second, because this run does not tell them apart from the first.
    pub fn blurred(&self) -> Vec<Choice> {
        let Answer::Take { runner_up } = &self.answer else {
            return Vec::new();
        };
        let second = runner_up.as_ref().map(|second| second.choice);
        let mut taken = self.taken();
        taken.retain(|choice| {
            let mut contenders = self.contenders.iter();
            let other = contenders.find(|contender| contender.choice == *choice);
            let is_blurred = |other| level(&self.contenders[0], other) == Level::Blurred;
            Some(*choice) != second && other.is_some_and(is_blurred)
        });
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
            at_rest: Vec::new(),
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
        at_rest: rested(&weights, &cells, results),
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
