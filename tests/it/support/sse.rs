//! Event streams, parsed as WHATWG HTML section 9.2.6 says.

use std::net::SocketAddr;

use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::{http, within};

/// One event.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Event {
    pub name: String,
    pub data: String,
    /// The `id:` of this event, if it had one.
    pub id: Option<String>,
}

/// A stream of events.
#[derive(Debug)]
pub struct Stream {
    pub status: u16,
    pub headers: ::http::HeaderMap,
    body: Incoming,
    /// What came in and is no whole event yet. A chunk may end within a character.
    bytes: Vec<u8>,
    /// How far the end of an event was looked for in it.
    looked_at: usize,
    /// The last `retry:`.
    pub retry_ms: Option<u64>,
}

impl Stream {
    pub async fn open(address: SocketAddr, target: &str, headers: &[(&str, &str)]) -> Self {
        Self::of(http::open(address, "GET", target, headers, b"").await)
    }

    /// The events of an answer.
    pub fn of(response: ::http::Response<Incoming>) -> Self {
        let (parts, body) = response.into_parts();
        Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
            bytes: Vec::new(),
            looked_at: 0,
            retry_ms: None,
        }
    }

    /// The next event; nothing at the end of the stream.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some(block) = self.take_block() {
                if let Some(event) = self.parse(&block) {
                    return Some(event);
                }
            }
            let frame = within("an event", self.body.frame()).await?.ok()?;
            let bytes = frame.into_data().expect("no trailers");
            self.bytes.extend_from_slice(&bytes);
        }
    }

    /// The next event, and the empty line after it no more.
    fn take_block(&mut self) -> Option<String> {
        let unseen = &self.bytes[self.looked_at..];
        let Some(found) = unseen.windows(2).position(|end| end == b"\n\n") else {
            self.looked_at = self.bytes.len().saturating_sub(1);
            return None;
        };
        let rest = self.bytes.split_off(self.looked_at + found + 2);
        let mut block = std::mem::replace(&mut self.bytes, rest);
        block.truncate(block.len() - 2);
        self.looked_at = 0;
        Some(String::from_utf8(block).expect("an event in UTF-8"))
    }

    /// The next event that is not a ping.
    pub async fn next_but_ping(&mut self) -> Option<Event> {
        loop {
            match self.next().await {
                Some(event) if event.name == "ping" => {}
                other => return other,
            }
        }
    }

    fn parse(&mut self, block: &str) -> Option<Event> {
        let mut event = Event {
            name: "message".to_owned(),
            ..Event::default()
        };
        let mut has_data = false;
        for line in block.lines() {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => event.name = value.to_owned(),
                "id" => event.id = Some(value.to_owned()),
                "retry" => self.retry_ms = Some(value.parse().expect("retry in milliseconds")),
                "data" if has_data => event.data = format!("{}\n{value}", event.data),
                "data" => {
                    has_data = true;
                    event.data = value.to_owned();
                }
                other => panic!("an unknown field {other:?} in {block:?}"),
            }
        }
        has_data.then_some(event)
    }
}
