//! How a user's name stands in the name of their inbox: a byte outside the set of channel names is `=` and two hex digits.

use super::name::{UserName, is_channel_byte};

/// What begins an escaped byte.
const ESCAPE: u8 = b'=';
const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// A user's name, escaped.
pub(super) fn escape(user: &str) -> String {
    let mut escaped = String::with_capacity(user.len());
    for byte in user.bytes() {
        if is_channel_byte(byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push(char::from(ESCAPE));
            escaped.push(char::from(HEX[usize::from(byte >> 4)]));
            escaped.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    escaped
}

/// The user whose name was escaped so. Nothing for text that [`escape`] would not have made: each user has one inbox.
pub(super) fn unescape(escaped: &str) -> Option<UserName> {
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped.as_bytes();
    while let [first, after @ ..] = rest {
        match (*first, after) {
            (ESCAPE, [high, low, after @ ..]) => {
                bytes.push(digit(*high)? << 4 | digit(*low)?);
                rest = after;
            }
            (byte, after) if is_channel_byte(byte) => {
                bytes.push(byte);
                rest = after;
            }
            _ => return None,
        }
    }
    let user = UserName::parse(&String::from_utf8(bytes).ok()?).ok()?;
    (escape(user.as_str()) == escaped).then_some(user)
}

fn digit(byte: u8) -> Option<u8> {
    let at = HEX.iter().position(|digit| *digit == byte)?;
    u8::try_from(at).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_user_has_one_inbox() {
        let longest = "é".repeat(64);
        for user in [
            "bob",
            "a b",
            "x=y",
            "@",
            "ü/1",
            "=41",
            "*",
            longest.as_str(),
        ] {
            let escaped = escape(user);
            assert!(
                escaped
                    .bytes()
                    .all(|byte| is_channel_byte(byte) || byte == ESCAPE)
            );
            assert_eq!(unescape(&escaped).unwrap().as_str(), user);
        }
    }

    #[test]
    fn what_escaping_would_not_make_is_nobodys() {
        for text in [
            "=41", "=4", "=", "=g0", "=c3=a9", "=C3", "=0A", "a b", "", "é", "=20=",
        ] {
            assert_eq!(unescape(text), None, "{text}");
        }
        assert_eq!(unescape(&"a".repeat(129)), None);
    }
}
