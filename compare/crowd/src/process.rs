//! A server under load: a process with its descendants, what they cost, and that none stays behind.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::cpu::Cpu;
use super::place::Place;
use super::threads::Threads;

/// How long a server may take until it listens.
const START_MAX: Duration = Duration::from_secs(20);
/// How long it may take to end when it is asked to; then it is killed.
const END_MAX: Duration = Duration::from_secs(3);

/// A server, which is ended when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
    /// Where it listens.
    pub address: SocketAddr,
}

/// A port of the loopback interface that nobody has.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

impl Process {
    /// Starts a server on its core, and waits until it listens on `port`. What it says goes to the file `log`.
    pub fn start(place: &Place, command: Command, port: u16, log: PathBuf) -> Result<Self> {
        let output = File::create(&log)?;
        let program = command.get_program().display().to_string();
        let mut command = ends_with_us(command);
        command
            // Ctrl-C in a terminal goes to a whole group: the server is needed until what was done is reported.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let child = place
            .with_servers(|| command.spawn())?
            .with_context(|| format!("cannot start {program}"))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut process = Self {
            child,
            log,
            address,
        };
        process.wait_until_it_listens()?;
        Ok(process)
    }

    fn wait_until_it_listens(&mut self) -> Result<()> {
        let start = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended at once ({status}): {}", self.last_words());
            }
            if start.elapsed() > START_MAX {
                let seconds = START_MAX.as_secs();
                bail!(
                    "it does not listen after {seconds} s: {}",
                    self.last_words()
                );
            }
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// The end of what it said.
    pub fn last_words(&self) -> String {
        const LINES: usize = 5;
        let said = fs::read(&self.log).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let lines: Vec<&str> = said.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join(" / ")
    }

    /// The CPU time that it and its descendants used so far.
    pub fn cpu(&self) -> Result<Cpu> {
        Cpu::of(&self.tree()?)
    }

    /// The threads that it and its descendants have now.
    pub fn threads(&self) -> Result<Threads> {
        Threads::of(&self.tree()?)
    }

    /// The resident memory of it and its descendants, in bytes.
    pub fn resident(&self) -> Result<u64> {
        self.tree()?.into_iter().map(resident).sum()
    }

    /// The resident memory once it has not changed for a while. `meanwhile` is done again and again, so that connections
    /// can answer pings.
    pub fn resident_settled(&self, mut meanwhile: impl FnMut() -> Result<()>) -> Result<u64> {
        const QUIET: Duration = Duration::from_millis(1500);
        const AT_MOST: Duration = Duration::from_secs(8);
        const STEP: Duration = Duration::from_millis(100);
        const CHANGE_BYTES_MIN: u64 = 64 * 1024;
        let (start, mut since) = (Instant::now(), Instant::now());
        let mut resident = self.resident()?;
        while since.elapsed() < QUIET && start.elapsed() < AT_MOST {
            sleep(STEP);
            meanwhile()?;
            let now = self.resident()?;
            if now.abs_diff(resident) > CHANGE_BYTES_MIN {
                (resident, since) = (now, Instant::now());
            }
        }
        self.resident()
    }

    /// It and its descendants.
    fn tree(&self) -> Result<Vec<u32>> {
        let mut parents = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            parents.extend(Running::find(pid).map(|process| (pid, process.parent)));
        }
        Ok(descendants(self.child.id(), &parents))
    }

    fn end(&mut self) -> Result<()> {
        let tree: Vec<Running> = self.tree()?.into_iter().filter_map(Running::find).collect();
        // A master ends its workers when it is asked to, and leaves them behind when it is killed.
        signal(self.child.id(), Signal::TERM);
        let start = Instant::now();
        while self.child.try_wait()?.is_none() && start.elapsed() < END_MAX {
            sleep(Duration::from_millis(10));
        }
        for process in tree {
            // Another process may have the number by now. An orphan has another parent.
            let began = Running::find(process.pid).map(|now| now.began);
            if began == Some(process.began) {
                signal(process.pid, Signal::KILL);
            }
        }
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!(
                "a server may still run, as process {}: {error}",
                self.child.id()
            );
        }
    }
}

/// Lets the system end a server when this process ends, however that comes. Without `setpriv`, a server outlives us if we
/// are killed.
fn ends_with_us(command: Command) -> Command {
    let has_setpriv = Command::new("setpriv").arg("--version").output().is_ok();
    if !has_setpriv {
        return command;
    }
    let mut bound = Command::new("setpriv");
    bound
        .args(["--pdeathsig", "TERM"])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            bound.env(name, value);
        }
    }
    bound
}

/// A process that ended needs no signal.
fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// A process that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Running {
    pid: u32,
    parent: u32,
    /// When it began, in ticks since the machine did.
    began: u64,
}

impl Running {
    fn find(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name may hold anything; what follows it does not. See proc_pid_stat(5).
        let (_, fields) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let (parent, began) = (fields.get(1)?.parse().ok()?, fields.get(19)?.parse().ok()?);
        let has_ended = matches!(*fields.first()?, "Z" | "X");
        (!has_ended).then_some(Self { pid, parent, began })
    }
}

/// A process with all that descend from it, out of pairs of process and parent.
fn descendants(root: u32, parents: &[(u32, u32)]) -> Vec<u32> {
    let mut tree = vec![root];
    let mut at = 0;
    while let Some(&parent) = tree.get(at) {
        tree.extend(
            parents
                .iter()
                .filter(|pair| pair.1 == parent)
                .map(|pair| pair.0),
        );
        at += 1;
    }
    tree
}

/// The resident memory of one process, in bytes.
fn resident(pid: u32) -> Result<u64> {
    // Unlike VmRSS this one is exact.
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let kib = rollup.lines().find_map(|line| line.strip_prefix("Rss:"));
    let kib = kib.and_then(|rest| rest.split_whitespace().next());
    Ok(kib.context("smaps_rollup has Rss")?.parse::<u64>()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descendants_are_found_in_any_order() {
        let parents = [(40, 30), (20, 10), (99, 1), (30, 20), (21, 10)];
        assert_eq!(descendants(10, &parents), [10, 20, 21, 30, 40]);
    }

    #[test]
    fn a_server_that_ends_at_once_is_quoted() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such module; exit 3"]);
        let place = Place::find(true).unwrap();
        let started = Process::start(&place, command, free_port().unwrap(), log.path().into());
        let error = started.unwrap_err().to_string();
        assert!(error.contains("exit status: 3"), "{error}");
        assert!(error.contains("no such module"), "{error}");
    }

    #[test]
    fn children_of_the_server_end_with_it() {
        let log = tempfile::NamedTempFile::new().unwrap();
        // It is not the child that listens, but what a start waits for is there.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 100 & wait"]);
        let place = Place::find(true).unwrap();
        let process = Process::start(&place, command, port, log.path().into()).unwrap();
        let tree = eventually(|| Some(process.tree().unwrap()).filter(|tree| tree.len() == 2));
        drop(process);
        eventually(|| Running::find(tree[1]).is_none().then_some(()));
    }

    fn eventually<T>(check: impl Fn() -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(found) = check() {
                return found;
            }
            assert!(
                start.elapsed() < START_MAX,
                "the children of the server did not come or go"
            );
            sleep(Duration::from_millis(5));
        }
    }
}
