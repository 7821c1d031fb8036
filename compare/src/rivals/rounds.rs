//! Turns of rivals in rounds, and the arithmetic of their ratios.

use crowd::Kind;

use super::results::{Measure, Row};
use super::rival::Rival;
use super::series::Series;
use crate::results::{Figure, Warning};

/// From this share of its core on, in any round, the load may have been what limited a figure.
const LOAD_SHARE_MAX: f64 = 0.9;
/// From this share of a latency on, in most rounds, the load may have made it.
const LATE_SHARE_MAX: f64 = 0.1;
/// From this share of the time on, other programs may have made a latency.
pub const WAITED_SHARE_MAX: f64 = 0.1;

/// The code of the warning that says so.
pub const CORES_WERE_TAKEN: &str = "cores_were_taken";

/// The rows of a cell: for each measure, everybody.
pub fn rows(measures: &[Measure], transport: Kind, all: &[Series]) -> Vec<Row> {
    let of = |rival| all.iter().find(|series| series.rival == rival);
    let (nchan, everyway) = (of(Rival::Nchan), of(Rival::Everyway));
    let mut rows = Vec::new();
    for (index, &measure) in measures.iter().enumerate() {
        for series in all {
            let rounds = series.values(index);
            let to = |other: Option<&Series>| {
                let valid = other.filter(|other| !is_invalid(&warnings(measure, index, other)))?;
                figure(ratios(&rounds, &valid.values(index)))
            };
            let Some(value) = figure(rounds.clone()) else {
                continue;
            };
            rows.push(Row {
                measure,
                transport,
                rival: series.rival,
                value,
                to_nchan: to(nchan),
                to_everyway: to(everyway),
                load_cpu_share: series.shares(|shares| shares.load),
                waited_share: series.shares(|shares| shares.waited),
                load_late_share: series.late_shares(index),
                warnings: warnings(measure, index, series),
                rounds,
            });
        }
    }
    rows
}

/// Each round's ratio. A round in which the other's value is zero has none.
fn ratios(values: &[f64], others: &[f64]) -> Vec<f64> {
    let pairs = values.iter().zip(others);
    let divided = pairs.filter(|(_, other)| **other > 0.0);
    divided.map(|(value, other)| value / other).collect()
}

/// The median of at least one value, with the smallest and the largest.
pub fn figure(mut values: Vec<f64>) -> Option<Figure> {
    values.sort_by(f64::total_cmp);
    let (min, max) = (*values.first()?, *values.last()?);
    let half = values.len() / 2;
    let median = if values.len().is_multiple_of(2) {
        f64::midpoint(values[half - 1], values[half])
    } else {
        values[half]
    };
    Some(Figure { median, min, max })
}

/// A share that was rounded down, so that what is below a limit never reads as if it were at it.
pub fn percent(share: f64) -> String {
    // A billionth more, or 0.29 would be 28.9 %.
    format!("{:.1} %", (share * 1000.0 + 1e-9).floor() / 10.0)
}

/// What is divided by a figure that must not be used must not be used either.
fn is_invalid(warnings: &[Warning]) -> bool {
    warnings.iter().any(|warning| warning.invalidates)
}

