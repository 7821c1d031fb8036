//! What a client says over a WebSocket. Pure: text in, command out.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::bus::name::KEY_BYTES_MAX;
use crate::bus::{ChannelName, Cursor, Payload, Start, UserName, Wanted};
use crate::code::Code;
use crate::problem::Problem;
use crate::secret::Secret;

use super::event::Ref;
use super::payload;

const NO_CHANNEL: &str = "this action needs a channel";
const NOT_AN_OBJECT: &str = "a command is one JSON object with an action";

/// The longest `ref` that is text, in bytes.
const REF_BYTES_MAX: usize = 64;

/// A command with its `ref`.
#[derive(Debug)]
pub struct Request {
    /// What the answer repeats.
    pub reference: Option<Ref>,
    /// What to do, or why it cannot be done.
    pub command: Result<Command, Problem>,
}

/// What a client wants.
#[derive(Debug, PartialEq)]
pub enum Command {
    /// Read a channel from here on.
    Subscribe {
        /// Which.
        channel: ChannelName,
        /// From where.
        start: Start,
    },
    /// Stop reading a channel.
    Unsubscribe {
        /// Which.
        channel: ChannelName,
    },
    /// Send a message to a user.
    Send {
        /// To whom.
        to: UserName,
        /// What.
        payload: Payload,
        /// The idempotency key.
        key: Option<String>,
    },
    /// Publish a message.
    Publish {
        /// Where.
        channel: ChannelName,
        /// What.
        payload: Payload,
        /// The idempotency key.
        key: Option<String>,
    },
    /// Read a page of history.
    History(HistoryRequest),
    /// Say who is in a channel.
    Presence(PresenceRequest),
    /// Go on with a new token.
    Refresh {
        /// The token.
        token: Secret,
    },
    /// Say `pong`.
    Ping,
}

/// Which page of history is wanted, over HTTP or WebSocket.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryRequest {
    /// Of which channel.
    pub channel: ChannelName,
    /// How many messages; the default if absent.
    pub limit: Option<usize>,
    /// From where; the order decides if absent.
    pub start: Option<Start>,
    /// In which order.
    pub order: Order,
}

/// Of whom in a channel is to be told that they are there, over HTTP or WebSocket.
#[derive(Debug, Clone, PartialEq)]
pub struct PresenceRequest {
    /// In which channel.
    pub channel: ChannelName,
    /// After which user; from the first on if absent.
    pub after: Option<UserName>,
    /// How many users, none for their number alone; the default if absent.
    pub limit: Option<usize>,
}

/// The order of history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Oldest first.
    #[default]
    Ascending,
    /// Newest first.
    Descending,
}

impl Order {
    /// Reads `asc` or `desc`.
    ///
    /// # Errors
    /// `bad_request`.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        match text {
            "asc" => Ok(Self::Ascending),
            "desc" => Ok(Self::Descending),
            _ => Err(Problem::bad_request("order is asc or desc")),
        }
    }
}

/// The bounds that a command is read within.
#[derive(Debug, Clone, Copy)]
pub struct CommandLimits {
    /// Largest message, in bytes.
    pub message_bytes_max: usize,
    /// Most messages in a page.
    pub page_messages_max: usize,
}

/// A command as JSON. Unknown members are ignored, so that a client may say more than an older server knows.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    action: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "ref")]
    reference: Option<&'a RawValue>,
    #[serde(borrow)]
    channel: Option<Cow<'a, str>>,
    #[serde(borrow)]
    cursor: Option<Cow<'a, str>>,
    /// `null` is a message, not an absent one.
    #[serde(borrow, default, deserialize_with = "even_null")]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    base64: Option<Cow<'a, str>>,
    #[serde(borrow)]
    key: Option<Cow<'a, str>>,
    limit: Option<u64>,
    #[serde(borrow)]
    after: Option<Cow<'a, str>>,
    #[serde(borrow)]
    order: Option<Cow<'a, str>>,
    #[serde(borrow)]
    token: Option<Cow<'a, str>>,
    #[serde(borrow)]
    to: Option<Cow<'a, str>>,
}

fn even_null<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Only the `ref`, for a command whose other members are wrong.
#[derive(Deserialize)]
struct OnlyRef<'a> {
    #[serde(borrow, rename = "ref")]
    reference: Option<&'a RawValue>,
}

