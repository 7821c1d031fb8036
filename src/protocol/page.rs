//! A page of messages: the answer of polls and of history.

use std::sync::Arc;

use crate::bus::{Gap, Publication};

use super::event;

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
    /// Where to read live from; in history read backwards.
    pub follow: Option<&'a str>,
}

impl Page<'_> {
    /// The page as a JSON object, with these members first, if any: `"type":"history",`.
    pub fn to_json(&self, first_members: &str) -> Vec<u8> {
        let messages_bytes: usize = self
            .messages
            .iter()
            .map(|publication| publication.json().len() + 1)
            .sum();
        let mut json =
            Vec::with_capacity(messages_bytes + self.gaps.len() * 160 + self.cursor.len() + 160);
        json.push(b'{');
        json.extend_from_slice(first_members.as_bytes());
        // A cursor never needs escaping.
        push_member(&mut json, "\"cursor\":\"", self.cursor, "\"");
        if let Some(follow) = self.follow {
            push_member(&mut json, ",\"follow\":\"", follow, "\"");
        }
        push_list(
            &mut json,
            ",\"messages\":",
            self.messages.iter().map(|publication| publication.json()),
        );
        if !self.gaps.is_empty() {
            push_list(&mut json, ",\"gap\":", self.gaps.iter().map(event::gap));
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

fn push_list<T: AsRef<[u8]>>(json: &mut Vec<u8>, before: &str, values: impl Iterator<Item = T>) {
    json.extend_from_slice(before.as_bytes());
    json.push(b'[');
    for (i, value) in values.enumerate() {
        if i > 0 {
            json.push(b',');
        }
        json.extend_from_slice(value.as_ref());
    }
    json.push(b']');
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
            String::from_utf8(page.to_json("\"type\":\"history\",")).unwrap(),
            expected
        );
        assert_eq!(
            Page {
                cursor: "now",
                ..Page::default()
            }
            .to_json(""),
            br#"{"cursor":"now","messages":[]}"#
        );
    }
}
