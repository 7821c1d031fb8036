//! CPU for each delivery, of the gateway and of the reference, in turns.

use std::time::Duration;

use anyhow::Result;
use crowd::{Crowd, Kind};

use crate::reference::Reference;
use crate::rig::{Rig, reference_readers};
use crate::site::Site;
use crate::table::{Spread, Table};

const SUBSCRIBERS: usize = 1000;
const CHANNEL: &str = "bench";

/// How the messages come.
struct Way {
    name: &'static str,
    burst: usize,
    rounds: usize,
}

/// All transports, both ways.
pub fn measure(site: &Site, transports: &[Kind], quick: bool) -> Result<Table> {
    let title = format!(
        "CPU of the server for each delivery, in µs: {SUBSCRIBERS} subscribers of one channel; the ratio is to one `send` of as \
         many bytes"
    );
    let header = ["", "bytes", "gateway", "reference", "ratio"];
    let mut table = Table::new(&title, &header);
    let ways = [
        Way {
            name: "one in flight",
            burst: 1,
            rounds: 100,
        },
        Way {
            name: "bursts of 64",
            burst: 64,
            rounds: 3,
        },
    ];
    for kind in transports {
        let mut rig = Rig::start(site, *kind, SUBSCRIBERS, &[CHANNEL.to_owned()])?;
        let bytes = rig.wire_bytes()?;
        let mut reference = Reference::start(site, bytes, SUBSCRIBERS)?;
        let mut readers = reference_readers(&reference, bytes, SUBSCRIBERS)?;
        for way in &ways {
            let [gateway, reference, ratio] =
                compare(&mut rig, &mut reference, &mut readers, way, quick)?;
            table.row([
                format!("{}, {}", kind.name(), way.name),
                bytes.to_string(),
                gateway.to_string(),
                reference.to_string(),
                ratio.to_string(),
            ]);
        }
    }
    Ok(table)
}

/// The gateway, the reference, the gateway and so on: what disturbs the machine disturbs both.
fn compare(
    rig: &mut Rig,
    reference: &mut Reference,
    readers: &mut Crowd,
    way: &Way,
    quick: bool,
) -> Result<[Spread; 3]> {
    let deliveries = (way.rounds * way.burst * SUBSCRIBERS) as f64;
    let micros = |cpu: Duration| cpu.as_secs_f64() * 1e6 / deliveries;
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    // The first turn warms up.
    for turn in 0..=if quick { 3 } else { 7 } {
        let our = micros(rig.run(way.rounds, way.burst as u64)?);
        let their = micros(send(reference, readers, way.rounds, way.burst)?);
        if turn > 0 {
            ours.push(our);
            theirs.push(their);
            ratios.push(our / their);
        }
    }
    Ok([ours, theirs, ratios].map(Spread::of))
}

/// So many rounds of so many messages to everybody. Returns the CPU time that it cost the reference.
pub fn send(
    reference: &mut Reference,
    readers: &mut Crowd,
    rounds: usize,
    burst: usize,
) -> Result<Duration> {
    let before = reference.process.cpu()?;
    for _ in 0..rounds {
        reference.send(burst)?;
        let received = readers.received();
        readers.wait_for(received + burst as u64)?;
    }
    Ok(reference.process.cpu()?.since(&before).ran)
}
