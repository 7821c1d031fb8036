//! TLS: every transport within it, its handshakes, and certificates that change.

use std::time::Duration;

use everyway::bus::{ChannelName, Draft, Payload};
use everyway::config::{Config, Seconds};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::tunnel::{self, Certs};
use super::support::{Gateway, Reader, Via, random_text, until, within};

/// A gateway with TLS only. Its address is that of a tunnel, so that every client of these tests can use it.
async fn encrypted(
    certs: &Certs,
    change: impl FnOnce(&mut Config),
) -> (Gateway, std::net::SocketAddr) {
    let mut gateway = Gateway::with(|config| {
        config.server.listen = Vec::new();
        config.server.tls_listen = vec!["127.0.0.1:0".to_owned()];
        config.tls.cert = certs.path("server.pem");
        config.tls.key = certs.path("server.key");
        change(config);
    })
    .await;
    let address = gateway.address;
    gateway.address = tunnel::before(address, certs).await;
    (gateway, address)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_transport_works_within_tls() {
    let certs = Certs::make();
    let messages: Vec<_> = [10, 5_000, 60_000]
        .map(|size| json!(random_text(size)))
        .into();
    for via in Via::ALL {
        let (gateway, _) = encrypted(&certs, |_| ()).await;
        let mut reader = Reader::attach(gateway.address, via, &["news"], "now").await;
        for message in &messages {
            gateway.publish("news", message).await;
        }
        assert!(reader.take(messages.len()).await == messages, "{via:?}");
        gateway.publish_all("news", 1..=200).await;
        let numbers: Vec<_> = (1..=200).map(serde_json::Value::from).collect();
        assert_eq!(reader.take(200).await, numbers, "{via:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_chooses_its_protocol_and_http2_is_preferred() {
    let certs = Certs::make();
    let (_gateway, address) = encrypted(&certs, |_| ()).await;
    for (offered, chosen) in [
        (&["http/1.1", "h2"][..], Some(&b"h2"[..])),
        (&["http/1.1"], Some(b"http/1.1")),
        (&[], None),
    ] {
        let stream = certs.client(offered).connect(address).await.expect("TLS");
        assert_eq!(stream.get_ref().1.alpn_protocol(), chosen, "{offered:?}");
    }
    let neither = certs.client(&["spdy/3"]).connect(address).await;
    assert!(neither.is_err(), "no protocol in common");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_nothing_or_nonsense_is_cut_and_others_are_served() {
    let certs = Certs::make();
    let (gateway, address) = encrypted(&certs, |config| {
        config.timeouts.tls_s = serde_json::from_value(json!(0.3)).expect("seconds");
        // Who waits for a turn does so within that time, too.
        config.limits.handshakes_max = 1;
    })
    .await;
    let mut cut = Vec::new();
    for begin in [
        &b""[..],
        b"\x16\x03\x01\x02\x00\x01",
        b"GET / HTTP/1.1\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(address)
            .await
            .expect("the gateway listens");
        stream.write_all(begin).await.expect("the gateway reads");
        cut.push(stream);
    }
    for mut stream in cut {
        let mut rest = Vec::new();
        // A reset says the same as an end.
        let _ = within("the stream to be cut", stream.read_to_end(&mut rest)).await;
        assert!(!rest.starts_with(b"HTTP"), "no answer without TLS");
    }
    assert_eq!(gateway.get("/healthz").await.status, 200);
    let failures = gateway.metric("everyway_tls_failures_total").await;
    assert_eq!(failures, 3.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_nothing_takes_no_turn_from_others() {
    let certs = Certs::make();
    let (gateway, address) = encrypted(&certs, |config| {
        config.timeouts.tls_s = Seconds::new(60);
        config.limits.handshakes_max = 1;
    })
    .await;
    let _silent = TcpStream::connect(address)
        .await
        .expect("the gateway listens");
    assert_eq!(gateway.get("/healthz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_serves_newcomers_and_disturbs_nobody() {
    let certs = Certs::make();
    let (gateway, address) = encrypted(&certs, |_| ()).await;
    let mut reader = Reader::attach(gateway.address, Via::Sse, &["news"], "now").await;
    certs.replace();
    gateway.tls().reload().expect("good files");
    let after = certs.client(&["http/1.1"]);
    assert!(after.connect(address).await.is_ok());

    // A bad replacement changes nothing, whichever file it is.
    for spoiled in ["server.key", "server.pem"] {
        certs.spoil(spoiled);
        let error = gateway.tls().reload().expect_err("a bad file").to_string();
        assert!(error.contains(&certs.path(spoiled)), "{error}");
        assert!(after.connect(address).await.is_ok());
    }
    // The tunnel trusts the first authority still, so this goes another way.
    publish_within(&gateway, "news", "1").await;
    assert_eq!(reader.take(1).await, [json!(1)]);
}

async fn publish_within(gateway: &Gateway, channel: &str, json: &str) {
    let draft = Draft {
        from: None,
        payload: Payload::Json(json.to_owned().into()),
        key: None,
    };
    let channel = ChannelName::parse(channel).expect("a name");
    let published = gateway.inner.bus.publish(&channel, &draft).await;
    published.expect("there is room");
}

#[tokio::test]
async fn a_broken_key_is_not_quoted() {
    let certs = Certs::make();
    let key = std::fs::read_to_string(certs.path("server.key")).expect("a key");
    let (begin, middle) = key.split_at(40);
    for broken in [
        key.replace('\n', ""),
        middle.to_owned(),
        format!("{begin}\n{middle}"),
    ] {
        std::fs::write(certs.path("server.key"), &broken).expect("a file");
        for (cert, key) in [("server.pem", "server.key"), ("server.key", "server.key")] {
            let mut config = Config::default();
            config.tls.cert = certs.path(cert);
            config.tls.key = certs.path(key);
            let Err(error) = everyway::tls::Tls::new(&config) else {
                continue;
            };
            let error = error.to_string();
            let quoted = broken.lines().filter(|line| line.len() > 20).any(|line| {
                let bytes = format!("{:?}", &line.as_bytes()[..10]);
                error.contains(&line[..20]) || error.contains(bytes.trim_matches(['[', ']']))
            });
            assert!(!quoted, "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_change_are_read_again() {
    let certs = Certs::make();
    let (gateway, address) = encrypted(&certs, |_| ()).await;
    let seen = certs.client(&["http/1.1"]).connect(address).await;
    assert!(seen.is_ok());
    certs.replace();
    gateway.tls().reload_if_changed();
    let client = certs.client(&["http/1.1"]);
    let served = || async { client.connect(address).await.is_ok() };
    until("the new certificate to be served", served).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_an_authority_for_clients_each_needs_a_certificate() {
    let (certs, other) = (Certs::make(), Certs::make());
    let (_gateway, address) = encrypted(&certs, |config| {
        config.tls.client_ca = certs.path("ca.pem");
        config.timeouts.head_s = Seconds::new(2);
    })
    .await;
    let anonymous = certs.client(&["http/1.1"]);
    let known = anonymous
        .clone()
        .identified(certs.path("client.pem"), certs.path("client.key"));
    let stranger = anonymous
        .clone()
        .identified(other.path("client.pem"), other.path("client.key"));
    for (client, is_served) in [(known, true), (anonymous, false), (stranger, false)] {
        // With TLS 1.3 the client is done before the gateway has looked at its certificate.
        let answer = async {
            let mut stream = client.connect(address).await.ok()?;
            let request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
            stream.write_all(request).await.ok()?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.ok()?;
            Some(answer)
        };
        let answer = tokio::time::timeout(Duration::from_secs(10), answer)
            .await
            .expect("in time");
        assert_eq!(
            answer.is_some_and(|answer| answer.starts_with(b"HTTP/1.1 200")),
            is_served
        );
    }
}
