//! What servers sent, as it was recorded; only payloads were put in the place of others.

use super::*;

fn payload(number: u64) -> String {
    numbered::payload(number, 128)
}

fn reader(dialect: Dialect, kind: Kind) -> Reader {
    Reader::new(Wire { dialect, kind }, Role::Subscriber, "b")
}

/// Takes `bytes` whole, and byte by byte; both must come to the same.
fn read(dialect: Dialect, kind: Kind, bytes: &[u8]) -> Result<Reader> {
    let mut whole = reader(dialect, kind);
    whole.take(bytes)?;
    let mut slow = reader(dialect, kind);
    for byte in bytes.chunks(1) {
        slow.take(byte)?;
    }
    assert_eq!(format!("{whole:?}"), format!("{slow:?}"));
    Ok(whole)
}

fn error(dialect: Dialect, kind: Kind, bytes: &[u8]) -> String {
    read(dialect, kind, bytes).unwrap_err().to_string()
}

/// An unmasked text.
fn text(text: &str) -> Vec<u8> {
    let length = text.len() as u8;
    let mut frame = match length {
        0..=125 => vec![0x81, length],
        _ => vec![0x81, 126, 0, length],
    };
    frame.extend_from_slice(text.as_bytes());
    frame
}

const UPGRADED: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

fn answer(fields: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}

fn message(offset: u64, number: u64) -> String {
    let payload = payload(number);
    format!(
        r#"{{"type":"message","channel":"b","offset":{offset},"time":1763800000123,"data":{payload}}}"#
    )
}

#[test]
fn everyway_over_a_websocket() {
    let mut bytes = UPGRADED.to_vec();
    bytes.extend(text(
        r#"{"type":"welcome","session":"x","heartbeat_s":25,"channels":[]}"#,
    ));
    bytes.extend(text(&message(41, 0)));
    bytes.extend([0x89, 2, b'h', b'i']);
    bytes.extend(text(&message(42, 1)));
    let reader = read(Dialect::Everyway, Kind::WebSocket, &bytes).unwrap();
    assert_eq!((reader.messages, reader.others), (2, 1));
    assert_eq!(reader.say, [0x8a, 0x82, 0, 0, 0, 0, b'h', b'i']);
}

