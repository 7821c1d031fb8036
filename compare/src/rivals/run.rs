//! One run: everybody in turns, cell after cell, and what was done so far on disk.

mod transport;

use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use anyhow::{Result, ensure};
use crowd::Kind;
use crowd::place::Place;

use super::install::{Installed, Shelf};
use super::options::{Figures, Options};
use super::results::{Contender, RivalsResults, SCHEMA_VERSION};
use super::rival::Rival;
use super::say::say;
use super::stop::Stop;
use super::{FILES_MAX, report, targets};
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

/// The command as one would type it.
fn command() -> String {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    format!("cargo run --release -p compare -- {}", arguments.join(" "))
}
