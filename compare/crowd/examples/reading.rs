//! What a message costs the load's reader, without sockets: `cargo run --release -p crowd --example reading`.

use std::time::Instant;

use crowd::{Dialect, Kind, Reader, Role, Wire, numbered};

/// Messages of a burst, which come in one piece.
const BURST: u64 = 64;
const BURSTS: u64 = 2000;

fn main() -> anyhow::Result<()> {
    for kind in Kind::ALL {
        let wire = Wire {
            dialect: Dialect::Everyway,
            kind,
        };
        let mut reader = Reader::new(wire, Role::Subscriber, "b");
        reader.take(head(kind))?;
        let bursts: Vec<Vec<u8>> = (0..BURSTS).map(|burst| self::burst(kind, burst)).collect();
        let began = Instant::now();
        for burst in &bursts {
            reader.take(burst)?;
            reader.say.clear();
        }
        let messages = BURST * BURSTS;
        anyhow::ensure!(reader.messages == messages, "a message is missing");
        let ns = began.elapsed().as_nanos() as f64 / messages as f64;
        println!("{}: {ns:.0} ns for a message", kind.name());
    }
    Ok(())
}

fn head(kind: Kind) -> &'static [u8] {
    match kind {
        Kind::WebSocket => b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
        Kind::Sse => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        // Each answer has a head of its own.
        Kind::Longpoll => b"",
    }
}

/// What the gateway writes at once: a frame for each message, or a chunk for all events. An answer to a poll has one
/// message.
fn burst(kind: Kind, burst: u64) -> Vec<u8> {
    let numbers = burst * BURST..(burst + 1) * BURST;
    match kind {
        Kind::WebSocket => numbers.flat_map(|number| frame(&message(number))).collect(),
        Kind::Longpoll => numbers
            .flat_map(|number| answer(&message(number)))
            .collect(),
        Kind::Sse => {
            let events: String = numbers.map(|number| event(&message(number))).collect();
            format!("{:x}\r\n{events}\r\n", events.len()).into_bytes()
        }
    }
}

fn message(number: u64) -> String {
    let payload = numbered::payload(number, 128);
    let offset = number + 1;
    format!(
        r#"{{"type":"message","channel":"b","offset":{offset},"time":1763800000123,"data":{payload}}}"#
    )
}

/// The id is in the form of a cursor.
fn event(message: &str) -> String {
    format!("id: k3f9.182\ndata: {message}\n\n")
}

fn frame(message: &str) -> Vec<u8> {
    let length = (message.len() as u16).to_be_bytes();
    [&[0x81, 126], &length[..], message.as_bytes()].concat()
}

fn answer(message: &str) -> Vec<u8> {
    let page = format!(r#"{{"cursor":"k3f9.182","messages":[{message}]}}"#);
    let length = page.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\netag: \"k3f9.182\"\r\ncache-control: no-store\r\n\
         content-length: {length}\r\ndate: Wed, 25 Nov 2026 01:01:20 GMT\r\n\r\n"
    );
    [head, page].concat().into_bytes()
}
