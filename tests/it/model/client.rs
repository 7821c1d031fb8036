//! A client of the model: the positions it keeps, and what every read has to hold to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use everyway::bus::{Batch, Budget, ChannelName, Item, Position};
use everyway::session::Session;

use super::naive::{Naive, Told};

/// What each channel of a read has to tell.
pub type Owed = BTreeMap<ChannelName, Vec<Told>>;

/// Somebody who attaches, reads and leaves, and keeps its positions throughout.
#[derive(Default)]
pub struct Client {
    pub attached: Option<Attached>,
    pub held: BTreeMap<ChannelName, Position>,
}

/// A session, with a note of whether it was woken since it last had nothing to read.
pub struct Attached {
    pub session: Session,
    woken: Arc<Woken>,
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Attached {
    pub fn new(session: Session) -> Self {
        Self {
            session,
            // It was never polled, so nobody has to wake it.
            woken: Arc::new(Woken(AtomicBool::new(true))),
        }
    }

    pub fn channels(&self) -> Vec<ChannelName> {
        let readers = self.session.readers();
        readers.map(|reader| reader.name.clone()).collect()
    }

    pub fn assert_woken(&self) {
        assert!(
            self.woken.0.load(Ordering::Relaxed),
            "nobody woke the session"
        );
    }

    /// Reads once without waiting.
    fn poll(&mut self, budget: Budget) -> Batch {
        self.woken.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(&self.woken));
        match self
            .session
            .poll_next(&mut Context::from_waker(&waker), budget)
        {
            Poll::Ready(batch) => {
                self.woken.0.store(true, Ordering::Relaxed);
                batch.expect("nobody ended the session")
            }
            Poll::Pending => Batch::default(),
        }
    }
}

impl Client {
    /// Reads once; everything owed is told, or as much of it as the budget takes.
    pub fn read(&mut self, naive: &mut Naive, budget: Budget) {
        let Some(attached) = &mut self.attached else {
            return;
        };
        let mut owed = Owed::new();
        for name in attached.channels() {
            let position = self.held[&name];
            let told = naive.look(&name, |life| life.owes(position));
            owed.insert(name, told);
        }
        let has_more = settle(naive, &owed, &mut self.held, attached.poll(budget), budget);
        if has_more {
            // Who stopped in the middle reads on without being woken.
            attached.woken.0.store(true, Ordering::Relaxed);
        }
    }

    /// Where each subscription stands is where the client stands.
    pub fn check(&self) {
        let readers = self
            .attached
            .iter()
            .flat_map(|attached| attached.session.readers());
        for reader in readers {
            assert_eq!(reader.position, self.held[&reader.name], "{}", reader.name);
        }
    }
}

/// Compares a batch with what was owed, moves the positions past it, and says whether there is more.
pub fn settle(
    naive: &mut Naive,
    owed: &Owed,
    held: &mut BTreeMap<ChannelName, Position>,
    batch: Batch,
    budget: Budget,
) -> bool {
    check_budget(naive, owed, &batch, budget);
    let more = batch.more;
    let told = sort_by_channel(batch);
    let mut has_more = false;
    for (name, owed) in owed {
        let told = told.get(name).map_or(&[][..], Vec::as_slice);
        assert!(
            owed.starts_with(told),
            "{name}: told {told:?}, owed {owed:?}"
        );
        has_more |= told.len() < owed.len();
        let epoch = naive.look(name, |life| life.epoch);
        match told.last() {
            Some(Told::Message(offset, _)) => {
                let offset = *offset;
                held.insert(name.clone(), Position { epoch, offset });
            }
            Some(Told::Gap(lost)) => {
                held.insert(name.clone(), lost.resume);
            }
            None => {}
        }
    }
    assert_eq!(more, has_more, "`more` is wrong");
    assert!(
        told.keys().all(|name| owed.contains_key(name)),
        "a foreign channel"
    );
    assert!(
        !told.is_empty() || !has_more,
        "nothing was told though there is something"
    );
    check_fairness(owed, &told, budget);
    has_more
}

fn check_budget(naive: &mut Naive, owed: &Owed, batch: &Batch, budget: Budget) {
    let messages: Vec<usize> = (batch.items.iter())
        .filter_map(|(_, item)| match item {
            Item::Message(publication) => Some(publication.json().len()),
            Item::Gap(_) => None,
        })
        .collect();
    assert!(messages.len() <= budget.messages);
    assert!(messages.len() <= 1 || messages.iter().sum::<usize>() <= budget.bytes);
    let all: usize = (owed.iter())
        .map(|(name, told)| naive.look(name, |life| owed_bytes(life, told)))
        .sum();
    // A budget that takes everything leaves nothing.
    let count: usize = owed.values().map(|told| messages_in(told)).sum();
    let fits = all * owed.len() <= budget.bytes && count <= budget.messages;
    assert!(!fits || messages.len() == count, "the budget was not used");
}

fn owed_bytes(life: &super::naive::Life, told: &[Told]) -> usize {
    told.iter()
        .map(|told| match told {
            Told::Message(offset, _) => life.json_bytes(*offset),
            Told::Gap(_) => 0,
        })
        .sum()
}

/// Of `k` channels with something to read each gets its share, if bytes do not end the read.
fn check_fairness(owed: &Owed, told: &Owed, budget: Budget) {
    const PLENTY: usize = 100_000;
    let busy = owed.values().filter(|told| messages_in(told) > 0).count();
    if budget.bytes < PLENTY || busy == 0 {
        return;
    }
    for (name, owed) in owed {
        let got = told.get(name).map_or(0, |told| messages_in(told));
        let share = messages_in(owed).min(budget.messages / busy);
        assert!(got >= share, "{name} got {got} of its share of {share}");
    }
}

fn messages_in(told: &[Told]) -> usize {
    let is_message = |told: &&Told| matches!(told, Told::Message(..));
    told.iter().filter(is_message).count()
}

fn sort_by_channel(batch: Batch) -> Owed {
    let mut told = Owed::new();
    for (_, item) in batch.items {
        let (name, item) = match item {
            Item::Gap(gap) => (gap.channel, Told::Gap(gap.lost)),
            Item::Message(publication) => read_message(publication.json()),
        };
        told.entry(name).or_default().push(item);
    }
    told
}

/// The channel of a message, and the message, from its JSON: what a client has.
pub fn read_message(json: &[u8]) -> (ChannelName, Told) {
    let json: serde_json::Value = serde_json::from_slice(json).unwrap();
    let name = ChannelName::parse(json["channel"].as_str().unwrap()).unwrap();
    let offset = json["offset"].as_u64().unwrap();
    (name, Told::Message(offset, json["data"].to_string()))
}
