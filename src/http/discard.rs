//! The rest of a body that nobody reads: a refusal over HTTP/2 waits for it.

use std::time::Duration;

use http::{Response, Version};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::Handled;
use super::body::Body;

/// Most bytes that are taken in and thrown away.
const DISCARDED_BYTES_MAX: usize = 1024 * 1024;
/// For how long at most.
const DISCARD_WITHIN: Duration = Duration::from_secs(1);

/// A refusal of a request whose body may still be on its way.
pub fn refuse(response: Response<Body>, mut body: Incoming, version: Version) -> Handled {
    if !is_needed(&body, version) {
        return Handled::Now(response);
    }
    Handled::Later(Box::pin(async move {
        discard(&mut body, version).await;
        response
    }))
}

/// Takes in what is left of a body, within bounds. An answer that comes before the body ends resets the stream (RFC 9113,
/// section 8.1), and some clients then drop the answer. Over HTTP/1.1 nothing has to be done.
pub async fn discard(body: &mut Incoming, version: Version) {
    if is_needed(body, version) {
        discard_rest(body).await;
    }
}

/// The same, over any version: for who has begun to send, and would not look for an answer before the body is sent.
pub async fn discard_rest(body: &mut Incoming) {
    let rest = async {
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.data_ref().map_or(0, bytes::Bytes::len);
            if bytes > DISCARDED_BYTES_MAX {
                break;
            }
        }
    };
    // Who takes longer is refused all the same, and may not see why.
    let _ = tokio::time::timeout(DISCARD_WITHIN, rest).await;
}

fn is_needed(body: &Incoming, version: Version) -> bool {
    version == Version::HTTP_2 && !body.is_end_stream()
}
