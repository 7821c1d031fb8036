//! The query of a URL: names with their values, decoded strictly.

use std::borrow::Cow;

use http::request::Parts;
use percent_encoding::percent_decode_str;

use crate::problem::Problem;

/// Room for so many is made at once; most requests have fewer.
const USUAL_PARAMETERS: usize = 4;

/// The parameters of a request.
#[derive(Debug, Default)]
pub struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    /// The query of a request.
    ///
    /// # Errors
    /// As [`Query::parse`].
    pub fn of(parts: &'a Parts) -> Result<Self, Problem> {
        Self::parse(parts.uri.query().unwrap_or_default())
    }

    /// Decodes a query. `+` is a space, as in a form.
    ///
    /// # Errors
    /// `bad_request` for bytes that are not UTF-8.
    pub fn parse(text: &'a str) -> Result<Self, Problem> {
        let mut pairs = Vec::with_capacity(USUAL_PARAMETERS);
        let mut rest = text;
        while !rest.is_empty() {
            let (pair, next) = cut(rest, b'&');
            if !pair.is_empty() {
                let (name, value) = cut(pair, b'=');
                pairs.push((decode(name)?, decode(value)?));
            }
            rest = next;
        }
        Ok(Self(pairs))
    }

    /// The value of a parameter that may be given once.
    ///
    /// # Errors
    /// `bad_request` if it is given twice.
    pub fn single(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.all(name);
        let first = values.next();
        match values.next() {
            None => Ok(first),
            Some(_) => Err(Problem::bad_request(format!(
                "{name} is given twice: give it once"
            ))),
        }
    }

    /// The values of a parameter that may repeat.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(given, _)| given == name)
            .map(|(_, value)| value.as_ref())
    }
}

/// What comes before an ASCII byte, and what comes after it. The parts are short, so each byte is looked at: a search that
/// is made for long texts takes longer to begin.
fn cut(text: &str, at: u8) -> (&str, &str) {
    match text.bytes().position(|byte| byte == at) {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (text, ""),
    }
}

fn decode(text: &str) -> Result<Cow<'_, str>, Problem> {
    // Nothing is escaped in most of them.
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Ok(Cow::Borrowed(text));
    }
    let not_utf8 = |_| Problem::bad_request("the query is not UTF-8 after decoding");
    if !text.contains('+') {
        return percent_decode_str(text).decode_utf8().map_err(not_utf8);
    }
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced)
        .decode_utf8()
        .map_err(not_utf8)?;
    Ok(Cow::Owned(decoded.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded() {
        let query = Query::parse("a=1&a=%32&b=x+y%2Bz&&c&=d").unwrap();
        assert_eq!(query.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(query.single("b").unwrap(), Some("x y+z"));
        assert_eq!(query.single("c").unwrap(), Some(""));
        assert_eq!(query.single("none").unwrap(), None);
        assert!(query.single("a").is_err());
    }

    #[test]
    fn bad_utf8_is_refused() {
        assert!(Query::parse("a=%ff").is_err());
        assert!(Query::parse("a=+%ff").is_err());
        assert!(Query::parse("%c3%28=1").is_err());
    }
}
