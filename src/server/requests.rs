//! The requests of a connection, as hyper brings them, and their answers.

use std::cell::Cell;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::Service;

use super::event_stream::Slot;
use super::stream::{is_given_up, note_body};
use crate::gateway::Gateway;
use crate::http::{
    Again, Begun, Body, Finish, Free, Handled, Later, SentAway, WholeHead, handle, handle_begun,
    later,
};
use crate::peer::Peer;
use crate::switch::Switch;
use crate::transport::poll::Looked;
use crate::wire::{Alarm, AnswerGuard, Phase};

/// A request that is being answered, as hyper polls it. Its room is there for the life of a connection, so what is large
/// has room of its own.
pub enum Answering {
    /// The answer, until it is handed out.
    Now(Option<Box<Response<Answer>>>),
    /// It takes a while. What is left to do then is gone once it was handed out.
    Later(Later, Option<Finishing>),
    /// Not here: HTTP lets go of the connection.
    Apart,
}

impl Future for Answering {
    type Output = Result<Response<Answer>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Now(answer) => {
                let answer = answer.take().expect(ONCE);
                Poll::Ready(Ok(*answer))
            }
            Self::Later(answer, finishing) => {
                let response = ready!(answer.as_mut().poll(cx));
                let finishing = finishing.take().expect(ONCE);
                Poll::Ready(Ok(finishing.finish(response)))
            }
            // Whoever polls the connection takes it out of HTTP next.
            Self::Apart => Poll::Pending,
        }
    }
}

/// Why the answer is there when it is asked for.
const ONCE: &str = "nobody polls a future after its end";

/// What is left to do with an answer.
pub struct Finishing {
    gateway: Arc<Gateway>,
    finish: Finish,
    answering: AnswerGuard,
    closing: Switch,
    version: Version,
    slot: Option<Slot>,
}

impl Finishing {
    fn finish(self, response: Response<Body>) -> Response<Answer> {
        let Self {
            gateway,
            finish,
            answering,
            closing,
            version,
            slot,
        } = self;
        let mut response = finish.finish(&gateway, response);
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            answering.upgraded();
        } else if version < Version::HTTP_2
            && (closing.is_thrown() || response.extensions().get::<SentAway>().is_some())
        {
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response.map(|body| Answer {
            slot: slot.filter(|_| body.is_stream()),
            body,
            answering,
        })
    }
}

/// Answers the requests of a connection.
pub struct Requests {
    /// Who answers.
    pub gateway: Arc<Gateway>,
    /// Who asks.
    pub peer: Peer,
    /// What the connection is doing.
    pub phase: Arc<Phase>,
    /// Its timer.
    pub alarm: Arc<Alarm>,
    /// What their bodies have together, if many come at once.
    pub free: Option<Free>,
    /// Thrown when no further request is taken.
    pub closing: Switch,
    /// What HTTP hands over, or is handed.
    pub handover: Cell<Handover>,
}

/// What HTTP and [`super::apart`] hand over to each other.
#[derive(Default)]
pub enum Handover {
    #[default]
    Nothing,
    /// From HTTP: a request that it lets go of.
    Again(Box<Again>),
    /// From HTTP: an event stream is there when it lets go of it, and whether its client asks for no further answer.
    Stream(Slot, bool),
    /// To HTTP: the bytes that it reads first are one head and nothing else.
    Head(Box<WholeHead>),
    /// To HTTP: what it is to answer. The head that it reads first stands for it.
    Begun(Box<Begun>),
}

