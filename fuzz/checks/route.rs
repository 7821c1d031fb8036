//! A request's head is read within its limits or refused with a code of the table, whatever it says.

use std::time::Duration;

use everyway::bus::{ChannelName, Start, UserName};
use everyway::code::Code;
use everyway::http::route::{self, Attach, Endpoint, RouteLimits};
use everyway::peer::Entrance;
use everyway::problem::Problem;
use http::request::Parts;

/// Small ones, so that they are met.
const LIMITS: RouteLimits = RouteLimits {
    channels_max: 3,
    page_messages_max: 1000,
    wait_max: Duration::from_secs(55),
};
/// What a head may be refused with.
const REFUSALS: [Code; 3] = [Code::BadRequest, Code::BadCursor, Code::Forbidden];

/// Takes a head: a line with method and target, then a line for each header.
pub fn check(data: &[u8]) {
    let Some(parts) = read_head(data) else {
        return;
    };
    if let Some(endpoint) = Endpoint::at(parts.uri.path()) {
        assert!(!endpoint.methods(Entrance::Public).is_empty());
    }
    let _ = accept(route::origin(&parts.headers));
    if let Some(attach) = accept(route::websocket(&parts, LIMITS)) {
        check_attach(&parts, &attach, 0);
    }
    if let Some(attach) = accept(route::sse(&parts, LIMITS)) {
        check_attach(&parts, &attach, 1);
    }
    check_poll(&parts);
    check_publish(&parts);
    check_send(&parts);
    check_history(&parts);
    check_presence(&parts);
    check_lists(&parts);
}

/// The head as hyper would hand it over, or nothing if hyper would refuse it.
fn read_head(data: &[u8]) -> Option<Parts> {
    let mut lines = data.split(|byte| *byte == b'\n');
    let first = std::str::from_utf8(lines.next()?).ok()?;
    let (method, target) = first.split_once(' ')?;
    let mut head = http::Request::builder().method(method).uri(target);
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        head = head.header(&line[..colon], line[colon + 1..].trim_ascii());
    }
    Some(head.body(()).ok()?.into_parts().0)
}

fn accept<T>(read: Result<T, Problem>) -> Option<T> {
    match read {
        Ok(value) => Some(value),
        Err(problem) => {
            assert!(REFUSALS.contains(&problem.code), "{problem:?}");
            assert!(!problem.message.is_empty());
            None
        }
    }
}

fn check_attach(parts: &Parts, attach: &Attach, channels_min: usize) {
    assert!((channels_min..=LIMITS.channels_max).contains(&attach.channels.len()));
    let bob = UserName::parse("bob").ok();
    if let Some(reading) = accept(attach.reading(bob.as_ref())) {
        check_channels(&reading.channels, channels_min);
        check_starts(&reading.starts, &reading.channels);
    }
    let _ = accept(attach.reading(None));
    assert_single(parts, &["cursor", "session", "user"]);
}

fn check_channels(channels: &[ChannelName], min: usize) {
    assert!((min..=LIMITS.channels_max).contains(&channels.len()));
    for (i, channel) in channels.iter().enumerate() {
        assert!(!channels[..i].contains(channel), "{channel} comes twice");
    }
}

fn check_starts(starts: &[Start], channels: &[ChannelName]) {
    assert_eq!(starts.len(), channels.len(), "one start for each channel");
}

fn check_poll(parts: &Parts) {
    let Some(poll) = accept(route::poll(parts, LIMITS)) else {
        return;
    };
    check_attach(parts, &poll.attach, 1);
    check_limit(poll.limit);
    assert!(poll.wait.is_none_or(|wait| wait <= LIMITS.wait_max));
    assert_single(parts, &["limit", "wait"]);
}

fn check_limit(limit: Option<usize>) {
    assert!(limit.is_none_or(|limit| (1..=LIMITS.page_messages_max).contains(&limit)));
}

fn check_publish(parts: &Parts) {
    let Some(publish) = accept(route::publish(parts, LIMITS)) else {
        return;
    };
    check_channels(&publish.channels, 1);
    if let Some(key) = &publish.key {
        assert!((1..=128).contains(&key.len()), "{key:?}");
        assert!(key.bytes().all(|byte| byte.is_ascii_graphic()), "{key:?}");
    }
    assert_single(parts, &["user"]);
}

fn check_send(parts: &Parts) {
    if let Some(send) = accept(route::send(parts)) {
        let inbox = ChannelName::inbox(&send.to);
        assert_eq!(ChannelName::parse(inbox.as_str()), Ok(inbox));
        assert_single(parts, &["to", "user", "from"]);
    }
}

fn check_history(parts: &Parts) {
    if let Some(history) = accept(route::history(parts, LIMITS)) {
        if let Some(request) = accept(history.reading(None)) {
            check_limit(request.limit);
        }
        assert_single(parts, &["channel", "cursor", "limit", "order", "user"]);
    }
}

fn check_presence(parts: &Parts) {
    if let Some((request, _)) = accept(route::presence(parts, LIMITS)) {
        let in_range = |limit| limit <= LIMITS.page_messages_max;
        assert!(request.limit.is_none_or(in_range), "{request:?}");
        assert_single(parts, &["channel", "limit", "after", "user"]);
    }
}

fn check_lists(parts: &Parts) {
    if let Some(list) = accept(route::admin::channel_list(parts)) {
        check_limit(Some(list.limit));
        assert!(list.prefix.len() <= 400 && list.after.is_none_or(|after| after.len() <= 400));
        assert_single(parts, &["prefix", "limit", "after"]);
    }
    if let Some(list) = accept(route::admin::session_list(parts)) {
        check_limit(Some(list.limit));
        assert_single(parts, &["user", "channel", "limit", "after"]);
    }
    if accept(route::admin::purge(parts)).is_some() {
        assert_single(parts, &["channel"]);
    }
}

/// A parameter that may be given once was not given twice. Encoded names are let through: this only has to be right
/// where it speaks.
fn assert_single(parts: &Parts, names: &[&str]) {
    let query = parts.uri.query().unwrap_or_default();
    for name in names {
        let is_it = |pair: &&str| pair.split('=').next() == Some(*name);
        assert!(
            query.split('&').filter(is_it).count() <= 1,
            "{name} comes twice"
        );
    }
}
