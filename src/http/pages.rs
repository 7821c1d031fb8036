//! `GET /…`: a file of the folder of pages, with conditions and ranges (RFC 9110, sections 13 and 14).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, IF_RANGE, LOCATION, RANGE,
};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body::Body as _;
use tokio::sync::OwnedSemaphorePermit;
use tower_http::services::ServeFile;
use tower_http::services::fs::ServeFileSystemResponseBody;

use crate::code::Code;
use crate::gateway::Gateway;
use crate::pages::{Found, Pages};
use crate::problem::Problem;

use super::body::Body;
use super::error;

/// How much of a file is read at a time.
const READ_BYTES: usize = 16 * 1024;

/// A file that is being sent.
pub struct FileBody {
    body: ServeFileSystemResponseBody,
    /// What is left of the length that was told.
    left: u64,
    _place: OwnedSemaphorePermit,
}

/// True if no page can be at a path: the gateway's own ones win, and those that it may get.
pub fn is_reserved(path: &str) -> bool {
    path == "/v1" || path.starts_with("/v1/")
}

/// Serves what is at the path of a request.
pub async fn serve(gateway: Arc<Gateway>, parts: Parts) -> Response<Body> {
    let Some(pages) = &gateway.pages else {
        return error::response(&nothing());
    };
    match answer(pages, parts).await {
        Ok(response) => response,
        Err(problem) => error::response(&problem),
    }
}

async fn answer(pages: &Pages, parts: Parts) -> Result<Response<Body>, Problem> {
    let place = pages.admit().ok_or_else(|| {
        Problem::new(
            Code::Overloaded,
            "too many files are sent now: try again soon",
        )
    })?;
    match pages.find(parts.uri.path()).await.map_err(failed)? {
        Found::Nothing => Err(nothing()),
        Found::Folder => Ok(to_folder(&parts)),
        Found::File(path) => {
            let mut file = ServeFile::new(&path)
                .with_buf_chunk_size(READ_BYTES)
                // Several parts in one answer are no use to a page: all of it is sent then.
                .ignore_multi_range_requests(true);
            let sent = file.try_call(request(parts)).await;
            let response = sent.map_err(|error| match error.kind() {
                // It went while it was looked at, or is not for us.
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => nothing(),
                _ => failed(error),
            })?;
            Ok(with_manners(response, place))
        }
    }
}

/// What of a request decides how a file is sent. A part is sent only to who does not ask whether it is still the same: what
/// is sent then is always right, and whole.
fn request(parts: Parts) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = parts.method;
    *request.headers_mut() = parts.headers;
    if request.headers().contains_key(IF_RANGE) {
        request.headers_mut().remove(RANGE);
    }
    request
}

/// Sends a browser to a folder's own path, which ends with a slash. A path that was found has no empty name, so it cannot
/// be read as another host's.
fn to_folder(parts: &Parts) -> Response<Body> {
    let query = parts.uri.query().map(|query| format!("?{query}"));
    let location = format!("{}/{}", parts.uri.path(), query.unwrap_or_default());
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    // What came as a target may go out as a header.
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

fn with_manners(
    response: Response<ServeFileSystemResponseBody>,
    place: OwnedSemaphorePermit,
) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    let length = head.headers.get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    // Kept, and asked for each time: a new file counts at once.
    head.headers
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Some(kind) = head.headers.get(CONTENT_TYPE).and_then(with_charset) {
        head.headers.insert(CONTENT_TYPE, kind);
    }
    let body = match length {
        Some(left) => Body::File(Box::new(FileBody {
            body,
            left,
            _place: place,
        })),
        None => Body::empty(),
    };
    Response::from_parts(head, body)
}

/// Text is UTF-8, as all that we send is.
fn with_charset(kind: &HeaderValue) -> Option<HeaderValue> {
    let kind = kind.to_str().ok()?;
    let is_bare_text = kind.starts_with("text/") && !kind.contains(';');
    is_bare_text.then(|| HeaderValue::from_str(&format!("{kind}; charset=utf-8")).ok())?
}

fn nothing() -> Problem {
    Problem::new(
        Code::NotFound,
        "there is no page here: GET /v1/transports lists what the gateway has beside its pages",
    )
}

fn failed(error: io::Error) -> Problem {
    tracing::warn!(%error, "a page cannot be read");
    Problem::new(Code::Internal, "this page cannot be read now")
}

impl FileBody {
    /// What is left to send, in bytes.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// The next part of the file; nothing at its end. It ends early if it became shorter, or cannot be read any more: the
    /// client sees that by the length it was told. Cancel safe.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        while self.left > 0 {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    let Ok(mut chunk) = frame.into_data() else {
                        continue;
                    };
                    // It may have grown since.
                    chunk.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
                    self.left -= chunk.len() as u64;
                    return Poll::Ready(Some(chunk));
                }
                Some(Err(error)) => {
                    tracing::warn!(%error, "a page broke off");
                    return Poll::Ready(None);
                }
                None => return Poll::Ready(None),
            }
        }
        Poll::Ready(None)
    }
}

impl std::fmt::Debug for FileBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileBody")
            .field("left", &self.left)
            .finish()
    }
}
