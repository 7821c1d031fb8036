//! Where the gateway is that is measured.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::cell::Protocol;
use crate::client::Target;
use crate::client::server::Credentials;
use crate::client::tls::Tls;
use crate::machine::Placement;
use crate::wire::{Elsewhere, Origin};

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

    /// A gateway that runs already. `ca`: the authorities to trust for an https URL, else those of the system. `wss://` means
    /// https, `ws://` http, and a path is what stands before the gateway's own.
    ///
    /// # Errors
    /// If the URL is none, its host is not found, nobody listens there, or the authorities cannot be read.
    pub fn elsewhere(url: &str, ca: Option<&Path>, credentials: Credentials) -> Result<Self> {
        let expected = || {
            format!(
                "{url} is not the URL of a gateway, such as http://127.0.0.1:8080 or https://example.com"
            )
        };
        let uri: http::Uri = url.parse().ok().with_context(expected)?;
        let is_tls = match uri.scheme_str() {
            Some("http" | "ws") => false,
            Some("https" | "wss") => true,
            _ => bail!(expected()),
        };
        let authority = uri.authority().with_context(expected)?;
        // It would stand in the report.
        let has_password = authority.as_str().contains('@');
        ensure!(
            !has_password,
            "a URL with a password in it is not taken: use --token-file"
        );
        ensure!(uri.query().is_none(), expected());
        ensure!(
            is_tls || ca.is_none(),
            "--ca is for gateways with TLS: write https:// in --url"
        );
        let ca = if is_tls { Some(authorities(ca)?) } else { None };
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let name = authority.host().trim_matches(['[', ']']);
        let addresses: Vec<SocketAddr> = (name, port)
            .to_socket_addrs()
            .with_context(|| format!("{url}: the host {name} is not found"))?
            .collect();
        let address = reachable(&addresses).with_context(|| {
            format!("{url} does not answer: start a gateway there, or leave out --url")
        })?;
        Ok(Self {
            origin: Origin::Url(Elsewhere {
                address,
                host: authority.as_str().to_owned(),
                path: uri.path().trim_end_matches('/').to_owned(),
                credentials,
            }),
            is_tls: Some(is_tls),
            ca,
        })
    }

    /// How to ask a gateway elsewhere who it is.
    ///
    /// # Errors
    /// If its authorities or its token cannot be used, or if it is our own.
    pub fn target(&self) -> Result<Target> {
        let Origin::Url(elsewhere) = &self.origin else {
            bail!("a gateway of our own has no address before it starts");
        };
        let is_tls = self.is_tls == Some(true);
        Ok(Target {
            address: elsewhere.address,
            server: elsewhere.server()?,
            protocol: match is_tls {
                true => Protocol::Http1Tls,
                false => Protocol::Http1,
            },
            tls: self.ca.as_deref().map(Tls::trusting).transpose()?,
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

/// Reads authorities, and sees whether they can be used.
fn authorities(path: Option<&Path>) -> Result<Vec<u8>> {
    let (option, path) = match path {
        Some(path) => ("--ca ", path),
        None => ("", Path::new(SYSTEM_CA)),
    };
    let wrong = || {
        let path = path.display();
        format!("{option}{path}: give the authorities to trust, in PEM, by --ca")
    };
    let ca = std::fs::read(path).with_context(wrong)?;
    Tls::trusting(&ca).with_context(wrong)?;
    Ok(ca)
}

/// The first address at which somebody listens: `localhost` has two, and a gateway often only one. If nobody does, why not at
/// the last.
fn reachable(addresses: &[SocketAddr]) -> io::Result<SocketAddr> {
    let mut found = Err(io::ErrorKind::AddrNotAvailable.into());
    for address in addresses {
        found = TcpStream::connect_timeout(address, CONNECT_MAX).map(|_| *address);
        if found.is_ok() {
            break;
        }
    }
    found
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
        assert_eq!(reachable(&[closed, open]).expect("one listens"), open);
        let refused = reachable(&[closed]).expect_err("nobody listens");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert!(reachable(&[]).is_err());
    }

    fn elsewhere(url: &str) -> Result<Place> {
        Place::elsewhere(url, None, Credentials::None)
    }

    #[test]
    fn a_url_is_taken_apart() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        for (scheme, path, prefix) in [
            ("http", "", ""),
            ("ws", "/", ""),
            ("http", "/gateway/", "/gateway"),
        ] {
            let place = elsewhere(&format!("{scheme}://{address}{path}")).expect("a place");
            let Origin::Url(found) = place.origin else {
                panic!("it is elsewhere");
            };
            assert_eq!((found.address, found.path.as_str()), (address, prefix));
            assert_eq!(found.host, address.to_string());
            assert_eq!(place.is_tls, Some(false));
        }
    }

    #[test]
    fn what_is_no_url_of_a_gateway_is_refused_with_what_is() {
        for (url, said) in [
            ("127.0.0.1:8080", "such as http://"),
            ("ftp://a.example", "such as http://"),
            ("http://127.0.0.1:1/?a=b", "such as http://"),
            ("https://u:p@a.example", "use --token-file"),
            ("http://127.0.0.1:1", "start a gateway there"),
        ] {
            let error = format!("{:#}", elsewhere(url).err().expect(url));
            assert!(error.contains(said), "{url}: {error}");
        }
    }
}
