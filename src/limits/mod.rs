//! How much one client may take: how often, and how many at once.

mod counts;
mod intake;
mod key;
mod rate;
mod refused;
mod standing;
mod store;

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use governor::clock::MonotonicClock;
use http::HeaderMap;
pub use intake::{FREE_BYTES, Inlet, Intake, Share};
pub use key::{Account, AddressKey, Publisher};
pub use rate::Rate;
pub use refused::{Counted, Refused};
pub use standing::Standing;

use crate::bus::UserName;
use crate::config::{Config, Network, RateRule};
use crate::peer::Peer;
use counts::Counts;

/// The name of the rule for publishing, in headers and metrics.
const PUBLISH: &str = "publish";
/// The name of the rule for requests.
const REQUESTS: &str = "requests";
/// The name of the rule for new attachments.
const ATTACH: &str = "attach";
/// How often keys are forgotten that have everything left.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// The limits of a gateway. The rules may be changed while it runs; what is counted stays counted.
#[derive(Debug)]
pub struct Limits {
    rules: ArcSwap<Rules>,
    sockets: Counts<AddressKey>,
    by_address: Counts<AddressKey>,
    by_user: Counts<UserName>,
    intake: Arc<Intake>,
}

/// The rules as they were configured last.
#[derive(Debug)]
struct Rules {
    publish: Arc<Rate<Publisher>>,
    requests: Arc<Rate<AddressKey>>,
    attach: Arc<Rate<AddressKey>>,
    trusted_proxies: Vec<Network>,
    loopback: bool,
    sockets_per_address_max: usize,
    attachments_max: usize,
    attachments_per_address_max: usize,
    attachments_per_user_max: usize,
    attachment_age_max: Option<Duration>,
    refusals_max: usize,
}

/// An attachment that may come in.
#[derive(Debug)]
pub struct Admitted {
    /// Its place in the counts of its address and its user.
    pub place: AttachmentPlace,
    /// The most attachments in all, this one counted.
    pub attachments_max: usize,
    /// Its greatest age; nothing if any age is fine.
    pub age_max: Option<Duration>,
}

impl Limits {
    /// The limits as configured, with nothing counted.
    pub fn new(config: &Config) -> Self {
        Self {
            rules: ArcSwap::from_pointee(Rules::new(config, None)),
            sockets: Counts::default(),
            by_address: Counts::default(),
            by_user: Counts::default(),
            intake: Arc::new(Intake::new(config)),
        }
    }

    /// Takes over the numbers of another configuration. Counts stay, and so does what everybody has left under a rule that
    /// is the same; under a new rule everybody begins with a whole burst. Who is over a new maximum already may stay.
    pub fn reload(&self, config: &Config) {
        let before = self.rules.load();
        self.rules
            .store(Arc::new(Rules::new(config, Some(&before))));
        self.intake.reload(config);
    }

    /// Who sent a request with these headers over a connection from this peer, and the request counted.
    pub fn arrive(&self, peer: Peer, headers: &HeaderMap) -> (Peer, Result<(), Refused>) {
        let rules = self.rules.load();
        let peer = peer.forwarded(&rules.trusted_proxies, headers);
        (peer, rules.count_request(peer.address))
    }

    /// Counts a request.
    ///
    /// # Errors
    /// [`Refused::Wait`] if there were too many.
    pub fn request(&self, address: IpAddr) -> Result<(), Refused> {
        self.rules.load().count_request(address)
    }

    /// Counts a message to so many channels. Returns where the publisher stands then, if a rule applies.
    ///
    /// # Errors
    /// [`Refused::Wait`] if there were too many, [`Refused::Never`] if there are too many channels for any burst.
    pub fn publish(
        &self,
        user: Option<&UserName>,
        address: IpAddr,
        channels: usize,
    ) -> Result<Option<Standing>, Refused> {
        let rules = self.rules.load();
        let publisher = match user {
            Some(user) => Publisher::User(user.clone()),
            None => match rules.address(address) {
                Some(key) => Publisher::Address(key),
                None => return Ok(None),
            },
        };
        let cost = u32::try_from(channels).unwrap_or(u32::MAX);
        let cost = NonZeroU32::new(cost).unwrap_or(NonZeroU32::MIN);
        rules.publish.take(&publisher, cost)
    }

    /// Counts an attachment in, for as long as the place is held. There may be `spare` more than the limits say.
    ///
    /// # Errors
    /// [`Refused::Wait`] if there were too many lately, [`Refused::Full`] if there are too many now.
    pub fn attach(
        self: &Arc<Self>,
        user: Option<&UserName>,
        address: IpAddr,
        spare: usize,
    ) -> Result<Admitted, Refused> {
        let rules = self.rules.load();
        // Each part of the place is given back by itself if a later one is refused.
        let mut place = AttachmentPlace {
            limits: Arc::clone(self),
            account: Account::default(),
        };
        if let Some(key) = rules.address(address) {
            rules.attach.take(&key, NonZeroU32::MIN)?;
            if !self
                .by_address
                .enter(&key, rules.attachments_per_address_max + spare)
            {
                return Err(Refused::Full(Counted::ByAddress));
            }
            place.account.address = Some(key);
        }
        if let Some(user) = user {
            if !self
                .by_user
                .enter(user, rules.attachments_per_user_max + spare)
            {
                return Err(Refused::Full(Counted::ByUser));
            }
            place.account.user = Some(user.clone());
        }
        Ok(Admitted {
            place,
            attachments_max: rules.attachments_max + spare,
            age_max: rules.attachment_age_max,
        })
    }

