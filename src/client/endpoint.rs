//! Where a gateway is, and single requests to it.

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST, HeaderValue};
use http::uri::Authority;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::credentials;
use crate::code::{Code, ComeBack};
use crate::secret::Secret;
use crate::tls::client::{self, ConnectError, Connector, Stream};

/// The largest answer that is read whole.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What stays as it is in a query.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b':')
    .remove(b'/')
    .remove(b'~');

/// A gateway's address, and what is shown there.
#[derive(Debug, Clone)]
pub struct Endpoint {
    authority: Authority,
    path: String,
    is_secure: bool,
    tls: Option<Connector>,
    token: Option<Secret>,
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The gateway refused.
    #[error("{message}")]
    Refused {
        /// Its code, if it is one we know.
        code: Option<Code>,
        /// What it says.
        message: String,
        /// When to try again.
        retry_after_ms: Option<u64>,
    },
    /// The connection failed or broke.
    #[error("{0}")]
    Broken(String),
    /// It is not the gateway that answers, as far as we can tell. Trying again is of no use.
    #[error("{0}")]
    Untrusted(String),
    /// What we were given cannot be used.
    #[error("{0}")]
    Local(String),
}

impl Failure {
    /// An answer that is an error.
    pub(super) fn answered(status: StatusCode, body: &[u8]) -> Self {
        match serde_json::from_slice::<ErrorBody>(body) {
            Ok(ErrorBody { error }) => Self::Refused {
                code: Code::parse(&error.code),
                message: format!("{}: {}", error.code, error.message),
                retry_after_ms: error.retry_after_ms,
            },
            Err(_) => Self::Refused {
                code: None,
                message: format!("the answer was {status}"),
                retry_after_ms: None,
            },
        }
    }

    /// True if another token may help.
    pub fn wants_token(&self) -> bool {
        let code = match self {
            Self::Refused { code, .. } => code.as_ref(),
            _ => None,
        };
        code.is_some_and(|code| code.come_back() == ComeBack::WithNewToken)
    }

    /// A connection that failed.
    pub(super) fn broken(error: impl std::fmt::Display) -> Self {
        Self::Broken(error.to_string())
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Failed(..) | ConnectError::NoTls(_) => Self::broken(error),
            ConnectError::Untrusted(..) => Self::Untrusted(error.to_string()),
        }
    }
}

#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorObject,
}

#[derive(Deserialize)]
struct ErrorObject {
    code: String,
    message: String,
    retry_after_ms: Option<u64>,
}

impl Endpoint {
    /// Reads `http://host:port` or `https://host:port`, with a path in front of the gateway's own if there is one.
    ///
    /// # Errors
    /// A sentence that says what is expected.
    pub fn parse(url: &str) -> Result<Self, String> {
        let expected = || {
            format!(
                "{url} is not the URL of a gateway, such as http://127.0.0.1:8080 or https://example.com"
            )
        };
        let uri: Uri = url.parse().map_err(|_| expected())?;
        let is_secure = match uri.scheme_str() {
            Some("http" | "ws") => false,
            Some("https" | "wss") => true,
            _ => return Err(expected()),
        };
        let authority = uri.authority().cloned().ok_or_else(expected)?;
        if authority.as_str().contains('@') {
            return Err("a URL with a password in it is not taken: use --token-file".to_owned());
        }
        if uri.query().is_some() {
            return Err(expected());
        }
        Ok(Self {
            authority,
            path: uri.path().trim_end_matches('/').to_owned(),
            is_secure,
            tls: None,
            token: None,
        })
    }

    /// True if it is reached by TLS only: give it a connector.
    pub fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// The same, reached by TLS.
    pub fn with_tls(self, connector: Connector) -> Self {
        Self {
            is_secure: true,
            tls: Some(connector),
            ..self
        }
    }

    /// The same, with a token to show, or without.
    pub fn with_token(&self, token: Option<Secret>) -> Self {
        Self {
            token,
            ..self.clone()
        }
    }

    /// The token that is shown.
    pub fn token(&self) -> Option<&Secret> {
        self.token.as_ref()
    }

