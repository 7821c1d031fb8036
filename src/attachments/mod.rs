//! Who is attached: every WebSocket, SSE stream and long poll that waits, counted, bounded, kept alive and ended from here.

mod drain;
mod ends;
mod heartbeat;
mod table;

use std::sync::Arc;

use parking_lot::Mutex;

use crate::bus::{PublicId, Signal, UserName};
use crate::code::{Code, End};
use crate::config::Timeouts;
use crate::limits::{Account, AttachmentPlace, Counted, Limits, Refused};
use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::transport::Transport;
use table::{Attached, Place, Table};

/// All attachments of a gateway.
#[derive(Debug)]
pub struct Attachments {
    table: Mutex<Table>,
    limits: Arc<Limits>,
    metrics: Arc<Metrics>,
}

/// Who holds a place, and until when.
#[derive(Debug, Clone, Default)]
pub struct Holder {
    /// Who; nobody in particular if absent.
    pub user: Option<UserName>,
    /// What everybody may see of the session, if it has an id.
    pub public_id: Option<PublicId>,
    /// The `jti` of the token.
    pub token_id: Option<Arc<str>>,
    /// When the attachment ends with its token, in seconds since 1970.
    pub ends_at_s: Option<u64>,
    /// On whose account it is counted.
    pub account: Account,
}

/// Whose attachments an administrator ends.
#[derive(Debug, Clone, Copy)]
pub enum Whom<'a> {
    /// A user's.
    User(&'a UserName),
    /// A session's, by its public id.
    Session(&'a str),
    /// Those of a token, by its `jti`.
    Token(&'a str),
}

/// A place among the attachments, given back when it is dropped.
#[derive(Debug)]
pub struct Attachment {
    attachments: Arc<Attachments>,
    transport: Transport,
    signal: Arc<Signal>,
    place: Place,
    /// Held for its drop: a place in the counts of its address and its user.
    _counted: AttachmentPlace,
    code: Code,
}

/// How many attachments are looked at under one lock.
const LOOKED_AT_MAX: usize = 1024;

impl Attachments {
    /// No attachments yet.
    pub fn new(limits: Arc<Limits>, metrics: Arc<Metrics>) -> Self {
        Self {
            table: Mutex::default(),
            limits,
            metrics,
        }
    }

    /// Takes a place on somebody's account.
    ///
    /// # Errors
    /// `shutdown` while the gateway goes down, `rate_limited` if its address attached too often, `overloaded` at a limit:
    /// all with a delay.
    pub fn enter(
        self: &Arc<Self>,
        transport: Transport,
        holder: Holder,
    ) -> Result<Attachment, Problem> {
        self.table.lock().check_draining()?;
        let counted = self.limits.attach(holder.account.clone())?;
        let attachments_max = self.limits.attachments_max();
        let signal = Arc::new(Signal::default());
        let mut table = self.table.lock();
        table.check_draining()?;
        if table.count >= attachments_max {
            drop(table);
            return Err(Refused::Full(Counted::All).into());
        }
        let place = table.insert(Attached {
            signal: Arc::clone(&signal),
            transport,
            holder,
        });
        drop(table);
        let metrics = self.metrics.transport(transport);
        metrics.attachments.inc();
        metrics.attachments_total.inc();
        tracing::debug!(transport = transport.as_str(), ?place, "attached");
        Ok(Attachment {
            attachments: Arc::clone(self),
            transport,
            signal,
            place,
            _counted: counted,
            code: Code::Normal,
        })
    }

    /// Keeps WebSockets and event streams alive, without an end: one timer for all of them. A ping comes at least every
    /// `heartbeat_s`, and the check of its answer at least `pong_s` later.
    ///
    /// Whose token has run out is ended from here, too.
    pub async fn keep_alive(&self, timeouts: &Timeouts) {
        tokio::join!(self.beat_on(timeouts), self.end_with_tokens());
    }

    /// Ends the attachments of a user, a session or a token, and says how many there were.
    pub fn end(&self, whom: Whom, end: &End) -> usize {
        let signals: Vec<Arc<Signal>> = {
            let table = self.table.lock();
            let all = table.slots.iter().flatten();
            all.filter(|(_, attached)| whom.is(&attached.holder))
                .map(|(_, attached)| Arc::clone(&attached.signal))
                .collect()
        };
        // Who is on the way out already does not count.
        let ended = signals.iter().filter(|signal| signal.end(end.clone()));
        ended.count()
    }

    /// The number of attachments.
    pub fn len(&self) -> usize {
        self.table.lock().count
    }

    /// True if nobody is attached.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Whom<'_> {
    fn is(self, holder: &Holder) -> bool {
        match self {
            Self::User(user) => holder.user.as_ref() == Some(user),
            Self::Session(id) => holder.public_id.as_ref().map(PublicId::as_str) == Some(id),
            Self::Token(id) => holder.token_id.as_deref() == Some(id),
        }
    }
}

impl Attachment {
    /// The signal that wakes and ends this attachment's session.
    pub fn signal(&self) -> &Arc<Signal> {
        &self.signal
    }

    /// Goes on with a new token.
    pub fn renew(&self, token_id: Option<Arc<str>>, ends_at_s: Option<u64>) {
        let mut table = self.attachments.table.lock();
        let table = &mut *table;
        // The place is ours until we are dropped.
        if let Some(attached) = table.slots[self.place.slot].get_mut(self.place.key) {
            if let Some(end) = attached.holder.ends_at_s {
                table.ends.remove(&(end, self.place));
            }
            attached.holder.token_id = token_id;
            attached.holder.ends_at_s = ends_at_s;
            table.ends.extend(ends_at_s.map(|end| (end, self.place)));
        }
    }

    /// Notes the way out, for the count of endings. `normal` is assumed.
    pub fn ended(&mut self, code: Code) {
        self.code = code;
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.attachments.table.lock().remove(self.place);
        self.attachments
            .metrics
            .transport(self.transport)
            .attachments
            .dec();
        self.attachments
            .metrics
            .count_end(self.transport, self.code);
        let (transport, code) = (self.transport.as_str(), self.code.as_str());
        tracing::debug!(transport, place = ?self.place, code, "detached");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::Marks;
    use crate::config::Config;

    /// Attachments that nobody keeps alive.
    pub(super) fn nobody_yet() -> Arc<Attachments> {
        let limits = Arc::new(Limits::new(&Config::default()));
        Arc::new(Attachments::new(limits, Arc::default()))
    }

    #[tokio::test(start_paused = true)]
    async fn an_administrator_ends_those_of_one_user() {
        let attachments = nobody_yet();
        let bob = Holder {
            user: UserName::parse("bob").ok(),
            ..Holder::default()
        };
        let bob = attachments.enter(Transport::Sse, bob).unwrap();
        let other = attachments
            .enter(Transport::Sse, Holder::default())
            .unwrap();
        let user = UserName::parse("bob").unwrap();
        let end = End::from(Code::Disconnected);
        assert_eq!(attachments.end(Whom::User(&user), &end), 1);
        assert_eq!(attachments.end(Whom::Session(""), &end), 0);
        assert!(bob.signal.take(&mut Marks::default()).is_err());
        assert!(other.signal.take(&mut Marks::default()).is_ok());
    }
}
