//! An older attachment that is not read: what waits for its client is not sent to it after the newer one is welcomed, but for
//! what its connection holds already.

use std::net::SocketAddr;

use everyway::config::Seconds;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::super::support::ws::Ws;
use super::super::support::{Gateway, Reader, Via, random_text, within};
use super::SESSION;

/// More than the buffers of a connection hold.
const PUBLISHED_BYTES: usize = 16 * 1024 * 1024;

async fn roomy() -> Gateway {
    Gateway::with(|config| {
        config.history.bytes_max = 8 * PUBLISHED_BYTES;
        config.history.count_max = 1_000_000;
        config.timeouts.close_s = Seconds::new(20);
    })
    .await
}

/// A connection that takes little while it is not read.
async fn narrow(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(16 * 1024).expect("a buffer");
    socket.connect(address).await.expect("the gateway listens")
}

/// Publishes messages of one size until all buffers on the way to a reader must be full, and returns how many.
async fn fill(gateway: &Gateway, message_bytes: usize) -> u64 {
    let data = json!(random_text(message_bytes));
    let count = PUBLISHED_BYTES / message_bytes;
    for _ in 0..count {
        gateway.publish("a", &data).await;
    }
    count as u64
}

/// Over another transport: `welcome`, and a message that is published after it.
async fn is_served(gateway: &Gateway, via: Via) {
    let newer = Reader::attach_as(gateway.address, via, &["a"], "now", SESSION);
    let mut newer = newer.await;
    gateway.publish("a", &json!("after")).await;
    assert_eq!(newer.message().await.2, "after", "{via:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_superseded_websocket_is_dropped_between_messages() {
    // The large ones go out in fragments, between which there is no room for a farewell.
    for (via, message_bytes) in [(Via::Sse, 60_000), (Via::WebSocket, 15_000)] {
        let gateway = roomy().await;
        let target = format!("/v1/ws?channel=a{SESSION}");
        let stream = narrow(gateway.address).await;
        let mut older = Ws::over(stream, gateway.address, &target).await;
        let published = fill(&gateway, message_bytes).await;
        let queued = gateway
            .metric("everyway_messages_total{transport=\"websocket\"}")
            .await as u64;
        assert!(queued < published, "{queued} of {published}");
        is_served(&gateway, via).await;
        let mut told = 0;
        let close = loop {
            match older.next_json().await {
                Ok(object) if object["type"] == "message" => {
                    told += 1;
                    assert_eq!(object["offset"], told);
                }
                Ok(object) if object["type"] == "disconnect" => {
                    assert_eq!(object["code"], "superseded");
                }
                Ok(object) => assert_eq!(object["type"], "welcome"),
                Err(close) => break close,
            }
        };
        assert_eq!(close, (4009, "superseded".to_owned()));
        // The queue holds 256 KiB.
        let dropped = (queued - told) as usize * message_bytes;
        assert!(dropped > 100_000, "{told} of {queued} were sent");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_stream_that_is_not_read_is_not_waited_for_and_ends_where_it_stands() {
    let gateway = roomy().await;
    let mut older = narrow(gateway.address).await;
    let request = format!("GET /v1/sse?channel=a{SESSION} HTTP/1.0\r\nhost: localhost\r\n\r\n");
    let sent = older.write_all(request.as_bytes()).await;
    sent.expect("the gateway reads");
    // The stream is there with its welcome.
    within("the answer", older.readable()).await.expect("bytes");
    let published = fill(&gateway, 60_000).await;
    is_served(&gateway, Via::WebSocket).await;
    let mut bytes = Vec::new();
    let read = within("the end of the stream", older.read_to_end(&mut bytes)).await;
    read.expect("an end");
    let text = String::from_utf8(bytes).expect("text");
    let datas = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let objects: Vec<Value> = datas
        .map(|data| serde_json::from_str(data).expect("data is JSON"))
        .collect();
    let (last, told) = objects.split_last().expect("events");
    assert_eq!(last["code"], "superseded", "{last}");
    assert!(text.contains("retry: 2147483647\n"));
    let messages = told.len() as u64 - 1;
    assert_eq!(told[told.len() - 1]["offset"], messages, "none is missing");
    assert!(messages < published, "{messages} of {published}");
}
