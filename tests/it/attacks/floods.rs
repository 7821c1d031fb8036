//! Floods, each against the real program: honest clients go on receiving over every transport, nothing is lost, and the
//! memory falls back afterwards (design, tenets 1 and 2).

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};

use super::siege::{KEPT_BYTES_MAX, Siege};
use crate::deflate::deflate;
use crate::support::bare::{Bare, masked};
use crate::support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, HEADERS, PING, PREFACE, SETTINGS, frame,
    get, head, post, reset,
};
use crate::support::http::{connect_from, request};
use crate::support::{need, random_text, within};

const ATTACKER: [u8; 4] = [127, 0, 0, 2];
const PRIORITY: u8 = 2;
const WINDOW_UPDATE: u8 = 8;

/// So many at once do the same.
async fn at_once<F: Future<Output = ()>>(count: usize, one: impl Fn(usize) -> F) {
    join_all((0..count).map(one)).await;
}

/// Says something over and over and reads what comes back, until all is said or the gateway has had enough.
async fn pour(address: SocketAddr, hello: &[u8], each: &[u8], times: usize) {
    let mut stream = TcpStream::connect(address)
        .await
        .expect("the gateway listens");
    let (mut from, mut to) = stream.split();
    let said = async {
        to.write_all(hello).await?;
        for _ in 0..times {
            to.write_all(each).await?;
        }
        to.flush().await
    };
    let heard = async {
        let mut sink = [0; 16 * 1024];
        while matches!(from.read(&mut sink).await, Ok(1..)) {}
    };
    let poured = async {
        tokio::select! {
            // A gateway that has had enough reads no more.
            _ = said => {}
            () = heard => {}
        }
    };
    within("a flood to be taken or cut", poured).await;
}

/// Says something over and over, never reads, and waits for the gateway to end it.
async fn pour_blindly(mut stream: TcpStream, each: &[u8]) {
    let poured = async { while stream.write_all(each).await.is_ok() {} };
    within("who never reads to be cut", poured).await;
}

/// Says a beginning and then a little at a time, until the gateway ends it.
async fn drip(address: SocketAddr, hello: &[u8], each: &[u8]) {
    let mut stream = TcpStream::connect(address)
        .await
        .expect("the gateway listens");
    let (mut from, mut to) = stream.split();
    let dripping = async {
        let mut pace = interval(Duration::from_millis(50));
        if to.write_all(hello).await.is_err() {
            return;
        }
        loop {
            pace.tick().await;
            if to.write_all(each).await.is_err() {
                return;
            }
        }
    };
    let ended = async {
        let mut sink = [0; 1024];
        while matches!(from.read(&mut sink).await, Ok(1..)) {}
    };
    let cut = async {
        tokio::select! {
            () = dripping => {}
            () = ended => {}
        }
    };
    within("who drips to be cut", cut).await;
}

/// What an HTTP/2 client says first.
fn hello() -> Vec<u8> {
    [PREFACE, &frame(SETTINGS, 0, 0, b"")].concat()
}

/// Ten thousand sockets from one address: it has its thousand, the others are closed before they cost anything (design,
/// section 7).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_sockets() {
    const SOCKETS: usize = 10_000;
    if !need::open_files(SOCKETS as u64 + 2_000) {
        return;
    }
    let counted = [
        "limits.loopback=true",
        "limits.requests=off",
        "limits.attach=off",
        "limits.publish=off",
    ];
    let siege = Siege::of(&counted).await;
    let attack = async |siege: &Siege| {
        let mut held = Vec::with_capacity(SOCKETS);
        for _ in 0..SOCKETS {
            held.push(connect_from(ATTACKER, siege.address).await);
        }
        let metrics = request(siege.address, "GET", "/metrics", &[], b"")
            .await
            .text();
        let open = metrics
            .lines()
            .find_map(|line| line.strip_prefix("everyway_sockets "));
        let open: u32 = open.expect("a metric").parse().expect("a number");
        assert!(open < 1_100, "{open} sockets are open");
    };
    siege.endure(attack).await;
}

