//! A cursor token is read or refused, never misread: what resolves prints, and reads back as the same.

use everyway::bus::cursor::{self, CURSOR_BYTES_MAX};
use everyway::bus::{ChannelName, Cursor, CursorError, Position, Start};

/// As many as a request may have.
const CHANNELS_MAX: usize = 100;

/// Takes a line of channel names, then a token.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (names, token) = text.split_once('\n').unwrap_or(("a", text));
    let channels = read_channels(names);
    match Cursor::parse(token) {
        Ok(cursor) => check_resolved(token, &cursor, &channels),
        Err(CursorError::TooLong) => assert!(token.len() > CURSOR_BYTES_MAX),
        Err(error) => assert!(
            [CursorError::Malformed, CursorError::Repeated].contains(&error),
            "{error:?} is not about the token"
        ),
    }
}

/// The names that are well formed, none twice.
fn read_channels(names: &str) -> Vec<ChannelName> {
    let mut channels = Vec::new();
    for name in names.split(' ').take(CHANNELS_MAX) {
        if let Ok(name) = ChannelName::parse(name)
            && !channels.contains(&name)
        {
            channels.push(name);
        }
    }
    channels
}

fn check_resolved(token: &str, cursor: &Cursor, channels: &[ChannelName]) {
    let Ok(starts) = cursor.resolve(channels) else {
        return;
    };
    assert_eq!(starts.len(), channels.len(), "one start for each channel");
    if channels.is_empty() {
        return;
    }
    starts.iter().for_each(|start| assert_said(token, start));
    assert_reads_back(&print_items(channels, &starts), channels, &starts);
    if let Some(positions) = all_positions(&starts) {
        assert_reads_back(&cursor::print(channels, &positions), channels, &starts);
    }
}

/// A position that was read stands in the token, with this epoch and this offset, though perhaps with leading zeros.
fn assert_said(token: &str, start: &Start) {
    let Start::After(Position { epoch, offset }) = start else {
        return;
    };
    let is_it = |pos: &str| {
        pos.split_once('.').is_some_and(|(said, digits)| {
            said == epoch.as_str() && digits.parse::<u128>() == Ok(u128::from(*offset))
        })
    };
    let said = token.split([',', '~', '@']).any(is_it);
    assert!(said, "{token} does not say {epoch}.{offset}");
}

fn assert_reads_back(token: &str, channels: &[ChannelName], starts: &[Start]) {
    let read = Cursor::parse(token).and_then(|cursor| cursor.resolve(channels));
    assert_eq!(
        read.as_deref(),
        Ok(starts),
        "{token} reads as something else"
    );
}

/// The form that clients write.
fn print_items(channels: &[ChannelName], starts: &[Start]) -> String {
    let items = channels.iter().zip(starts);
    let items: Vec<String> = items
        .map(|(name, start)| format!("{name}@{start}"))
        .collect();
    items.join(",")
}

fn all_positions(starts: &[Start]) -> Option<Vec<Position>> {
    let position = |start: &Start| match start {
        Start::After(position) => Some(*position),
        Start::Now | Start::Earliest => None,
    };
    starts.iter().map(position).collect()
}
