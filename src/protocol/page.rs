//! A page of messages: the answer of polls and of history.

use std::sync::Arc;

use bytes::Bytes;

use crate::bus::{Gap, Publication};

use super::event;
use super::printed::Printed;

/// A page before it is printed.
#[derive(Debug, Default)]
pub struct Page<'a> {
    /// Where to go on.
    pub cursor: &'a str,
    /// Messages, printed as they are.
    pub messages: &'a [Arc<Publication>],
    /// What was missed.
    pub gaps: &'a [Gap],
    /// True if a limit cut the page.
    pub more: bool,
    /// Where to read live from, right behind the newest message; in history.
    pub follow: Option<&'a str>,
}

impl Page<'_> {
    /// The page as a JSON object, with these members first, if any: `"type":"history",`.
    pub fn print(&self, first_members: &str) -> Printed {
        let mut printed = Printed::default();
        printed.push(self.begin(first_members).into());
        for (i, publication) in self.messages.iter().enumerate() {
            if i > 0 {
                printed.push(Bytes::from_static(b","));
            }
            printed.push(publication.shared_json());
        }
        printed.push(self.end().into());
        printed
    }

    /// Up to the first message.
    fn begin(&self, first_members: &str) -> Vec<u8> {
        let mut json = Vec::with_capacity(first_members.len() + self.cursor.len() + 64);
        json.push(b'{');
        json.extend_from_slice(first_members.as_bytes());
        // A cursor never needs escaping.
        push_member(&mut json, "\"cursor\":\"", self.cursor, "\"");
        if let Some(follow) = self.follow {
            push_member(&mut json, ",\"follow\":\"", follow, "\"");
        }
        json.extend_from_slice(b",\"messages\":[");
        json
    }

    /// From the last message on.
    fn end(&self) -> Vec<u8> {
        let mut json = b"]".to_vec();
        if !self.gaps.is_empty() {
            json.extend_from_slice(b",\"gap\":[");
            for (i, gap) in self.gaps.iter().map(event::gap).enumerate() {
                if i > 0 {
                    json.push(b',');
                }
                json.extend_from_slice(gap.as_ref());
            }
            json.push(b']');
        }
        if self.more {
            json.extend_from_slice(b",\"more\":true");
        }
        json.push(b'}');
        json
    }
}

fn push_member(json: &mut Vec<u8>, before: &str, value: &str, after: &str) {
    for part in [before, value, after] {
        json.extend_from_slice(part.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::{ChannelName, Draft, Epoch, GapReason, Lost, Payload, Position};

    #[test]
    fn a_page_is_the_documented_json() {
        let news = ChannelName::parse("news").unwrap();
        let draft = Draft {
            from: None,
            payload: Payload::Json("1".into()),
            key: None,
        };
        let messages = [Arc::new(Publication::encode(&news, 5, 9, &draft))];
        let resume = Position {
            epoch: Epoch::parse("k").unwrap(),
            offset: 4,
        };
        let gaps = [Gap {
            channel: news,
            lost: Lost {
                reason: GapReason::Epoch,
                resume,
                count: None,
            },
        }];
        let page = Page {
            cursor: "k.5",
            messages: &messages,
            gaps: &gaps,
            more: true,
            follow: Some("k.9"),
        };
        let expected = concat!(
            r#"{"type":"history","cursor":"k.5","follow":"k.9","#,
            r#""messages":[{"type":"message","channel":"news","offset":5,"time":9,"data":1}],"#,
            r#""gap":[{"type":"gap","channel":"news","reason":"epoch","epoch":"k","offset":4,"lost":null}],"more":true}"#
        );
        assert_eq!(
            page.print("\"type\":\"history\",").all(),
            expected.as_bytes()
        );
        assert_eq!(
            Page {
                cursor: "now",
                ..Page::default()
            }
            .print("")
            .all(),
            br#"{"cursor":"now","messages":[]}"#
        );
    }
}
