//! TLS towards a server: for the source of keys, and for the command line.

use std::io;
use std::path::Path;
use std::sync::Arc;

use http::uri::Authority;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::{TlsError, roots};

/// What ALPN offers (RFC 7301).
const PROTOCOL: &[u8] = b"http/1.1";
/// The ports of URLs that name none (RFC 9110, section 4.2).
const PORT: u16 = 80;
const TLS_PORT: u16 = 443;

/// A connection to a server, encrypted or not.
pub type Stream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// Encrypts connections to servers whose certificates it trusts. Cheap to clone.
#[derive(Clone)]
pub struct Connector {
    config: Arc<ClientConfig>,
    /// The setting or the flag that names the authority, for messages.
    setting: &'static str,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody answers there, or breaks off.
    #[error("cannot connect to {0}: {1}")]
    Failed(String, io::Error),
    /// Somebody answers, and not in TLS.
    #[error("{0} does not speak TLS: look at the port in its URL")]
    NoTls(String),
    /// Whoever answers cannot show that it is who was asked for. Trying again is of no use.
    #[error("the certificate of {0} is not trusted ({1}): name the file of its authority with {2}")]
    Untrusted(String, rustls::Error, &'static str),
}

impl Connector {
    /// Trusts the authorities of a file, or those of the system if none is named. `setting` is what names the file.
    ///
    /// # Errors
    /// [`TlsError`] for a file that cannot be used, and for a system without authorities.
    pub fn new(setting: &'static str, ca: Option<&Path>) -> Result<Self, TlsError> {
        let roots = match ca {
            Some(path) => roots(setting, path)?,
            None => system_roots(setting)?,
        };
        let broken = |error: rustls::Error| TlsError(format!("TLS cannot be set up: {error}"));
        let mut config =
            ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(broken)?
                .with_root_certificates(roots)
                .with_no_client_auth();
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(Self {
            config: Arc::new(config),
            setting,
        })
    }

    async fn encrypt(
        &self,
        authority: &Authority,
        stream: TcpStream,
    ) -> Result<Stream, ConnectError> {
        let failed = |error| ConnectError::Failed(authority.to_string(), error);
        let name = ServerName::try_from(host(authority).to_owned());
        let name = name.map_err(|error| failed(io::Error::other(error)))?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        match connector.connect(name, stream).await {
            Ok(stream) => Ok(Either::Right(Box::new(stream))),
            Err(error) => Err(match cause(&error) {
                Some(cause @ rustls::Error::InvalidCertificate(_)) => {
                    ConnectError::Untrusted(authority.to_string(), cause.clone(), self.setting)
                }
                Some(rustls::Error::InvalidMessage(_)) => {
                    ConnectError::NoTls(authority.to_string())
                }
                _ => failed(error),
            }),
        }
    }
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

/// Opens a connection, with TLS if there is a connector. It takes as long as the system lets it: callers bound it.
///
/// # Errors
/// [`ConnectError`].
pub async fn connect(
    authority: &Authority,
    tls: Option<&Connector>,
) -> Result<Stream, ConnectError> {
    let failed = |error| ConnectError::Failed(authority.to_string(), error);
    let default = if tls.is_some() { TLS_PORT } else { PORT };
    let port = authority.port_u16().unwrap_or(default);
    let stream = TcpStream::connect((host(authority), port)).await;
    let stream = stream.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    match tls {
        None => Ok(Either::Left(stream)),
        Some(tls) => tls.encrypt(authority, stream).await,
    }
}

/// The host of an authority: an IPv6 address stands without its brackets.
pub fn host(authority: &Authority) -> &str {
    let host = authority.host();
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    inner.unwrap_or(host)
}

fn system_roots(setting: &str) -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Systems keep some that nobody can use any more.
    let (usable, _) = roots.add_parsable_certificates(found.certs);
    if usable > 0 {
        return Ok(roots);
    }
    let cause = found.errors.first();
    let cause = cause.map_or_else(String::new, |cause| format!(" ({cause})"));
    Err(TlsError(format!(
        "this system knows no authorities to trust{cause}: install its ca-certificates, or name a file with {setting}"
    )))
}

/// What TLS says of a failure, if it is one of TLS.
fn cause(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref::<rustls::Error>()
}
