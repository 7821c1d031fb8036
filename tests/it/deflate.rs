//! permessage-deflate (RFC 7692) as it looks on the wire.

use serde_json::json;

use super::support::bare::{Bare, masked};
use super::support::{Gateway, Reader, Via, random_text};

const ANSWER: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// The answer to an offer; nothing if it was declined.
fn answer(ws: &Bare) -> Option<&str> {
    ws.head
        .lines()
        .find_map(|line| line.strip_prefix("sec-websocket-extensions: "))
}

fn inflate(payload: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(1 << 20);
    let whole = [payload, &[0, 0, 0xff, 0xff]].concat();
    flate2::Decompress::new(false)
        .decompress_vec(&whole, &mut output, flate2::FlushDecompress::Sync)
        .expect("deflate data");
    output
}

pub fn deflate(message: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(message.len() + 64);
    flate2::Compress::new(flate2::Compression::best(), false)
        .compress_vec(message, &mut output, flate2::FlushCompress::Sync)
        .expect("room");
    output.truncate(output.len() - 4);
    output
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_offered_gets_compressed_frames_and_who_did_not_never_does() {
    let gateway = Gateway::start().await;
    let target = "/v1/ws?channel=a";
    let mut with = Bare::offering(gateway.address, target, "permessage-deflate").await;
    let mut without = Bare::open(gateway.address, target).await;
    assert_eq!((answer(&with), answer(&without)), (Some(ANSWER), None));
    for ws in [&mut with, &mut without] {
        assert_eq!(ws.frame().await.expect("welcome").first, 0x81);
    }
    gateway.publish("a", &json!("short")).await;
    gateway.publish("a", &json!("long".repeat(1000))).await;
    let (short, long) = (without.frame().await, without.frame().await);
    assert_eq!(with.frame().await, short, "a short one goes as it is");
    let (long, deflated) = (long.expect("long"), with.frame().await.expect("long"));
    assert_eq!((long.first, deflated.first), (0x81, 0xc1));
    assert!(deflated.payload.len() * 10 < long.payload.len());
    assert_eq!(inflate(&deflated.payload), long.payload);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fragments_carry_the_mark_of_compression_on_the_first_only() {
    let gateway = Gateway::start().await;
    let target = "/v1/ws?channel=a";
    let mut with = Bare::offering(gateway.address, target, "permessage-deflate").await;
    let mut without = Bare::open(gateway.address, target).await;
    gateway.publish("a", &json!(random_text(60_000))).await;
    for (ws, first) in [(&mut with, 0x41), (&mut without, 0x01)] {
        ws.frame().await.expect("welcome");
        let mut firsts = Vec::new();
        while firsts.last().is_none_or(|first| first & 0x80 == 0) {
            let frame = ws.frame().await.expect("a fragment");
            assert!(frame.payload.len() <= 16 * 1024);
            firsts.push(frame.first);
        }
        let middle = firsts.len() - 2;
        assert_eq!(firsts, [vec![first], vec![0; middle], vec![0x80]].concat());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_library_that_offers_is_sent_fewer_bytes() {
    for (via, fewer) in [
        (Via::Deflate, true),
        (Via::DeflateOverHttp2, true),
        (Via::WebSocketOverHttp2, false),
        (Via::WebSocket, false),
    ] {
        let gateway = Gateway::start().await;
        let mut reader = Reader::attach(gateway.address, via, &["a"], "now").await;
        let message = json!("long".repeat(5000));
        for _ in 0..10 {
            gateway.publish("a", &message).await;
        }
        assert_eq!(reader.take(10).await, vec![message; 10]);
        let bytes = "everyway_bytes_total{transport=\"websocket\"}";
        let sent = gateway.metric(bytes).await;
        assert_eq!(sent < 20_000.0, fewer, "{via:?} was sent {sent} bytes");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_window_is_agreed_to_and_gets_frames_as_they_are() {
    let gateway = Gateway::start().await;
    let offer = "permessage-deflate; server_max_window_bits=8";
    let mut ws = Bare::offering(gateway.address, "/v1/ws?channel=a", offer).await;
    let agreed = format!("{ANSWER}; server_max_window_bits=8");
    assert_eq!(answer(&ws), Some(agreed.as_str()));
    ws.frame().await.expect("welcome");
    gateway.publish("a", &json!("long".repeat(1000))).await;
    assert_eq!(ws.frame().await.expect("a message").first, 0x81);
    let ping = deflate(br#"{"action":"ping"}"#);
    ws.send(&masked(0xc1, &ping)).await;
    let pong = ws.frame().await.expect("an answer").payload;
    assert_eq!(pong, br#"{"type":"pong"}"#, "it may send compressed ones");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_malformed_offer_is_declined_and_the_websocket_works() {
    let gateway = Gateway::start().await;
    for offer in [
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
        "permessage-deflate; surprise",
        "permessage-deflate=1",
        "PERMESSAGE-DEFLATE-2, x-webkit-deflate-frame",
        ";,;,",
    ] {
        let mut ws = Bare::offering(gateway.address, "/v1/ws?channel=a", offer).await;
        assert_eq!(answer(&ws), None, "{offer}");
        ws.frame().await.expect("welcome");
        gateway.publish("a", &json!("long".repeat(1000))).await;
        assert_eq!(ws.frame().await.expect("a message").first, 0x81, "{offer}");
    }
}
