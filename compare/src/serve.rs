//! The gateway that is measured: this executable once more, in a process of its own.
//!
//! The only file that imports the gateway's crate. Everything else speaks the wire.

use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;

use anyhow::{Context, Result};
use everyway::config::{Config, load};
use everyway::server::Server;
use everyway::tls::local::{self, LOCAL_NAMES};

use crate::gateway::Ready;

/// Settings of every gateway that is measured. Limits must not shape the figures: rates are off, and the history holds
/// what a run publishes between two polls. Who leaves at the end is not told when to come back, and only errors are logged.
pub const SETTINGS: [(&str, &str); 8] = [
    ("limits.publish", "off"),
    ("limits.requests", "off"),
    ("limits.attach", "off"),
    ("limits.page_messages_max", "1000"),
    ("history.bytes_max", "268435456"),
    ("history.count_max", "100000"),
    ("drain.spread_s", "0"),
    ("log.filter", "error"),
];

/// What the hidden command `serve` takes.
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// The folder of the certificates, which are made if there are none.
    #[arg(long)]
    certs: PathBuf,
    /// Any setting of the gateway.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// Serves until standard input ends.
pub fn run(args: &ServeArgs) -> Result<()> {
    let path = |name: &str| args.certs.join(name);
    if !path("ca.pem").exists() {
        local::make(&args.certs, &LOCAL_NAMES.map(str::to_owned), false)?;
    }
    let mut config = configuration(args)?;
    config.server.listen = vec!["127.0.0.1:0".to_owned()];
    config.server.tls_listen = vec!["127.0.0.1:0".to_owned()];
    config.tls.cert = path("server.pem").to_string_lossy().into_owned();
    config.tls.key = path("server.key").to_string_lossy().into_owned();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(serve(config))
}

fn configuration(args: &ServeArgs) -> Result<Config> {
    let given = args.set.iter().map(|setting| {
        let pair = setting.split_once('=');
        pair.with_context(|| format!("{setting} is not KEY=VALUE"))
    });
    let given = given.collect::<Result<Vec<_>>>()?;
    let settings: Vec<_> = SETTINGS
        .into_iter()
        .chain(given)
        .map(|(key, text)| (key.to_owned(), load::parse_value(key, text)))
        .collect();
    Ok(load::load(None, std::iter::empty(), &settings)?)
}

async fn serve(config: Config) -> Result<()> {
    let server = Server::bind(config).await?;
    let ready = Ready {
        plain: server.addresses()[0],
        tls: server.tls_addresses()[0],
    };
    let mut line = serde_json::to_string(&ready)?;
    line.push('\n');
    io::stdout().write_all(line.as_bytes())?;
    io::stdout().flush()?;
    // Who started it holds the other end, so it never outlives that. What is not answered then needs no answer.
    let ended = tokio::task::spawn_blocking(|| io::stdin().read_to_end(&mut Vec::new()));
    tokio::select! {
        () = server.run(std::future::pending()) => {}
        ended = ended => { ended??; }
    }
    // Without waiting for tasks: the clients are gone, too.
    std::process::exit(0);
}

#[cfg(test)]
mod tests {
    use super::SETTINGS;

    #[test]
    fn every_setting_is_named_where_the_figures_are_explained() {
        let readme = include_str!("../README.md");
        for (key, value) in SETTINGS {
            let setting = format!("`{key} = {value}`");
            assert!(
                readme.contains(&setting),
                "README.md does not say {setting}"
            );
        }
    }
}
