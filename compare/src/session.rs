//! A whole run: every cell in turn, again and again, with the results so far on disk after each.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Deserialize;

use crate::cell::{Cell, Network, Protocol, Rate, Transport};
use crate::client::tls::Tls;
use crate::client::{Connection, Target};
use crate::gateway::Process;
use crate::label;
use crate::machine;
use crate::measure::Found;
use crate::network::namespace::{Namespace, Order};
use crate::output::Output;
use crate::plan::{self, Plan, Planned};
use crate::report;
use crate::results::{
    CellResult, Gateway, Machine, Method, Results, SCHEMA_VERSION, Skipped, Warning,
};
use crate::run::Outcome;
use crate::text::counted;
use crate::warning;
use crate::wire::{self, Origin, Parts};

/// More bytes in a second are too many for one core on each side.
const BYTES_PER_S_MAX: f64 = 150e6;
/// More deliveries in a second are.
const DELIVERIES_PER_S_MAX: f64 = 150e3;
/// What to do about a gateway that refuses the load.
const LIMITS_HINT: &str = "; switch limits.attach, limits.requests and limits.publish off there, or choose fewer \
                           --subscribers and a lower --rate";
/// How long the gateway may take to say who it is.
const HELLO_MAX: Duration = Duration::from_secs(10);

/// What to do.
pub struct Session {
    /// The cells.
    pub plan: Plan,
    /// The gateway.
    pub origin: Origin,
    /// Whether it is reached with TLS only (true) or without only (false); `None`: both.
    pub is_tls: Option<bool>,
    /// Authorities of a gateway elsewhere, in PEM.
    pub ca: Option<Vec<u8>>,
    /// What the gateway's address was given as.
    pub url: Option<String>,
    /// Where results go.
    pub output: Output,
    /// The folder for certificates of our own gateway.
    pub certs: PathBuf,
    /// The machine.
    pub machine: Machine,
    /// The command that makes the figures again.
    pub command: String,
    /// Of everything that is drawn at random.
    pub seed: u64,
    /// When it began, in milliseconds: makes its channels its own.
    pub began_ms: u64,
    /// Whether progress is shown.
    pub is_quiet: bool,
}

/// What `/v1/transports` says, as far as it matters.
#[derive(Deserialize)]
struct Hello {
    server: String,
}

/// A run in progress.
struct Progress {
    found: Vec<Found>,
    /// Those that failed.
    given_up: BTreeMap<usize, String>,
    results: Results,
    /// What casts doubt on the run, whatever is found.
    standing_warnings: Vec<String>,
    began: Instant,
}

impl Session {
    /// Measures until all is done, or until `stop` ends. Results are on disk in both cases.
    pub async fn run(&self, stop: impl Future<Output = ()>) -> Result<Results> {
        tokio::pin!(stop);
        // `stop` comes first, for it listens from its first poll on: what is tried here makes a network namespace.
        let (cells, skipped) = tokio::select! {
            biased;
            () = &mut stop => return self.stopped_at_once(),
            feasible = self.feasible() => feasible,
        };
        self.announce(&cells, &skipped);
        let mut progress = Progress::new(self, &cells, skipped);
        let bar = self.bar(&cells);
        let is_done = {
            let measuring = self.measure(&cells, &mut progress, &bar);
            tokio::select! {
                done = measuring => { done?; true }
                () = &mut stop => false,
            }
        };
        bar.finish_and_clear();
        progress.results.complete = is_done;
        progress.save(&self.output)?;
        Ok(progress.results)
    }

    /// The results of a run that was stopped before anything was measured.
    fn stopped_at_once(&self) -> Result<Results> {
        let mut progress = Progress::new(self, &[], Vec::new());
        progress.save(&self.output)?;
        Ok(progress.results)
    }

    /// What is to come, and what is not.
    fn announce(&self, cells: &[Planned], skipped: &[Skipped]) {
        if self.is_quiet {
            return;
        }
        for Skipped { what, why } in skipped {
            eprintln!("skipped: {what}: {why}");
        }
        let runs: usize = cells.iter().map(|planned| planned.repeats).sum();
        let estimate = Duration::from_secs(plan::estimate(cells).as_secs());
        eprintln!(
            "{}, about {}. Ctrl-C leaves a report of what was done, in {}",
            much(cells.len(), runs),
            humantime::format_duration(estimate),
            self.output.folder().display()
        );
    }

