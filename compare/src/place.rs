//! Where the gateway is that is measured.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::machine::Placement;
use crate::wire::Origin;

/// The authorities of a Debian system.
const SYSTEM_CA: &str = "/etc/ssl/certs/ca-certificates.crt";
/// How long each address of a host may take to accept a connection.
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// Where the gateway is, in parts.
pub struct Place {
    /// The gateway.
    pub origin: Origin,
    /// Whether it is reached with TLS only (true) or without only (false); `None`: both.
    pub is_tls: Option<bool>,
    /// Authorities of a gateway elsewhere, in PEM.
    pub ca: Option<Vec<u8>>,
}

impl Place {
    /// A gateway of our own, with TLS and without.
    ///
    /// # Errors
    /// If this executable cannot be found.
    pub fn own(placement: Placement) -> Result<Self> {
        Ok(Self {
            origin: own(placement)?,
            is_tls: None,
            ca: None,
        })
    }

    /// A gateway that runs already. `ca`: the authorities to trust for an https URL, else those of the system.
    ///
    /// # Errors
    /// If the URL is none, its host is not found, or the authorities cannot be read.
    pub fn elsewhere(url: &str, ca: Option<&Path>) -> Result<Self> {
        let uri: http::Uri = url.parse().with_context(|| format!("{url} is not a URL"))?;
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => bail!("{url}: write http:// or https://"),
        };
        ensure!(
            matches!(uri.path(), "/" | ""),
            "{url}: write it without a path"
        );
        let authority = uri
            .authority()
            .with_context(|| format!("{url} names no host"))?;
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let name = authority.host().trim_matches(['[', ']']);
        let addresses: Vec<SocketAddr> = (name, port)
            .to_socket_addrs()
            .with_context(|| format!("{name} is not found"))?
            .collect();
        let address = reachable(&addresses).with_context(|| format!("{name} has no address"))?;
        let origin = Origin::Url {
            address,
            host: authority.as_str().to_owned(),
        };
        let ca = if is_tls { Some(authorities(ca)?) } else { None };
        Ok(Self {
            origin,
            is_tls: Some(is_tls),
            ca,
        })
    }
}

/// A gateway of our own: this executable once more.
///
/// # Errors
/// If this executable cannot be found.
pub fn own(placement: Placement) -> Result<Origin> {
    Ok(Origin::Own {
        executable: std::env::current_exe()?,
        placement,
    })
}

fn authorities(path: Option<&Path>) -> Result<Vec<u8>> {
    let path = path.unwrap_or(Path::new(SYSTEM_CA));
    std::fs::read(path)
        .with_context(|| format!("{}: give the authorities to trust by --ca", path.display()))
}

/// The first address at which somebody listens: `localhost` has two, and a gateway often only one. If nobody does, the
/// first, so that the run says what is wrong with it.
fn reachable(addresses: &[SocketAddr]) -> Option<SocketAddr> {
    let listens = |address: &&SocketAddr| TcpStream::connect_timeout(address, CONNECT_MAX).is_ok();
    let found = addresses.iter().find(listens);
    found.or(addresses.first()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_addresses_of_a_host_the_one_that_answers_is_taken() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let open = listener.local_addr().expect("an address");
        // The port is the listener's, but at an address where nobody listens.
        let closed = SocketAddr::from(([127, 0, 0, 2], open.port()));
        assert_eq!(reachable(&[closed, open]), Some(open));
        assert_eq!(reachable(&[closed]), Some(closed));
        assert_eq!(reachable(&[]), None);
    }
}
