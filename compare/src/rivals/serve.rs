//! Everyway as a rival: the library with its defaults and the runtime of the program, started again as a process of its own.
//! Nothing else here imports the library.

use anyhow::Result;
use everyway::config::Config;
use everyway::server::{self, Server};

use crate::rivals::FILES_MAX;

/// Serves on a port of the loopback interface until the process is ended.
pub fn run(port: u16) -> Result<()> {
    rlimit::increase_nofile_limit(FILES_MAX)?;
    // The program's own: one worker for each core that it may use.
    let runtime = server::runtime()?;
    runtime.block_on(async {
        let mut config = Config::default();
        config.server.listen = vec![format!("127.0.0.1:{port}")];
        let server = Server::bind(config).await?;
        server.run(std::future::pending()).await;
        Ok(())
    })
}
