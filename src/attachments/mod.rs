//! Who is attached: every WebSocket, SSE stream and long poll that waits, counted, bounded, kept alive and ended from here.

mod drain;
mod ends;
mod fence;
mod heartbeat;
mod list;
mod table;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub use fence::Predecessor;
pub use list::Listed;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::bus::{PublicId, Signal, UserName};
use crate::code::{Code, End};
use crate::config::Timeouts;
use crate::limits::{AttachmentPlace, Counted, Limits, Refused};
use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::transport::Transport;
use table::{Place, Table};

/// All attachments of a gateway.
#[derive(Debug)]
pub struct Attachments {
    table: Mutex<Table>,
    limits: Arc<Limits>,
    metrics: Arc<Metrics>,
    /// When ages began to be counted.
    started: Instant,
}

/// Who holds a place, and until when.
#[derive(Debug, Clone)]
pub struct Holder {
    /// Who; nobody in particular if absent.
    pub user: Option<UserName>,
    /// What everybody may see of the session, if it has an id.
    pub public_id: Option<PublicId>,
    /// True if the client brought the session's id, so that it may attach as the same session again.
    pub brings_session: bool,
    /// Set when what it was granted is taken back.
    pub withdrawn: Option<Arc<AtomicBool>>,
    /// The `jti` of the token.
    pub token_id: Option<Arc<str>>,
    /// When the attachment ends with its token, in seconds since 1970.
    pub ends_at_s: Option<u64>,
    /// Where it is.
    pub address: IpAddr,
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
    /// Those who were granted what is taken back.
    Withdrawn,
}

/// A place among the attachments, given back when it is dropped.
#[derive(Debug)]
pub struct Attachment {
    attachments: Arc<Attachments>,
    transport: Transport,
    signal: Arc<Signal>,
    place: Place,
    /// True if there may be another attachment of its session.
    is_fenced: bool,
    /// Held for its drop: a place in the counts of its address and its user.
    _counted: AttachmentPlace,
    code: Code,
}

/// How many attachments are looked at under one lock.
pub const LOOKED_AT_MAX: usize = 1024;

impl Attachments {
    /// No attachments yet.
    pub fn new(limits: Arc<Limits>, metrics: Arc<Metrics>) -> Self {
        Self {
            table: Mutex::default(),
            limits,
            metrics,
            started: Instant::now(),
        }
    }

    /// Takes a place, on the account of the holder's address and user. At a limit there is one place more, in all, for those
    /// whose session has an older attachment: they are about to end it.
    ///
    /// # Errors
    /// `shutdown` while the gateway goes down, `rate_limited` if its address attached too often, `overloaded` at a limit:
    /// all with a delay.
    pub fn enter(
        self: &Arc<Self>,
        transport: Transport,
        holder: Holder,
    ) -> Result<Attachment, Problem> {
        let session = holder.fenced();
        let spare = session.map_or(0, |session| self.table.lock().spare_for(&session));
        let (user, address) = (holder.user.as_ref(), holder.address);
        let admitted = match self.limits.attach(user, address, spare) {
            Ok(admitted) => admitted,
            Err(refused) => {
                self.table.lock().check_draining()?;
                return Err(refused.into());
            }
        };
        let retires_at_s = admitted.age_max.and_then(|max| self.draw_retirement(max));
        let mut table = self.table.lock();
        table.check_draining()?;
        if table.count >= admitted.attachments_max {
            drop(table);
            return Err(Refused::Full(Counted::All).into());
        }
        let (place, signal) = table.insert(transport, holder, retires_at_s);
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
            is_fenced: session.is_some(),
            _counted: admitted.place,
            code: Code::Normal,
        })
    }

    /// Keeps WebSockets and event streams alive, without an end: one timer for all of them. A ping comes at least every
    /// `heartbeat_s`, and the check of its answer at least `pong_s` later.
    ///
    /// Whose time has come is ended from here, too.
    pub async fn keep_alive(&self, timeouts: &Timeouts) {
        tokio::join!(self.beat_on(timeouts), self.end_in_time());
    }

    /// Ends the attachments of a user, a session or a token, and says how many there were. Who comes meanwhile may be missed:
    /// revoke first.
    pub fn end(&self, whom: Whom, end: &End) -> usize {
        let (mut ended, mut from) = (0, Some(Place::FIRST));
        while let Some(place) = from {
            let signals: Vec<Arc<Signal>> = {
                let table = self.table.lock();
                let (slice, next) = table.slice(place);
                from = next;
                let meant = slice.filter(|(_, attached)| whom.is(&attached.holder));
                meant
                    .map(|(_, attached)| Arc::clone(&attached.signal))
                    .collect()
            };
            // Who is on the way out already does not count.
            let first = signals.iter().filter(|signal| signal.end(end.clone()));
            ended += first.count();
        }
        ended
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

impl Holder {
    /// The session that may have an older or a newer attachment.
    fn fenced(&self) -> Option<PublicId> {
        self.public_id.filter(|_| self.brings_session)
    }
}

#[cfg(test)]
impl Holder {
    /// Nobody in particular, on this machine.
    pub(crate) fn nobody() -> Self {
        Self {
            user: None,
            public_id: None,
            brings_session: false,
            withdrawn: None,
            token_id: None,
            ends_at_s: None,
            address: std::net::Ipv4Addr::LOCALHOST.into(),
        }
    }
}

impl Whom<'_> {
    fn is(self, holder: &Holder) -> bool {
        match self {
            Self::User(user) => holder.user.as_ref() == Some(user),
            Self::Session(id) => holder.public_id.as_ref().map(PublicId::as_str) == Some(id),
            Self::Token(id) => holder.token_id.as_deref() == Some(id),
            Self::Withdrawn => {
                let withdrawn = holder.withdrawn.as_ref();
                withdrawn.is_some_and(|withdrawn| withdrawn.load(Ordering::Acquire))
            }
        }
    }
}

