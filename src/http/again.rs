//! Long polls that are asked again. While one waits, its connection needs no HTTP; and a client that comes back sends the
//! same head, but for the cursor. So what HTTP made of one holds for the next: its head is compared and not read, and a page
//! is printed without a map of headers.
//!
//! Whether it may be asked is looked at each time, and all that is not a plain page is left to HTTP.

use std::cell::Cell;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Version};

use crate::config::Config;
use crate::gateway::Gateway;
use crate::peer::Peer;
use crate::problem::Problem;
use crate::protocol::printed::Printed;
use crate::transport::Transport;
use crate::transport::poll::{self, Answer, Looked};
use crate::wire::Alarm;

use super::asked::Asked;
use super::cors;
use super::request_id::RequestId;

/// What a poll has come to, or will.
pub type Begun = Result<Looked, Problem>;

/// The bytes of a request's head, if they are known to be the head and nothing else. An extension of the request.
#[derive(Debug, Clone)]
pub struct WholeHead(pub Bytes);

/// A long poll, and what is known for the next one like it.
pub struct Again {
    asked: Asked,
    peer: Peer,
    alarm: Arc<Alarm>,
    like: Option<Like>,
    /// The page whose origin may see the answer.
    origin: Option<Box<str>>,
    /// The name that the request brought.
    id: Option<Box<str>>,
    /// What it was read and let in under.
    config: Arc<Config>,
    is_open: bool,
    /// What is being answered.
    begun: Option<Begun>,
}

/// What the next head has to be like.
struct Like {
    head: Vec<u8>,
    /// Where the cursor is in it.
    cursor: Range<usize>,
}

impl Again {
    /// A long poll that HTTP has read; nothing if the next one could be the same and mean something else, or be answered in
    /// another way.
    pub fn of(
        gateway: &Gateway,
        peer: Peer,
        alarm: &Arc<Alarm>,
        asked: Asked,
        parts: &Parts,
    ) -> Option<Self> {
        let is_plain = parts.version == Version::HTTP_11 && parts.headers.iter().all(is_plain);
        if !is_plain {
            return None;
        }
        let head = parts.extensions.get::<WholeHead>();
        Some(Self {
            asked,
            peer,
            alarm: Arc::clone(alarm),
            like: head.and_then(|head| Like::of(&head.0)),
            origin: origin(&parts.headers)?,
            id: match RequestId::of(&parts.headers) {
                RequestId::Given(id) => Some(id),
                RequestId::Own(_) => None,
            },
            config: Arc::clone(&gateway.config()),
            is_open: gateway.auth.is_open(),
            begun: None,
        })
    }

    /// The same, with what it has come to.
    pub fn begun(self, looked: Looked) -> Self {
        let begun = Some(Ok(looked));
        Self { begun, ..self }
    }

    /// Begins to answer a request of which all was read. False leaves it to HTTP.
    pub fn begin(&mut self, gateway: &Arc<Gateway>, head: &[u8]) -> bool {
        let cursor = self.like.as_ref().and_then(|like| like.cursor_in(head));
        let begun = cursor.and_then(|cursor| {
            let begun = self.ask(gateway, &head[cursor.clone()])?;
            Some((begun, cursor))
        });
        let (Some((begun, cursor)), Some(like)) = (begun, &mut self.like) else {
            return false;
        };
        like.cursor = cursor;
        like.head.clear();
        like.head.extend_from_slice(head);
        self.begun = Some(begun);
        true
    }

    /// The answer as HTTP/1.1 has it; nothing if HTTP is to answer what was begun.
    pub fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Option<Vec<u8>>> {
        if let Some(Ok(Looked::Waits(waiting))) = &mut self.begun {
            let ended = ready!(Pin::new(waiting).poll(cx));
            self.begun = Some(ended.map(Looked::Found));
        }
        let Some(Ok(Looked::Found(answer))) = &self.begun else {
            return Poll::Ready(None);
        };
        let printed = print(answer, self.origin.as_deref(), self.id.as_deref());
        if printed.is_some() {
            self.begun = None;
        }
        Poll::Ready(printed)
    }

    /// For HTTP: what was begun, and a head with which it answers that.
    pub fn give_back(self) -> Option<(Begun, Vec<u8>)> {
        let begun = self.begun?;
        let mut head = b"GET /v1/longpoll HTTP/1.1\r\nhost: localhost\r\n".to_vec();
        for (name, value) in [("origin", self.origin), ("x-request-id", self.id)] {
            if let Some(value) = value {
                head.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
            }
        }
        head.extend_from_slice(b"\r\n");
        Some((begun, head))
    }

    /// Asks again; nothing if HTTP is to do it. Once it is counted, whatever comes of it is what HTTP would say, and HTTP says
    /// just that: to ask a second time would count it twice.
    fn ask(&mut self, gateway: &Arc<Gateway>, cursor: &[u8]) -> Option<Begun> {
        let is_as_before =
            Arc::ptr_eq(&self.config, &gateway.config()) && self.is_open == gateway.auth.is_open();
        let cursor = std::str::from_utf8(cursor).ok().filter(|_| is_as_before)?;
        let credential = self.asked.credential();
        if credential.is_some_and(|credential| gateway.auth.lacks_key(credential)) {
            return None;
        }
        Some(self.look(gateway, cursor))
    }

