//! Stock clients over TLS.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::{event, has_fields, payloads, websocket_tour_at};
use crate::support::program::Program;
use crate::support::tunnel::Certs;
use crate::support::{Gateway, need, within};
use crate::tokens::{SECRET, file, token};

const PROTOCOLS: [(&str, &str); 2] = [("--http2", "2"), ("--http1.1", "1.1")];

/// A gateway with TLS only, and maybe with tokens.
async fn encrypted(certs: &Certs, is_guarded: bool) -> Gateway {
    Gateway::with(|config| {
        config.server.listen = Vec::new();
        config.server.tls_listen = vec!["127.0.0.1:0".to_owned()];
        config.tls.cert = certs.path("server.pem");
        config.tls.key = certs.path("server.key");
        if is_guarded {
            config.auth.secret_file = file("secret", SECRET);
        }
    })
    .await
}

fn url(gateway: &Gateway, scheme: &str, target: &str) -> String {
    format!("{scheme}://localhost:{}{target}", gateway.address.port())
}

fn everything() -> String {
    token(json!({"publish": ["news"]}))
}

/// Starts `curl` with a token, trusting the authority.
fn curl(gateway: &Gateway, certs: &Certs, target: &str, args: &[&str]) -> Option<Program> {
    let mut command = need::curl()?;
    command.args(["--cacert", &certs.path("ca.pem")]);
    command.args(["-H", &format!("Authorization: Bearer {}", everything())]);
    command.args(args).arg(url(gateway, "https", target));
    Some(Program::start(command))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_publishes_polls_and_streams_over_both_protocols() {
    let certs = Certs::make();
    for (protocol, version) in PROTOCOLS {
        let gateway = encrypted(&certs, true).await;
        let Some(mut stream) = curl(&gateway, &certs, "/v1/sse?channel=news", &["-N", protocol])
        else {
            return;
        };
        assert!(
            event(&mut stream).await.contains("event: welcome"),
            "{protocol}"
        );
        let args = [
            protocol,
            "--fail-with-body",
            "-d",
            "1",
            "-w",
            " %{http_version}",
        ];
        let publish = curl(&gateway, &certs, "/v1/publish?channel=news", &args).expect("curl");
        let answer = publish.text().await;
        assert!(answer.ends_with(&format!(" {version}")), "{answer}");
        assert!(
            event(&mut stream).await.contains(r#""data":1}"#),
            "{protocol}"
        );
        let target = "/v1/longpoll?channel=news&cursor=earliest";
        let poll = curl(&gateway, &certs, target, &[protocol]).expect("curl");
        assert_eq!(payloads(&poll.text().await), [json!(1)], "{protocol}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_trusts_the_authority_and_nobody_else() {
    let (certs, other) = (Certs::make(), Certs::make());
    let gateway = encrypted(&certs, false).await;
    for (ca, good) in [(certs.path("ca.pem"), true), (other.path("ca.pem"), false)] {
        let Some(mut command) = need::curl() else {
            return;
        };
        command
            .args(["--cacert", &ca])
            .arg(url(&gateway, "https", "/healthz"));
        let output = within("curl", command.output()).await.expect("it runs");
        // 60: the certificate of the peer cannot be verified.
        let code = if good { 0 } else { 60 };
        assert_eq!(output.status.code(), Some(code), "{output:?}");
    }
}

/// What `openssl s_client` prints when it is told to say this.
async fn s_client(gateway: &Gateway, certs: &Certs, args: &[&str], say: &str) -> Option<String> {
    let mut command = need::openssl()?;
    let address = gateway.address.to_string();
    command.args(["s_client", "-connect", &address, "-servername", "localhost"]);
    command.args(["-CAfile", &certs.path("ca.pem"), "-verify_return_error"]);
    command.args(args).kill_on_drop(true);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("openssl runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(say.as_bytes()).await.expect("it reads");
    let output = within("openssl s_client", child.wait_with_output())
        .await
        .expect("it ends");
    // Not before it has ended: the end of its input would be the end of the connection.
    drop(stdin);
    Some(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

const REQUEST: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openssl_agrees_on_version_and_protocol() {
    let certs = Certs::make();
    let gateway = encrypted(&certs, false).await;
    for (version, named) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        for (offer, says) in [
            ("http/1.1,h2", "ALPN protocol: h2"),
            ("http/1.1", "ALPN protocol: http/1.1"),
        ] {
            let args = [version, "-alpn", offer, "-ign_eof"];
            // Over HTTP/2 this is nonsense, which ends the connection too.
            let Some(said) = s_client(&gateway, &certs, &args, REQUEST).await else {
                return;
            };
            assert!(said.contains(says), "{offer}: {said}");
            assert!(
                said.contains(&format!("New, {named}, Cipher is")),
                "{named}: {said}"
            );
            assert!(said.contains("Verify return code: 0 (ok)"), "{said}");
            assert_eq!(
                said.contains("HTTP/1.1 200 OK"),
                offer == "http/1.1",
                "{said}"
            );
        }
    }
    for old in ["-tls1", "-tls1_1"] {
        let args = [old, "-cipher", "ALL:@SECLEVEL=0"];
        let said = s_client(&gateway, &certs, &args, "")
            .await
            .expect("openssl");
        assert!(
            said.contains("SSL alert number") && said.contains("Cipher is (NONE)"),
            "{old}: {said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openssl_resumes_a_session_by_its_ticket_and_sends_nothing_early() {
    let certs = Certs::make();
    let gateway = encrypted(&certs, false).await;
    for version in ["-tls1_2", "-tls1_3"] {
        let folder = tempfile::tempdir().expect("a folder");
        let session = folder.path().join("session").display().to_string();
        let first = [version, "-ign_eof", "-sess_out", &session];
        let Some(said) = s_client(&gateway, &certs, &first, REQUEST).await else {
            return;
        };
        assert!(said.contains("\nNew, TLS"), "{said}");
        let again = [version, "-ign_eof", "-sess_in", &session];
        let said = s_client(&gateway, &certs, &again, REQUEST)
            .await
            .expect("openssl");
        assert!(said.contains("\nReused, TLS"), "{version}: {said}");
        assert!(said.contains("HTTP/1.1 200 OK"), "{version}: {said}");
        let early = folder.path().join("early");
        std::fs::write(&early, REQUEST).expect("a file");
        let early = early.display().to_string();
        let args = [
            version,
            "-ign_eof",
            "-sess_in",
            &session,
            "-early_data",
            &early,
        ];
        let said = s_client(&gateway, &certs, &args, REQUEST)
            .await
            .expect("openssl");
        assert!(
            !said.contains("Early data was accepted"),
            "{version}: {said}"
        );
        assert_eq!(
            said.matches("HTTP/1.1 200 OK").count(),
            1,
            "{version}: {said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openssl_cannot_renegotiate() {
    let certs = Certs::make();
    let gateway = encrypted(&certs, false).await;
    let args = ["-tls1_2", "-alpn", "http/1.1"];
    // A line of `R` is not sent: it asks for another handshake.
    let Some(said) = s_client(&gateway, &certs, &args, "R\n").await else {
        return;
    };
    assert!(said.contains("RENEGOTIATING"), "{said}");
    assert!(said.contains("no renegotiation"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chromium_takes_a_tour() {
    let certs = Certs::make();
    let gateway = encrypted(&certs, true).await;
    let Some(mut command) = need::browser("browser_tour.js") else {
        return;
    };
    command.args([
        url(&gateway, "https", ""),
        certs.path("server.pem"),
        everything(),
    ]);
    let seen = Program::start(command).json().await;
    let expected = json!({
        "protocol": "everyway.v1",
        "users": ["bob", "bob"],
        "published": 1,
        "heard": [{"n": 1}, {"n": 1}, {"n": 1}],
    });
    assert!(has_fields(&seen, &expected), "{seen}");
    let hops = seen["hops"].as_array().expect("protocols");
    assert!(hops.contains(&json!("h2")), "{seen}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chromium_keeps_pages_elsewhere_out() {
    let gateway = Gateway::start().await;
    let Some(mut command) = need::browser("browser_elsewhere.js") else {
        return;
    };
    command.arg(url(&gateway, "http", ""));
    let seen = Program::start(command).all_json().await;
    let names: Vec<_> = seen.iter().map(|page| page["name"].clone()).collect();
    assert_eq!(names, ["same", "another port", "no origin", "rebound"]);
    assert!(
        has_fields(
            &seen[0],
            &json!({"fetch": 200, "publish": 200, "source": "welcome", "socket": "open"})
        ),
        "{}",
        seen[0]
    );
    for page in &seen[1..] {
        assert!(
            has_fields(page, &json!({"source": "error", "socket": "error"})),
            "{page}"
        );
        // Of its own host a page may see the refusal.
        let refusal = if page["name"] == "rebound" {
            json!(403)
        } else {
            json!("refused")
        };
        assert_eq!(
            (&page["fetch"], &page["publish"]),
            (&refusal, &refusal),
            "{page}"
        );
    }
    // One by `fetch` and one without looking at the answer, both of the gateway's own page.
    let page = gateway.poll("channel=news&cursor=earliest").await;
    assert_eq!(page["messages"].as_array().map(Vec::len), Some(2), "{page}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_websockets_takes_a_tour_over_tls() {
    tour(need::python("websocket_tour.py"), "SSL_CERT_FILE").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_ws_takes_a_tour_over_tls() {
    tour(need::node("websocket_tour.js"), "NODE_EXTRA_CA_CERTS").await;
}

async fn tour(command: Option<Command>, trust: &str) {
    let certs = Certs::make();
    let gateway = encrypted(&certs, false).await;
    let Some(mut command) = command else { return };
    command.env(trust, certs.path("ca.pem"));
    websocket_tour_at(command, &url(&gateway, "wss", "/v1/ws")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_streams_are_followed_over_tls() {
    for (command, trust) in [
        (need::python("sse_follow.py"), "REQUESTS_CA_BUNDLE"),
        (need::node("sse_follow.js"), "NODE_EXTRA_CA_CERTS"),
    ] {
        let certs = Certs::make();
        let gateway = encrypted(&certs, true).await;
        let Some(mut command) = command else { return };
        command.env(trust, certs.path("ca.pem"));
        let token = everything();
        command.arg(url(
            &gateway,
            "https",
            &format!("/v1/sse?channel=news&token={token}"),
        ));
        let mut follower = Program::start(command);
        follower.json_of("welcome").await;
        let publish = curl(&gateway, &certs, "/v1/publish?channel=news", &["-d", "7"]);
        publish.expect("curl").text().await;
        let message: Value = follower.json_of("message").await;
        assert_eq!(message["data"]["data"], 7);
    }
}
