//! `everyway certs`: certificates for trying out TLS.

use std::path::PathBuf;

use clap::Args;

use crate::tls::local::{self, LOCAL_NAMES};

/// Where certificates go, and for which names.
#[derive(Debug, Args)]
pub(super) struct CertsArgs {
    /// The folder that they go to.
    #[arg(long, default_value = "certs", value_name = "FOLDER")]
    dir: PathBuf,
    /// A name or an address of the server, besides localhost, 127.0.0.1 and ::1. May be given more than once.
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
    /// Replace what is there.
    #[arg(long)]
    force: bool,
}

pub(super) fn run(args: &CertsArgs) -> anyhow::Result<()> {
    let names: Vec<String> = LOCAL_NAMES
        .iter()
        .map(ToString::to_string)
        .chain(args.host.iter().cloned())
        .collect();
    local::make(&args.dir, &names, args.force)?;
    println!(
        "{0}/ca.pem is the authority that clients must trust, {0}/server.pem and {0}/server.key are the server's, for {1}",
        args.dir.display(),
        names.join(", ")
    );
    Ok(())
}
