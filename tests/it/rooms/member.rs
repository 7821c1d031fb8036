//! A client: who it is, where it stands in its channels, and all that it was told.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use everyway::bus::{PublicId, SessionId, UserName};
use serde_json::{Value, json};

use super::super::support::{Via, within};
use super::line::{Asker, Line};

/// Where to start in a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Where the client stands.
    Resume,
    Now,
    Earliest,
}

/// Channels to read, each with where to start.
pub type Plan = BTreeMap<String, Start>;

/// What a client was told of one channel.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// It began to read after this offset.
    From(u64),
    Message(u64, Value),
    /// So many were lost, and reading goes on after this offset.
    Gap {
        offset: u64,
        lost: u64,
    },
}

/// Who a client is.
#[derive(Debug, Clone)]
pub struct Who {
    pub number: usize,
    /// Nobody in particular if absent.
    pub user: Option<String>,
    /// Each of its attachments is a session of its own if absent.
    pub session: Option<String>,
}

impl Who {
    /// What everybody may see of the session, if it brings one.
    pub fn public_id(&self) -> Option<PublicId> {
        let user = self.user.as_deref();
        let user = user.map(|user| UserName::parse(user).expect("a name"));
        let session = SessionId::parse(self.session.as_deref()?).expect("a session id");
        Some(PublicId::of(user.as_ref(), &session))
    }
}

/// A client.
pub struct Member {
    pub who: Who,
    address: SocketAddr,
    pub token: String,
    pub line: Option<Line>,
    /// The channels that it reads or would come back to, with epoch and offset.
    pub stands: BTreeMap<String, (String, u64)>,
    pub heard: BTreeMap<String, Vec<Entry>>,
    /// What it was told that is neither a message nor a gap.
    answers: VecDeque<Value>,
    /// The code with which its line ended.
    pub ended: Option<String>,
    pub is_welcome: bool,
    /// What everybody may see of its session.
    pub public_id: Option<String>,
    /// The channels of its polls, in the order of the request.
    polled: Vec<String>,
    refs: u64,
}

impl Member {
    pub fn new(who: Who, address: SocketAddr) -> Self {
        Self {
            who,
            address,
            token: String::new(),
            line: None,
            stands: BTreeMap::new(),
            heard: BTreeMap::new(),
            answers: VecDeque::new(),
            ended: None,
            is_welcome: false,
            public_id: None,
            polled: Vec::new(),
            refs: 0,
        }
    }

    /// Attaches anew, and waits until it is welcomed or turned away. Returns the older line, which is not listened to any
    /// more.
    pub async fn attach(&mut self, via: Via, plan: &Plan, wait_s: f64) -> Option<Line> {
        self.listen();
        if let Some(line) = &self.line {
            line.retire();
        }
        let cursor = self.begin(plan);
        let query = self.query(plan.keys());
        let line = Line::open(self.address, via, &query, &cursor, wait_s).await;
        let older = self.line.replace(line);
        self.until("to be welcomed", |member| {
            member.is_welcome || member.ended.is_some()
        })
        .await;
        older
    }

    /// Attaches a WebSocket without channels, and subscribes to one after the other.
    pub async fn attach_bare(&mut self, plan: &Plan) -> Option<Line> {
        self.listen();
        if let Some(line) = &self.line {
            line.retire();
        }
        let stood = self.stands.clone();
        self.begin(&Plan::new());
        let query = self.query(std::iter::empty());
        let line = Line::open(self.address, Via::WebSocket, &query, "now", 0.0).await;
        let older = self.line.replace(line);
        self.until("to be welcomed", |member| member.is_welcome)
            .await;
        self.stands = stood;
        self.stands.retain(|channel, _| plan.contains_key(channel));
        for (channel, start) in plan {
            self.subscribe(channel, *start).await;
        }
        older
    }