impl Service<Request<Incoming>> for Requests {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, mut request: Request<Incoming>) -> Answering {
        if let Some(free) = &self.free
            && !http_body::Body::is_end_stream(request.body())
        {
            request.extensions_mut().insert(free.clone());
        }
        let may_part = self.phase.is_flushed() && !self.closing.is_thrown();
        let may_stream = !self.closing.is_thrown() && is_chunked(&request);
        let is_last = asks_to_close(&request);
        let (answering, version) = (self.phase.answering(), request.version());
        let (handled, finish) = self.handle(request);
        let mut finishing = Finishing {
            gateway: Arc::clone(&self.gateway),
            finish,
            answering,
            closing: self.closing.clone(),
            version,
            slot: None,
        };
        match handled {
            Handled::Now(response) => Answering::Now(Some(Box::new(finishing.finish(response)))),
            Handled::Later(answer) => Answering::Later(answer, Some(finishing)),
            Handled::Streams(answer) => {
                if may_stream && !self.phase.is_multiplexed() {
                    let slot = Slot::default();
                    finishing.slot = Some(slot.clone());
                    self.handover.set(Handover::Stream(slot, is_last));
                }
                Answering::Later(answer, Some(finishing))
            }
            Handled::Waits(waiting, Some(again)) if may_part => {
                drop(finishing);
                let again = again.begun(Looked::Waits(waiting));
                self.handover.set(Handover::Again(Box::new(again)));
                self.phase.goes_apart();
                Answering::Apart
            }
            Handled::Waits(waiting, _) => Answering::Later(later(waiting), Some(finishing)),
        }
    }
}

impl Requests {
    /// Those of a connection that was just accepted: its timer waits for the first head.
    pub fn new(gateway: Arc<Gateway>, peer: Peer, closing: Switch) -> Self {
        let alarm = Alarm::new(gateway.config().timeouts.head_s.duration());
        Self {
            gateway,
            peer,
            phase: Arc::default(),
            alarm: Arc::new(alarm),
            free: None,
            closing,
            handover: Cell::default(),
        }
    }

    /// Those of a client at this machine.
    #[cfg(test)]
    pub fn local(gateway: &Arc<Gateway>, closing: Switch) -> Self {
        let peer = Peer {
            address: std::net::Ipv4Addr::LOCALHOST.into(),
            secure: false,
            entrance: crate::peer::Entrance::Public,
        };
        Self::new(Arc::clone(gateway), peer, closing)
    }

    fn handle(&self, mut request: Request<Incoming>) -> (Handled, Finish) {
        match self.handover.take() {
            Handover::Begun(begun) => return handle_begun(*begun, &request),
            Handover::Head(head) => {
                request.extensions_mut().insert(*head);
            }
            Handover::Again(_) | Handover::Stream(..) | Handover::Nothing => {}
        }
        // The timer is for requests that are answered one after the other.
        let alarm = (!self.phase.is_multiplexed()).then_some(&self.alarm);
        handle(&self.gateway, self.peer, alarm, request)
    }
}

/// True if all of a request was read, and its answer is in chunks if it has no length.
fn is_chunked(request: &Request<Incoming>) -> bool {
    request.version() == Version::HTTP_11
        && request.method() == Method::GET
        && http_body::Body::is_end_stream(request.body())
}

/// True if no other request may follow over HTTP/1.1 (RFC 9112, section 9.6).
fn asks_to_close(request: &Request<Incoming>) -> bool {
    let names_close = |value: &HeaderValue| {
        let mut options = value.as_bytes().split(|byte| *byte == b',');
        options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
    };
    request
        .headers()
        .get_all(CONNECTION)
        .iter()
        .any(names_close)
}

/// A body that tells the connection when it is done.
pub struct Answer {
    body: Body,
    answering: AnswerGuard,
    /// Where an event stream goes when HTTP lets go of it, if it may.
    slot: Option<Slot>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        if self.answering.is_stalled() || is_given_up() {
            self.body.stalled();
        }
        if let Some(slot) = &self.slot
            && self.answering.is_apart()
        {
            slot.put(self.body.take_stream());
        }
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if self.slot.is_some() && matches!(polled, Poll::Ready(Some(_))) {
            self.answering.streams();
        }
        note_body(matches!(polled, Poll::Ready(Some(_))));
        if matches!(polled, Poll::Ready(None)) && self.body.is_sent_away() {
            self.answering.leaves();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