/// Who comes and goes at once, over and over, with and without a word.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_that_come_and_go() {
    let siege = Siege::of(&[]).await;
    let come_and_go = async |siege: &Siege| {
        for words in [
            &b""[..],
            b"GET /v1/sse?channel=a HTTP/1.1\r\nhost: localhost\r\n\r\n",
            PREFACE,
        ] {
            for _ in 0..300 {
                let mut stream = connect_from(ATTACKER, siege.address).await;
                stream.write_all(words).await.expect("room for a few words");
            }
        }
    };
    siege.endure(come_and_go).await;
}

/// Slowloris: heads that are said a line at a time are cut after `timeouts.head_s` (design, section 7).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_heads() {
    let siege = Siege::of(&[]).await;
    let begun = b"GET /v1/poll?channel=a HTTP/1.1\r\nhost: localhost\r\n";
    siege
        .endure(async |siege| at_once(300, |_| drip(siege.address, begun, b"x: y\r\n")).await)
        .await;
}

/// Slowloris: bodies that are said a byte at a time are given up after `timeouts.body_s` (design, section 7).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_bodies() {
    let siege = Siege::of(&[]).await;
    let begun = b"POST /v1/publish?channel=a HTTP/1.1\r\nhost: localhost\r\ncontent-length: 60000\r\n\r\n\"";
    siege
        .endure(async |siege| at_once(300, |_| drip(siege.address, begun, b"x")).await)
        .await;
}

/// Slowloris: TLS hellos that are said a byte at a time are cut after `timeouts.tls_s`, and a handshake that is whole is not
/// kept waiting by them (design, section 7).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_hellos() {
    let siege = Siege::of(&["limits.handshakes_max=400"]).await;
    let begun = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    siege
        .endure(async |siege| at_once(300, |_| drip(siege.encrypted, begun, b"\0")).await)
        .await;
}

/// Garbage where a TLS hello should be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_for_hellos() {
    let siege = Siege::of(&[]).await;
    let garbage = random_text(16_000);
    let record = [b"\x16\x03\x01\x3e\x80", garbage.as_bytes()].concat();
    let attack = async |siege: &Siege| {
        at_once(100, |_| pour(siege.encrypted, b"", garbage.as_bytes(), 20)).await;
        at_once(100, |_| pour(siege.encrypted, b"", &record, 20)).await;
    };
    siege.endure(attack).await;
}

/// A body that never ends is cut at the largest message, whatever it says of its length (design, section 7).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_without_end() {
    let siege = Siege::of(&[]).await;
    let begun = b"POST /v1/publish?channel=a HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let over_http2 = frame(DATA, 0, 1, &[b' '; 16_384]);
    let begun2 = [hello(), post(1, "/v1/publish?channel=a")].concat();
    let attack = async |siege: &Siege| {
        at_once(20, |_| pour(siege.address, begun, chunk.as_bytes(), 200)).await;
        at_once(20, |_| pour(siege.address, &begun2, &over_http2, 200)).await;
    };
    siege.endure(attack).await;
}

/// Heads that never end: too many fields, a field without end, and HTTP/2 continuations without end (RFC 9113, section 10.5.1).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_without_end() {
    let siege = Siege::of(&[]).await;
    let begun = b"GET / HTTP/1.1\r\nhost: localhost\r\n";
    let long = [b"x: ", random_text(16_000).as_bytes()].concat();
    let begun2 = [
        hello(),
        frame(HEADERS, END_STREAM, 1, &head(0x82, "/healthz")),
    ]
    .concat();
    let field = [&[0x00, 1, b'x', 0x7f, 0x81, 0x7e][..], &[b'y'; 16_256]].concat();
    let (more, empty) = (
        frame(CONTINUATION, 0, 1, &field),
        frame(CONTINUATION, 0, 1, b"").repeat(1000),
    );
    let attack = async |siege: &Siege| {
        at_once(20, |_| pour(siege.address, begun, b"x: y\r\n", 20_000)).await;
        at_once(20, |_| pour(siege.address, begun, &long, 200)).await;
        at_once(20, |_| pour(siege.address, &begun2, &more, 200)).await;
        at_once(20, |_| pour(siege.address, &begun2, &empty, 20)).await;
    };
    siege.endure(attack).await;
}

