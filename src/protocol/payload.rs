//! From a request's body to the JSON text that subscribers get.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::bus::{Key, Payload, UserName};
use crate::code::Code;
use crate::problem::Problem;

/// The deepest nesting of a JSON payload. Stock parsers stop at 128 levels, and a page puts three around a payload.
pub const JSON_DEPTH_MAX: usize = 120;

/// What kind of body a publisher sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyKind {
    /// `text/plain`: a string.
    Text,
    /// `application/octet-stream`: bytes.
    Bytes,
    /// Anything else: JSON.
    Json,
}

impl BodyKind {
    /// The kind that a `Content-Type` asks for. No type, and the one that `curl -d` sends, mean JSON.
    pub fn of(content_type: Option<&str>) -> Self {
        let essence = content_type
            .unwrap_or_default()
            .split(';')
            .next()
            .unwrap_or_default()
            .trim();
        if essence.eq_ignore_ascii_case("text/plain") {
            Self::Text
        } else if essence.eq_ignore_ascii_case("application/octet-stream") {
            Self::Bytes
        } else {
            Self::Json
        }
    }
}

/// Makes a payload of a body.
///
/// # Errors
/// `bad_json` or `bad_request` if it is not what its kind says, `too_large` if it is over `bytes_max`.
pub fn read_body(kind: BodyKind, body: &[u8], bytes_max: usize) -> Result<Payload, Problem> {
    match kind {
        BodyKind::Json => read_json(body, bytes_max),
        BodyKind::Text => {
            check_size(body.len(), bytes_max)?;
            let text = std::str::from_utf8(body).map_err(|_| {
                Problem::bad_request(
                    "a text/plain body must be UTF-8: send other bytes as application/octet-stream",
                )
            })?;
            Ok(Payload::Json(json_string(text).into_bytes().into()))
        }
        BodyKind::Bytes => {
            check_size(body.len(), bytes_max)?;
            Ok(base64_payload(body))
        }
    }
}

/// Makes a payload of JSON text: white space is removed, and nothing else changes.
///
/// # Errors
/// `bad_json` if it is not JSON or nested too deep, `too_large` if it is over `bytes_max` without its white space.
pub fn read_json(text: &[u8], bytes_max: usize) -> Result<Payload, Problem> {
    let value: &RawValue = serde_json::from_slice(text).map_err(|error| not_json(&error))?;
    read_raw(value, bytes_max)
}

/// The same, for JSON that was parsed already.
///
/// # Errors
/// As [`read_json`].
pub fn read_raw(value: &RawValue, bytes_max: usize) -> Result<Payload, Problem> {
    let compacted = compact(value.get())?;
    check_size(compacted.len(), bytes_max)?;
    Ok(Payload::Json(compacted.into()))
}

/// Makes a payload of base64 text (RFC 4648, section 4).
///
/// # Errors
/// `bad_request` if it is not base64, `too_large` if its bytes are over `bytes_max`.
pub fn read_base64(text: &str, bytes_max: usize) -> Result<Payload, Problem> {
    let bytes = STANDARD
        .decode(text)
        .map_err(|_| Problem::bad_request("base64 must be standard base64, with padding"))?;
    check_size(bytes.len(), bytes_max)?;
    Ok(base64_payload(&bytes))
}

/// A key of a principal, with the digest of the payload it stands for.
///
/// Whose it is is told by the principal's identity and not by the name under which it publishes: nobody meets the keys of
/// others.
pub fn key(identity: &str, key: &str, payload: &Payload) -> Key {
    let mut hash = Sha256::new();
    hash.update(if matches!(payload, Payload::Json(_)) {
        b"j"
    } else {
        b"b"
    });
    hash.update(payload.text());
    // An identity holds no control characters, so the two parts cannot run into each other.
    let id = format!("{identity}\n{key}");
    Key {
        id: id.into(),
        digest: hash.finalize().into(),
    }
}

/// A text as a JSON string, with its quotes.
pub fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A user name as a JSON string.
pub fn sender(user: Option<&UserName>) -> Option<Arc<str>> {
    user.map(|user| json_string(user.as_str()).into())
}

fn base64_payload(bytes: &[u8]) -> Payload {
    let mut text = String::with_capacity(bytes.len() / 3 * 4 + 6);
    text.push('"');
    STANDARD.encode_string(bytes, &mut text);
    text.push('"');
    Payload::Base64(Bytes::from(text))
}

fn not_json(error: &serde_json::Error) -> Problem {
    let hint =
        "send text with the header Content-Type: text/plain, bytes with application/octet-stream";
    Problem::new(
        Code::BadJson,
        format!("the body is not JSON ({error}): {hint}"),
    )
}

