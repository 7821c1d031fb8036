//! `everyway token`: a token by the rules of the configuration.

use std::process::ExitCode;

use clap::Args;

use super::{ConfigArgs, EXIT_CONFIG};
use crate::auth::{self, Claims};

#[derive(Debug, Args)]
pub(super) struct TokenArgs {
    /// Who the token is for.
    #[arg(long)]
    user: Option<String>,
    /// A channel to subscribe to, or the beginning of its name and *. May be given more than once.
    #[arg(long, value_name = "PATTERN")]
    subscribe: Vec<String>,
    /// A channel to publish to, written the same way. May be given more than once.
    #[arg(long, value_name = "PATTERN")]
    publish: Vec<String>,
    /// A user to send to, written the same way. May be given more than once.
    #[arg(long, value_name = "PATTERN")]
    send: Vec<String>,
    /// How long the token is good for, in seconds; at least 1.
    #[arg(long, default_value_t = 3600)]
    expires_s: u64,
    /// Make it an administrator's.
    #[arg(long)]
    admin: bool,
    /// A name for the token, by which it can be revoked (jti).
    #[arg(long)]
    id: Option<String>,
    /// Sign with this private key (PEM) in place of auth.secret_file.
    #[arg(long, value_name = "FILE")]
    pem: Option<String>,
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(args: TokenArgs) -> ExitCode {
    let claims = Claims {
        user: args.user,
        subscribe: args.subscribe,
        publish: args.publish,
        send: args.send,
        admin: args.admin,
        expires_s: args.expires_s,
        id: args.id,
    };
    super::with_config(&args.config, |config| {
        match auth::mint(&config.auth, args.pem.as_deref(), &claims) {
            Ok(token) => {
                if claims.are_without_rights() {
                    eprintln!(
                        "everyway: this token grants nothing: add --subscribe, --publish, --send or --admin"
                    );
                }
                // Whoever asked for it is its owner.
                println!("{}", token.reveal());
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("everyway: {error}");
                ExitCode::from(EXIT_CONFIG)
            }
        }
    })
}
