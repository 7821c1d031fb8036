//! Names that come from outside, parsed once. A value of one of these types is known to be well formed.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::inbox;

/// The longest channel name, in bytes.
pub const CHANNEL_NAME_BYTES_MAX: usize = 200;
/// The longest user name, in bytes.
pub const USER_NAME_BYTES_MAX: usize = 128;
/// The longest name of an inbox, in bytes: each byte of a user's name takes three at most.
pub const INBOX_NAME_BYTES_MAX: usize = 1 + 3 * USER_NAME_BYTES_MAX;
/// The length of a session id, in bytes: long enough not to be guessed, short enough for a URL.
pub const SESSION_ID_BYTES: std::ops::RangeInclusive<usize> = 16..=64;
/// The longest `Idempotency-Key`, in bytes.
pub const KEY_BYTES_MAX: usize = 128;

/// Why a name was refused. The text says what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The name is empty.
    #[error("a {0} must not be empty")]
    Empty(&'static str),
    /// The name is over its limit.
    #[error("a {what} has at most {max} bytes, this one has {len}")]
    TooLong {
        /// What was being named.
        what: &'static str,
        /// The limit, in bytes.
        max: usize,
        /// The length that was sent, in bytes.
        len: usize,
    },
    /// A character outside the allowed set.
    #[error("a {what} is made of {allowed}")]
    BadCharacter {
        /// What was being named.
        what: &'static str,
        /// The allowed set, in words.
        allowed: &'static str,
    },
    /// A name that begins with `@` and is no inbox's.
    #[error(
        "a channel name that begins with @ is an inbox: @ and a user name, in which a byte outside A-Z a-z 0-9 _ - . : / is = \
         and two hex digits, as in @bob=20smith; @ alone is your own"
    )]
    Inbox,
    /// `@` alone, where only names will do, or for somebody who has no name.
    #[error("@ stands for your own inbox: only who has a user name has one, and it is only read")]
    OwnInbox,
    /// A session id of the wrong length.
    #[error(
        "a session id has 16 to 64 characters of A-Z a-z 0-9 _ -, made by the client and kept secret"
    )]
    SessionId,
}

/// The name of a channel: 1 to 200 of `A-Z a-z 0-9 _ - . : /`; or of a user's inbox, which begins with `@`; or of the
/// channel that tells who is in another one, `presence:` and its name. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelName(Arc<str>);

/// What the names of channels begin with that tell who is where.
const PRESENCE: &str = "presence:";
/// What the names of inboxes begin with.
const INBOX: char = '@';

impl ChannelName {
    /// Reads a name from outside.
    ///
    /// # Errors
    /// A [`NameError`] that says what is allowed.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        const WHAT: &str = "channel name";
        if let Some(escaped) = text.strip_prefix(INBOX) {
            return match (escaped, inbox::unescape(escaped)) {
                ("", _) => Err(NameError::OwnInbox),
                (_, Some(_)) => Ok(Self(text.into())),
                (_, None) => Err(NameError::Inbox),
            };
        }
        let base = text.strip_prefix(PRESENCE).unwrap_or(text);
        check_length(WHAT, base, CHANNEL_NAME_BYTES_MAX)?;
        if !base.bytes().all(is_channel_byte) {
            return Err(NameError::BadCharacter {
                what: WHAT,
                allowed: "A-Z a-z 0-9 _ - . : /",
            });
        }
        Ok(Self(text.into()))
    }

    /// The inbox of a user.
    pub fn inbox(user: &UserName) -> Self {
        Self(format!("{INBOX}{}", inbox::escape(user.as_str())).into())
    }

    /// Where messages for users go that are not kept. No reader can ask for it.
    pub(super) fn nobodys_inbox() -> Self {
        Self(INBOX.to_string().into())
    }

    /// The name as text. It never needs escaping in JSON, in a URL's query or in a header.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the first `:`, or nothing. Inboxes are in none.
    pub fn namespace(&self) -> Option<&str> {
        let split = self.0.split_once(':').filter(|_| !self.is_inbox());
        split.map(|(namespace, _)| namespace)
    }

    /// The namespace whose settings it has: its own, or for changes of presence that of the channel they are about.
    pub fn settings_namespace(&self) -> Option<&str> {
        match self.0.strip_prefix(PRESENCE) {
            Some(base) => base.split_once(':').map(|(namespace, _)| namespace),
            None => self.namespace(),
        }
    }

    /// True for channels that only the server writes to.
    pub fn is_written_by_server(&self) -> bool {
        self.0.starts_with(PRESENCE)
    }

    /// True for the inbox of a user.
    pub fn is_inbox(&self) -> bool {
        self.0.starts_with(INBOX)
    }

    /// The channel that tells who is in this one; nothing for those that cannot have one: inboxes, and channels of that
    /// kind themselves.
    pub fn presence(&self) -> Option<Self> {
        let may_have = !self.is_inbox() && !self.is_written_by_server();
        may_have.then(|| Self(format!("{PRESENCE}{}", self.0).into()))
    }

    /// The channel that this one tells the presence of, if that is what it does.
    pub fn base(&self) -> Option<Self> {
        let base = self.0.strip_prefix(PRESENCE)?;
        Some(Self(base.into()))
    }
}

