//! The command line as a client of a gateway that is guarded: by TLS, and by tokens.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use everyway::config::{Config, Seconds};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::cli::{everyway, run, stderr, stdout};
use super::support::program::Program;
use super::support::tunnel::Certs;
use super::support::{Gateway, until, within};

const SECRET: &str = "a-secret-of-more-than-thirty-two-bytes";
const TRANSPORTS: [&str; 5] = ["auto", "websocket", "sse", "longpoll", "poll"];

/// A gateway with TLS that takes tokens only, and what a client needs to get in.
struct Guarded {
    gateway: Gateway,
    certs: Certs,
    folder: tempfile::TempDir,
}

impl Guarded {
    async fn start() -> Self {
        let (certs, folder) = (Certs::make(), tempfile::tempdir().expect("a folder"));
        let secret = folder.path().join("secret");
        std::fs::write(&secret, SECRET).expect("a file");
        let gateway = Gateway::with(|config: &mut Config| {
            config.server.listen = Vec::new();
            config.server.tls_listen = vec!["127.0.0.1:0".to_owned()];
            config.tls.cert = certs.path("server.pem");
            config.tls.key = certs.path("server.key");
            config.auth.secret_file = secret.to_str().expect("UTF-8").to_owned();
            config.timeouts.wait_s = Seconds::new(1);
        })
        .await;
        Self {
            gateway,
            certs,
            folder,
        }
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://localhost:{}", self.gateway.address.port())
    }

    /// A file with a token that is refused after some seconds, 30 of leeway not counted; the token is returned, too.
    fn token_file(&self, good_for_s: i64) -> (String, String) {
        let path = self.token_path();
        let token = token(good_for_s);
        // In one step, as whoever replaces a token should do it.
        let new = path.with_extension("new");
        std::fs::write(&new, format!("{token}\n")).expect("a file");
        std::fs::rename(&new, &path).expect("a file");
        (path.to_str().expect("UTF-8").to_owned(), token)
    }

    fn token_path(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    /// The arguments of a command with a CA and more.
    fn args<'a>(&self, args: &[&'a str], more: &[&'a str]) -> Vec<String> {
        let (url, ca) = (self.url("https"), self.certs.path("ca.pem"));
        let ours = ["--url", &url, "--ca", &ca];
        let all = args.iter().chain(&ours).chain(more);
        all.map(ToString::to_string).collect()
    }

    /// Publishes with a good token.
    async fn publish(&self, message: &str) {
        let token = token(60);
        let args = self.args(&["publish", "news", message], &["--token", &token]);
        let output = run(&strs(&args)).await;
        assert!(output.status.success(), "{}", stderr(&output));
    }
}

