//! Abuse of TLS itself, by a client of rustls and by bytes that no client would say. What `openssl` makes of it is in
//! `tests/it/clients/tls.rs`.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::HandshakeKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::tunnel::Certs;
use crate::support::{Gateway, within};

const REQUEST: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

async fn encrypted(certs: &Certs) -> Gateway {
    Gateway::with(|config| {
        config.server.listen = Vec::new();
        config.server.tls_listen = vec!["127.0.0.1:0".to_owned()];
        config.tls.cert = certs.path("server.pem");
        config.tls.key = certs.path("server.key");
    })
    .await
}

/// What comes back until the gateway closes.
async fn rest(stream: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut rest = Vec::new();
    // A reset is a way to close, too.
    drop(within("the gateway to close", stream.read_to_end(&mut rest)).await);
    rest
}

/// A client's first message, of some version, which offers a good cipher of TLS 1.2 and old ones (RFC 5246, section 7.4.1.2).
fn hello(version: [u8; 2]) -> Vec<u8> {
    let ciphers = [0xc0, 0x2b, 0xc0, 0x13, 0x00, 0x2f, 0x00, 0x0a, 0x00, 0x05];
    let mut body = version.to_vec();
    body.extend([7; 32]);
    body.push(0);
    body.extend([0, ciphers.len() as u8]);
    body.extend(ciphers);
    body.extend([1, 0]);
    // supported_groups: P-256; signature_algorithms: ECDSA on it; ec_point_formats: uncompressed.
    let extensions = [
        &[0, 10, 0, 4, 0, 2, 0, 23][..],
        &[0, 13, 0, 4, 0, 2, 4, 3],
        &[0, 11, 0, 2, 1, 0],
        &[0, 23, 0, 0],
    ]
    .concat();
    body.extend([0, extensions.len() as u8]);
    body.extend(extensions);
    let message = [&[1, 0, 0, body.len() as u8][..], &body].concat();
    [&[0x16, 3, 1, 0, message.len() as u8][..], &message].concat()
}

/// Only TLS 1.2 and 1.3 are spoken: older versions are refused by an alert (RFC 8996).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_versions_are_refused() {
    let certs = Certs::make();
    let gateway = encrypted(&certs).await;
    for (version, is_spoken) in [
        ([3, 0], false),
        ([3, 1], false),
        ([3, 2], false),
        ([3, 3], true),
    ] {
        let mut stream = TcpStream::connect(gateway.address).await.expect("a port");
        stream.write_all(&hello(version)).await.expect("room");
        let first = within("an answer to a hello", stream.read_u8()).await;
        let (handshake, alert) = (0x16, 0x15);
        let expected = if is_spoken { handshake } else { alert };
        assert_eq!(first.expect("an answer"), expected, "{version:?}");
    }
}

/// Offers of early data are not taken up, in a resumed session neither: a request that was recorded cannot be replayed (RFC
/// 8446, sections 2.3 and 8).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_read_before_the_handshake_is_done() {
    let certs = Certs::make();
    let gateway = encrypted(&certs).await;
    let mut config: ClientConfig = certs.client(&["http/1.1"]).config();
    config.enable_early_data = true;
    let client = Arc::new(config);
    for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let mut stream = certs
            .client(&[])
            .connect_with(Arc::clone(&client), gateway.address)
            .await
            .expect("TLS");
        stream.write_all(REQUEST).await.expect("room");
        let answer = rest(&mut stream).await;
        assert!(
            answer.starts_with(b"HTTP/1.1 200 "),
            "{}",
            String::from_utf8_lossy(&answer)
        );
        let connection = stream.get_ref().1;
        assert_eq!(connection.handshake_kind(), Some(kind));
        assert!(!connection.is_early_data_accepted());
    }
}

/// A session of one gateway is nothing to another, whose key for tickets is its own (RFC 5077, section 5.5).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_of_another_gateway_resumes_nothing() {
    let certs = Certs::make();
    let (one, other) = (encrypted(&certs).await, encrypted(&certs).await);
    let client = Arc::new(certs.client(&["http/1.1"]).config());
    for (gateway, kind) in [
        (&one, HandshakeKind::Full),
        (&one, HandshakeKind::Resumed),
        (&other, HandshakeKind::Full),
    ] {
        let mut stream = certs
            .client(&[])
            .connect_with(Arc::clone(&client), gateway.address)
            .await
            .expect("TLS");
        stream.write_all(REQUEST).await.expect("room");
        assert!(rest(&mut stream).await.starts_with(b"HTTP/1.1 200 "));
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(kind));
    }
}

/// After a good handshake, records that are no TLS, or were not made with its keys, end the connection and reach no handler
/// (RFC 8446, section 5.2).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_within_a_connection_ends_it() {
    let certs = Certs::make();
    let gateway = encrypted(&certs).await;
    let client = certs.client(&["http/1.1"]);
    let forged = [&[0x17, 3, 3, 0, 64][..], &[9; 64]].concat();
    let hello = hello([3, 3]);
    let too_long = [&[0x17, 3, 3, 0xff, 0xff][..], &[9; 20_000]].concat();
    for garbage in [REQUEST, &forged, &hello, &too_long] {
        let encrypted = client.connect(gateway.address).await.expect("TLS");
        let (mut stream, _) = encrypted.into_inner();
        // It may be cut before all is written.
        drop(stream.write_all(garbage).await);
        let answer = rest(&mut stream).await;
        let is_plain = answer.windows(5).any(|window| window == b"HTTP/");
        assert!(!is_plain, "{}", String::from_utf8_lossy(&answer));
    }
    let mut stream = client.connect(gateway.address).await.expect("TLS");
    stream.write_all(REQUEST).await.expect("room");
    assert!(rest(&mut stream).await.starts_with(b"HTTP/1.1 200 "));
}
