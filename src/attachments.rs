//! Who is attached: every WebSocket, SSE stream and long poll that waits, counted, bounded, and ended from here.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use slab::Slab;

use crate::bus::Signal;
use crate::code::{Code, End};
use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::transport::Transport;

/// All attachments of a gateway.
#[derive(Debug)]
pub struct Attachments {
    table: Mutex<Table>,
    attachments_max: usize,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Table {
    signals: Slab<Arc<Signal>>,
    /// Set when the gateway goes down: newcomers are turned away, with a delay up to this.
    draining: Option<Duration>,
}

/// A place among the attachments, given back when it is dropped.
#[derive(Debug)]
pub struct Attachment {
    attachments: Arc<Attachments>,
    transport: Transport,
    signal: Arc<Signal>,
    key: usize,
    code: Code,
}

/// How long a client waits that found the gateway full.
const OVERLOADED_SPREAD: Duration = Duration::from_secs(5);

impl Attachments {
    /// No attachments yet.
    pub fn new(attachments_max: usize, metrics: Arc<Metrics>) -> Self {
        Self {
            table: Mutex::default(),
            attachments_max,
            metrics,
        }
    }

    /// Takes a place.
    ///
    /// # Errors
    /// `shutdown` while the gateway goes down, `overloaded` at the limit, both with a delay.
    pub fn enter(self: &Arc<Self>, transport: Transport) -> Result<Attachment, Problem> {
        let signal = Arc::new(Signal::default());
        let mut table = self.table.lock();
        if let Some(spread) = table.draining {
            return Err(End::jittered(Code::Shutdown, spread).into());
        }
        if table.signals.len() >= self.attachments_max {
            return Err(End::jittered(Code::Overloaded, OVERLOADED_SPREAD).into());
        }
        let key = table.signals.insert(Arc::clone(&signal));
        drop(table);
        let metrics = self.metrics.transport(transport);
        metrics.attachments.inc();
        metrics.attachments_total.inc();
        tracing::debug!(transport = transport.as_str(), attachment = key, "attached");
        Ok(Attachment {
            attachments: Arc::clone(self),
            transport,
            signal,
            key,
            code: Code::Normal,
        })
    }

    /// Ends all attachments with `shutdown`, each with its own delay, and turns newcomers away.
    pub fn drain(&self, spread: Duration) {
        let signals: Vec<Arc<Signal>> = {
            let mut table = self.table.lock();
            table.draining = Some(spread);
            table
                .signals
                .iter()
                .map(|(_, signal)| Arc::clone(signal))
                .collect()
        };
        for signal in signals {
            signal.end(End::jittered(Code::Shutdown, spread));
        }
    }

    /// The number of attachments.
    pub fn len(&self) -> usize {
        self.table.lock().signals.len()
    }

    /// True if nobody is attached.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Attachment {
    /// The signal that wakes and ends this attachment's session.
    pub fn signal(&self) -> &Arc<Signal> {
        &self.signal
    }

    /// Notes the way out, for the count of endings. `normal` is assumed.
    pub fn ended(&mut self, code: Code) {
        self.code = code;
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.attachments.table.lock().signals.remove(self.key);
        self.attachments
            .metrics
            .transport(self.transport)
            .attachments
            .dec();
        self.attachments
            .metrics
            .count_end(self.transport, self.code);
        let (transport, code) = (self.transport.as_str(), self.code.as_str());
        tracing::debug!(transport, attachment = self.key, code, "detached");
    }
}
