//! A network namespace of our own, whose loopback loses packets. The machine's own network is not touched.
//!
//! A run in it is this executable once more, with its gateway inside, too. It needs root, `ip`, `tc` and the kernel's
//! netem; where one is missing, the cells are skipped and the reason is told.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::cell::{Cell, Network};
use crate::run::{Outcome, Timing};

/// What an Ethernet packet carries; loopback's own packets are 64 KiB, of which one lost would be many.
const MTU: &str = "1500";
/// Packets under way, so that the delay itself loses none.
const QUEUE: &str = "100000";

/// A namespace, removed when it is dropped.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

/// What a run inside is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// What is varied.
    pub cell: Cell,
    /// How long.
    pub timing: Timing,
    /// The channel.
    pub channel: String,
    /// Of what is drawn at random.
    pub seed: u64,
}

impl Namespace {
    /// Makes one that loses and delays as a cell's network says.
    pub async fn make(network: &Network) -> Result<Self> {
        let Network::Loss {
            percent,
            one_way_ms,
        } = network
        else {
            bail!("only losses need a namespace");
        };
        let name = format!("{}{percent}-{one_way_ms}", own_prefix());
        add(&name)?;
        // From here on it is removed, whatever fails.
        let namespace = Self { name };
        namespace
            .inside(&["ip", "link", "set", "lo", "mtu", MTU, "up"])
            .await?;
        let (loss, delay) = (format!("{percent}%"), format!("{one_way_ms}ms"));
        let netem = [
            "tc", "qdisc", "add", "dev", "lo", "root", "netem", "loss", &loss, "delay", &delay,
            "limit", QUEUE,
        ];
        namespace
            .inside(&netem)
            .await
            .context("the kernel has no netem (CONFIG_NET_SCH_NETEM)")?;
        Ok(namespace)
    }

    async fn inside(&self, command: &[&str]) -> Result<()> {
        tool("ip", &[&["netns", "exec", &self.name], command].concat()).await
    }

    /// Makes one repeat inside, by this program. `cores` are those of the gateway and of the load.
    pub async fn run(
        &self,
        executable: &Path,
        order: &Order,
        cores: Option<(usize, usize)>,
    ) -> Result<Outcome> {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(executable);
        run_elsewhere(command, order, cores).await
    }
}

/// One repeat in a process of its own, begun by `command`.
pub async fn run_elsewhere(
    mut command: Command,
    order: &Order,
    cores: Option<(usize, usize)>,
) -> Result<Outcome> {
    command.arg("run");
    if let Some((server, load)) = cores {
        command.arg(format!("--cores={server},{load}"));
    }
    command
        .process_group(0)
        .kill_on_drop(true)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().context("its input is a pipe")?;
    stdin.write_all(&serde_json::to_vec(order)?).await?;
    drop(stdin);
    let output = child.wait_with_output().await?;
    ensure!(
        output.status.success(),
        "the run inside ended with {}",
        output.status
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// Where `ip` keeps the names of namespaces.
const NAMES: &str = "/run/netns";

/// How the names of this process's namespaces begin.
fn own_prefix() -> String {
    format!("everyway-compare-{}-", std::process::id())
}

/// Removes what this process has made and not yet removed: for an end in which nothing is dropped.
pub fn remove_own() {
    // Without the folder there never was a namespace.
    let names = std::fs::read_dir(NAMES).into_iter().flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    for name in names.filter(|name| name.starts_with(&own_prefix())) {
        remove(&name);
    }
}

/// Makes a namespace, without a moment at which this can be given up: half of it would stay.
fn add(name: &str) -> Result<()> {
    let output = ip(&["netns", "add", name]).output();
    let output = output.context("`ip` cannot be run: install iproute2")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "`ip netns add {name}` failed: {}",
        said.trim()
    );
    Ok(())
}

fn remove(name: &str) {
    let removed = ip(&["netns", "del", name]).status();
    if !removed.is_ok_and(|status| status.success()) {
        eprintln!("compare: remove the namespace by hand: ip netns del {name}");
    }
}

/// `ip` in a group of its own: Ctrl-C in a terminal goes to a whole group, and would end it at half of its work.
fn ip(arguments: &[&str]) -> std::process::Command {
    let mut command = std::process::Command::new("ip");
    command.process_group(0).args(arguments);
    command
}

/// Runs a tool that says nothing when it succeeds.
async fn tool(name: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(name).args(arguments).output().await;
    let output = output.with_context(|| format!("`{name}` cannot be run: install iproute2"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "`{name} {}` failed: {}",
        arguments.join(" "),
        said.trim()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_process_made_is_removed_by_its_name() {
        let name = format!("{}test", own_prefix());
        if let Err(error) = add(&name) {
            eprintln!("skipped: {error:#}");
            return;
        }
        assert!(Path::new(NAMES).join(&name).exists());
        remove_own();
        assert!(!Path::new(NAMES).join(&name).exists());
    }
}
