//! The body of a request, read within its bounds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use http::Version;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::code::Code;
use crate::gateway::Gateway;
use crate::limits::{Counted, FREE_BYTES, Inlet, Refused, Share};
use crate::peer::Peer;
use crate::problem::Problem;

use super::discard::discard_rest;

/// A body that was read.
#[derive(Debug)]
pub struct Upload {
    /// The whole of it.
    pub bytes: Bytes,
    /// What it takes of the room for all. Keep it until what was made of the body is handled.
    pub held: Held,
}

/// What a body holds: of its connection's free part first, then of the room for all. Dropping it gives both back.
#[derive(Debug, Default)]
pub struct Held {
    free: Free,
    free_bytes: usize,
    share: Option<Share>,
}

/// What all bodies of a connection together may hold without being counted. A connection that takes one request after
/// another needs none: each body has the whole part for itself.
#[derive(Debug, Clone, Default)]
pub struct Free(Option<Arc<AtomicUsize>>);

/// Why a body was not read to its end.
enum Unread {
    TooLarge,
    Full(Counted),
    BrokeOff,
}

impl Free {
    /// The free part of a connection that takes many requests at once.
    pub fn shared() -> Self {
        Self(Some(Arc::default()))
    }

    /// Takes as many of these bytes as there are.
    fn take(&self, bytes: usize) -> usize {
        let Some(taken) = &self.0 else {
            return bytes;
        };
        let grow = |taken: usize| Some((taken + bytes).min(FREE_BYTES));
        let before = taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grow);
        // It always grows, if by nothing.
        before.map_or(0, |before| bytes.min(FREE_BYTES - before))
    }

    fn give_back(&self, bytes: usize) {
        if let Some(taken) = &self.0 {
            taken.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}

impl Held {
    fn from_part(free: Free) -> Self {
        Self {
            free,
            free_bytes: 0,
            share: None,
        }
    }

    /// Holds so many bytes, what it holds already counted.
    fn hold(&mut self, bytes: usize, inlet: impl FnOnce() -> Inlet) -> Result<(), Counted> {
        let wanted = bytes.min(FREE_BYTES) - self.free_bytes;
        self.free_bytes += self.free.take(wanted);
        if bytes == self.free_bytes {
            return Ok(());
        }
        let share = self.share.get_or_insert_with(|| inlet().share());
        share.cover(bytes - self.free_bytes)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.free.give_back(self.free_bytes);
    }
}

/// Reads a body within its bounds. One that says it is too large is refused before it is read.
///
/// # Errors
/// `too_large`, `overloaded`, and `bad_request` for a body that breaks off or takes too long.
pub async fn read(
    gateway: &Gateway,
    peer: Peer,
    parts: &Parts,
    body: &mut Incoming,
) -> Result<Upload, Problem> {
    let bytes_max = gateway.body_bytes_max();
    let declared = parts
        .headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|declared| declared > bytes_max as u64) {
        return Err(too_large(bytes_max));
    }
    let free = parts.extensions.get::<Free>().cloned();
    let mut held = Held::from_part(free.unwrap_or_default());
    let hold = |bytes| held.hold(bytes, || gateway.limits.inlet(peer.address));
    let wait = gateway.config().timeouts.body_s.duration();
    let gathered = tokio::time::timeout(wait, gather(body, bytes_max, hold)).await;
    let broke_off = || Problem::bad_request("the body broke off");
    match gathered {
        Err(_) => Err(Problem::bad_request("the body did not arrive in time")),
        Ok(Err(Unread::TooLarge)) => Err(too_large(bytes_max)),
        Ok(Err(Unread::Full(counted))) => {
            drop(held);
            discard_rest(body).await;
            Err(Refused::Full(counted).into())
        }
        Ok(Err(Unread::BrokeOff)) => Err(broke_off()),
        // hyper takes a stream that is reset without an error for one that ended (RFC 9113, section 8.1.1).
        Ok(Ok(_)) if parts.version == Version::HTTP_2 && !body.is_end_stream() => Err(broke_off()),
        Ok(Ok(bytes)) => Ok(Upload { bytes, held }),
    }
}

fn too_large(bytes_max: usize) -> Problem {
    let message = format!("a body has at most {bytes_max} bytes");
    Problem::new(Code::TooLarge, message)
}

/// Puts a body together. What comes in one piece is not copied. Pieces are, because each takes more room than its bytes. Not
/// cancel safe: what was taken in is lost.
async fn gather(
    body: &mut Incoming,
    bytes_max: usize,
    mut hold: impl FnMut(usize) -> Result<(), Counted>,
) -> Result<Bytes, Unread> {
    let (mut first, mut all) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Unread::BrokeOff)?;
        // Trailers say nothing here.
        let Ok(piece) = frame.into_data() else {
            continue;
        };
        let bytes = first.len() + all.len() + piece.len();
        if bytes > bytes_max {
            return Err(Unread::TooLarge);
        }
        hold(bytes).map_err(Unread::Full)?;
        if bytes == piece.len() {
            first = piece;
        } else {
            all.extend_from_slice(&std::mem::take(&mut first));
            all.extend_from_slice(&piece);
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::limits::Limits;
    use std::net::{IpAddr, Ipv4Addr};

    const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    fn limits() -> Limits {
        Limits::new(&Config::default())
    }

    #[test]
    fn one_body_after_another_is_counted_beyond_its_free_part() {
        let limits = limits();
        for _ in 0..3 {
            let mut held = Held::default();
            assert_eq!(held.hold(FREE_BYTES, || unreachable!()), Ok(()));
            assert_eq!(held.hold(FREE_BYTES + 1, || limits.inlet(ADDRESS)), Ok(()));
            assert!(limits.incoming_bytes() > 0);
            drop(held);
            assert_eq!(limits.incoming_bytes(), 0);
        }
    }

    #[test]
    fn bodies_of_one_connection_have_one_free_part() {
        let (limits, free) = (limits(), Free::shared());
        let body = || Held::from_part(free.clone());
        let (mut first, mut second) = (body(), body());
        assert_eq!(first.hold(FREE_BYTES - 10, || unreachable!()), Ok(()));
        assert_eq!(second.hold(10, || unreachable!()), Ok(()));
        assert_eq!(second.hold(11, || limits.inlet(ADDRESS)), Ok(()));
        assert!(limits.incoming_bytes() > 0);
        drop(first);
        let mut third = body();
        assert_eq!(third.hold(FREE_BYTES - 10, || unreachable!()), Ok(()));
        drop(second);
        assert_eq!(limits.incoming_bytes(), 0);
        assert_eq!(third.hold(FREE_BYTES, || unreachable!()), Ok(()));
    }
}
