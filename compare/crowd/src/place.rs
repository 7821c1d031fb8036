//! Where the processes run: the servers on one core, the load on another, if there are two.

use std::fmt;
use std::thread::available_parallelism;

use anyhow::Result;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Which cores the two sides have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    cores: Option<Cores>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cores {
    servers: usize,
    load: usize,
}

impl Place {
    /// The first and the last core that this process may use, if they are not the same and `unpinned` is false.
    pub fn find(unpinned: bool) -> Result<Self> {
        let allowed = sched_getaffinity(None)?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
        let ends = cores.next().zip(cores.next_back()).filter(|_| !unpinned);
        let cores = ends.map(|(servers, load)| Cores { servers, load });
        Ok(Self { cores })
    }

    /// Puts this thread on the core of the load.
    pub fn take_for_load(&self) -> Result<()> {
        self.cores.map_or(Ok(()), |cores| pin(cores.load))
    }

    /// Does something with this thread on the core of the servers: a process that it starts stays there.
    pub fn with_servers<T>(&self, start: impl FnOnce() -> T) -> Result<T> {
        let Some(cores) = self.cores else {
            return Ok(start());
        };
        pin(cores.servers)?;
        let started = start();
        pin(cores.load)?;
        Ok(started)
    }
}

fn pin(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cores {
            Some(Cores { servers, load }) => {
                write!(f, "servers on core {servers}, load on core {load}")
            }
            None => {
                let cores = available_parallelism().map_or(0, usize::from);
                write!(f, "not pinned, cores: {cores}")
            }
        }
    }
}
