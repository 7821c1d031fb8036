//! Asks a gateway who it is. If it does not answer as a gateway does, says what is wrong, and what to do about it.

use std::io::{self, ErrorKind};
use std::time::Duration;

use anyhow::{Error, Result, anyhow};
use rustls::CertificateError;
use serde::Deserialize;

use crate::client::{Answer, Connection, Target};

/// How long the gateway may take to say who it is.
const HELLO_MAX: Duration = Duration::from_secs(10);
/// Most letters of what a refusal says that are repeated.
const SAID_MAX: usize = 200;
/// A channel like those of a run.
const TRIAL: &str = "/v1/poll?channel=compare:hello&limit=1";

/// What to do about a gateway that wants a token, or another one.
pub const TOKEN_HINT: &str = "give a token that may subscribe and publish to compare:* by --token-file or \
                              EVERYWAY_TOKEN; everyway token makes one";

/// What `/v1/transports` says, as far as it matters.
#[derive(Deserialize)]
struct Hello {
    server: String,
}

/// What the gateway says of an error.
#[derive(Deserialize)]
struct Problem {
    error: ProblemText,
}

#[derive(Deserialize)]
struct ProblemText {
    code: String,
    message: String,
}

/// Why a gateway did not say who it is.
#[derive(Debug)]
enum Failure {
    /// There is no connection, or none that is trusted.
    Connection(Error),
    /// There is no answer, or none in HTTP.
    Answer(Error),
    /// The answer is an error.
    Refused {
        target: &'static str,
        status: u16,
        said: String,
    },
    /// It is not what Everyway says.
    NoGateway(Error),
    /// It takes too long.
    Slow,
}

/// Asks a gateway of our own.
///
/// # Errors
/// If it does not answer.
pub async fn ask_own(target: &Target) -> Result<String> {
    let failed = |failure| anyhow!("the gateway does not say who it is: {failure:?}");
    in_time(who(target)).await.map_err(failed)
}

/// Asks a gateway that was given as `url`, and tries whether its channels may be read.
///
/// # Errors
/// A sentence about the cause, and what to do about it.
pub async fn ask_elsewhere(url: &str, target: &Target) -> Result<String> {
    let asking = async {
        let server = who(target).await?;
        let mut connection = connect(target).await?;
        get(&mut connection, TRIAL).await?;
        Ok(server)
    };
    let is_tls = target.tls.is_some();
    let asked = in_time(asking).await;
    asked.map_err(|failure| anyhow!("{url} {}", failure.advice(is_tls)))
}

async fn in_time(asking: impl Future<Output = Result<String, Failure>>) -> Result<String, Failure> {
    let asked = tokio::time::timeout(HELLO_MAX, asking).await;
    asked.unwrap_or(Err(Failure::Slow))
}

async fn who(target: &Target) -> Result<String, Failure> {
    let mut connection = connect(target).await?;
    let answer = get(&mut connection, "/v1/transports").await?;
    let hello: Hello =
        serde_json::from_slice(&answer.body).map_err(|error| Failure::NoGateway(error.into()))?;
    Ok(hello.server)
}

async fn connect(target: &Target) -> Result<Connection, Failure> {
    let connected = target.connect(&Default::default()).await;
    connected.map_err(Failure::Connection)
}

async fn get(connection: &mut Connection, target: &'static str) -> Result<Answer, Failure> {
    let answer = connection.get(target, None).await;
    let answer = answer.map_err(Failure::Answer)?;
    if answer.status == 200 {
        return Ok(answer);
    }
    Err(Failure::Refused {
        target,
        status: answer.status,
        said: said(&answer.body),
    })
}

/// What an answer that is an error says.
fn said(body: &[u8]) -> String {
    match serde_json::from_slice::<Problem>(body) {
        Ok(Problem { error }) => format!("{}: {}", error.code, error.message),
        Err(_) => String::from_utf8_lossy(body)
            .trim()
            .chars()
            .take(SAID_MAX)
            .collect(),
    }
}

impl Failure {
    /// What is wrong with a gateway elsewhere, and what to do about it, as it goes on after the URL.
    fn advice(&self, is_tls: bool) -> String {
        match self {
            Self::Connection(error) => connection_advice(error),
            Self::Answer(error) if is_tls => format!("does not answer in HTTP/1.1 ({error:#})"),
            Self::Answer(error) => format!(
                "is answered by something that speaks no HTTP ({error:#}): if that is TLS, write https://"
            ),
            Self::Refused {
                status: 401 | 403,
                said,
                ..
            } => {
                format!("does not let us in ({said}): {TOKEN_HINT}")
            }
            Self::Refused {
                target,
                status: status @ 404,
                ..
            } => format!(
                "is answered by something, but {target} is not there ({status}): if Everyway is there below a path, write \
                 the path, too"
            ),
            Self::Refused {
                target,
                status: status @ 400,
                said,
            } if !is_tls => format!(
                "answers {target} with {status} ({said}): if that port speaks TLS, write https://"
            ),
            Self::Refused {
                target,
                status,
                said,
            } => {
                format!("answers {target} with {status} ({said})")
            }
            Self::NoGateway(error) => format!(
                "is answered by something that is not Everyway: /v1/transports says something else ({error})"
            ),
            Self::Slow => {
                let seconds = HELLO_MAX.as_secs();
                format!("accepts connections, but does not answer in {seconds} s")
            }
        }
    }
}

/// A port that is open, and no connection of ours. Without TLS that cannot be but by chance.
fn connection_advice(error: &Error) -> String {
    match tls_error(error) {
        Some(rustls::Error::InvalidMessage(_)) => {
            "is answered by something that speaks no TLS: write http://".to_owned()
        }
        Some(rustls::Error::InvalidCertificate(why)) => certificate_advice(why),
        Some(other) => format!("and we do not agree on TLS ({other})"),
        None if is_end(error) => {
            "closes the connection when TLS begins: if it speaks none, write http://".to_owned()
        }
        None => format!("cannot be connected to ({error:#})"),
    }
}

fn certificate_advice(why: &CertificateError) -> String {
    match why {
        // The second is of an authority of the same name with another key, such as one that everyway made elsewhere.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "has a certificate of an authority that is not trusted: name the file of its authority by --ca".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "has a certificate for another name: write that in the URL".to_owned()
        }
        why => format!("has a certificate that is not trusted ({why}): it needs another"),
    }
}

/// What TLS says, which lies within the error of the stream.
fn tls_error(error: &Error) -> Option<&rustls::Error> {
    let errors = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>());
    errors
        .filter_map(io::Error::get_ref)
        .find_map(|inner| inner.downcast_ref::<rustls::Error>())
}

fn is_end(error: &Error) -> bool {
    let mut errors = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>());
    errors.any(|error| {
        matches!(
            error.kind(),
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_refusal_says_is_short() {
        let problem = br#"{"error":{"code":"unauthorized","message":"credentials are missing"}}"#;
        assert_eq!(said(problem), "unauthorized: credentials are missing");
        assert_eq!(said(b" <html>\n"), "<html>");
        assert_eq!(said(&[b'x'; 1000]).len(), SAID_MAX);
    }

    #[test]
    fn a_plain_answer_of_400_hints_at_tls_and_one_within_tls_does_not() {
        let refused = Failure::Refused {
            target: "/v1/transports",
            status: 400,
            said: "The plain HTTP request was sent to HTTPS port".to_owned(),
        };
        assert!(refused.advice(false).contains("write https://"));
        assert!(!refused.advice(true).contains("write https://"));
    }
}
