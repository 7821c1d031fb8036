//! Resident memory for each connection: idle ones of each kind, and WebSockets after a large message each way.

use std::path::Path;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use crowd::link::{self, Way};
use crowd::process::Process;
use crowd::{Crowd, Dialect, Kind, Publisher, command, numbered};
use everyway::tls::local::{self, LOCAL_NAMES};
use rustls::ClientConfig;

use crate::PAYLOAD_BYTES;
use crate::rig::everyway;
use crate::server::Gateway;
use crate::site::Site;
use crate::table::Table;

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
pub fn measure(site: &Site, transports: &[Kind], quick: bool) -> Result<Table> {
    let header = ["", "connections", "KiB", "ratio to before"];
    let mut table = Table::new("Resident memory of the server for each connection", &header);
    let (idle, large) = if quick { (1000, 200) } else { (5000, 1000) };
    let certs = tempfile::tempdir()?;
    local::make(certs.path(), &LOCAL_NAMES.map(str::to_owned), true)?;
    let yard = Yard {
        site,
        certs: certs.path(),
        client: link::client(&certs.path().join("ca.pem"))?,
    };
    for cover in [Cover::Plain, Cover::Tls] {
        for kind in transports {
            let each = yard.idle_connections(cover, *kind, idle)?;
            let kind = format!("{}{}, idle", kind.name(), cover.name());
            table.row([kind, idle.to_string(), kib(each), String::new()]);
        }
        if transports.contains(&Kind::WebSocket) {
            let (before, after) = yard.large_messages(cover, large)?;
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
struct Yard<'a> {
    site: &'a Site,
    certs: &'a Path,
    client: Arc<ClientConfig>,
}

impl Yard<'_> {
    /// Bytes for each of many idle connections. In the end a message reaches all of them: they were there.
    fn idle_connections(&self, cover: Cover, kind: Kind, count: usize) -> Result<f64> {
        let (gateway, way) = self.warm(cover)?;
        let before = gateway.process.resident_settled(|| Ok(()))?;
        let mut crowd = Crowd::connect(way, everyway(kind), count, |_| "idle".to_owned())?;
        let each = grown(&gateway.process, before, count)?;
        let channels = vec!["idle".to_owned()];
        let address = gateway.address;
        let mut publisher =
            Publisher::connect(address, Dialect::Everyway, channels, PAYLOAD_BYTES)?;
        publisher.publish(1)?;
        crowd.wait_for(1)?;
        Ok(each)
    }

    /// Bytes for each connection before and after everybody published to a channel of its own, and received that.
    fn large_messages(&self, cover: Cover, count: usize) -> Result<(f64, f64)> {
        let (gateway, way) = self.warm(cover)?;
        let empty = gateway.process.resident_settled(|| Ok(()))?;
        let channel = |index| format!("own-{index}");
        let mut crowd = Crowd::connect(way, everyway(Kind::WebSocket), count, channel)?;
        let before = grown(&gateway.process, empty, count)?;
        exchange(&mut crowd, count, channel)?;
        sleep(Duration::from_secs(2 * u64::from(HISTORY_S)));
        let after = grown(&gateway.process, empty, count)?;
        Ok((before, after))
    }

    /// A gateway that has served somebody before: its code is loaded, and its allocator has its own tables.
    fn warm(&self, cover: Cover) -> Result<(Gateway, Way)> {
        const WARM: usize = 10;
        let (gateway, encrypted) = Gateway::with_tls(self.site, HISTORY_S, self.certs)?;
        let way = match cover {
            Cover::Plain => gateway.address.into(),
            Cover::Tls => Way::Encrypted(encrypted, Arc::clone(&self.client)),
        };
        let channel = |index| format!("warm-{index}");
        for kind in Kind::ALL {
            let mut crowd = Crowd::connect(way.clone(), everyway(kind), WARM, channel)?;
            if kind == Kind::WebSocket {
                exchange(&mut crowd, WARM, channel)?;
            }
        }
        sleep(Duration::from_secs(2 * u64::from(HISTORY_S)));
        Ok((gateway, way))
    }
}

/// Everybody publishes a large message to a channel of its own, and receives it.
fn exchange(crowd: &mut Crowd, count: usize, channel: impl Fn(usize) -> String) -> Result<()> {
    for index in 0..count {
        let payload = numbered::payload(0, LARGE_BYTES);
        crowd.say(
            index,
            &command(Dialect::Everyway, &channel(index), &payload),
        )?;
        crowd.serve(Duration::ZERO, |_| {})?;
    }
    crowd.wait_until(|reader| reader.messages == 1 && reader.others == 2)
}

fn grown(process: &Process, before: u64, count: usize) -> Result<f64> {
    let resident = process.resident_settled(|| Ok(()))?;
    let grown = resident.saturating_sub(before);
    Ok(grown as f64 / count as f64)
}

fn kib(bytes: f64) -> String {
    format!("{:.1}", bytes / 1024.0)
}