/// A channel as a reader asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// By its name.
    Channel(ChannelName),
    /// The reader's own inbox, `@`.
    OwnInbox,
}

impl Wanted {
    /// Reads what a reader asks for.
    ///
    /// # Errors
    /// As [`ChannelName::parse`].
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.len() == INBOX.len_utf8() && text.starts_with(INBOX) {
            return Ok(Self::OwnInbox);
        }
        ChannelName::parse(text).map(Self::Channel)
    }

    /// The channel that is meant by a reader with this name.
    ///
    /// # Errors
    /// [`NameError::OwnInbox`] for a reader without one.
    pub fn of(self, user: Option<&UserName>) -> Result<ChannelName, NameError> {
        match (self, user) {
            (Self::Channel(channel), _) => Ok(channel),
            (Self::OwnInbox, Some(user)) => Ok(ChannelName::inbox(user)),
            (Self::OwnInbox, None) => Err(NameError::OwnInbox),
        }
    }
}

/// It is compared and hashed as its text is.
impl Borrow<str> for ChannelName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who somebody is: 1 to 128 bytes of UTF-8 without control characters. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserName(Arc<str>);

impl UserName {
    /// Reads a user name from outside.
    ///
    /// # Errors
    /// A [`NameError`] that says what is allowed.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        const WHAT: &str = "user name";
        check_length(WHAT, text, USER_NAME_BYTES_MAX)?;
        if text.chars().any(char::is_control) {
            return Err(NameError::BadCharacter {
                what: WHAT,
                allowed: "any characters but control characters",
            });
        }
        Ok(Self(text.into()))
    }

    /// The name as text; it may need escaping.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A session id, made by the client and kept secret: it must never be printed, so it has no `Display`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SessionId(Arc<str>);

impl SessionId {
    /// Reads a session id from outside.
    ///
    /// # Errors
    /// [`NameError::SessionId`] if it is not 16 to 64 of `A-Z a-z 0-9 _ -`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let well_formed = SESSION_ID_BYTES.contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        if well_formed {
            Ok(Self(text.into()))
        } else {
            Err(NameError::SessionId)
        }
    }

    /// A fresh id for a client that brought none.
    pub fn random() -> Self {
        let mut bytes = [0; 16];
        // From the system, because a session id must not be guessed. It fails only where the system has no random source
        // at all, and nothing could be kept apart there.
        getrandom::fill(&mut bytes).expect("the system has a random source");
        Self(URL_SAFE_NO_PAD.encode(bytes).into())
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(secret)")
    }
}

/// What everybody may see of a session: 16 base64url characters of SHA-256(user, 0x00, session id).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicId([u8; 16]);

impl PublicId {
    /// The public id of a user's session. Two users with one session id have two.
    pub fn of(user: Option<&UserName>, session: &SessionId) -> Self {
        let mut hash = Sha256::new();
        hash.update(user.map_or("", UserName::as_str));
        hash.update([0]);
        hash.update(session.0.as_bytes());
        Self(base64_prefix(&hash.finalize()))
    }