/// A field of 4 KiB in the table, named thousands of times by a byte each: a head counts as long as it is unpacked (RFC 7541,
/// section 7.3).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packed_heads() {
    let siege = Siege::of(&[]).await;
    let mut block = head(0x82, "/healthz");
    // Length 3900 as a number of 7 bits and more (RFC 7541, section 5.1): 127 + 61 + 29 * 128.
    block.extend([0x40, 1, b'x', 0x7f, 0x80 | 61, 29]);
    block.extend([b'y'; 3900]);
    block.extend([0xbe; 12_000]);
    let bomb = frame(HEADERS, END_STREAM | END_HEADERS, 1, &block);
    let first = [hello(), bomb].concat();
    let again = |n: u32| {
        frame(
            HEADERS,
            END_STREAM | END_HEADERS,
            2 * n + 3,
            &[&head(0x82, "/healthz")[..], &[0xbe; 16_000]].concat(),
        )
    };
    let more: Vec<u8> = (0..50).flat_map(again).collect();
    siege
        .endure(async |siege| at_once(50, |_| pour(siege.address, &first, &more, 1)).await)
        .await;
}

/// Rapid reset: streams that are opened and given up at once (CVE-2023-44487; RFC 9113, section 10.5).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rapid_resets() {
    let siege = Siege::of(&[]).await;
    let targets = [
        "/v1/longpoll?channel=a",
        "/v1/sse?channel=a",
        "/v1/poll?channel=calm&cursor=earliest",
    ];
    let pairs = |target| {
        let pairs = (0..2000_u32).flat_map(|n| [get(2 * n + 1, target), reset(2 * n + 1)]);
        pairs.flatten().collect::<Vec<u8>>()
    };
    let (hello, floods) = (hello(), targets.map(pairs));
    siege
        .endure(async |siege| at_once(30, |n| pour(siege.address, &hello, &floods[n % 3], 1)).await)
        .await;
}

/// Streams that the gateway itself has to reset, because of a frame that breaks a rule: the same work as a rapid reset, asked
/// for in another way (CVE-2025-8671, "MadeYouReset").
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resets_that_the_gateway_is_made_to_send() {
    let siege = Siege::of(&[]).await;
    let overflow = |stream| frame(WINDOW_UPDATE, 0, stream, &[0x7f, 0xff, 0xff, 0xff]);
    let nothing = |stream| frame(WINDOW_UPDATE, 0, stream, &[0; 4]);
    let itself = |stream: u32| {
        frame(
            PRIORITY,
            0,
            stream,
            &[&stream.to_be_bytes()[..], &[0]].concat(),
        )
    };
    let after_end = |stream| frame(DATA, END_STREAM, stream, b"x");
    let hello = hello();
    let breaks: [&dyn Fn(u32) -> Vec<u8>; 4] = [&overflow, &nothing, &itself, &after_end];
    let floods = breaks.map(|breaks| {
        let each = |n| [get(2 * n + 1, "/v1/longpoll?channel=a"), breaks(2 * n + 1)].concat();
        (0..2000_u32).flat_map(each).collect::<Vec<u8>>()
    });
    siege
        .endure(async |siege| at_once(32, |n| pour(siege.address, &hello, &floods[n % 4], 1)).await)
        .await;
}

/// Small frames that each ask for work and bring nothing: pings, settings, priorities, windows, empty and unknown frames
/// (RFC 9113, section 10.5; CVE-2019-9512, 9515 and 9518).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_frames() {
    let siege = Siege::of(&[]).await;
    let floods = [
        frame(PING, 0, 0, b"12345678"),
        frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]),
        frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 0x10, 0]),
        frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1]),
        frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        frame(DATA, 0, 1, b""),
        frame(DATA, 0, 1, b" "),
        frame(0xee, 0, 1, b"what"),
    ];
    let floods = floods.map(|each| each.repeat(1000));
    let begun = [hello(), post(1, "/v1/publish?channel=a")].concat();
    siege
        .endure(async |siege| {
            at_once(16, |n| pour(siege.address, &begun, &floods[n % 8], 10)).await
        })
        .await;
}

