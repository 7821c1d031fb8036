//! From a request to its answer: let in, find the endpoint, do it, say what the browser may see.

mod access;
mod admin;
mod again;
mod asked;
mod body;
mod cors;
mod credentials;
mod discard;
mod door;
mod error;
mod late_key;
mod ops;
mod pages;
mod publish;
mod query;
mod receive;
mod request_id;
pub mod route;
mod send;
mod standing;
mod upload;

use std::pin::Pin;
use std::sync::Arc;

pub use again::{Again, Begun, WholeHead, is_whole_head};
pub use body::{Body, SentAway};
use http::header::{ALLOW, CONTENT_LENGTH, ETAG, HeaderName, HeaderValue, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;
pub use receive::later;
pub use upload::Free;

use crate::code::Code;
use crate::config::Config;
use crate::gateway::Gateway;
use crate::peer::{Entrance, Peer};
use crate::problem::Problem;
use crate::protocol::printed::Printed;
use crate::transport::poll::Waiting;
use crate::wire::Alarm;
use crate::{history, transport::Transport};
use admin::Ask;
use ops::json_response;
use request_id::{RequestId, X_REQUEST_ID};
use route::{Endpoint, RouteLimits};
use tracing::Instrument;

/// The answer to a request, before it is finished.
pub enum Handled {
    /// It is there.
    Now(Response<Body>),
    /// It takes a while.
    Later(Later),
    /// An event stream is opened. HTTP may let go of the connection once its head is out.
    Streams(Later),
    /// A long poll waits; with what is known for the next one like it, if HTTP may let go of it.
    Waits(Waiting, Option<Box<Again>>),
}

/// An answer that takes a while. Dropped when the client goes; nothing is left behind then.
pub type Later = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// What is left to do with an answer.
pub struct Finish {
    /// Where the request came from, if that may see the answer. A copy: the header is a slice of the connection's read
    /// buffer and would keep all of it.
    origin: Option<Box<[u8]>>,
    id: RequestId,
    is_head: bool,
}

/// Answers what was begun without HTTP, with a head in which nothing else is asked for.
pub fn handle_begun(begun: Begun, request: &Request<Incoming>) -> (Handled, Finish) {
    (
        receive::handled(begun),
        Finish::of(request.method(), request.headers()),
    )
}

/// Answers a request, up to the [`Finish`]. What waits holds what it waits for, and nothing of the request.
pub fn handle(
    gateway: &Arc<Gateway>,
    peer: Peer,
    alarm: Option<&Arc<Alarm>>,
    request: Request<Incoming>,
) -> (Handled, Finish) {
    let (parts, body) = request.into_parts();
    let mut finish = Finish::of(&parts.method, &parts.headers);
    let (id, version) = (&finish.id, parts.version);
    let (peer, counted) = match peer.entrance {
        Entrance::Public => gateway.limits.arrive(peer, &parts.headers),
        Entrance::Admin => (peer, Ok(())),
    };
    // What is logged on the way bears the name. Who only waits is not held up by a span: it would cost memory.
    let span = tracing::info_span!("request", %id).entered();
    // The path only: a query may hold credentials.
    tracing::debug!(address = %peer.address, secure = peer.secure, method = %parts.method, path = parts.uri.path(), "request");
    // An origin that is not let in learns nothing, not even by CORS.
    let handled = match (door::admit(gateway, peer, &parts), counted) {
        (Ok(()), Ok(())) => late_key::dispatch_with_key(gateway, peer, alarm, parts, body),
        (Ok(()), Err(refused)) => {
            let refusal = refuse(gateway, peer, parts, refused.into());
            discard::refuse(refusal, body, version)
        }
        (Err(problem), _) => {
            finish.origin = None;
            discard::refuse(error::response(&problem), body, version)
        }
    };
    drop(span);
    (handled, finish)
}

impl Finish {
    fn of(method: &Method, headers: &HeaderMap) -> Self {
        let origin = headers.get(ORIGIN);
        Self {
            origin: origin.map(|origin| origin.as_bytes().into()),
            id: RequestId::of(headers),
            is_head: *method == Method::HEAD,
        }
    }

    /// Counts an answer, and adds what all answers say.
    pub fn finish(self, gateway: &Gateway, mut response: Response<Body>) -> Response<Body> {
        let Self {
            origin,
            id,
            is_head,
        } = self;
        count_error(gateway, &response);
        let origin = origin
            .and_then(|origin| HeaderValue::from_maybe_shared(bytes::Bytes::from(origin)).ok());
        cors::expose(response.headers_mut(), origin.as_ref());
        response.headers_mut().insert(NOSNIFF.0, NOSNIFF.1);
        tracing::debug!(%id, status = response.status().as_u16(), "answered");
        response.headers_mut().insert(X_REQUEST_ID, id.header());
        if is_head {
            without_body(response)
        } else {
            response
        }
    }
}

/// The answer to HEAD: as long as that to GET, and without it. hyper leaves the body out over HTTP/1.1 only.
fn without_body(response: Response<Body>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    if let Some(bytes) = body.size_hint().exact() {
        parts.headers.insert(CONTENT_LENGTH, bytes.into());
    }
    Response::from_parts(parts, Body::empty())
}

/// Nobody may take JSON for a script.
const NOSNIFF: (HeaderName, HeaderValue) = (
    HeaderName::from_static("x-content-type-options"),
    HeaderValue::from_static("nosniff"),
);

/// Refuses a request without looking at more than its path: each transport is told in its own way.
fn refuse(gateway: &Arc<Gateway>, peer: Peer, parts: Parts, problem: Problem) -> Response<Body> {
    // Only what comes by the public listeners is counted and refused like this.
    match endpoint(gateway, Entrance::Public, &parts) {
        Ok(Endpoint::Receive(Transport::WebSocket)) => {
            receive::refuse_websocket(gateway, peer, parts, problem)
        }
        Ok(Endpoint::Receive(Transport::Sse)) => receive::refuse_stream(gateway, problem),
        _ => error::response(&problem),
    }
}

fn dispatch(
    gateway: &Arc<Gateway>,
    peer: Peer,
    alarm: Option<&Arc<Alarm>>,
    parts: Parts,
    body: Incoming,
) -> Handled {
    if is_page(gateway, peer.entrance, parts.uri.path()) {
        return match check_method(&parts, route::GET_HEAD) {
            Ok(()) => {
                let serving = pages::serve(Arc::clone(gateway), parts);
                Handled::Later(Box::pin(serving.in_current_span()))
            }
            Err(refusal) => discard::refuse(*refusal, body, parts.version),
        };
    }
    let endpoint = match endpoint(gateway, peer.entrance, &parts) {
        Ok(endpoint) => endpoint,
        Err(refusal) => return discard::refuse(*refusal, body, parts.version),
    };
    Handled::Now(match endpoint {
        Endpoint::Receive(Transport::WebSocket) => receive::websocket(gateway, peer, parts),
        Endpoint::Receive(Transport::Sse) => return receive::sse(gateway, peer, &parts),
        Endpoint::Receive(Transport::LongPoll) => {
            return receive::long_poll(gateway, peer, alarm, &parts);
        }
        Endpoint::Receive(Transport::Poll) => return receive::short_poll(gateway, peer, &parts),
        Endpoint::Echo => receive::echo(gateway, parts),
        Endpoint::Publish => {
            let gateway = Arc::clone(gateway);
            let publishing = async move { publish::publish(&gateway, peer, parts, body).await };
            return Handled::Later(Box::pin(publishing.in_current_span()));
        }
        Endpoint::Send => {
            let gateway = Arc::clone(gateway);
            let sending = async move { send::send(&gateway, peer, parts, body).await };
            return Handled::Later(Box::pin(sending.in_current_span()));
        }
        Endpoint::Ticket => {
            let gateway = Arc::clone(gateway);
            let issuing = async move { access::ticket(&gateway, peer, parts, body).await };
            return Handled::Later(Box::pin(issuing.in_current_span()));
        }
        Endpoint::Disconnect => access::disconnect(gateway, peer, &parts),
        Endpoint::History if parts.method == Method::DELETE => {
            return admin::handle(gateway, peer, parts, body, Ask::Purge);
        }
        Endpoint::History => history_page(gateway, &parts),
        Endpoint::Presence => presence(gateway, &parts),
        Endpoint::AdminChannels => {
            return admin::handle(gateway, peer, parts, body, Ask::Channels);
        }
        Endpoint::AdminSessions => {
            return admin::handle(gateway, peer, parts, body, Ask::Sessions);
        }
        Endpoint::Transports => ops::transports(gateway),
        Endpoint::Health => ops::health(),
        Endpoint::Ready => ops::ready(gateway),
        Endpoint::Metrics => metrics(gateway, peer, &parts),
    })
}

/// What the request is for, or the answer that refuses it.
fn endpoint(
    gateway: &Gateway,
    entrance: Entrance,
    parts: &Parts,
) -> Result<Endpoint, Box<Response<Body>>> {
    let is_on = |endpoint: &Endpoint| match endpoint {
        Endpoint::Receive(transport) => gateway.config().server.transports.contains(transport),
        Endpoint::Echo => gateway.config().server.echo,
        _ => true,
    };
    let found = Endpoint::at(parts.uri.path()).filter(is_on);
    let found = found.map(|endpoint| (endpoint, endpoint.methods(entrance)));
    let Some((endpoint, methods)) = found.filter(|(_, methods)| !methods.is_empty()) else {
        return Err(Box::new(error::response(&nothing_here(entrance))));
    };
    check_method(parts, methods)?;
    Ok(endpoint)
}

/// True for a path at which a page may be: the gateway's own ones win.
fn is_page(gateway: &Gateway, entrance: Entrance, path: &str) -> bool {
    entrance == Entrance::Public
        && gateway.pages.is_some()
        && Endpoint::at(path).is_none()
        && !pages::is_reserved(path)
}

/// Only these methods go on; the answer to others says which.
fn check_method(parts: &Parts, methods: &[Method]) -> Result<(), Box<Response<Body>>> {
    if parts.method == Method::OPTIONS {
        return Err(Box::new(cors::preflight(methods)));
    }
    if !methods.contains(&parts.method) {
        let allowed = cors::allow(methods);
        let message = format!("this path takes {}", allowed.to_str().unwrap_or_default());
        let mut response = error::response(&Problem::new(Code::MethodNotAllowed, message));
        response.headers_mut().insert(ALLOW, allowed);
        return Err(Box::new(response));
    }
    Ok(())
}

fn nothing_here(entrance: Entrance) -> Problem {
    let message = match entrance {
        Entrance::Public => "there is nothing here: GET /v1/transports lists what there is",
        Entrance::Admin => {
            "this is not at the admin listener, which has /metrics, /healthz, /readyz, /v1/disconnect, \
             /v1/admin/channels, /v1/admin/sessions and DELETE /v1/history: ask at server.listen"
        }
    };
    Problem::new(Code::NotFound, message)
}

fn history_page(gateway: &Gateway, parts: &Parts) -> Response<Body> {
    let page = || {
        let mut asked = route::history(parts, route_limits(&gateway.config()))?;
        let (credential, user) = (credentials::read(parts)?, asked.user.take());
        let principal = gateway.auth.principal(credential.as_ref(), user)?;
        let request = asked.reading(principal.user.as_ref())?;
        gateway.may_read(&principal, &request.channel)?;
        gateway.meet(principal.user.as_ref(), [&request.channel])?;
        Ok(history::read(
            &gateway.bus,
            &request,
            gateway.page_budget(request.limit),
            "",
        ))
    };
    match page() {
        Ok(page) => {
            page.gaps
                .iter()
                .for_each(|gap| gateway.metrics.count_gap(gap.lost.reason));
            page_response(page.json, &page.cursor)
        }
        Err(problem) => error::response(&problem),
    }
}

fn presence(gateway: &Gateway, parts: &Parts) -> Response<Body> {
    let page = || {
        let (request, user) = route::presence(parts, route_limits(&gateway.config()))?;
        let credential = credentials::read(parts)?;
        let principal = gateway.auth.principal(credential.as_ref(), user)?;
        gateway.show_presence(&principal, &request, "")
    };
    match page() {
        Ok(json) => json_response(StatusCode::OK, json),
        Err(problem) => error::response(&problem),
    }
}

fn metrics(gateway: &Gateway, peer: Peer, parts: &Parts) -> Response<Body> {
    match access::must_be_admin(gateway, peer, parts) {
        Ok(()) => ops::metrics(gateway),
        Err(problem) => error::response(&problem),
    }
}

/// A page with its cursor as `ETag`.
fn page_response(json: Printed, cursor: &str) -> Response<Body> {
    let mut response = json_response(StatusCode::OK, Body::page(json));
    response.headers_mut().insert(ETAG, etag(cursor));
    response
}

fn etag(cursor: &str) -> HeaderValue {
    let quoted = [b"\"", cursor.as_bytes(), b"\""].concat();
    // A cursor is made of visible ASCII without quotes.
    HeaderValue::from_maybe_shared(bytes::Bytes::from(quoted))
        .unwrap_or(HeaderValue::from_static("\"\""))
}

fn route_limits(config: &Config) -> RouteLimits {
    RouteLimits {
        channels_max: config.limits.channels_max,
        page_messages_max: config.limits.page_messages_max,
        wait_max: config.timeouts.wait_s_max.duration(),
    }
}

/// Errors carry their code to the count as an extension, so that it is taken once, here.
fn count_error(gateway: &Gateway, response: &Response<Body>) {
    if let Some(code) = response.extensions().get::<Code>() {
        gateway.metrics.count_error(*code);
    }
}