    /// How many refusals a WebSocket may provoke in a while.
    pub fn refusals_max(&self) -> usize {
        self.rules.load().refusals_max
    }

    /// Counts a socket in, for as long as the place is held; nothing if its address has too many. A trusted proxy has the
    /// sockets of all its clients, so it is exempt.
    pub fn socket(self: &Arc<Self>, address: IpAddr) -> Option<SocketPlace> {
        let rules = self.rules.load();
        let is_proxy = rules
            .trusted_proxies
            .iter()
            .any(|proxy| proxy.contains(address));
        let key = rules.address(address).filter(|_| !is_proxy);
        if let Some(key) = &key
            && !self.sockets.enter(key, rules.sockets_per_address_max)
        {
            return None;
        }
        Some(SocketPlace {
            limits: Arc::clone(self),
            key,
        })
    }

    /// By which way something comes in from an address, to be counted for it while it is held.
    pub fn inlet(&self, address: IpAddr) -> Inlet {
        Inlet::new(&self.intake, self.rules.load().address(address))
    }

    /// The same, for what no address is charged for.
    pub fn common_inlet(&self) -> Inlet {
        Inlet::new(&self.intake, None)
    }

    /// How many bytes are on their way in or not handled yet, beside what everybody may hold for free.
    pub fn incoming_bytes(&self) -> usize {
        self.intake.bytes()
    }

    /// Forgets who has everything left, again and again, without an end.
    pub async fn sweep(&self) {
        loop {
            tokio::time::sleep(SWEEP_EVERY).await;
            let rules = self.rules.load_full();
            rules.publish.sweep();
            rules.requests.sweep();
            rules.attach.sweep();
        }
    }

    /// How many users and addresses are kept, by the name of the map they are kept in.
    pub fn sizes(&self) -> [(&'static str, usize); 7] {
        let rules = self.rules.load();
        [
            (PUBLISH, rules.publish.len()),
            (REQUESTS, rules.requests.len()),
            (ATTACH, rules.attach.len()),
            ("sockets_per_address", self.sockets.len()),
            ("attachments_per_address", self.by_address.len()),
            ("attachments_per_user", self.by_user.len()),
            ("incoming_per_address", self.intake.addresses()),
        ]
    }
}

impl Rules {
    fn new(config: &Config, before: Option<&Self>) -> Self {
        let limits = &config.limits;
        let keys_max = limits.rate_keys_max;
        Self {
            publish: rate(
                PUBLISH,
                limits.publish,
                keys_max,
                before.map(|rules| &rules.publish),
            ),
            requests: rate(
                REQUESTS,
                limits.requests,
                keys_max,
                before.map(|rules| &rules.requests),
            ),
            attach: rate(
                ATTACH,
                limits.attach,
                keys_max,
                before.map(|rules| &rules.attach),
            ),
            trusted_proxies: config.server.trusted_proxies.clone(),
            loopback: limits.loopback,
            sockets_per_address_max: limits.sockets_per_address_max,
            attachments_max: limits.attachments_max,
            attachments_per_address_max: limits.attachments_per_address_max,
            attachments_per_user_max: limits.attachments_per_user_max,
            attachment_age_max: Some(config.attachment.age_s_max.duration())
                .filter(|age| !age.is_zero()),
            refusals_max: limits.refusals_max,
        }
    }

    /// How limits count an address; nothing if it is exempt.
    fn count_request(&self, address: IpAddr) -> Result<(), Refused> {
        match self.address(address) {
            Some(key) => self.requests.take(&key, NonZeroU32::MIN).map(drop),
            None => Ok(()),
        }
    }

    fn address(&self, address: IpAddr) -> Option<AddressKey> {
        let is_exempt = address.to_canonical().is_loopback() && !self.loopback;
        (!is_exempt).then(|| address.into())
    }
}

/// The rule as it was, if it did not change, else a new one.
fn rate<K: Hash + Eq + Clone>(
    name: &'static str,
    rule: RateRule,
    keys_max: usize,
    before: Option<&Arc<Rate<K>>>,
) -> Arc<Rate<K>> {
    match before {
        Some(before) if before.is(rule, keys_max) => Arc::clone(before),
        _ => Arc::new(Rate::new(name, rule, keys_max, MonotonicClock)),
    }
}

/// A place among the sockets of an address, given back when it is dropped.
#[derive(Debug)]
pub struct SocketPlace {
    limits: Arc<Limits>,
    key: Option<AddressKey>,
}

impl Drop for SocketPlace {
    fn drop(&mut self) {
        if let Some(key) = &self.key {
            self.limits.sockets.leave(key);
        }
    }
}

/// A place among the attachments of an address and of a user, given back when it is dropped.
#[derive(Debug)]
pub struct AttachmentPlace {
    limits: Arc<Limits>,
    account: Account,
}

impl Drop for AttachmentPlace {
    fn drop(&mut self) {
        if let Some(key) = &self.account.address {
            self.limits.by_address.leave(key);
        }
        if let Some(user) = &self.account.user {
            self.limits.by_user.leave(user);
        }
    }
}
