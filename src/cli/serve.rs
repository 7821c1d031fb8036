//! `everyway serve`: from a configuration to a gateway that runs until it is told to stop.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::EXIT_CONFIG;
use crate::config::{self, Config, LogFormat};
use crate::server::{Server, StartError};

/// Exit status after a second signal, as shells give it.
const EXIT_INTERRUPTED: i32 = 130;

pub(super) fn run(config: Config) -> ExitCode {
    if let Err(error) = start_log(&config.log) {
        eprintln!("everyway: cannot log: {error}");
        return ExitCode::FAILURE;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("everyway: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(serve(config)) {
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

async fn serve(config: Config) -> Result<(), StartError> {
    // Before the port opens: who sees it open may tell us to stop at once.
    let signals = Signals::listen().map_err(StartError::Signals)?;
    let (format, sockets_max) = (config.log.format, config.limits.sockets_max);
    let server = Server::bind(config).await?;
    raise_file_limit(sockets_max);
    match format {
        LogFormat::Text => greet(&server),
        LogFormat::Json => {}
    }
    for address in server.addresses() {
        tracing::info!(%address, open = server.gateway().auth.is_open(), "listening");
    }
    server.run(signals.told_to_stop()).await;
    Ok(())
}

/// SIGTERM and Ctrl-C.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listens for them. From here on they do not end the process by themselves.
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one. Cancel safe.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Waits for the first one. A second one ends the process at once, as it would without us.
    async fn told_to_stop(mut self) {
        self.next().await;
        tokio::spawn(async move {
            self.next().await;
            std::process::exit(EXIT_INTERRUPTED);
        });
    }
}

/// Says what to try. Nobody may be there to read it, which is no reason not to serve.
fn greet(server: &Server) {
    let Some(address) = server.addresses().first() else {
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
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let started = match config.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    started.map_err(|error| error.to_string())
}

/// Every connection takes a file descriptor, and the soft limit is often 1024.
fn raise_file_limit(sockets_max: usize) {
    const OTHER_FILES: u64 = 64;
    let wanted = sockets_max as u64 + OTHER_FILES;
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
