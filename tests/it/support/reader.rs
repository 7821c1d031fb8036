//! One reader over any of the four transports, by several clients. It keeps its position from what it was handed, as any client can.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use super::http;
use super::http2::Http2;
use super::sse::Stream;
use super::ws::Ws;
use super::yawc::Yawc;
use yawc::HttpVersion;

/// A transport, as a client knows it, and what carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Via {
    WebSocket,
    Sse,
    LongPoll,
    Poll,
    /// A WebSocket with permessage-deflate.
    Deflate,
    WebSocketOverHttp2,
    DeflateOverHttp2,
    SseOverHttp2,
    LongPollOverHttp2,
    PollOverHttp2,
}

impl Via {
    /// Every transport by every client.
    pub const ALL: [Self; 10] = [
        Self::WebSocket,
        Self::Sse,
        Self::LongPoll,
        Self::Poll,
        Self::Deflate,
        Self::WebSocketOverHttp2,
        Self::DeflateOverHttp2,
        Self::SseOverHttp2,
        Self::LongPollOverHttp2,
        Self::PollOverHttp2,
    ];
    /// Every transport once.
    pub const TRANSPORTS: [Self; 4] = [Self::WebSocket, Self::Sse, Self::LongPoll, Self::Poll];

    /// The transport without what carries it.
    pub fn transport(self) -> Self {
        match self {
            Self::WebSocket | Self::Deflate | Self::WebSocketOverHttp2 | Self::DeflateOverHttp2 => {
                Self::WebSocket
            }
            Self::Sse | Self::SseOverHttp2 => Self::Sse,
            Self::LongPoll | Self::LongPollOverHttp2 => Self::LongPoll,
            Self::Poll | Self::PollOverHttp2 => Self::Poll,
        }
    }

    /// True if it shares a connection with others of its reader.
    fn is_multiplexed(self) -> bool {
        matches!(
            self,
            Self::SseOverHttp2 | Self::LongPollOverHttp2 | Self::PollOverHttp2
        )
    }

    pub fn path(self) -> &'static str {
        match self.transport() {
            Self::Sse => "/v1/sse",
            Self::LongPoll => "/v1/longpoll",
            Self::Poll => "/v1/poll",
            _ => "/v1/ws",
        }
    }
}

/// What a reader was told.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    Message {
        channel: String,
        offset: u64,
        data: Value,
    },
    Gap {
        channel: String,
        reason: String,
        epoch: String,
        offset: u64,
        lost: Option<u64>,
    },
}

impl Told {
    fn from(object: &Value) -> Option<Self> {
        let text = |name: &str| {
            object[name]
                .as_str()
                .unwrap_or_else(|| panic!("no {name} in {object}"))
                .to_owned()
        };
        let offset = || {
            object["offset"]
                .as_u64()
                .unwrap_or_else(|| panic!("no offset in {object}"))
        };
        match object["type"].as_str() {
            Some("message") => {
                let payload = object
                    .get("data")
                    .or_else(|| object.get("base64"))
                    .expect("a payload");
                Some(Self::Message {
                    channel: text("channel"),
                    offset: offset(),
                    data: payload.clone(),
                })
            }
            Some("gap") => Some(Self::Gap {
                channel: text("channel"),
                reason: text("reason"),
                epoch: text("epoch"),
                offset: offset(),
                lost: object["lost"].as_u64(),
            }),
            _ => None,
        }
    }
}

enum Connection {
    WebSocket(Box<Ws>),
    Yawc(Box<Yawc>),
    Sse(Box<Stream>),
    /// A page at a time.
    Poll,
}

/// A reader of some channels.
pub struct Reader {
    pub via: Via,
    address: SocketAddr,
    channels: Vec<String>,
    /// In the order of `channels`: where the reader stands. Empty until the gateway has said.
    pub positions: Vec<(String, u64)>,
    connection: Connection,
    /// Kept while the reader changes from one transport over HTTP/2 to another.
    http2: Option<Http2>,
    /// Of a page that was fetched, what was not handed out yet.
    fetched: VecDeque<Told>,
    start: String,
    /// More parameters of its requests, such as `&session=…`.
    more: String,
    /// True if it comes back when it is told to, over the same transport.
    pub comes_back: bool,
    /// How often it did.
    pub returns: usize,
}

