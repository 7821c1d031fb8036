//! Resident memory for each idle connection.

use std::time::Duration;

use anyhow::Result;
use crowd::Kind;
use crowd::process::Process;

use super::rig::gather;
use super::rival::Rival;
use super::series::Turn;

/// How many connect first and go again, so that code is loaded and allocators have their own tables.
const WARM: usize = 10;

/// What `count` connections take in a new server, in KiB each. In the end a message reaches all of them: they were there.
pub fn measure(process: &Process, rival: Rival, kind: Kind, count: usize) -> Result<Turn> {
    warm(process, rival, kind)?;
    let before = process.resident_settled(|| Ok(()))?;
    let (mut crowd, mut publisher) = gather(process, rival, kind, count, "idle")?;
    let after = process.resident_settled(|| crowd.serve(Duration::ZERO, |_| {}))?;
    publisher.publish(1)?;
    crowd.wait_for(1)?;
    let each = after.saturating_sub(before) as f64 / count as f64;
    Ok(Turn {
        values: vec![each / 1024.0],
        late_shares: Vec::new(),
        shares: None,
        kept_up: true,
    })
}

fn warm(process: &Process, rival: Rival, kind: Kind) -> Result<()> {
    let (mut crowd, mut publisher) = gather(process, rival, kind, WARM, "warm")?;
    publisher.publish(1)?;
    crowd.wait_for(1)
}
