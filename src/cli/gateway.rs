//! Which gateway the client's commands talk to, and as whom.

use std::path::PathBuf;

use clap::Args;

use crate::client::{Credentials, Endpoint, Failure};
use crate::secret::Secret;
use crate::tls::client::Connector;

/// The variable that may hold the token.
const TOKEN_VARIABLE: &str = "EVERYWAY_TOKEN";

#[derive(Debug, Args)]
pub(super) struct GatewayArgs {
    /// The gateway: http:// or https:// (ws:// and wss:// mean the same), with a path in front of its own if there is one.
    #[arg(long, default_value = "http://127.0.0.1:8080", value_parser = Endpoint::parse)]
    url: Endpoint,
    /// Trust the authority in this file (PEM), and not those of the system.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// A token or an API key. Others on this machine can see it in the list of processes: rather use --token-file, or
    /// the environment variable EVERYWAY_TOKEN.
    #[arg(long, value_name = "TOKEN", value_parser = secret, conflicts_with = "token_file")]
    token: Option<Secret>,
    /// A file with the token. It is read again for each connection, so that it may be replaced before it runs out.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl GatewayArgs {
    /// The gateway, without a token.
    ///
    /// # Errors
    /// For authorities that cannot be used.
    pub(super) fn endpoint(&self) -> anyhow::Result<Endpoint> {
        let endpoint = self.url.clone();
        match (endpoint.is_secure(), &self.ca) {
            (true, ca) => Ok(endpoint.with_tls(Connector::new("--ca", ca.as_deref())?)),
            (false, None) => Ok(endpoint),
            (false, Some(_)) => {
                anyhow::bail!("--ca is for gateways with TLS: write https:// in --url")
            }
        }
    }

    /// What to show there: what the flags say, else the environment.
    ///
    /// # Errors
    /// For a variable that is not text.
    pub(super) fn credentials(&self) -> anyhow::Result<Credentials> {
        let from_environment = || match std::env::var_os(TOKEN_VARIABLE) {
            None => Ok(Credentials::None),
            Some(text) if text.is_empty() => Ok(Credentials::None),
            Some(text) => match text.to_str() {
                Some(text) => Ok(Credentials::Token(Secret::new(text.trim()))),
                None => anyhow::bail!("{TOKEN_VARIABLE} is not text"),
            },
        };
        match (&self.token, &self.token_file) {
            (Some(token), _) => Ok(Credentials::Token(token.clone())),
            (None, Some(path)) => Ok(Credentials::File(path.clone())),
            (None, None) => from_environment(),
        }
    }
}

/// Says what to do about a failure, where we know more than the gateway.
pub(super) fn advise(failure: Failure) -> anyhow::Error {
    if failure.wants_token() {
        return anyhow::anyhow!(
            "{failure}. Give a token that is good by --token-file or {TOKEN_VARIABLE}; everyway token makes one"
        );
    }
    failure.into()
}

fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text.trim()))
}
