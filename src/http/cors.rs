//! What pages of other origins may do and see (WHATWG Fetch, section 3.3). There are no cookies, so no credentials.

use http::header::{self, HeaderValue};
use http::{HeaderMap, Method, Response, StatusCode};

use super::body::Body;

const ALLOW_HEADERS: &str =
    "Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID";
const EXPOSE_HEADERS: &str = "ETag, Retry-After, RateLimit, RateLimit-Policy";
/// How long a browser may remember a preflight.
const PREFLIGHT_AGE_S: &str = "600";

/// Tells the browser that the page of an allowed origin may see the answer.
pub fn expose(headers: &mut HeaderMap, origin: Option<&HeaderValue>) {
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(EXPOSE_HEADERS),
        );
    }
}

/// The same as lines of an answer in HTTP/1.1.
pub fn exposed(origin: &str) -> String {
    format!(
        "{}: {origin}\r\n{}: {EXPOSE_HEADERS}\r\n",
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        header::ACCESS_CONTROL_EXPOSE_HEADERS
    )
}

/// The answer to `OPTIONS`, a preflight or not.
pub fn preflight(methods: &[Method]) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, allow(methods));
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, allow(methods));
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static(ALLOW_HEADERS),
    );
    headers.insert(
        header::ACCESS_CONTROL_MAX_AGE,
        HeaderValue::from_static(PREFLIGHT_AGE_S),
    );
    response
}

/// A list of methods, as `Allow` takes it.
pub fn allow(methods: &[Method]) -> HeaderValue {
    let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    // Method names are ASCII tokens.
    HeaderValue::from_str(&names.join(", ")).unwrap_or(HeaderValue::from_static("GET"))
}
