//! From a request's head to what it asks for. Pure: the only place where paths and parameter names appear.

use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, IF_NONE_MATCH, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, Method};

use crate::bus::{ChannelName, Cursor, NameError, SessionId, Start, UserName, Wanted};
use crate::code::Code;
use crate::peer::Entrance;
use crate::problem::Problem;
use crate::protocol::command::{
    HistoryRequest, Order, PresenceRequest, parse_key, parse_limit, parse_user_limit,
};
use crate::protocol::payload::BodyKind;
use crate::transport::Transport;

use super::query::Query;

pub mod admin;

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// One of the four ways to receive.
    Receive(Transport),
    /// A WebSocket that returns what it gets.
    Echo,
    /// Publish a message.
    Publish,
    /// Send a message to a user.
    Send,
    /// A page of history.
    History,
    /// Who is in a channel.
    Presence,
    /// A ticket for a URL.
    Ticket,
    /// End the attachments of somebody.
    Disconnect,
    /// Which transports there are.
    Transports,
    /// Liveness.
    Health,
    /// Readiness.
    Ready,
    /// Counters.
    Metrics,
    /// A list of channels, for administrators.
    AdminChannels,
    /// A list of attachments, for administrators.
    AdminSessions,
}

const NO_CHANNEL: &str = "channel is missing: add ?channel=NAME";
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

const GET: &[Method] = &[Method::GET, Method::OPTIONS];
/// A WebSocket begins with GET over HTTP/1.1 and with CONNECT over HTTP/2.
const GET_CONNECT: &[Method] = &[Method::GET, Method::CONNECT, Method::OPTIONS];
const GET_DELETE: &[Method] = &[Method::GET, Method::DELETE, Method::OPTIONS];
const DELETE: &[Method] = &[Method::DELETE, Method::OPTIONS];
/// What files and what is like them take.
pub const GET_HEAD: &[Method] = &[Method::GET, Method::HEAD, Method::OPTIONS];
const POST: &[Method] = &[Method::POST, Method::OPTIONS];

impl Endpoint {
    /// What is at a path, if anything.
    pub fn at(path: &str) -> Option<Self> {
        if let Some(transport) = Transport::ALL
            .into_iter()
            .find(|transport| transport.path() == path)
        {
            return Some(Self::Receive(transport));
        }
        Some(match path {
            "/v1/echo" => Self::Echo,
            "/v1/publish" => Self::Publish,
            "/v1/send" => Self::Send,
            "/v1/history" => Self::History,
            "/v1/presence" => Self::Presence,
            "/v1/ticket" => Self::Ticket,
            "/v1/disconnect" => Self::Disconnect,
            "/v1/transports" => Self::Transports,
            "/healthz" => Self::Health,
            "/readyz" => Self::Ready,
            "/metrics" => Self::Metrics,
            "/v1/admin/channels" => Self::AdminChannels,
            "/v1/admin/sessions" => Self::AdminSessions,
            _ => return None,
        })
    }

    /// The methods it takes at a listener; none if it is not there.
    pub fn methods(self, entrance: Entrance) -> &'static [Method] {
        match (entrance, self) {
            (_, Self::Disconnect) => POST,
            (_, Self::AdminChannels | Self::AdminSessions) => GET,
            (_, Self::Health | Self::Ready | Self::Metrics) => GET_HEAD,
            (Entrance::Admin, Self::History) => DELETE,
            (Entrance::Admin, _) => &[],
            (Entrance::Public, Self::Receive(Transport::WebSocket) | Self::Echo) => GET_CONNECT,
            (Entrance::Public, Self::Receive(_) | Self::Presence) => GET,
            (Entrance::Public, Self::History) => GET_DELETE,
            (Entrance::Public, Self::Publish | Self::Send | Self::Ticket) => POST,
            (Entrance::Public, Self::Transports) => GET_HEAD,
        }
    }
}

/// The bounds that a request is read within.
#[derive(Debug, Clone, Copy)]
pub struct RouteLimits {
    /// Most channels of a request.
    pub channels_max: usize,
    /// Most messages in a page.
    pub page_messages_max: usize,
    /// The longest wait of a long poll.
    pub wait_max: Duration,
}

/// What all receiving requests say.
#[derive(Debug, Clone, PartialEq)]
pub struct Attach {
    /// The channels.
    pub channels: Vec<Wanted>,
    /// Where to start in them.
    pub cursor: Cursor,
    /// The session's secret id, if the client brought one.
    pub session: Option<SessionId>,
    /// The name that the client chose.
    pub user: Option<UserName>,
}

