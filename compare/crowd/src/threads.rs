//! Whether the threads of some processes have anything to do.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

/// The threads that some processes had at a moment.
#[derive(Debug)]
pub struct Threads(Vec<PathBuf>);

impl Threads {
    /// Of these processes, as they are now. A process that has ended has none.
    pub fn of(pids: &[u32]) -> Result<Self> {
        let mut stats = Vec::new();
        for pid in pids {
            let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
                continue;
            };
            for task in tasks {
                stats.push(task?.path().join("stat"));
            }
        }
        Ok(Self(stats))
    }

    /// True if all of them sleep. One that was woken does not, even if it has not had the core yet: what was sent to it
    /// over loopback before this is called, it has looked at when it sleeps.
    pub fn are_asleep(&self) -> Result<bool> {
        for stat in &self.0 {
            // A thread that ended has nothing to do either.
            let Ok(stat) = fs::read_to_string(stat) else {
                continue;
            };
            // The name may hold anything; what follows it does not.
            let (_, fields) = stat.rsplit_once(')').context("stat")?;
            if fields.trim_start().starts_with('R') {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};
    use std::time::{Duration, Instant};

    fn become_so(child: &mut Child, asleep: bool) -> bool {
        let start = Instant::now();
        loop {
            let threads = Threads::of(&[child.id()]).unwrap();
            if threads.are_asleep().unwrap() == asleep {
                return true;
            }
            if start.elapsed() > Duration::from_secs(10) {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn who_sleeps_is_told_from_who_works() {
        for (script, asleep) in [("sleep 100", true), ("while :; do :; done", false)] {
            let mut child = Command::new("sh").args(["-c", script]).spawn().unwrap();
            let became = become_so(&mut child, asleep);
            child.kill().unwrap();
            child.wait().unwrap();
            assert!(became, "{script}");
        }
    }

    #[test]
    fn who_has_ended_has_nothing_to_do() {
        let mut child = Command::new("true").spawn().unwrap();
        let threads = Threads::of(&[child.id()]).unwrap();
        child.wait().unwrap();
        assert!(threads.are_asleep().unwrap());
    }
}
