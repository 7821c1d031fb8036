//! The command line.

mod certs;
mod gateway;
mod publish;
mod serve;
mod subscribe;
mod token;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::load::{self, ConfigError};
use crate::config::{Config, reference};
use crate::server;

/// Exit status for a configuration that cannot be used (EX_USAGE of sysexits.h).
const EXIT_CONFIG: u8 = 64;

#[derive(Debug, Parser)]
#[command(
    name = "everyway",
    version,
    about = "A real-time gateway: publish once, receive over WebSocket, SSE, long polling or short polling."
)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ConfigArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway. This is what happens without a command, too.
    Serve(ConfigArgs),
    /// Say whether a configuration can be used, and print it whole.
    CheckConfig {
        #[command(flatten)]
        args: ConfigArgs,
        /// Print the reference of all settings as Markdown instead.
        #[arg(long)]
        reference: bool,
        /// Print a configuration file with all settings and their defaults instead.
        #[arg(long, conflicts_with = "reference")]
        example: bool,
    },
    /// Make certificates for trying out TLS: an authority, and a server certificate that it signed.
    Certs(certs::CertsArgs),
    /// Print a token, signed with the configured secret or a private key.
    Token(token::TokenArgs),
    /// Publish a message.
    Publish(publish::PublishArgs),
    /// Print the messages of channels, one JSON object a line.
    Subscribe(subscribe::SubscribeArgs),
}

/// Where the configuration comes from: file, then environment, then these flags.
#[derive(Debug, Clone, Args)]
struct ConfigArgs {
    /// A configuration file, in TOML.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// An address to listen on, such as 127.0.0.1:8080. May be given more than once.
    #[arg(long, short, value_name = "ADDRESS")]
    listen: Vec<String>,
    /// An address to listen on with TLS, such as 127.0.0.1:8443. May be given more than once.
    #[arg(long, value_name = "ADDRESS")]
    tls_listen: Vec<String>,
    /// Add /v1/echo, a WebSocket that returns what it gets; on loopback addresses only.
    #[arg(long)]
    echo: bool,
    /// A folder whose files are served at /, as pages that use the gateway.
    #[arg(long, value_name = "DIR")]
    pages: Option<String>,
    /// Any setting, such as limits.channels_max=50. May be given more than once.
    #[arg(long, short, value_name = "KEY=VALUE", value_parser = parse_setting)]
    set: Vec<(String, String)>,
}

impl ConfigArgs {
    fn load(&self) -> Result<Config, ConfigError> {
        let set = self
            .set
            .iter()
            .map(|(path, text)| (path.clone(), load::parse_value(path, text)));
        let listen = (!self.listen.is_empty())
            .then(|| ("server.listen".to_owned(), self.listen.clone().into()));
        let echo = self.echo.then(|| ("server.echo".to_owned(), true.into()));
        let tls_listen = (!self.tls_listen.is_empty()).then(|| {
            (
                "server.tls_listen".to_owned(),
                self.tls_listen.clone().into(),
            )
        });
        let pages = self.pages.as_ref();
        let pages = pages.map(|folder| ("server.pages".to_owned(), folder.clone().into()));
        let flags = listen
            .into_iter()
            .chain(tls_listen)
            .chain(echo)
            .chain(pages);
        let settings: Vec<_> = set.chain(flags).collect();
        load::load(self.config.as_deref(), env(), &settings)
    }
}

/// The environment, without what is not text: none of our keys is.
fn env() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

fn parse_setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or("write KEY=VALUE, such as limits.channels_max=50")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

/// Runs the command line and returns its exit status: 0, 1 for a failure, 64 for a configuration that cannot be used.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors. If nobody reads what is printed, the status still says it.
            let _ = error.print();
            let status = if error.use_stderr() { EXIT_CONFIG } else { 0 };
            return ExitCode::from(status);
        }
    };
    match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(args) => {
            let again = args.clone();
            with_config(&args, |config| serve::run(config, move || again.load()))
        }
        Command::CheckConfig {
            reference: true, ..
        } => {
            print!("{}", reference::markdown());
            ExitCode::SUCCESS
        }
        Command::CheckConfig { example: true, .. } => {
            print!("{}", reference::toml());
            ExitCode::SUCCESS
        }
        Command::CheckConfig { args, .. } => with_config(&args, check_config),
        Command::Certs(args) => report(certs::run(&args)),
        Command::Token(args) => token::run(args),
        Command::Publish(args) => report(publish::run(&args)),
        Command::Subscribe(args) => report(subscribe::run(&args)),
    }
}

fn with_config(args: &ConfigArgs, run: impl FnOnce(Config) -> ExitCode) -> ExitCode {
    match args.load() {
        Ok(config) => run(config),
        Err(error) => {
            eprintln!("everyway: {error}");
            ExitCode::from(EXIT_CONFIG)
        }
    }
}

fn check_config(config: Config) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return report(Err(error.into())),
    };
    if let Err(error) = runtime.block_on(server::check(&config)) {
        eprintln!("everyway: {error}");
        return ExitCode::from(EXIT_CONFIG);
    }
    match toml::to_string_pretty(&config) {
        Ok(text) => {
            print!("{text}");
            eprintln!("everyway: this configuration can be used");
            ExitCode::SUCCESS
        }
        Err(error) => report(Err(error.into())),
    }
}

fn report(outcome: anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("everyway: {error:#}");
            ExitCode::FAILURE
        }
    }
}