/// What is read, once it is known by whom.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The channels, none twice.
    pub channels: Vec<ChannelName>,
    /// Where to start in each of them.
    pub starts: Vec<Start>,
}

impl Attach {
    /// What is read if it is asked for by somebody with this name.
    ///
    /// # Errors
    /// `bad_request` for a channel that is named twice or an inbox of nobody, `bad_cursor` for a cursor of other channels.
    pub fn reading(&self, user: Option<&UserName>) -> Result<Reading, Problem> {
        let channels = self.channels.iter().map(|wanted| wanted.clone().of(user));
        let channels: Vec<ChannelName> = channels.collect::<Result<_, _>>()?;
        check_distinct(&channels)?;
        let starts = self.cursor.resolve(&channels)?;
        Ok(Reading { channels, starts })
    }
}

/// What a poll says besides.
#[derive(Debug, Clone, PartialEq)]
pub struct Poll {
    /// Channels and cursor.
    pub attach: Attach,
    /// Most messages; the default if absent.
    pub limit: Option<usize>,
    /// How long to wait; the default if absent. Short polls ignore it.
    pub wait: Option<Duration>,
    /// What `If-None-Match` stands for, if it is a cursor.
    pub known: Option<Cursor>,
}

/// What a publishing request says besides its body.
#[derive(Debug, Clone, PartialEq)]
pub struct Publish {
    /// The channels, none twice.
    pub channels: Vec<ChannelName>,
    /// The name that the client chose.
    pub user: Option<UserName>,
    /// The name to publish under; for API keys that may choose it.
    pub from: Option<UserName>,
    /// The idempotency key.
    pub key: Option<String>,
    /// What kind of body follows.
    pub kind: BodyKind,
}

/// What a sending request says besides its body.
#[derive(Debug, Clone, PartialEq)]
pub struct Send {
    /// To whom.
    pub to: UserName,
    /// The name that the client chose.
    pub user: Option<UserName>,
    /// The name to send under; for API keys that may choose it.
    pub from: Option<UserName>,
    /// The idempotency key.
    pub key: Option<String>,
    /// What kind of body follows.
    pub kind: BodyKind,
}

/// Reads the request of a WebSocket, which may begin without channels.
///
/// # Errors
/// `bad_request`, `bad_cursor` or `forbidden`, each with what to do.
pub fn websocket(parts: &Parts, limits: RouteLimits) -> Result<Attach, Problem> {
    let query = Query::parse(parts.uri.query().unwrap_or_default())?;
    let channels = wanted(&query, 0, limits.channels_max)?;
    let cursor = Cursor::parse(query.single("cursor")?.unwrap_or("now"))?;
    attach_rest(&query, channels, cursor)
}

/// Reads the request of an SSE stream. `Last-Event-ID` wins over `cursor`: it is what an `EventSource` that comes back
/// knows, and its URL still holds the cursor it began with.
///
/// # Errors
/// As [`websocket`].
pub fn sse(parts: &Parts, limits: RouteLimits) -> Result<Attach, Problem> {
    let query = Query::parse(parts.uri.query().unwrap_or_default())?;
    let channels = wanted(&query, 1, limits.channels_max)?;
    let cursor = query.single("cursor")?;
    let cursor = last_event_id(&parts.headers)?.or(cursor).unwrap_or("now");
    attach_rest(&query, channels, Cursor::parse(cursor)?)
}

/// Reads a poll. Without a cursor, `If-None-Match` is the cursor.
///
/// # Errors
/// As [`websocket`].
pub fn poll(parts: &Parts, limits: RouteLimits) -> Result<Poll, Problem> {
    poll_of(&Query::of(parts)?, &parts.headers, limits)
}

/// The same, for who has read the query already.
pub(super) fn poll_of(
    query: &Query,
    headers: &HeaderMap,
    limits: RouteLimits,
) -> Result<Poll, Problem> {
    let channels = wanted(query, 1, limits.channels_max)?;
    let known = if_none_match(headers)?;
    let cursor = query.single("cursor")?;
    let cursor = Cursor::parse(cursor.or(known).unwrap_or("now"))?;
    // Beside a cursor, an ETag that is not one of ours simply matches nothing.
    let known = known.and_then(|token| Cursor::parse(token).ok());
    let limit = limit(query, limits.page_messages_max)?;
    let wait = query
        .single("wait")?
        .map(|text| parse_wait(text, limits.wait_max))
        .transpose()?;
    Ok(Poll {
        attach: attach_rest(query, channels, cursor)?,
        limit,
        wait,
        known,
    })
}

