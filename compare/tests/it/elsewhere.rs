//! Gateways that run already: how they are measured, and what is said if they cannot be.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use compare::gateway::Ready;

use crate::commands::{program, results};

/// A key of a backend, and how a gateway knows it.
const KEY: &str = "ew_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const KEYS: &str = r#"auth.api_keys=[{ sha256 = "9ba9faf56573c9a0e75e13929619af938112f36c70ecb185ff0720418ca10c89", subscribe = ["compare:*"], publish = ["compare:*"] }]"#;

/// A gateway, and a folder for its certificates and for results.
struct Gateway {
    child: Child,
    folder: tempfile::TempDir,
    ready: Ready,
}

impl Gateway {
    fn start(settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut child = program()
            .arg("serve")
            .arg("--certs")
            .arg(folder.path().join("certs"))
            .args(settings.iter().flat_map(|setting| ["--set", setting]))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let ready = serde_json::from_str(&line).expect("addresses");
        Self {
            child,
            folder,
            ready,
        }
    }

    fn plain(&self) -> String {
        format!("http://{}", self.ready.plain)
    }

    fn tls(&self) -> String {
        format!("https://localhost:{}", self.ready.tls.port())
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // A gateway ends with its standard input.
        drop(self.child.stdin.take());
        let status = self.child.wait().expect("a child");
        assert!(status.success() || std::thread::panicking());
    }
}

/// A short run with two subscribers.
fn measure(out: &Path, url: &str, arguments: &[&str], token: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_compare"))
        .args(["--quick", "--rate", "20", "--subscribers", "2"])
        .args(["--url", url])
        .args(arguments)
        .arg("--out")
        .arg(out)
        .env("EVERYWAY_TOKEN", token)
        .output()
        .expect("it starts")
}

/// What a run said that failed before it began, and left no folder.
fn refused(out: &Path, url: &str, arguments: &[&str]) -> String {
    let output = measure(out, url, arguments, "");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(!out.exists(), "{url} left a folder");
    said
}

/// Answers everybody with the same.
fn answering(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.expect("a connection");
            // Who only looks whether somebody listens says nothing.
            if socket.read(&mut [0; 4096]).is_ok_and(|bytes| bytes > 0) {
                // The test sees whether it arrived.
                let _ = socket.write_all(answer.as_bytes());
            }
        }
    });
    address
}

#[test]
fn a_gateway_elsewhere_is_measured_where_it_is() {
    let gateway = Gateway::start(&[]);
    let only = ["--only", "sse", "--network", "loopback,loss"];
    let output = measure(&gateway.out(), &gateway.plain(), &only, "");
    assert!(output.status.success(), "{output:?}");
    let results = results(&gateway.out()).expect("results");
    assert!(results.complete && !results.gateway.watched);
    assert_eq!(results.cells.len(), 1);
    assert_eq!(results.cells[0].deliveries.lost, 0);
    assert!(results.cells[0].figures.server_cpu_us_per_message.is_none());
    // There is no loss elsewhere.
    assert_eq!(results.skipped.len(), 1, "{:?}", results.skipped);
}

/// Measures so many cells, and looks that the key stands nowhere.
fn measures_with_key(gateway: &Gateway, url: &str, arguments: &[&str], token: &str, cells: usize) {
    let output = measure(&gateway.out(), url, arguments, token);
    assert!(output.status.success(), "{output:?}");
    let results = results(&gateway.out()).expect("results");
    assert_eq!(results.cells.len(), cells, "{:?}", results.skipped);
    assert!(results.cells.iter().all(|cell| cell.deliveries.lost == 0));
    assert!(!format!("{output:?}").contains(KEY), "{output:?}");
    for file in std::fs::read_dir(gateway.out())
        .expect("a folder")
        .flatten()
    {
        let text = std::fs::read_to_string(file.path()).expect("a text");
        assert!(!text.contains(KEY), "{:?} has the key", file.path());
    }
}

#[test]
fn a_key_is_shown_over_all_transports() {
    let gateway = Gateway::start(&[KEYS]);
    let only = [
        "--interval",
        "0.2",
        "--only",
        "websocket,sse,longpoll,poll,h1",
    ];
    measures_with_key(&gateway, &gateway.plain(), &only, KEY, 4);
}