/// Reads a command of somebody with this name. It never fails as a whole: what is wrong is part of the result, with the
/// `ref` if there is one.
pub fn parse(text: &str, limits: CommandLimits, user: Option<&UserName>) -> Request {
    let fields: Fields = match serde_json::from_str(text) {
        // A list of values would pass for the members in their order.
        Ok(_) if !text.trim_ascii_start().starts_with('{') => return refuse_non_object(),
        Ok(fields) => fields,
        Err(error) => return refuse(text, &error),
    };
    match fields.reference.map(parse_ref).transpose() {
        Ok(reference) => Request {
            reference,
            command: parse_fields(&fields, limits, user),
        },
        Err(problem) => Request {
            reference: None,
            command: Err(problem),
        },
    }
}

fn refuse_non_object() -> Request {
    Request {
        reference: None,
        command: Err(Problem::bad_request(NOT_AN_OBJECT)),
    }
}

fn refuse(text: &str, error: &serde_json::Error) -> Request {
    let is_object = text.trim_ascii_start().starts_with('{');
    let only: Option<OnlyRef> = serde_json::from_str(text).ok().filter(|_| is_object);
    let reference = only.and_then(|only| parse_ref(only.reference?).ok());
    let problem = match error.classify() {
        serde_json::error::Category::Data if is_object => Problem::bad_request(cut(format!(
            "a member of this command does not fit: {error}"
        ))),
        serde_json::error::Category::Data => Problem::bad_request(NOT_AN_OBJECT),
        _ => Problem::new(
            Code::BadJson,
            cut(format!("a command is one JSON object: {error}")),
        ),
    };
    Request {
        reference,
        command: Err(problem),
    }
}

/// A message that quotes what was sent stays short, however long that was.
fn cut(mut message: String) -> String {
    const MESSAGE_BYTES_MAX: usize = 200;
    if message.len() > MESSAGE_BYTES_MAX {
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
        message.push('…');
    }
    message
}

fn parse_ref(value: &RawValue) -> Result<Ref, Problem> {
    let refused = || Problem::bad_request("ref is text of at most 64 bytes, or an integer");
    if let Ok(number) = serde_json::from_str::<i64>(value.get()) {
        return Ok(Ref::Number(number));
    }
    match serde_json::from_str::<String>(value.get()) {
        Ok(text) if text.len() <= REF_BYTES_MAX => Ok(Ref::Text(text)),
        _ => Err(refused()),
    }
}

fn parse_fields(
    fields: &Fields,
    limits: CommandLimits,
    user: Option<&UserName>,
) -> Result<Command, Problem> {
    let action = fields
        .action
        .as_deref()
        .ok_or_else(|| Problem::bad_request("a command needs an action"))?;
    match action {
        "subscribe" => {
            let channel = wanted(fields, user)?;
            let start = start(fields, &channel)?.unwrap_or(Start::Now);
            Ok(Command::Subscribe { channel, start })
        }
        "unsubscribe" => Ok(Command::Unsubscribe {
            channel: wanted(fields, user)?,
        }),
        "send" => {
            let to = required(&fields.to, "send needs to, the name of a user")?;
            Ok(Command::Send {
                to: UserName::parse(to)?,
                payload: payload_of(fields, limits.message_bytes_max)?,
                key: fields.key.as_deref().map(parse_key).transpose()?,
            })
        }
        "publish" => {
            let channel = ChannelName::parse(required(&fields.channel, NO_CHANNEL)?)?;
            let payload = payload_of(fields, limits.message_bytes_max)?;
            let key = fields.key.as_deref().map(parse_key).transpose()?;
            Ok(Command::Publish {
                channel,
                payload,
                key,
            })
        }
        "history" => {
            let channel = wanted(fields, user)?;
            let order = fields
                .order
                .as_deref()
                .map_or(Ok(Order::default()), Order::parse)?;
            let start = start(fields, &channel)?;
            let limit = fields
                .limit
                .map(|limit| parse_limit(limit, limits.page_messages_max))
                .transpose()?;
            Ok(Command::History(HistoryRequest {
                channel,
                limit,
                start,
                order,
            }))
        }
        "presence" => Ok(Command::Presence(PresenceRequest {
            channel: wanted(fields, user)?,
            after: fields.after.as_deref().map(UserName::parse).transpose()?,
            limit: fields
                .limit
                .map(|limit| parse_user_limit(limit, limits.page_messages_max))
                .transpose()?,
        })),
        "ping" => Ok(Command::Ping),
        "refresh" => match fields.token.as_deref() {
            Some(token) => Ok(Command::Refresh {
                token: Secret::new(token),
            }),
            None => Err(Problem::bad_request("refresh needs a token")),
        },
        _ => Err(Problem::bad_request(
            "this action is not known: use subscribe, unsubscribe, publish, send, history, presence, refresh or ping",
        )),
    }
}

/// A channel to read, of which `@` is the reader's own inbox.
fn wanted(fields: &Fields, user: Option<&UserName>) -> Result<ChannelName, Problem> {
    let wanted = Wanted::parse(required(&fields.channel, NO_CHANNEL)?)?;
    Ok(wanted.of(user)?)
}

