//! Resident memory for each idle connection.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::rig::gather;
use super::rival::Rival;
use super::rounds::Turn;
use crate::crowd::process::Process;
use crate::crowd::{Crowd, Kind};

/// How many connect first and go again, so that code is loaded and allocators have their own tables.
const WARM: usize = 10;

/// What `count` connections take in a new server, in KiB each. In the end a message reaches all of them: they were there.
pub fn measure(process: &Process, rival: Rival, kind: Kind, count: usize) -> Result<Turn> {
    warm(process, rival, kind)?;
    let before = settled(process, None)?;
    let (mut crowd, mut publisher) = gather(process, rival, kind, count, "idle")?;
    let after = settled(process, Some(&mut crowd))?;
    publisher.publish(1)?;
    crowd.wait_for(1)?;
    let each = after.saturating_sub(before) as f64 / count as f64;
    Ok(Turn {
        values: vec![each / 1024.0],
        shares: None,
        kept_up: true,
    })
}

fn warm(process: &Process, rival: Rival, kind: Kind) -> Result<()> {
    let (mut crowd, mut publisher) = gather(process, rival, kind, WARM, "warm")?;
    publisher.publish(1)?;
    crowd.wait_for(1)
}

/// The resident memory once it has not changed for a while. Meanwhile the connections answer pings.
fn settled(process: &Process, mut crowd: Option<&mut Crowd>) -> Result<u64> {
    const QUIET: Duration = Duration::from_millis(1500);
    const AT_MOST: Duration = Duration::from_secs(8);
    const STEP: Duration = Duration::from_millis(100);
    const CHANGE_BYTES_MIN: u64 = 64 * 1024;
    let (start, mut since) = (Instant::now(), Instant::now());
    let mut resident = process.resident()?;
    while since.elapsed() < QUIET && start.elapsed() < AT_MOST {
        std::thread::sleep(STEP);
        if let Some(crowd) = &mut crowd {
            crowd.serve(Duration::ZERO, |_| {})?;
        }
        let now = process.resident()?;
        if now.abs_diff(resident) > CHANGE_BYTES_MIN {
            (resident, since) = (now, Instant::now());
        }
    }
    process.resident()
}
