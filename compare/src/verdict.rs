//! Which transport for which case, computed from the results.
//!
//! A case names the cells that speak for it, what must hold, and what is weighed. Each transport that holds what must hold
//! has a *cost*: each weighed figure divided by the least of them, to the power of its share of the weights, multiplied. So
//! who is best at everything costs 1. The least cost is taken. A transport that comes within [`LEVEL`], or whose spread
//! reaches the first one's, is level with it.

pub mod case;
mod setting;
#[cfg(test)]
mod tests;

use crate::cell::Transport;
use crate::condition::{Choice, Condition, at_rest};
use crate::metric::Metric;
use crate::results::{CellResult, Figure, Results};
use case::{CASES, Case, Weight};

/// Costs whose ratio is below this are level.
pub const LEVEL: f64 = 1.1;

/// What the results say of a case.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The case.
    pub case: &'static Case,
    /// The condition whose cells spoke, if there is one.
    pub condition: Option<Condition>,
    /// What came out.
    pub answer: Answer,
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
    /// That of the first, not below the weight's floor.
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

/// The verdict on every case.
pub fn all(results: &Results) -> Vec<Verdict> {
    CASES.iter().map(|case| judge(case, results)).collect()
}

/// The verdict on one case.
pub fn judge(case: &'static Case, results: &Results) -> Verdict {
    let Some(condition) = case.setting.condition(results) else {
        let wanted = case.setting.in_words();
        return Verdict {
            case,
            condition: None,
            answer: Answer::CannotSay(format!("nothing was measured with {wanted}")),
            contenders: Vec::new(),
        };
    };
    let cells = condition.cells(results);
    let weights = measured_weights(case, &cells, results);
    let mut contenders: Vec<Contender> = cells
        .iter()
        .map(|cell| examine(case, &weights, cell, results))
        .collect();
    contenders.extend(not_measured(&cells));
    rank(&weights, &mut contenders);
    Verdict {
        case,
        condition: Some(condition),
        answer: answer(&weights, &contenders),
        contenders,
    }
}

/// The transports without a cell, so that nobody is passed over in silence.
fn not_measured<'a>(cells: &'a [&CellResult]) -> impl Iterator<Item = Contender> + 'a {
    let measured = |transport| cells.iter().any(|cell| cell.cell.transport == transport);
    let missing = Transport::ALL
        .into_iter()
        .filter(move |&transport| !measured(transport));
    missing.map(|transport| Contender {
        choice: Choice {
            transport,
            poll_interval_s: None,
            deflate: false,
        },
        standing: Standing::Unknown("not measured here".to_owned()),
        figures: Vec::new(),
    })
}

/// The weights whose figure any valid cell has: what was measured of nobody (as CPU time, if the server runs elsewhere)
/// cannot tell them apart, and counts for nobody.
fn measured_weights(case: &Case, cells: &[&CellResult], results: &Results) -> Vec<Weight> {
    let measured = |weight: &&Weight| {
        cells
            .iter()
            .any(|cell| cell.is_valid() && weighed_figure(weight, cell, results).is_some())
    };
    case.weights.iter().filter(measured).copied().collect()
}

fn weighed_figure(weight: &Weight, cell: &CellResult, results: &Results) -> Option<Figure> {
    let figure = if weight.at_rest {
        at_rest(results, cell, weight.metric)?
    } else {
        weight.metric.of(cell)?
    };
    let posts = if cell.cell.transport.sends() {
        0.0
    } else {
        weight.posts
    };
    Some(Figure {
        median: figure.median + posts,
        min: figure.min + posts,
        max: figure.max + posts,
    })
}

/// How one cell stands before costs are compared. A rank is given later, here it is 1.
fn examine(case: &Case, weights: &[Weight], cell: &CellResult, results: &Results) -> Contender {
    let choice = Choice::of(&cell.cell);
    let limited = case.limit.metric.of(cell);
    let weighed: Vec<Option<Figure>> = weights
        .iter()
        .map(|weight| weighed_figure(weight, cell, results))
        .collect();
    let mut figures: Vec<(Metric, Figure)> = limited
        .map(|figure| (case.limit.metric, figure))
        .into_iter()
        .collect();
    for (weight, figure) in weights.iter().zip(&weighed) {
        if let Some(figure) = figure
            && !figures.iter().any(|(metric, _)| *metric == weight.metric)
        {
            figures.push((weight.metric, *figure));
        }
    }
    let standing = standing(case, weights, cell, limited, &weighed);
    Contender {
        choice,
        standing,
        figures,
    }
}

