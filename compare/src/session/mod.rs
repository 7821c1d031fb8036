//! A whole run: every cell in turn, again and again, with the results so far on disk after each.

mod feasible;
mod progress;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cell::{Network, Protocol};
use crate::client::Target;
use crate::client::server::Server;
use crate::gateway::Process;
use crate::hello;
use crate::label;
use crate::network::namespace::{Namespace, Order};
use crate::output::Output;
use crate::plan::{self, Plan, Planned};
use crate::report::Meanwhile;
use crate::results::{Machine, Results, Skipped};
use crate::run::Outcome;
use crate::text::counted;
use crate::wire::{self, Origin, Parts};

use progress::Progress;

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
    /// What a gateway elsewhere says that it is; `None`: ours is asked.
    pub server: Option<String>,
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
        progress.results.gateway.server = match &self.server {
            Some(server) => server.clone(),
            None => self.own_server().await?,
        };
        // From here on what an earlier run left in the folder is not mistaken for this one's.
        progress.save(&self.output)?;
        let mut reports = Meanwhile::into(self.output.folder());
        reports.write(&progress.results)?;
        let rounds = cells
            .iter()
            .map(|planned| planned.repeats)
            .max()
            .unwrap_or_default();
        for round in 0..rounds {
            for (index, planned) in cells.iter().enumerate() {
                if round >= planned.repeats || progress.has_given_up(index) {
                    continue;
                }
                bar.set_message(label::of(&planned.cell));
                let seed = self.seed ^ ((round as u64) << 40 | (index as u64) << 20);
                let outcome = self.once(planned, round, index, seed).await;
                progress.take(index, &planned.cell, outcome);
                progress.save(&self.output)?;
                reports.write(&progress.results)?;
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

    /// Asks a gateway of our own who it is.
    async fn own_server(&self) -> Result<String> {
        let Origin::Own {
            executable,
            placement,
        } = &self.origin
        else {
            bail!("a gateway elsewhere was asked before");
        };
        let process = Process::start(executable, placement, &self.certs, &[]).await?;
        let address = process.ready.plain;
        hello::ask_own(&Target {
            address,
            server: Server::local(address.port()),
            protocol: Protocol::Http1,
            tls: None,
        })
        .await
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

/// How much there is to do: `31 cells, 77 runs`.
fn much(cells: usize, runs: usize) -> String {
    format!("{}, {}", counted(cells, "cell"), counted(runs, "run"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_many() {
        assert_eq!(much(1, 1), "1 cell, 1 run");
        assert_eq!(much(31, 77), "31 cells, 77 runs");
    }

    #[test]
    fn the_template_of_the_bar_is_valid() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }
}
