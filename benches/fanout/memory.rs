//! Resident memory for each connection: idle ones of each kind, and WebSockets after a large message each way.

use std::path::Path;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use everyway::tls::local::{self, LOCAL_NAMES};
use rustls::ClientConfig;

use crate::crowd::Crowd;
use crate::link::{self, Way};
use crate::process::{Place, Process};
use crate::publisher::{Publisher, TEXT_BYTES, publish};
use crate::table::Table;
use crate::wire::Kind;

const LARGE_BYTES: usize = 60_000;
/// Messages go from the history after this, so that what is left is the connections'.
const HISTORY_S: u32 = 2;

/// A connection, with TLS or without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cover {
    Plain,
    Tls,
}

impl Cover {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Tls => " within TLS",
        }
    }
}

/// All kinds, and the large messages.
pub fn measure(place: &Place, transports: &[Kind], quick: bool) -> Result<Table> {
    let header = ["", "connections", "KiB", "ratio to before"];
    let mut table = Table::new("Resident memory of the server for each connection", &header);
    let (idle, large) = if quick { (1000, 200) } else { (5000, 1000) };
    let certs = tempfile::tempdir()?;
    local::make(certs.path(), &LOCAL_NAMES.map(str::to_owned), true)?;
    let rig = Rig {
        place,
        certs: certs.path(),
        client: link::client(&certs.path().join("ca.pem"))?,
    };
    for cover in [Cover::Plain, Cover::Tls] {
        for kind in transports {
            let each = rig.idle_connections(cover, *kind, idle)?;
            let kind = format!("{}{}, idle", kind.name(), cover.name());
            table.row([kind, idle.to_string(), kib(each), String::new()]);
        }
        if transports.contains(&Kind::WebSocket) {
            let (before, after) = rig.large_messages(cover, large)?;
            let count = large.to_string();
            let name = format!("WebSocket{}, before the large messages", cover.name());
            table.row([name, count.clone(), kib(before), String::new()]);
            let ratio = format!("{:.2}", after / before);
            let name = format!(
                "WebSocket{}, after {LARGE_BYTES} bytes each way",
                cover.name()
            );
            table.row([name, count, kib(after), ratio]);
        }
    }
    Ok(table)
}

/// What each measurement needs.
struct Rig<'a> {
    place: &'a Place,
    certs: &'a Path,
    client: Arc<ClientConfig>,
}

impl Rig<'_> {
    /// Bytes for each of many idle connections. In the end a message reaches all of them: they were there.
    fn idle_connections(&self, cover: Cover, kind: Kind, count: usize) -> Result<f64> {
        let process = self.warm(cover)?;
        let before = process.resident_settled()?;
        let way = self.way(&process, cover)?;
        let mut crowd = Crowd::connect(way, kind, count, |_| "idle".to_owned())?;
        let each = grown(&process, before, count)?;
        let mut publisher = Publisher::connect(process.address)?;
        publisher.send(&publish("idle", TEXT_BYTES))?;
        crowd.wait_for(1)?;
        Ok(each)
    }

    /// Bytes for each connection before and after everybody published to a channel of its own, and received that.
    fn large_messages(&self, cover: Cover, count: usize) -> Result<(f64, f64)> {
        let process = self.warm(cover)?;
        let empty = process.resident_settled()?;
        let channel = |index| format!("own-{index}");
        let way = self.way(&process, cover)?;
        let mut crowd = Crowd::connect(way, Kind::WebSocket, count, channel)?;
        let before = grown(&process, empty, count)?;
        exchange(&mut crowd, count, channel)?;
        sleep(Duration::from_secs(2 * u64::from(HISTORY_S)));
        let after = grown(&process, empty, count)?;
        Ok((before, after))
    }

    /// A gateway that has served somebody before: its code is loaded, and its allocator has its own tables.
    fn warm(&self, cover: Cover) -> Result<Process> {
        const WARM: usize = 10;
        let (age_s, certs) = (HISTORY_S.to_string(), self.certs.display().to_string());
        let process = Process::start(self.place, &["server", &age_s, &certs])?;
        let channel = |index| format!("warm-{index}");
        for kind in [Kind::WebSocket, Kind::Sse, Kind::Longpoll] {
            let way = self.way(&process, cover)?;
            let mut crowd = Crowd::connect(way, kind, WARM, channel)?;
            if kind == Kind::WebSocket {
                exchange(&mut crowd, WARM, channel)?;
            }
        }
        sleep(Duration::from_secs(2 * u64::from(HISTORY_S)));
        Ok(process)
    }

    fn way(&self, process: &Process, cover: Cover) -> Result<Way> {
        Ok(match cover {
            Cover::Plain => process.address.into(),
            Cover::Tls => {
                let address = process.encrypted.context("the server listens with TLS")?;
                Way::Encrypted(address, Arc::clone(&self.client))
            }
        })
    }
}

/// Everybody publishes a large message to a channel of its own, and receives it.
fn exchange(crowd: &mut Crowd, count: usize, channel: impl Fn(usize) -> String) -> Result<()> {
    for index in 0..count {
        crowd.say(index, &publish(&channel(index), LARGE_BYTES))?;
        crowd.serve()?;
    }
    crowd.wait_until(|reader| reader.messages == 1 && reader.others == 2)
}

fn grown(process: &Process, before: u64, count: usize) -> Result<f64> {
    let grown = process.resident_settled()?.saturating_sub(before);
    Ok(grown as f64 / count as f64)
}

fn kib(bytes: f64) -> String {
    format!("{:.1}", bytes / 1024.0)
}
