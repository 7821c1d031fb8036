//! HTTP as a client speaks it, and raw bytes for what no client would say.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::{SOON, within, within_time};

/// An answer that was read whole.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

impl Response {
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("a header in ASCII"))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {:?}", self.text()))
    }

    /// The code of an error.
    pub fn code(&self) -> String {
        self.json()["error"]["code"]
            .as_str()
            .unwrap_or_else(|| panic!("no code in {}", self.text()))
            .to_owned()
    }
}

/// Sends a request over a connection of its own and returns the answer with its body still to come.
pub async fn open(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> http::Response<Incoming> {
    open_within(SOON, address, method, target, headers, body).await
}

/// The same, for an answer that may take so long to begin.
pub async fn open_within(
    time: Duration,
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> http::Response<Incoming> {
    let stream = TcpStream::connect(address)
        .await
        .expect("the gateway listens");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .expect("HTTP/1.1");
    tokio::spawn(async move { drop(connection.await) });
    let mut request = http::Request::builder().method(method).uri(target);
    if !headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("host"))
    {
        request = request.header("host", address.to_string());
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request
        .body(Full::new(Bytes::copy_from_slice(body)))
        .expect("a request");
    let what = format!("{method} {target}");
    let answer = within_time(time, &what, sender.send_request(request)).await;
    answer.expect("an answer")
}

/// A connection from one of this machine's addresses, such as 127.0.0.2.
pub async fn connect_from(source: [u8; 4], address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind((source, 0).into())
        .expect("an address of this machine");
    socket.connect(address).await.expect("the gateway listens")
}

/// Sends a request and reads the whole answer.
pub async fn request(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Response {
    let response = open(address, method, target, headers, body).await;
    read(target, response).await
}

/// Reads an answer whole.
pub async fn read(target: &str, response: http::Response<Incoming>) -> Response {
    let (parts, body) = response.into_parts();
    let body = within(&format!("the body of {target}"), body.collect())
        .await
        .expect("a body")
        .to_bytes();
    Response {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body,
    }
}

/// Sends bytes as they are and returns what comes back until the gateway closes.
pub async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address)
        .await
        .expect("the gateway listens");
    stream.write_all(bytes).await.expect("the gateway reads");
    let mut answer = Vec::new();
    let read = within("the gateway to close", stream.read_to_end(&mut answer)).await;
    // A reset after the answer is a way to close, too.
    drop(read);
    String::from_utf8_lossy(&answer).into_owned()
}