#[test]
fn a_key_of_a_file_is_shown_over_all_protocols_with_tls() {
    let gateway = Gateway::start(&[KEYS]);
    let (ca, file) = (gateway.file("certs/ca.pem"), gateway.file("key"));
    std::fs::write(&file, format!("{KEY}\n")).expect("a file");
    let only = "websocket,sse,longpoll,poll,h1+tls,h2+tls";
    let shown = ["--ca", &ca, "--token-file", &file];
    let arguments = [&["--interval", "0.2", "--only", only], &shown[..]].concat();
    measures_with_key(&gateway, &gateway.tls(), &arguments, "", 8);
}

#[test]
fn a_key_of_the_command_line_is_not_in_the_report() {
    let gateway = Gateway::start(&[KEYS]);
    let url = gateway.plain().replace("http:", "ws:");
    let arguments = ["--only", "sse", "--token", KEY];
    measures_with_key(&gateway, &url, &arguments, "", 1);
    let command = results(&gateway.out()).expect("results").command;
    assert!(command.contains("--token TOKEN"), "{command}");
}

#[test]
fn without_a_token_it_is_said_how_to_give_one() {
    let gateway = Gateway::start(&[KEYS]);
    let said = refused(&gateway.out(), &gateway.plain(), &[]);
    assert!(said.contains("does not let us in"), "{said}");
    assert!(said.contains("--token-file or EVERYWAY_TOKEN"), "{said}");
}

#[test]
fn a_token_that_is_none_is_not_repeated() {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = ["--token", "se cret"];
    let said = refused(&folder.path().join("out"), "http://127.0.0.1:1", &arguments);
    assert!(said.contains("is none") && !said.contains("cret"), "{said}");
}

/// Each is refused with what is expected, and with nothing that is said of other causes.
fn check_causes(out: &Path, cases: &[(&str, &[&str], &str)]) {
    for (url, arguments, expected) in cases {
        let said = refused(out, url, arguments);
        assert!(said.contains(expected), "{url}: {said}");
        let is_nobody_there = *expected == "start a gateway there";
        assert_eq!(said.contains("does not answer:"), is_nobody_there, "{said}");
    }
}

#[test]
fn a_url_with_tls_that_fails_is_refused_by_its_cause() {
    let (gateway, other) = (Gateway::start(&[]), Gateway::start(&[]));
    let (ca, other_ca) = (gateway.file("certs/ca.pem"), other.file("certs/ca.pem"));
    let (tls, key) = (gateway.tls(), gateway.file("certs/server.key"));
    let over_tls = gateway.plain().replace("http", "https");
    let untrusted = "name the file of its authority by --ca";
    check_causes(
        &gateway.out(),
        &[
            (&tls, &[], untrusted),
            (&tls, &["--ca", &other_ca], untrusted),
            (&tls, &["--ca", "nowhere.pem"], "--ca nowhere.pem: give"),
            (
                &tls,
                &["--ca", &key],
                "give the authorities to trust, in PEM",
            ),
            (&over_tls, &["--ca", &ca], "write http://"),
        ],
    );
}

#[test]
fn a_url_without_tls_that_fails_is_refused_by_its_cause() {
    let gateway = Gateway::start(&[]);
    let nothing = answering("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let other_json = answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    let (nothing, other_json) = (format!("http://{nothing}"), format!("http://{other_json}"));
    let (plain, ca) = (gateway.plain(), gateway.file("certs/ca.pem"));
    let below = format!("{plain}/below");
    check_causes(
        &gateway.out(),
        &[
            (&nothing, &[], "/v1/transports is not there (404)"),
            (&other_json, &[], "is not Everyway"),
            (&below, &[], "is not there (404)"),
            (
                &gateway.tls().replace("https", "http"),
                &[],
                "write https://",
            ),
            (&plain, &["--ca", &ca], "--ca is for gateways with TLS"),
            ("http://127.0.0.1:1", &[], "start a gateway there"),
        ],
    );
}