    /// The id as text, base64url.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// The first `N` characters of the base64url form of a digest.
pub(crate) fn base64_prefix<const N: usize>(digest: &[u8]) -> [u8; N] {
    let text = URL_SAFE_NO_PAD.encode(digest);
    std::array::from_fn(|i| text.as_bytes().get(i).copied().unwrap_or(b'A'))
}

pub(super) fn is_channel_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':' | b'/')
}

fn check_length(what: &'static str, text: &str, max: usize) -> Result<(), NameError> {
    match text.len() {
        0 => Err(NameError::Empty(what)),
        len if len > max => Err(NameError::TooLong { what, max, len }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_name_is_bounded_at_200_bytes() {
        assert!(ChannelName::parse(&"a".repeat(200)).is_ok());
        assert!(matches!(
            ChannelName::parse(&"a".repeat(201)),
            Err(NameError::TooLong { len: 201, .. })
        ));
        assert_eq!(
            ChannelName::parse(""),
            Err(NameError::Empty("channel name"))
        );
    }

    #[test]
    fn a_channel_name_keeps_to_its_alphabet() {
        assert!(ChannelName::parse("Room:1/a_b-c.d").is_ok());
        for bad in ["a b", "a,b", "a@b", "é", "a\n", "a\"", "a~"] {
            assert!(
                matches!(ChannelName::parse(bad), Err(NameError::BadCharacter { .. })),
                "{bad:?}"
            );
        }
        assert_eq!(ChannelName::parse("@"), Err(NameError::OwnInbox));
        assert_eq!(ChannelName::parse("@a b"), Err(NameError::Inbox));
    }

    #[test]
    fn the_namespace_stands_before_the_first_colon() {
        let namespace = |text| {
            ChannelName::parse(text)
                .unwrap()
                .namespace()
                .map(str::to_owned)
        };
        assert_eq!(namespace("room:lobby:2").as_deref(), Some("room"));
        assert_eq!(namespace("news"), None);
    }

    #[test]
    fn presence_is_told_of_ordinary_channels_only() {
        let name = |text: &str| ChannelName::parse(text).unwrap();
        let presence = name("room:1").presence().unwrap();
        assert_eq!(presence, name("presence:room:1"));
        assert_eq!(presence.base(), Some(name("room:1")));
        assert_eq!(presence.settings_namespace(), Some("room"));
        assert_eq!(presence.presence(), None);
        assert_eq!(name("@bob").presence(), None);
        let longest = name(&"a".repeat(200));
        let presence = longest.presence().unwrap();
        assert_eq!(ChannelName::parse(presence.as_str()), Ok(presence.clone()));
        assert!(ChannelName::parse(&format!("{presence}a")).is_err());
    }

    #[test]
    fn an_inbox_belongs_to_a_user_and_to_no_namespace() {
        let user = UserName::parse("a:b c").unwrap();
        let inbox = ChannelName::inbox(&user);
        assert_eq!(inbox.as_str(), "@a:b=20c");
        assert_eq!(ChannelName::parse("@a:b=20c"), Ok(inbox.clone()));
        assert!(inbox.is_inbox() && inbox.namespace().is_none());
        let own = Wanted::parse("@").unwrap();
        assert_eq!(own.clone().of(Some(&user)), Ok(inbox));
        assert_eq!(own.of(None), Err(NameError::OwnInbox));
    }

    #[test]
    fn two_users_with_one_session_id_are_two_sessions() {
        let session = SessionId::parse("0123456789abcdef").unwrap();
        let alice = UserName::parse("alice").unwrap();
        assert_ne!(
            PublicId::of(Some(&alice), &session),
            PublicId::of(None, &session)
        );
        assert_eq!(PublicId::of(None, &session).as_str().len(), 16);
    }

    #[test]
    fn session_ids_are_16_to_64_characters() {
        assert!(SessionId::parse(&"a".repeat(15)).is_err());
        assert!(SessionId::parse(&"a".repeat(16)).is_ok());
        assert!(SessionId::parse(&"a".repeat(64)).is_ok());
        assert!(SessionId::parse(&"a".repeat(65)).is_err());
        assert!(SessionId::parse("0123456789abcde!").is_err());
        assert!(SessionId::parse(SessionId::random().0.as_ref()).is_ok());
    }
}