fn required<'a>(member: &'a Option<Cow<str>>, otherwise: &'static str) -> Result<&'a str, Problem> {
    member
        .as_deref()
        .ok_or_else(|| Problem::bad_request(otherwise))
}

fn start(fields: &Fields, channel: &ChannelName) -> Result<Option<Start>, Problem> {
    let Some(cursor) = fields.cursor.as_deref() else {
        return Ok(None);
    };
    let starts = Cursor::parse(cursor)?.resolve(std::slice::from_ref(channel))?;
    Ok(starts.first().copied())
}

fn payload_of(fields: &Fields, bytes_max: usize) -> Result<Payload, Problem> {
    match (fields.data, &fields.base64) {
        (Some(data), None) => payload::read_raw(data, bytes_max),
        (None, Some(base64)) => payload::read_base64(base64, bytes_max),
        (Some(_), Some(_)) => Err(Problem::bad_request(
            "a message has data or base64, not both",
        )),
        (None, None) => Err(Problem::bad_request(
            "a message needs data, which is any JSON, or base64",
        )),
    }
}

/// Checks an `Idempotency-Key`, from a header or a command.
///
/// # Errors
/// `bad_request`.
pub fn parse_key(key: &str) -> Result<String, Problem> {
    let well_formed =
        (1..=KEY_BYTES_MAX).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    let refused =
        || Problem::bad_request("an idempotency key has 1 to 128 visible ASCII characters");
    if well_formed {
        Ok(key.to_owned())
    } else {
        Err(refused())
    }
}

/// Checks a `limit`, from a query or a command.
///
/// # Errors
/// `bad_request`.
pub fn parse_limit(limit: u64, max: usize) -> Result<usize, Problem> {
    let fits = usize::try_from(limit)
        .ok()
        .filter(|limit| (1..=max).contains(limit));
    fits.ok_or_else(|| Problem::bad_request(format!("limit is a whole number from 1 to {max}")))
}

