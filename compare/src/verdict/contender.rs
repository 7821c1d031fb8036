//! How each cell of a case stands before costs are compared.

use super::case::{Case, Weight};
use super::{Contender, Cost, Standing};
use crate::cell::Transport;
use crate::condition::{Choice, Condition, at_rest};
use crate::metric::Metric;
use crate::results::{CellResult, Figure, Results};
use crate::text;

/// The transports without a cell, so that nobody is passed over in silence.
pub(super) fn not_measured(case: &Case, cells: &[&CellResult]) -> Vec<Contender> {
    let is_missing =
        |transport: &Transport| !cells.iter().any(|cell| cell.cell.transport == *transport);
    let missing = Transport::ALL.into_iter().filter(is_missing);
    missing
        .map(|transport| Contender {
            choice: Choice {
                transport,
                poll_interval_s: None,
                deflate: false,
            },
            standing: cannot_send(case, transport)
                .unwrap_or_else(|| Standing::Unknown("not measured here".to_owned())),
            figures: Vec::new(),
            posts: posts(case.weights, transport),
        })
        .collect()
}

fn cannot_send(case: &Case, transport: Transport) -> Option<Standing> {
    let cannot = case.must_send && !transport.sends();
    cannot.then(|| Standing::Out("clients must send over it and cannot".to_owned()))
}

/// The weights whose figure any valid cell has: what was measured of nobody (as CPU time, if the server runs elsewhere)
/// cannot tell them apart, and counts for nobody.
pub(super) fn measured_weights(
    case: &Case,
    cells: &[&CellResult],
    results: &Results,
) -> Vec<Weight> {
    let measured = |weight: &&Weight| {
        cells
            .iter()
            .any(|cell| cell.is_valid() && weighed_figure(weight, cell, results).is_some())
    };
    case.weights.iter().filter(measured).copied().collect()
}

fn weighed_figure(weight: &Weight, cell: &CellResult, results: &Results) -> Option<Figure> {
    if weight.at_rest {
        at_rest(results, cell, weight.metric).map(|(_, figure)| figure)
    } else {
        weight.metric.of(cell)
    }
}

/// The conditions of the idle cells whose figures are weighed, each once.
pub(super) fn rested(
    weights: &[Weight],
    cells: &[&CellResult],
    results: &Results,
) -> Vec<Condition> {
    let mut conditions = Vec::new();
    for weight in weights.iter().filter(|weight| weight.at_rest) {
        for cell in cells {
            let Some((idle, _)) = at_rest(results, cell, weight.metric) else {
                continue;
            };
            let condition = Condition::of(&idle.cell);
            if !conditions.contains(&condition) {
                conditions.push(condition);
            }
        }
    }
    conditions
}

/// The requests for each message received with which a transport sends, if it does not over its own connection.
fn posts(weights: &[Weight], transport: Transport) -> f64 {
    if transport.sends() {
        return 0.0;
    }
    weights.iter().map(|weight| weight.posts).sum()
}

/// How one cell stands before costs are compared. Costs come later; here each is 1.
pub(super) fn examine(
    case: &Case,
    weights: &[Weight],
    cell: &CellResult,
    results: &Results,
) -> Contender {
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
        posts: posts(weights, cell.cell.transport),
    }
}

fn standing(
    case: &Case,
    weights: &[Weight],
    cell: &CellResult,
    limited: Option<Figure>,
    weighed: &[Option<Figure>],
) -> Standing {
    if let Some(out) = cannot_send(case, cell.cell.transport) {
        return out;
    }
    if let Some(warning) = cell.warnings.iter().find(|warning| warning.invalidates) {
        return Standing::Unknown(format!("its cell is invalid: {}", warning.message));
    }
    let Some(limited) = limited else {
        return Standing::Unknown(format!("its {} was not measured", case.limit.metric.name()));
    };
    if limited.median > case.limit.at_most {
        let name = case.limit.metric.name();
        let is = text::with_unit(case.limit.metric, limited.median);
        let most = text::with_unit(case.limit.metric, case.limit.at_most);
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
