//! Nothing secret is ever printed: the program runs with all its own messages and those of its libraries on, is shown
//! credentials in every way and in every state, and all that it says is searched.

use serde_json::json;
use tokio::process::Command;

use crate::support::frames::{END_HEADERS, END_STREAM, Frames, frame};
use crate::support::http::request;
use crate::support::program::Program;
use crate::support::sse::Stream;
use crate::support::ws::Ws;
use crate::tokens::{API_KEY, SECRET, file, hex, now_s, token};

use std::net::SocketAddr;

const SESSION: &str = "session-that-nobody-may-see";
const UNKNOWN_KEY: &str = "ew_fedcba9876543210fedcba9876543210";

/// A guarded gateway that prints all it can, and where it listens.
async fn talkative(format: &str) -> (Program, SocketAddr) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_everyway"));
    let key = format!("auth.api_keys=[{{sha256=\"{}\",admin=true}}]", hex(API_KEY));
    for setting in [
        format!("auth.secret_file={}", file("secret", SECRET)),
        key,
        "log.filter=trace".to_owned(),
        format!("log.format={format}"),
        "limits.message_bytes_max=20000".to_owned(),
    ] {
        command.args(["--set", &setting]);
    }
    command.args(["--listen", "127.0.0.1:0"]);
    let program = Program::start(command);
    let printed = program.printed_with("127.0.0.1:").await;
    let (_, rest) = printed.split_once("127.0.0.1:").expect("it was printed");
    let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let address = format!("127.0.0.1:{port}").parse().expect("an address");
    (program, address)
}

/// What was shown to the gateway, and all that it answered.
struct Shown {
    address: SocketAddr,
    secrets: Vec<String>,
    answers: String,
}

impl Shown {
    async fn ask(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) {
        let answer = request(self.address, method, target, headers, body.as_bytes()).await;
        self.answers += &format!("{:?} {}\n", answer.headers, answer.text());
    }

