//! WebSocket (RFC 6455): read, wait, repeat, over a socket that also takes commands.

mod commands;
mod connection;
mod deflate;
mod echo;
mod frames;
mod gone;
mod handshake;
mod inbound;
mod messages;
mod outbound;
mod patience;
mod pipe;
mod readable;
mod socket;

use std::sync::Arc;

use bytes::Bytes;
pub use deflate::Agreement;
pub use handshake::{Handshake, Refusal};
use hyper::upgrade::OnUpgrade;

use super::Client;
use crate::attachments::Attachment;
use crate::bus::{ChannelName, Start};
use crate::gateway::Gateway;
use crate::limits::Inlet;
use crate::problem::Problem;
use crate::wire::UpgradedIo;
use connection::Connection;
use socket::{Setup, Socket};

/// What a WebSocket begins with.
#[derive(Debug)]
pub struct Opening {
    /// Who.
    pub client: Client,
    /// Its place among the attachments.
    pub attachment: Attachment,
    /// The channels to begin with; there may be none.
    pub channels: Vec<ChannelName>,
    /// Where to start in each of them.
    pub starts: Vec<Start>,
}

/// Runs the WebSocket of a request that is about to be answered, as a task of the gateway. One that may not be opened is
/// closed with its code.
pub fn spawn(
    gateway: &Arc<Gateway>,
    upgrade: OnUpgrade,
    agreement: Option<Agreement>,
    inlet: Inlet,
    opening: Result<Opening, Problem>,
) {
    let setup = Setup::new(
        &gateway.config(),
        gateway.body_bytes_max(),
        agreement,
        inlet,
    );
    let starting = Box::pin(start(Arc::clone(gateway), upgrade, setup, opening));
    gateway.spawn(async move {
        // What starting took is given back here; a socket may live for days.
        if let Some(connection) = starting.await {
            connection.run().await;
        }
    });
}

async fn start(
    gateway: Arc<Gateway>,
    upgrade: OnUpgrade,
    setup: Setup,
    opening: Result<Opening, Problem>,
) -> Option<Box<Connection<UpgradedIo>>> {
    let (io, read) = upgraded(upgrade).await?;
    let mut socket = Socket::new(io, &read, setup);
    match opening {
        Ok(opening) => Connection::open(gateway, socket, opening).await,
        Err(problem) => {
            gateway.metrics.count_error(problem.code);
            socket.close(&problem.into()).await;
            None
        }
    }
}

/// Runs an echo, as a task of the gateway.
pub fn spawn_echo(gateway: &Arc<Gateway>, upgrade: OnUpgrade, agreement: Option<Agreement>) {
    let inlet = gateway.limits.common_inlet();
    let setup = Setup::new(&gateway.config(), echo::ECHO_BYTES_MAX, agreement, inlet);
    gateway.spawn(async move {
        if let Some((io, read)) = upgraded(upgrade).await {
            echo::echo(Socket::new(io, &read, setup)).await;
        }
    });
}

/// The connection, and what was read of it already: the client's first frames may come with its request.
async fn upgraded(upgrade: OnUpgrade) -> Option<(UpgradedIo, Bytes)> {
    match upgrade.await {
        Ok(upgraded) => Some(UpgradedIo::take(upgraded)),
        Err(error) => {
            tracing::debug!(%error, "the client left during the upgrade");
            None
        }
    }
}
