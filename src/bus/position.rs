//! Where a reader stands in one channel: the epoch of its log and an offset in it.

use std::fmt;

/// Offsets stay below this, so that every client can hold one in a double without rounding.
pub const OFFSET_END: u64 = 1 << 53;
/// The longest epoch, in bytes.
pub const EPOCH_BYTES_MAX: usize = 16;

/// One life of the log that assigns offsets: 1 to 16 of `a-z 0-9`.
///
/// Offsets of two epochs cannot be compared: a process that restarts counts from 1 again, and only the epoch tells a
/// reader at offset 7 that the 7 it knows is another message.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch {
    len: u8,
    text: [u8; EPOCH_BYTES_MAX],
}

impl Epoch {
    /// Reads an epoch, or nothing if the text is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let well_formed = (1..=EPOCH_BYTES_MAX).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        well_formed.then(|| {
            let mut bytes = [0; EPOCH_BYTES_MAX];
            bytes[..text.len()].copy_from_slice(text.as_bytes());
            Self {
                len: text.len() as u8,
                text: bytes,
            }
        })
    }

    /// A new epoch that differs from all others: 8 characters, 41 random bits.
    pub fn random() -> Self {
        const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
        let mut text = [0; EPOCH_BYTES_MAX];
        for byte in &mut text[..8] {
            *byte = ALPHABET[fastrand::usize(..ALPHABET.len())];
        }
        Self { len: 8, text }
    }

    /// The epoch as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A place in one channel: everything up to and including `offset` has been read.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// The life of the log that `offset` counts in.
    pub epoch: Epoch,
    /// The last message read; 0 is before the first one.
    pub offset: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.offset)
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a reader wants to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// After the newest message there is.
    Now,
    /// With the oldest message that is kept.
    Earliest,
    /// With what comes after a position.
    After(Position),
}

impl Start {
    /// Reads `now`, `earliest` or `epoch.offset`, or nothing if the text is none of them.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "now" => Some(Self::Now),
            "earliest" => Some(Self::Earliest),
            _ => {
                let (epoch, offset) = text.split_once('.')?;
                let epoch = Epoch::parse(epoch)?;
                Some(Self::After(Position {
                    epoch,
                    offset: parse_offset(offset)?,
                }))
            }
        }
    }
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now => f.write_str("now"),
            Self::Earliest => f.write_str("earliest"),
            Self::After(position) => position.fmt(f),
        }
    }
}

fn parse_offset(text: &str) -> Option<u64> {
    let digits = (1..=16).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let offset: u64 = if digits {
        text.parse().ok()?
    } else {
        return None;
    };
    (offset < OFFSET_END).then_some(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_reads_what_it_prints() {
        for text in [
            "now",
            "earliest",
            "k3f9.0",
            "k3f9.182",
            "a.9007199254740991",
            "0123456789abcdef.1",
            "now.5",
        ] {
            assert_eq!(
                Start::parse(text).map(|start| start.to_string()).as_deref(),
                Some(text)
            );
        }
    }

    #[test]
    fn a_start_refuses_what_is_not_one() {
        let long_epoch = format!("{}.1", "a".repeat(17));
        let bad = [
            "",
            ".",
            "k.",
            ".1",
            "K.1",
            "k.-1",
            "k.+1",
            "k.1.2",
            "k.9007199254740992",
            "k. 1",
            "Now",
            &long_epoch,
        ];
        for text in bad {
            assert_eq!(Start::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn random_epochs_are_well_formed() {
        let epoch = Epoch::random();
        assert_eq!(Epoch::parse(epoch.as_str()), Some(epoch));
    }
}