impl Attachment {
    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.attachments.metrics
    }

    /// The signal that wakes and ends this attachment's session.
    pub fn signal(&self) -> &Arc<Signal> {
        &self.signal
    }

    /// Goes on with a new token.
    pub fn renew(
        &self,
        token_id: Option<Arc<str>>,
        ends_at_s: Option<u64>,
        withdrawn: Option<Arc<AtomicBool>>,
    ) {
        let mut table = self.attachments.table.lock();
        let table = &mut *table;
        // The place is ours until we are dropped.
        if let Some(attached) = table.slots[self.place.slot].get_mut(self.place.key) {
            table
                .token_ends
                .remove(attached.holder.ends_at_s, self.place);
            attached.holder.token_id = token_id;
            attached.holder.withdrawn = withdrawn;
            attached.holder.ends_at_s = ends_at_s;
            table.token_ends.add(ends_at_s, self.place);
        }
    }

    /// Notes the way out, for the count of endings; `normal` is assumed. From here on its client is sent its farewell, and
    /// what was queued before if it was not superseded: a newer attachment of its session need not wait for it.
    pub fn ended(&mut self, code: Code) {
        self.code = code;
        if self.is_fenced {
            let leaving = self.attachments.table.lock().left(self.place);
            drop(leaving);
        }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        let leaving = self.attachments.table.lock().remove(self.place);
        drop(leaving);
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
    use crate::config::{Config, Seconds};

    /// Attachments that nobody keeps alive.
    pub(super) fn nobody_yet() -> Arc<Attachments> {
        aged(0)
    }

    /// The same, which end by their age.
    pub(super) fn aged(age_s_max: u64) -> Arc<Attachments> {
        let mut config = Config::default();
        config.attachment.age_s_max = Seconds::new(age_s_max as u32);
        let limits = Arc::new(Limits::new(&config));
        Arc::new(Attachments::new(limits, Arc::default()))
    }

    #[tokio::test(start_paused = true)]
    async fn an_administrator_ends_those_of_one_user() {
        let attachments = nobody_yet();
        let bob = Holder {
            user: UserName::parse("bob").ok(),
            ..Holder::nobody()
        };
        let bob = attachments.enter(Transport::Sse, bob).unwrap();
        let other = attachments.enter(Transport::Sse, Holder::nobody()).unwrap();
        let user = UserName::parse("bob").unwrap();
        let end = End::from(Code::Disconnected);
        assert_eq!(attachments.end(Whom::User(&user), &end), 1);
        assert_eq!(attachments.end(Whom::Session(""), &end), 0);
        assert!(bob.signal.take(&mut Marks::default()).is_err());
        assert!(other.signal.take(&mut Marks::default()).is_ok());
    }
}
