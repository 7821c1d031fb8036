//! What each contender costs, who is first, and why.

use super::case::Weight;
use super::{Answer, Contender, Cost, Decisive, RunnerUp, Standing};
use crate::level::Level;
use crate::metric::Metric;
use crate::results::Figure;
use crate::text;

impl Cost {
    pub(super) const ONE: Self = Self {
        median: 1.0,
        min: 1.0,
        max: 1.0,
    };
}

/// Gives those that are ranked their costs, and sorts: ranked ones by cost, then those that are out, then the unknown.
pub(super) fn rank(weights: &[Weight], contenders: &mut [Contender]) {
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

    /// A figure that decided.
    pub fn figure(&self, metric: Metric) -> Option<Figure> {
        let mut figures = self.figures.iter().copied();
        figures
            .find(|(own, _)| *own == metric)
            .map(|(_, figure)| figure)
    }

    /// The figure that a weight weighs, with what is sent beside it, not below its floor.
    fn value(&self, weight: &Weight) -> Option<Figure> {
        let figure = self.figure(weight.metric)?;
        let posts = self.posts_beside(weight.metric);
        Some(Figure {
            median: (figure.median + posts).max(weight.floor),
            min: (figure.min + posts).max(weight.floor),
            max: (figure.max + posts).max(weight.floor),
        })
    }

    /// What a figure does not have in it, because it is sent by requests of their own.
    pub fn posts_beside(&self, metric: Metric) -> f64 {
        if metric == Metric::Requests {
            self.posts
        } else {
            0.0
        }
    }
}

/// How the second's cost stands beside the first's. Who has none is apart.
pub(super) fn level(first: &Contender, second: &Contender) -> Level {
    let figure = |Cost { median, min, max }| Figure { median, min, max };
    let costs = first.cost().zip(second.cost());
    costs.map_or(Level::Apart, |(first, second)| {
        Level::of(&figure(first), &figure(second))
    })
}

/// What comes out of contenders that are ranked and sorted.
pub(super) fn answer(weights: &[Weight], contenders: &[Contender]) -> Answer {
    let Some((first, cost)) = contenders
        .first()
        .and_then(|first| Some((first, first.cost()?)))
    else {
        return without_a_first(contenders);
    };
    let others: Vec<&Contender> = contenders
        .iter()
        .filter(|other| other.choice.transport != first.choice.transport)
        .collect();
    let runner_up = others.iter().find_map(|other| {
        let theirs = other.cost()?;
        let ratio = theirs.median / cost.median;
        Some(RunnerUp {
            choice: other.choice,
            ratio,
            level: level(first, other),
            decided: decided(weights, first, other),
        })
    });
    // Those that are unknown might have been better: alone among them, nobody has won.
    let is_unknown = |other: &&Contender| matches!(other.standing, Standing::Unknown(_));
    if runner_up.is_none() && others.iter().any(is_unknown) {
        let name = text::choice(&first.choice);
        return Answer::CannotSay(format!(
            "only {name} was measured well enough, so there is nothing to compare it with"
        ));
    }
    Answer::Take { runner_up }
}

/// How the ratio of two costs comes about.
fn decided(weights: &[Weight], first: &Contender, second: &Contender) -> Vec<Decisive> {
    let whole: f64 = weights.iter().map(|weight| weight.weight).sum();
    let part = |weight: &Weight| {
        let ratio = second.value(weight)?.median / first.value(weight)?.median;
        Some(Decisive {
            metric: weight.metric,
            first: first.figure(weight.metric)?.median,
            second: second.figure(weight.metric)?.median,
            factor: ratio.powf(weight.weight / whole),
            posts: (
                first.posts_beside(weight.metric),
                second.posts_beside(weight.metric),
            ),
        })
    };
    let size = |decisive: &Decisive| decisive.factor.ln().abs();
    let mut decided: Vec<Decisive> = weights.iter().filter_map(part).collect();
    decided.retain(|decisive| size(decisive) > 0.01);
    decided.sort_by(|a, b| size(b).total_cmp(&size(a)));
    decided
}

/// Nobody holds what must hold, or it is not known who would.
fn without_a_first(contenders: &[Contender]) -> Answer {
    let unknown = contenders
        .iter()
        .find_map(|contender| match &contender.standing {
            Standing::Unknown(why) => Some(format!("{}: {why}", text::choice(&contender.choice))),
            Standing::Ranked { .. } | Standing::Out(_) => None,
        });
    unknown.map_or(Answer::Nobody, Answer::CannotSay)
}
