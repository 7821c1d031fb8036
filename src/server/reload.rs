//! Settings, keys and certificates that are read again while the gateway runs.

use std::sync::Arc;

use crate::config::Config;
use crate::gateway::{self, Gateway};
use crate::tls::{Tls, TlsError};

/// What can be read again.
#[derive(Debug, Clone)]
pub struct Reloader {
    gateway: Arc<Gateway>,
    tls: Option<Arc<Tls>>,
}

/// Why everything stays as it was.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The keys of `auth`, or settings that do not fit those that stay.
    #[error("{0}")]
    Gateway(#[from] gateway::ReloadError),
    /// The certificate, its key, or the authorities of clients.
    #[error("{0}")]
    Tls(#[from] TlsError),
}

impl Reloader {
    /// Of a server.
    pub(super) fn new(gateway: Arc<Gateway>, tls: Option<Arc<Tls>>) -> Self {
        Self { gateway, tls }
    }

    /// Takes over a configuration that was read and checked again, with its keys and certificates. No connection is lost.
    /// Returns the sections and keys that changed and need a new start.
    ///
    /// # Errors
    /// [`ReloadError`]; nothing has changed then.
    pub fn reload(&self, config: Config) -> Result<Vec<&'static str>, ReloadError> {
        let read = self.tls.as_ref().map(|tls| tls.read()).transpose()?;
        let fixed = self.gateway.reload(config)?;
        if let (Some(tls), Some(read)) = (&self.tls, read) {
            tls.take_over(read);
        }
        Ok(fixed)
    }
}
