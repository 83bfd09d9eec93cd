//! One request, from its head to its answer, in numbered steps.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use http::header::{CONNECTION, HeaderName, HeaderValue, REFERER, USER_AGENT};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::auth;
use super::body::{Body, ResponseBody, empty};
use super::client::Client;
use super::conn::{Place, Session};
use super::exchange::Exchange;
use super::finish::Finish;
use super::generation::{Generation, Site};
use super::guard;
use super::head::Spelling;
use super::pages::{act, give_up};
use super::respond::{self, Refused};
use super::route::Found;
use super::stages::Outcome;
use super::state::State;
use super::upgrade::Opening;
use super::vars::{self, RequestId};
use crate::ws::handshake;

/// The status that is logged where a connection is closed without an answer (nginx's `return 444`).
const CLOSED: u16 = 444;

/// What becomes of a request.
pub(super) enum Handled {
    /// It is answered.
    Answer(Response<Body>),
    /// The client gets this 101; behind it the tunnel opens.
    Switching(Box<Switching>),
    /// No answer: the connection is closed.
    Closed,
}

/// Tells hyper to close a connection.
#[derive(Debug)]
pub(super) struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("closed without an answer, as configured")
    }
}

impl std::error::Error for Closed {}

/// A tunnel that waits for the client to have its 101.
pub(super) struct Switching {
    pub(super) head: Response<()>,
    pub(super) opening: Box<Opening>,
    pub(super) place: Place,
    pub(super) finish: Finish,
}

/// A request that nobody knows the answer of. Its client may go away before: then nothing runs any
/// more but what is dropped.
struct Pending<'a> {
    exchange: Exchange<'a>,
    finish: Option<Finish>,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if let Some(finish) = &mut self.finish {
            give_up(&self.exchange, finish);
        }
    }
}

