//! What the command line chose to measure.

use crate::cell::{Network, Protocol, Rate, Transport};
use crate::label::Only;

/// What the command line chose, each empty where it did not.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Transports and protocols.
    pub only: Vec<Only>,
    /// Rates.
    pub rates: Vec<Rate>,
    /// Bytes of payloads.
    pub sizes: Vec<usize>,
    /// Numbers of subscribers.
    pub subscribers: Vec<usize>,
    /// Seconds between short polls.
    pub intervals: Vec<f64>,
    /// Networks.
    pub networks: Vec<Network>,
    /// Whether WebSockets are measured with compression, too.
    pub deflate: bool,
}

impl Choice {
    pub(super) fn transports(&self) -> Vec<Transport> {
        let transport = |only: &Only| match only {
            Only::Transport(transport) => Some(*transport),
            Only::Protocol(_) => None,
        };
        self.only.iter().filter_map(transport).collect()
    }

    pub(super) fn protocols(&self) -> Vec<Protocol> {
        let protocol = |only: &Only| match only {
            Only::Protocol(protocol) => Some(*protocol),
            Only::Transport(_) => None,
        };
        self.only.iter().filter_map(protocol).collect()
    }

    /// What was chosen for a transport that was left out, and would change nothing.
    pub fn idle_option(&self) -> Option<&'static str> {
        let transports = self.transports();
        let is_left_out = |transport| !transports.is_empty() && !transports.contains(&transport);
        if self.deflate && is_left_out(Transport::WebSocket) {
            return Some(
                "--deflate is for WebSockets only: name websocket in --only, too, or leave it out",
            );
        }
        if !self.intervals.is_empty() && is_left_out(Transport::Poll) {
            return Some(
                "--interval is for short polls only: name poll in --only, too, or leave it out",
            );
        }
        None
    }

    /// True if protocols were chosen.
    pub fn names_protocols(&self) -> bool {
        !self.protocols().is_empty()
    }

    /// True if anything but transports was chosen: then the cells are a matrix, and not our selection.
    pub(super) fn is_matrix(&self) -> bool {
        !(self.rates.is_empty()
            && self.sizes.is_empty()
            && self.subscribers.is_empty()
            && self.intervals.is_empty()
            && self.networks.is_empty()
            && self.protocols().is_empty())
            || self.deflate
    }
}