fn check_size(bytes: usize, bytes_max: usize) -> Result<(), Problem> {
    if bytes <= bytes_max {
        return Ok(());
    }
    Err(Problem::new(
        Code::TooLarge,
        format!("a message has at most {bytes_max} bytes, this one has {bytes}"),
    ))
}

/// Removes the white space between the tokens of valid JSON.
fn compact(text: &str) -> Result<Vec<u8>, Problem> {
    let mut compacted = Vec::with_capacity(text.len());
    let (mut in_string, mut escaped, mut depth) = (false, false, 0_usize);
    for byte in text.bytes() {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' => continue,
                b'"' => in_string = true,
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth -= 1,
                _ => {}
            }
            if depth > JSON_DEPTH_MAX {
                let message = format!("a payload is nested at most {JSON_DEPTH_MAX} levels deep");
                return Err(Problem::new(Code::BadJson, message));
            }
        }
        compacted.push(byte);
    }
    Ok(compacted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Result<String, Code> {
        let payload = read_json(text.as_bytes(), 1000).map_err(|problem| problem.code)?;
        Ok(String::from_utf8(payload.text().to_vec()).unwrap())
    }

    #[test]
    fn compaction_removes_white_space_and_nothing_else() {
        let text =
            " { \"b\" : [ 1.50 , -0e+2 , \"a \\\" b\\\\\" , \"\\u00e9 \" ] ,\r\n\t\"a\" : null } ";
        assert_eq!(
            json(text).unwrap(),
            "{\"b\":[1.50,-0e+2,\"a \\\" b\\\\\",\"\\u00e9 \"],\"a\":null}"
        );
        assert_eq!(json("\"\\\\\" ").unwrap(), "\"\\\\\"");
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for text in [
            "",
            " ",
            "{",
            "hello",
            "{'a':1}",
            "1 2",
            "\u{feff}1",
            "NaN",
            "01",
            "\"\t\"",
            "[1,]",
        ] {
            assert_eq!(json(text), Err(Code::BadJson), "{text:?}");
        }
        assert_eq!(
            read_json(b"\"\xff\"", 1000).unwrap_err().code,
            Code::BadJson
        );
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(json(&nested(JSON_DEPTH_MAX)).is_ok());
        assert_eq!(json(&nested(JSON_DEPTH_MAX + 1)), Err(Code::BadJson));
        assert!(json(&format!("\"{}\"", "[".repeat(500))).is_ok());
    }

    #[test]
    fn the_size_counts_without_white_space() {
        let limit =
            |text: &str, max| read_json(text.as_bytes(), max).map_err(|problem| problem.code);
        assert!(limit("  [1, 2]  ", 5).is_ok());
        assert_eq!(limit("[1,22]", 5), Err(Code::TooLarge));
        assert!(read_body(BodyKind::Text, b"abc", 3).is_ok());
        assert_eq!(
            read_body(BodyKind::Text, b"abcd", 3).unwrap_err().code,
            Code::TooLarge
        );
        assert!(read_body(BodyKind::Bytes, b"abc", 3).is_ok());
        assert_eq!(
            read_body(BodyKind::Bytes, b"abcd", 3).unwrap_err().code,
            Code::TooLarge
        );
    }

    #[test]
    fn the_content_type_decides() {
        assert_eq!(BodyKind::of(None), BodyKind::Json);
        assert_eq!(
            BodyKind::of(Some("application/x-www-form-urlencoded")),
            BodyKind::Json
        );
        assert_eq!(
            BodyKind::of(Some("Text/Plain; charset=utf-8")),
            BodyKind::Text
        );
        assert_eq!(
            BodyKind::of(Some("application/octet-stream")),
            BodyKind::Bytes
        );
        let text = read_body(BodyKind::Text, "say \"hi\"\n".as_bytes(), 100).unwrap();
        assert_eq!(text.text().as_ref(), br#""say \"hi\"\n""#);
        let bytes = read_body(BodyKind::Bytes, &[0xff, 0], 100).unwrap();
        assert_eq!(bytes, Payload::Base64(Bytes::from_static(b"\"/wA=\"")));
    }

    #[test]
    fn keys_are_told_apart_by_principal_and_by_kind_of_payload() {
        let json = Payload::Json(Bytes::from_static(b"\"/wA=\""));
        let bytes = Payload::Base64(Bytes::from_static(b"\"/wA=\""));
        let keys = |identity, payload| key(identity, "k", payload);
        assert_ne!(keys("a", &json).digest, keys("a", &bytes).digest);
        assert_ne!(keys("a", &json).id, keys("b", &json).id);
    }
}
