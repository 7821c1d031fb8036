//! A run in progress: what was found so far, and its results on disk.

use std::collections::BTreeMap;
use std::time::{Instant, SystemTime};

use anyhow::Result;

use super::Session;
use crate::cell::{Cell, Rate};
use crate::hello::TOKEN_HINT;
use crate::label;
use crate::measure::Found;
use crate::output::Output;
use crate::plan::Planned;
use crate::results::{CellResult, Gateway, Method, Results, SCHEMA_VERSION, Skipped, Warning};
use crate::run::Outcome;
use crate::text::counted;
use crate::warning;
use crate::wire::Origin;

/// What to do about a gateway that refuses the load.
const LIMITS_HINT: &str = "; switch limits.attach, limits.requests and limits.publish off there, or choose fewer \
                           --subscribers and a lower --rate; with a token of a user, which `everyway token --user` makes, \
                           raise limits.attachments_per_user_max, or take one without";

/// Codes of refusals by limits.
const LIMITED: [&str; 2] = ["rate_limited", "overloaded"];

/// Codes of refusals that another token may help against.
const WANTS_TOKEN: [&str; 3] = ["\"unauthorized\"", "\"token_expired\"", "\"forbidden\""];

/// A run in progress.
pub struct Progress {
    found: Vec<Found>,
    /// Those that failed.
    given_up: BTreeMap<usize, String>,
    /// As they are on disk.
    pub results: Results,
    /// What casts doubt on the run, whatever is found.
    standing_warnings: Vec<String>,
    began: Instant,
}

impl Progress {
    /// Nothing yet.
    pub fn new(session: &Session, cells: &[Planned], skipped: Vec<Skipped>) -> Self {
        let found = cells
            .iter()
            .map(|planned| Found::nothing(planned.cell.clone(), planned.timing));
        let results = Results {
            schema_version: SCHEMA_VERSION,
            started_at: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            took_s: 0.0,
            command: session.command.clone(),
            complete: false,
            machine: session.machine.clone(),
            gateway: Gateway {
                server: "unknown".to_owned(),
                url: session.url.clone(),
                watched: matches!(session.origin, Origin::Own { .. }),
            },
            method: Method {
                repeats: session.plan.repeats,
                warm_up_s: session.plan.timing.warm_up.as_secs_f64(),
                measure_s: session.plan.timing.measure.as_secs_f64(),
                seed: session.seed,
            },
            cells: Vec::new(),
            skipped,
            warnings: warnings(session),
        };
        Self {
            found: found.collect(),
            given_up: BTreeMap::new(),
            standing_warnings: results.warnings.clone(),
            results,
            began: Instant::now(),
        }
    }

    /// A cell that failed is not tried again: it would fail again.
    pub fn take(&mut self, index: usize, cell: &Cell, outcome: Result<Outcome>) {
        match outcome {
            Ok(outcome) => self.found[index].add(&outcome),
            Err(error) => {
                let mut why = format!("{error:#}");
                // Only those of a gateway elsewhere are on.
                if LIMITED.iter().any(|code| why.contains(code)) {
                    why.push_str(LIMITS_HINT);
                }
                // Ours lets everybody do everything.
                if WANTS_TOKEN.iter().any(|code| why.contains(code)) {
                    why.push_str("; ");
                    why.push_str(TOKEN_HINT);
                }
                self.given_up.insert(index, why.clone());
                self.results.skipped.push(Skipped {
                    what: label::of(cell),
                    why: format!("it failed: {why}"),
                });
            }
        }
    }

    /// True if a cell failed.
    pub fn has_given_up(&self, index: usize) -> bool {
        self.given_up.contains_key(&index)
    }

    /// Writes what there is.
    pub fn save(&mut self, output: &Output) -> Result<()> {
        self.results.took_s = (self.began.elapsed().as_secs_f64() * 10.0).round() / 10.0;
        self.results.cells = self
            .found
            .iter()
            .enumerate()
            .filter_map(|(index, found)| {
                let why = self.given_up.get(&index);
                Some(with_failure(found.result()?, why.map(String::as_str)))
            })
            .collect::<Vec<CellResult>>();
        self.results.warnings.clone_from(&self.standing_warnings);
        self.results
            .warnings
            .extend(busy_machine(&self.results.cells));
        self.results
            .warnings
            .extend(single_repeats(&self.results.cells));
        output.write(&self.results)
    }
}

