//! The cursor token: where to read from in each channel of a request. One token serves every transport and node.
//!
//! ```text
//! token = "now" | "earliest" | item *("," item) | "~" hash "~" pos *("," pos)
//! item  = [name "@"] pos        pos = epoch "." offset | "now" | "earliest"
//! ```

use sha2::{Digest, Sha256};

use super::name::{ChannelName, base64_prefix};
use super::position::{Position, Start};

/// The longest cursor token, in bytes: 100 channels with names and positions of full length fit.
pub const CURSOR_BYTES_MAX: usize = 32 * 1024;

/// A cursor as it was sent. [`Cursor::resolve`] makes it one start for each channel of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cursor {
    /// One start for all channels.
    All(Start),
    /// A start for the only channel of the request.
    Only(Start),
    /// Several starts, or one that names its channel; a nameless one stands for the only channel of the request.
    Items(Vec<(Option<Box<str>>, Start)>),
    /// Starts in the order of the request, whose names are guarded by a hash.
    Ordered {
        /// The first 8 base64url characters of SHA-256 of the names, joined by line feeds.
        hash: [u8; 8],
        /// One start for each channel.
        starts: Vec<Start>,
    },
}

/// Why a cursor was refused. A cursor that cannot be used is never taken for `now`: that would lose messages silently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// The token does not follow the grammar.
    #[error(
        "this is not a cursor: expected now, earliest, epoch.offset, or channel@epoch.offset joined by commas"
    )]
    Malformed,
    /// The token is over [`CURSOR_BYTES_MAX`].
    #[error("a cursor has at most 32768 bytes")]
    TooLong,
    /// Two items for one channel.
    #[error("this cursor names a channel twice")]
    Repeated,
    /// A nameless item, and not exactly one channel.
    #[error(
        "a cursor without a channel name needs a request with exactly one channel: write channel@epoch.offset"
    )]
    Nameless,
    /// The ordered form was made for other channels.
    #[error("this cursor was made for other channels, or for the same ones in another order")]
    OtherChannels,
}

impl Cursor {
    /// Reads a token.
    ///
    /// # Errors
    /// [`CursorError::TooLong`], [`CursorError::Malformed`] or [`CursorError::Repeated`].
    pub fn parse(token: &str) -> Result<Self, CursorError> {
        if token.len() > CURSOR_BYTES_MAX {
            return Err(CursorError::TooLong);
        }
        match token {
            "now" => Ok(Self::All(Start::Now)),
            "earliest" => Ok(Self::All(Start::Earliest)),
            _ => match token.strip_prefix('~') {
                Some(rest) => parse_ordered(rest),
                None => parse_items(token),
            },
        }
    }

    /// One start for each channel. A channel that the cursor does not name starts at `now`.
    ///
    /// # Errors
    /// [`CursorError::Nameless`] or [`CursorError::OtherChannels`].
    pub fn resolve(&self, channels: &[ChannelName]) -> Result<Vec<Start>, CursorError> {
        match self {
            Self::All(start) => Ok(vec![*start; channels.len()]),
            Self::Only(start) if channels.len() == 1 => Ok(vec![*start]),
            Self::Only(_) => Err(CursorError::Nameless),
            Self::Ordered { hash, starts } => {
                let fits = starts.len() == channels.len() && *hash == hash_names(channels);
                if fits {
                    Ok(starts.clone())
                } else {
                    Err(CursorError::OtherChannels)
                }
            }
            Self::Items(items) => resolve_items(items, channels),
        }
    }
}

/// Prints the cursor that stands at one position in each channel: the short form for one channel, the ordered form for
/// several, and `now` for none.
pub fn print(channels: &[ChannelName], positions: &[Position]) -> String {
    debug_assert_eq!(channels.len(), positions.len());
    match positions {
        [] => "now".to_owned(),
        _ => CursorPrefix::new(channels).print(positions),
    }
}

