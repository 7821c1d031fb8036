//! Whether a delivery costs the same however many subscribers and channels there are.

use anyhow::Result;
use crowd::{Kind, Publisher};

use crate::cpu::send;
use crate::reference::Reference;
use crate::rig::{Rig, reference_readers};
use crate::site::Site;
use crate::table::{Spread, Table};

/// So many channels, each with so many subscribers.
struct Shape {
    channels: usize,
    subscribers: usize,
    rounds: usize,
}

const SHAPES: [Shape; 4] = [
    Shape {
        channels: 1,
        subscribers: 1000,
        rounds: 50,
    },
    Shape {
        channels: 1,
        subscribers: 100,
        rounds: 500,
    },
    Shape {
        channels: 1,
        subscribers: 10_000,
        rounds: 5,
    },
    Shape {
        channels: 1000,
        subscribers: 1,
        rounds: 50,
    },
];

/// What the load opens besides the connections that are counted.
const OTHER_FILES: usize = 100;

/// What one delivery costs, in µs of CPU.
struct Costs {
    gateway: Spread,
    reference: Spread,
    ratio: Spread,
}

/// All shapes, the gateway and the reference in turns.
pub fn measure(site: &Site, files: usize, quick: bool) -> Result<Table> {
    let mut table = Table::new(
        "CPU of the server for each delivery over WebSocket, in µs, one message of each channel in flight, less what \
         publishing to nobody costs",
        &[
            "channels × subscribers",
            "gateway",
            "reference",
            "ratio",
            "to the first row",
        ],
    );
    let mut first = None;
    for shape in &SHAPES {
        let too_many = shape.connections() * 19 / 10 + OTHER_FILES > files;
        if too_many || (quick && shape.connections() >= 10_000) {
            continue;
        }
        let costs = shape.measure(site, files, quick)?;
        let first = *first.get_or_insert(costs.ratio.median);
        table.row([
            format!("{} × {}", shape.channels, shape.subscribers),
            costs.gateway.to_string(),
            costs.reference.to_string(),
            costs.ratio.to_string(),
            format!("{:.2}", costs.ratio.median / first),
        ]);
    }
    Ok(table)
}

impl Shape {
    fn connections(&self) -> usize {
        self.channels * self.subscribers
    }

    fn measure(&self, site: &Site, files: usize, quick: bool) -> Result<Costs> {
        let mut rig = Rig::start(site, Kind::WebSocket, self.connections(), &self.names('c'))?;
        let mut nobody = rig.publisher(self.names('q'))?;
        let bytes = rig.wire_bytes()?;
        // It may have a few less where open files are short.
        let sends = self
            .connections()
            .min(files - self.connections() - OTHER_FILES);
        let mut reference = Reference::start(site, bytes, sends)?;
        let mut readers = reference_readers(&reference, bytes, sends)?;
        let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        // The first turn warms up.
        for turn in 0..=if quick { 3 } else { 7 } {
            let our = self.deliveries(&mut rig, &mut nobody)?;
            let their = send(&mut reference, &mut readers, self.rounds, 1)?.as_secs_f64() * 1e6
                / (self.rounds * sends) as f64;
            if turn > 0 {
                ours.push(our);
                theirs.push(their);
                ratios.push(our / their);
            }
        }
        Ok(Costs {
            gateway: Spread::of(ours),
            reference: Spread::of(theirs),
            ratio: Spread::of(ratios),
        })
    }

    /// Microseconds for each delivery: the cost of publishing to all channels, less the same to as many without anybody.
    fn deliveries(&self, rig: &mut Rig, nobody: &mut Publisher) -> Result<f64> {
        let both = rig.run(self.rounds, 1)?;
        let publishing = rig.run_to_nobody(self.rounds, nobody)?;
        let delivering = both.saturating_sub(publishing).as_secs_f64();
        Ok(delivering * 1e6 / (self.rounds * self.connections()) as f64)
    }

    /// As long for every channel, so that the messages are.
    fn names(&self, letter: char) -> Vec<String> {
        (0..self.channels)
            .map(|index| format!("{letter}{index:04}"))
            .collect()
    }
}
