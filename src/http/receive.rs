//! The four receiving endpoints: from a request to its transport, and from what that returns to an answer.

use std::sync::Arc;

use futures_util::FutureExt;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Response, StatusCode};
use hyper::upgrade::OnUpgrade;

use crate::attachments::Attachment;
use crate::auth::{Credential, Principal};
use crate::code::Code;
use crate::gateway::Gateway;
use crate::peer::Peer;
use crate::problem::Problem;
use crate::transport::poll::{self, Answer, Looked, Waiting};
use crate::transport::sse::{self, SseStream};
use crate::transport::websocket::{self, Agreement, Opening};
use crate::transport::{Client, Transport};
use crate::wire::Alarm;

use super::again::Again;
use super::asked::Asked;
use super::body::{Body, SentAway};
use super::route::{Attach, Reading};
use super::{Handled, Later};
use super::{credentials, error, etag, page_response, route, route_limits};

/// Tells a proxy not to hold an event stream back.
const NO_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// `GET /v1/ws`, or its extended CONNECT over HTTP/2. Only a malformed request is refused here: a browser cannot see why an
/// upgrade was refused, so every other problem is told over the WebSocket.
pub fn websocket(gateway: &Arc<Gateway>, peer: Peer, parts: Parts) -> Response<Body> {
    upgrade(gateway, parts, |parts, upgrade, agreement| {
        let opening = open_websocket(gateway, peer, parts);
        let inlet = gateway.limits.inlet(peer.address);
        websocket::spawn(gateway, upgrade, agreement, inlet, opening);
    })
}

/// A WebSocket that is told a problem and closed, before anything else is looked at.
pub fn refuse_websocket(
    gateway: &Arc<Gateway>,
    peer: Peer,
    parts: Parts,
    problem: Problem,
) -> Response<Body> {
    upgrade(gateway, parts, |_, upgrade, agreement| {
        let inlet = gateway.limits.inlet(peer.address);
        websocket::spawn(gateway, upgrade, agreement, inlet, Err(problem));
    })
}

/// `GET /v1/echo`.
pub fn echo(gateway: &Arc<Gateway>, parts: Parts) -> Response<Body> {
    upgrade(gateway, parts, |_, upgrade, agreement| {
        websocket::spawn_echo(gateway, upgrade, agreement)
    })
}

fn upgrade(
    gateway: &Gateway,
    mut parts: Parts,
    spawn: impl FnOnce(&Parts, OnUpgrade, Option<Agreement>),
) -> Response<Body> {
    let handshake = match websocket::Handshake::read(&parts, gateway.config().websocket.deflate) {
        Ok(handshake) => handshake,
        Err(refusal) => {
            let mut response = error::response(&refusal.problem);
            *response.status_mut() = refusal.status;
            response.headers_mut().extend(refusal.headers());
            return response;
        }
    };
    let Some(upgrade) = parts.extensions.remove::<OnUpgrade>() else {
        tracing::error!("a well-formed upgrade came without its connection");
        return error::response(&Problem::new(
            Code::Internal,
            "this connection cannot be upgraded: try again",
        ));
    };
    spawn(&parts, upgrade, handshake.agreement);
    handshake.accept().map(|()| Body::empty())
}

fn open_websocket(gateway: &Arc<Gateway>, peer: Peer, parts: &Parts) -> Result<Opening, Problem> {
    let attach = route::websocket(parts, route_limits(&gateway.config()))?;
    let credential = credentials::read_websocket(parts)?;
    let (principal, reading) = authorize(gateway, credential.as_ref(), &attach)?;
    let client = Client::new(principal, peer.address, attach.session);
    let attachment = enter(gateway, Transport::WebSocket, &client)?;
    Ok(Opening {
        client,
        attachment,
        channels: reading.channels,
        starts: reading.starts,
    })
}

/// `GET /v1/sse`.
pub fn sse(gateway: &Arc<Gateway>, peer: Peer, parts: &Parts) -> Handled {
    let (client, attachment, reading) = match open_sse(gateway, peer, parts) {
        Ok(opened) => opened,
        Err(problem) => return Handled::Now(refuse_stream(gateway, problem)),
    };
    let gateway = Arc::clone(gateway);
    Handled::Streams(Box::pin(async move {
        let Reading { channels, starts } = reading;
        match SseStream::open(&gateway, &client, attachment, channels, starts).await {
            Ok(stream) => event_stream(Body::Sse(Box::new(stream))),
            Err(problem) => refuse_stream(&gateway, problem),
        }
    }))
}

