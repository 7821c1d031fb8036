//! The gateway as a child: with its defaults, except for what would disturb the measurement.

use std::io::Read;

use anyhow::{Context, Result};
use everyway::config::{Config, Seconds};
use everyway::server::Server;

/// Runs until standard input ends.
pub fn run(age_s: u32) -> Result<()> {
    rlimit::increase_nofile_limit(32_768)?;
    // As the program does: one worker for each core that it may use.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let server = Server::bind(config(age_s)).await?;
        println!("{}", server.addresses().first().context("an address")?);
        server.run(parent_is_gone()).await;
        Ok(())
    })
}

fn config(age_s: u32) -> Config {
    let mut config = Config::default();
    config.server.listen = vec!["127.0.0.1:0".to_owned()];
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