    async fn measure(
        &self,
        cells: &[Planned],
        progress: &mut Progress,
        bar: &ProgressBar,
    ) -> Result<()> {
        progress.results.gateway.server = self.hello().await.with_context(|| match &self.url {
            Some(url) => {
                format!("{url} does not answer: start a gateway there, or leave out --url")
            }
            None => "the gateway does not answer".to_owned(),
        })?;
        // From here on what an earlier run left in the folder is not mistaken for this one's.
        progress.save(&self.output)?;
        report::write(&progress.results, self.output.folder())?;
        let rounds = cells
            .iter()
            .map(|planned| planned.repeats)
            .max()
            .unwrap_or_default();
        for round in 0..rounds {
            for (index, planned) in cells.iter().enumerate() {
                if round >= planned.repeats || progress.given_up.contains_key(&index) {
                    continue;
                }
                bar.set_message(label::of(&planned.cell));
                let seed = self.seed ^ ((round as u64) << 40 | (index as u64) << 20);
                let outcome = self.once(planned, round, index, seed).await;
                progress.take(index, &planned.cell, outcome);
                progress.save(&self.output)?;
                bar.inc(planned.estimate().as_millis() as u64);
            }
        }
        Ok(())
    }

    async fn once(
        &self,
        planned: &Planned,
        round: usize,
        index: usize,
        seed: u64,
    ) -> Result<Outcome> {
        // Of a gateway elsewhere the channels of earlier runs may still be there.
        let channel = format!("compare:{:x}:{index}:{round}", self.began_ms ^ self.seed);
        let order = Order {
            cell: planned.cell.clone(),
            timing: planned.timing,
            channel,
            seed,
        };
        let (
            Network::Loss { .. },
            Origin::Own {
                executable,
                placement,
            },
        ) = (&planned.cell.network, &self.origin)
        else {
            return wire::once(&self.parts(), &order).await;
        };
        let namespace = Namespace::make(&planned.cell.network).await?;
        namespace.run(executable, &order, placement.cores()).await
    }

    fn parts(&self) -> Parts<'_> {
        Parts {
            origin: &self.origin,
            certs: &self.certs,
            ca: self.ca.as_deref(),
        }
    }

    /// The cells that this machine and this gateway allow, and what is left out.
    async fn feasible(&self) -> (Vec<Planned>, Vec<Skipped>) {
        let sockets = self
            .plan
            .cells
            .iter()
            .map(|planned| sockets(&planned.cell))
            .max()
            .unwrap_or_default();
        let allowed = machine::allow_sockets(sockets);
        let no_losses = self.why_no_losses().await;
        let (mut cells, mut left_out) = (Vec::new(), Vec::<(String, Vec<String>)>::new());
        for planned in &self.plan.cells {
            let Some(why) = self.objection(&planned.cell, allowed, no_losses.as_deref()) else {
                cells.push(planned.clone());
                continue;
            };
            let label = label::of(&planned.cell);
            match left_out.iter_mut().find(|(reason, _)| *reason == why) {
                Some((_, labels)) => labels.push(label),
                None => left_out.push((why, vec![label])),
            }
        }
        (cells, left_out.into_iter().map(skipped).collect())
    }

    fn objection(&self, cell: &Cell, sockets_max: u64, no_losses: Option<&str>) -> Option<String> {
        if sockets(cell) > sockets_max {
            return Some(format!(
                "it needs {} open files, of which this process may have {sockets_max}: raise `ulimit -n`",
                sockets(cell)
            ));
        }
        let deliveries = deliveries_per_s(cell);
        let is_too_much = deliveries > DELIVERIES_PER_S_MAX
            || deliveries * cell.payload_bytes as f64 > BYTES_PER_S_MAX;
        if is_too_much {
            return Some(format!(
                "{deliveries:.0} deliveries a second of {} bytes are over what two cores carry",
                cell.payload_bytes
            ));
        }
        if let Network::Delay {
            bits_per_s: Some(bits_per_s),
            ..
        } = cell.network
        {
            let wanted = deliveries / cell.subscribers as f64 * cell.payload_bytes as f64 * 8.0;
            if wanted > bits_per_s * 0.8 {
                return Some(format!(
                    "{:.1} Mbit/s do not fit through the line of each client",
                    wanted / 1e6
                ));
            }
        }
        let is_tls = cell.protocol != Protocol::Http1;
        if self.is_tls.is_some_and(|only| only != is_tls) {
            return Some("the gateway's address is of the other kind: give one with https for TLS, with http without".to_owned());
        }
        let is_elsewhere = matches!(self.origin, Origin::Url { .. });
        if is_elsewhere && cell.rate == Rate::Idle && cell.transport != Transport::Poll {
            return Some(
                "heartbeats of a gateway elsewhere are 25 s apart, which a short cell does not see: leave out --url"
                    .to_owned(),
            );
        }
        no_losses.filter(|_| is_lossy(cell)).map(str::to_owned)
    }

    /// Whether packets can be lost on this machine is best seen by trying.
    async fn why_no_losses(&self) -> Option<String> {
        let lossy = self
            .plan
            .cells
            .iter()
            .find(|planned| is_lossy(&planned.cell))?;
        if matches!(self.origin, Origin::Url { .. }) {
            return Some(
                "loss needs a gateway in a network namespace of our own: leave out --url"
                    .to_owned(),
            );
        }
        let error = Namespace::make(&lossy.cell.network).await.err()?;
        Some(format!("this machine cannot lose packets: {error:#}"))
    }

    /// Asks the gateway who it is.
    async fn hello(&self) -> Result<String> {
        let (target, _process) = match &self.origin {
            Origin::Own {
                executable,
                placement,
            } => {
                let process = Process::start(executable, placement, &self.certs, &[]).await?;
                let target = Target {
                    address: process.ready.plain,
                    host: format!("localhost:{}", process.ready.plain.port()),
                    protocol: Protocol::Http1,
                    tls: None,
                };
                (target, Some(process))
            }
            Origin::Url { address, host } => (self.elsewhere(*address, host)?, None),
        };
        let asking = async {
            let mut connection: Connection = target.connect(&Default::default()).await?;
            connection.get("/v1/transports", None).await
        };
        let answer = tokio::time::timeout(HELLO_MAX, asking).await??;
        if answer.status != 200 {
            bail!("/v1/transports was answered {}", answer.status);
        }
        let hello: Hello = serde_json::from_slice(&answer.body)
            .context("/v1/transports is not what Everyway says")?;
        Ok(hello.server)
    }

    fn elsewhere(&self, address: SocketAddr, host: &str) -> Result<Target> {
        let is_tls = self.is_tls == Some(true);
        Ok(Target {
            address,
            host: host.to_owned(),
            protocol: if is_tls {
                Protocol::Http1Tls
            } else {
                Protocol::Http1
            },
            tls: match (&self.ca, is_tls) {
                (Some(ca), true) => Some(Tls::trusting(ca)?),
                _ => None,
            },
        })
    }

    fn bar(&self, cells: &[Planned]) -> ProgressBar {
        let all = plan::estimate(cells);
        let target = if self.is_quiet {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        let bar = ProgressBar::with_draw_target(Some(all.as_millis() as u64), target);
        // The template is ours, and in a test.
        let style =
            ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style);
        bar
    }
}