    async fn hear(&mut self, target: &str, headers: &[(&'static str, &str)]) -> Ws {
        let (mut ws, answer) = Ws::with(self.address, target, headers).await;
        self.answers += &format!("{answer:?} {:?}\n", ws.next_json().await);
        ws
    }

    /// Shows a credential in each way, and in some that are mistakes.
    async fn present(&mut self, secret: &str) {
        self.secrets.push(secret.to_owned());
        let bearer = format!("Bearer {secret}");
        let session = format!("session={SESSION}");
        for (scheme, path) in [
            (bearer.as_str(), "/v1/poll?channel=news"),
            (&bearer, "/metrics"),
            (&bearer, "/v1/disconnect?user=nobody"),
            (&format!("Basic {secret}"), "/v1/history?channel=news"),
            (secret, "/v1/longpoll?channel=news&wait=0"),
        ] {
            let method = if path.contains("disconnect") {
                "POST"
            } else {
                "GET"
            };
            self.ask(method, path, &[("authorization", scheme)], "")
                .await;
        }
        for query in [
            format!("token={secret}&{session}"),
            format!("ticket={secret}&{session}"),
            format!("token={secret}&ticket={secret}"),
            format!("token={secret}&token={secret}"),
            format!("token={secret}&channel=news&cursor={SESSION}"),
            format!("token={secret}&session=short&{session}"),
        ] {
            for path in [
                "/v1/poll",
                "/v1/longpoll",
                "/v1/history",
                "/nowhere",
                "/v1/ws",
            ] {
                self.ask(
                    "GET",
                    &format!("{path}?channel=news&wait=0&{query}"),
                    &[],
                    "",
                )
                .await;
            }
            let target = format!("/v1/sse?channel=news&{query}");
            let mut stream = Stream::open(self.address, &target, &[]).await;
            if stream.status == 200 {
                self.answers += &format!("{:?}\n", stream.next().await);
            }
            self.hear(&format!("/v1/ws?channel=news&{query}"), &[])
                .await;
        }
        let body = json!({"channels": [secret]}).to_string();
        self.ask("POST", "/v1/ticket", &[("authorization", &bearer)], &body)
            .await;
        for offer in [
            format!("everyway.v1, bearer.{secret}"),
            format!("bearer.{secret}, everyway.v1, bearer.{secret}"),
        ] {
            let target = format!("/v1/ws?{session}");
            let mut ws = self
                .hear(&target, &[("sec-websocket-protocol", &offer)])
                .await;
            let refresh = json!({"action": "refresh", "token": secret});
            ws.send_or_not(refresh.to_string()).await;
            self.answers += &format!("{:?}\n", ws.next_json().await);
        }
        self.over_http2(secret).await;
    }

    /// A head that HTTP/2 and its table of fields get to see.
    async fn over_http2(&mut self, secret: &str) {
        let mut connection = Frames::open(self.address).await;
        let mut block = vec![0x82, 0x86, 0x84, 0x01, 9];
        block.extend(b"localhost");
        // Literals with names of their own, one that goes into the table and one that never does.
        for first in [0x40, 0x10] {
            block.extend([first, 13]);
            block.extend(b"authorization");
            block.push(0x7f);
            let mut more = secret.len() - 127;
            while more >= 128 {
                block.push(u8::try_from(more % 128).expect("seven bits") | 0x80);
                more /= 128;
            }
            block.push(u8::try_from(more).expect("seven bits"));
            block.extend(secret.as_bytes());
        }
        let head = frame(
            crate::support::frames::HEADERS,
            END_STREAM | END_HEADERS,
            1,
            &block,
        );
        connection.send(&head).await;
        connection.until(crate::support::frames::HEADERS).await;
    }
}

/// No token, ticket, API key, secret or session id, good or bad, in whatever way it came, is in a log line, a metric or an
/// answer (design, sections 3 and 5).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_printed_anywhere() {
    for format in ["text", "json"] {
        let (program, address) = talkative(format).await;
        let mut shown = Shown {
            address,
            secrets: Vec::new(),
            answers: String::new(),
        };
        let pad = "p".repeat(100);
        let good = token(json!({"pad": pad, "publish": ["news"]}));
        let expired = token(json!({"pad": pad, "exp": now_s() - 100}));
        let forged = format!("{}A", token(json!({"pad": pad, "sub": "eve"})));
        let torn = format!("{}.{pad}", &good[..150]);
        for secret in [&good, &expired, &forged, &torn] {
            shown.present(secret).await;
        }
        let long = |key: &str| format!("{key}{pad}");
        for secret in [long(API_KEY), long(UNKNOWN_KEY)] {
            shown.present(&secret).await;
        }
        with_tickets_and_keys(&mut shown, &good).await;
        let admin = format!("Bearer {API_KEY}");
        shown
            .ask("GET", "/metrics", &[("authorization", &admin)], "")
            .await;
        let last = "/the-last-one";
        shown.ask("GET", last, &[], "").await;
        let printed = program.printed_with(last).await;
        assert!(
            printed.contains("debug") || printed.contains("DEBUG"),
            "it prints all it can"
        );
        let said = printed + &shown.answers;
        shown
            .secrets
            .extend([SECRET, SESSION, API_KEY, UNKNOWN_KEY].map(str::to_owned));
        for secret in &shown.secrets {
            // The end of a token is its signature; a part of it would be too much already.
            for part in [&secret[..], &secret[secret.len() - 20..]] {
                let lines: Vec<_> = said.lines().filter(|line| line.contains(part)).collect();
                assert!(lines.is_empty(), "{part} was printed: {lines:#?}");
            }
        }
    }
}

/// Tickets: one used, one used twice, one for another channel, one never used; and the API key as it is.
async fn with_tickets_and_keys(shown: &mut Shown, good: &str) {
    let bearer = format!("Bearer {good}");
    let headers = [("authorization", bearer.as_str())];
    for channel in ["news", "news", "other", "news"] {
        let body = br#"{"channels":["news"]}"#;
        let answer = request(shown.address, "POST", "/v1/ticket", &headers, body).await;
        let ticket = answer.json()["ticket"]
            .as_str()
            .expect("a ticket")
            .to_owned();
        let target = format!("/v1/poll?channel={channel}&ticket={ticket}");
        for _ in 0..2 {
            shown.ask("GET", &target, &[], "").await;
        }
        shown.hear(&format!("/v1/ws?ticket={ticket}"), &[]).await;
        shown.secrets.push(ticket);
    }
    let target = format!("/v1/poll?channel=news&token={API_KEY}");
    shown.ask("GET", &target, &[], "").await;
    shown
        .ask(
            "POST",
            &format!("/v1/publish?channel=news&token={UNKNOWN_KEY}"),
            &[],
            "1",
        )
        .await;
}
