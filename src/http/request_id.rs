//! The name of a request in the logs and in its answer, so that the two can be put together.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

/// The header that brings a request's name along, and takes it back.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest name that is taken over, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 64;

/// The name of a request. It is safe in a log and in a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestId {
    /// As it was given.
    Given(Box<str>),
    /// One of ours. It is printed when it is asked for, because most requests are answered without a word in the log.
    Own(u64),
}

impl RequestId {
    /// The name that a proxy or the client gave it, if it is letters, digits, `.`, `_` and `-`; else one of its own.
    pub fn of(headers: &HeaderMap) -> Self {
        let given = headers.get(&X_REQUEST_ID).and_then(|id| id.to_str().ok());
        match given.filter(|id| is_plain(id)) {
            Some(id) => Self::Given(id.into()),
            // It need not be secret.
            None => Self::Own(fastrand::u64(..)),
        }
    }

    /// One of ours, as text.
    pub fn own() -> [u8; 16] {
        hex(fastrand::u64(..))
    }

    /// As a header.
    pub fn header(&self) -> HeaderValue {
        let text = match self {
            Self::Given(id) => HeaderValue::from_str(id),
            Self::Own(number) => HeaderValue::from_bytes(&hex(*number)),
        };
        // What it is made of is visible ASCII.
        text.unwrap_or(HeaderValue::from_static(""))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(id) => f.write_str(id),
            Self::Own(number) => write!(f, "{number:016x}"),
        }
    }
}

fn hex(number: u64) -> [u8; 16] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    std::array::from_fn(|at| DIGITS[(number >> (60 - 4 * at)) as usize & 0xf])
}

fn is_plain(id: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(given: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(X_REQUEST_ID, HeaderValue::from_str(given).unwrap());
        RequestId::of(&headers).to_string()
    }

    #[test]
    fn a_name_of_ours_is_the_same_in_the_log_and_in_the_answer() {
        for number in [0, 1, 0x0123_4567_89ab_cdef, u64::MAX] {
            let id = RequestId::Own(number);
            assert_eq!(id.header(), id.to_string());
        }
    }

    #[test]
    fn a_given_name_is_taken_over_if_it_is_plain() {
        let longest = "a".repeat(REQUEST_ID_BYTES_MAX);
        for given in ["r-1", "a.b_C-9", &longest] {
            assert_eq!(of(given), given);
        }
        let too_long = "a".repeat(REQUEST_ID_BYTES_MAX + 1);
        for given in ["", "a b", "a\"b", "{}", "a,b", &too_long] {
            assert_ne!(of(given), given);
            assert_eq!(of(given).len(), 16);
        }
        assert_ne!(
            RequestId::of(&HeaderMap::new()),
            RequestId::of(&HeaderMap::new())
        );
    }
}
