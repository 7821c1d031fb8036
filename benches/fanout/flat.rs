//! Whether a delivery costs the same however many subscribers and channels there are.

use anyhow::Result;

use crate::cpu::Rig;
use crate::process::Place;
use crate::publisher::{TEXT_BYTES, publish};
use crate::table::{Spread, Table};
use crate::wire::Kind;

/// So many channels, each with so many subscribers.
struct Shape {
    channels: usize,
    subscribers: usize,
    rounds: usize,
}

const SHAPES: [Shape; 4] = [
    Shape {
        channels: 1,
        subscribers: 100,
        rounds: 500,
    },
    Shape {
        channels: 1,
        subscribers: 1000,
        rounds: 50,
    },
    Shape {
        channels: 1,
        subscribers: 10_000,
        rounds: 8,
    },
    Shape {
        channels: 1000,
        subscribers: 1,
        rounds: 50,
    },
];

/// All shapes in turns, so that what disturbs the machine disturbs all of them.
pub fn measure(place: &Place, files: usize, quick: bool) -> Result<Table> {
    const OTHER_FILES: usize = 100;
    let header = ["channels × subscribers", "µs", "ratio to 1 × 1000"];
    let mut table = Table::new(
        "CPU of the server for each delivery over WebSocket, one message of each channel in flight",
        &header,
    );
    let all: usize = SHAPES.iter().map(Shape::connections).sum();
    let fits = |shape: &&Shape| all + OTHER_FILES <= files || shape.connections() < 10_000;
    let fits = |shape: &&Shape| fits(shape) && !(quick && shape.connections() >= 10_000);
    let shapes: Vec<&Shape> = SHAPES.iter().filter(fits).collect();
    let mut rigs = Vec::new();
    for shape in &shapes {
        let channel = |index| name(index % shape.channels);
        rigs.push(Rig::start(
            place,
            Kind::WebSocket,
            shape.connections(),
            channel,
        )?);
    }
    let mut costs = vec![Vec::new(); shapes.len()];
    // The first turn warms up.
    for turn in 0..=if quick { 3 } else { 5 } {
        for (i, (shape, rig)) in shapes.iter().zip(&mut rigs).enumerate() {
            let cost = shape.run(rig)?;
            if turn > 0 {
                costs[i].push(cost);
            }
        }
    }
    let middle = costs[1].clone();
    for (shape, costs) in shapes.iter().zip(costs) {
        let ratios = costs
            .iter()
            .zip(&middle)
            .map(|(cost, middle)| cost / middle);
        let ratios = Spread::of(ratios.collect());
        table.row([
            format!("{} × {}", shape.channels, shape.subscribers),
            Spread::of(costs).to_string(),
            ratios.to_string(),
        ]);
    }
    Ok(table)
}

impl Shape {
    fn connections(&self) -> usize {
        self.channels * self.subscribers
    }

    /// Microseconds for each delivery.
    fn run(&self, rig: &mut Rig) -> Result<f64> {
        let commands: Vec<u8> = (0..self.channels)
            .flat_map(|index| publish(&name(index), TEXT_BYTES))
            .collect();
        let cpu = rig.run(self.rounds, &commands, self.channels as u64, 1)?;
        Ok(cpu.as_secs_f64() * 1e6 / (self.rounds * self.connections()) as f64)
    }
}

/// As long for every channel, so that the messages are.
fn name(index: usize) -> String {
    format!("c{index:04}")
}
