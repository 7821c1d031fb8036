//! CPU for each delivery, of the gateway and of the reference, in turns.

use std::time::Duration;

use anyhow::Result;

use crate::crowd::Crowd;
use crate::process::{Place, Process};
use crate::publisher::{Publisher, TEXT_BYTES, publish};
use crate::reference::Reference;
use crate::table::{Spread, Table};
use crate::wire::Kind;

const SUBSCRIBERS: usize = 1000;
const CHANNEL: &str = "bench";

/// A gateway with a crowd of subscribers and somebody who publishes.
pub struct Rig {
    process: Process,
    crowd: Crowd,
    publisher: Publisher,
    published: u64,
    /// What every member has received in all.
    received: u64,
}

impl Rig {
    /// Starts a gateway and connects everybody.
    pub fn start(
        place: &Place,
        kind: Kind,
        subscribers: usize,
        channel: impl Fn(usize) -> String,
    ) -> Result<Self> {
        let process = Process::start(place, &["server", "300"])?;
        let crowd = Crowd::connect(process.address, kind, subscribers, channel)?;
        let publisher = Publisher::connect(process.address)?;
        Ok(Self {
            process,
            crowd,
            publisher,
            published: 0,
            received: 0,
        })
    }

    /// Publishes `rounds` times what `commands` holds: so many messages, of which each member receives `each`. Returns the
    /// CPU time that it cost the gateway.
    pub fn run(
        &mut self,
        rounds: usize,
        commands: &[u8],
        messages: u64,
        each: u64,
    ) -> Result<Duration> {
        let before = self.process.cpu()?;
        for _ in 0..rounds {
            self.publisher.send(commands)?;
            self.received += each;
            self.crowd.wait_for(self.received)?;
            self.published += messages;
            self.publisher.hear(1 + self.published)?;
        }
        Ok(self.process.cpu()? - before)
    }

    /// The bytes of one delivery, rounded, when each member receives one of the messages that `commands` publishes.
    pub fn wire_bytes(&mut self, commands: &[u8], messages: u64) -> Result<usize> {
        let before = self.crowd.bytes;
        self.run(1, commands, messages, 1)?;
        let bytes = self.crowd.bytes - before;
        Ok((bytes as f64 / self.crowd.len() as f64).round() as usize)
    }
}

/// How the messages come.
struct Way {
    name: &'static str,
    burst: usize,
    rounds: usize,
}

/// All transports, both ways.
pub fn measure(place: &Place, transports: &[Kind], quick: bool) -> Result<Table> {
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
        let mut rig = Rig::start(place, *kind, SUBSCRIBERS, |_| CHANNEL.to_owned())?;
        let bytes = rig.wire_bytes(&publish(CHANNEL, TEXT_BYTES), 1)?;
        let mut reference = Reference::start(place, bytes, SUBSCRIBERS)?;
        let raw = Kind::Raw(bytes);
        let mut readers = Crowd::connect(reference.address(), raw, SUBSCRIBERS, |_| String::new())?;
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
    let commands = publish(CHANNEL, TEXT_BYTES).repeat(way.burst);
    let deliveries = (way.rounds * way.burst * SUBSCRIBERS) as f64;
    let micros = |cpu: Duration| cpu.as_secs_f64() * 1e6 / deliveries;
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    // The first turn warms up.
    for turn in 0..=if quick { 3 } else { 7 } {
        let burst = way.burst as u64;
        let our = micros(rig.run(way.rounds, &commands, burst, burst)?);
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
    Ok(reference.process.cpu()? - before)
}