/// Prints the cursor of a request with one channel, which does not depend on its name.
pub fn print_one(position: Position) -> String {
    CursorPrefix(None).print(&[position])
}

/// The part of a cursor that depends on the channels only, for those who print many cursors over the same channels.
#[derive(Debug, Clone)]
pub struct CursorPrefix(Option<[u8; 8]>);

impl CursorPrefix {
    /// The prefix for these channels, in this order.
    pub fn new(channels: &[ChannelName]) -> Self {
        Self((channels.len() > 1).then(|| hash_names(channels)))
    }

    /// Prints one cursor.
    pub fn print(&self, positions: &[Position]) -> String {
        let mut token = Vec::with_capacity(12 + positions.len() * 20);
        self.print_to(&mut token, positions);
        // It is ASCII.
        String::from_utf8(token).unwrap_or_default()
    }

    /// Prints one cursor at the end of a buffer.
    pub fn print_to(&self, buffer: &mut Vec<u8>, positions: &[Position]) {
        if let Some(hash) = &self.0 {
            buffer.push(b'~');
            buffer.extend_from_slice(hash);
            buffer.push(b'~');
        }
        let mut digits = itoa::Buffer::new();
        for (i, position) in positions.iter().enumerate() {
            if i > 0 {
                buffer.push(b',');
            }
            buffer.extend_from_slice(position.epoch.as_str().as_bytes());
            buffer.push(b'.');
            buffer.extend_from_slice(digits.format(position.offset).as_bytes());
        }
    }
}

fn parse_ordered(rest: &str) -> Result<Cursor, CursorError> {
    let (hash, list) = rest.split_once('~').ok_or(CursorError::Malformed)?;
    let hash = <[u8; 8]>::try_from(hash.as_bytes()).map_err(|_| CursorError::Malformed)?;
    let starts = list
        .split(',')
        .map(|pos| Start::parse(pos).ok_or(CursorError::Malformed));
    Ok(Cursor::Ordered {
        hash,
        starts: starts.collect::<Result<_, _>>()?,
    })
}

fn parse_items(token: &str) -> Result<Cursor, CursorError> {
    if let Some(start) = Start::parse(token) {
        return Ok(Cursor::Only(start));
    }
    let mut items = Vec::new();
    for item in token.split(',') {
        // An inbox's own name begins with @, so the position stands after the last one.
        let (name, pos) = match item.rsplit_once('@') {
            Some((name, pos)) => (Some(parse_item_name(name)?), pos),
            None => (None, item),
        };
        items.push((name, Start::parse(pos).ok_or(CursorError::Malformed)?));
    }
    let mut names: Vec<&Option<Box<str>>> = items.iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(CursorError::Repeated);
    }
    Ok(Cursor::Items(items))
}

fn parse_item_name(name: &str) -> Result<Box<str>, CursorError> {
    match ChannelName::parse(name) {
        Ok(_) => Ok(name.into()),
        Err(_) => Err(CursorError::Malformed),
    }
}

fn resolve_items(
    items: &[(Option<Box<str>>, Start)],
    channels: &[ChannelName],
) -> Result<Vec<Start>, CursorError> {
    let nameless = items
        .iter()
        .find(|(name, _)| name.is_none())
        .map(|(_, start)| *start);
    if let Some(start) = nameless {
        let [only] = channels else {
            return Err(CursorError::Nameless);
        };
        let named_too = items
            .iter()
            .any(|(name, _)| name.as_deref() == Some(only.as_str()));
        return if named_too {
            Err(CursorError::Repeated)
        } else {
            Ok(vec![start])
        };
    }
    let start_of = |channel: &ChannelName| {
        let item = items
            .iter()
            .find(|(name, _)| name.as_deref() == Some(channel.as_str()));
        item.map_or(Start::Now, |(_, start)| *start)
    };
    Ok(channels.iter().map(start_of).collect())
}

