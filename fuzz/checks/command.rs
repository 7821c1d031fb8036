//! A WebSocket command is read within its limits or refused with a code of the table, and a payload stays what it was.

use std::collections::BTreeMap;

use everyway::bus::{Payload, UserName};
use everyway::code::Code;
use everyway::protocol::command::{self, Command, CommandLimits, HistoryRequest, PresenceRequest};
use everyway::protocol::event::Ref;
use serde_json::Value;
use serde_json::value::RawValue;

/// Small ones, so that they are met.
const LIMITS: CommandLimits = CommandLimits {
    message_bytes_max: 256,
    page_messages_max: 1000,
};
/// What a command may be refused with.
const REFUSALS: [Code; 6] = [
    Code::BadRequest,
    Code::BadJson,
    Code::BadCursor,
    Code::TooLarge,
    Code::Forbidden,
    Code::Unavailable,
];

/// Takes the text of a frame.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let bob = UserName::parse("bob").ok();
    let request = command::parse(text, LIMITS, bob.as_ref());
    if let Some(Ref::Text(reference)) = &request.reference {
        assert!(reference.len() <= 64, "{reference:?}");
    }
    match request.command {
        Ok(Command::Publish { payload, key, .. } | Command::Send { payload, key, .. }) => {
            check_key(key.as_deref());
            check_payload(text, &payload);
        }
        Ok(Command::History(HistoryRequest { limit, .. })) => {
            let in_range = |limit| (1..=LIMITS.page_messages_max).contains(&limit);
            assert!(limit.is_none_or(in_range), "{limit:?}");
        }
        Ok(Command::Presence(PresenceRequest { limit, .. })) => {
            let in_range = |limit| (0..=LIMITS.page_messages_max).contains(&limit);
            assert!(limit.is_none_or(in_range), "{limit:?}");
        }
        Ok(
            Command::Subscribe { .. }
            | Command::Unsubscribe { .. }
            | Command::Refresh { .. }
            | Command::Ping,
        ) => {}
        Err(problem) => {
            assert!(REFUSALS.contains(&problem.code), "{problem:?}");
            assert!(!problem.message.is_empty());
        }
    }
}

fn check_key(key: Option<&str>) {
    if let Some(key) = key {
        assert!((1..=128).contains(&key.len()), "{key:?}");
        assert!(key.bytes().all(|byte| byte.is_ascii_graphic()), "{key:?}");
    }
}

fn check_payload(command: &str, payload: &Payload) {
    let sent: BTreeMap<String, Box<RawValue>> =
        serde_json::from_str(command).expect("a command that was read is an object");
    let text = std::str::from_utf8(payload.text()).expect("JSON is UTF-8");
    assert!(!has_space_between_tokens(text), "{text}");
    match payload {
        Payload::Json(_) => {
            assert!(text.len() <= LIMITS.message_bytes_max);
            assert_same(text, sent["data"].get());
        }
        Payload::Base64(_) => {
            assert!(text.len() <= LIMITS.message_bytes_max.div_ceil(3) * 4 + 2);
            assert_same(text, sent["base64"].get());
        }
    }
}

/// Both are JSON, and the same value. Numbers out of the range of a double and half surrogates are JSON too, though not
/// as a [`Value`].
fn assert_same(text: &str, sent: &str) {
    assert!(
        serde_json::from_str::<&RawValue>(text).is_ok(),
        "{text} is not JSON"
    );
    match (
        serde_json::from_str::<Value>(text),
        serde_json::from_str::<Value>(sent),
    ) {
        (Ok(value), Ok(sent)) => assert_eq!(value, sent),
        (Err(_), Err(_)) => {}
        (value, sent) => panic!("{value:?} was sent as {sent:?}"),
    }
}

fn has_space_between_tokens(text: &str) -> bool {
    let mut outside = String::new();
    let mut rest = text;
    while let Some((before, string)) = rest.split_once('"') {
        outside.push_str(before);
        rest = &string[string_end(string)..];
    }
    outside.push_str(rest);
    outside.contains([' ', '\t', '\n', '\r'])
}

/// Where what follows a string begins, from behind its first quote.
fn string_end(string: &str) -> usize {
    let mut bytes = string.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return at + 1,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
    string.len()
}
