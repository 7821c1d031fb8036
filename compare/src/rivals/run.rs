//! One run: everybody in turns, cell after cell, and what was done so far on disk.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use crowd::Kind;
use crowd::place::Place;
use crowd::process::Process;

use super::install::{Installed, Shelf};
use super::launch::Launcher;
use super::options::{Figures, Options};
use super::results::{Contender, Measure, RivalsResults, SCHEMA_VERSION};
use super::rig::Rig;
use super::rival::Rival;
use super::say::say;
use super::series::{Series, Turn, keep, note_failure, note_turn};
use super::stop::Stop;
use super::{FILES_MAX, memory, report, rounds, targets, turns};
use crate::machine;
use crate::output::Output;
use crate::results::{Machine, Skipped};

/// What the load opens besides the connections.
const OTHER_FILES: u64 = 200;

/// A run, prepared.
#[derive(Debug)]
pub struct Run {
    options: Options,
    place: Place,
    shelf: Shelf,
    files_max: u64,
    /// Logs and configurations of the servers.
    folder: tempfile::TempDir,
    began: Instant,
    contenders: Vec<Installed>,
    results: RivalsResults,
    stop: Stop,
}

impl Run {
    /// Finds and installs the rivals.
    pub fn prepare(options: &Options) -> Result<Self> {
        let began = Instant::now();
        let files_max = rlimit::increase_nofile_limit(FILES_MAX)?;
        let place = Place::find(options.unpinned)?;
        let machine = Machine {
            placement: place.to_string(),
            ..machine::describe()
        };
        place.take_for_load()?;
        let shelf = Shelf {
            folder: PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".rivals"),
            may_install: !options.no_install,
        };
        let results = RivalsResults {
            schema_version: SCHEMA_VERSION,
            started_at: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            took_s: 0.0,
            command: command(),
            complete: false,
            machine,
            method: options.method(),
            contenders: Vec::new(),
            rows: Vec::new(),
            verdicts: Vec::new(),
            skipped: Vec::new(),
        };
        let mut run = Self {
            options: options.clone(),
            place,
            shelf,
            files_max,
            folder: tempfile::tempdir()?,
            began,
            contenders: Vec::new(),
            results,
            stop: Stop::default(),
        };
        run.check_files()?;
        // Before anything is installed, which takes minutes.
        Output::into(&run.options.out)?;
        run.find_rivals();
        // Until here Ctrl-C ends the process as usual, and what is being installed with it.
        run.stop = Stop::listen()?;
        Ok(run)
    }

    /// All rigs of a transport are connected at once.
    fn check_files(&self) -> Result<()> {
        let method = &self.results.method;
        let crowds = method.subscribers * Rival::ALL.len();
        let needed = crowds.max(method.connections) as u64 + OTHER_FILES;
        let has = self.files_max;
        ensure!(
            has >= needed,
            "{needed} open files are needed and {has} allowed: raise the limit (ulimit -Hn), or lower --subscribers and \
             --connections"
        );
        Ok(())
    }

    fn find_rivals(&mut self) {
        for rival in self.options.rivals() {
            match self.shelf.find(rival) {
                Ok(installed) => {
                    say(format_args!("{} {}", rival.name(), installed.version));
                    self.results.contenders.push(Contender {
                        rival,
                        version: installed.version.clone(),
                        setup: rival.setup().to_owned(),
                    });
                    self.contenders.push(installed);
                }
                Err(error) => self.skip(rival.name().to_owned(), &error),
            }
        }
    }

    fn skip(&mut self, what: String, error: &anyhow::Error) {
        say(format_args!("skipped: {what}: {error:#}"));
        self.results.skipped.push(Skipped {
            what,
            why: format!("{error:#}"),
        });
    }

    /// Measures everything that was asked for, and returns whether it was all done. If Everyway itself fails somewhere, that
    /// is the error, in the end.
    pub fn measure(mut self) -> Result<bool> {
        say(self.place);
        self.save()?;
        let mut failures = Vec::new();
        for kind in self.options.kinds() {
            if self.stop.is_asked() {
                break;
            }
            if self.options.wants(Figures::Cpu) || self.options.wants(Figures::Latency) {
                failures.extend(self.load(kind)?);
            }
            if self.options.wants(Figures::Memory) && !self.stop.is_asked() {
                failures.extend(self.memory(kind)?);
            }
        }
        self.results.complete = !self.stop.is_asked();
        self.save()?;
        let (table, folder) = (report::text(&self.results), self.options.out.display());
        // Nobody may be there to read it: the files are.
        let _ = writeln!(
            std::io::stdout(),
            "{table}\nin {folder}: rivals.json, rivals.md"
        );
        let ours: Vec<String> = failures
            .into_iter()
            .filter(|failure| failure.rival == Rival::Everyway)
            .map(|failure| format!("{:#}", failure.error))
            .collect();
        ensure!(ours.is_empty(), "Everyway failed: {}", ours.join("; "));
        Ok(self.results.complete)
    }

    /// CPU time and latency over one transport, with a rig for everybody.
    fn load(&mut self, kind: Kind) -> Result<Vec<Failure>> {
        let method = self.results.method;
        let turn = Duration::from_secs_f64(method.turn_s);
        let mut failures = Vec::new();
        let mut rigs = self.rigs(kind, &mut failures);
        if self.options.wants(Figures::Cpu) {
            let polls = kind == Kind::Longpoll;
            let one = |rig: &mut Rig| turns::cpu(rig, 1, turn, polls);
            self.cell(
                kind,
                &[Measure::CpuOneInFlight],
                &mut rigs,
                one,
                &mut failures,
            )?;
            // A poll takes all that is there at once: bursts say nothing about it.
            if kind != Kind::Longpoll && !self.stop.is_asked() {
                let burst = |rig: &mut Rig| turns::cpu(rig, 64, turn, polls);
                self.cell(
                    kind,
                    &[Measure::CpuBurst64],
                    &mut rigs,
                    burst,
                    &mut failures,
                )?;
            }
        }
        if self.options.wants(Figures::Latency) && !self.stop.is_asked() {
            let warm_up = Duration::from_secs_f64(method.latency_warm_up_s);
            let lasts = Duration::from_secs_f64(method.latency_turn_s);
            let latency = |rig: &mut Rig| turns::latency(rig, method.rate_per_s, warm_up, lasts);
            let measures = [Measure::LatencyP50, Measure::LatencyP99];
            self.cell(kind, &measures, &mut rigs, latency, &mut failures)?;
        }
        self.note(kind, &failures);
        self.save()?;
        Ok(failures)
    }

    /// Everybody who can be reached this way, with subscribers.
    fn rigs(&self, kind: Kind, failures: &mut Vec<Failure>) -> Vec<(Rival, Rig)> {
        let launcher = self.launcher();
        let subscribers = self.results.method.subscribers;
        let mut rigs = Vec::new();
        for installed in self.reached_by(kind) {
            let rival = installed.rival;
            let process = launcher.start(installed);
            match process.and_then(|process| Rig::new(process, rival, kind, subscribers)) {
                Ok(rig) => rigs.push((rival, rig)),
                Err(error) => failures.push(Failure { rival, error }),
            }
        }
        rigs
    }

    /// Rounds of turns; the first round warms up. After each of them what was done is on disk. A round that is not over when
    /// it is to stop does not count, for its ratios would be those of some.
    fn cell(
        &mut self,
        kind: Kind,
        measures: &[Measure],
        rigs: &mut Vec<(Rival, Rig)>,
        turn: impl Fn(&mut Rig) -> Result<Turn>,
        failures: &mut Vec<Failure>,
    ) -> Result<()> {
        let name = measures.last().map_or("", |measure| measure.name());
        let rows_before = self.results.rows.len();
        let mut all: Vec<Series> = Vec::new();
        for round in 0..=self.results.method.rounds {
            if rigs.is_empty() {
                break;
            }
            say(format_args!("{}, {name}: round {round}", kind.name()));
            let note = |rival, turn| {
                if round > 0 {
                    note_turn(&mut all, rival, turn);
                }
            };
            let failures_before = failures.len();
            let is_over = self.round(rigs, &turn, note, failures);
            for failure in &failures[failures_before..] {
                note_failure(&mut all, failure.rival);
            }
            if !is_over {
                keep(&mut all, round.saturating_sub(1));
            }
            self.results.rows.truncate(rows_before);
            self.results.rows.extend(rounds::rows(measures, kind, &all));
            self.save()?;
            if !is_over {
                break;
            }
        }
        Ok(())
    }

    /// A turn of everybody. Who fails is out of this transport. Returns whether the round is over: false if it is to stop.
    fn round(
        &self,
        rigs: &mut Vec<(Rival, Rig)>,
        turn: impl Fn(&mut Rig) -> Result<Turn>,
        mut note: impl FnMut(Rival, Turn),
        failures: &mut Vec<Failure>,
    ) -> bool {
        let mut at = 0;
        while at < rigs.len() {
            if self.stop.is_asked() {
                return false;
            }
            let (rival, rig) = &mut rigs[at];
            let rival = *rival;
            match turn(rig).with_context(|| last_words(rival, &rig.process)) {
                Ok(turn) => note(rival, turn),
                Err(error) => {
                    rigs.remove(at);
                    failures.push(Failure { rival, error });
                    continue;
                }
            }
            at += 1;
            let mut index = 0;
            while index < rigs.len() {
                let (rival, rig) = &mut rigs[index];
                let rival = *rival;
                match rig.idle().with_context(|| last_words(rival, &rig.process)) {
                    Ok(()) => index += 1,
                    Err(error) => {
                        rigs.remove(index);
                        failures.push(Failure { rival, error });
                        at -= usize::from(index < at);
                    }
                }
            }
        }
        true
    }

    /// Memory over one transport: a new server each time.
    fn memory(&mut self, kind: Kind) -> Result<Vec<Failure>> {
        let rows_before = self.results.rows.len();
        let mut all: Vec<Series> = Vec::new();
        let mut failures: Vec<Failure> = Vec::new();
        for round in 1..=self.results.method.memory_rounds {
            let name = Measure::Memory.name();
            say(format_args!("{}, {name}: round {round}", kind.name()));
            let is_over = self.memory_round(kind, &mut all, &mut failures);
            if !is_over {
                keep(&mut all, round - 1);
            }
            self.results.rows.truncate(rows_before);
            let rows = rounds::rows(&[Measure::Memory], kind, &all);
            self.results.rows.extend(rows);
            self.save()?;
            if !is_over {
                break;
            }
        }
        self.note(kind, &failures);
        self.save()?;
        Ok(failures)
    }

    /// A turn of everybody who has not failed. Returns whether the round is over: false if it is to stop.
    fn memory_round(&self, kind: Kind, all: &mut Vec<Series>, failures: &mut Vec<Failure>) -> bool {
        for installed in self.reached_by(kind) {
            let rival = installed.rival;
            if failures.iter().any(|failure| failure.rival == rival) {
                continue;
            }
            if self.stop.is_asked() {
                return false;
            }
            match self.memory_turn(installed, kind) {
                Ok(turn) => note_turn(all, rival, turn),
                Err(error) => {
                    note_failure(all, rival);
                    failures.push(Failure { rival, error });
                }
            }
        }
        true
    }

    fn memory_turn(&self, installed: &Installed, kind: Kind) -> Result<Turn> {
        let process = self.launcher().start(installed)?;
        let connections = self.results.method.connections;
        memory::measure(&process, installed.rival, kind, connections)
            .with_context(|| last_words(installed.rival, &process))
    }

    fn reached_by(&self, kind: Kind) -> impl Iterator<Item = &Installed> {
        let reached = move |installed: &&Installed| installed.rival.kinds().contains(&kind);
        self.contenders.iter().filter(reached)
    }

    fn launcher(&self) -> Launcher<'_> {
        Launcher {
            place: self.place,
            shelf: &self.shelf,
            folder: self.folder.path(),
            files_max: self.files_max,
        }
    }

    /// Says who failed, and how.
    fn note(&mut self, kind: Kind, failures: &[Failure]) {
        for failure in failures {
            let what = format!("{} over {}", failure.rival.name(), kind.name());
            self.skip(what, &failure.error);
        }
    }

    /// Writes what was done so far.
    fn save(&mut self) -> Result<()> {
        self.results.took_s = self.began.elapsed().as_secs_f64();
        self.results.verdicts = targets::verdicts(&self.results.rows);
        report::save(&self.results, &self.options.out)
    }
}

/// Somebody who failed, and how.
#[derive(Debug)]
struct Failure {
    rival: Rival,
    error: anyhow::Error,
}

fn last_words(rival: Rival, process: &Process) -> String {
    match process.last_words() {
        words if words.is_empty() => rival.name().to_owned(),
        words => format!("{} said: {words}", rival.name()),
    }
}

/// The command as one would type it.
fn command() -> String {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    format!("cargo run --release -p compare -- {}", arguments.join(" "))
}