#[test]
fn a_hole_and_a_repeat_are_errors_in_offsets_and_in_payloads() {
    let two = |second: String| [UPGRADED.to_vec(), text(&message(41, 0)), text(&second)].concat();
    let cases = [
        (message(43, 1), "offset 43 after Some(41)"),
        (message(41, 0), "offset 41 after Some(41)"),
        (message(42, 2), "message 2 came when 1 was due"),
        (message(42, 0), "message 0 came when 1 was due"),
        (r#"{"type":"gap","channel":"b"}"#.to_owned(), "a gap"),
    ];
    for (second, refusal) in cases {
        let error = error(Dialect::Everyway, Kind::WebSocket, &two(second));
        assert!(error.starts_with(refusal), "{error}");
    }
}

#[test]
fn everyway_over_an_event_stream_in_chunks() {
    let event = format!("id: k3f9.41\ndata: {}\n\n", message(41, 0));
    let mut bytes =
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            .to_vec();
    let welcome = "event: welcome\nid: k3f9.40\nretry: 2100\ndata: {\"type\":\"welcome\"}\n\n";
    // A chunk may end anywhere in an event.
    for chunk in [welcome, &event[..20], &event[20..]] {
        bytes.extend(format!("{:x}\r\n{chunk}\r\n", chunk.len()).into_bytes());
    }
    let reader = read(Dialect::Everyway, Kind::Sse, &bytes).unwrap();
    assert_eq!((reader.messages, reader.others), (1, 1));
}

#[test]
fn a_message_in_another_order_is_read_as_well() {
    let (first, second) = (message(41, 0), message(42, 1));
    let other = second
        .replace(
            r#","channel":"b","offset":42"#,
            r#","offset":42,"channel":"b""#,
        )
        .replace(
            r#""time":1763800000123"#,
            r#""id":"x","time":1763800000123"#,
        );
    let bytes = [UPGRADED.to_vec(), text(&first), text(&other)].concat();
    let reader = read(Dialect::Everyway, Kind::WebSocket, &bytes).unwrap();
    assert_eq!(reader.messages, 2);
}

#[test]
fn a_payload_that_was_changed_is_an_error_in_an_event_stream() {
    let changed = message(41, 0).replace("xyz", "xyy");
    let event = format!("id: k3f9.41\ndata: {changed}\n\n");
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let bytes = format!("{head}{:x}\r\n{event}\r\n", event.len());
    let error = error(Dialect::Everyway, Kind::Sse, bytes.as_bytes());
    assert!(error.starts_with("no payload of ours"), "{error}");
}

#[test]
fn everyway_over_long_polls() {
    let empty = answer("", r#"{"cursor":"k3f9.40","messages":[]}"#);
    let (first, second) = (message(41, 0), message(42, 1));
    let page = format!(r#"{{"cursor":"k3f9.42","messages":[{first},{second}],"more":true}}"#);
    let bytes = [empty, answer("ETag: \"k3f9.42\"\r\n", &page)].concat();
    let reader = read(Dialect::Everyway, Kind::Longpoll, &bytes).unwrap();
    assert_eq!((reader.messages, reader.others), (2, 2));
    let said = String::from_utf8(reader.say).unwrap();
    let next =
        "GET /v1/longpoll?channel=b&cursor=k3f9.42&wait=55 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert!(said.ends_with(next), "{said}");
}

#[test]
fn nchan_over_a_websocket() {
    let head = b"HTTP/1.1 101 Switching Protocols\r\nServer: nginx/1.22.1\r\nDate: Wed, 25 Nov 2026 01:01:20 GMT\r\n\
        Content-Length: 0\r\nConnection: upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
        Upgrade: websocket\r\n\r\n";
    let bytes = [head.to_vec(), text(&payload(0)), text(&payload(1))].concat();
    let reader = read(Dialect::Nchan, Kind::WebSocket, &bytes).unwrap();
    assert_eq!((reader.messages, reader.others), (2, 1));
}

#[test]
fn nchan_over_an_event_stream_without_chunks() {
    let head = "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nContent-Type: text/event-stream; charset=utf-8\r\n\
        Connection: keep-alive\r\n\r\n: hi\n\n";
    let (first, second) = (payload(0), payload(1));
    let events = format!("id: 1795568502:0\ndata: {first}\n\nid: 1795568502:1\ndata: {second}\n\n");
    let reader = read(
        Dialect::Nchan,
        Kind::Sse,
        format!("{head}{events}").as_bytes(),
    )
    .unwrap();
    assert_eq!((reader.messages, reader.others), (2, 1));
}

#[test]
fn nchan_over_long_polls_goes_on_from_the_ids_in_the_head() {
    let fields = "Server: nginx/1.22.1\r\nLast-Modified: Wed, 25 Nov 2026 01:01:21 GMT\r\nConnection: keep-alive\r\n\
        Etag: 0\r\nVary: If-None-Match, If-Modified-Since\r\n";
    let bytes = answer(fields, &payload(0));
    let reader = read(Dialect::Nchan, Kind::Longpoll, &bytes).unwrap();
    assert_eq!(reader.messages, 1);
    let next = "GET /longpoll?channel=b HTTP/1.1\r\nHost: localhost\r\n\
        If-Modified-Since: Wed, 25 Nov 2026 01:01:21 GMT\r\nIf-None-Match: 0\r\n\r\n";
    assert_eq!(String::from_utf8(reader.say).unwrap(), next);
}

#[test]
fn what_nchan_says_to_a_publisher_is_an_answer_if_it_is_good_news() {
    let wire = Wire {
        dialect: Dialect::Nchan,
        kind: Kind::WebSocket,
    };
    let said = |words: &str| {
        let mut reader = Reader::new(wire, Role::Publisher, "b");
        reader.take(&[UPGRADED, &text(words)].concat())?;
        anyhow::Ok(reader.others)
    };
    let good = "queued messages: 1\r\nlast requested: 0 sec. ago\r\nactive subscribers: 2\r\n\
        last message id: 1795568481:0";
    assert_eq!(said(good).unwrap(), 2);
    let bad = said("Channel is out of memory").unwrap_err().to_string();
    assert_eq!(bad, "Nchan answered Channel is out of memory");
}

const OPEN: &str =
    r#"0{"sid":"zpsv4B2Z","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000}"#;

#[test]
fn socket_io_over_a_websocket() {
    let event = format!(r#"42["message",{}]"#, payload(0));
    let packets = [
        OPEN,
        r#"40{"sid":"vd_hfLK"}"#,
        r#"42["ready"]"#,
        "2",
        &event,
    ];
    let frames = packets.iter().flat_map(|packet| text(packet));
    let bytes: Vec<u8> = UPGRADED.iter().copied().chain(frames).collect();
    let reader = read(Dialect::SocketIo, Kind::WebSocket, &bytes).unwrap();
    assert_eq!((reader.messages, reader.others), (1, 1));
    let said = [wire::masked_text("40"), wire::masked_text("3")].concat();
    assert_eq!(reader.say, said);
}

#[test]
fn socket_io_over_long_polls_posts_before_it_polls_on() {
    let event = format!(r#"42["message",{}]"#, payload(0));
    let ready = "40{\"sid\":\"gA0OY8\"}\x1e42[\"ready\"]";
    let mut reader = reader(Dialect::SocketIo, Kind::Longpoll);
    let said = |reader: &mut Reader, body: &str| {
        reader.say.clear();
        reader
            .take(&answer("Connection: keep-alive\r\n", body))
            .unwrap();
        String::from_utf8(reader.say.clone()).unwrap()
    };
    let (post, get) = (
        "POST /socket.io/?EIO=4&transport=polling&sid=zpsv4B2Z HTTP/1.1\r\n",
        "GET /socket.io/?EIO=4&transport=polling&sid=zpsv4B2Z HTTP/1.1\r\nHost: localhost\r\n\r\n",
    );
    let first = said(&mut reader, OPEN);
    assert!(
        first.starts_with(post) && first.ends_with(&format!("\r\n\r\n40{get}")),
        "{first}"
    );
    assert_eq!(said(&mut reader, "ok"), "");
    assert_eq!(said(&mut reader, ready), get);
    let pong = said(&mut reader, &format!("2\x1e{event}"));
    assert!(
        pong.starts_with(post) && pong.ends_with(&format!("\r\n\r\n3{get}")),
        "{pong}"
    );
    assert_eq!((reader.messages, reader.others), (1, 1));
}

#[test]
fn ws_and_websockets() {
    let mut bytes = [UPGRADED.to_vec(), text("ready"), text(&payload(0))].concat();
    // The library `websockets` pings after 20 s.
    bytes.extend([0x89, 4, 1, 2, 3, 4]);
    let reader = read(Dialect::Plain, Kind::WebSocket, &bytes).unwrap();
    assert_eq!((reader.messages, reader.others), (1, 1));
    assert_eq!(reader.say, wire::pong(&[1, 2, 3, 4]));
}

#[test]
fn messages_without_a_form_are_counted_by_their_bytes() {
    let reader = read(Dialect::Raw(3), Kind::WebSocket, b"abcabcab").unwrap();
    assert_eq!((reader.messages, reader.others), (2, 0));
}

#[test]
fn refusals_and_ends_are_errors() {
    let forbidden = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
    let closed = [UPGRADED, &[0x88, 2, 0x03, 0xe8]].concat();
    let ended = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let cases = [
        (
            Kind::Sse,
            &forbidden[..],
            "the server answered HTTP/1.1 403",
        ),
        (Kind::WebSocket, &closed, "a frame 0x88"),
        (Kind::Sse, &ended[..], "the stream ended"),
    ];
    for (kind, bytes, refusal) in cases {
        let error = error(Dialect::Everyway, kind, bytes);
        assert!(error.starts_with(refusal), "{error}");
    }
}