/// A cell of which a later repeat failed must not be used: what failed once may have gone wrong before, unseen.
fn with_failure(mut result: CellResult, why: Option<&str>) -> CellResult {
    result.warnings.extend(why.map(|why| Warning {
        code: "repeat_failed".to_owned(),
        message: format!("repeat {} failed: {why}", result.repeats + 1),
        invalidates: true,
    }));
    result
}

/// What casts doubt on a whole run.
fn warnings(session: &Session) -> Vec<String> {
    let mut warnings = Vec::new();
    if cfg!(debug_assertions) {
        warnings.push(
            "this is a debug build, whose times mean nothing: use cargo run --release".to_owned(),
        );
    }
    if matches!(session.origin, Origin::Own { .. }) && session.machine.cores < 2 {
        warnings.push(
            "gateway and load share one core: both are slower than they are alone".to_owned(),
        );
    }
    if matches!(session.origin, Origin::Url(_)) {
        warnings.push("the gateway runs elsewhere: its CPU time and memory, and what it is busy with, are not seen".to_owned());
    }
    warnings
}

/// If others were at work in half of the cells or more, that is said once for all of them.
fn busy_machine(cells: &[CellResult]) -> Option<String> {
    let is_disturbed = |cell: &&CellResult| {
        let mut warnings = cell.warnings.iter();
        warnings.any(|warning| warning.code == warning::BACKGROUND_LOAD)
    };
    let disturbed = cells.iter().filter(is_disturbed).count();
    (disturbed > 0 && disturbed * 2 >= cells.len()).then(|| {
        format!(
            "other processes were at work in {disturbed} of {}: latencies are theirs, too. Measure on a quiet machine",
            counted(cells.len(), "cell")
        )
    })
}

/// Figures without a spread look firmer than they are. At rest they are counts, and do not vary.
fn single_repeats(cells: &[CellResult]) -> Option<String> {
    let busy = || cells.iter().filter(|it| it.cell.rate != Rate::Idle);
    let single = busy().filter(|it| it.repeats == 1).count();
    (single > 0).then(|| {
        format!(
            "{single} of {} have a single repeat, and so no spread: what differs between them may be noise",
            counted(busy().count(), "cell")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Transport;
    use crate::sample;

    #[test]
    fn cells_with_a_single_repeat_are_told_unless_they_are_at_rest() {
        let mut cells: Vec<CellResult> = Transport::ALL.map(sample::cell).to_vec();
        cells.iter_mut().for_each(|cell| cell.repeats = 2);
        assert_eq!(single_repeats(&cells), None);
        cells[0].repeats = 1;
        cells[1].repeats = 1;
        cells[1].cell.rate = Rate::Idle;
        let said = single_repeats(&cells).expect("a warning");
        assert!(
            said.starts_with("1 of 3 cells have a single repeat"),
            "{said}"
        );
    }

    #[test]
    fn a_busy_machine_is_said_once_if_it_was_so_in_half_of_the_cells() {
        let disturbed = |count: usize| {
            let mut cells: Vec<CellResult> = Transport::ALL.map(sample::cell).to_vec();
            for cell in &mut cells[..count] {
                cell.warnings.push(Warning {
                    code: warning::BACKGROUND_LOAD.to_owned(),
                    message: String::new(),
                    invalidates: false,
                });
            }
            busy_machine(&cells).is_some()
        };
        assert_eq!([0, 1, 2].map(disturbed), [false, false, true]);
        assert_eq!(busy_machine(&[]), None);
    }

    #[test]
    fn one_cell_is_not_many() {
        let mut cell = sample::cell(Transport::Sse);
        cell.warnings.push(Warning {
            code: warning::BACKGROUND_LOAD.to_owned(),
            message: String::new(),
            invalidates: false,
        });
        let said = busy_machine(&[cell]).expect("it was busy");
        assert!(said.contains("in 1 of 1 cell:"), "{said}");
    }

    #[test]
    fn a_cell_of_which_a_later_repeat_failed_is_invalid() {
        let whole = sample::cell(Transport::Sse);
        assert_eq!(with_failure(whole.clone(), None), whole);
        let broken = with_failure(whole, Some("the gateway closed a connection"));
        assert!(!broken.is_valid());
        assert_eq!(
            broken.warnings[0].message,
            "repeat 4 failed: the gateway closed a connection"
        );
    }
}
