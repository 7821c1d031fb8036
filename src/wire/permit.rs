//! A connection's place among the sockets.

use std::net::IpAddr;
use std::sync::Arc;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::{Limits, SocketPlace};
use crate::metrics::Metrics;

/// A place among the sockets, given back when the connection closes.
#[derive(Debug)]
pub struct SocketPermit {
    open: Gauge,
    _permit: OwnedSemaphorePermit,
    _place: SocketPlace,
}

impl SocketPermit {
    /// Counts a connection in; nothing if there are too many, in all or from its address.
    pub fn take(
        limits: &Arc<Limits>,
        metrics: &Metrics,
        permits: &Arc<Semaphore>,
        address: IpAddr,
    ) -> Option<Self> {
        let permit = Arc::clone(permits).try_acquire_owned().ok()?;
        let place = limits.socket(address)?;
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
