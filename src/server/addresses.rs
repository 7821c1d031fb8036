//! Where a server listens, looked up and checked before any port opens.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::lookup_host;

use super::StartError;
use crate::auth::Auth;
use crate::config::Config;
use crate::pages::Pages;
use crate::peer::Entrance;
use crate::tls::{self, Tls, local};

/// The addresses of each setting to listen on.
#[derive(Debug)]
pub(super) struct Addresses {
    pub plain: Vec<SocketAddr>,
    pub encrypted: Vec<SocketAddr>,
    pub admin: Vec<SocketAddr>,
}

impl Addresses {
    /// Looks them up.
    ///
    /// # Errors
    /// [`StartError::Config`] for what is no address, and for those that may not be reached from elsewhere and can be.
    pub async fn look_up(config: &Config, is_open: bool) -> Result<Self, StartError> {
        let server = &config.server;
        let public = Entrance::Public;
        let look_up = async |key, listen, entrance| {
            let found = look_up(key, listen).await?;
            check_reach(key, &found, is_open, server.echo && entrance == public)?;
            Ok::<_, StartError>(found)
        };
        Ok(Self {
            plain: look_up("server.listen", &server.listen, public).await?,
            encrypted: look_up("server.tls_listen", &server.tls_listen, public).await?,
            // There is no echo at the admin listener.
            admin: look_up("server.admin_listen", &server.admin_listen, Entrance::Admin).await?,
        })
    }
}

/// Checks what a start checks, but opens no port and makes no certificates: keys, addresses, certificates.
///
/// # Errors
/// [`StartError::Config`], with the sentence with which a start fails.
pub async fn check(config: &Config) -> Result<(), StartError> {
    let refuse = |error: &dyn std::fmt::Display| StartError::Config(error.to_string());
    let auth = Auth::new(&config.auth).map_err(|error| refuse(&error))?;
    Pages::open(&config.server.pages, config.limits.files_max).map_err(|error| refuse(&error))?;
    Addresses::look_up(config, auth.is_open()).await?;
    if config.server.tls_listen.is_empty() {
        return Ok(());
    }
    match local::folder_to_make(&config.tls) {
        None => drop(Tls::new(config).map_err(|error| refuse(&error))?),
        Some(folder) => {
            local::check_free(&folder).map_err(|error| refuse(&error))?;
            tls::check_client_ca(&config.tls).map_err(|error| refuse(&error))?;
        }
    }
    Ok(())
}

async fn look_up(key: &str, listen: &[String]) -> Result<Vec<SocketAddr>, StartError> {
    let mut addresses = Vec::new();
    for listen in listen {
        let found = lookup_host(listen).await.map_err(|cause| {
            StartError::Config(format!(
                "{key}: {listen} is not an address such as 127.0.0.1:8080 ({cause})"
            ))
        })?;
        addresses.extend(found);
    }
    Ok(addresses)
}

/// In open mode, and with the echo, addresses must all be of this machine only.
fn check_reach(
    key: &str,
    addresses: &[SocketAddr],
    is_open: bool,
    has_echo: bool,
) -> Result<(), StartError> {
    match addresses.iter().find(|address| !is_this_machine(address)) {
        Some(address) if is_open => Err(StartError::Config(format!(
            "{key}: {address} can be reached from elsewhere, and without credentials everybody may do \
             everything: set auth.secret_file or another source of keys, or auth.anonymous.subscribe and \
             auth.anonymous.publish to say what everybody may do, \
             or listen on 127.0.0.1"
        ))),
        Some(address) if has_echo => Err(StartError::Config(format!(
            "server.echo: {address} can be reached from elsewhere, and the echo has limits for tests only: \
             listen on 127.0.0.1, or leave it out"
        ))),
        _ => Ok(()),
    }
}

/// The two addresses whose names a request may use as its host in open mode.
fn is_this_machine(address: &SocketAddr) -> bool {
    let ip = address.ip();
    ip == Ipv4Addr::LOCALHOST || ip == Ipv6Addr::LOCALHOST
}
