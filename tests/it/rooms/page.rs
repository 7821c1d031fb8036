//! Who is in a room, read from `/v1/presence` a few users at a time.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::Value;

use super::super::support::http;
use super::model::Row;

/// Few, so that most rooms take several pages.
const LIMIT: usize = 3;

/// All pages of a room.
#[derive(Debug)]
pub struct Page {
    /// Of the first page.
    pub cursor: String,
    /// Of the last page.
    pub count: u64,
    pub users: BTreeMap<String, Row>,
}

impl Page {
    /// Who is there, with what is shown of them.
    pub fn shown(self) -> BTreeMap<String, Value> {
        let users = self.users.into_iter();
        users
            .map(|(user, mut row)| (user, row.infos.swap_remove(0)))
            .collect()
    }
}

/// Reads all pages of a room.
pub async fn read(address: SocketAddr, room: &str, token: &str) -> Page {
    let mut all: Option<Page> = None;
    let mut after = String::new();
    loop {
        let target = format!("/v1/presence?channel={room}&limit={LIMIT}{after}&token={token}");
        let answer = http::request(address, "GET", &target, &[], b"").await;
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        let object = answer.json();
        let users = users(&object);
        let last = users.last_key_value().map(|(user, _)| user.clone());
        let page = all.get_or_insert_with(|| Page {
            cursor: object["cursor"].as_str().expect("a cursor").to_owned(),
            count: 0,
            users: BTreeMap::new(),
        });
        page.count = object["count"].as_u64().expect("a number");
        page.users.extend(users);
        match last {
            Some(last) if object["more"] == true => after = format!("&after={}", escaped(&last)),
            _ => break,
        }
    }
    all.expect("one page at least")
}

/// The users of one answer.
pub fn users(object: &Value) -> BTreeMap<String, Row> {
    let users = object["users"].as_array().expect("a list").iter();
    let row = |user: &Value| {
        let transports = user["transports"].as_array().expect("a list").iter();
        let name = |transport: &Value| transport.as_str().expect("a name").to_owned();
        let row = Row {
            infos: vec![user["info"].clone()],
            sessions: user["sessions"].as_u64().expect("a number") as usize,
            transports: transports.map(name).collect(),
        };
        (user["user"].as_str().expect("a name").to_owned(), row)
    };
    users.map(row).collect()
}

/// A name as a value in a query.
pub fn escaped(name: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    name.bytes().map(escape).collect()
}
