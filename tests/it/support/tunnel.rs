//! TLS for clients that know nothing of it: a port without TLS whose connections go on to a gateway with TLS. A client that
//! begins as HTTP/2 asks for that by ALPN.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use everyway::tls::local::{self, LOCAL_NAMES};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A folder with an authority and a certificate of its own.
pub struct Certs(PathBuf);

impl Certs {
    pub fn make() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("certs-{}-{count}", std::process::id());
        let certs = Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
        certs.replace();
        certs
    }

    /// Another authority, and another certificate.
    pub fn replace(&self) {
        local::make(&self.0, &LOCAL_NAMES.map(str::to_owned), true).expect("certificates");
    }

    pub fn path(&self, name: &str) -> String {
        self.0
            .join(name)
            .to_str()
            .expect("a path in UTF-8")
            .to_owned()
    }

    pub fn spoil(&self, name: &str) {
        fs::write(self.path(name), "no certificate").expect("a file");
    }

    /// What a client needs to connect.
    pub fn client(&self, protocols: &[&str]) -> Client {
        Client {
            protocols: protocols.iter().map(ToString::to_string).collect(),
            ca: self.path("ca.pem"),
            identity: None,
        }
    }
}

impl Drop for Certs {
    fn drop(&mut self) {
        // What is left is in the build's own folder.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A client of TLS.
#[derive(Clone)]
pub struct Client {
    protocols: Vec<String>,
    ca: String,
    identity: Option<(String, String)>,
}

impl Client {
    /// With a certificate of its own and its key.
    pub fn identified(mut self, cert: String, key: String) -> Self {
        self.identity = Some((cert, key));
        self
    }

    pub async fn connect(&self, address: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
        self.connect_with(Arc::new(self.config()), address).await
    }

    /// With settings that may hold the sessions of earlier connections.
    pub async fn connect_with(
        &self,
        config: Arc<ClientConfig>,
        address: SocketAddr,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let connector = TlsConnector::from(config);
        let name = ServerName::try_from("localhost").expect("a name");
        connector
            .connect(name, TcpStream::connect(address).await?)
            .await
    }

    /// Its settings.
    pub fn config(&self) -> ClientConfig {
        let certificates = |path: &str| -> Vec<_> {
            let found = CertificateDer::pem_file_iter(path).expect("a file");
            found.map(|found| found.expect("a certificate")).collect()
        };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&self.ca) {
            roots.add(certificate).expect("an authority");
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => builder
                .with_client_auth_cert(
                    certificates(cert),
                    PrivateKeyDer::from_pem_file(key).expect("a key"),
                )
                .expect("an identity"),
        };
        config.alpn_protocols = self
            .protocols
            .iter()
            .map(|name| name.clone().into())
            .collect();
        config
    }
}

/// A port whose connections go on to `gateway` with TLS. It lives as long as the test's runtime.
pub async fn before(gateway: SocketAddr, certs: &Certs) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (http1, http2) = (certs.client(&["http/1.1"]), certs.client(&["h2"]));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (http1, http2) = (http1.clone(), http2.clone());
            tokio::spawn(async move {
                let mut first = [0; 3];
                let begins = client.peek(&mut first).await;
                let is_http2 = begins.is_ok() && first == *b"PRI";
                let config = if is_http2 { http2 } else { http1 };
                carry(client, &config, gateway).await;
            });
        }
    });
    address
}

async fn carry(mut client: TcpStream, config: &Client, gateway: SocketAddr) {
    let mut encrypted = config.connect(gateway).await.expect("TLS");
    // Either side may leave as it likes.
    let _ = copy_bidirectional(&mut client, &mut encrypted).await;
}
