//! The gateway as a child: with its defaults, except for what would disturb the measurement.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use crowd::process::Process;
use everyway::config::{Config, Seconds};
use everyway::server::Server;

use crate::site::Site;

/// How the child is started.
#[derive(Debug, Args)]
pub struct ServerArgs {
    /// How long messages are kept, in seconds.
    age_s: u32,
    /// The port of the loopback interface.
    port: u16,
    /// Another, for TLS.
    #[arg(requires = "certs")]
    tls_port: Option<u16>,
    /// A folder with a certificate.
    certs: Option<PathBuf>,
}

/// The child, as its parent sees it.
#[derive(Debug)]
pub struct Gateway {
    /// The process.
    pub process: Process,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Gateway {
    /// Starts one that keeps messages for five minutes.
    pub fn start(site: &Site) -> Result<Self> {
        let arguments = |[port]: [u16; 1]| vec!["server".into(), "300".into(), port.to_string()];
        let (process, [port]) = site.start(arguments)?;
        Ok(Self {
            process,
            address: at(port),
        })
    }

    /// Starts one that keeps messages for `age_s` seconds, and listens with TLS as well: the address comes second.
    pub fn with_tls(site: &Site, age_s: u32, certs: &Path) -> Result<(Self, SocketAddr)> {
        let arguments = |[port, tls_port]: [u16; 2]| {
            let certs = certs.to_string_lossy().into_owned();
            let [age_s, port, tls_port] =
                [age_s.to_string(), port.to_string(), tls_port.to_string()];
            vec!["server".into(), age_s, port, tls_port, certs]
        };
        let (process, [port, tls_port]) = site.start(arguments)?;
        let address = at(port);
        Ok((Self { process, address }, at(tls_port)))
    }
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Runs until the process is ended.
pub fn run(args: &ServerArgs) -> Result<()> {
    rlimit::increase_nofile_limit(crate::FILES_MAX)?;
    // As the program does: one worker for each core that it may use.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let server = Server::bind(config(args)).await?;
        server.run(std::future::pending()).await;
        Ok(())
    })
}

fn config(args: &ServerArgs) -> Config {
    let mut config = Config::default();
    config.server.listen = vec![at(args.port).to_string()];
    if let Some((port, certs)) = args.tls_port.zip(args.certs.as_deref()) {
        config.server.tls_listen = vec![at(port).to_string()];
        let path = |name| certs.join(name).to_string_lossy().into_owned();
        (config.tls.cert, config.tls.key) = (path("server.pem"), path("server.key"));
    }
    config.history.age_s_max = Seconds::new(args.age_s);
    // The load answers pings only when it looks, and between two measurements it does not.
    config.timeouts.heartbeat_s = Seconds::new(3600);
    // The load reads whole messages.
    config.websocket.fragment_bytes = 1 << 20;
    config
}
