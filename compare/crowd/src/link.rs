//! One connection of the load, with TLS or without.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use mio::Interest;
use mio::net::TcpStream;
use mio::{Registry, Token};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};

use super::signals::uninterrupted;

/// Where to connect to, and how.
#[derive(Debug, Clone)]
pub enum Way {
    /// Over TCP.
    Plain(SocketAddr),
    /// Over TLS, as a client that is configured so.
    Encrypted(SocketAddr, Arc<ClientConfig>),
}

impl From<SocketAddr> for Way {
    fn from(address: SocketAddr) -> Self {
        Self::Plain(address)
    }
}

/// A client that trusts an authority, and makes a whole handshake for each connection. An error if the file has no
/// certificate.
pub fn client(ca: &Path) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca)?)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// A connection.
#[derive(Debug)]
pub struct Link {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

impl Link {
    /// Connects, and waits for that. Says a first thing. After that nothing waits.
    pub fn open(way: &Way, hello: &[u8]) -> Result<Self> {
        let (Way::Plain(address) | Way::Encrypted(address, _)) = way;
        let mut socket = std::net::TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        let tls = match way {
            Way::Plain(_) => {
                socket.write_all(hello)?;
                None
            }
            Way::Encrypted(_, config) => {
                let name = ServerName::try_from("localhost")?;
                let mut tls = ClientConnection::new(Arc::clone(config), name)?;
                rustls::Stream::new(&mut tls, &mut socket).write_all(hello)?;
                Some(Box::new(tls))
            }
        };
        socket.set_nonblocking(true)?;
        let socket = TcpStream::from_std(socket);
        Ok(Self { socket, tls })
    }

    /// Tells the poll which token this is.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.socket, token, Interest::READABLE)
    }

    /// True if a read that does not fill its buffer leaves nothing behind.
    pub fn is_read_empty_by_a_short_read(&self) -> bool {
        self.tls.is_none()
    }
}

impl Read for Link {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return uninterrupted(|| self.socket.read(buffer));
        };
        loop {
            match tls.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                outcome => return outcome,
            }
            if uninterrupted(|| tls.read_tls(&mut self.socket))? == 0 {
                return Ok(0);
            }
            tls.process_new_packets().map_err(io::Error::other)?;
        }
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return uninterrupted(|| self.socket.write(bytes));
        };
        let count = tls.writer().write(bytes)?;
        self.flush()?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else {
            return Ok(());
        };
        while tls.wants_write() {
            match uninterrupted(|| tls.write_tls(&mut self.socket)) {
                Ok(_) => {}
                // Not the loop of a measurement: only large messages wait here, for the server to read on.
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
