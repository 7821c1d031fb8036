//! What this machine and this gateway allow to be measured.

use super::Session;
use crate::cell::{Cell, Network, Protocol, Rate, Transport};
use crate::label;
use crate::machine;
use crate::network::namespace::Namespace;
use crate::plan::Planned;
use crate::results::Skipped;
use crate::wire::Origin;

/// More bytes in a second are too many for one core on each side.
const BYTES_PER_S_MAX: f64 = 150e6;
/// More deliveries in a second are.
const DELIVERIES_PER_S_MAX: f64 = 150e3;

impl Session {
    /// The cells that this machine and this gateway allow, and what is left out.
    pub(super) async fn feasible(&self) -> (Vec<Planned>, Vec<Skipped>) {
        let sockets = self
            .plan
            .cells
            .iter()
            .map(|planned| sockets(&planned.cell))
            .max()
            .unwrap_or_default();
        let allowed = machine::allow_sockets(sockets);
        let no_losses = self.why_no_losses().await;
        let (mut cells, mut left_out) = (Vec::new(), Vec::<(String, Vec<String>)>::new());
        for planned in &self.plan.cells {
            let Some(why) = self.objection(&planned.cell, allowed, no_losses.as_deref()) else {
                cells.push(planned.clone());
                continue;
            };
            let label = label::of(&planned.cell);
            match left_out.iter_mut().find(|(reason, _)| *reason == why) {
                Some((_, labels)) => labels.push(label),
                None => left_out.push((why, vec![label])),
            }
        }
        (cells, left_out.into_iter().map(skipped).collect())
    }

    fn objection(&self, cell: &Cell, sockets_max: u64, no_losses: Option<&str>) -> Option<String> {
        if sockets(cell) > sockets_max {
            return Some(format!(
                "it needs {} open files, of which this process may have {sockets_max}: raise `ulimit -n`",
                sockets(cell)
            ));
        }
        let deliveries = deliveries_per_s(cell);
        let is_too_much = deliveries > DELIVERIES_PER_S_MAX
            || deliveries * cell.payload_bytes as f64 > BYTES_PER_S_MAX;
        if is_too_much {
            return Some(format!(
                "{deliveries:.0} deliveries a second of {} bytes are over what two cores carry",
                cell.payload_bytes
            ));
        }
        if let Network::Delay {
            bits_per_s: Some(bits_per_s),
            ..
        } = cell.network
        {
            let wanted = deliveries / cell.subscribers as f64 * cell.payload_bytes as f64 * 8.0;
            if wanted > bits_per_s * 0.8 {
                return Some(format!(
                    "{:.1} Mbit/s do not fit through the line of each client",
                    wanted / 1e6
                ));
            }
        }
        let is_tls = cell.protocol != Protocol::Http1;
        if self.is_tls.is_some_and(|only| only != is_tls) {
            return Some("the gateway's address is of the other kind: give one with https for TLS, with http without".to_owned());
        }
        let is_elsewhere = matches!(self.origin, Origin::Url(_));
        if is_elsewhere && cell.rate == Rate::Idle && cell.transport != Transport::Poll {
            return Some(
                "heartbeats of a gateway elsewhere are 25 s apart, which a short cell does not see: leave out --url"
                    .to_owned(),
            );
        }
        no_losses.filter(|_| is_lossy(cell)).map(str::to_owned)
    }

    /// Whether packets can be lost on this machine is best seen by trying.
    async fn why_no_losses(&self) -> Option<String> {
        let lossy = self
            .plan
            .cells
            .iter()
            .find(|planned| is_lossy(&planned.cell))?;
        if matches!(self.origin, Origin::Url(_)) {
            return Some(
                "loss needs a gateway in a network namespace of our own: leave out --url"
                    .to_owned(),
            );
        }
        let error = Namespace::make(&lossy.cell.network).await.err()?;
        Some(format!("this machine cannot lose packets: {error:#}"))
    }
}

fn is_lossy(cell: &Cell) -> bool {
    matches!(cell.network, Network::Loss { .. })
}

/// One line for all cells with the same reason: a matrix has many.
fn skipped((why, labels): (String, Vec<String>)) -> Skipped {
    let what = match &labels[..] {
        [one] => one.clone(),
        [first, ..] => format!("{} cells, the first of which is: {first}", labels.len()),
        [] => String::new(),
    };
    Skipped { what, why }
}

/// Sockets on the side of the load: a proxy has two for each client.
fn sockets(cell: &Cell) -> u64 {
    let each = match cell.network {
        Network::Delay { .. } => 3,
        Network::Loopback | Network::Loss { .. } => 1,
    };
    cell.subscribers as u64 * each
}

fn deliveries_per_s(cell: &Cell) -> f64 {
    let per_s = match cell.rate {
        Rate::Idle => 0.0,
        Rate::Steady { per_s } => per_s,
        Rate::Bursts { size, every_s } => size as f64 / every_s,
    };
    per_s * cell.subscribers as f64
}