/// The same from who never reads the answers: the connection ends once they cannot be sent (design, section 7: stall).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_frames_from_who_never_reads() {
    let siege = Siege::of(&["http2.ping_s=0.5", "timeouts.pong_s=0.5"]).await;
    let floods = [frame(PING, 0, 0, b"12345678"), frame(SETTINGS, 0, 0, b"")];
    let floods = floods.map(|each| each.repeat(500));
    let attack = async |siege: &Siege| {
        at_once(10, async |n| {
            let mut stream = connect_from(ATTACKER, siege.address).await;
            stream.write_all(&hello()).await.expect("room");
            pour_blindly(stream, &floods[n % 2]).await;
        })
        .await;
    };
    siege.endure(attack).await;
}

/// Answers asked for with a window of nothing, on many streams of many connections: each is given up, and pages that nobody
/// takes are not piled up (RFC 9113, section 10.5; CVE-2019-9517).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_of_nothing() {
    let siege = Siege::of(&["http2.ping_s=0.5", "timeouts.pong_s=0.5"]).await;
    let text = format!("\"{}\"", random_text(60_000));
    for _ in 0..16 {
        request(
            siege.address,
            "POST",
            "/v1/publish?channel=big",
            &[],
            text.as_bytes(),
        )
        .await;
    }
    let mut asks = [PREFACE, &frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])].concat();
    for n in 0..100 {
        let target = [
            "/v1/poll?channel=big&cursor=earliest",
            "/v1/sse?channel=big&cursor=earliest",
        ];
        asks.extend(get(2 * n + 1, target[n as usize % 2]));
    }
    let attack = async |siege: &Siege| {
        at_once(30, async |_| {
            let mut stream = connect_from(ATTACKER, siege.address).await;
            stream.write_all(&asks).await.expect("room");
            // Its pings are not answered, so it ends.
            let mut sink = [0; 1024];
            let ended = async { while matches!(stream.read(&mut sink).await, Ok(1..)) {} };
            within("a silent connection to end", ended).await;
        })
        .await;
    };
    siege.endure(attack).await;
}

/// Pages that are asked for and never taken are no copies of the messages in them, however long their client goes on to answer
/// pings (design, tenet 2).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_that_are_never_taken() {
    let siege = Siege::of(&["timeouts.stall_s=30"]).await;
    let text = format!("\"{}\"", random_text(60_000));
    for _ in 0..17 {
        request(
            siege.address,
            "POST",
            "/v1/publish?channel=big",
            &[],
            text.as_bytes(),
        )
        .await;
    }
    let before = siege.resident_bytes();
    let mut connection = Frames::open(siege.address).await;
    connection
        .send(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]))
        .await;
    for n in 0..200 {
        connection
            .send(&get(2 * n + 1, "/v1/poll?channel=big&cursor=earliest"))
            .await;
        assert_eq!(connection.until(HEADERS).await.flags, END_HEADERS);
    }
    assert!(connection.is_alive().await, "pings are answered");
    let held = siege.resident_bytes().saturating_sub(before);
    assert!(held < KEPT_BYTES_MAX, "{held} bytes are held");
}

/// Bombs: small compressed messages that unpack to megabytes are cut at the largest message (RFC 7692, section 8; design,
/// section 7).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deflate_bombs() {
    let siege = Siege::of(&[]).await;
    let bomb = masked(0xc1, &deflate(&vec![b' '; 16 << 20]));
    let attack = async |siege: &Siege| {
        at_once(20, async |_| {
            let mut ws =
                Bare::offering(siege.address, "/v1/ws?channel=a", "permessage-deflate").await;
            ws.send(&bomb).await;
            assert_eq!(ws.close_code().await, Some(1009));
        })
        .await;
    };
    siege.endure(attack).await;
}

/// Fragments that never end, empty ones and ones that add up: the message is bounded, and so is what is kept of it (design,
/// section 7).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fragments_without_end() {
    let siege = Siege::of(&[]).await;
    let (empty, full) = (
        masked(0x00, b"").repeat(2000),
        masked(0x00, &[b' '; 30_000]),
    );
    let attack = async |siege: &Siege| {
        at_once(20, async |n| {
            let mut ws = Bare::open(siege.address, "/v1/ws?channel=a").await;
            ws.send(&masked(0x01, b" ")).await;
            let each = if n % 2 == 0 { &empty } else { &full };
            for _ in 0..10 {
                if timeout(Duration::from_secs(5), ws.stream.write_all(each))
                    .await
                    .is_err()
                {
                    break;
                }
            }
        })
        .await;
    };
    siege.endure(attack).await;
}

