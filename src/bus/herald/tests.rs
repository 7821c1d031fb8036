use std::task::{Context, Waker};

use super::*;
use crate::bus::name::ChannelName;
use crate::bus::position::Epoch;
use crate::bus::signal::{Seat, Signal};
use crate::bus::{Bounds, Marks, Store};

/// Somebody in the audience, and whether a message came that it was not woken for yet.
struct Sitter {
    key: usize,
    signal: Arc<Signal>,
    is_owed: bool,
}

fn channel() -> Arc<Channel> {
    let name = ChannelName::parse("a").unwrap();
    Arc::new(Channel::new(
        name,
        Epoch::random(),
        Arc::new(Bounds::small().retention),
        0,
    ))
}

fn sit(channel: &Channel) -> Sitter {
    let signal = Arc::new(Signal::default());
    let key = channel.sit(Seat::new(Arc::clone(&signal), 0)).unwrap();
    Sitter {
        key,
        signal,
        is_owed: false,
    }
}

fn is_marked(sitter: &Sitter) -> bool {
    let mut marks = Marks::default();
    sitter.signal.take(&mut marks).unwrap();
    !marks.is_empty()
}

/// Everybody looks: who was owed a wake-up must have had it.
fn check(sitters: &mut [Sitter], when: &str) {
    for sitter in sitters {
        let marked = is_marked(sitter);
        assert!(marked || !sitter.is_owed, "{when}: {} sleeps", sitter.key);
        sitter.is_owed = false;
    }
}

#[test]
fn nobody_stays_asleep_however_rounds_joins_and_leaves_mix() {
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (channel, mut sitters) = (channel(), Vec::new());
        for _ in 0..random.usize(1..60) {
            sitters.push(sit(&channel));
        }
        for _ in 0..200 {
            match random.u8(..8) {
                // More come than go, so that the places become more in the middle of rounds.
                0..3 => sitters.push(sit(&channel)),
                3 if sitters.len() > 1 => {
                    let gone = sitters.swap_remove(random.usize(..sitters.len()));
                    channel.stand(gone.key, || 0);
                }
                4 => {
                    channel.announce(7);
                    sitters.iter_mut().for_each(|sitter| sitter.is_owed = true);
                }
                // Some look early, and are woken again for what comes later.
                5 => {
                    let index = random.usize(..sitters.len());
                    if is_marked(&sitters[index]) {
                        sitters[index].is_owed = false;
                    }
                }
                _ => drop(channel.wake_some(7)),
            }
        }
        while channel.wake_some(7) {}
        check(&mut sitters, &format!("seed {seed}"));
    }
}

#[test]
fn without_anybody_who_runs_it_everybody_is_woken_on_the_spot() {
    let (herald, channel) = (Herald::default(), channel());
    let mut sitters: Vec<Sitter> = (0..5 * AT_ONCE_MAX).map(|_| sit(&channel)).collect();
    herald.announce(&channel);
    sitters.iter_mut().for_each(|sitter| sitter.is_owed = true);
    check(&mut sitters, "on the spot");
}

#[test]
fn a_herald_that_stops_leaves_nobody_asleep() {
    let (herald, channel) = (Herald::default(), channel());
    let mut sitters: Vec<Sitter> = (0..5 * AT_ONCE_MAX).map(|_| sit(&channel)).collect();
    let mut run = Box::pin(herald.run());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(run.as_mut().poll(&mut cx).is_pending());
    herald.announce(&channel);
    herald.announce(&channel);
    let woken = sitters.iter().filter(|sitter| is_marked(sitter)).count();
    assert!(woken > 0 && woken < sitters.len(), "{woken} at once");
    // Those that looked are owed nothing; the second announcement came before their look.
    drop(run);
    let rest = sitters.iter().filter(|sitter| is_marked(sitter)).count();
    assert!(rest >= sitters.len() - woken, "{rest} of the rest");
    herald.announce(&channel);
    sitters.iter_mut().for_each(|sitter| sitter.is_owed = true);
    check(&mut sitters, "after it stopped");
}

#[tokio::test]
async fn a_large_audience_is_woken_while_others_run() {
    let store = Store::new(crate::bus::Bounds::small());
    let runs = store.herald().run();
    let watches = watch_a_large_audience(store.herald());
    tokio::select! {
        () = runs => unreachable!("it runs without an end"),
        () = watches => {}
    }
}

async fn watch_a_large_audience(herald: &Herald) {
    tokio::task::yield_now().await;
    let channel = channel();
    let sitters: Vec<Sitter> = (0..5 * AT_ONCE_MAX).map(|_| sit(&channel)).collect();
    herald.announce(&channel);
    let mut marked = sitters.iter().filter(|sitter| is_marked(sitter)).count();
    assert_eq!(marked, AT_ONCE_MAX);
    let mut turns = 0;
    while marked < sitters.len() {
        tokio::task::yield_now().await;
        marked += sitters.iter().filter(|sitter| is_marked(sitter)).count();
        turns += 1;
        assert!(turns < 100, "only {marked} were woken");
    }
    assert!(turns >= 3, "{turns}");
}
