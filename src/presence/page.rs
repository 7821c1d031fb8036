//! Who is in a room, as whoever asks reads it.

use std::fmt::Write as _;
use std::sync::Arc;

use super::member::Member;
use crate::bus::{ChannelName, Position, UserName};
use crate::transport::Transport;

/// Some of those who are in a room, in the order of their names.
#[derive(Debug)]
pub struct Page {
    /// The room.
    pub channel: ChannelName,
    /// Where its presence channel stood before anybody was looked at: whoever follows from there misses nothing.
    pub position: Position,
    /// How many are there.
    pub count: usize,
    /// Some of them.
    pub rows: Vec<Row>,
    /// True if there are more after them.
    pub more: bool,
}

/// A user who is there.
#[derive(Debug, Clone)]
pub struct Row {
    /// Who.
    pub user: UserName,
    info: Option<Arc<str>>,
    sessions: usize,
    transports: [bool; Transport::ALL.len()],
}

impl Row {
    /// A user who is there.
    pub fn new(user: &UserName, member: &Member) -> Self {
        Self {
            user: user.clone(),
            info: member.info().cloned(),
            sessions: member.sessions(),
            transports: Transport::ALL.map(|transport| member.is_there_by(transport)),
        }
    }

    #[cfg(test)]
    pub fn info(&self) -> Option<&str> {
        self.info.as_deref()
    }

    #[cfg(test)]
    pub fn sessions(&self) -> usize {
        self.sessions
    }

    fn print(&self, json: &mut String) {
        // Text is always JSON, and writing to a String cannot fail.
        let user = serde_json::Value::from(self.user.as_str());
        let _ = write!(json, r#"{{"user":{user}"#);
        if let Some(info) = &self.info {
            let _ = write!(json, r#","info":{info}"#);
        }
        let _ = write!(json, r#","sessions":{},"transports":["#, self.sessions);
        let mut names: Vec<&str> = Transport::ALL
            .into_iter()
            .filter(|transport| self.transports[*transport as usize])
            .map(Transport::as_str)
            .collect();
        names.sort_unstable();
        for (i, name) in names.into_iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            let _ = write!(json, r#"{comma}"{name}""#);
        }
        json.push_str("]}");
    }
}

impl Page {
    /// The page as a JSON object of about so many bytes at most, with these members first, if any. One user is there even
    /// if they alone are more.
    pub fn print(&self, first_members: &str, bytes_max: usize) -> Vec<u8> {
        let (channel, cursor, count) = (&self.channel, self.position, self.count);
        // Neither a channel nor a cursor needs escaping.
        let mut json = format!(
            r#"{{{first_members}"channel":"{channel}","cursor":"{cursor}","count":{count},"users":["#
        );
        let mut more = self.more;
        for (i, row) in self.rows.iter().enumerate() {
            let before = json.len();
            if i > 0 {
                json.push(',');
            }
            row.print(&mut json);
            if i > 0 && json.len() > bytes_max {
                json.truncate(before);
                more = true;
                break;
            }
        }
        let _ = write!(json, r#"],"more":{more}}}"#);
        json.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::Epoch;

    fn page(rows: Vec<Row>) -> Page {
        Page {
            channel: ChannelName::parse("room:1").unwrap(),
            position: Position {
                epoch: Epoch::parse("k3f9").unwrap(),
                offset: 4,
            },
            count: 3,
            rows,
            more: false,
        }
    }

    fn row(user: &str, info: Option<&str>) -> Row {
        Row {
            user: UserName::parse(user).unwrap(),
            info: info.map(Arc::from),
            sessions: 2,
            transports: [true, true, false, false],
        }
    }

    fn text(page: &Page, first_members: &str, bytes_max: usize) -> String {
        String::from_utf8(page.print(first_members, bytes_max)).unwrap()
    }

    #[test]
    fn a_page_is_the_documented_json() {
        let page = page(vec![row("al\"ice", Some("{\"a\":1}")), row("bob", None)]);
        let expected = concat!(
            r#"{"type":"presence","channel":"room:1","cursor":"k3f9.4","count":3,"users":["#,
            r#"{"user":"al\"ice","info":{"a":1},"sessions":2,"transports":["sse","websocket"]},"#,
            r#"{"user":"bob","sessions":2,"transports":["sse","websocket"]}],"more":false}"#
        );
        assert_eq!(text(&page, "\"type\":\"presence\",", 10_000), expected);
    }

    #[test]
    fn a_page_is_cut_at_its_bytes_and_never_empty() {
        let users = |bytes_max| {
            let page = page(vec![row("a", None), row("b", None), row("c", None)]);
            let page: serde_json::Value =
                serde_json::from_str(&text(&page, "", bytes_max)).unwrap();
            let users = page["users"].as_array().unwrap().len();
            (users, page["more"].as_bool().unwrap())
        };
        assert_eq!(users(10), (1, true));
        assert_eq!(users(200), (2, true));
        assert_eq!(users(10_000), (3, false));
    }
}
