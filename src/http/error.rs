//! From a problem to an HTTP answer: the only place where problems become statuses.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use serde::Serialize;

use crate::code::Code;
use crate::problem::Problem;
use crate::protocol::event::ProblemObject;

use super::body::Body;
use super::standing;

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: ProblemObject<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    published: Option<&'a serde_json::Value>,
}

/// The answer that tells a problem.
pub fn response(problem: &Problem) -> Response<Body> {
    response_with(problem, None)
}

/// The same, with what was published before the problem came up.
pub fn response_with(problem: &Problem, published: Option<&serde_json::Value>) -> Response<Body> {
    let body = ErrorBody {
        error: problem.into(),
        published,
    };
    // Strings and numbers always serialize.
    let mut response = Response::new(Body::full(serde_json::to_vec(&body).unwrap_or_default()));
    *response.status_mut() = status(problem);
    // For the count of errors, which is taken in one place.
    response.extensions_mut().insert(problem.code);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(after) = problem.retry_after {
        // Rounded up, so that nobody comes back too early.
        headers.insert(
            RETRY_AFTER,
            HeaderValue::from(after.as_millis().div_ceil(1000).max(1) as u64),
        );
    }
    if let Some(standing) = &problem.standing {
        standing::tell(headers, standing);
    }
    // RFC 6750, section 3.
    match problem.code {
        Code::Unauthorized => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        Code::TokenExpired => {
            let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        _ => {}
    }
    response
}

fn status(problem: &Problem) -> StatusCode {
    if problem.is_ours {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    problem
        .code
        .status()
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