/// Reads a publishing request.
///
/// # Errors
/// As [`websocket`].
pub fn publish(parts: &Parts, limits: RouteLimits) -> Result<Publish, Problem> {
    let query = Query::parse(parts.uri.query().unwrap_or_default())?;
    Ok(Publish {
        kind: body_kind(&parts.headers)?,
        channels: channels(&query, 1, limits.channels_max)?,
        user: user(&query)?,
        from: query.single("from")?.map(UserName::parse).transpose()?,
        key: idempotency_key(&parts.headers)?,
    })
}

/// Reads a sending request.
///
/// # Errors
/// As [`websocket`].
pub fn send(parts: &Parts) -> Result<Send, Problem> {
    let query = Query::parse(parts.uri.query().unwrap_or_default())?;
    let to = query.single("to")?;
    let to = to.ok_or_else(|| Problem::bad_request("to is missing: add ?to=USER"))?;
    Ok(Send {
        kind: body_kind(&parts.headers)?,
        to: UserName::parse(to)?,
        user: user(&query)?,
        from: query.single("from")?.map(UserName::parse).transpose()?,
        key: idempotency_key(&parts.headers)?,
    })
}

fn body_kind(headers: &HeaderMap) -> Result<BodyKind, Problem> {
    if header(headers, &CONTENT_ENCODING)?.is_some_and(|encoding| encoding != "identity") {
        return Err(Problem::bad_request(
            "a body is taken as it is: send it without Content-Encoding",
        ));
    }
    Ok(BodyKind::of(header(headers, &CONTENT_TYPE)?))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    header(headers, &IDEMPOTENCY_KEY)?
        .map(parse_key)
        .transpose()
}

/// A request for history as it stands in the query.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    channel: Wanted,
    cursor: Option<Cursor>,
    limit: Option<usize>,
    order: Order,
    /// The name that the client chose.
    pub user: Option<UserName>,
}

impl History {
    /// What is read if it is asked for by somebody with this name.
    ///
    /// # Errors
    /// As [`Attach::reading`].
    pub fn reading(self, user: Option<&UserName>) -> Result<HistoryRequest, Problem> {
        let channel = self.channel.of(user)?;
        let resolve = |cursor: Cursor| cursor.resolve(std::slice::from_ref(&channel));
        let starts = self.cursor.map(resolve).transpose()?;
        Ok(HistoryRequest {
            limit: self.limit,
            start: starts.and_then(|starts| starts.first().copied()),
            order: self.order,
            channel,
        })
    }
}

/// Reads a request for history.
///
/// # Errors
/// As [`websocket`].
pub fn history(parts: &Parts, limits: RouteLimits) -> Result<History, Problem> {
    let query = Query::parse(parts.uri.query().unwrap_or_default())?;
    let name = query.single("channel")?;
    let name = name.ok_or_else(|| Problem::bad_request(NO_CHANNEL))?;
    Ok(History {
        channel: Wanted::parse(name)?,
        cursor: query.single("cursor")?.map(Cursor::parse).transpose()?,
        limit: limit(&query, limits.page_messages_max)?,
        order: query
            .single("order")?
            .map_or(Ok(Order::default()), Order::parse)?,
        user: user(&query)?,
    })
}

/// Reads a request for who is in a channel, with the name that the client chose.
///
/// # Errors
/// As [`websocket`].
pub fn presence(
    parts: &Parts,
    limits: RouteLimits,
) -> Result<(PresenceRequest, Option<UserName>), Problem> {
    let query = Query::parse(parts.uri.query().unwrap_or_default())?;
    let name = query.single("channel")?;
    let name = name.ok_or_else(|| Problem::bad_request(NO_CHANNEL))?;
    // What is no number is out of range, and gets the same answer.
    let limit = query.single("limit")?.map(|text| {
        let limit = is_digits(text).then(|| text.parse().ok()).flatten();
        parse_user_limit(limit.unwrap_or(u64::MAX), limits.page_messages_max)
    });
    let request = PresenceRequest {
        channel: ChannelName::parse(name)?,
        after: query.single("after")?.map(UserName::parse).transpose()?,
        limit: limit.transpose()?,
    };
    Ok((request, user(&query)?))
}

