//! The one task that tells what changes in all rooms, and ends what is over.

use tokio::time::{Instant, sleep_until};

use super::Presence;
use super::change::{CHANGE_BYTES_MAX, Change};
use super::rooms::Due;
use crate::bus::{ChannelName, Draft};

/// Most sessions that end under one lock.
const ENDED_AT_ONCE: usize = 256;

impl Presence {
    /// Tells what changes, and ends what is over, without an end: one task for all rooms.
    pub async fn run(&self) {
        loop {
            let next = {
                let mut watched = self.watched.lock();
                watched.looks_at = watched.rooms.next();
                watched.looks_at
            };
            tokio::select! {
                () = self.earlier.notified() => {}
                () = at(next) => self.look().await,
            }
        }
    }

    /// Does what is due. Publishes one message after the other, and never under the lock.
    async fn look(&self) {
        let now = Instant::now();
        while self.with(|rooms| (0..ENDED_AT_ONCE).all(|_| rooms.end_next(now))) {
            tokio::task::yield_now().await;
        }
        loop {
            let config = self.config.load_full();
            let bytes_max = CHANGE_BYTES_MAX.min(config.limits.message_bytes_max);
            let due = self
                .with(|rooms| rooms.tell_next(now, bytes_max, |name| config.has_presence(name)));
            match due {
                Some(Due::Tell(channel, change)) => self.tell(&channel, change).await,
                Some(Due::Quiet) => {}
                None => return,
            }
            tokio::task::yield_now().await;
        }
    }

    async fn tell(&self, channel: &ChannelName, change: Change) {
        let draft = Draft {
            from: None,
            payload: change.payload(),
            key: None,
        };
        // All channels with presence have a channel for it.
        let told = match channel.presence() {
            Some(changes) => self.bus.publish(&changes, &draft).await,
            None => return,
        };
        match &told {
            Ok(_) => drop(self.metrics.presence_changes.inc()),
            Err(error) => {
                tracing::warn!(%channel, %error, "a change of presence cannot be told yet: it is tried again");
            }
        }
        self.with(|rooms| rooms.told(channel, change, told.is_ok(), Instant::now()));
    }
}

/// That time, or never.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;
    use crate::broker::{Broker, Memory};
    use crate::bus::{
        Bounds, Budget, Bus, Item, Payload, PublicId, SessionId, Signal, Start, Store, UserName,
    };
    use crate::presence::{Guest, Visitor, Window};
    use crate::transport::Transport;

    fn name(text: &str) -> ChannelName {
        ChannelName::parse(text).unwrap()
    }

    fn visitor(user: &str) -> Visitor {
        let user = UserName::parse(user).unwrap();
        Visitor {
            public_id: PublicId::of(Some(&user), &SessionId::random()),
            user,
            info: None,
            transport: Transport::Sse,
        }
    }

    /// A bus and who is there, with its task.
    fn started(bounds: Bounds) -> (Bus, Arc<Presence>) {
        let store = Arc::new(Store::new(bounds));
        let bus = Bus::new(Arc::clone(&store), Broker::Memory(Memory::new(store)));
        let presence = Presence::new(bus.clone(), Arc::default(), Arc::default());
        let presence = Arc::new(presence);
        let telling = Arc::clone(&presence);
        tokio::spawn(async move { telling.run().await });
        (bus, presence)
    }

    fn guest(presence: &Arc<Presence>, user: &str) -> Guest {
        let mut guest = Guest::new(presence, visitor(user));
        guest.enter(&name("room:1")).unwrap();
        guest
    }

    /// What was told since the last look.
    fn told(bus: &Bus, from: &mut Start) -> Vec<String> {
        let budget = Budget {
            messages: 100,
            bytes: usize::MAX,
        };
        let mut reader = bus.peek(&name("presence:room:1"), *from);
        let items = bus.read(0, &mut reader, budget).items.into_iter();
        *from = Start::After(reader.position);
        let text = |(_, item)| match item {
            Item::Message(publication) => String::from_utf8(publication.json().to_vec()).unwrap(),
            Item::Gap(gap) => panic!("{gap:?}"),
        };
        items.map(text).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_is_told_at_once_and_then_a_message_a_second() {
        let (bus, presence) = started(Bounds::small());
        let mut from = Start::Earliest;
        let began = Instant::now();
        let _first: Vec<Guest> = ["ann", "bob"].map(|user| guest(&presence, user)).into();
        sleep(Duration::from_millis(60)).await;
        assert_eq!(told(&bus, &mut from).len(), 1);
        let mut others = Vec::new();
        for n in 0..50 {
            others.push(guest(&presence, &format!("u{n}")));
            sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(began.elapsed(), Duration::from_millis(5060));
        assert_eq!(told(&bus, &mut from).len(), 5);
        drop(others);
        sleep(Duration::from_secs(9)).await;
        assert_eq!(told(&bus, &mut from).len(), 0, "the grace");
        sleep(Duration::from_secs(2)).await;
        let left = told(&bus, &mut from);
        assert!(
            left.len() == 1 && left[0].contains(r#""users":2"#),
            "{left:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_told_is_told_when_it_can() {
        let (bus, presence) = started(Bounds {
            channels_max: 1,
            ..Bounds::small()
        });
        let signal = Arc::new(Signal::default());
        let draft = Draft {
            from: None,
            payload: Payload::Json("1".into()),
            key: None,
        };
        bus.publish(&name("hog"), &draft).await.unwrap();
        let hog = bus.subscribe(&name("hog"), Start::Now, &signal, 0).await;
        let _ann = guest(&presence, "ann");
        let mut from = Start::Earliest;
        sleep(Duration::from_secs(5)).await;
        assert_eq!(told(&bus, &mut from), Vec::<String>::new());
        let shown = presence.page(
            &name("room:1"),
            Window {
                after: None,
                limit: 9,
            },
        );
        assert_eq!(shown.unwrap().count, 1, "who is there is no secret");
        drop(hog);
        sleep(Duration::from_secs(2)).await;
        let messages = told(&bus, &mut from);
        assert!(
            messages.len() == 1 && messages[0].contains("ann"),
            "{messages:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_is_renewed_goes_on() {
        let (_, presence) = started(Bounds::small());
        let (room, ann) = ([name("room:1")], visitor("ann"));
        let count = || {
            let window = Window {
                after: None,
                limit: 0,
            };
            presence.page(&room[0], window).unwrap().count
        };
        for _ in 0..5 {
            presence
                .lease(&room, &ann, Duration::from_secs(25))
                .unwrap();
            sleep(Duration::from_secs(54)).await;
            assert_eq!(count(), 1);
        }
        // A later poll sets it anew, even if it waits for less.
        presence.lease(&room, &ann, Duration::ZERO).unwrap();
        sleep(Duration::from_secs(29)).await;
        assert_eq!(count(), 1);
        sleep(Duration::from_secs(2)).await;
        assert_eq!(count(), 0);
    }
}