    fn look(&mut self, gateway: &Arc<Gateway>, cursor: &str) -> Begun {
        tracing::debug!(address = %self.peer.address, "asked again");
        gateway.limits.request(self.peer.address)?;
        self.asked.from(cursor)?;
        let (asked, transport) = (&self.asked, Transport::LongPoll);
        let request = asked.request(gateway, self.peer, transport)?;
        poll::long(gateway, Some(&self.alarm), request)
    }
}

impl Like {
    fn of(head: &[u8]) -> Option<Self> {
        Some(Self {
            cursor: find_cursor(head)?,
            head: head.to_vec(),
        })
    }

    /// Where the cursor is in a head that is like the one before.
    fn cursor_in(&self, head: &[u8]) -> Option<Range<usize>> {
        let (before, rest) = (
            &self.head[..self.cursor.start],
            &self.head[self.cursor.end..],
        );
        let cursor = before.len()..head.len().checked_sub(rest.len())?;
        let is_like = head
            .get(cursor.clone())?
            .iter()
            .copied()
            .all(stands_for_itself)
            && head.starts_with(before)
            && head.ends_with(rest);
        is_like.then_some(cursor)
    }
}

/// True for the head of a `GET` from its first byte to its last, and nothing else. A parser may take a bare line feed for the
/// end of a line (RFC 9112, section 2.2), so there must be none.
pub fn is_whole_head(read: &[u8]) -> bool {
    let Some(lines) = read.strip_suffix(b"\r\n\r\n") else {
        return false;
    };
    let mut lines = lines.split(|byte| *byte == b'\n');
    // What follows the last line feed had its end cut off.
    let last = lines.next_back();
    read.starts_with(b"GET /")
        && last.is_some_and(|line| !line.is_empty())
        && lines.all(|line| line.len() > 1 && line.ends_with(b"\r"))
}

/// The page that asks, if there is one; nothing if it is not clear which.
fn origin(headers: &HeaderMap) -> Option<Option<Box<str>>> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (None, _) => Some(None),
        (Some(origin), None) => Some(Some(origin.to_str().ok()?.into())),
        _ => None,
    }
}

/// Where the value of the parameter `cursor` is in a head, if it is there once and as it is.
fn find_cursor(head: &[u8]) -> Option<Range<usize>> {
    const NAME: &[u8] = b"cursor=";
    let target_end = head.windows(2).position(|two| two == b" H")?;
    let query = head[..target_end].iter().position(|byte| *byte == b'?')? + 1;
    let mut at = query;
    for parameter in head[query..target_end].split(|byte| *byte == b'&') {
        let end = at + parameter.len();
        if parameter.starts_with(NAME) {
            let value = at + NAME.len()..end;
            let is_plain = head[value.clone()].iter().copied().all(stands_for_itself);
            return is_plain.then_some(value);
        }
        at = end + 1;
    }
    None
}

/// True for what neither ends a parameter nor has to be decoded.
fn stands_for_itself(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._~,@:-".contains(&byte)
}

/// True for a header that says nothing beside what is kept here. Others may: those that change how the connection goes on,
/// those that set a condition, those that announce a body.
fn is_plain((name, value): (&HeaderName, &HeaderValue)) -> bool {
    const PLAIN: [&str; 20] = [
        "accept",
        "accept-encoding",
        "accept-language",
        "authorization",
        "cache-control",
        "cookie",
        "dnt",
        "forwarded",
        "host",
        "origin",
        "pragma",
        "priority",
        "referer",
        "traceparent",
        "tracestate",
        "user-agent",
        "via",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-request-id",
    ];
    let name = name.as_str();
    match name {
        "connection" => value.as_bytes().eq_ignore_ascii_case(b"keep-alive"),
        _ => {
            PLAIN.contains(&name) || name.starts_with("sec-fetch-") || name.starts_with("sec-ch-ua")
        }
    }
}

/// A page as HTTP/1.1 has it, with the headers that HTTP would send; nothing for all else.
fn print(answer: &Answer, origin: Option<&str>, id: Option<&str>) -> Option<Vec<u8>> {
    const BEFORE_ETAG: &str =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncache-control: no-store\r\netag: \"";
    const AFTER_ETAG: &str = "\"\r\nvary: Origin\r\n";
    const BEFORE_ID: &str = "x-content-type-options: nosniff\r\nx-request-id: ";
    const BEFORE_LENGTH: &str = "\r\ncontent-length: ";
    const BEFORE_DATE: &str = "\r\ndate: ";
    const END: &str = "\r\n\r\n";
    let Answer::Page {
        json: Printed::Whole(json),
        cursor,
        is_sent_away: false,
    } = answer
    else {
        return None;
    };
    let (own, mut digits) = (RequestId::own(), itoa::Buffer::new());
    let id = id.map_or(&own[..], str::as_bytes);
    tracing::debug!(id = %String::from_utf8_lossy(id), status = 200, "answered");
    let allowed = origin.map(cors::exposed);
    let pieces: [&[u8]; 12] = [
        BEFORE_ETAG.as_bytes(),
        cursor.as_bytes(),
        AFTER_ETAG.as_bytes(),
        allowed.as_deref().unwrap_or_default().as_bytes(),
        BEFORE_ID.as_bytes(),
        id,
        BEFORE_LENGTH.as_bytes(),
        digits.format(json.len()).as_bytes(),
        BEFORE_DATE.as_bytes(),
        &date(),
        END.as_bytes(),
        json,
    ];
    Some(pieces.concat())
}

