//! HTTP/2 with prior knowledge, as a client speaks it: many requests over one connection.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::http::{self, Response};
use super::{SOON, within_time};

/// Room for the largest page, so that no answer waits for the client.
const STREAM_WINDOW_BYTES: u32 = 2 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 8 * 1024 * 1024;

/// A connection, which closes with its last stream.
#[derive(Clone)]
pub struct Http2 {
    sender: SendRequest<Full<Bytes>>,
    address: SocketAddr,
}

impl Http2 {
    pub async fn connect(address: SocketAddr) -> Self {
        Self::with_window(address, STREAM_WINDOW_BYTES).await
    }

    /// Connects as a client that takes so many bytes of a stream before it reads them.
    pub async fn with_window(address: SocketAddr, stream_window_bytes: u32) -> Self {
        let stream = TcpStream::connect(address)
            .await
            .expect("the gateway listens");
        // As clients do: else the end of a long body waits for an acknowledgement each time the window closes.
        stream.set_nodelay(true).expect("an option");
        let (sender, connection) = Builder::new(TokioExecutor::new())
            .initial_stream_window_size(stream_window_bytes)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .handshake(TokioIo::new(stream))
            .await
            .expect("HTTP/2");
        tokio::spawn(async move { drop(connection.await) });
        Self { sender, address }
    }

    /// Gets a target and returns the answer with its body still to come.
    pub async fn open(&self, target: &str) -> ::http::Response<Incoming> {
        self.open_within(SOON, target).await
    }

    /// The same, for an answer that may take so long to begin.
    pub async fn open_within(&self, time: Duration, target: &str) -> ::http::Response<Incoming> {
        self.send(time, "GET", target, &[], Bytes::new()).await
    }

    async fn send(
        &self,
        time: Duration,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> ::http::Response<Incoming> {
        let mut request = ::http::Request::builder()
            .method(method)
            .uri(format!("http://{}{target}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).expect("a request");
        let answer = self.sender.clone().send_request(request);
        let answer = within_time(time, &format!("{method} {target} over HTTP/2"), answer).await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.version(), ::http::Version::HTTP_2);
        answer
    }

    /// Sends a request and reads the whole answer.
    pub async fn request(&self, method: &str, target: &str, body: Bytes) -> Response {
        http::read(target, self.send(SOON, method, target, &[], body).await).await
    }

    /// Publishes a body of some content type.
    pub async fn publish(&self, channel: &str, kind: &str, body: Bytes) -> Response {
        let target = format!("/v1/publish?channel={channel}");
        let headers = [("content-type", kind)];
        let answer = self.send(SOON, "POST", &target, &headers, body).await;
        http::read(&target, answer).await
    }

    /// True once the gateway closed the connection.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Gets a target and reads the whole answer.
    pub async fn get(&self, target: &str) -> Response {
        http::read(target, self.open(target).await).await
    }
}
