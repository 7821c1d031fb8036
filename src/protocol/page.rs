//! A page of messages: the answer of polls and of history.

use std::sync::Arc;

use bytes::Bytes;

use crate::bus::{Gap, Publication};

use super::event;
use super::printed::{Pieces, Printed, WHOLE_BYTES_MAX};

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
        /// What stands around the cursor, the other members and the messages.
        const AROUND_BYTES: usize = 64;
        let before = first_members.len() + self.cursor.len() + AROUND_BYTES;
        let messages = self.messages.iter().map(|message| message.json().len() + 1);
        let bytes = before + messages.sum::<usize>();
        if bytes > WHOLE_BYTES_MAX {
            return Printed::Pieces(self.pieces(first_members, before));
        }
        let mut json = Vec::with_capacity(bytes);
        self.begin(&mut json, first_members);
        for (i, publication) in self.messages.iter().enumerate() {
            if i > 0 {
                json.push(b',');
            }
            json.extend_from_slice(publication.json());
        }
        self.end(&mut json);
        Printed::Whole(json.into())
    }

    fn pieces(&self, first_members: &str, before: usize) -> Pieces {
        let (mut pieces, mut json) = (Pieces::default(), Vec::with_capacity(before));
        self.begin(&mut json, first_members);
        pieces.push(json.into());
        for (i, publication) in self.messages.iter().enumerate() {
            if i > 0 {
                pieces.push(Bytes::from_static(b","));
            }
            pieces.push(publication.shared_json());
        }
        let mut json = Vec::new();
        self.end(&mut json);
        pieces.push(json.into());
        pieces
    }

    /// Up to the first message.
    fn begin(&self, json: &mut Vec<u8>, first_members: &str) {
        json.push(b'{');
        json.extend_from_slice(first_members.as_bytes());
        // A cursor never needs escaping.
        push_member(json, "\"cursor\":\"", self.cursor, "\"");
        if let Some(follow) = self.follow {
            push_member(json, ",\"follow\":\"", follow, "\"");
        }
        json.extend_from_slice(b",\"messages\":[");
    }

    /// From the last message on.
    fn end(&self, json: &mut Vec<u8>) {
        json.push(b']');
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
        assert_eq!(page.print("\"type\":\"history\",").all(), expected);
        assert_eq!(
            Page {
                cursor: "now",
                ..Page::default()
            }
            .print("")
            .all(),
            r#"{"cursor":"now","messages":[]}"#
        );
    }

    #[test]
    fn a_long_page_is_the_same_in_pieces() {
        let (news, text) = (ChannelName::parse("news").unwrap(), "x".repeat(1000));
        let draft = Draft {
            from: None,
            payload: Payload::Json(format!("\"{text}\"").into()),
            key: None,
        };
        let encode = |offset| Arc::new(Publication::encode(&news, offset, 9, &draft));
        let messages: Vec<Arc<Publication>> = (1..30).map(encode).collect();
        let printed = |messages| {
            let page = Page {
                cursor: "k.29",
                messages,
                more: true,
                ..Page::default()
            };
            page.print("")
        };
        let (short, long) = (printed(&messages[..2]), printed(&messages));
        assert!(matches!(short, Printed::Whole(_)) && matches!(long, Printed::Pieces(_)));
        for (page, messages) in [(short, &messages[..2]), (long, &messages)] {
            let jsons = messages.iter().map(|message| message.json());
            let jsons = jsons.collect::<Vec<_>>().join(&b","[..]);
            let jsons = String::from_utf8(jsons).unwrap();
            let expected = format!(r#"{{"cursor":"k.29","messages":[{jsons}],"more":true}}"#);
            assert_eq!(page.len(), expected.len());
            assert_eq!(page.all(), expected);
        }
    }
}
