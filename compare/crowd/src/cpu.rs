//! CPU time of processes, to the nanosecond where the system counts it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

/// What the threads of some processes used so far.
#[derive(Debug, Clone, Default)]
pub struct Cpu {
    /// By thread, or by process where only ticks are counted.
    tasks: BTreeMap<String, Spent>,
}

/// What was used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Time on a core.
    pub ran: Duration,
    /// Time in which it could have run, and others did. Zero where the system does not say.
    pub waited: Duration,
}

impl Cpu {
    /// Of these processes.
    pub fn of(pids: &[u32]) -> Result<Self> {
        let mut cpu = Self::default();
        for pid in pids {
            cpu.add(&pid.to_string())?;
        }
        Ok(cpu)
    }

    /// Of this process.
    pub fn of_self() -> Result<Self> {
        // The system brings the figure up to date when a thread goes to sleep.
        std::thread::sleep(Duration::from_millis(1));
        let mut cpu = Self::default();
        cpu.add("self")?;
        Ok(cpu)
    }

    /// What was used from `before` until now. A thread that ended in between is not counted.
    pub fn since(&self, before: &Self) -> Spent {
        let mut spent = Spent::default();
        for (task, now) in &self.tasks {
            let then = before.tasks.get(task).copied().unwrap_or_default();
            spent.ran += now.ran.saturating_sub(then.ran);
            spent.waited += now.waited.saturating_sub(then.waited);
        }
        spent
    }

    fn add(&mut self, pid: &str) -> Result<()> {
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let task = task?.path();
            match scheduled(&task) {
                Some(spent) => self.tasks.insert(task.display().to_string(), spent),
                None if !task.exists() => continue,
                None => self.tasks.insert(pid.to_owned(), in_ticks(pid)?),
            };
        }
        Ok(())
    }
}

/// What the scheduler counted for a thread: nanoseconds on a core, nanoseconds before it, turns.
fn scheduled(task: &Path) -> Option<Spent> {
    let line = fs::read_to_string(task.join("schedstat")).ok()?;
    let mut numbers = line.split_whitespace().map(str::parse);
    let mut next = || Some(Duration::from_nanos(numbers.next()?.ok()?));
    Some(Spent {
        ran: next()?,
        waited: next()?,
    })
}

/// User and system time of a process.
fn in_ticks(pid: &str) -> Result<Spent> {
    const TICK_MS: u64 = 10;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name may hold anything; what follows it does not.
    let (_, fields) = stat.rsplit_once(')').context("stat")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |index: usize| {
        fields
            .get(index)
            .context("stat")?
            .parse::<u64>()
            .context("stat")
    };
    Ok(Spent {
        ran: Duration::from_millis((ticks(11)? + ticks(12)?) * TICK_MS),
        waited: Duration::ZERO,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu(tasks: &[(&str, u64, u64)]) -> Cpu {
        let spent = |ran, waited| Spent {
            ran: Duration::from_nanos(ran),
            waited: Duration::from_nanos(waited),
        };
        let tasks = tasks
            .iter()
            .map(|&(name, ran, waited)| (name.to_owned(), spent(ran, waited)));
        Cpu {
            tasks: tasks.collect(),
        }
    }

    #[test]
    fn a_new_thread_counts_from_its_start_and_an_ended_one_not_at_all() {
        let before = cpu(&[("stays", 100, 10), ("ends", 900, 90)]);
        let after = cpu(&[("stays", 150, 13), ("new", 7, 1)]);
        let spent = after.since(&before);
        assert_eq!(spent.ran, Duration::from_nanos(57));
        assert_eq!(spent.waited, Duration::from_nanos(4));
    }

    #[test]
    fn work_of_this_process_is_counted() {
        let before = Cpu::of_self().unwrap();
        let work = (0..3_000_000_u64).fold(0, |sum, n| sum ^ std::hint::black_box(n * n));
        std::hint::black_box(work);
        let spent = Cpu::of_self().unwrap().since(&before);
        assert!(spent.ran > Duration::ZERO, "{spent:?}");
    }
}
