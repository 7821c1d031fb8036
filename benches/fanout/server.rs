//! The gateway as a child: with its defaults, except for what would disturb the measurement.

use std::io::Read;
use std::path::Path;

use anyhow::Result;
use everyway::config::{Config, Seconds};
use everyway::server::Server;

/// Runs until standard input ends.
pub fn run(age_s: u32, certs: Option<&Path>) -> Result<()> {
    rlimit::increase_nofile_limit(32_768)?;
    // As the program does: one worker for each core that it may use.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let server = Server::bind(config(age_s, certs)).await?;
        let addresses = [server.addresses(), server.tls_addresses()].concat();
        let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        println!("{}", addresses.join(" "));
        server.run(parent_is_gone()).await;
        Ok(())
    })
}

fn config(age_s: u32, certs: Option<&Path>) -> Config {
    let mut config = Config::default();
    config.server.listen = vec!["127.0.0.1:0".to_owned()];
    if let Some(certs) = certs {
        config.server.tls_listen = vec!["127.0.0.1:0".to_owned()];
        let path = |name| certs.join(name).to_string_lossy().into_owned();
        (config.tls.cert, config.tls.key) = (path("server.pem"), path("server.key"));
    }
    config.history.age_s_max = Seconds::new(age_s);
    // The load does not answer pings.
    config.timeouts.heartbeat_s = Seconds::new(3600);
    // The load reads whole messages.
    config.websocket.fragment_bytes = 1 << 20;
    config
}

async fn parent_is_gone() {
    // However it ends, it is over.
    let _ = tokio::task::spawn_blocking(|| std::io::stdin().read(&mut [0])).await;
    std::process::exit(0);
}