fn standing(
    case: &Case,
    weights: &[Weight],
    cell: &CellResult,
    limited: Option<Figure>,
    weighed: &[Option<Figure>],
) -> Standing {
    use crate::report::text::with_unit;
    if case.must_send && !cell.cell.transport.sends() {
        return Standing::Out("clients must send over it and cannot".to_owned());
    }
    if let Some(warning) = cell.warnings.iter().find(|warning| warning.invalidates) {
        return Standing::Unknown(format!("its cell is invalid: {}", warning.message));
    }
    let Some(limited) = limited else {
        return Standing::Unknown(format!("its {} was not measured", case.limit.metric.name()));
    };
    if limited.median > case.limit.at_most {
        let name = case.limit.metric.name();
        let is = with_unit(case.limit.metric, limited.median);
        let most = with_unit(case.limit.metric, case.limit.at_most);
        return Standing::Out(format!("{name} {is}, more than {most}"));
    }
    let missing = weights
        .iter()
        .zip(weighed)
        .find(|(_, figure)| figure.is_none());
    match missing {
        Some((weight, _)) => {
            Standing::Unknown(format!("its {} was not measured", weight.metric.name()))
        }
        None => Standing::Ranked { cost: Cost::ONE },
    }
}

impl Cost {
    const ONE: Self = Self {
        median: 1.0,
        min: 1.0,
        max: 1.0,
    };
}

/// Gives those that are ranked their costs, and sorts: ranked ones by cost, then those that are out, then the unknown.
fn rank(weights: &[Weight], contenders: &mut [Contender]) {
    let whole: f64 = weights.iter().map(|weight| weight.weight).sum();
    for weight in weights {
        let share = weight.weight / whole;
        let value = |contender: &Contender| contender.value(weight);
        let ranked = contenders
            .iter()
            .filter(|contender| contender.cost().is_some());
        let least = ranked
            .filter_map(value)
            .map(|figure| figure.median)
            .fold(f64::INFINITY, f64::min);
        for contender in contenders.iter_mut() {
            let Some(figure) = contender.value(weight) else {
                continue;
            };
            if let Standing::Ranked { cost } = &mut contender.standing {
                cost.median *= (figure.median / least).powf(share);
                cost.min *= (figure.min / least).powf(share);
                cost.max *= (figure.max / least).powf(share);
            }
        }
    }
    let key = |contender: &Contender| match &contender.standing {
        Standing::Ranked { cost } => (0, cost.median),
        Standing::Out(_) => (1, 0.0),
        Standing::Unknown(_) => (2, 0.0),
    };
    contenders.sort_by(|a, b| {
        let (a, b) = (key(a), key(b));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
    });
}

impl Contender {
    /// Its cost, if it has one.
    pub fn cost(&self) -> Option<Cost> {
        match self.standing {
            Standing::Ranked { cost } => Some(cost),
            Standing::Out(_) | Standing::Unknown(_) => None,
        }
    }

    /// The figure that a weight weighs, not below its floor.
    fn value(&self, weight: &Weight) -> Option<Figure> {
        let (_, figure) = self
            .figures
            .iter()
            .find(|(metric, _)| *metric == weight.metric)?;
        Some(Figure {
            median: figure.median.max(weight.floor),
            min: figure.min.max(weight.floor),
            max: figure.max.max(weight.floor),
        })
    }
}

fn answer(weights: &[Weight], contenders: &[Contender]) -> Answer {
    let unknown = |contender: &Contender| matches!(contender.standing, Standing::Unknown(_));
    let Some((first, cost)) = contenders
        .first()
        .and_then(|first| Some((first, first.cost()?)))
    else {
        return match contenders.iter().find(|contender| unknown(contender)) {
            None => Answer::Nobody,
            Some(Contender {
                choice, standing, ..
            }) => {
                let Standing::Unknown(why) = standing else {
                    unreachable!("found as unknown")
                };
                Answer::CannotSay(format!("{}: {why}", crate::report::text::choice(choice)))
            }
        };
    };
    let others: Vec<&Contender> = contenders
        .iter()
        .filter(|other| other.choice.transport != first.choice.transport)
        .collect();
    if weights.is_empty() {
        return Answer::CannotSay("none of the figures that it weighs was measured".to_owned());
    }
    if others.iter().all(|other| unknown(other)) {
        let name = crate::report::text::choice(&first.choice);
        return Answer::CannotSay(format!(
            "only {name} was measured well enough, so there is nothing to compare it with"
        ));
    }
    let runner_up = others.iter().find_map(|other| {
        let theirs = other.cost()?;
        let ratio = theirs.median / cost.median;
        Some(RunnerUp {
            choice: other.choice,
            ratio,
            level: ratio < LEVEL || theirs.min <= cost.max,
            decided: decided(weights, first, other),
        })
    });
    Answer::Take { runner_up }
}

/// How the ratio of two costs comes about.
fn decided(weights: &[Weight], first: &Contender, second: &Contender) -> Vec<Decisive> {
    let whole: f64 = weights.iter().map(|weight| weight.weight).sum();
    let mut decided: Vec<Decisive> = weights
        .iter()
        .filter_map(|weight| {
            let (first, second) = (first.value(weight)?.median, second.value(weight)?.median);
            Some(Decisive {
                metric: weight.metric,
                first,
                second,
                factor: (second / first).powf(weight.weight / whole),
            })
        })
        .filter(|decisive| decisive.factor.ln().abs() > 0.01)
        .collect();
    decided.sort_by(|a, b| b.factor.ln().abs().total_cmp(&a.factor.ln().abs()));
    decided
}