    /// The value of `Authorization`, if there is a token.
    ///
    /// # Errors
    /// [`Failure::Local`] for what cannot be a token.
    pub(super) fn authorization(&self) -> Result<Option<HeaderValue>, Failure> {
        self.token.as_ref().map(credentials::header).transpose()
    }

    /// The host and port.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// A path of the gateway with a query.
    pub fn target(&self, path: &str, query: &[(&str, &str)]) -> String {
        let mut target = format!("{}{path}", self.path);
        for (i, (name, value)) in query.iter().enumerate() {
            target.push(if i == 0 { '?' } else { '&' });
            target.push_str(name);
            target.push('=');
            target.extend(utf8_percent_encode(value, QUERY));
        }
        target
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// [`Failure::Broken`], and [`Failure::Untrusted`] for a certificate that is not trusted.
    pub async fn connect(&self) -> Result<Stream, Failure> {
        if self.is_secure && self.tls.is_none() {
            let what = "this gateway is reached by TLS, and nobody said whom to trust";
            return Err(Failure::Local(what.to_owned()));
        }
        Ok(client::connect(&self.authority, self.tls.as_ref()).await?)
    }

    /// Whoever answers does not speak HTTP. Without TLS on our side it may be that there is TLS on the other.
    pub(super) fn not_http(&self, error: impl std::fmt::Display) -> Failure {
        if self.is_secure {
            return Failure::broken(error);
        }
        Failure::Broken(format!(
            "{} does not speak HTTP ({error}): is this port TLS? Then try https:// in the URL",
            self.authority
        ))
    }

    /// Sends a request over a connection of its own. The connection lives as long as the answer's body.
    ///
    /// # Errors
    /// [`Failure::Refused`] for an answer that is an error, as [`Endpoint::connect`] if there is none.
    pub async fn send(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Response<Incoming>, Failure> {
        let authorization = self.authorization()?;
        let io = TokioIo::new(self.connect().await?);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io)
            .await
            .map_err(Failure::broken)?;
        // It ends when the answer was read or dropped, which its reader notices; there is nobody else to tell.
        tokio::spawn(async move { drop(connection.await) });
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header(HOST, self.authority.as_str());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        let request = request.body(Full::new(body)).map_err(Failure::broken)?;
        let response =
            sender
                .send_request(request)
                .await
                .map_err(|error| match error.is_parse() {
                    true => self.not_http(error),
                    false => Failure::broken(error),
                })?;
        if response.status().is_client_error() || response.status().is_server_error() {
            return Err(refused(response).await);
        }
        Ok(response)
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// As [`Endpoint::send`].
    pub async fn fetch(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Bytes, Failure> {
        let response = self.send(method, target, headers, body).await?;
        let collected = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
            .collect()
            .await;
        Ok(collected.map_err(Failure::broken)?.to_bytes())
    }
}

async fn refused(response: Response<Incoming>) -> Failure {
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
        .collect()
        .await;
    Failure::answered(
        status,
        &body
            .map(|collected| collected.to_bytes())
            .unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let endpoint = Endpoint::parse("http://[::1]:8080/gateway/").unwrap();
        assert_eq!(endpoint.authority().as_str(), "[::1]:8080");
        assert_eq!(
            endpoint.target("/v1/poll", &[("channel", "a:b"), ("user", "é &")]),
            "/gateway/v1/poll?channel=a:b&user=%C3%A9%20%26"
        );
        for bad in [
            "",
            "localhost:8080",
            "ftp://a",
            "http://",
            "http://a?b",
            "https://u:p@a",
        ] {
            assert!(Endpoint::parse(bad).is_err(), "{bad}");
        }
        for (url, is_secure) in [
            ("https://a", true),
            ("wss://a/b", true),
            ("ws://a:1", false),
        ] {
            assert_eq!(
                Endpoint::parse(url).unwrap().is_secure(),
                is_secure,
                "{url}"
            );
        }
    }

    #[tokio::test]
    async fn tls_is_never_left_out() {
        let endpoint = Endpoint::parse("https://127.0.0.1:1").unwrap();
        let failure = endpoint.connect().await.unwrap_err();
        assert!(matches!(failure, Failure::Local(_)), "{failure}");
    }
}