/// How progress looks.
const TEMPLATE: &str = "{bar:30} {percent:>3} %  {elapsed} of about {duration}  {msg}";

impl Progress {
    fn new(session: &Session, cells: &[Planned], skipped: Vec<Skipped>) -> Self {
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
    fn take(&mut self, index: usize, cell: &Cell, outcome: Result<Outcome>) {
        match outcome {
            Ok(outcome) => self.found[index].add(&outcome),
            Err(error) => {
                let mut why = format!("{error:#}");
                // Only those of a gateway elsewhere are on.
                if why.contains("rate_limited") {
                    why.push_str(LIMITS_HINT);
                }
                self.given_up.insert(index, why.clone());
                self.results.skipped.push(Skipped {
                    what: label::of(cell),
                    why: format!("it failed: {why}"),
                });
            }
        }
    }

    fn save(&mut self, output: &Output) -> Result<()> {
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

fn is_lossy(cell: &Cell) -> bool {
    matches!(cell.network, Network::Loss { .. })
}

/// How much there is to do: `31 cells, 77 runs`.
fn much(cells: usize, runs: usize) -> String {
    format!("{}, {}", counted(cells, "cell"), counted(runs, "run"))
}

/// One line for all cells with the same reason: a matrix has many.
fn skipped((why, labels): (String, Vec<String>)) -> Skipped {
    let what = match &labels[..] {
        [one] => one.clone(),
        [first, ..] => format!("{} cells, the first of which is: {first}", labels.len()),
        [] => String::new(),
    };
    Skipped { what, why }
}

/// Sockets on the side of the load: a proxy has two for each client.
fn sockets(cell: &Cell) -> u64 {
    let each = match cell.network {
        Network::Delay { .. } => 3,
        Network::Loopback | Network::Loss { .. } => 1,
    };
    cell.subscribers as u64 * each
}

fn deliveries_per_s(cell: &Cell) -> f64 {
    let per_s = match cell.rate {
        Rate::Idle => 0.0,
        Rate::Steady { per_s } => per_s,
        Rate::Bursts { size, every_s } => size as f64 / every_s,
    };
    per_s * cell.subscribers as f64
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
    if matches!(session.origin, Origin::Url { .. }) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Transport;
    use crate::sample;

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
    fn one_is_not_many() {
        assert_eq!(much(1, 1), "1 cell, 1 run");
        assert_eq!(much(31, 77), "31 cells, 77 runs");
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

    #[test]
    fn the_template_of_the_bar_is_valid() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }
}
