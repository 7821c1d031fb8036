//! Abuse, one kind a test: each connection gets the end that it earned, and honest clients beside it notice nothing.

use std::time::Duration;

use everyway::config::{Config, Seconds};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::deflate::deflate;
use super::support::bare::{Bare, masked};
use super::support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, PING, PREFACE,
    REFUSED_STREAM, RST_STREAM, SETTINGS, frame, get, head, post, reset,
};
use super::support::{Gateway, Reader, SOON, Via, until, within};

const DEFLATE: &str = "permessage-deflate";

/// A WebSocket, an event stream and a stream over HTTP/2 that do as they should.
struct Honest<'a> {
    gateway: &'a Gateway,
    readers: Vec<Reader>,
    said: u64,
}

impl<'a> Honest<'a> {
    async fn beside(gateway: &'a Gateway) -> Self {
        let mut readers = Vec::new();
        for via in [Via::WebSocket, Via::Sse, Via::SseOverHttp2] {
            readers.push(Reader::attach(gateway.address, via, &["calm"], "now").await);
        }
        Self {
            gateway,
            readers,
            said: 0,
        }
    }

    /// They are handed what is published now.
    async fn hear(&mut self) {
        self.said += 1;
        self.gateway.publish("calm", &json!(self.said)).await;
        for reader in &mut self.readers {
            assert_eq!(reader.take(1).await, [json!(self.said)], "{:?}", reader.via);
        }
    }
}