impl Reader {
    /// Attaches to channels from a cursor.
    pub async fn attach(address: SocketAddr, via: Via, channels: &[&str], cursor: &str) -> Self {
        Self::attach_as(address, via, channels, cursor, "").await
    }

    /// Attaches with more parameters, such as `&session=…`.
    pub async fn attach_as(
        address: SocketAddr,
        via: Via,
        channels: &[&str],
        cursor: &str,
        more: &str,
    ) -> Self {
        let channels: Vec<String> = channels.iter().map(ToString::to_string).collect();
        let mut reader = Self {
            via,
            address,
            channels,
            positions: Vec::new(),
            connection: Connection::Poll,
            http2: None,
            fetched: VecDeque::new(),
            start: cursor.to_owned(),
            more: more.to_owned(),
            comes_back: false,
            returns: 0,
        };
        reader.connect().await;
        reader
    }

    async fn connect(&mut self) {
        if !self.via.is_multiplexed() {
            self.http2 = None;
        } else if self.http2.is_none() {
            self.http2 = Some(Http2::connect(self.address).await);
        }
        let target = self.target(&self.start, "");
        match self.via {
            Via::WebSocket => {
                let (ws, welcome) = Ws::welcomed(self.address, &target).await;
                self.stand(&welcome);
                self.connection = Connection::WebSocket(Box::new(ws));
            }
            Via::Deflate => self.connect_yawc(&target, HttpVersion::Http1, true).await,
            Via::WebSocketOverHttp2 => self.connect_yawc(&target, HttpVersion::Http2, false).await,
            Via::DeflateOverHttp2 => self.connect_yawc(&target, HttpVersion::Http2, true).await,
            Via::Sse | Via::SseOverHttp2 => {
                let mut stream = match &self.http2 {
                    Some(http2) => Stream::of(http2.open(&target).await),
                    None => Stream::open(self.address, &target, &[]).await,
                };
                assert_eq!(stream.status, 200, "{target}");
                let welcome = stream.next().await.expect("welcome");
                assert_eq!(welcome.name, "welcome", "{welcome:?}");
                self.stand(&serde_json::from_str(&welcome.data).expect("welcome is JSON"));
                assert_eq!(
                    welcome.id.as_deref(),
                    Some(self.expected_id().as_str()),
                    "{target}"
                );
                self.connection = Connection::Sse(Box::new(stream));
            }
            // A poll that starts now is attached once its first page has pinned it.
            _ => self.fetch("&wait=0").await,
        }
    }

    async fn connect_yawc(&mut self, target: &str, version: HttpVersion, deflate: bool) {
        let mut ws = Yawc::open(self.address, target, version, deflate).await;
        let welcome = ws.json().await;
        assert_eq!(welcome["type"], "welcome", "{welcome}");
        self.stand(&welcome);
        self.connection = Connection::Yawc(Box::new(ws));
    }

    /// Takes in the positions of `welcome`.
    fn stand(&mut self, welcome: &Value) {
        let stands = welcome["channels"].as_array().expect("channels");
        let named = |stand: &Value| stand["channel"].as_str().expect("a channel").to_owned();
        assert_eq!(
            stands.iter().map(named).collect::<Vec<_>>(),
            self.channels,
            "welcome lists the request's channels"
        );
        let position = |stand: &Value| {
            (
                stand["epoch"].as_str().expect("an epoch").to_owned(),
                stand["offset"].as_u64().expect("an offset"),
            )
        };
        self.positions = stands.iter().map(position).collect();
    }

