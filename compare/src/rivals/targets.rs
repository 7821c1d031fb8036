//! What Everyway is to reach, and whether it does.

use crowd::Kind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::results::{Measure, Row};
use super::rival::Rival;
use crate::results::Figure;

/// A figure to reach.
#[derive(Debug, Clone, Copy)]
struct Target {
    measure: Measure,
    transport: Kind,
    must: f64,
    goal: f64,
}

impl Target {
    const fn new(measure: Measure, transport: Kind, must: f64, goal: f64) -> Self {
        Self {
            measure,
            transport,
            must,
            goal,
        }
    }
}

/// Memory in KiB; all else as a ratio to Nchan in the same run.
const TARGETS: [Target; 11] = [
    Target::new(Measure::CpuOneInFlight, Kind::WebSocket, 1.0, 0.9),
    Target::new(Measure::CpuBurst64, Kind::WebSocket, 0.3, 0.15),
    Target::new(Measure::CpuOneInFlight, Kind::Sse, 1.0, 0.9),
    Target::new(Measure::CpuBurst64, Kind::Sse, 0.4, 0.25),
    Target::new(Measure::CpuOneInFlight, Kind::Longpoll, 1.0, 0.9),
    Target::new(Measure::LatencyP99, Kind::WebSocket, 1.0, 0.8),
    Target::new(Measure::LatencyP99, Kind::Sse, 1.0, 0.8),
    Target::new(Measure::LatencyP99, Kind::Longpoll, 1.0, 0.8),
    Target::new(Measure::Memory, Kind::WebSocket, 4.0, 2.0),
    Target::new(Measure::Memory, Kind::Sse, 12.0, 9.0),
    Target::new(Measure::Memory, Kind::Longpoll, 12.0, 9.0),
];

/// A figure to reach beside the one that was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// What.
    pub measure: Measure,
    /// Over what.
    pub transport: Kind,
    /// Must not be exceeded: KiB for memory, else a ratio to Nchan.
    pub must: f64,
    /// Is to be reached in the end.
    pub goal: f64,
    /// What was measured, the median with its spread; absent if a figure in it must not be used.
    pub measured: Option<Figure>,
    /// What follows.
    pub outcome: Outcome,
    /// True if a warning casts doubt on one of the two figures, so that the outcome may be another on a quiet machine.
    pub is_doubtful: bool,
    /// True if the smallest and the largest round have different outcomes, so that the median does not settle it.
    pub is_within_spread: bool,
}

/// What follows from a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The goal is reached.
    Goal,
    /// What must be is reached.
    Must,
    /// It is not.
    Short,
    /// The figure must not be used.
    Invalid,
}

impl Outcome {
    /// Its name in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Goal => "goal reached",
            Self::Must => "must reached",
            Self::Short => "falls short",
            Self::Invalid => "no valid figure",
        }
    }
}

/// A verdict for each target whose figure was measured.
pub fn verdicts(rows: &[Row]) -> Vec<Verdict> {
    TARGETS
        .iter()
        .filter_map(|target| verdict(target, rows))
        .collect()
}

fn verdict(target: &Target, rows: &[Row]) -> Option<Verdict> {
    let of = |rival| {
        rows.iter().find(|row| {
            (row.measure, row.transport, row.rival) == (target.measure, target.transport, rival)
        })
    };
    let ours = of(Rival::Everyway)?;
    let is_ratio = target.measure != Measure::Memory;
    let sides = match is_ratio {
        true => vec![ours, of(Rival::Nchan)?],
        false => vec![ours],
    };
    let figure = if is_ratio {
        ours.to_nchan
    } else {
        Some(ours.value)
    };
    let measured = figure.filter(|_| sides.iter().all(|row| row.is_valid()));
    let outcome = |value| match value {
        value if value <= target.goal => Outcome::Goal,
        value if value <= target.must => Outcome::Must,
        _ => Outcome::Short,
    };
    Some(Verdict {
        measure: target.measure,
        transport: target.transport,
        must: target.must,
        goal: target.goal,
        measured,
        outcome: measured.map_or(Outcome::Invalid, |figure| outcome(figure.median)),
        is_doubtful: sides.iter().any(|row| !row.warnings.is_empty()),
        is_within_spread: measured.is_some_and(|figure| outcome(figure.min) != outcome(figure.max)),
    })
}

#[cfg(test)]
mod tests {
    use super::super::rounds::rows;
    use super::super::series::{Series, Shares, Turn};
    use super::*;

    fn outcome(ours: f64, load: f64) -> Outcome {
        verdict_on(Measure::CpuBurst64, ours, load, 0.0).outcome
    }

    /// The verdict on a figure of ours beside one of Nchan, which is 10.
    fn verdict_on(measure: Measure, ours: f64, load: f64, waited: f64) -> Verdict {
        let series = |rival, value, load| Series {
            rival,
            turns: vec![Turn {
                values: vec![value],
                late_shares: Vec::new(),
                shares: Some(Shares { load, waited }),
                kept_up: true,
            }],
            has_failed: false,
        };
        let all = [
            series(Rival::Everyway, ours, 0.1),
            series(Rival::Nchan, 10.0, load),
        ];
        let rows = rows(&[measure], Kind::WebSocket, &all);
        let mut verdicts = verdicts(&rows);
        assert_eq!(verdicts.len(), 1);
        verdicts.remove(0)
    }

    #[test]
    fn a_figure_at_its_limit_reaches_it_and_one_past_it_does_not() {
        assert_eq!(outcome(1.5, 0.1), Outcome::Goal);
        assert_eq!(outcome(1.6, 0.1), Outcome::Must);
        assert_eq!(outcome(3.0, 0.1), Outcome::Must);
        assert_eq!(outcome(3.1, 0.1), Outcome::Short);
    }

    #[test]
    fn a_ratio_to_a_figure_that_must_not_be_used_is_none() {
        let verdict = verdict_on(Measure::CpuBurst64, 1.0, 0.95, 0.0);
        assert_eq!(
            (verdict.outcome, verdict.measured),
            (Outcome::Invalid, None)
        );
    }

    #[test]
    fn a_bound_within_the_spread_is_not_settled() {
        let of = |ours: &[f64]| {
            let series = |rival, values: &[f64]| Series {
                rival,
                turns: values
                    .iter()
                    .map(|&value| Turn {
                        values: vec![value],
                        late_shares: Vec::new(),
                        shares: None,
                        kept_up: true,
                    })
                    .collect(),
                has_failed: false,
            };
            let all = [
                series(Rival::Everyway, ours),
                series(Rival::Nchan, &[10.0; 3]),
            ];
            verdicts(&rows(&[Measure::CpuBurst64], Kind::WebSocket, &all)).remove(0)
        };
        let settled = of(&[2.0, 2.5, 2.9]);
        assert_eq!(
            (settled.outcome, settled.is_within_spread),
            (Outcome::Must, false)
        );
        let open = of(&[2.0, 2.5, 3.1]);
        assert_eq!((open.outcome, open.is_within_spread), (Outcome::Must, true));
    }

    #[test]
    fn a_latency_of_a_busy_machine_is_doubtful() {
        for (waited, is_doubtful) in [(0.09, false), (0.1, true)] {
            let verdict = verdict_on(Measure::LatencyP99, 5.0, 0.1, waited);
            assert_eq!(verdict.outcome, Outcome::Goal);
            assert_eq!(verdict.is_doubtful, is_doubtful, "{waited}");
        }
    }
}
