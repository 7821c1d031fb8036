//! The command line, run as a program.

use std::collections::BTreeSet;
use std::process::{Output, Stdio};

use everyway::config::Config;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

use super::support::http::request;
use super::support::{Gateway, Via, until, within};

pub fn everyway(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_everyway"));
    command
        .args(args)
        .kill_on_drop(true)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

pub async fn run(args: &[&str]) -> Output {
    within(&format!("everyway {args:?}"), everyway(args).output())
        .await
        .expect("the program runs")
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Starts a gateway and returns it with its URL, which it prints with what to try.
async fn serve(args: &[&str]) -> (Child, String, String) {
    let mut child = everyway(args).spawn().expect("the program runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut greeting = String::new();
    let url = loop {
        let line = within("the greeting", lines.next_line())
            .await
            .expect("text")
            .expect("a greeting");
        greeting.push_str(&line);
        if let Some((_, rest)) = line.split_once("publish?") {
            break rest.to_owned();
        }
    };
    drop(url);
    let url = greeting
        .split_whitespace()
        .find(|word| word.starts_with("http://"))
        .expect("a URL")
        .to_owned();
    (child, url, greeting)
}

fn terminate(child: &Child) {
    signal(child, "-TERM");
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().expect("it runs").to_string();
    assert!(
        std::process::Command::new("kill")
            .args([name, &pid])
            .status()
            .expect("kill")
            .success()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve_greets_serves_and_goes_down_on_sigterm() {
    let (mut child, url, greeting) = serve(&["--listen", "127.0.0.1:0"]).await;
    assert!(
        greeting.contains("open mode") && greeting.contains("/v1/sse?channel=news"),
        "{greeting}"
    );
    let published = run(&[
        "publish",
        "news",
        "{\"n\": 1}",
        "--url",
        &url,
        "--user",
        "al",
    ])
    .await;
    let answer: Value = serde_json::from_str(&stdout(&published)).expect("JSON");
    assert_eq!(
        (&answer["channel"], &answer["offset"]),
        (&json!("news"), &json!(1)),
        "{}",
        stderr(&published)
    );
    terminate(&child);
    let status = within("the gateway to end", child.wait())
        .await
        .expect("a status");
    assert!(status.success(), "{status}");
    let mut log = String::new();
    child
        .stderr
        .take()
        .expect("piped")
        .read_to_string(&mut log)
        .await
        .expect("text");
    assert!(log.contains("going down") && log.contains("down"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribe_prints_messages_over_every_transport() {
    let gateway = Gateway::start().await;
    let url = format!("http://{}", gateway.address);
    gateway.publish_all("news", 1..=3).await;
    for transport in ["auto", "websocket", "sse", "longpoll", "poll"] {
        let args = [
            "subscribe",
            "news",
            "other",
            "--url",
            &url,
            "--transport",
            transport,
            "--cursor",
            "earliest",
            "--count",
            "3",
        ];
        let output = run(&args).await;
        let data: Vec<Value> = stdout(&output)
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["data"].clone())
            .collect();
        assert_eq!(
            data,
            [json!(1), json!(2), json!(3)],
            "{transport}: {}",
            stderr(&output)
        );
        assert!(output.status.success(), "{transport}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribe_is_one_session_however_often_it_attaches() {
    let admin = |config: &mut Config| config.server.admin_listen = vec!["127.0.0.1:0".to_owned()];
    let gateway = Gateway::with(admin).await;
    let url = format!("http://{}", gateway.address);
    let args = ["subscribe", "news", "--url", &url, "--transport"];
    let polls = || everyway(&[&args[..], &["longpoll"]].concat()).spawn();
    let _both = [polls(), polls()].map(|child| child.expect("the program runs"));
    let sessions = async || {
        let listed = gateway.admin("GET", "/v1/admin/sessions").await.json();
        let listed = listed["sessions"].as_array().expect("a list").clone();
        let ids = listed.iter().filter_map(|one| one["session"].as_str());
        ids.map(str::to_owned).collect::<BTreeSet<String>>()
    };
    let both_wait = || async { sessions().await.len() == 2 };
    until("two sessions to wait", both_wait).await;
    let before = sessions().await;
    gateway.publish("news", &json!(1)).await;
    until("two sessions to wait again", both_wait).await;
    assert_eq!(sessions().await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribe_is_told_of_a_gap_and_reads_on() {
    let gateway = Gateway::start().await;
    let url = format!("http://{}", gateway.address);
    for transport in ["websocket", "sse", "longpoll", "poll"] {
        let args = [
            "subscribe",
            "news",
            "--url",
            &url,
            "--transport",
            transport,
            "--cursor",
            "otherlife.9",
            "--count",
            "1",
        ];
        let mut child = everyway(&args).spawn().expect("the program runs");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let first = within("the gap", lines.next_line())
            .await
            .expect("text")
            .expect("a line");
        assert!(
            first.contains("\"type\":\"gap\"") && first.contains("\"epoch\""),
            "{transport}: {first}"
        );
        gateway.publish("news", &json!(transport)).await;
        let second = within("the message", lines.next_line())
            .await
            .expect("text")
            .expect("a line");
        assert!(
            second.contains("\"type\":\"message\""),
            "{transport}: {second}"
        );
        child.kill().await.expect("it is gone");
    }
}

/// A gateway on a port that the system gives to nobody else, so that another one can follow it there.
async fn on_a_port_of_its_own() -> Gateway {
    // Tests of one process must not find the same port free.
    static TAKEN: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(0);
    let ephemeral = 32_768;
    let first = 10_000 + std::process::id() as u16 % 10_000;
    loop {
        let port = first + TAKEN.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        assert!(port < ephemeral, "no port is free");
        let address = format!("127.0.0.1:{port}");
        if std::net::TcpListener::bind(&address).is_ok() {
            return Gateway::with(|config| {
                config.server.listen = vec![address];
                config.drain.spread_s = everyway::config::Seconds::new(0);
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribe_comes_back_after_a_restart() {
    let gateway = on_a_port_of_its_own().await;
    let address = gateway.address;
    let url = format!("http://{address}");
    let args = [
        "subscribe",
        "news",
        "--url",
        &url,
        "--transport",
        "auto",
        "--count",
        "2",
    ];
    let mut child = everyway(&args).spawn().expect("the program runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let attached = || async {
        gateway
            .metric("everyway_attachments{transport=\"websocket\"}")
            .await
            == 1.0
    };
    until("the follower to be attached", attached).await;
    gateway.publish("news", &json!("before")).await;
    assert!(
        within("a message", lines.next_line())
            .await
            .expect("text")
            .expect("a line")
            .contains("before")
    );
    gateway.down().await;
    let again = Gateway::with(|config| config.server.listen = vec![address.to_string()]).await;
    let gap = within("the gap after the restart", lines.next_line())
        .await
        .expect("text")
        .expect("a line");
    assert!(gap.contains("\"reason\":\"epoch\""), "{gap}");
    again.publish("news", &json!("after")).await;
    assert!(
        within("a message", lines.next_line())
            .await
            .expect("text")
            .expect("a line")
            .contains("after")
    );
    assert!(
        within("the follower to end", child.wait())
            .await
            .expect("a status")
            .success()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribe_falls_back_to_what_is_there() {
    let gateway = Gateway::start().await;
    gateway.publish("news", &json!(1)).await;
    // In front of it, a proxy that knows no upgrades: WebSockets fail, everything else passes.
    let proxy = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let url = format!("http://{}", proxy.local_addr().expect("an address"));
    let target = gateway.address;
    tokio::spawn(async move {
        while let Ok((mut client, _)) = proxy.accept().await {
            tokio::spawn(async move {
                let mut head = vec![0; 4096];
                let read = client.read(&mut head).await.unwrap_or(0);
                head.truncate(read);
                if String::from_utf8_lossy(&head).contains("/v1/ws") {
                    return;
                }
                let mut server = tokio::net::TcpStream::connect(target)
                    .await
                    .expect("the gateway listens");
                use tokio::io::AsyncWriteExt;
                server.write_all(&head).await.expect("the gateway reads");
                drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
            });
        }
    });
    let args = [
        "subscribe",
        "news",
        "--url",
        &url,
        "--cursor",
        "earliest",
        "--count",
        "1",
    ];
    let output = run(&args).await;
    assert!(
        stdout(&output).contains("\"data\":1"),
        "{}",
        stderr(&output)
    );
    assert!(stderr(&output).contains("sse"), "{}", stderr(&output));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publish_takes_text_bytes_and_several_channels() {
    let gateway = Gateway::start().await;
    let url = format!("http://{}", gateway.address);
    for args in [
        &["publish", "a,b", "plain words"][..],
        &["publish", "a", "[1]", "--as", "text"],
        &["publish", "a", "[1]", "--as", "bytes"],
        &["publish", "a", "[1]", "--key", "k"],
    ] {
        let output = run(&[args, &["--url", &url]].concat()).await;
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    }
    let text = gateway
        .get("/v1/poll?channel=a&channel=b&cursor=earliest")
        .await
        .text();
    for expected in [
        "\"channel\":\"b\"",
        "\"data\":\"plain words\"",
        "\"data\":\"[1]\"",
        "\"base64\":\"WzFd\"",
        "\"data\":[1]",
    ] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    let refused = run(&["publish", "a b", "1", "--url", &url]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains("bad_request"),
        "{}",
        stderr(&refused)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels_are_separated_by_spaces_or_commas() {
    for channels in [&["a,b"][..], &["a", "b"]] {
        let gateway = Gateway::start().await;
        let url = format!("http://{}", gateway.address);
        let published = run(&[&["publish"], channels, &["1", "--url", &url]].concat()).await;
        assert!(published.status.success(), "{}", stderr(&published));
        let more = ["--url", &url, "--cursor", "earliest", "--count", "2"];
        let read = run(&[&["subscribe"], channels, &more].concat()).await;
        for channel in ["\"channel\":\"a\"", "\"channel\":\"b\""] {
            assert!(stdout(&read).contains(channel), "{}", stderr(&read));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_final_refusal_ends_subscribe() {
    let gateway = Gateway::start().await;
    let url = format!("http://{}", gateway.address);
    for transport in Via::TRANSPORTS {
        let name = transport
            .path()
            .trim_start_matches("/v1/")
            .replace("ws", "websocket");
        let output = run(&["subscribe", "a b", "--url", &url, "--transport", &name]).await;
        assert_eq!(output.status.code(), Some(1), "{name}");
        assert!(
            stderr(&output).contains("bad_request"),
            "{name}: {}",
            stderr(&output)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_configuration_exits_64_before_a_port_opens() {
    let cases: [(&[&str], &str); 9] = [
        (
            &["--set", "limits.chanels_max=5"],
            "did you mean limits.channels_max?",
        ),
        (
            &["--set", "limits.channels_max=many"],
            "limits.channels_max",
        ),
        (
            &["--config", "/nowhere/everyway.toml"],
            "/nowhere/everyway.toml",
        ),
        (&["--listen", "0.0.0.0:0"], "auth.anonymous"),
        (&["--listen", "127.0.0.2:0"], "127.0.0.1"),
        (&["--set", "server.listen=[]"], "no address is left"),
        (&["--no-such-flag"], "--no-such-flag"),
        (&["--listen", "nonsense"], "nonsense"),
        (&["--set", "log.filter=a=b=c"], "log.filter"),
    ];
    for (args, expected) in cases {
        let output = run(args).await;
        assert_eq!(
            output.status.code(),
            Some(64),
            "{args:?}: {}",
            stderr(&output)
        );
        assert!(
            stderr(&output).contains(expected),
            "{args:?}: {}",
            stderr(&output)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_config_prints_what_it_would_use() {
    let output = run(&["check-config", "--set", "limits.channels_max=5"]).await;
    assert!(output.status.success());
    assert!(
        stdout(&output).contains("channels_max = 5"),
        "{}",
        stdout(&output)
    );
    assert_eq!(
        run(&["check-config", "--set", "limits.channels_max=0"])
            .await
            .status
            .code(),
        Some(64)
    );
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("printed.toml");
    std::fs::write(&file, &output.stdout).expect("a file");
    let again = run(&["check-config", "--config", file.to_str().expect("text")]).await;
    assert_eq!(
        stdout(&again),
        stdout(&output),
        "what it prints can be read back"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_anonymous_gateway_may_listen_everywhere() {
    let args = [
        "--listen",
        "0.0.0.0:0",
        "--set",
        "auth.anonymous.subscribe=news",
        "--set",
        "log.format=json",
    ];
    let mut child = everyway(&args).spawn().expect("the program runs");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    loop {
        let line = within("a log line", lines.next_line())
            .await
            .expect("text")
            .expect("a line");
        let log: Value = serde_json::from_str(&line).expect("a JSON log line");
        if log["fields"]["message"] == "listening" {
            assert_eq!(log["fields"]["open"], false);
            break;
        }
    }
    terminate(&child);
    assert!(
        within("the gateway to end", child.wait())
            .await
            .expect("a status")
            .success()
    );
}

/// Reads a log up to a line that holds a text.
async fn read_until(log: &mut (impl AsyncBufReadExt + Unpin), text: &str) -> String {
    let mut line = String::new();
    while !line.contains(text) {
        line.clear();
        let read = within(text, log.read_line(&mut line)).await;
        assert!(read.expect("text") > 0, "the log ended without {text}");
    }
    line
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hangup_reloads_and_a_bad_file_changes_nothing() {
    let name = format!("reload-{}.toml", std::process::id());
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let write = |origin: &str| {
        let text = format!("[server]\nlisten = ['127.0.0.1:0']\norigins = ['{origin}']\n");
        std::fs::write(&file, text).expect("a file");
    };
    write("https://a.example");
    let path = file.to_str().expect("a path in UTF-8");
    let mut child = everyway(&["--config", path])
        .spawn()
        .expect("the program runs");
    let mut log = BufReader::new(child.stderr.take().expect("piped"));
    let line = read_until(&mut log, "listening").await;
    let (_, address) = line.split_once("address=").expect("an address");
    let address = address
        .split_whitespace()
        .next()
        .expect("an address")
        .parse()
        .expect("one");
    let status = async |origin| {
        request(address, "GET", "/v1/transports", &[("origin", origin)], b"")
            .await
            .status
    };
    assert_eq!(
        (
            status("https://a.example").await,
            status("https://b.example").await
        ),
        (200, 403)
    );
    write("https://b.example");
    signal(&child, "-HUP");
    read_until(&mut log, "reloaded").await;
    assert_eq!(
        (
            status("https://a.example").await,
            status("https://b.example").await
        ),
        (403, 200)
    );
    for bad in ["not an origin", "'"] {
        write(bad);
        signal(&child, "-HUP");
        read_until(&mut log, "nothing was reloaded").await;
        assert_eq!(status("https://b.example").await, 200);
    }
    terminate(&child);
    drop(std::fs::remove_file(&file));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_names_requests_and_holds_no_query() {
    let args = ["--listen=127.0.0.1:0", "--set=log.format=json"];
    let mut child = everyway(&[&args[..], &["--set=log.filter=everyway=debug"]].concat())
        .spawn()
        .expect("the program runs");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let mut seen = String::new();
    while !seen.contains("\"answered\"") {
        let line = within("a log line", lines.next_line()).await.expect("text");
        seen.push_str(&line.expect("a line"));
        let log: Value = serde_json::from_str(seen.lines().last().expect("a line")).expect("JSON");
        seen.push('\n');
        if log["fields"]["message"] == "listening" {
            let at = log["fields"]["address"]
                .as_str()
                .expect("an address")
                .to_owned();
            let named = [("x-request-id", "r-17")];
            let target = "/v1/poll?channel=a&token=secret";
            let answer = request(at.parse().expect("an address"), "GET", target, &named, b"").await;
            assert_eq!(answer.headers["x-request-id"], "r-17");
        }
    }
    assert!(seen.contains("r-17") && !seen.contains("secret"), "{seen}");
    terminate(&child);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transport_that_is_switched_off_ends_subscribe_or_gives_way() {
    use everyway::transport::Transport;
    let gateway = Gateway::with(|config| config.server.transports = vec![Transport::Poll]).await;
    gateway.publish("news", &json!(1)).await;
    let url = format!("http://{}", gateway.address);
    for transport in ["websocket", "sse", "longpoll"] {
        let output = run(&["subscribe", "news", "--url", &url, "--transport", transport]).await;
        assert_eq!(output.status.code(), Some(1), "{transport}");
        assert!(
            stderr(&output).contains("not_found"),
            "{transport}: {}",
            stderr(&output)
        );
    }
    let auto = run(&[
        "subscribe",
        "news",
        "--url",
        &url,
        "--cursor",
        "earliest",
        "--count",
        "1",
    ])
    .await;
    assert!(stdout(&auto).contains("\"data\":1"), "{}", stderr(&auto));
}