/// The `Origin` of a request.
///
/// # Errors
/// `forbidden` for one that is not text: it cannot be on any list.
pub fn origin(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(ORIGIN).iter();
    let refused = |message| Problem::new(Code::Forbidden, message);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            let text = value.to_str().map(Some);
            text.map_err(|_| refused("the Origin header is not text"))
        }
        (Some(_), Some(_)) => Err(refused("there is more than one Origin header")),
    }
}

fn attach_rest(query: &Query, channels: Vec<Wanted>, cursor: Cursor) -> Result<Attach, Problem> {
    let session = query.single("session")?.map(SessionId::parse).transpose()?;
    Ok(Attach {
        channels,
        cursor,
        session,
        user: user(query)?,
    })
}

/// The channels to read, which include the reader's own inbox, maybe.
fn wanted(query: &Query, min: usize, max: usize) -> Result<Vec<Wanted>, Problem> {
    names(query, min, max, Wanted::parse)
}

/// The channels to publish to, none twice.
fn channels(query: &Query, min: usize, max: usize) -> Result<Vec<ChannelName>, Problem> {
    let channels = names(query, min, max, ChannelName::parse)?;
    check_distinct(&channels)?;
    Ok(channels)
}

fn names<T>(
    query: &Query,
    min: usize,
    max: usize,
    parse: fn(&str) -> Result<T, NameError>,
) -> Result<Vec<T>, Problem> {
    let mut names = Vec::new();
    for name in query.all("channel") {
        if names.len() == max {
            return Err(Problem::bad_request(format!(
                "a request has at most {max} channels: use several requests"
            )));
        }
        names.push(parse(name)?);
    }
    if names.len() < min {
        return Err(Problem::bad_request(NO_CHANNEL));
    }
    Ok(names)
}

fn check_distinct(channels: &[ChannelName]) -> Result<(), Problem> {
    if channels.len() < 2 {
        return Ok(());
    }
    let mut sorted: Vec<&ChannelName> = channels.iter().collect();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => {
            Err(Problem::bad_request("a channel is named twice: name it once").about(pair[0]))
        }
        None => Ok(()),
    }
}

fn user(query: &Query) -> Result<Option<UserName>, Problem> {
    Ok(query.single("user")?.map(UserName::parse).transpose()?)
}

fn limit(query: &Query, max: usize) -> Result<Option<usize>, Problem> {
    let Some(text) = query.single("limit")? else {
        return Ok(None);
    };
    // What is no number is out of range, and gets the same answer.
    let limit = if is_digits(text) {
        text.parse().unwrap_or(0)
    } else {
        0
    };
    parse_limit(limit, max).map(Some)
}

/// Seconds, whole or with a fraction.
fn parse_wait(text: &str, max: Duration) -> Result<Duration, Problem> {
    let is_number = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let whole = || text.parse().ok().map(Duration::from_secs);
    let fraction = || Duration::try_from_secs_f64(text.parse().ok()?).ok();
    let wait = if is_number {
        whole().or_else(fraction)
    } else {
        None
    };
    let wait = wait.filter(|wait| *wait <= max);
    let max = max.as_secs_f64();
    wait.ok_or_else(|| Problem::bad_request(format!("wait is a number of seconds from 0 to {max}")))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The cursor of an `EventSource` that comes back (WHATWG HTML, section 9.2.4). An empty one is none.
fn last_event_id(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let id = header(headers, &LAST_EVENT_ID)?;
    Ok(id.filter(|id| !id.is_empty()))
}

/// The cursor in `If-None-Match` (RFC 9110, section 13.1.2): one entity tag, strong or weak. `*` is no
/// cursor.
fn if_none_match(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = header(headers, &IF_NONE_MATCH)? else {
        return Ok(None);
    };
    let tag = value.trim();
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    if tag == "*" {
        return Ok(None);
    }
    let quoted = tag
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    match quoted {
        // What curl sends when it has no tag yet.
        Some("") => Ok(None),
        Some(token) if !token.contains('"') => Ok(Some(token)),
        _ => Err(Problem::new(
            Code::BadCursor,
            "If-None-Match takes one ETag of an earlier answer, in quotes",
        )),
    }
}

/// A header that may be given once, as text.
fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Problem::bad_request(format!(
            "the header {name} is given twice: give it once"
        )));
    }
    let text = first
        .to_str()
        .map_err(|_| Problem::bad_request(format!("the header {name} is not ASCII text")))?;
    Ok(Some(text))
}
