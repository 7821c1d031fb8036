//! What administrators ask for: lists, and a purge.

use http::request::Parts;

use super::limit;
use crate::bus::name::INBOX_NAME_BYTES_MAX;
use crate::bus::{ChannelName, UserName};
use crate::http::query::Query;
use crate::problem::Problem;

/// Entries in a page of a list when the request does not say.
const PAGE_ENTRIES: usize = 100;
/// Most entries in a page of a list.
pub const PAGE_ENTRIES_MAX: usize = 1000;

/// A page of the list of channels.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelList {
    /// How the names begin.
    pub prefix: String,
    /// The name to go on after.
    pub after: Option<String>,
    /// Most entries.
    pub limit: usize,
}

/// A page of the list of attachments.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionList {
    /// Whose; everybody's if absent.
    pub user: Option<UserName>,
    /// Those that read a channel.
    pub channel: Option<ChannelName>,
    /// Where the page before ended.
    pub after: Option<u64>,
    /// Most entries.
    pub limit: usize,
}

/// Reads a request for a page of channels.
///
/// # Errors
/// `bad_request`.
pub fn channel_list(parts: &Parts) -> Result<ChannelList, Problem> {
    let query = Query::parse(parts.uri.query().unwrap_or_default())?;
    Ok(ChannelList {
        prefix: short(&query, "prefix")?.unwrap_or_default(),
        after: short(&query, "after")?,
        limit: limit(&query, PAGE_ENTRIES_MAX)?.unwrap_or(PAGE_ENTRIES),
    })
}

/// Reads a request for a page of attachments.
///
/// # Errors
/// `bad_request`, or `forbidden` for the name of an inbox.
pub fn session_list(parts: &Parts) -> Result<SessionList, Problem> {
    let query = Query::parse(parts.uri.query().unwrap_or_default())?;
    let after = query.single("after")?;
    let after = after.map(|text| {
        let number = text.parse().ok().filter(|_| super::is_digits(text));
        number.ok_or_else(|| {
            Problem::bad_request("after is what the page before said: leave it out to begin")
        })
    });
    Ok(SessionList {
        user: super::user(&query)?,
        channel: query
            .single("channel")?
            .map(ChannelName::parse)
            .transpose()?,
        after: after.transpose()?,
        limit: limit(&query, PAGE_ENTRIES_MAX)?.unwrap_or(PAGE_ENTRIES),
    })
}

/// Reads which channel is to be purged.
///
/// # Errors
/// As [`session_list`].
pub fn purge(parts: &Parts) -> Result<ChannelName, Problem> {
    let query = Query::parse(parts.uri.query().unwrap_or_default())?;
    let name = query.single("channel")?.ok_or_else(|| {
        Problem::bad_request("channel is missing: add ?channel=NAME, the one to purge")
    })?;
    Ok(ChannelName::parse(name)?)
}

/// Text to compare names with. It need not be a name.
fn short(query: &Query, name: &str) -> Result<Option<String>, Problem> {
    match query.single(name)? {
        Some(text) if text.len() > INBOX_NAME_BYTES_MAX => Err(Problem::bad_request(format!(
            "{name} has at most {INBOX_NAME_BYTES_MAX} bytes, as the longest names of channels have"
        ))),
        text => Ok(text.map(str::to_owned)),
    }
}
