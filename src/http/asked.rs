//! A poll as it was read, before it is known whether it may be asked.

use std::time::Duration;

use http::request::Parts;

use crate::auth::Credential;
use crate::bus::{Cursor, CursorError, PublicId};
use crate::gateway::Gateway;
use crate::peer::Peer;
use crate::problem::Problem;
use crate::transport::{Transport, holder, poll, visitor};

use super::query::Query;
use super::receive::authorize;
use super::route::{self, Poll};
use super::{credentials, route_limits};

/// A poll as it was read.
#[derive(Debug)]
pub struct Asked {
    poll: Poll,
    credential: Option<Credential>,
}

impl Asked {
    /// Reads a request.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(gateway: &Gateway, parts: &Parts) -> Result<Self, Problem> {
        let query = Query::of(parts)?;
        Ok(Self {
            poll: route::poll_of(&query, &parts.headers, route_limits(&gateway.config()))?,
            credential: credentials::read_of(&query, &parts.headers)?,
        })
    }

    /// The same, from another place on.
    ///
    /// # Errors
    /// What is wrong with the cursor.
    pub fn from(&mut self, cursor: &str) -> Result<(), CursorError> {
        self.poll.attach.cursor = Cursor::parse(cursor)?;
        Ok(())
    }

    /// What it presents.
    pub fn credential(&self) -> Option<&Credential> {
        self.credential.as_ref()
    }

    /// What it asks for, now that somebody asks.
    ///
    /// # Errors
    /// Why they may not.
    pub fn request(
        &self,
        gateway: &Gateway,
        peer: Peer,
        transport: Transport,
    ) -> Result<poll::Request, Problem> {
        let attach = &self.poll.attach;
        let (principal, reading) = authorize(gateway, self.credential(), attach)?;
        let known = self.poll.known.as_ref();
        let known = known.and_then(|cursor| cursor.resolve(&reading.channels).ok());
        let session = attach.session.as_ref();
        let public_id = session.map(|session| PublicId::of(principal.user.as_ref(), session));
        let wait = match transport {
            Transport::LongPoll => self
                .poll
                .wait
                .unwrap_or(gateway.config().timeouts.wait_s.duration()),
            _ => Duration::ZERO,
        };
        if let Some(visitor) = public_id.and_then(|id| visitor(&principal, id, transport)) {
            gateway.presence.lease(&reading.channels, &visitor, wait)?;
        }
        Ok(poll::Request {
            holder: holder(&principal, public_id, peer.address),
            channels: reading.channels,
            starts: reading.starts,
            budget: gateway.page_budget(self.poll.limit),
            wait,
            known,
        })
    }
}
