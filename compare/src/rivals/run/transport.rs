//! The figures of one transport: everybody in turns, round after round.

use std::time::Duration;

use anyhow::{Context, Result};
use crowd::Kind;
use crowd::process::Process;

use super::super::install::Installed;
use super::super::launch::Launcher;
use super::super::options::Figures;
use super::super::results::Measure;
use super::super::rig::Rig;
use super::super::rival::Rival;
use super::super::say::say;
use super::super::series::{Series, Turn, keep, note_failure, note_turn};
use super::super::{memory, rounds, turns};
use super::{Failure, Run};

impl Run {
    /// CPU time and latency over one transport, with a rig for everybody.
    pub(super) fn load(&mut self, kind: Kind) -> Result<Vec<Failure>> {
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
    pub(super) fn memory(&mut self, kind: Kind) -> Result<Vec<Failure>> {
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
}

fn last_words(rival: Rival, process: &Process) -> String {
    match process.last_words() {
        words if words.is_empty() => rival.name().to_owned(),
        words => format!("{} said: {words}", rival.name()),
    }
}
