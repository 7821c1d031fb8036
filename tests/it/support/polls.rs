//! Long polls on one connection, byte by byte.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::within;

/// A connection that is kept.
pub struct Kept {
    pub stream: TcpStream,
    /// Lines between the host and the end of each head.
    pub lines: String,
}

/// An answer with its length.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Kept {
    pub async fn open(address: SocketAddr) -> Self {
        Self {
            stream: TcpStream::connect(address)
                .await
                .expect("the gateway listens"),
            lines: String::new(),
        }
    }

    /// One that takes a little at a time.
    pub async fn narrow(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a size");
        Self {
            stream: socket.connect(address).await.expect("the gateway listens"),
            lines: String::new(),
        }
    }

    /// Asks and does not wait for the answer.
    pub async fn ask(&mut self, target: &str) {
        let head = self.head(target);
        self.send(&head).await;
    }

    pub fn head(&self, target: &str) -> String {
        let lines = &self.lines;
        format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")
    }

    pub async fn send(&mut self, bytes: &str) {
        let sent = within(
            "the gateway to read",
            self.stream.write_all(bytes.as_bytes()),
        )
        .await;
        sent.expect("the gateway reads");
    }

    pub async fn get(&mut self, target: &str) -> Answer {
        self.ask(target).await;
        self.answer().await
    }

    /// The next answer.
    pub async fn answer(&mut self) -> Answer {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let byte = within("a head", self.stream.read_u8()).await;
            head.push(byte.expect("the gateway keeps the connection").into());
        }
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.get(9..12)?.parse().ok());
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers: BTreeMap<String, String> = headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let bytes = headers
            .get("content-length")
            .map_or(0, |length| length.parse().expect("a length"));
        let mut body = vec![0; bytes];
        let read = within("a body", self.stream.read_exact(&mut body)).await;
        read.expect("as long as it says");
        Answer {
            status: status.unwrap_or_else(|| panic!("no status: {head}")),
            headers,
            body: String::from_utf8(body).expect("text"),
        }
    }

    /// True once the gateway has closed it, with nothing more to say.
    pub async fn is_over(&mut self) -> bool {
        let read = within("the gateway to close", self.stream.read(&mut [0])).await;
        !matches!(read, Ok(1..))
    }

    /// Polls one channel until it knows what the next poll looks like: three times, each of which waits.
    pub async fn settle(&mut self, query: &str) -> String {
        let mut cursor = "now".to_owned();
        for _ in 0..3 {
            let page = self
                .get(&format!("/v1/longpoll?{query}&cursor={cursor}&wait=0.02"))
                .await;
            assert_eq!(page.status, 200, "{}", page.body);
            cursor = page.cursor();
        }
        cursor
    }
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub fn cursor(&self) -> String {
        self.json()["cursor"].as_str().expect("a cursor").to_owned()
    }

    pub fn code(&self) -> String {
        self.json()["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}
