//! What can be done to a bus, as data, so that a failing list can be shrunk and printed.

use std::time::Duration;

use proptest::prelude::*;

/// The channels that operations choose from: more than the tightest bound on channels.
pub const CHANNELS: [&str; 6] = ["a", "b", "c", "room:1", "room:2", "room:3"];
/// The clients that come and go.
pub const CLIENTS: usize = 3;

/// One operation. Numbers stand for a channel or a client.
#[derive(Debug, Clone)]
pub enum Op {
    Publish {
        channel: usize,
        key: Option<u8>,
        payload: Size,
    },
    /// A session on several channels; the same client's earlier one is left first.
    Attach {
        client: usize,
        channels: Vec<(usize, From)>,
    },
    Read {
        client: usize,
        messages: usize,
        bytes: usize,
    },
    /// Detaching keeps the positions.
    Detach {
        client: usize,
    },
    Subscribe {
        client: usize,
        channel: usize,
        from: From,
    },
    Unsubscribe {
        client: usize,
        channel: usize,
    },
    /// A short poll: one look at several channels, by nobody who stays.
    Look {
        channels: Vec<(usize, From)>,
        messages: usize,
        bytes: usize,
    },
    /// A page of history, newest first.
    Back {
        channel: usize,
        from: From,
        messages: usize,
    },
    /// An administrator drops a channel's messages.
    Purge {
        channel: usize,
    },
    /// A list of the channels, some at a time.
    List {
        count: usize,
    },
    Wait(Duration),
    Sweep,
}

/// How large a payload is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Size {
    Small,
    Medium,
    Large,
}

/// Where reading starts.
#[derive(Debug, Clone, Copy)]
pub enum From {
    Now,
    Earliest,
    /// Where the client left off in this channel.
    Held,
    /// A position that was given out to anybody, ever, in this channel or another.
    Stale(usize),
    /// An offset nobody gave out, in the channel's epoch.
    MadeUp(u64),
    /// An epoch nobody gave out.
    Foreign(u64),
}

pub fn any_op() -> impl Strategy<Value = Op> {
    let client = || 0..CLIENTS;
    prop_oneof![
        8 => (channel(), key(), size())
            .prop_map(|(channel, key, payload)| Op::Publish { channel, key, payload }),
        3 => (client(), channels()).prop_map(|(client, channels)| Op::Attach { client, channels }),
        5 => (client(), 1..6_usize, bytes())
            .prop_map(|(client, messages, bytes)| Op::Read { client, messages, bytes }),
        2 => client().prop_map(|client| Op::Detach { client }),
        2 => (client(), channel(), from())
            .prop_map(|(client, channel, from)| Op::Subscribe { client, channel, from }),
        2 => (client(), channel())
            .prop_map(|(client, channel)| Op::Unsubscribe { client, channel }),
        3 => (channels(), 1..6_usize, bytes())
            .prop_map(|(channels, messages, bytes)| Op::Look { channels, messages, bytes }),
        2 => (channel(), from(), 1..6_usize)
            .prop_map(|(channel, from, messages)| Op::Back { channel, from, messages }),
        1 => channel().prop_map(|channel| Op::Purge { channel }),
        1 => (1..4_usize).prop_map(|count| Op::List { count }),
        3 => wait().prop_map(Op::Wait),
        1 => Just(Op::Sweep),
    ]
}

fn channel() -> impl Strategy<Value = usize> {
    0..CHANNELS.len()
}

fn channels() -> impl Strategy<Value = Vec<(usize, From)>> {
    prop::collection::btree_map(channel(), from(), 1..4)
        .prop_map(|channels| channels.into_iter().collect())
}

fn from() -> impl Strategy<Value = From> {
    prop_oneof![
        3 => Just(From::Held),
        2 => Just(From::Now),
        2 => Just(From::Earliest),
        2 => (0..1000_usize).prop_map(From::Stale),
        1 => (0..12_u64).prop_map(From::MadeUp),
        1 => (0..12_u64).prop_map(From::Foreign),
    ]
}

fn key() -> impl Strategy<Value = Option<u8>> {
    prop_oneof![2 => Just(None), 1 => (0..4_u8).prop_map(Some)]
}

fn size() -> impl Strategy<Value = Size> {
    prop_oneof![4 => Just(Size::Small), 2 => Just(Size::Medium), 1 => Just(Size::Large)]
}

/// Budgets that end a read after one message, after a few, and never.
fn bytes() -> impl Strategy<Value = usize> {
    prop_oneof![1 => Just(1_usize), 2 => 100..1_500_usize, 2 => Just(1_usize << 20)]
}

/// Times on both sides of every age there is, and, with the millisecond that each operation takes, exactly on it.
fn wait() -> impl Strategy<Value = Duration> {
    let ages = prop::sample::select(vec![1_000, 20_000, 60_000, 100_000, 300_000]);
    prop_oneof![
        1 => (1..1000_u64).prop_map(Duration::from_millis),
        3 => (ages, 0..3_u64).prop_map(|(age, less)| Duration::from_millis(age - less)),
    ]
}