/// Readers that stop reading while much is published for them: they cost a position and a bounded queue, and end as `slow`
/// (design, section 7).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_stop_reading() {
    let siege = Siege::of(&[]).await;
    let text = format!("\"{}\"", random_text(60_000));
    let attack = async |siege: &Siege| {
        let mut stuck = Vec::new();
        for _ in 0..50 {
            stuck.push(Bare::open(siege.address, "/v1/ws?channel=big").await.stream);
            let mut stream = connect_from(ATTACKER, siege.address).await;
            let asks = b"GET /v1/sse?channel=big HTTP/1.1\r\nhost: localhost\r\n\r\n";
            stream.write_all(asks).await.expect("room");
            stuck.push(stream);
        }
        for _ in 0..100 {
            request(
                siege.address,
                "POST",
                "/v1/publish?channel=big",
                &[],
                text.as_bytes(),
            )
            .await;
        }
    };
    siege.endure(attack).await;
}

/// Commands and pings without end from WebSockets that never read: reading stops, and they end as `slow` (design, section 3: a
/// full answer queue stops reading).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_without_end() {
    let siege = Siege::of(&[]).await;
    let floods = [
        masked(0x81, br#"{"action":"ping"}"#),
        masked(0x81, br#"{"action":"publish","channel":"a","data":1}"#),
        masked(0x81, br#"{"action":"history","channel":"calm"}"#),
        masked(0x81, b"nonsense"),
        masked(0x89, &[b'x'; 125]),
    ];
    let floods = floods.map(|each| each.repeat(200));
    let attack = async |siege: &Siege| {
        at_once(20, async |n| {
            let ws = Bare::open(siege.address, "/v1/ws?channel=a").await;
            pour_blindly(ws.stream, &floods[n % 5]).await;
        })
        .await;
    };
    siege.endure(attack).await;
}

/// Bad tokens over and over, and WebSockets that are told to go and do not: checking them is cheap, and nothing is kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_tokens() {
    let siege = Siege::of(&[
        "auth.anonymous.subscribe=[\"*\"]",
        "auth.anonymous.publish=[\"*\"]",
        &format!(
            "auth.secret_file={}",
            crate::tokens::file("secret", crate::tokens::SECRET)
        ),
    ])
    .await;
    let token = format!(
        "{}x",
        crate::tokens::token(serde_json::json!({"pad": "x".repeat(8000)}))
    );
    let poll = format!("GET /v1/poll?channel=a&token={token} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let attack = async |siege: &Siege| {
        at_once(20, |_| pour(siege.address, b"", poll.as_bytes(), 50)).await;
        at_once(50, async |_| {
            let target = format!("/v1/ws?token={token}");
            let code = Bare::open(siege.address, &target).await.close_code().await;
            assert_eq!(code, Some(4001));
        })
        .await;
    };
    siege.endure(attack).await;
}

/// Addresses made up by the thousand in `X-Forwarded-For` fill the map of a limit up to its size, and honest clients that were
/// there keep their allowance (design, section 7).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_made_up() {
    let siege = Siege::of(&[
        "auth.anonymous.subscribe=[\"*\"]",
        "auth.anonymous.publish=[\"*\"]",
        "server.trusted_proxies=[\"127.0.0.1\"]",
        "limits.rate_keys_max=10000",
    ])
    .await;
    let claims = |from: usize| -> String {
        let claim = |n: usize| {
            let address = format!("2001:db8:{:x}:{:x}::1", from, n);
            format!(
                "GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-forwarded-for: {address}\r\n\r\n"
            )
        };
        (0..1500).map(claim).collect()
    };
    let floods: Vec<_> = (0..20).map(claims).collect();
    siege
        .endure(async |siege| {
            at_once(20, |n| pour(siege.address, b"", floods[n].as_bytes(), 1)).await
        })
        .await;
}
