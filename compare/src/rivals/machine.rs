//! Where it ran.

use std::fs;

use crate::crowd::place::Place;
use crate::results::Machine;

/// What the system says of itself; `unknown` where it does not.
pub fn describe(place: &Place) -> Machine {
    let processor = field("/proc/cpuinfo", "model name");
    let memory = field("/proc/meminfo", "MemTotal");
    let kib = memory.and_then(|line| line.split(' ').next()?.parse::<f64>().ok());
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").ok();
    Machine {
        processor: processor.unwrap_or_else(|| "unknown".to_owned()),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        memory_gib: kib.map_or(0.0, |kib| kib / f64::from(1 << 20)),
        kernel: format!("Linux {}", release.as_deref().unwrap_or("unknown").trim()),
        placement: place.to_string(),
    }
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
