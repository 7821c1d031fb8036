//! TLS as a client speaks it.

use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Io;

/// Whom to trust, and whether sessions are resumed.
#[derive(Debug, Clone)]
pub struct Tls {
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
}

impl Tls {
    /// Trusts the authorities of a PEM text. Each connection makes a full handshake, as that of another person would.
    pub fn trusting(pem: &[u8]) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            roots.add(certificate.context("a certificate that cannot be read")?)?;
        }
        anyhow::ensure!(
            !roots.is_empty(),
            "there is no certificate among the authorities"
        );
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(Self::of(config))
    }

    /// The same for one client that comes back: it remembers its own sessions, and nobody else's.
    pub fn resuming(&self) -> Self {
        let mut config = (*self.http1).clone();
        config.resumption = Resumption::in_memory_sessions(8);
        Self::of(config)
    }

    fn of(config: ClientConfig) -> Self {
        let with = |protocol: &[u8]| {
            let mut config = config.clone();
            config.alpn_protocols = vec![protocol.to_vec()];
            Arc::new(config)
        };
        Self {
            http1: with(b"http/1.1"),
            http2: with(b"h2"),
        }
    }

    /// Encrypts a stream to `host`, a name or an address with or without a port.
    pub async fn connect<S: Io>(&self, stream: S, host: &str, alpn: &[u8]) -> Result<TlsStream<S>> {
        let config = if alpn == b"h2" {
            &self.http2
        } else {
            &self.http1
        };
        let name = name_of(host);
        let name = ServerName::try_from(name.to_owned())
            .with_context(|| format!("{name} is no name of a server"))?;
        let stream = TlsConnector::from(Arc::clone(config))
            .connect(name, stream)
            .await;
        let stream = stream.context("the TLS handshake failed")?;
        anyhow::ensure!(
            alpn != b"h2" || stream.get_ref().1.alpn_protocol() == Some(alpn),
            "the gateway does not speak HTTP/2 over TLS"
        );
        Ok(stream)
    }
}

/// A host without its port.
fn name_of(host: &str) -> &str {
    if let Some(address) = host.strip_prefix('[') {
        return address.split(']').next().unwrap_or_default();
    }
    host.split(':').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_no_part_of_a_name() {
        for (host, name) in [
            ("a.example:8443", "a.example"),
            ("127.0.0.1", "127.0.0.1"),
            ("[::1]:80", "::1"),
        ] {
            assert_eq!(name_of(host), name);
        }
    }
}