/// What casts doubt on the value of each turn that has this index.
fn warnings(measure: Measure, index: usize, series: &Series) -> Vec<Warning> {
    let mut warnings = Vec::new();
    // What failed once may have gone wrong before, unseen.
    if series.has_failed {
        let rounds = series.turns.len();
        warnings.push(Warning {
            code: "failed".to_owned(),
            message: format!(
                "it failed after {rounds} of the rounds, which are shown and must not be used"
            ),
            invalidates: true,
        });
    }
    let load = series.shares(|shares| shares.load);
    if let Some(load) = load.filter(|load| load.max >= LOAD_SHARE_MAX) {
        let percent = percent(load.max);
        warnings.push(Warning {
            code: "load_at_its_limit".to_owned(),
            message: format!(
                "the load used {percent} of its core in a round, so it may have been the bottleneck"
            ),
            invalidates: true,
        });
    }
    let late = series.late_shares(index);
    if let Some(late) = late.filter(|late| late.median >= LATE_SHARE_MAX) {
        let percent = percent(late.median);
        warnings.push(Warning {
            code: "load_was_late".to_owned(),
            message: format!(
                "up to {percent} of it may be the load's, which was at work on other subscribers"
            ),
            invalidates: true,
        });
    }
    let waited = series.shares(|shares| shares.waited);
    let is_latency = matches!(measure, Measure::LatencyP50 | Measure::LatencyP99);
    if let Some(waited) = waited.filter(|waited| is_latency && waited.median >= WAITED_SHARE_MAX) {
        let percent = waited.median * 100.0;
        warnings.push(Warning {
            code: CORES_WERE_TAKEN.to_owned(),
            message: format!(
                "one side waited {percent:.0} % of the time for a core that other programs had"
            ),
            invalidates: false,
        });
    }
    let late = series.turns.iter().filter(|turn| !turn.kept_up).count();
    if late * 2 > series.turns.len() {
        warnings.push(Warning {
            code: "fell_behind".to_owned(),
            message: "it did not keep up with the messages that were published".to_owned(),
            invalidates: false,
        });
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::super::series::{Shares, Turn};
    use super::*;

    fn series(rival: Rival, values: &[f64], load: f64, waited: f64) -> Series {
        let shares = Some(Shares { load, waited });
        let turn = |&value: &f64| Turn {
            values: vec![value],
            late_shares: Vec::new(),
            shares,
            kept_up: true,
        };
        Series {
            rival,
            turns: values.iter().map(turn).collect(),
            has_failed: false,
        }
    }

    fn row_of(rival: Rival, rows: &[Row]) -> &Row {
        rows.iter().find(|row| row.rival == rival).unwrap()
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        // The machine is three times slower in the second round: values spread, ratios do not.
        let all = [
            series(Rival::Everyway, &[3.0, 9.0, 3.6], 0.5, 0.0),
            series(Rival::Nchan, &[6.0, 18.0, 6.0], 0.5, 0.0),
        ];
        let rows = rows(&[Measure::CpuOneInFlight], Kind::Sse, &all);
        let ours = row_of(Rival::Everyway, &rows);
        let (value, ratio) = (ours.value, ours.to_nchan.unwrap());
        assert_eq!((value.median, value.min, value.max), (3.6, 3.0, 9.0));
        assert_eq!((ratio.median, ratio.min, ratio.max), (0.5, 0.5, 0.6));
        assert_eq!(row_of(Rival::Nchan, &rows).to_everyway.unwrap().median, 2.0);
        assert_eq!(ours.to_everyway.unwrap().max, 1.0);
    }

    #[test]
    fn without_nchan_there_is_no_ratio_to_it() {
        let all = [series(Rival::Everyway, &[3.0], 0.5, 0.0)];
        let rows = rows(&[Measure::Memory], Kind::WebSocket, &all);
        assert_eq!(rows[0].to_nchan, None);
    }

    #[test]
    fn an_even_number_of_rounds_has_its_median_in_the_middle() {
        assert_eq!(figure(vec![4.0, 1.0, 2.0, 3.0]).unwrap().median, 2.5);
        assert_eq!(figure(vec![]), None);
    }

    #[test]
    fn a_load_at_its_limit_makes_a_figure_invalid_and_one_below_does_not() {
        for (load, is_valid, said) in [(0.8999, true, "89.9 %"), (0.9, false, "90.0 %")] {
            let mut all = [series(Rival::Everyway, &[3.0; 3], 0.5, 0.0)];
            // One round is enough.
            all[0].turns[1].shares = Some(Shares { load, waited: 0.0 });
            let rows = rows(&[Measure::CpuBurst64], Kind::WebSocket, &all);
            assert_eq!(rows[0].is_valid(), is_valid, "{load}");
            assert_eq!(percent(load), said);
        }
    }

    #[test]
    fn a_load_that_was_late_makes_a_latency_invalid() {
        for (late, is_valid) in [(0.0999, true), (0.1, false)] {
            let mut all = [series(Rival::Everyway, &[3.0; 3], 0.2, 0.0)];
            // p50 is not what the load made; p99 may be.
            for turn in &mut all[0].turns {
                turn.values.push(9.0);
                turn.late_shares = vec![0.0, 0.0];
            }
            // One round may be disturbed; two of three decide.
            all[0].turns[0].late_shares[1] = 0.5;
            all[0].turns[1].late_shares[1] = late;
            let rows = rows(
                &[Measure::LatencyP50, Measure::LatencyP99],
                Kind::Longpoll,
                &all,
            );
            assert!(rows[0].is_valid());
            assert_eq!(rows[1].is_valid(), is_valid, "{late}");
            assert_eq!(rows[1].load_late_share.unwrap().median, late);
        }
    }

    #[test]
    fn there_is_no_ratio_to_a_figure_that_must_not_be_used() {
        let all = [
            series(Rival::Everyway, &[3.0; 3], 0.95, 0.0),
            series(Rival::Nchan, &[6.0; 3], 0.5, 0.0),
        ];
        let rows = rows(&[Measure::CpuBurst64], Kind::Sse, &all);
        assert_eq!(row_of(Rival::Nchan, &rows).to_everyway, None);
        assert_eq!(row_of(Rival::Everyway, &rows).to_everyway, None);
        assert!(row_of(Rival::Everyway, &rows).to_nchan.is_some());
    }

    #[test]
    fn who_fails_keeps_its_rounds_and_nothing_is_divided_by_them() {
        let mut all = [
            series(Rival::Everyway, &[3.0; 3], 0.5, 0.0),
            series(Rival::Nchan, &[6.0; 2], 0.5, 0.0),
        ];
        all[1].has_failed = true;
        let rows = rows(&[Measure::CpuOneInFlight], Kind::Sse, &all);
        let failed = row_of(Rival::Nchan, &rows);
        assert_eq!(failed.rounds, [6.0; 2]);
        assert!(!failed.is_valid());
        let said = &failed.warnings[0].message;
        assert!(said.contains("failed after 2 of the rounds"), "{said}");
        assert_eq!(row_of(Rival::Everyway, &rows).to_nchan, None);
        assert!(row_of(Rival::Everyway, &rows).is_valid());
    }

    #[test]
    fn a_latency_that_other_programs_made_is_doubted() {
        for (measure, doubts) in [(Measure::LatencyP99, 1), (Measure::CpuOneInFlight, 0)] {
            let all = [series(Rival::Everyway, &[3.0; 3], 0.2, 0.1)];
            let rows = rows(&[measure], Kind::WebSocket, &all);
            assert_eq!(rows[0].warnings.len(), doubts, "{measure:?}");
            assert!(rows[0].is_valid());
        }
    }

    #[test]
    fn who_falls_behind_in_most_rounds_is_named() {
        fn rows_of(slow: &Series) -> Vec<Row> {
            rows(
                &[Measure::LatencyP99],
                Kind::Longpoll,
                std::slice::from_ref(slow),
            )
        }
        let mut slow = series(Rival::SocketIo, &[900.0; 3], 0.2, 0.0);
        slow.turns[0].kept_up = false;
        assert!(rows_of(&slow)[0].warnings.is_empty());
        slow.turns[2].kept_up = false;
        assert_eq!(rows_of(&slow)[0].warnings[0].code, "fell_behind");
    }
}
