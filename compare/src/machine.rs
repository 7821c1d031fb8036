//! The machine: what it is, where the two sides run, and what they cost.

use std::fmt;
use std::fs;
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::{Deserialize, Serialize};
use tokio::process::{Child, Command};

use crate::results::Machine;

/// Descriptors beside those of connections.
const OTHER_FILES: u64 = 200;

/// Which cores the two sides run on.
#[derive(Debug, Clone, Copy)]
pub struct Placement {
    /// The first for the gateway and the last for the load, if there are two.
    cores: Option<(usize, usize)>,
}

impl Placement {
    /// Looks at the cores that this process may use, and goes to the last of them. Call it before any thread is started.
    pub fn take() -> Result<Self> {
        let allowed = sched_getaffinity(None)?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        let cores = cores.next().zip(cores.next_back());
        if let Some((_, load)) = cores {
            sched_setaffinity(None, &only(load))?;
        }
        Ok(Self { cores })
    }

    /// Both sides wherever the system puts them.
    pub fn anywhere() -> Self {
        Self { cores: None }
    }

    /// The same with cores that were chosen before: of the gateway and of the load.
    pub fn on(cores: Option<(usize, usize)>) -> Result<Self> {
        if let Some((_, load)) = cores {
            sched_setaffinity(None, &only(load))?;
        }
        Ok(Self { cores })
    }

    /// The cores of the gateway and of the load, if they have one each.
    pub fn cores(&self) -> Option<(usize, usize)> {
        self.cores
    }

    /// Starts a process on the servers' core: it inherits what this thread may use at that moment.
    pub fn spawn_server(&self, command: &mut Command) -> Result<Child> {
        let Some((server, load)) = self.cores else {
            return Ok(command.spawn()?);
        };
        sched_setaffinity(None, &only(server))?;
        let child = command.spawn();
        sched_setaffinity(None, &only(load))?;
        Ok(child?)
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cores {
            Some((server, load)) => write!(
                f,
                "gateway on core {server} (so with one worker), load on core {load}"
            ),
            None => f.write_str("not pinned"),
        }
    }
}

fn only(core: usize) -> CpuSet {
    let mut set = CpuSet::new();
    set.set(core);
    set
}

/// What this machine is. Call it before [`Placement::take`], which leaves one core.
pub fn describe() -> Machine {
    let field = |file: &str, name: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.split_once(':'));
        line.map(|(_, value)| value.trim().to_owned())
    };
    let kib = field("/proc/meminfo", "MemTotal")
        .and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    let kernel =
        |what: &str| fs::read_to_string(format!("/proc/sys/kernel/{what}")).unwrap_or_default();
    Machine {
        processor: field("/proc/cpuinfo", "model name")
            .unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        cores: available_parallelism().map_or(1, usize::from),
        memory_gib: (kib.unwrap_or_default() / 1024.0 / 1024.0 * 10.0).round() / 10.0,
        kernel: format!("{} {}", kernel("ostype").trim(), kernel("osrelease").trim()),
        placement: String::new(),
    }
}

/// Lets this process, and those that it starts, open so many sockets. Returns how many it may.
pub fn allow_sockets(sockets: u64) -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let wanted = sockets + OTHER_FILES;
    let enough = |limit: Option<u64>| limit.is_none_or(|limit| limit >= wanted);
    if enough(limit.current) {
        return sockets;
    }
    let maximum = if enough(limit.maximum) {
        limit.maximum
    } else {
        Some(wanted)
    };
    let raised = Rlimit {
        current: Some(wanted),
        maximum,
    };
    if setrlimit(Resource::Nofile, raised).is_ok() {
        return sockets;
    }
    // Only root may go over the maximum.
    let most = limit.maximum.unwrap_or(wanted);
    let raised = Rlimit {
        current: Some(most),
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => most.saturating_sub(OTHER_FILES),
        Err(_) => limit.current.unwrap_or(most).saturating_sub(OTHER_FILES),
    }
}

/// The CPU time that this process used so far.
pub fn own_cpu() -> Result<Duration> {
    cpu_of("self")
}

/// User and system time of all threads of a process, to the nanosecond if the system counts them; else to the tick.
pub fn cpu_of(pid: &str) -> Result<Duration> {
    let mut nanoseconds = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let Ok(line) = fs::read_to_string(task?.path().join("schedstat")) else {
            return cpu_in_ticks(pid);
        };
        let on_cpu = line
            .split_whitespace()
            .next()
            .context("schedstat is empty")?;
        nanoseconds += on_cpu.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

fn cpu_in_ticks(pid: &str) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name may hold anything; what follows it does not.
    let (_, fields) = stat.rsplit_once(')').context("stat has no name")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let field = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok());
    let ticks = field(11).zip(field(12)).context("stat is short")?;
    Ok(Duration::from_millis((ticks.0 + ticks.1) * TICK_MS))
}

/// A tick of `/proc`, which is a hundredth of a second on every system that Rust runs on.
const TICK_MS: u64 = 10;

/// Resident memory of a process, in bytes.
pub fn memory_of(pid: u32) -> Result<u64> {
    // Unlike VmRSS this one is exact.
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let kib = rollup.lines().find_map(|line| line.strip_prefix("Rss:"));
    let kib = kib.and_then(|rest| rest.split_whitespace().next());
    Ok(kib.context("smaps_rollup has no Rss")?.parse::<u64>()? * 1024)
}

/// What all processors did so far.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Busy {
    /// At work, for whomever.
    pub busy: Duration,
    /// Taken away by a host.
    pub stolen: Duration,
}

impl Busy {
    /// Reads the counters of the system; nothing where there are none.
    pub fn now() -> Option<Self> {
        let stat = fs::read_to_string("/proc/stat").ok()?;
        let fields = stat.lines().next()?.strip_prefix("cpu ")?;
        let ticks: Vec<u64> = fields
            .split_whitespace()
            .filter_map(|field| field.parse().ok())
            .collect();
        // user, nice, system, idle, iowait, irq, softirq, steal
        let [user, nice, system, _, _, irq, softirq, steal, ..] = ticks[..] else {
            return None;
        };
        Some(Self {
            busy: Duration::from_millis((user + nice + system + irq + softirq) * TICK_MS),
            stolen: Duration::from_millis(steal * TICK_MS),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_costs_time_and_memory() {
        let before = own_cpu().expect("schedstat or stat");
        let start = std::time::Instant::now();
        while start.elapsed() < Duration::from_millis(30) {
            std::hint::spin_loop();
        }
        assert!(cpu_in_ticks("self").is_ok());
        std::thread::sleep(Duration::from_millis(2));
        assert!(own_cpu().expect("schedstat or stat") > before);
        assert!(memory_of(std::process::id()).expect("smaps_rollup") > 1024 * 1024);
        assert!(Busy::now().expect("/proc/stat").busy > Duration::ZERO);
    }

    #[test]
    fn the_machine_has_a_name() {
        let machine = describe();
        assert!(
            !machine.processor.is_empty() && machine.cores > 0 && machine.memory_gib > 0.0,
            "{machine:?}"
        );
    }
}
