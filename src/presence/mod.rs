//! Who is there: users in the channels they are subscribed to.
//!
//! Changes are ordinary messages of a channel of their own, so whoever follows them has the cursor, the gaps, the transports
//! and the limits of any channel. Only clients with a user name are present.

mod change;
mod ends;
mod guest;
mod member;
mod page;
mod rooms;
mod roster;
mod telling;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::bus::{Bus, ChannelName, PublicId, Start, UserName};
use crate::code::Code;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::transport::Transport;
pub use change::CHANGE_BYTES_MAX;
pub use guest::Guest;
use member::Leaving;
pub use member::UNATTACHED_MAX;
pub use page::Page;
use rooms::Rooms;
pub use rooms::Window;

/// Who is there, in all channels of the node.
#[derive(Debug)]
pub struct Presence {
    watched: Mutex<Watched>,
    /// Woken when something is due before [`Presence::run`] would look.
    earlier: Notify,
    bus: Bus,
    config: ArcSwap<Config>,
    metrics: Arc<Metrics>,
}

/// All rooms, and when they are looked at.
#[derive(Debug, Default)]
struct Watched {
    rooms: Rooms,
    /// When the task that tells looks by itself; not at all if absent.
    looks_at: Option<Instant>,
}

/// Somebody with a name, at one attachment or poll.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// Who.
    pub user: UserName,
    /// What is shown of them: JSON.
    pub info: Option<Arc<str>>,
    /// Which of their sessions it is.
    pub public_id: PublicId,
    /// How they come.
    pub transport: Transport,
}

/// `presence.sessions_max` is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many clients are present: try again later, or raise presence.sessions_max")]
pub struct Full;

/// Who is refused at the limit may try again after so long.
const RETRY_AFTER: Duration = Duration::from_secs(5);

impl From<Full> for Problem {
    fn from(full: Full) -> Self {
        Self::new(Code::Overloaded, full.to_string()).retry(RETRY_AFTER)
    }
}

impl Presence {
    /// Nobody is anywhere yet.
    pub fn new(bus: Bus, config: Arc<Config>, metrics: Arc<Metrics>) -> Self {
        Self {
            watched: Mutex::default(),
            earlier: Notify::new(),
            bus,
            config: ArcSwap::new(config),
            metrics,
        }
    }

    /// Takes over another configuration. Where presence is switched off nothing more is told, and who is there is forgotten;
    /// where it is switched on, those who attach from now on are present.
    pub fn reload(&self, config: Arc<Config>) {
        self.config.store(config);
    }

    /// Checks that a channel may be read: the changes of one without presence may not, because there will be none.
    ///
    /// # Errors
    /// `forbidden`, about the channel.
    pub fn check_readable(&self, channel: &ChannelName) -> Result<(), Problem> {
        match channel.base() {
            Some(base) if !self.config.load().has_presence(&base) => Err(switched_off(channel)),
            _ => Ok(()),
        }
    }

    /// Somebody who polls is present in these channels until `wait` and `presence.lease_s` are over.
    ///
    /// # Errors
    /// [`Full`]; in some channels somebody may be present already.
    pub fn lease(
        &self,
        channels: &[ChannelName],
        visitor: &Visitor,
        wait: Duration,
    ) -> Result<(), Full> {
        let config = self.config.load();
        let (now, kept_max) = (Instant::now(), config.presence.sessions_max);
        let until = now + wait + config.presence.lease_s.duration();
        let mut channels = channels.iter().filter(|name| config.has_presence(name));
        self.with(|rooms| {
            channels.try_for_each(|channel| rooms.lease(channel, visitor, until, kept_max, now))
        })
    }

    /// Some of those who are in a channel, in the order of their names.
    ///
    /// # Errors
    /// `forbidden` for a channel without presence.
    pub fn page(&self, channel: &ChannelName, window: Window) -> Result<Page, Problem> {
        let has_presence = self.config.load().has_presence(channel);
        let Some(changes) = channel.presence().filter(|_| has_presence) else {
            return Err(switched_off(channel));
        };
        // Before anybody is looked at: what changes after the look is told after this position.
        let position = self.bus.peek(&changes, Start::Now).position;
        let (count, rows, more) = self.with(|rooms| rooms.show(channel, window));
        Ok(Page {
            channel: channel.clone(),
            position,
            count,
            rows,
            more,
        })
    }

    /// Somebody attaches to a channel. Says whether the channel has presence.
    fn enter(&self, channel: &ChannelName, visitor: &Visitor) -> Result<bool, Full> {
        let config = self.config.load();
        if !config.has_presence(channel) {
            return Ok(false);
        }
        let (now, kept_max) = (Instant::now(), config.presence.sessions_max);
        self.with(|rooms| rooms.attach(channel, visitor, kept_max, now))?;
        Ok(true)
    }

    fn leave(&self, channels: &[ChannelName], visitor: &Visitor, leaving: Leaving) {
        let now = Instant::now();
        self.with(|rooms| {
            for channel in channels {
                rooms.detach(channel, visitor, leaving, now);
            }
        });
    }

    fn show_info(&self, channels: &[ChannelName], visitor: &Visitor) {
        let now = Instant::now();
        self.with(|rooms| {
            for channel in channels {
                rooms.show_info(channel, visitor, now);
            }
        });
    }

    /// When the grace of who leaves now is over.
    fn grace_ends(&self) -> Instant {
        Instant::now() + self.config.load().presence.grace_s.duration()
    }

    /// Changes the rooms, then wakes the task if it would look too late.
    fn with<T>(&self, change: impl FnOnce(&mut Rooms) -> T) -> T {
        let (changed, is_early) = {
            let mut watched = self.watched.lock();
            let before = watched.rooms.present();
            let changed = change(&mut watched.rooms);
            let present = watched.rooms.present();
            if present != before {
                // Under the lock, so that the last one to change it sets it.
                let present = i64::try_from(present).unwrap_or(i64::MAX);
                self.metrics.present.set(present);
            }
            let next = watched.rooms.next();
            let is_early = next.is_some_and(|at| watched.looks_at.is_none_or(|looks| at < looks));
            if is_early {
                watched.looks_at = next;
            }
            (changed, is_early)
        };
        if is_early {
            self.earlier.notify_one();
        }
        changed
    }
}

fn switched_off(channel: &ChannelName) -> Problem {
    let message = "who is in this channel is not told: presence is switched off for it";
    Problem::new(Code::Forbidden, message).about(channel)
}
