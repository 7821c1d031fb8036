//! A connection's place among the sockets.

use std::sync::Arc;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::{Limits, SocketPlace};
use crate::metrics::Metrics;
use crate::peer::{Entrance, Peer};

/// A place among the sockets, given back when the connection closes.
#[derive(Debug)]
pub struct SocketPermit {
    open: Gauge,
    _permit: OwnedSemaphorePermit,
    /// Administrators have none: they are not counted by address.
    _place: Option<SocketPlace>,
}

impl SocketPermit {
    /// Counts a connection in; nothing if there are too many, in all or from its address.
    pub fn take(
        limits: &Arc<Limits>,
        metrics: &Metrics,
        permits: &Arc<Semaphore>,
        peer: Peer,
    ) -> Option<Self> {
        let permit = Arc::clone(permits).try_acquire_owned().ok()?;
        let place = match peer.entrance {
            Entrance::Public => Some(limits.socket(peer.address)?),
            Entrance::Admin => None,
        };
        let open = metrics.sockets.clone();
        open.inc();
        Some(Self {
            open,
            _permit: permit,
            _place: place,
        })
    }
}

impl Drop for SocketPermit {
    fn drop(&mut self) {
        self.open.dec();
    }
}
