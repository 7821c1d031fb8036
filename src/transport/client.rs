//! Who is at the other end of a stream.

use std::net::IpAddr;
use std::sync::Arc;

use crate::attachments::Holder;
use crate::auth::Principal;
use crate::bus::{PublicId, SessionId};
use crate::presence::{Guest, Presence, Visitor};

use super::Transport;

/// Who is at the other end of a stream.
#[derive(Debug)]
pub struct Client {
    /// Who, and what they may do.
    pub principal: Principal,
    /// Where it is.
    pub address: IpAddr,
    /// What everybody may see of the session.
    pub public_id: PublicId,
    /// True if the client brought the session's id.
    brings_session: bool,
    /// True until the first `subscribe` of a WebSocket, which the request that opened it has paid for: so a WebSocket and a
    /// hundred channels cost a hundred.
    pub subscribe_is_paid: bool,
}

impl Client {
    /// A client with the session id it brought, or a fresh one.
    pub fn new(principal: Principal, address: IpAddr, session: Option<SessionId>) -> Self {
        let brings_session = session.is_some();
        let session = session.unwrap_or_else(SessionId::random);
        Self {
            public_id: PublicId::of(principal.user.as_ref(), &session),
            brings_session,
            principal,
            address,
            subscribe_is_paid: true,
        }
    }

    /// As whom it is present in the channels it subscribes to; nobody without a name.
    pub fn guest(&self, presence: &Arc<Presence>, transport: Transport) -> Option<Box<Guest>> {
        let visitor = visitor(&self.principal, self.public_id, transport)?;
        Some(Box::new(Guest::new(presence, visitor)))
    }

    /// As whom it takes a place among the attachments.
    pub fn holder(&self) -> Holder {
        Holder {
            brings_session: self.brings_session,
            ..holder(&self.principal, Some(self.public_id), self.address)
        }
    }
}

/// As whom somebody is present; nobody without a name.
pub fn visitor(
    principal: &Principal,
    public_id: PublicId,
    transport: Transport,
) -> Option<Visitor> {
    Some(Visitor {
        user: principal.user.clone()?,
        info: principal.info().cloned(),
        public_id,
        transport,
    })
}

/// As whom somebody takes a place among the attachments. The public id is that of a session whose id the client brought.
pub fn holder(principal: &Principal, public_id: Option<PublicId>, address: IpAddr) -> Holder {
    Holder {
        user: principal.user.clone(),
        public_id,
        brings_session: public_id.is_some(),
        withdrawn: principal.withdrawn().cloned(),
        token_id: principal.token_id().cloned(),
        ends_at_s: principal.ends_at_s(),
        address,
    }
}
