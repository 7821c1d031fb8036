//! What the gateway says besides messages, as JSON objects with a `type`.

use serde::Serialize;
use serde::ser::SerializeMap;

use crate::bus::{ChannelName, Gap, Position, PublicId, UserName};
use crate::code::{Code, End};
use crate::problem::Problem;

/// The `ref` of a command, which its answer repeats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Ref {
    /// At most 64 bytes.
    Text(String),
    /// An integer.
    Number(i64),
}

/// A position in a channel, as `welcome` lists it.
#[derive(Debug, Clone, Serialize)]
pub struct ChannelPosition<'a> {
    channel: &'a str,
    epoch: &'a str,
    offset: u64,
}

impl<'a> ChannelPosition<'a> {
    /// A channel's position.
    pub fn new(channel: &'a ChannelName, position: &'a Position) -> Self {
        Self {
            channel: channel.as_str(),
            epoch: position.epoch.as_str(),
            offset: position.offset,
        }
    }
}

/// An object of the wire. Borrowed, because it is printed and forgotten.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Event<'a> {
    /// The first thing on a stream.
    Welcome {
        /// The session's public id.
        session: &'a str,
        /// Who the client is taken for; absent if nobody in particular.
        #[serde(skip_serializing_if = "Option::is_none")]
        user: Option<&'a str>,
        /// Between two pings.
        heartbeat_s: crate::config::Seconds,
        /// Where reading starts in each channel.
        channels: Vec<ChannelPosition<'a>>,
    },
    /// Answer to `subscribe`.
    Subscribed {
        /// The command's `ref`.
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<Ref>,
        /// Where reading starts.
        #[serde(flatten)]
        at: ChannelPosition<'a>,
    },
    /// Answer to `unsubscribe`.
    Unsubscribed {
        /// The command's `ref`.
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<Ref>,
        /// The channel that is read no more.
        channel: &'a str,
        /// Why, if nobody asked for it.
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<&'a str>,
    },
    /// Answer to `refresh`.
    Refreshed {
        /// The command's `ref`.
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<Ref>,
        /// The seconds that are left of the new token.
        #[serde(skip_serializing_if = "Option::is_none")]
        expires_in_s: Option<u64>,
    },
    /// Answer to `publish`.
    Published {
        /// The command's `ref`.
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<Ref>,
        /// The message's place.
        #[serde(flatten)]
        at: ChannelPosition<'a>,
    },
    /// Answer to `send`.
    Sent {
        /// The command's `ref`.
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<Ref>,
        /// To whom.
        to: &'a str,
    },
    /// Answer to `ping`.
    Pong {
        /// The command's `ref`.
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<Ref>,
    },
    /// A command that could not be done. The connection stays.
    Error {
        /// The command's `ref`, if it could be read.
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<Ref>,
        /// The code, the message and what else is known.
        #[serde(flatten)]
        problem: ProblemObject<'a>,
    },
    /// The last thing on a stream.
    Disconnect {
        /// The way out.
        code: &'a str,
        /// True if the client may come back by itself.
        reconnect: bool,
        /// When it may.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
        /// What to do.
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<&'a str>,
        /// The channel it is about.
        #[serde(skip_serializing_if = "Option::is_none")]
        channel: Option<&'a str>,
    },
}

impl Event<'_> {
    /// The object as JSON.
    pub fn to_json(&self) -> Vec<u8> {
        // Maps with string keys and strings that are UTF-8 always serialize.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// The first thing on a stream.
pub fn welcome(
    session: PublicId,
    user: Option<&UserName>,
    heartbeat_s: crate::config::Seconds,
    positions: &[(&ChannelName, Position)],
) -> Vec<u8> {
    let channels = positions
        .iter()
        .map(|(channel, position)| ChannelPosition::new(channel, position))
        .collect();
    Event::Welcome {
        session: session.as_str(),
        user: user.map(UserName::as_str),
        heartbeat_s,
        channels,
    }
    .to_json()
}

/// The last thing on a stream.
pub fn disconnect(end: &End) -> Vec<u8> {
    Event::Disconnect {
        code: end.code.as_str(),
        reconnect: end.code.reconnect(),
        retry_after_ms: end.retry_after.map(|after| after.as_millis() as u64),
        message: end.message.as_deref(),
        channel: end.channel.as_ref().map(ChannelName::as_str),
    }
    .to_json()
}

/// A gap.
pub fn gap(gap: &Gap) -> Vec<u8> {
    serde_json::to_vec(&GapObject(gap)).unwrap_or_default()
}

/// A gap as an object of the wire.
#[derive(Debug)]
pub struct GapObject<'a>(pub &'a Gap);

impl Serialize for GapObject<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let lost = &self.0.lost;
        let mut map = serializer.serialize_map(Some(6))?;
        map.serialize_entry("type", "gap")?;
        map.serialize_entry("channel", self.0.channel.as_str())?;
        map.serialize_entry("reason", lost.reason.as_str())?;
        map.serialize_entry("epoch", lost.resume.epoch.as_str())?;
        map.serialize_entry("offset", &lost.resume.offset)?;
        map.serialize_entry("lost", &lost.count)?;
        map.end()
    }
}

/// A problem as an object of the wire: the inside of an HTTP error and of an `error` answer.
#[derive(Debug, Serialize)]
pub struct ProblemObject<'a> {
    code: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
}

impl<'a> From<&'a Problem> for ProblemObject<'a> {
    fn from(problem: &'a Problem) -> Self {
        Self {
            code: Code::as_str(problem.code),
            message: &problem.message,
            retry_after_ms: problem.retry_after.map(|after| after.as_millis() as u64),
            channel: problem.channel.as_ref().map(ChannelName::as_str),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::{Epoch, GapReason, Lost};
    use std::time::Duration;

    fn text(json: Vec<u8>) -> String {
        String::from_utf8(json).unwrap()
    }

    fn at(offset: u64) -> Position {
        Position {
            epoch: Epoch::parse("k3f9").unwrap(),
            offset,
        }
    }

    #[test]
    fn events_are_the_documented_json() {
        let news = ChannelName::parse("news").unwrap();
        let lost = Lost {
            reason: GapReason::History,
            resume: at(20),
            count: Some(17),
        };
        assert_eq!(
            text(gap(&Gap {
                channel: news.clone(),
                lost
            })),
            r#"{"type":"gap","channel":"news","reason":"history","epoch":"k3f9","offset":20,"lost":17}"#
        );
        let end = End {
            retry_after: Some(Duration::from_millis(1700)),
            ..End::from(Code::Shutdown)
        };
        assert_eq!(
            text(disconnect(&end)),
            r#"{"type":"disconnect","code":"shutdown","reconnect":true,"retry_after_ms":1700}"#
        );
        let position = at(182);
        let published = Event::Published {
            reference: Some(Ref::Number(7)),
            at: ChannelPosition::new(&news, &position),
        };
        assert_eq!(
            text(published.to_json()),
            r#"{"type":"published","ref":7,"channel":"news","epoch":"k3f9","offset":182}"#
        );
    }

    #[test]
    fn an_error_repeats_the_ref_and_names_the_channel() {
        let problem = Problem::new(Code::Forbidden, "no").about(&ChannelName::parse("a").unwrap());
        let error = Event::Error {
            reference: Some(Ref::Text("x".into())),
            problem: (&problem).into(),
        };
        assert_eq!(
            text(error.to_json()),
            r#"{"type":"error","ref":"x","code":"forbidden","message":"no","channel":"a"}"#
        );
    }
}