/// How long a date is in a header (RFC 9110, section 5.6.7).
const DATE_BYTES: usize = 29;

/// The date of an answer, printed once a second for each thread.
fn date() -> [u8; DATE_BYTES] {
    thread_local! {
        static PRINTED: Cell<(u64, [u8; DATE_BYTES])> = const { Cell::new((u64::MAX, [b' '; DATE_BYTES])) };
    }
    let now = SystemTime::now();
    let second = now
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let (printed_at, mut printed) = PRINTED.get();
    if printed_at != second {
        let text = httpdate::fmt_http_date(now);
        printed
            .iter_mut()
            .zip(text.bytes())
            .for_each(|(to, byte)| *to = byte);
        PRINTED.set((second, printed));
    }
    printed
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "GET /v1/longpoll?channel=a&cursor=k3f9.42&wait=5 HTTP/1.1\r\nHost: h\r\n\r\n";

    #[test]
    fn a_head_is_whole_if_no_parser_could_end_it_elsewhere() {
        assert!(is_whole_head(HEAD.as_bytes()));
        assert!(is_whole_head(b"GET / HTTP/1.1\r\n\r\n"));
        let two = HEAD.repeat(2);
        let cut = &HEAD[..HEAD.len() - 1];
        for other in [
            "",
            "\r\n\r\n",
            "GET / HTTP/1.1\r\n",
            "GET / HTTP/1.1\n\r\n\r\n",
            "GET / HTTP/1.1\nHost: h\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\n\r\n\r\n",
            "GET / HTTP/1.1\n\nGET / HTTP/1.1\r\n\r\n",
            "\r\nGET / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n\r\n\r\n",
            &two,
            cut,
        ] {
            assert!(!is_whole_head(other.as_bytes()), "{other:?}");
        }
    }

    #[test]
    fn the_cursor_is_found_where_the_query_has_it() {
        let found = |target: &str| {
            let head = format!("GET {target} HTTP/1.1\r\nx: /?cursor=no\r\n\r\n");
            let at = find_cursor(head.as_bytes())?;
            Some(head[at].to_owned())
        };
        assert_eq!(found("/v1/longpoll?cursor=a.1").as_deref(), Some("a.1"));
        assert_eq!(
            found("/p?a=1&cursor=~h~e.1,f.2&b=2").as_deref(),
            Some("~h~e.1,f.2")
        );
        assert_eq!(found("/p?cursor=").as_deref(), Some(""));
        for none in [
            "/v1/longpoll",
            "/v1/longpoll?channel=a",
            "/cursor=a.1",
            "/p?xcursor=a.1",
            "/p?cursor",
            "/p?cursor=a%2e1",
            "/p?cursor=a+1",
            "/p?%63ursor=a.1",
        ] {
            assert_eq!(found(none), None, "{none}");
        }
    }

    #[test]
    fn a_head_is_like_another_if_only_the_cursor_differs() {
        let like = Like::of(HEAD.as_bytes()).unwrap();
        let cursor = |head: &str| {
            let at = like.cursor_in(head.as_bytes())?;
            Some(head[at].to_owned())
        };
        for next in [
            "k3f9.42",
            "k3f9.43",
            "",
            "earliest",
            "b@k3f9.1,now",
            "~aa~b.1",
        ] {
            let head = HEAD.replace("k3f9.42", next);
            assert_eq!(cursor(&head).as_deref(), Some(next));
        }
        for (from, to) in [
            ("k3f9.42", "k3f9.42&wait=1"),
            ("k3f9.42", "k3f9.42&cursor=x.1"),
            ("k3f9.42", "k3f9.42 HTTP/1.1\r\nx: y"),
            ("k3f9.42", "%6b3f9.42"),
            ("k3f9.42", "k3f9.42#"),
            ("channel=a", "channel=b"),
            ("GET", "PUT"),
            ("Host: h", "Host: i"),
            ("Host: h", "host: h"),
            ("\r\n\r\n", "\r\nx: y\r\n\r\n"),
            ("\r\n\r\n", "\r\n\r\nGET / HTTP/1.1\r\n\r\n"),
            ("\r\n\r\n", "\r\n"),
        ] {
            assert_eq!(cursor(&HEAD.replace(from, to)), None, "{from} {to}");
        }
        // What is before and what is after the cursor must not overlap.
        assert_eq!(
            cursor("GET /v1/longpoll?channel=a&cursor=&wait=5 HTTP/1.1\r\nHost: h\r\n\r"),
            None
        );
        assert_eq!(cursor(&HEAD[..30]), None);
    }
}
