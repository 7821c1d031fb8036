//! A small document of a web server, fetched whole: within a time, up to a size, and never over a redirect.

use std::net::IpAddr;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_LENGTH, HOST, USER_AGENT};
use http::uri::{Authority, Scheme};
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use crate::tls::client::{self, ConnectError, Connector};

/// How long it may take, from looking up the name to the last byte.
pub const FETCH_WITHIN: Duration = Duration::from_secs(5);
/// The largest document.
pub const DOCUMENT_BYTES_MAX: usize = 1024 * 1024;
/// The largest head of an answer.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Where a document is.
#[derive(Debug)]
pub struct Source {
    authority: Authority,
    target: String,
    tls: Option<Connector>,
}

/// A document.
#[derive(Debug)]
pub struct Fetched {
    /// What it says.
    pub body: Bytes,
    /// For how long it may be kept, if the server says so (RFC 9111, section 5.2.2).
    pub fresh_for: Option<Duration>,
}

/// Why there is no document. It never holds what the server sent, nor more of the URL than its host.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// There is no connection.
    #[error("{0}")]
    Connect(#[from] ConnectError),
    /// The server did not answer in HTTP, or broke off.
    #[error("the answer of {0} cannot be read: {1}")]
    Broken(String, hyper::Error),
    /// The body broke off.
    #[error("the answer of {0} broke off")]
    BrokenOff(String),
    /// Anything but 200.
    #[error("{0} answered {1}")]
    Status(String, StatusCode),
    /// A redirect.
    #[error("{0} answered {1}, and redirects are not followed: name the address that it points to")]
    Redirect(String, StatusCode),
    /// The document is too large.
    #[error("the document of {0} has more than {DOCUMENT_BYTES_MAX} bytes")]
    TooLarge(String),
    /// It took too long.
    #[error("{0} did not answer in time")]
    Slow(String),
}

impl Source {
    /// Reads a URL: https, or http for a host that is this machine. `setting` names the file of authorities to trust
    /// in place of the system's.
    ///
    /// # Errors
    /// A sentence that says what is expected, or what is wrong with the file.
    pub fn new(url: &str, setting: &'static str, ca: Option<&Path>) -> Result<Self, String> {
        let expected = "expected a URL such as https://id.example.com/keys";
        let uri: Uri = url.parse().map_err(|_| expected)?;
        let authority = uri.authority().cloned().ok_or(expected)?;
        if authority.as_str().contains('@') {
            return Err("a URL with a password in it is not taken: leave it out".to_owned());
        }
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => {
                Some(Connector::new(setting, ca).map_err(|error| error.to_string())?)
            }
            Some(scheme) if *scheme == Scheme::HTTP && is_this_machine(&authority) => None,
            Some(scheme) if *scheme == Scheme::HTTP => {
                return Err(
                    "whoever is on the way could change what comes by http: use https".to_owned(),
                );
            }
            _ => return Err(expected.to_owned()),
        };
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        Ok(Self {
            target: target.to_owned(),
            authority,
            tls,
        })
    }

    /// Fetches the document. Cancel safe: dropping it closes the connection.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn get(&self) -> Result<Fetched, FetchError> {
        let fetched = timeout(FETCH_WITHIN, Box::pin(self.get_without_bound())).await;
        fetched.unwrap_or_else(|_| Err(FetchError::Slow(self.host())))
    }

    async fn get_without_bound(&self) -> Result<Fetched, FetchError> {
        let broken = |error| FetchError::Broken(self.host(), error);
        let stream = client::connect(&self.authority, self.tls.as_ref()).await?;
        let mut builder = http1::Builder::new();
        builder.max_buf_size(HEAD_BYTES_MAX);
        let (mut sender, connection) = builder
            .handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        let exchange = async {
            let response = sender.send_request(self.request()).await.map_err(broken)?;
            self.read(response).await
        };
        // No task of its own: the connection is driven from here, for as long as there is something to read.
        let (mut exchange, mut connection) = (pin!(exchange), pin!(connection));
        tokio::select! {
            fetched = &mut exchange => return fetched,
            // What failed, or that all has arrived, is told to the exchange.
            _ = &mut connection => {}
        }
        exchange.await
    }

    fn request(&self) -> Request<Empty<Bytes>> {
        let request = Request::get(&self.target)
            .header(HOST, self.authority.as_str())
            .header(ACCEPT, "application/json, application/jwk-set+json")
            .header(USER_AGENT, concat!("everyway/", env!("CARGO_PKG_VERSION")));
        request
            .body(Empty::new())
            // Target and authority are parts of a URL that was read.
            .expect("a request of parts that are valid")
    }

    async fn read(&self, response: Response<Incoming>) -> Result<Fetched, FetchError> {
        let status = response.status();
        if status.is_redirection() {
            return Err(FetchError::Redirect(self.host(), status));
        }
        if status != StatusCode::OK {
            return Err(FetchError::Status(self.host(), status));
        }
        let (parts, body) = response.into_parts();
        let declared = parts.headers.get(CONTENT_LENGTH);
        let declared = declared.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if declared.is_some_and(|length| length > DOCUMENT_BYTES_MAX as u64) {
            return Err(FetchError::TooLarge(self.host()));
        }
        let body = Limited::new(body, DOCUMENT_BYTES_MAX).collect().await;
        let body = body.map_err(|error| match error.is::<LengthLimitError>() {
            true => FetchError::TooLarge(self.host()),
            false => FetchError::BrokenOff(self.host()),
        })?;
        Ok(Fetched {
            body: body.to_bytes(),
            fresh_for: fresh_for(&parts.headers),
        })
    }

    /// The host and port, for messages. A path may hold what is not for the log.
    pub fn host(&self) -> String {
        self.authority.to_string()
    }
}

