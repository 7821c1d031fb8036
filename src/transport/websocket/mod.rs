//! WebSocket (RFC 6455): read, wait, repeat, over a socket that also takes commands.

mod commands;
mod connection;
mod handshake;
mod queue;
mod socket;

use std::sync::Arc;

pub use handshake::{Handshake, Refusal};
use hyper_util::rt::TokioIo;

use super::Client;
use crate::attachments::Attachment;
use crate::bus::{ChannelName, Start};
use crate::gateway::Gateway;
use crate::problem::Problem;
use connection::Connection;
use socket::Socket;

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

/// Runs the WebSocket of a request that is about to be answered with 101, as a task of the gateway. One that may not be
/// opened is closed with its code.
pub fn spawn(
    gateway: &Arc<Gateway>,
    extensions: &mut http::Extensions,
    opening: Result<Opening, Problem>,
) {
    let Some(upgrade) = extensions.remove::<hyper::upgrade::OnUpgrade>() else {
        tracing::error!("a request without an upgrade reached the WebSocket transport");
        return;
    };
    let shared = Arc::clone(gateway);
    gateway.spawn(async move {
        let upgraded = match upgrade.await {
            Ok(upgraded) => TokioIo::new(upgraded),
            Err(error) => return tracing::debug!(%error, "the client left during the upgrade"),
        };
        let socket = Socket::new(upgraded, &shared).await;
        match opening {
            Ok(opening) => Connection::run(shared, socket, opening).await,
            Err(problem) => {
                shared.metrics.count_error(problem.code);
                socket.close(&problem.into()).await;
            }
        }
    });
}