fn strs(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

fn token(good_for_s: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_s = now.expect("a clock after 1970").as_secs() as i64;
    let claims =
        json!({"sub": "bob", "exp": now_s + good_for_s, "subscribe": ["*"], "publish": ["*"]});
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    encode(&Header::default(), &claims, &key).expect("a token")
}

fn data(line: &str) -> Value {
    serde_json::from_str::<Value>(line).expect("JSON")["data"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publish_and_subscribe_get_in_by_tls_and_token_over_every_transport() {
    let guarded = Guarded::start().await;
    let (file, _) = guarded.token_file(60);
    let ca = guarded.certs.path("ca.pem");
    guarded.publish("{\"n\": 1}").await;
    for (transport, scheme) in TRANSPORTS.into_iter().zip(["https", "wss"].iter().cycle()) {
        let url = guarded.url(scheme);
        let mut args = vec!["subscribe", "news", "--url", &url, "--ca", &ca];
        args.extend(["--token-file", &file, "--transport", transport]);
        args.extend(["--cursor", "earliest", "--count", "1"]);
        let output = run(&args).await;
        assert!(output.status.success(), "{transport}: {}", stderr(&output));
        assert_eq!(data(&stdout(&output)), json!({"n": 1}), "{transport}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_may_come_from_the_environment_and_a_flag_wins() {
    let guarded = Guarded::start().await;
    let args = guarded.args(&["publish", "news", "1"], &[]);
    let output = everyway(&strs(&args))
        .env("EVERYWAY_TOKEN", token(60))
        .output();
    let output = within("a publish", output).await.expect("it runs");
    assert!(output.status.success(), "{}", stderr(&output));
    let bad = guarded.args(&["publish", "news", "1"], &["--token", "not.a.token"]);
    let output = everyway(&strs(&bad))
        .env("EVERYWAY_TOKEN", token(60))
        .output();
    let output = within("a publish", output).await.expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(!stderr(&output).contains("not.a.token"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_trusted_is_not_told_the_token() {
    let guarded = Guarded::start().await;
    let (file, token) = guarded.token_file(60);
    let (others, url) = (Certs::make(), guarded.url("https"));
    let ca = others.path("ca.pem");
    let ends = async |args: &[&str]| {
        let given = ["--url", &url, "--ca", &ca, "--token-file", &file];
        let output = run(&[args, &given].concat()).await;
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        stderr(&output)
    };
    let mut said = vec![ends(&["publish", "news", "1"]).await];
    for transport in TRANSPORTS {
        said.push(ends(&["subscribe", "news", "--transport", transport]).await);
    }
    for said in said {
        assert!(
            said.contains("not trusted") && said.contains("--ca"),
            "{said}"
        );
        assert!(!said.contains(&token), "{said}");
    }
    // The system does not know the authority, or knows none at all.
    let output = run(&["publish", "news", "1", "--url", &url]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("--ca"), "{}", stderr(&output));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_good_token_it_ends_and_says_what_to_do() {
    let guarded = Guarded::start().await;
    let bad = token(-31);
    for (more, code) in [
        (vec![], "unauthorized"),
        (vec!["--token", bad.as_str()], "token_expired"),
    ] {
        let mut commands = vec![vec!["publish", "news", "1"]];
        commands.extend(TRANSPORTS.map(|one| vec!["subscribe", "news", "--transport", one]));
        for command in commands {
            let output = run(&strs(&guarded.args(&command, &more))).await;
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(1), "{command:?}: {said}");
            assert!(
                said.contains(code) && said.contains("--token-file"),
                "{said}"
            );
            assert!(!said.contains(&bad), "{said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_runs_out_ends_the_follow() {
    let guarded = Guarded::start().await;
    for transport in TRANSPORTS {
        let (file, token) = guarded.token_file(-29);
        let more = [
            "--token-file",
            &file,
            "--transport",
            transport,
            "--interval",
            "0.1",
        ];
        let output = run(&strs(&guarded.args(&["subscribe", "news"], &more))).await;
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{transport}: {said}");
        assert!(said.contains("token_expired"), "{transport}: {said}");
        assert!(!said.contains(&token), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_replaced_in_time_goes_on() {
    let guarded = Guarded::start().await;
    let (file, old) = guarded.token_file(-24);
    let follow = |transport| {
        let more = ["--token-file", &file, "--transport", transport];
        let args = guarded.args(
            &["subscribe", "news"],
            &[&more[..], &["--interval=0.1"]].concat(),
        );
        Program::start(everyway(&strs(&args)))
    };
    let mut follows: Vec<Program> = TRANSPORTS.into_iter().map(follow).collect();
    // Each has come by the old one: who is late would come by the new one.
    for follow in &follows {
        follow.printed_with("from now").await;
    }
    guarded.token_file(60);
    let is_refused = async || {
        let args = guarded.args(&["publish", "other", "0"], &["--token", &old]);
        !run(&strs(&args)).await.status.success()
    };
    until("the old token to run out", is_refused).await;
    for follow in &follows {
        follow.printed_with("another one now").await;
    }
    guarded.publish("\"after\"").await;
    for follow in &mut follows {
        let line = follow.line().await.expect("a message");
        assert_eq!(data(&line), "after");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_used_is_told_before_anything_is_sent() {
    let guarded = Guarded::start().await;
    let folder = guarded.folder.path().to_str().expect("UTF-8");
    let (empty, nowhere) = (format!("{folder}/empty"), format!("{folder}/nowhere"));
    std::fs::write(&empty, "\n").expect("a file");
    for (more, status, says) in [
        (vec!["--token-file", &nowhere], 1, "nowhere"),
        (vec!["--token-file", &empty], 1, "no token"),
        (vec!["--token", "two words"], 1, "spaces"),
        (
            vec!["--token", "a", "--token-file", &empty],
            64,
            "--token-file",
        ),
    ] {
        let output = run(&strs(&guarded.args(&["publish", "news", "1"], &more))).await;
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert!(said.contains(says) && !said.contains("two words"), "{said}");
    }
    let (plain, ca) = (Gateway::start().await, guarded.certs.path("ca.pem"));
    let plain = format!("https://{}", plain.address);
    for (url, ca, says) in [
        ("http://127.0.0.1:1", "ca.pem", "https"),
        ("https://127.0.0.1:1", nowhere.as_str(), "--ca"),
        (&plain, &ca, "does not speak TLS"),
    ] {
        let output = run(&["publish", "news", "1", "--url", url, "--ca", ca]).await;
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_forgets_tls_is_told() {
    let guarded = Guarded::start().await;
    let url = guarded.url("http");
    let published = run(&["publish", "news", "1", "--url", &url]).await;
    assert_eq!(published.status.code(), Some(1));
    let said = stderr(&published);
    assert!(said.contains("try https://"), "{said}");
    for transport in TRANSPORTS {
        let args = ["subscribe", "news", "--url", &url, "--transport", transport];
        let follow = Program::start(everyway(&args));
        follow.printed_with("try https://").await;
    }
}
