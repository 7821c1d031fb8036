//! TLS (RFC 8446): the certificate and its key as they are now, and the handshakes under way.

pub mod client;
pub mod local;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
pub use tokio_rustls::server::TlsStream;
use watch::Seen;

use crate::config;
use crate::path::absolute;

/// What ALPN offers (RFC 7301), the better one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];
/// Most bytes that wait in a connection to be written, beyond what its queue holds.
const UNSENT_BYTES_MAX: usize = 16 * 1024;
/// One ticket (RFC 8446, section 4.6.1) is enough for who comes back.
const TICKETS: usize = 1;

/// What encrypts connections. Its files may be replaced while it runs.
#[derive(Debug)]
pub struct Tls {
    config: ArcSwap<ServerConfig>,
    files: Files,
    /// The files as they were when they were last looked at.
    seen: Mutex<Seen>,
    handshakes: Semaphore,
    within: Duration,
}

/// Certificate and keys that can be used.
#[derive(Debug)]
pub struct Read {
    config: ServerConfig,
    seen: Seen,
}

/// Where certificate and keys are.
#[derive(Debug, Clone)]
struct Files {
    cert: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

/// Why certificates cannot be used. It says which file and what to do, and nothing of what a key holds.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TlsError(String);

/// Why there is no encrypted connection.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// It took too long, or too many others were under way.
    #[error("it was not done in time")]
    Slow,
    /// The client cannot or does not want to.
    #[error("{0}")]
    Failed(std::io::Error),
}

impl Tls {
    /// Reads certificate and keys.
    ///
    /// # Errors
    /// [`TlsError`] if they cannot be used.
    pub fn new(config: &config::Config) -> Result<Self, TlsError> {
        let files = Files::new(&config.tls);
        let seen = Seen::look(&files.all());
        Ok(Self {
            config: ArcSwap::new(Arc::new(files.load()?)),
            seen: Mutex::new(seen),
            files,
            handshakes: Semaphore::new(config.limits.handshakes_max.min(Semaphore::MAX_PERMITS)),
            within: config.timeouts.tls_s.duration(),
        })
    }

    /// Reads the files again, for connections from now on. Those that are there go on.
    ///
    /// # Errors
    /// [`TlsError`]; nothing has changed then.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.read().map(|read| self.take_over(read))
    }

    /// Reads the files again, and changes nothing yet.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn read(&self) -> Result<Read, TlsError> {
        // Before they are read: what changes meanwhile is seen later.
        let seen = Seen::look(&self.files.all());
        match self.files.load() {
            Ok(config) => Ok(Read { config, seen }),
            Err(error) => {
                // Told once, and not at every look.
                *self.seen.lock() = seen;
                Err(error)
            }
        }
    }

    /// Takes over what was read.
    pub fn take_over(&self, read: Read) {
        *self.seen.lock() = read.seen;
        self.config.store(Arc::new(read.config));
    }

    /// Reads the files again if they are not as they were. A replacement that is not complete yet fails, and is looked at
    /// again when it changes.
    pub fn reload_if_changed(&self) {
        if *self.seen.lock() == Seen::look(&self.files.all()) {
            return;
        }
        match self.reload() {
            Ok(()) => tracing::info!("the certificate was replaced"),
            Err(error) => tracing::error!(%error, "the certificate stays as it was"),
        }
    }

    /// Makes a connection an encrypted one. The time for it includes waiting for a turn.
    ///
    /// # Errors
    /// [`HandshakeError`].
    pub async fn accept(
        &self,
        stream: TcpStream,
    ) -> Result<Box<TlsStream<TcpStream>>, HandshakeError> {
        let handshake = async {
            // Who says nothing takes no turn from others.
            stream.peek(&mut [0]).await?;
            // The semaphore is never closed; if it were, nobody would be held up.
            let _turn = self.handshakes.acquire().await;
            let acceptor = TlsAcceptor::from(self.config.load_full());
            acceptor
                .accept_with(stream, |connection| {
                    connection.set_buffer_limit(Some(UNSENT_BYTES_MAX));
                })
                .await
        };
        match timeout(self.within, Box::pin(handshake)).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(error)) => Err(HandshakeError::Failed(error)),
            Err(_) => Err(HandshakeError::Slow),
        }
    }
}

/// True if client and server agreed on HTTP/2.
pub fn is_http2<S>(stream: &TlsStream<S>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(PROTOCOLS[0])
}

/// Checks the authorities of clients alone, while there is no certificate of the server yet.
///
/// # Errors
/// [`TlsError`] if they cannot be used.
pub fn check_client_ca(config: &config::Tls) -> Result<(), TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    Files::new(config).client_verifier(provider).map(drop)
}

impl Files {
    fn new(config: &config::Tls) -> Self {
        Self {
            cert: PathBuf::from(&config.cert),
            key: PathBuf::from(&config.key),
            client_ca: (!config.client_ca.is_empty()).then(|| PathBuf::from(&config.client_ca)),
        }
    }

    fn all(&self) -> Vec<&Path> {
        let mut all = vec![self.cert.as_path(), self.key.as_path()];
        all.extend(self.client_ca.as_deref());
        all
    }

    /// What checks the certificates of clients, if they need any.
    fn client_verifier(
        &self,
        provider: Arc<CryptoProvider>,
    ) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
        let Some(path) = &self.client_ca else {
            return Ok(None);
        };
        let roots = Arc::new(roots("tls.client_ca", path)?);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
        verifier
            .map(Some)
            .map_err(|error| blame("tls.client_ca", path, &error))
    }

    fn load(&self) -> Result<ServerConfig, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let broken = |error: rustls::Error| TlsError(format!("TLS cannot be set up: {error}"));
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(broken)?;
        let builder = match self.client_verifier(provider)? {
            None => builder.with_no_client_auth(),
            Some(verifier) => builder.with_client_cert_verifier(verifier),
        };
        let chain = certificates("tls.cert", &self.cert)?;
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| blame("tls.key", &self.key, &unreadable(&error)))?;
        let mut config = builder
            .with_single_cert(chain, key)
            .map_err(|error| blame("tls.cert and tls.key", &self.cert, &error))?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(broken)?;
        config.send_tls13_tickets = TICKETS;
        Ok(config)
    }
}

/// The certificates of a file, at least one.
fn certificates(key: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| blame(key, path, &unreadable(&error)))?;
    if found.is_empty() {
        return Err(blame(key, path, &"there is no certificate in it"));
    }
    Ok(found)
}

/// The authorities of a file, at least one.
fn roots(key: &str, path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(key, path)? {
        roots
            .add(certificate)
            .map_err(|error| blame(key, path, &error))?;
    }
    Ok(roots)
}

/// What is wrong with a file, without its text: what stands in a key, or in a file that was taken for something else, is not
/// for the log.
fn unreadable(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(cause) => cause.to_string(),
        pem::Error::NoItemsFound => "what is looked for is not in it".to_owned(),
        _ => "it is not PEM".to_owned(),
    }
}

fn blame(key: &str, path: &Path, cause: &dyn std::fmt::Display) -> TlsError {
    TlsError(format!(
        "{key}: {} cannot be used: {cause}. `everyway certs` makes files for trying out",
        absolute(path).display()
    ))
}