    /// Polls until there is nothing more, once at least.
    pub async fn poll(&mut self, via: Via, plan: &Plan) {
        let mut cursor = self.begin(plan);
        let query = self.query(plan.keys());
        let asker = Asker::new(self.address, via).await;
        loop {
            let target = format!("{}?{query}&cursor={cursor}&limit=7&wait=0", via.path());
            let answer = asker.get(&target).await;
            assert_eq!(answer.status, 200, "{target}: {}", answer.text());
            let mut page = answer.json();
            page["type"] = json!("page");
            self.take(&page);
            cursor = page["cursor"].as_str().expect("a cursor").to_owned();
            if page["more"] != true {
                return;
            }
        }
    }

    /// Forgets what belongs to an older line, and returns the cursor for a plan.
    fn begin(&mut self, plan: &Plan) -> String {
        (self.is_welcome, self.ended) = (false, None);
        self.answers.clear();
        self.polled = plan.keys().cloned().collect();
        let items: Vec<String> = plan
            .iter()
            .map(|(channel, start)| format!("{channel}@{}", self.cursor(channel, *start)))
            .collect();
        self.stands
            .retain(|channel, _| plan.get(channel) == Some(&Start::Resume));
        items.join(",")
    }

    fn cursor(&self, channel: &str, start: Start) -> String {
        match start {
            Start::Now => "now".to_owned(),
            Start::Earliest => "earliest".to_owned(),
            Start::Resume => {
                let (epoch, offset) = &self.stands[channel];
                format!("{epoch}.{offset}")
            }
        }
    }

