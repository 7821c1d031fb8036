//! Requests whose token names a key that is not here yet: they wait until it was asked for, and go on as if nothing had been.

use std::sync::Arc;

use http::request::Parts;
use hyper::body::Incoming;
use tracing::{Instrument, Span};

use super::discard;
use super::route::Endpoint;
use super::{Handled, credentials, dispatch, later, refuse};
use crate::auth::Credential;
use crate::gateway::Gateway;
use crate::peer::{Entrance, Peer};
use crate::wire::Alarm;

/// Dispatches a request, at once if it can be.
pub fn dispatch_with_key(
    gateway: &Arc<Gateway>,
    peer: Peer,
    alarm: Option<&Arc<Alarm>>,
    parts: Parts,
    body: Incoming,
) -> Handled {
    let Some(credential) = late(gateway, peer, &parts) else {
        return dispatch(gateway, peer, alarm, parts, body);
    };
    let (gateway, alarm, span) = (Arc::clone(gateway), alarm.cloned(), Span::current());
    Handled::Later(Box::pin(async move {
        let sought = gateway.auth.seek_key(&credential);
        let handled = match sought.instrument(span.clone()).await {
            Ok(()) => span.in_scope(|| dispatch(&gateway, peer, alarm.as_ref(), parts, body)),
            Err(problem) => {
                let version = parts.version;
                discard::refuse(refuse(&gateway, peer, parts, problem), body, version)
            }
        };
        drop(span);
        match handled {
            Handled::Now(response) => response,
            Handled::Later(answer) | Handled::Streams(answer) => answer.await,
            Handled::Waits(waiting, _) => later(waiting).await,
        }
    }))
}

/// The credential of a request that has to wait for its key. What is wrong with a request is told by who looks at it next.
fn late(gateway: &Gateway, peer: Peer, parts: &Parts) -> Option<Credential> {
    use Endpoint::{Echo, Health, Ready, Transports};
    // At the admin listener nobody looks at credentials.
    if peer.entrance == Entrance::Admin || !gateway.auth.fetches_keys() {
        return None;
    }
    let endpoint = Endpoint::at(parts.uri.path())?;
    if matches!(endpoint, Echo | Health | Ready | Transports) {
        return None;
    }
    let credential = credentials::read_websocket(parts).ok()??;
    gateway.auth.lacks_key(&credential).then_some(credential)
}