/// Checks a `limit` on users who are shown, from a query or a command. None is a number, too.
///
/// # Errors
/// `bad_request`.
pub fn parse_user_limit(limit: u64, max: usize) -> Result<usize, Problem> {
    let fits = usize::try_from(limit).ok().filter(|limit| *limit <= max);
    fits.ok_or_else(|| Problem::bad_request(format!("limit is a whole number from 0 to {max}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: CommandLimits = CommandLimits {
        message_bytes_max: 64,
        page_messages_max: 1000,
    };

    fn command(text: &str) -> Result<Command, Code> {
        let bob = UserName::parse("bob").ok();
        parse(text, LIMITS, bob.as_ref())
            .command
            .map_err(|problem| problem.code)
    }

    #[test]
    fn commands_read_as_documented() {
        let room = ChannelName::parse("room:1").unwrap();
        assert_eq!(
            command(r#"{"action":"subscribe","channel":"room:1","cursor":"earliest"}"#),
            Ok(Command::Subscribe {
                channel: room.clone(),
                start: Start::Earliest
            })
        );
        assert_eq!(
            command(r#"{"action":"publish","channel":"room:1","data":{"a": 1},"key":"k"}"#),
            Ok(Command::Publish {
                channel: room.clone(),
                payload: Payload::Json(r#"{"a":1}"#.into()),
                key: Some("k".into())
            })
        );
        assert_eq!(
            command(
                r#"{"action":"history","channel":"room:1","order":"desc","limit":3,"more":"ignored"}"#
            ),
            Ok(Command::History(HistoryRequest {
                channel: room,
                limit: Some(3),
                start: None,
                order: Order::Descending
            }))
        );
        assert_eq!(
            command(r#"{"action":"presence","channel":"room:1","after":"é","limit":0}"#),
            Ok(Command::Presence(PresenceRequest {
                channel: ChannelName::parse("room:1").unwrap(),
                after: UserName::parse("é").ok(),
                limit: Some(0),
            }))
        );
        assert_eq!(
            command(r#"{"action":"unsubscribe","channel":"@"}"#),
            Ok(Command::Unsubscribe {
                channel: ChannelName::parse("@bob").unwrap()
            })
        );
        assert_eq!(
            command(r#"{"action":"send","to":"eve","data":[1, 2]}"#),
            Ok(Command::Send {
                to: UserName::parse("eve").unwrap(),
                payload: Payload::Json("[1,2]".into()),
                key: None
            })
        );
        assert_eq!(
            command(r#"{"action":"refresh","token":"x"}"#),
            Ok(Command::Refresh {
                token: Secret::new("x")
            })
        );
        assert_eq!(command(r#"{"action":"ping"}"#), Ok(Command::Ping));
    }

    #[test]
    fn nobody_in_particular_has_no_inbox() {
        let request = parse(r#"{"action":"subscribe","channel":"@"}"#, LIMITS, None);
        assert_eq!(request.command.unwrap_err().code, Code::BadRequest);
    }

    #[test]
    fn a_null_message_is_a_message() {
        let publish = command(r#"{"action":"publish","channel":"a","data":null}"#);
        assert!(
            matches!(publish, Ok(Command::Publish { payload: Payload::Json(text), .. }) if text == "null")
        );
    }

    #[test]
    fn what_is_wrong_has_the_right_code() {
        let cases = [
            ("", Code::BadJson),
            ("hello", Code::BadJson),
            ("{", Code::BadJson),
            ("[]", Code::BadRequest),
            (
                r#"["ping",null,null,null,null,null,null,null,null]"#,
                Code::BadRequest,
            ),
            ("1", Code::BadRequest),
            ("{}", Code::BadRequest),
            (r#"{"action":1}"#, Code::BadRequest),
            (r#"{"action":"fly"}"#, Code::BadRequest),
            (r#"{"action":"ping","action":"ping"}"#, Code::BadRequest),
            (r#"{"action":"subscribe"}"#, Code::BadRequest),
            (
                r#"{"action":"subscribe","channel":"a b"}"#,
                Code::BadRequest,
            ),
            (
                r#"{"action":"subscribe","channel":"a","cursor":"b"}"#,
                Code::BadCursor,
            ),
            (r#"{"action":"publish","channel":"a"}"#, Code::BadRequest),
            (
                r#"{"action":"publish","channel":"a","data":1,"base64":"AA=="}"#,
                Code::BadRequest,
            ),
            (
                r#"{"action":"publish","channel":"a","base64":"?"}"#,
                Code::BadRequest,
            ),
            (
                r#"{"action":"publish","channel":"a","data":1,"key":""}"#,
                Code::BadRequest,
            ),
            (
                r#"{"action":"history","channel":"a","limit":0}"#,
                Code::BadRequest,
            ),
            (
                r#"{"action":"history","channel":"a","limit":1001}"#,
                Code::BadRequest,
            ),
            (
                r#"{"action":"history","channel":"a","limit":-1}"#,
                Code::BadRequest,
            ),
            (
                r#"{"action":"history","channel":"a","order":"up"}"#,
                Code::BadRequest,
            ),
            (r#"{"action":"send","data":1}"#, Code::BadRequest),
            (r#"{"action":"send","to":"","data":1}"#, Code::BadRequest),
            (r#"{"action":"send","to":"eve"}"#, Code::BadRequest),
            (
                r#"{"action":"publish","channel":"@","data":1}"#,
                Code::BadRequest,
            ),
            (
                r#"{"action":"subscribe","channel":"@a b"}"#,
                Code::BadRequest,
            ),
            (r#"{"action":"presence"}"#, Code::BadRequest),
            (
                r#"{"action":"presence","channel":"a","limit":1001}"#,
                Code::BadRequest,
            ),
            (
                r#"{"action":"presence","channel":"a","after":""}"#,
                Code::BadRequest,
            ),
            (r#"{"action":"refresh"}"#, Code::BadRequest),
            (r#"{"action":"refresh","token":1}"#, Code::BadRequest),
        ];
        for (text, code) in cases {
            assert_eq!(command(text), Err(code), "{text}");
        }
        let long = format!(
            r#"{{"action":"publish","channel":"a","data":"{}"}}"#,
            "x".repeat(63)
        );
        assert_eq!(command(&long), Err(Code::TooLarge));
    }

    #[test]
    fn the_ref_is_repeated_even_if_the_command_is_wrong() {
        let reference = |text: &str| parse(text, LIMITS, None).reference;
        assert_eq!(
            reference(r#"{"action":"fly","ref":7}"#),
            Some(Ref::Number(7))
        );
        assert_eq!(
            reference(r#"{"action":1,"ref":"x"}"#),
            Some(Ref::Text("x".into()))
        );
        assert_eq!(reference(r#"{"action":"ping","ref":1.5}"#), None);
        assert_eq!(reference("[5]"), None);
        let long = format!(
            r#"{{"action":"history","limit":"{}"}}"#,
            "\u{7f}é".repeat(9000)
        );
        let told = parse(&long, LIMITS, None).command.unwrap_err().message;
        assert!(told.len() < 300, "{} bytes", told.len());
        let long = format!(r#"{{"action":"ping","ref":"{}"}}"#, "x".repeat(65));
        assert_eq!(command(&long), Err(Code::BadRequest));
    }
}
