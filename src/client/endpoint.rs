//! Where a gateway is, and single requests to it.

use bytes::Bytes;
use http::header::HOST;
use http::uri::Authority;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use tokio::net::TcpStream;

use crate::code::Code;

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

/// A gateway's address.
#[derive(Debug, Clone)]
pub struct Endpoint {
    authority: Authority,
    path: String,
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

    /// A connection that failed.
    pub(super) fn broken(error: impl std::fmt::Display) -> Self {
        Self::Broken(error.to_string())
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
    /// Reads `http://host:port`, with a path in front of the gateway's own if there is one.
    ///
    /// # Errors
    /// A sentence that says what is expected.
    pub fn parse(url: &str) -> Result<Self, String> {
        let expected =
            || format!("{url} is not the URL of a gateway, such as http://127.0.0.1:8080");
        let uri: Uri = url.parse().map_err(|_| expected())?;
        if uri.scheme_str() != Some("http") || uri.query().is_some() {
            return Err(expected());
        }
        let authority = uri.authority().cloned().ok_or_else(expected)?;
        Ok(Self {
            authority,
            path: uri.path().trim_end_matches('/').to_owned(),
        })
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
    /// [`Failure::Broken`].
    pub async fn connect(&self) -> Result<TcpStream, Failure> {
        let host = self
            .authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']');
        let stream = TcpStream::connect((host, self.authority.port_u16().unwrap_or(80))).await;
        let stream = stream.map_err(|error| {
            Failure::Broken(format!("cannot connect to {}: {error}", self.authority))
        })?;
        stream.set_nodelay(true).map_err(Failure::broken)?;
        Ok(stream)
    }

    /// Sends a request over a connection of its own. The connection lives as long as the answer's body.
    ///
    /// # Errors
    /// [`Failure::Refused`] for an answer that is an error, [`Failure::Broken`] if there is none.
    pub async fn send(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Response<Incoming>, Failure> {
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
        let request = request.body(Full::new(body)).map_err(Failure::broken)?;
        let response = sender
            .send_request(request)
            .await
            .map_err(Failure::broken)?;
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
            "https://a",
            "http://",
            "http://a?b",
        ] {
            assert!(Endpoint::parse(bad).is_err(), "{bad}");
        }
    }
}