/// An `EventSource` stops for good at any status but 200, so what passes is told on a stream that ends.
pub fn refuse_stream(gateway: &Gateway, problem: Problem) -> Response<Body> {
    if !matches!(
        problem.code,
        Code::Shutdown | Code::Overloaded | Code::RateLimited
    ) {
        return error::response(&problem);
    }
    gateway.metrics.count_error(problem.code);
    event_stream(Body::full(sse::farewell(&problem.into())))
}

fn open_sse(
    gateway: &Arc<Gateway>,
    peer: Peer,
    parts: &Parts,
) -> Result<(Client, Attachment, Reading), Problem> {
    let attach = route::sse(parts, route_limits(&gateway.config()))?;
    let (principal, reading) = authorize(gateway, credentials::read(parts)?.as_ref(), &attach)?;
    let client = Client::new(principal, peer.address, attach.session);
    let attachment = enter(gateway, Transport::Sse, &client)?;
    Ok((client, attachment, reading))
}

/// Takes a place. What an administrator revoked between the look at the credentials and this is seen here; what is revoked
/// from now on ends the attachment.
fn enter(gateway: &Gateway, transport: Transport, client: &Client) -> Result<Attachment, Problem> {
    let attachment = gateway.attachments.enter(transport, client.holder())?;
    gateway.auth.check(&client.principal)?;
    Ok(attachment)
}

fn event_stream(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("no-store, no-transform"),
    );
    headers.insert(NO_BUFFERING, HeaderValue::from_static("no"));
    response
}

/// `GET /v1/longpoll`.
pub fn long_poll(
    gateway: &Arc<Gateway>,
    peer: Peer,
    alarm: Option<&Arc<Alarm>>,
    parts: &Parts,
) -> Handled {
    let look = || {
        let asked = Asked::read(gateway, parts)?;
        let request = asked.request(gateway, peer, Transport::LongPoll)?;
        Ok((poll::long(gateway, alarm, request)?, asked))
    };
    match look() {
        Ok((Looked::Waits(waiting), asked)) => {
            let again = alarm.and_then(|alarm| Again::of(gateway, peer, alarm, asked, parts));
            Handled::Waits(waiting, again.map(Box::new))
        }
        Ok((looked, _)) => handled(Ok(looked)),
        Err(problem) => handled(Err(problem)),
    }
}

/// `GET /v1/poll`.
pub fn short_poll(gateway: &Arc<Gateway>, peer: Peer, parts: &Parts) -> Handled {
    let asked = Asked::read(gateway, parts);
    let request = asked.and_then(|asked| asked.request(gateway, peer, Transport::Poll));
    handled(request.map(|request| poll::short(gateway, request)))
}

/// What a poll found, as an answer.
pub fn handled(looked: Result<Looked, Problem>) -> Handled {
    match looked {
        Ok(Looked::Found(found)) => Handled::Now(answer(Ok(found))),
        Ok(Looked::TakesOver(taking_over)) => {
            Handled::Later(Box::pin(taking_over.run().map(|found| answer(Ok(found)))))
        }
        Ok(Looked::Waits(waiting)) => Handled::Waits(waiting, None),
        Err(problem) => Handled::Now(error::response(&problem)),
    }
}

/// Rights are all or nothing: one channel refused refuses the request.
pub fn authorize(
    gateway: &Gateway,
    credential: Option<&Credential>,
    attach: &Attach,
) -> Result<(Principal, Reading), Problem> {
    let user = attach.user.clone();
    let principal = gateway.auth.principal(credential, user)?;
    let reading = attach.reading(principal.user.as_ref())?;
    for channel in &reading.channels {
        gateway.may_read(&principal, channel)?;
    }
    gateway.meet(principal.user.as_ref(), &reading.channels)?;
    Ok((principal, reading))
}

/// The answer to a long poll that waits.
pub fn later(waiting: Waiting) -> Later {
    // Mapped and not awaited in a block, which would hold the room for it twice.
    Box::pin(waiting.map(answer))
}

fn answer(answer: Result<Answer, Problem>) -> Response<Body> {
    match answer {
        Ok(Answer::Page {
            json,
            cursor,
            is_sent_away,
        }) => {
            let mut response = page_response(json, &cursor);
            if is_sent_away {
                response.extensions_mut().insert(SentAway);
            }
            response
        }
        Ok(Answer::NotModified { cursor }) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response.headers_mut().insert(ETAG, etag(&cursor));
            response
                .headers_mut()
                .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err(problem) => error::response(&problem),
    }
}
