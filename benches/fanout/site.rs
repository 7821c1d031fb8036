//! Where the children run, and where what they say goes.

use std::process::Command;

use anyhow::Result;
use crowd::place::Place;
use crowd::process::{Process, free_port};
use tempfile::TempDir;

/// The cores of the two sides, and a folder that goes when the benchmark ends.
#[derive(Debug)]
pub struct Site {
    /// The cores.
    pub place: Place,
    folder: TempDir,
}

impl Site {
    /// Looks at the machine, and takes the core of the load.
    pub fn take(unpinned: bool) -> Result<Self> {
        let place = Place::find(unpinned)?;
        place.take_for_load()?;
        Ok(Self {
            place,
            folder: tempfile::tempdir()?,
        })
    }

    /// Starts this executable as one of its children, whose arguments `arguments` gives for its ports. The child listens on
    /// them in turn, so all are open when the last is.
    pub fn start<const N: usize>(
        &self,
        arguments: impl FnOnce([u16; N]) -> Vec<String>,
    ) -> Result<(Process, [u16; N])> {
        let mut ports = [0; N];
        for port in &mut ports {
            *port = free_port()?;
        }
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments(ports));
        let last = ports.last().copied().unwrap_or_default();
        let log = self.folder.path().join(format!("{last}.log"));
        let process = Process::start(&self.place, command, last, log)?;
        Ok((process, ports))
    }
}