/// True for names and addresses that never leave this machine (RFC 6761, section 6.3).
fn is_this_machine(authority: &Authority) -> bool {
    let host = client::host(authority);
    let address = host.parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// `max-age` in `Cache-Control`; nothing is kept where the server wants to be asked each time.
fn fresh_for(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(CACHE_CONTROL).iter();
    let values = values.filter_map(|value| value.to_str().ok());
    let mut directives = values.flat_map(|value| value.split(',')).map(str::trim);
    directives.find_map(|directive| {
        let is = |name: &str| directive.eq_ignore_ascii_case(name);
        if is("no-store") || is("no-cache") {
            return Some(Duration::ZERO);
        }
        let (name, seconds) = directive.split_once('=')?;
        let is_max_age = name.trim().eq_ignore_ascii_case("max-age");
        let seconds = seconds.trim().trim_matches('"').parse().ok();
        seconds.filter(|_| is_max_age).map(Duration::from_secs)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_https_or_on_this_machine() {
        let source = |url: &str| Source::new(url, "auth.jwks_ca", None);
        for good in [
            "http://127.0.0.1:1/keys",
            "http://LOCALHOST/keys?a=b",
            "http://[::1]:8080",
        ] {
            assert!(source(good).is_ok(), "{good}");
        }
        for (bad, says) in [
            ("http://id.example.com/keys", "use https"),
            ("http://localhost.example.com/keys", "use https"),
            ("http://u:secret@127.0.0.1/keys", "password"),
            ("ftp://127.0.0.1/keys", "https://"),
            ("/keys", "https://"),
            ("id.example.com", "https://"),
        ] {
            let error = source(bad).unwrap_err();
            assert!(
                error.contains(says) && !error.contains("secret"),
                "{bad}: {error}"
            );
        }
    }

    #[test]
    fn max_age_is_read() {
        let fresh = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CACHE_CONTROL, http::HeaderValue::from_static(value));
            fresh_for(&headers)
        };
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(fresh("public, Max-Age=300"), seconds(300));
        assert_eq!(fresh("max-age=\"60\", must-revalidate"), seconds(60));
        assert_eq!(fresh("no-cache, max-age=300"), seconds(0));
        assert_eq!(fresh("max-age=soon"), None);
        assert_eq!(fresh("s-maxage=5"), None);
        assert_eq!(fresh_for(&HeaderMap::new()), None);
    }
}
