//! `everyway serve`: from a configuration to a gateway that runs until it is told to stop.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::Level;
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt, registry};

use super::EXIT_CONFIG;
use crate::config::load::ConfigError;
use crate::config::{self, Config, LogFormat};
use crate::path::absolute;
use crate::server::{self, Reloader, Server, StartError};
use crate::tls::local::{self, LOCAL_NAMES};

/// Exit status after a second signal, as shells give it.
const EXIT_INTERRUPTED: i32 = 130;

/// Serves until it is told to stop. `read_again` reads the configuration from where it came.
pub(super) fn run(
    config: Config,
    read_again: impl Fn() -> Result<Config, ConfigError> + Send + Sync + 'static,
) -> ExitCode {
    if let Err(error) = start_log(&config.log) {
        eprintln!("everyway: cannot log: {error}");
        return ExitCode::FAILURE;
    }
    let runtime = match server::runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("everyway: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let served = runtime.block_on(serve(config, read_again));
    // Everybody has left. Looking up the name of a host may hang for long, and nobody waits for it any more.
    runtime.shutdown_background();
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("everyway: {error}");
            ExitCode::from(if matches!(error, StartError::Config(_)) {
                EXIT_CONFIG
            } else {
                1
            })
        }
    }
}

async fn serve(
    config: Config,
    read_again: impl Fn() -> Result<Config, ConfigError> + Send + Sync + 'static,
) -> Result<(), StartError> {
    // Before the port opens: who sees it open may tell us to stop at once.
    let signals = Signals::listen().map_err(StartError::Signals)?;
    let format = config.log.format;
    let files_max = match config.server.pages.as_str() {
        "" => 0,
        _ => config.limits.files_max,
    };
    let sockets_max = config.limits.sockets_max;
    make_certificates(&config).await?;
    let server = Server::bind(config).await?;
    raise_file_limit(sockets_max, files_max);
    match format {
        LogFormat::Text => greet(&server),
        LogFormat::Json => {}
    }
    for address in server.addresses() {
        tracing::info!(%address, open = server.gateway().auth.is_open(), "listening");
    }
    for address in server.tls_addresses() {
        tracing::info!(%address, open = server.gateway().auth.is_open(), "listening with TLS");
    }
    for address in server.admin_addresses() {
        tracing::info!(%address, "listening for administrators");
    }
    let reloader = server.reloader();
    let stop = signals.told_to_stop(move || reload_from(&reloader, &read_again));
    server.run(stop).await;
    Ok(())
}

/// Makes certificates for trying out, if the configuration names none and there are none.
async fn make_certificates(config: &Config) -> Result<(), StartError> {
    if config.server.tls_listen.is_empty() {
        return Ok(());
    }
    let Some(folder) = local::folder_to_make(&config.tls) else {
        return Ok(());
    };
    // A start that is refused leaves nothing behind.
    server::check(config).await?;
    let names = LOCAL_NAMES.map(str::to_owned);
    local::make(&folder, &names, false).map_err(|error| StartError::Config(error.to_string()))?;
    tracing::warn!(
        folder = %absolute(&folder).display(),
        "made a certificate for localhost: clients must trust ca.pem there. Set tls.cert and tls.key to serve others"
    );
    Ok(())
}

/// SIGHUP: reads settings, keys and certificates again. What cannot be used changes nothing.
fn reload_from(reloader: &Reloader, read_again: &impl Fn() -> Result<Config, ConfigError>) {
    let config = match read_again() {
        Ok(config) => config,
        Err(error) => {
            tracing::error!(%error, "nothing was reloaded");
            return;
        }
    };
    match reloader.reload(config) {
        Ok(fixed) if fixed.is_empty() => tracing::info!("reloaded"),
        Ok(fixed) => tracing::warn!(
            keys = fixed.join(", "),
            "reloaded, but these need a new start"
        ),
        Err(error) => tracing::error!(%error, "nothing was reloaded"),
    }
}

/// SIGTERM and Ctrl-C, and SIGHUP.
struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listens for them. From here on they do not end the process by themselves.
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits until the process shall end, and reloads on the way. Cancel safe.
    async fn end(&mut self, reload: &impl Fn()) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => reload(),
            }
        }
    }

    /// Waits for the first end. A second one ends the process at once, as it would without us.
    async fn told_to_stop(mut self, reload: impl Fn() + Send + Sync + 'static) {
        self.end(&reload).await;
        tokio::spawn(async move {
            self.end(&reload).await;
            std::process::exit(EXIT_INTERRUPTED);
        });
    }
}

/// Says what to try. Nobody may be there to read it, which is no reason not to serve.
fn greet(server: &Server) {
    let Some(address) = server.addresses().first().copied() else {
        return;
    };
    if !server.gateway().auth.is_open() {
        // What anybody may do here is in the configuration, and may well not be what we would suggest.
        return;
    }
    let version = env!("CARGO_PKG_VERSION");
    let greeting = format!(
        "everyway {version} on http://{address} (open mode: everybody on this machine may do everything). Try, in three terminals:\n\n  \
         curl -N 'http://{address}/v1/sse?channel=news'\n  \
         curl 'http://{address}/v1/longpoll?channel=news'\n  \
         curl -d '\"hello\"' 'http://{address}/v1/publish?channel=news'\n\n\
         and afterwards:\n\n  \
         curl 'http://{address}/v1/poll?channel=news&cursor=earliest'\n\n"
    );
    let _ = std::io::stdout().write_all(greeting.as_bytes());
}

fn start_log(config: &config::Log) -> Result<(), String> {
    let filter = EnvFilter::try_new(&config.filter).map_err(|error| error.to_string())?;
    // At `trace` libraries say whole messages and heads, tokens included.
    let cap =
        filter_fn(|what| *what.level() <= Level::DEBUG || what.target().starts_with("everyway"));
    let filter = filter.and(cap);
    let layer = fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let started = match config.format {
        LogFormat::Text => registry().with(layer.with_filter(filter)).try_init(),
        LogFormat::Json => registry().with(layer.json().with_filter(filter)).try_init(),
    };
    started.map_err(|error| error.to_string())
}

/// Every connection takes a file descriptor, and the soft limit is often 1024.
fn raise_file_limit(sockets_max: usize, files_max: usize) {
    const OTHER_FILES: u64 = 64;
    let wanted = sockets_max as u64 + files_max as u64 + OTHER_FILES;
    match rlimit::increase_nofile_limit(wanted) {
        Ok(got) if got < wanted => {
            tracing::info!(
                open_files_max = got,
                limits_sockets_max = sockets_max,
                "open files bound the sockets"
            );
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "cannot raise the limit on open files"),
    }
}
