//! One attachment of a client, over any transport: what it is told is kept until somebody asks.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use yawc::HttpVersion;

use super::super::support::Via;
use super::super::support::http::{self, Response};
use super::super::support::http2::Http2;
use super::super::support::sse::Stream;
use super::super::support::within;
use super::super::support::ws::Ws;
use super::super::support::yawc::Yawc;

/// How long an answer may take: more than a poll waits.
const ANSWERED_WITHIN: Duration = Duration::from_secs(70);

/// An attachment, or the polls that stand for one. Dropping it cuts the connection.
pub struct Line {
    pub via: Via,
    ears: Arc<Ears>,
    words: mpsc::Sender<Word>,
    task: JoinHandle<()>,
}

/// What was told and not taken yet.
#[derive(Default)]
struct Ears {
    told: Mutex<VecDeque<Value>>,
    news: Notify,
    /// Set when the client goes elsewhere: it does not poll again.
    is_retired: AtomicBool,
}

/// What a client says over a WebSocket.
enum Word {
    Command(Value),
    Close,
}

impl Line {
    /// Attaches. `query` has everything but the cursor and the wait. A refusal is told like anything else.
    pub async fn open(
        address: SocketAddr,
        via: Via,
        query: &str,
        cursor: &str,
        wait_s: f64,
    ) -> Self {
        let (words, heard_words) = mpsc::channel(16);
        let ears = Arc::new(Ears::default());
        let target = format!("{}?{query}&cursor={cursor}", via.path());
        let told = Arc::clone(&ears);
        let task = match via {
            Via::WebSocket => {
                let ws = Ws::open(address, &target).await;
                tokio::spawn(over_websocket(ws, told, heard_words))
            }
            Via::Deflate | Via::WebSocketOverHttp2 | Via::DeflateOverHttp2 => {
                let version = match via {
                    Via::Deflate => HttpVersion::Http1,
                    _ => HttpVersion::Http2,
                };
                let deflate = via != Via::WebSocketOverHttp2;
                let ws = Yawc::open(address, &target, version, deflate).await;
                tokio::spawn(over_yawc(ws, told, heard_words))
            }
            Via::Sse | Via::SseOverHttp2 => {
                let asker = Asker::new(address, via).await;
                tokio::spawn(over_sse(asker, target, told))
            }
            _ => {
                let asker = Asker::new(address, via).await;
                let target = format!("{}?{query}", via.path());
                tokio::spawn(over_polls(asker, target, cursor.to_owned(), wait_s, told))
            }
        };
        Self {
            via,
            ears,
            words,
            task,
        }
    }

    /// What was told since the last call.
    pub fn take(&self) -> VecDeque<Value> {
        std::mem::take(&mut *self.ears.told.lock())
    }

    /// Returns when there is news, or was since the last call. One may wait at a time. Cancel safe.
    pub async fn news(&self) {
        self.ears.news.notified().await;
    }

    /// Says a command, over a WebSocket that may be closed already.
    pub async fn say(&self, command: Value) {
        self.word(Word::Command(command)).await;
    }

    /// Closes a WebSocket with 1000, unless it is closed already.
    pub async fn close(&self) {
        self.word(Word::Close).await;
    }

    /// Does not poll again.
    pub fn retire(&self) {
        self.ears.is_retired.store(true, Ordering::SeqCst);
    }

    /// Reads to the end without taking anything in, and returns the code of the end: `cut` if none was told.
    pub async fn end(self) -> String {
        let mut code = "cut".to_owned();
        let reading = async {
            loop {
                for object in self.take() {
                    match object["type"].as_str() {
                        Some("disconnect") => {
                            code = object["code"].as_str().expect("a code").to_owned();
                        }
                        Some("closed") => return,
                        _ => {}
                    }
                }
                self.news().await;
            }
        };
        within(&format!("{:?} to end", self.via), reading).await;
        code
    }

    async fn word(&self, word: Word) {
        // Nobody listens once the gateway has closed, which is told.
        drop(self.words.send(word).await);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Ears {
    fn tell(&self, object: Value) {
        self.told.lock().push_back(object);
        self.news.notify_one();
    }

    fn closed(&self, code: u16) {
        self.tell(json!({"type": "closed", "close": code}));
    }

    /// The end of an attachment that was told by the status of an answer.
    fn refused(&self, answer: &Response) {
        let code = answer.code();
        self.tell(json!({"type": "disconnect", "code": code, "status": answer.status}));
        self.closed(0);
    }
}

async fn over_websocket(mut ws: Ws, ears: Arc<Ears>, mut words: mpsc::Receiver<Word>) {
    loop {
        tokio::select! {
            word = words.recv() => match word {
                Some(Word::Command(command)) => ws.send_or_not(command.to_string()).await,
                Some(Word::Close) => ws.begin_close().await,
                None => return,
            },
            object = ws.next_json() => match object {
                Ok(object) => ears.tell(object),
                Err((code, _)) => return ears.closed(code),
            },
        }
    }
}

async fn over_yawc(mut ws: Yawc, ears: Arc<Ears>, mut words: mpsc::Receiver<Word>) {
    loop {
        tokio::select! {
            word = words.recv() => match word {
                Some(Word::Command(command)) => ws.send_or_not(command).await,
                // This client hangs up instead: a close that it begins would take the stream.
                Some(Word::Close) | None => return ears.closed(0),
            },
            object = ws.next_json() => match object {
                Ok(object) => ears.tell(object),
                Err((code, _)) => return ears.closed(code),
            },
        }
    }
}

async fn over_sse(asker: Asker, target: String, ears: Arc<Ears>) {
    let answer = asker.open(&target).await;
    if answer.status() != 200 {
        return ears.refused(&http::read(&target, answer).await);
    }
    let mut stream = Stream::of(answer);
    while let Some(event) = stream.next_but_ping().await {
        ears.tell(serde_json::from_str(&event.data).expect("data is JSON"));
    }
    ears.closed(0);
}

/// Polls for as long as nobody says otherwise. The first polls find what is there already, and pin the cursor.
async fn over_polls(
    asker: Asker,
    target: String,
    mut cursor: String,
    wait_s: f64,
    ears: Arc<Ears>,
) {
    let mut wait_now_s = 0.0;
    while !ears.is_retired.load(Ordering::SeqCst) {
        let target = format!("{target}&cursor={cursor}&wait={wait_now_s}");
        let answer = asker.get(&target).await;
        if answer.status != 200 {
            return ears.refused(&answer);
        }
        let mut page = answer.json();
        page["type"] = json!("page");
        cursor = page["cursor"].as_str().expect("a cursor").to_owned();
        wait_now_s = if page["more"] == true { 0.0 } else { wait_s };
        ears.tell(page);
    }
    ears.closed(0);
}

/// A client that sends requests, over connections of their own or over one.
pub enum Asker {
    Http1(SocketAddr),
    Http2(Http2),
}

impl Asker {
    pub async fn new(address: SocketAddr, via: Via) -> Self {
        match via {
            Via::SseOverHttp2 | Via::LongPollOverHttp2 | Via::PollOverHttp2 => {
                Self::Http2(Http2::connect(address).await)
            }
            _ => Self::Http1(address),
        }
    }

    async fn open(&self, target: &str) -> ::http::Response<Incoming> {
        match self {
            Self::Http1(address) => {
                http::open_within(ANSWERED_WITHIN, *address, "GET", target, &[], b"").await
            }
            Self::Http2(http2) => http2.open_within(ANSWERED_WITHIN, target).await,
        }
    }

    pub async fn get(&self, target: &str) -> Response {
        http::read(target, self.open(target).await).await
    }
}