    /// What comes next.
    pub async fn next(&mut self) -> Told {
        let told = loop {
            if let Some(told) = self.fetched.pop_front() {
                break told;
            }
            let (object, id) = match &mut self.connection {
                Connection::WebSocket(ws) => (ws.json().await, None),
                Connection::Yawc(ws) => (ws.json().await, None),
                Connection::Sse(stream) => {
                    let event = stream.next_but_ping().await.expect("a stream that goes on");
                    (
                        serde_json::from_str(&event.data).expect("data is JSON"),
                        Some(event.id),
                    )
                }
                Connection::Poll => {
                    self.fetch("&wait=10").await;
                    if self.fetched.is_empty() && self.via.transport() == Via::Poll {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    continue;
                }
            };
            if self.comes_back && object["type"] == "disconnect" && object["reconnect"] == true {
                self.returns += 1;
                self.switch(self.via).await;
                continue;
            }
            let Some(told) = Told::from(&object) else {
                panic!("{:?} was told {object}", self.via)
            };
            if let Some(id) = id {
                let mut after = self.positions.clone();
                std::mem::swap(&mut after, &mut self.positions);
                self.moved(&told);
                assert_eq!(
                    id.as_deref(),
                    Some(self.expected_id().as_str()),
                    "the id of {told:?}"
                );
                self.positions = after;
            }
            break told;
        };
        self.moved(&told);
        told
    }

    /// The next message; anything else fails.
    pub async fn message(&mut self) -> (String, u64, Value) {
        match self.next().await {
            Told::Message {
                channel,
                offset,
                data,
            } => (channel, offset, data),
            gap => panic!(
                "{:?} was told {gap:?} while a message was expected",
                self.via
            ),
        }
    }

    /// The data of the next messages.
    pub async fn take(&mut self, count: usize) -> Vec<Value> {
        let mut data = Vec::new();
        for _ in 0..count {
            data.push(self.message().await.2);
        }
        data
    }

    /// Leaves this transport in mid-stream and goes on over another one. What was fetched and not handed out is fetched
    /// again.
    pub async fn switch(&mut self, via: Via) {
        self.start = self.cursor();
        self.via = via;
        self.fetched.clear();
        self.connection = Connection::Poll;
        self.connect().await;
    }

    /// Attaches the same session a second time, over another transport, and keeps this one.
    pub async fn attach_again(&self, via: Via) -> Self {
        let channels: Vec<&str> = self.channels.iter().map(String::as_str).collect();
        Self::attach_as(self.address, via, &channels, &self.cursor(), &self.more).await
    }

    /// True between two messages, too.
    pub fn is_attached(&self) -> bool {
        !matches!(self.connection, Connection::Poll)
    }

    /// Reads to the end, which has to be that of a superseded attachment, and returns what it was told before. A long poll
    /// waits for its end; a short poll has none.
    pub async fn superseded(mut self) -> Vec<Told> {
        let (mut told, mut farewell) = (Vec::new(), None);
        let mut hear = |object: Value| match object["type"].as_str() {
            Some("disconnect") => farewell = Some(object),
            _ => told.extend(Told::from(&object)),
        };
        let next = match &mut self.connection {
            Connection::WebSocket(ws) => loop {
                match ws.next_json().await {
                    Ok(object) => hear(object),
                    Err(close) => break Some(close),
                }
            },
            Connection::Yawc(ws) => loop {
                match ws.next_json().await {
                    Ok(object) => hear(object),
                    Err(close) => break Some(close),
                }
            },
            Connection::Sse(stream) => {
                while let Some(event) = stream.next_but_ping().await {
                    hear(serde_json::from_str(&event.data).expect("data is JSON"));
                }
                assert_eq!(stream.retry_ms, Some(2_147_483_647), "it may not come back");
                None
            }
            Connection::Poll if self.via.transport() == Via::Poll => return told,
            Connection::Poll => {
                let target = self.target(&self.cursor(), "&wait=20");
                let answer = self.get(&target).await;
                assert_eq!(answer.status, 409, "{}", answer.text());
                farewell = Some(answer.json()["error"].clone());
                None
            }
        };
        let farewell = farewell.unwrap_or_else(|| panic!("{:?} was told no end", self.via));
        assert_eq!(farewell["code"], "superseded", "{farewell}");
        assert!(farewell["message"].is_string(), "{farewell}");
        assert_ne!(farewell["reconnect"], true, "{farewell}");
        if let Some(close) = next {
            assert_eq!(close, (4009, "superseded".to_owned()), "{:?}", self.via);
        }
        told
    }

    async fn get(&mut self, target: &str) -> http::Response {
        match &self.http2 {
            Some(http2) => http2.get(target).await,
            None => http::request(self.address, "GET", target, &[], b"").await,
        }
    }

    /// The cursor after what was handed out, as a client writes it.
    pub fn cursor(&self) -> String {
        let items = self.channels.iter().zip(&self.positions);
        items
            .map(|(channel, (epoch, offset))| format!("{channel}@{epoch}.{offset}"))
            .collect::<Vec<_>>()
            .join(",")
    }

    /// Fetches a page.
    async fn fetch(&mut self, more: &str) {
        let cursor = if self.positions.is_empty() {
            self.start.clone()
        } else {
            self.cursor()
        };
        let target = self.target(&cursor, more);
        let response = self.get(&target).await;
        assert_eq!(response.status, 200, "{target}: {}", response.text());
        let page = response.json();
        let page_cursor = page["cursor"].as_str().expect("a cursor");
        assert_eq!(response.header("etag"), format!("\"{page_cursor}\""));
        for list in ["gap", "messages"] {
            let objects = page
                .get(list)
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            self.fetched.extend(objects.filter_map(Told::from));
        }
        if self.positions.is_empty() {
            // Where the page began: its end, less what it holds.
            let list = page_cursor.rsplit('~').next().expect("positions");
            let position = |text: &str| {
                let (epoch, offset) = text.split_once('.').expect("epoch.offset");
                (epoch.to_owned(), offset.parse().expect("a number"))
            };
            self.positions = list.split(',').map(position).collect();
            for told in self.fetched.iter().rev() {
                if let Told::Message {
                    channel, offset, ..
                } = told
                {
                    let index = self.index(channel);
                    self.positions[index].1 = offset - 1;
                }
            }
        }
    }

    fn moved(&mut self, told: &Told) {
        match told {
            Told::Message {
                channel, offset, ..
            } => {
                let index = self.index(channel);
                let position = &mut self.positions[index];
                assert_eq!(
                    *offset,
                    position.1 + 1,
                    "{:?}: offsets of {channel} are contiguous",
                    self.via
                );
                position.1 = *offset;
            }
            Told::Gap {
                channel,
                epoch,
                offset,
                ..
            } => {
                let index = self.index(channel);
                self.positions[index] = (epoch.clone(), *offset);
            }
        }
    }

    fn index(&self, channel: &str) -> usize {
        let found = self.channels.iter().position(|known| known == channel);
        found.unwrap_or_else(|| panic!("{channel} was not asked for"))
    }

    fn target(&self, cursor: &str, more: &str) -> String {
        let channels: Vec<String> = self
            .channels
            .iter()
            .map(|channel| format!("channel={channel}"))
            .collect();
        format!(
            "{}?{}&cursor={cursor}{}{more}",
            self.via.path(),
            channels.join("&"),
            self.more
        )
    }

    /// The cursor that the gateway prints for where we stand, apart from the hash, which is checked elsewhere.
    fn expected_id(&self) -> String {
        let positions: Vec<String> = self
            .positions
            .iter()
            .map(|(epoch, offset)| format!("{epoch}.{offset}"))
            .collect();
        match positions.as_slice() {
            [only] => only.clone(),
            many => format!("~{}~{}", hash(&self.channels), many.join(",")),
        }
    }
}

fn hash(channels: &[String]) -> String {
    use base64::Engine;
    use sha2::Digest;
    let digest = sha2::Sha256::digest(channels.join("\n"));
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest)[..8].to_owned()
}