    fn query<'a>(&self, channels: impl Iterator<Item = &'a String>) -> String {
        let mut parts: Vec<String> = channels
            .map(|channel| format!("channel={channel}"))
            .collect();
        parts.push(format!("token={}", self.token));
        let session = self.who.session.iter();
        parts.extend(session.map(|session| format!("session={session}")));
        parts.join("&")
    }

    /// Cuts the connection without a word.
    pub fn hang_up(&mut self) {
        self.listen();
        self.line = None;
    }

    /// Closes its WebSocket with 1000, and reads to the end.
    pub async fn close(&mut self) {
        self.line.as_ref().expect("a line").close().await;
        self.until("its WebSocket to close", Self::is_over).await;
        self.hang_up();
    }

    pub async fn subscribe(&mut self, channel: &str, start: Start) -> Value {
        let cursor = self.cursor(channel, start);
        if start != Start::Resume {
            self.stands.remove(channel);
        }
        let command = json!({"action": "subscribe", "channel": channel, "cursor": cursor});
        self.ask(command).await
    }

    pub async fn unsubscribe(&mut self, channel: &str) -> Value {
        let command = json!({"action": "unsubscribe", "channel": channel});
        let answer = self.ask(command).await;
        self.stands.remove(channel);
        answer
    }

    /// Says a command over its WebSocket, and returns the answer: null if the line ended before it came.
    pub async fn ask(&mut self, mut command: Value) -> Value {
        self.refs += 1;
        let reference = json!(self.refs);
        command["ref"] = reference.clone();
        self.line.as_ref().expect("a line").say(command).await;
        let is_answer = |answer: &Value| answer["ref"] == reference;
        self.until("to be answered", |member| {
            member.is_over() || member.answers.iter().any(is_answer)
        })
        .await;
        let at = self.answers.iter().position(is_answer);
        at.and_then(|at| self.answers.remove(at))
            .unwrap_or_default()
    }

    /// True once its line has ended.
    pub fn is_over(&self) -> bool {
        self.ended.is_some()
    }

    /// How far it has read.
    pub fn offset(&self, channel: &str) -> Option<u64> {
        self.stands.get(channel).map(|(_, offset)| *offset)
    }

    /// Listens until something is so.
    pub async fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let what = format!("client {} {what}, {:?}", self.who.number, self.who);
        let waiting = async {
            loop {
                self.listen();
                if is_so(self) {
                    return;
                }
                self.line.as_ref().expect("a line").news().await;
            }
        };
        within(&what, waiting).await;
    }

    /// Takes in what was told until now.
    pub fn listen(&mut self) {
        let told = self.line.as_ref().map(Line::take).unwrap_or_default();
        for object in &told {
            self.take(object);
        }
    }

    fn take(&mut self, object: &Value) {
        match text(object, "type").as_str() {
            "welcome" => {
                self.is_welcome = true;
                self.public_id = Some(text(object, "session"));
                let channels = object["channels"].as_array().expect("channels");
                channels.iter().for_each(|channel| self.stand(channel));
            }
            "page" => self.take_page(object),
            "message" => self.take_message(object),
            "gap" => self.take_gap(object),
            "subscribed" => {
                self.stand(object);
                self.answers.push_back(object.clone());
            }
            "disconnect" => self.ended = Some(text(object, "code")),
            "closed" => {
                let close = object["close"].as_u64().expect("a code");
                let code = if close == 1000 { "normal" } else { "cut" };
                self.ended.get_or_insert_with(|| code.to_owned());
            }
            _ => self.answers.push_back(object.clone()),
        }
    }

    /// Begins to read a channel, or goes on where it was.
    fn stand(&mut self, at: &Value) {
        let (channel, epoch, offset) = (text(at, "channel"), text(at, "epoch"), number(at));
        if let Some(stood) = self.stands.get(&channel) {
            assert_eq!(*stood, (epoch, offset), "{channel} of {:?}", self.who);
            return;
        }
        self.note(&channel, Entry::From(offset));
        self.stands.insert(channel, (epoch, offset));
    }

    fn take_message(&mut self, message: &Value) {
        let (channel, offset) = (text(message, "channel"), number(message));
        let who = &self.who;
        let Some((_, stood)) = self.stands.get_mut(&channel) else {
            panic!("{who:?} does not read it: {message}");
        };
        assert_eq!(offset, *stood + 1, "{who:?} stood at {stood}: {message}");
        *stood = offset;
        self.note(&channel, Entry::Message(offset, message["data"].clone()));
    }

    fn take_gap(&mut self, gap: &Value) {
        let (channel, offset) = (text(gap, "channel"), number(gap));
        assert_eq!(gap["reason"], "history", "{:?}: {gap}", self.who);
        let lost = gap["lost"].as_u64().expect("a count");
        let (_, stood) = self.stands.get_mut(&channel).expect("a channel it reads");
        assert_eq!(*stood + lost, offset, "{:?}: {gap}", self.who);
        *stood = offset;
        self.note(&channel, Entry::Gap { offset, lost });
    }

    fn take_page(&mut self, page: &Value) {
        let messages = page["messages"].as_array().expect("messages");
        let ends = positions(&text(page, "cursor"));
        for (channel, (epoch, end)) in self.polled.clone().into_iter().zip(&ends) {
            if !self.stands.contains_key(&channel) {
                let its = |message: &&Value| message["channel"] == *channel;
                let begin = end - messages.iter().filter(its).count() as u64;
                self.note(&channel, Entry::From(begin));
                self.stands.insert(channel, (epoch.clone(), begin));
            }
        }
        let gaps = page.get("gap").and_then(Value::as_array);
        gaps.into_iter()
            .flatten()
            .for_each(|gap| self.take_gap(gap));
        messages
            .iter()
            .for_each(|message| self.take_message(message));
        let stands = self.polled.iter().map(|channel| &self.stands[channel]);
        assert!(stands.eq(&ends), "{:?}: {page}", self.who);
        // From the second one on they are parked, unless there is something to read.
        self.is_welcome |= page["more"] != true;
    }

    fn note(&mut self, channel: &str, entry: Entry) {
        self.heard
            .entry(channel.to_owned())
            .or_default()
            .push(entry);
    }
}

/// The positions of a cursor that the gateway wrote.
fn positions(cursor: &str) -> Vec<(String, u64)> {
    let list = cursor.rsplit('~').next().expect("positions");
    let position = |text: &str| {
        let (epoch, offset) = text.split_once('.').expect("epoch.offset");
        (epoch.to_owned(), offset.parse().expect("a number"))
    };
    list.split(',').map(position).collect()
}

fn text(object: &Value, name: &str) -> String {
    let text = object[name].as_str();
    text.unwrap_or_else(|| panic!("no {name} in {object}"))
        .to_owned()
}

fn number(object: &Value) -> u64 {
    let offset = object["offset"].as_u64();
    offset.unwrap_or_else(|| panic!("no offset in {object}"))
}