fn hash_names(channels: &[ChannelName]) -> [u8; 8] {
    let mut hash = Sha256::new();
    for (i, channel) in channels.iter().enumerate() {
        if i > 0 {
            hash.update(b"\n");
        }
        hash.update(channel.as_str());
    }
    base64_prefix(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::position::Epoch;

    fn channels(names: &[&str]) -> Vec<ChannelName> {
        names
            .iter()
            .map(|name| ChannelName::parse(name).unwrap())
            .collect()
    }

    fn at(epoch: &str, offset: u64) -> Start {
        Start::After(Position {
            epoch: Epoch::parse(epoch).unwrap(),
            offset,
        })
    }

    fn resolve(token: &str, names: &[&str]) -> Result<Vec<Start>, CursorError> {
        Cursor::parse(token)?.resolve(&channels(names))
    }

    #[test]
    fn a_nameless_item_serves_exactly_one_channel() {
        assert_eq!(resolve("k3f9.182", &["news"]), Ok(vec![at("k3f9", 182)]));
        assert_eq!(resolve("k3f9.182", &["a", "b"]), Err(CursorError::Nameless));
        assert_eq!(resolve("k3f9.182", &[]), Err(CursorError::Nameless));
    }

    #[test]
    fn named_items_go_to_their_channels_and_the_rest_starts_now() {
        let starts = resolve("b@k.2,other@k.9,a@earliest", &["a", "b", "c"]);
        assert_eq!(starts, Ok(vec![Start::Earliest, at("k", 2), Start::Now]));
    }

    #[test]
    fn an_inbox_may_be_named() {
        assert_eq!(resolve("@bob=20x@k.2", &["a"]), Ok(vec![Start::Now]));
    }

    #[test]
    fn one_word_serves_all_channels() {
        assert_eq!(resolve("now", &["a", "b"]), Ok(vec![Start::Now; 2]));
        assert_eq!(
            resolve("earliest", &["a", "b"]),
            Ok(vec![Start::Earliest; 2])
        );
    }

    #[test]
    fn the_ordered_form_is_bound_to_its_channels_and_their_order() {
        let positions = [3, 4].map(|offset| Position {
            epoch: Epoch::parse("k3f9").unwrap(),
            offset,
        });
        let token = print(&channels(&["a", "b"]), &positions);
        assert_eq!(
            resolve(&token, &["a", "b"]),
            Ok(vec![at("k3f9", 3), at("k3f9", 4)])
        );
        assert_eq!(
            resolve(&token, &["b", "a"]),
            Err(CursorError::OtherChannels)
        );
        assert_eq!(resolve(&token, &["a"]), Err(CursorError::OtherChannels));
    }

    #[test]
    fn the_hash_is_the_documented_one() {
        // printf 'a\nb' | sha256sum, then base64url.
        let token = print(
            &channels(&["a", "b"]),
            &[Position {
                epoch: Epoch::parse("k").unwrap(),
                offset: 1,
            }; 2],
        );
        assert_eq!(token, "~fhj3NzEb~k.1,k.1");
    }

    #[test]
    fn bad_tokens_are_refused_and_never_taken_for_now() {
        let bad = [
            "",
            ",",
            "a@",
            "@k.1",
            "a@@k.1",
            "k.1,",
            "~",
            "~~",
            "~12345678~",
            "~1234567~k.1",
            "~12345678~k.1,",
            "a b@k.1",
            "k.1;k.2",
            "NOW",
            "now,",
            "k.1 ",
            "%",
            "é.1",
        ];
        for token in bad {
            let parsed = Cursor::parse(token);
            assert!(parsed.is_err(), "{token:?} was read as {parsed:?}");
        }
        assert_eq!(Cursor::parse("a@k.1,a@k.2"), Err(CursorError::Repeated));
        assert_eq!(resolve("a@k.1,k.2", &["a"]), Err(CursorError::Repeated));
        assert_eq!(
            Cursor::parse(&"k".repeat(CURSOR_BYTES_MAX + 1)),
            Err(CursorError::TooLong)
        );
    }
}