fn seconds(number: f64) -> Seconds {
    serde_json::from_value(json!(number)).expect("seconds")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_told_to_go_is_not_listened_to_for_long() {
    let gateway = Gateway::with(|config| config.timeouts.close_s = Seconds::new(60)).await;
    let mut ws = Bare::open(gateway.address, "/v1/ws?channel=a&cursor=bad").await;
    let message = masked(0x81, &[b'x'; 1000]);
    let goes_on = async {
        // Without an end of its own: only the gateway can end this.
        while ws.stream.write_all(&message).await.is_ok() {}
    };
    within("the gateway to close", goes_on).await;
}

/// Limits that a test need not wait long for.
fn hurried(config: &mut Config) {
    config.timeouts.stall_s = seconds(0.4);
    config.timeouts.close_s = seconds(0.2);
    config.timeouts.head_s = seconds(0.4);
    config.timeouts.body_s = seconds(0.4);
    config.timeouts.pong_s = seconds(0.4);
    config.http2.ping_s = seconds(0.4);
}

/// Sends bytes over a WebSocket, which alone ends, with a code.
async fn ends(extensions: &str, bytes: &[u8], code: u16) {
    let gateway = Gateway::start().await;
    let mut honest = Honest::beside(&gateway).await;
    let mut ws = Bare::offering(gateway.address, "/v1/ws?channel=a", extensions).await;
    ws.send(bytes).await;
    honest.hear().await;
    assert_eq!(ws.close_code().await, Some(code));
    honest.hear().await;
    until_left(&gateway, "websocket", 1.0).await;
}

async fn until_left(gateway: &Gateway, transport: &str, count: f64) {
    let metric = format!("everyway_attachments{{transport=\"{transport}\"}}");
    let left = || async { gateway.metric(&metric).await == count };
    until(&format!("{count} attachments over {transport}"), left).await;
}

async fn until_ended(gateway: &Gateway, transport: &str, code: &str) {
    let ended = async {
        loop {
            let text = gateway.get("/metrics").await.text();
            let label = format!("everyway_endings_total{{transport=\"{transport}\",");
            if let Some(line) = text.lines().find(|line| line.starts_with(&label)) {
                return line.to_owned();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let line = within(&format!("a {transport} to end"), ended).await;
    assert!(line.contains(&format!("code=\"{code}\"")), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unmasked_frame() {
    ends("", &[0x81, 1, b'x'], 1002).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reserved_bits() {
    for first in [0xa1, 0x91, 0xb1, 0xa9, 0xc9] {
        ends(DEFLATE, &masked(first, b"x"), 1002).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_oversized_control_frame() {
    for first in [0x88, 0x89, 0x8a] {
        ends("", &masked(first, &[b'x'; 126]), 1002).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_utf8_split_over_fragments() {
    let halves = [masked(0x01, b"\"\xc3"), masked(0x80, b"\x28\"")];
    ends("", &halves.concat(), 1007).await;
    let compressed = deflate(b"{\"action\":\"\xc3\x28\"}");
    let (left, right) = compressed.split_at(7);
    ends(
        DEFLATE,
        &[masked(0x41, left), masked(0x80, right)].concat(),
        1007,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_mark_of_compression_on_a_continuation() {
    let halves = [masked(0x01, b"a"), masked(0xc0, b"b")];
    ends(DEFLATE, &halves.concat(), 1002).await;
    let halves = [masked(0x41, b"a"), masked(0xc0, b"b")];
    ends(DEFLATE, &halves.concat(), 1002).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compressed_message_without_agreement() {
    ends("", &masked(0xc1, &deflate(b"{\"action\":\"ping\"}")), 1002).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deflate_bomb() {
    for mebibytes in [1, 8] {
        let bomb = deflate(&vec![b' '; mebibytes << 20]);
        assert!(bomb.len() < 10_000, "{}", bomb.len());
        ends(DEFLATE, &masked(0xc1, &bomb), 1009).await;
        let (left, right) = bomb.split_at(bomb.len() / 2);
        ends(
            DEFLATE,
            &[masked(0x41, left), masked(0x80, right)].concat(),
            1009,
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_for_deflate_data() {
    ends(DEFLATE, &masked(0xc1, &[0xff; 20]), 1007).await;
    // A stored block whose lengths disagree, and a copy from before the beginning.
    ends(DEFLATE, &masked(0xc1, &[0x00, 5, 0, 0, 0]), 1007).await;
    ends(DEFLATE, &masked(0xc1, &[0x02, 0x02, 0x00]), 1007).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compressed_message_that_is_cut_or_goes_on_as_garbage() {
    // Short enough for one fixed block: what is left of it is a whole command.
    let ping = deflate(b"{\"action\":\"ping\"}   ");
    ends(DEFLATE, &masked(0xc1, &ping[..ping.len() - 2]), 1007).await;
    // A final block with `{}`, and no block behind it.
    let more = [0xab, 0xae, 0x05, 0x00, 0xff, 0xff];
    ends(DEFLATE, &masked(0xc1, &more), 1007).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_that_announces_more_than_there_is_memory() {
    for first in [0x81, 0x01, 0xc1] {
        let head = [&[first, 0xff, 0x80][..], &[0; 7], &[1, 2, 3, 4]].concat();
        ends(DEFLATE, &head, 1009).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fragments_that_add_up() {
    let mut frames = masked(0x01, &[b' '; 60_000]);
    frames.extend(masked(0x00, &[b' '; 60_000]));
    ends("", &frames, 1009).await;
}

/// Writes over and over what is never answered for, and says how much was taken before the connection ended.
async fn flood(stream: &mut TcpStream, bytes: &[u8], honest: &mut Honest<'_>) -> usize {
    let mut taken = 0;
    let begin = tokio::time::Instant::now();
    loop {
        assert!(begin.elapsed() < SOON, "the flood was not stopped");
        // A write that waits is what is to be seen, as much as one that fails.
        let write = stream.write(&bytes[taken % bytes.len()..]);
        match tokio::time::timeout(Duration::from_millis(50), write).await {
            Ok(Ok(count)) => taken += count,
            Ok(Err(_)) => return taken,
            Err(_) => honest.hear().await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pings_without_end_from_who_never_reads() {
    let gateway = Gateway::with(hurried).await;
    let mut honest = Honest::beside(&gateway).await;
    let mut ws = Bare::open(gateway.address, "/v1/ws?channel=a").await;
    let pings = masked(0x89, &[b'x'; 125]).repeat(100);
    let taken = flood(&mut ws.stream, &pings, &mut honest).await;
    assert!(taken < 64 << 20, "{taken} bytes were taken");
    until_ended(&gateway, "websocket", "slow").await;
    honest.hear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_without_end_from_who_never_reads() {
    let gateway = Gateway::with(hurried).await;
    let mut honest = Honest::beside(&gateway).await;
    let mut ws = Bare::open(gateway.address, "/v1/ws?channel=a").await;
    let commands = masked(0x81, br#"{"action":"ping"}"#).repeat(100);
    let taken = flood(&mut ws.stream, &commands, &mut honest).await;
    assert!(taken < 64 << 20, "{taken} bytes were taken");
    until_ended(&gateway, "websocket", "slow").await;
    honest.hear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_never_reads() {
    let gateway = Gateway::with(hurried).await;
    let mut honest = Honest::beside(&gateway).await;
    let _stuck = Bare::open(gateway.address, "/v1/ws?channel=a").await;
    let big = json!(super::support::random_text(60_000));
    let ended = async {
        while gateway
            .metric("everyway_attachments{transport=\"websocket\"}")
            .await
            > 1.0
        {
            gateway.publish("a", &big).await;
        }
    };
    within("the stuck WebSocket to end", ended).await;
    until_ended(&gateway, "websocket", "slow").await;
    honest.hear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_closes_halfway_in_the_middle_of_a_frame() {
    let gateway = Gateway::start().await;
    let mut honest = Honest::beside(&gateway).await;
    for half in [
        &masked(0x81, b"half a frame")[..9],
        &[0x81],
        &masked(0x01, b"x"),
    ] {
        let mut ws = Bare::open(gateway.address, "/v1/ws?channel=a").await;
        ws.send(half).await;
        ws.stream.shutdown().await.expect("an open connection");
        honest.hear().await;
        ws.close_code().await;
        until_left(&gateway, "websocket", 1.0).await;
    }
    honest.hear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_preface() {
    let gateway = Gateway::with(hurried).await;
    let mut honest = Honest::beside(&gateway).await;
    for length in [1, 12, 23] {
        let mut stream = TcpStream::connect(gateway.address).await.expect("a port");
        stream.write_all(&PREFACE[..length]).await.expect("room");
        honest.hear().await;
        let mut rest = Vec::new();
        let closed = stream.read_to_end(&mut rest);
        drop(within("half a preface to be closed", closed).await);
        assert_eq!(rest, b"", "{length} bytes");
    }
    honest.hear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preface_and_no_settings() {
    let gateway = Gateway::with(hurried).await;
    let mut honest = Honest::beside(&gateway).await;
    let mut stream = TcpStream::connect(gateway.address).await.expect("a port");
    stream.write_all(PREFACE).await.expect("room");
    honest.hear().await;
    let mut rest = Vec::new();
    let closed = stream.read_to_end(&mut rest);
    drop(within("a silent client to be closed", closed).await);
    honest.hear().await;
}

/// Sends bytes over HTTP/2 while it reads what comes back, and says if the connection lives on.
async fn survives(gateway: &Gateway, bytes: Vec<u8>, honest: &mut Honest<'_>) -> bool {
    let Frames { stream } = Frames::open(gateway.address).await;
    let (mut from, mut to) = stream.into_split();
    let ping = frame(PING, 0, 0, b"the last");
    let sending = tokio::spawn(async move {
        // A connection that is cut takes no more.
        let sent = to.write_all(&bytes).await.is_ok() && to.write_all(&ping).await.is_ok();
        (sent, to)
    });
    honest.hear().await;
    let mut answered = false;
    let reading = async {
        while let Some(frame) = super::support::frames::read(&mut from).await {
            match frame.kind {
                GOAWAY => return,
                PING if frame.payload == b"the last" => {
                    answered = true;
                    return;
                }
                _ => {}
            }
        }
    };
    within("the flood to be answered or cut", reading).await;
    sending.abort();
    answered
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rapid_reset() {
    let gateway = Gateway::start().await;
    let mut honest = Honest::beside(&gateway).await;
    for target in ["/v1/longpoll?channel=a", "/v1/sse?channel=a", "/v1/ws"] {
        let pairs = (0..5000).flat_map(|n| [get(2 * n + 1, target), reset(2 * n + 1)]);
        let bytes = pairs.flatten().collect();
        assert!(!survives(&gateway, bytes, &mut honest).await, "{target}");
        until_left(&gateway, "longpoll", 0.0).await;
        until_left(&gateway, "sse", 2.0).await;
    }
    honest.hear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn empty_data_frames_without_end() {
    let gateway = Gateway::with(hurried).await;
    let mut honest = Honest::beside(&gateway).await;
    let mut connection = Frames::open(gateway.address).await;
    connection.send(&post(1, "/v1/publish?channel=a")).await;
    let empty = frame(DATA, 0, 1, b"").repeat(100);
    flood(&mut connection.stream, &empty, &mut honest).await;
    honest.hear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_frames_of_a_byte() {
    let gateway = Gateway::start().await;
    let mut honest = Honest::beside(&gateway).await;
    let mut bytes = post(1, "/v1/publish?channel=a");
    bytes.extend(frame(DATA, 0, 1, b" ").repeat(20_000));
    bytes.extend(frame(DATA, END_STREAM, 1, b"1"));
    // More than the HTTP/2 library holds of what nobody had the time to read.
    assert!(!survives(&gateway, bytes, &mut honest).await);
    honest.hear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pings_and_settings_over_http2() {
    let gateway = Gateway::start().await;
    let mut honest = Honest::beside(&gateway).await;
    for each in [frame(PING, 0, 0, b"12345678"), frame(SETTINGS, 0, 0, b"")] {
        // Who reads the answers may go on: it costs as much as it takes.
        assert!(survives(&gateway, each.repeat(20_000), &mut honest).await);
    }
    honest.hear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pings_and_settings_over_http2_from_who_never_reads() {
    let gateway = Gateway::with(hurried).await;
    let mut honest = Honest::beside(&gateway).await;
    for each in [frame(PING, 0, 0, b"12345678"), frame(SETTINGS, 0, 0, b"")] {
        let mut connection = Frames::open(gateway.address).await;
        let taken = flood(&mut connection.stream, &each.repeat(500), &mut honest).await;
        assert!(taken < 64 << 20, "{taken} bytes were taken");
    }
    honest.hear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_goes_on_and_on() {
    let gateway = Gateway::with(hurried).await;
    let mut honest = Honest::beside(&gateway).await;
    let mut bytes = frame(HEADERS, END_STREAM, 1, &head(0x82, "/healthz"));
    // A literal field without a name in the table, as large as a frame may be.
    let field = [&[0x00, 1, b'x', 0x7f, 0x81, 0x7e][..], &[b'y'; 16_256]].concat();
    bytes.extend(frame(CONTINUATION, 0, 1, &field).repeat(1000));
    assert!(!survives(&gateway, bytes, &mut honest).await);
    honest.hear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_never_ends() {
    let gateway = Gateway::with(hurried).await;
    let mut honest = Honest::beside(&gateway).await;
    let mut connection = Frames::open(gateway.address).await;
    let begun = frame(HEADERS, END_STREAM, 1, &head(0x82, "/healthz"));
    connection.send(&begun).await;
    honest.hear().await;
    // Nothing but its continuation may follow, so no ping is answered, and that ends it.
    let mut rest = Vec::new();
    let closed = connection.stream.read_to_end(&mut rest);
    drop(within("a head without end to be closed", closed).await);
    honest.hear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_streams_than_there_may_be() {
    let gateway = Gateway::with(|config| config.http2.streams_max = 3).await;
    let mut honest = Honest::beside(&gateway).await;
    let mut connection = Frames::open(gateway.address).await;
    for stream in [1, 3, 5] {
        let target = "/v1/longpoll?channel=a&wait=50";
        connection.send(&get(stream, target)).await;
    }
    until_left(&gateway, "longpoll", 3.0).await;
    connection.send(&get(7, "/v1/poll?channel=a")).await;
    let refused = connection.until(RST_STREAM).await;
    assert_eq!((refused.stream, refused.error()), (7, REFUSED_STREAM));
    honest.hear().await;
    gateway.publish("a", &json!(1)).await;
    let mut answered = Vec::new();
    while answered.len() < 3 {
        answered.push(connection.until(HEADERS).await.stream);
    }
    answered.sort_unstable();
    assert_eq!(answered, [1, 3, 5]);
    assert!(connection.is_alive().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_without_a_window_is_cut_and_others_live() {
    let gateway = Gateway::with(hurried).await;
    let mut honest = Honest::beside(&gateway).await;
    let mut connection = Frames::open(gateway.address).await;
    // SETTINGS_INITIAL_WINDOW_SIZE 0: an answer's body may never be sent.
    connection
        .send(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]))
        .await;
    connection.send(&get(1, "/v1/sse?channel=a")).await;
    until_left(&gateway, "sse", 3.0).await;
    assert_eq!(connection.until(HEADERS).await.flags, END_HEADERS);
    let begin = tokio::time::Instant::now();
    while gateway
        .metric("everyway_attachments{transport=\"sse\"}")
        .await
        > 2.0
    {
        assert!(connection.is_alive().await, "only the stream is to blame");
        honest.hear().await;
        assert!(begin.elapsed() < Duration::from_secs(5), "it was not cut");
    }
    until_ended(&gateway, "sse", "slow").await;
}
