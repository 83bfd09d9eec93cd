//! One request, from its head to its answer, in numbered steps.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{CONNECTION, HeaderName, HeaderValue, REFERER, USER_AGENT};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::body::{Body, ResponseBody, empty};
use super::client::Client;
use super::conn::{Place, Session};
use super::exchange::Exchange;
use super::finish::Finish;
use super::forward::{Answer, forward};
use super::generation::{Generation, Route, Site};
use super::head::Spelling;
use super::respond::{self, Refused};
use super::rewrite;
use super::upgrade::{Opening, Upgraded, upgrade};
use super::vars::{self, RequestId};
use super::{guard, path};
use crate::config::model::Action;
use crate::ws::handshake;

/// What the action of a route gives.
enum Outcome {
    Answer(Answer),
    Switching(Response<()>, Box<Opening>),
}

/// What becomes of a request.
pub(super) enum Handled {
    /// It is answered.
    Answer(Response<Body>),
    /// The client gets this 101; behind it the tunnel opens.
    Switching(Box<Switching>),
}

/// A tunnel that waits for the client to have its 101.
pub(super) struct Switching {
    pub(super) head: Response<()>,
    pub(super) opening: Box<Opening>,
    pub(super) place: Place,
    pub(super) finish: Finish,
}

/// Answers one request that hyper has read.
pub(super) async fn handle(
    session: &Arc<Session>,
    mut request: Request<Incoming>,
) -> Response<Body> {
    let wants_upgrade = handshake::is_upgrade(request.headers());
    let on_upgrade = wants_upgrade.then(|| hyper::upgrade::on(&mut request));
    let (parts, incoming) = request.into_parts();
    match serve(session, &parts, &Spelling::default(), Some(incoming), wants_upgrade).await {
        Handled::Answer(response) => response,
        Handled::Switching(switching) => {
            let Switching { head, opening, place, finish } = *switching;
            // As soon as hyper has written the 101, the tunnel opens.
            if let Some(client) = on_upgrade {
                tokio::spawn(opening.open(client, place, finish));
            }
            head.map(|()| empty())
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
    let host = vars::host_name(&vars::http_host(parts));
    let Some(site) = generation.site(&session.listener, &host) else {
        // The listener was removed while this connection was kept.
        return answer(Refused::NotFound.response(), None, finish, true);
    };
    finish.series = Some(Arc::clone(&site.series));
    // 3. What the guard refused is only answered.
    if let Some(refusal) = session.verdicts.of(number) {
        let client = Client::of(&session.connection, &parts.headers, &no_real_ip());
        describe(&mut finish, &generation, site, None, parts, &client);
        finish.log = site.log().cloned();
        tracing::info!("client sent an invalid request: {}", Refused::Guard(refusal).reason());
        return answer(Refused::Guard(refusal).response(), None, finish, true);
    }
    let head = (parts, spelling);
    let outcome =
        act(session, &generation, site, number, head, incoming, wants_upgrade, &mut finish);
    let (response, timeout) = match outcome.await {
        Ok(Outcome::Answer(given)) => given,
        Ok(Outcome::Switching(head, opening)) => {
            return switch(session, head, opening, finish);
        }
        Err(refused) => refusal(&refused),
    };
    // 7. A connection that is to end says so; behind an upgrade request nothing is HTTP any more.
    let last = wants_upgrade
        || number >= site.model.keepalive_requests
        || site.model.keepalive_timeout.is_zero()
        || *session.draining.borrow();
    answer(response, timeout, finish, last)
}

/// Steps 4 to 6: the location, its rules, its action.
#[expect(clippy::too_many_arguments, reason = "the middle of `handle`, apart to be readable")]
async fn act(
    session: &Session,
    generation: &Generation,
    site: &Site,
    number: u64,
    (parts, spelling): (&Parts, &Spelling),
    incoming: Option<Incoming>,
    wants_upgrade: bool,
    finish: &mut Finish,
) -> Result<Outcome, Refused> {
    // 4. The location, by the decoded path.
    let path = path::normalise(parts.uri.path());
    let routed = path.as_deref().and_then(|path| site.route(path));
    let real_ip = routed.map_or_else(no_real_ip, |(route, _)| route.location.real_ip.clone());
    let client = Client::of(&session.connection, &parts.headers, &real_ip);
    describe(finish, generation, site, routed.map(|(route, _)| route), parts, &client);
    finish.log = routed.map_or_else(|| site.log(), |(route, _)| route.log.as_ref()).cloned();
    let path = path.ok_or(Refused::BadPath)?;
    let (route, found) = routed.ok_or(Refused::NotFound)?;
    let exchange = Exchange {
        shared: &session.shared,
        connection: &session.connection,
        verdicts: &session.verdicts,
        number,
        parts,
        spelling,
        client,
        site,
        route,
        found,
        path: &path,
        request_id: RequestId::default(),
    };
    // What is refused here may still get a header that is always added.
    let mut outcome = match run(&exchange, incoming, wants_upgrade, finish).await {
        Ok(outcome) => outcome,
        Err(refused) => Outcome::Answer(refusal(&refused)),
    };
    let (status, headers) = match &mut outcome {
        Outcome::Answer((response, _)) => (response.status(), response.headers_mut()),
        Outcome::Switching(head, _) => (head.status(), head.headers_mut()),
    };
    let mut facts = exchange.facts(&finish.record.upstream_addr);
    facts.status = Some(status.as_u16());
    rewrite::add_headers(headers, &route.location.add_headers, &facts);
    if finish.log.is_some() {
        finish.record.request_id = exchange.request_id.get().into();
    }
    Ok(outcome)
}

fn refusal(refused: &Refused) -> Answer {
    tracing::info!("refused: {}: {}", refused.status(), refused.reason());
    (refused.response(), None)
}

async fn run(
    exchange: &Exchange<'_>,
    incoming: Option<Incoming>,
    wants_upgrade: bool,
    finish: &mut Finish,
) -> Result<Outcome, Refused> {
    // 5. Who is let in.
    if !exchange.client.is_allowed(&exchange.route.location.access) {
        return Err(Refused::Forbidden);
    }
    if rewrite::has_unknown_expectation(exchange.parts) {
        return Err(Refused::Expectation);
    }
    // 6. What is done.
    match (&exchange.route.location.action, &exchange.route.upstream) {
        (Action::Return { status, text, redirect }, _) => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::OK);
            let facts = exchange.facts("");
            let text = if *redirect { text.expand(&facts) } else { text.expand_text(&facts) };
            Ok(Outcome::Answer((respond::returned(status, text, *redirect), None)))
        }
        (Action::Proxy(proxy), Some(upstream)) => {
            finish.record.upstream = Some(Arc::clone(&upstream.name));
            if wants_upgrade && (proxy.websocket.enabled || proxy.refuse_upgrades) {
                return Ok(match upgrade(exchange, upstream, proxy, finish).await? {
                    Upgraded::Answered(answer) => Outcome::Answer(answer),
                    Upgraded::Switching(response, opening) => Outcome::Switching(response, opening),
                });
            }
            forward(exchange, upstream, proxy, incoming, finish).await.map(Outcome::Answer)
        }
        (Action::Proxy(_) | Action::Nothing, _) => Err(Refused::NotFound),
    }
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
    route: Option<&Route>,
    parts: &Parts,
    client: &Client,
) {
    let field = |name: HeaderName| -> Box<str> {
        let value = parts.headers.get(name).map(HeaderValue::as_bytes).unwrap_or_default();
        String::from_utf8_lossy(value).into()
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let record = &mut finish.record;
    record.at_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    record.remote_addr = client.text().into();
    record.method = parts.method.as_str().into();
    record.request_uri = parts.uri.path_and_query().map_or("/", |target| target.as_str()).into();
    record.protocol = if parts.version == http::Version::HTTP_10 { "HTTP/1.0" } else { "HTTP/1.1" };
    record.host = vars::http_host(parts).into();
    record.server = Arc::clone(&site.label);
    if let Some(route) = route {
        record.location = Arc::clone(&route.name);
    }
    record.referer = field(REFERER);
    record.user_agent = field(USER_AGENT);
    record.traceparent = field(HeaderName::from_static("traceparent"));
    record.config_revision = generation.revision();
}

/// Before a location is known, nobody is believed.
fn no_real_ip() -> crate::config::model::RealIp {
    crate::config::model::RealIp {
        from: Vec::new(),
        header: crate::config::model::RealIpHeader::ProxyProtocol,
        recursive: true,
    }
}

const _: () = assert!(size_of::<guard::Refusal>() <= 24, "a refusal is passed around by value");
