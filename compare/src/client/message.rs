//! What the gateway says, as far as a client that measures has to understand it.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// A message. Its payload is left as it came.
#[derive(Debug, Deserialize)]
pub struct Message<'a> {
    /// Where it was published.
    #[serde(borrow)]
    pub channel: Cow<'a, str>,
    /// Its number in the channel.
    pub offset: u64,
    /// The payload, as JSON; absent for bytes.
    #[serde(borrow)]
    pub data: Option<&'a RawValue>,
}

impl Message<'_> {
    /// The payload's bytes.
    pub fn payload(&self) -> &[u8] {
        self.data.map_or(b"", |data| data.get().as_bytes())
    }
}

/// One object of a stream.
#[derive(Debug, Deserialize)]
struct Object<'a> {
    #[serde(default, rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(default, borrow)]
    channel: Cow<'a, str>,
    #[serde(default)]
    offset: u64,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(default, borrow)]
    channels: Vec<Place<'a>>,
}

/// Where reading starts in a channel.
#[derive(Debug, Deserialize)]
pub struct Place<'a> {
    /// The epoch.
    #[serde(borrow)]
    pub epoch: Cow<'a, str>,
    /// The offset before the first message.
    pub offset: u64,
}

/// What an object of a stream is.
#[derive(Debug)]
pub enum Event<'a> {
    /// The first one.
    Welcome(Place<'a>),
    /// A message.
    Message(Message<'a>),
    /// Answers, and what keeps a stream alive.
    Other,
    /// A gap, an error or a farewell: the run went wrong. With its kind.
    Bad(Cow<'a, str>),
}

impl<'a> Event<'a> {
    /// Reads an object.
    pub fn read(json: &'a [u8]) -> serde_json::Result<Self> {
        let mut object: Object<'a> = serde_json::from_slice(json)?;
        Ok(match &*object.kind {
            "message" => Self::Message(Message {
                channel: object.channel,
                offset: object.offset,
                data: object.data,
            }),
            "welcome" => match object.channels.pop() {
                Some(place) => Self::Welcome(place),
                None => Self::Other,
            },
            "gap" | "error" | "disconnect" => Self::Bad(object.kind),
            _ => Self::Other,
        })
    }
}

/// The answer to a poll.
#[derive(Debug, Deserialize)]
pub struct Page<'a> {
    /// Where to go on.
    #[serde(borrow)]
    pub cursor: Cow<'a, str>,
    /// The messages, in order.
    #[serde(borrow)]
    pub messages: Vec<Message<'a>>,
    /// True if a limit cut the page.
    #[serde(default)]
    pub more: bool,
    /// Present if messages were missed.
    #[serde(borrow)]
    pub gap: Option<&'a RawValue>,
}

impl Page<'_> {
    /// The position of a cursor of one channel.
    pub fn position(&self) -> Option<(&str, u64)> {
        let (epoch, offset) = self.cursor.split_once('.')?;
        Some((epoch, offset.parse().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_told_apart() {
        let message = br#"{"type":"message","channel":"c","offset":7,"time":1,"data":"x"}"#;
        assert!(
            matches!(Event::read(message), Ok(Event::Message(m)) if m.offset == 7 && m.payload() == b"\"x\"")
        );
        let welcome = br#"{"type":"welcome","channels":[{"channel":"c","epoch":"k3","offset":4}]}"#;
        assert!(
            matches!(Event::read(welcome), Ok(Event::Welcome(place)) if place.epoch == "k3" && place.offset == 4)
        );
        assert!(matches!(
            Event::read(br#"{"type":"gap"}"#),
            Ok(Event::Bad(_))
        ));
        assert!(
            matches!(Event::read(b"{}"), Ok(Event::Other)),
            "ping has no type"
        );
    }
}
