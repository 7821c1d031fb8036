//! The processes of the benchmark: where they run, what they cost, and that none stays behind.

use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread::{available_parallelism, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// Where the processes run: the two sides on a core each, if there are two and `taskset` is there.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    cores: Option<(usize, usize)>,
}

impl Place {
    /// Looks at the machine.
    pub fn find(unpinned: bool) -> Self {
        let has_taskset = || Command::new("taskset").arg("-V").output().is_ok();
        let cores = allowed_cores().filter(|_| !unpinned && has_taskset());
        Self { cores }
    }

    /// Puts this process, the load, on its core.
    pub fn take_for_load(&self) -> Result<()> {
        let Some((_, core)) = self.cores else {
            return Ok(());
        };
        let pid = std::process::id().to_string();
        let taskset = Command::new("taskset")
            .args(["-cp", &core.to_string(), &pid])
            .output()?;
        ensure!(taskset.status.success(), "taskset did not pin the load");
        Ok(())
    }

    fn command(&self) -> Result<Command> {
        let itself = std::env::current_exe()?;
        Ok(match self.cores {
            // taskset becomes the program that it starts, so the process id is that of the child.
            Some((core, _)) => {
                let mut command = Command::new("taskset");
                command.args(["-c", &core.to_string()]).arg(itself);
                command
            }
            None => Command::new(itself),
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cores {
            Some((servers, load)) => write!(
                f,
                "servers on core {servers} (so with one worker), load on core {load}"
            ),
            None => write!(
                f,
                "not pinned, {} cores",
                available_parallelism().map_or(0, usize::from)
            ),
        }
    }
}

/// The first and the last core that this process may use, if they are not the same.
fn allowed_cores() -> Option<(usize, usize)> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let mut cores = list
        .trim()
        .split([',', '-'])
        .filter_map(|core| core.parse().ok());
    let first = cores.next()?;
    Some((first, cores.next_back()?))
}

/// A child that listens, and is ended when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where it listens with TLS, if it does.
    pub encrypted: Option<SocketAddr>,
}

impl Process {
    /// Starts this executable as one of its children, and waits until it listens.
    pub fn start(place: &Place, arguments: &[&str]) -> Result<Self> {
        let mut child = place
            .command()?
            .args(arguments)
            // It ends when its standard input does, so it does not outlive us.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().context("a pipe")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let mut addresses = line.split_whitespace().map(str::parse);
        let address = addresses.next().and_then(Result::ok);
        Ok(Self {
            child,
            address: address.context("the child did not say where it listens")?,
            encrypted: addresses.next().transpose()?,
        })
    }

    /// The CPU time that it used so far.
    pub fn cpu(&self) -> Result<Duration> {
        cpu_of(&self.child.id().to_string())
    }

    /// Its resident memory, in bytes.
    pub fn resident(&self) -> Result<u64> {
        // Unlike VmRSS this one is exact.
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id()))?;
        let kib = rollup.lines().find_map(|line| line.strip_prefix("Rss:"));
        let kib = kib.and_then(|rest| rest.split_whitespace().next());
        Ok(kib.context("smaps_rollup has Rss")?.parse::<u64>()? * 1024)
    }

    /// Its resident memory once that has not changed for a while.
    pub fn resident_settled(&self) -> Result<u64> {
        const QUIET: Duration = Duration::from_millis(1500);
        const AT_MOST: Duration = Duration::from_secs(8);
        let (start, mut since) = (Instant::now(), Instant::now());
        let mut resident = self.resident()?;
        while since.elapsed() < QUIET && start.elapsed() < AT_MOST {
            sleep(Duration::from_millis(100));
            let now = self.resident()?;
            if now.abs_diff(resident) > 64 * 1024 {
                (resident, since) = (now, Instant::now());
            }
        }
        self.resident()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The CPU time that this process used so far.
pub fn own_cpu() -> Result<Duration> {
    // The system brings the figure up to date when a thread goes to sleep.
    sleep(Duration::from_millis(1));
    cpu_of("self")
}

/// User and system time of all threads of a process, to the nanosecond if the system counts them; else to the tick.
fn cpu_of(pid: &str) -> Result<Duration> {
    let mut nanoseconds = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let Ok(line) = fs::read_to_string(task?.path().join("schedstat")) else {
            return cpu_in_ticks(pid);
        };
        let on_cpu = line.split_whitespace().next().context("schedstat")?;
        nanoseconds += on_cpu.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

fn cpu_in_ticks(pid: &str) -> Result<Duration> {
    const TICK_MS: u64 = 10;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name may hold anything; what follows it does not.
    let (_, fields) = stat.rsplit_once(')').context("stat")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Duration::from_millis(ticks * TICK_MS))
}