/// Answers one request that hyper has read.
pub(super) async fn handle(
    session: &Arc<Session>,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Closed> {
    let wants_upgrade =
        session.wants_upgrade(request.method(), request.version(), request.headers());
    let on_upgrade = wants_upgrade.then(|| hyper::upgrade::on(&mut request));
    let (parts, incoming) = request.into_parts();
    match serve(session, &parts, &Spelling::default(), Some(incoming), wants_upgrade).await {
        Handled::Answer(response) => Ok(response),
        Handled::Closed => Err(Closed),
        Handled::Switching(switching) => {
            let Switching { head, opening, place, finish } = *switching;
            // As soon as hyper has written the 101, the tunnel opens.
            if let Some(client) = on_upgrade {
                tokio::spawn(opening.open(client, place, finish));
            }
            Ok(head.map(|()| empty()))
        }
    }
}

/// One request; the body of one that asks for a WebSocket is not looked at.
pub(super) async fn serve(
    session: &Session,
    parts: &Parts,
    spelling: &Spelling,
    incoming: Option<Incoming>,
    wants_upgrade: bool,
) -> Handled {
    // 1. Which request of the connection it is, and what must be done at its end in any case.
    let number = session.requests.fetch_add(1, Ordering::Relaxed) + 1;
    let mut finish = Finish::new(Arc::clone(&session.verdicts));
    finish.upgrade = wants_upgrade;
    finish.record.ssl_protocol = session.connection.tls.as_ref().map_or("", |tls| tls.protocol);
    let generation = session.generations.load_full();
    // 2. The server, by name.
    let asked = vars::host_name(vars::http_host(parts));
    let mut host = asked.as_str();
    if host.is_empty() {
        // A request without a host is for whom the handshake was.
        let named = session.connection.tls.as_ref().and_then(|tls| tls.server_name.as_deref());
        host = named.unwrap_or_default();
    }
    let Some(site) = generation.site(&session.listener, host) else {
        // The listener was removed while this connection was kept.
        return answer(Refused::NotFound.response(), None, finish, true);
    };
    finish.series = Some(Arc::clone(&site.series));
    let exchange = Exchange {
        shared: &session.shared,
        connection: &session.connection,
        verdicts: &session.verdicts,
        number,
        parts,
        spelling,
        client: Client::of(&session.connection, &parts.headers, &site.model.own.real_ip),
        site,
        route: site.own(),
        found: Found::new(0, 0),
        state: State::new(String::new()),
        request_id: RequestId::default(),
    };
    describe(&mut finish, &generation, site, parts, &exchange.client);
    finish.log = site.own().logs.first().cloned();
    // 3. What the guard refused is only answered.
    if let Some(refusal) = session.verdicts.of(number) {
        tracing::info!("client sent an invalid request: {}", Refused::Guard(refusal).reason());
        let mut response = Refused::Guard(refusal).response();
        respond::as_page(&mut response, &site.model.own);
        finish.answered(response.status().as_u16());
        give_up(&exchange, &mut finish);
        return answer(response, None, finish, true);
    }
    let mut pending = Pending { exchange, finish: Some(finish) };
    if let Some(pattern) = site.pattern(host) {
        pending.exchange.state.fits(pattern, host);
    }
    // 4. to 6. The location, its rules, its action.
    let outcome = match &mut pending.finish {
        Some(finish) => act(&mut pending.exchange, incoming, wants_upgrade, finish).await,
        None => None,
    };
    let Some(mut finish) = pending.finish.take() else {
        return Handled::Closed;
    };
    let (response, timeout) = match outcome {
        Some(Outcome::Answer(given)) => given,
        Some(Outcome::Switching(head, opening)) => return switch(session, head, opening, finish),
        None => {
            finish.answered(CLOSED);
            give_up(&pending.exchange, &mut finish);
            return Handled::Closed;
        }
    };
    // 7. A connection that is to end says so; behind an upgrade request nothing is HTTP any more.
    let route = pending.exchange.route;
    let location = &route.location;
    session.verdicts.keep_for(location.keepalive_timeout);
    session.verdicts.spell(&route.spelling);
    let last = wants_upgrade
        || !is_kept(parts)
        || number >= location.keepalive_requests
        || location.keepalive_time.is_some_and(|time| session.connection.since.elapsed() >= time)
        || location.keepalive_timeout.is_zero()
        || *session.draining.borrow();
    let mut response = response;
    if let (Some(time), false) = (location.keepalive_header, last) {
        say_kept(response.headers_mut(), time);
    }
    answer(response, timeout, finish, last)
}

/// `Connection: keep-alive`, and how long.
fn say_kept(headers: &mut HeaderMap, time: Duration) {
    if headers.contains_key(CONNECTION) {
        return;
    }
    headers.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
    if !time.is_zero() {
        let value = format!("timeout={}", time.as_secs());
        respond::set(headers, HeaderName::from_static("keep-alive"), &value);
    }
}

/// Whether the client keeps its connection: in HTTP/1.0 it asks for that, in HTTP/1.1 for the other.
fn is_kept(parts: &Parts) -> bool {
    let says = |token| handshake::has_token(&parts.headers, &CONNECTION, token);
    !says("close") && (parts.version != http::Version::HTTP_10 || says("keep-alive"))
}

/// The 101. The connection's place goes on to the tunnel.
fn switch(
    session: &Session,
    head: Response<()>,
    opening: Box<Opening>,
    mut finish: Finish,
) -> Handled {
    let place = session.place.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(place) = place else {
        // Behind a tunnel there are no requests.
        return answer(Refused::NotFound.response(), None, finish, true);
    };
    finish.answered(StatusCode::SWITCHING_PROTOCOLS.as_u16());
    Handled::Switching(Box::new(Switching { head, opening, place, finish }))
}

/// The answer with its end attached.
fn answer(
    mut response: Response<Body>,
    timeout: Option<Duration>,
    mut finish: Finish,
    last: bool,
) -> Handled {
    finish.answered(response.status().as_u16());
    if last && !response.headers().contains_key(CONNECTION) {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Handled::Answer(response.map(|body| ResponseBody::new(body, timeout, finish).boxed_unsync()))
}

/// Fills in what the log line will say of the request.
fn describe(
    finish: &mut Finish,
    generation: &Generation,
    site: &Site,
    parts: &Parts,
    client: &Client,
) {
    if !site.logs {
        return;
    }
    let field = |name: HeaderName| -> Box<str> {
        let value = parts.headers.get(name).map(HeaderValue::as_bytes).unwrap_or_default();
        String::from_utf8_lossy(value).into()
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let record = &mut finish.record;
    record.at_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    record.remote_addr = client.text().into();
    record.remote_user = auth::user(parts).unwrap_or_default().into();
    record.method = parts.method.as_str().into();
    record.request_uri = parts.uri.path_and_query().map_or("/", |target| target.as_str()).into();
    record.protocol = if parts.version == http::Version::HTTP_10 { "HTTP/1.0" } else { "HTTP/1.1" };
    record.host = vars::http_host(parts).into();
    record.server = Arc::clone(&site.label);
    record.referer = field(REFERER);
    record.user_agent = field(USER_AGENT);
    record.traceparent = field(HeaderName::from_static("traceparent"));
    record.config_revision = generation.revision();
}

const _: () = assert!(size_of::<guard::Refusal>() <= 24, "a refusal is passed around by value");
