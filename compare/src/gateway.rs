//! The process of the gateway that is measured: started, watched, and never left behind.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::machine::{self, Placement};

/// How long a gateway may take to listen.
const START_MAX: Duration = Duration::from_secs(20);

/// What a gateway says when it listens.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Ready {
    /// Without TLS.
    pub plain: SocketAddr,
    /// With TLS.
    pub tls: SocketAddr,
}

/// A gateway of our own.
#[derive(Debug)]
pub struct Process {
    _child: Child,
    pid: u32,
    /// Where it listens.
    pub ready: Ready,
}

impl Process {
    /// Starts an executable of this crate as a gateway, on the core for servers, and waits until it listens. `certs` is
    /// where its certificates are, or will be; `settings` are changes of its configuration.
    pub async fn start(
        executable: &Path,
        placement: &Placement,
        certs: &Path,
        settings: &[String],
    ) -> Result<Self> {
        let mut command = Command::new(executable);
        command.arg("serve").arg("--certs").arg(certs);
        command.args(settings.iter().flat_map(|setting| ["--set", setting]));
        // Ctrl-C in a terminal goes to a whole group: the gateway is needed until the report is written.
        command.process_group(0).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = placement.spawn_server(&mut command)?;
        let pid = child
            .id()
            .context("a process that was just started has an id")?;
        let stdout = child.stdout.take().context("its output is a pipe")?;
        let mut line = String::new();
        let mut stdout = BufReader::new(stdout);
        match tokio::time::timeout(START_MAX, stdout.read_line(&mut line)).await {
            Ok(read) => read?,
            Err(_) => bail!("the gateway did not listen within {START_MAX:?}"),
        };
        let ready = serde_json::from_str(&line)
            .context("the gateway did not start: see what it says above")?;
        Ok(Self {
            _child: child,
            pid,
            ready,
        })
    }

    /// The CPU time that it used so far.
    pub fn cpu(&self) -> Result<Duration> {
        machine::cpu_of(&self.pid.to_string())
    }

    /// Its resident memory in bytes.
    pub fn memory(&self) -> Result<u64> {
        machine::memory_of(self.pid)
    }
}
