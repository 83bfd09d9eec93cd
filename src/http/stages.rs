//! What happens to a request between its head and its answer, in nginx's order: the server's script,
//! the location, the location's script, who is let in, the action; and the pages that stand in for
//! errors, for which it begins anew.

use std::sync::Arc;

use http::header::{HeaderName, HeaderValue, LOCATION, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, Response, StatusCode};
use hyper::body::Incoming;

use super::client::Client;
use super::exchange::Exchange;
use super::finish::Finish;
use super::forward::{Answer, forward};
use super::generation::Route;
use super::path;
use super::respond::{self, Refused};
use super::rewrite;
use super::route::Found;
use super::script::{self, Stop};
use super::state::Cycle;
use super::upgrade::{Opening, Upgraded, upgrade};
use crate::config::model::{Action, LocationPath, PageStatus};

/// What the action of a route gives.
pub(super) enum Outcome {
    Answer(Answer),
    Switching(Response<()>, Box<Opening>),
}

/// Where a request begins.
enum Entry<'a> {
    /// With the server's script.
    Server,
    /// In a location that was named.
    Location(&'a Route),
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<Cycle> for Stop {
    fn from(Cycle: Cycle) -> Self {
        Self::Refused(Refused::Cycle)
    }
}

/// Answers a request; `None` closes its connection.
pub(super) async fn act(
    exchange: &mut Exchange<'_>,
    mut incoming: Option<Incoming>,
    wants_upgrade: bool,
    finish: &mut Finish,
) -> Option<Outcome> {
    let mut entry = Entry::Server;
    // What an answer said that a page stands in for.
    let mut kept = Vec::new();
    let mut outcome = loop {
        let result = process(exchange, entry, &mut incoming, wants_upgrade, finish).await;
        let (status, answer) = match result {
            Ok(Outcome::Answer(answer)) if is_intercepted(exchange, &answer) => {
                (answer.0.status(), answer)
            }
            Ok(outcome) => break outcome,
            Err(Stop::Answer(answer)) if !answer.0.status().is_redirection() => {
                break Outcome::Answer(*answer);
            }
            // What is told by itself is not told under the status of an error before it.
            Err(Stop::Answer(answer)) => {
                exchange.state.status = None;
                (answer.0.status(), *answer)
            }
            Err(Stop::Refused(refused)) => {
                exchange.state.status = None;
                (refused.status(), refusal(&refused))
            }
            Err(Stop::Close) => return None,
        };
        match page(exchange, status) {
            None => break Outcome::Answer(answer),
            Some(Page::At(next)) => {
                kept = kept_of(answer.0.headers());
                if exchange.state.method.is_some() {
                    incoming = None;
                }
                entry = next;
            }
            Some(Page::Answer(answer)) => break Outcome::Answer(*answer),
        }
    };
    let (status, headers) = match &mut outcome {
        Outcome::Answer((response, _)) => {
            if let Some(status) = exchange.state.status {
                *response.status_mut() = StatusCode::from_u16(status).unwrap_or(response.status());
            }
            let (status, headers) = (response.status(), response.headers_mut());
            keep(kept, status, headers);
            (status, headers)
        }
        Outcome::Switching(head, _) => (head.status(), head.headers_mut()),
    };
    let mut facts = exchange.facts(&finish.record.upstream_addr);
    facts.status = Some(status.as_u16());
    // What is refused here may still get a header that is always added.
    rewrite::add_headers(headers, &exchange.route.location.add_headers, &facts);
    if finish.log.is_some() {
        finish.record.request_id = exchange.request_id.get().into();
    }
    Some(outcome)
}

/// Where a redirect leads, and how a client is asked who it is.
fn kept_of(headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let values = |name: HeaderName| {
        headers.get_all(&name).into_iter().cloned().map(|value| (name.clone(), value)).collect()
    };
    let kept: [Vec<_>; 2] = [LOCATION, WWW_AUTHENTICATE].map(values);
    kept.concat()
}

/// Adds what the page that stands in does not say itself.
fn keep(kept: Vec<(HeaderName, HeaderValue)>, status: StatusCode, headers: &mut HeaderMap) {
    let redirects = status.is_redirection() && !headers.contains_key(LOCATION);
    let asks = status == StatusCode::UNAUTHORIZED && !headers.contains_key(WWW_AUTHENTICATE);
    for (name, value) in kept {
        if name == LOCATION && redirects || name == WWW_AUTHENTICATE && asks {
            headers.append(name, value);
        }
    }
}

fn refusal(refused: &Refused) -> Answer {
    tracing::info!("refused: {}: {}", refused.status(), refused.reason());
    (refused.response(), None)
}

/// Whether an upstream's answer may be replaced by a page.
fn is_intercepted(exchange: &Exchange<'_>, (response, _): &Answer) -> bool {
    response.status().as_u16() >= 300
        && exchange.route.proxy().is_some_and(|proxy| proxy.intercept_errors)
}

/// Sends a request through the stages.
async fn process<'a>(
    exchange: &mut Exchange<'a>,
    entry: Entry<'a>,
    incoming: &mut Option<Incoming>,
    wants_upgrade: bool,
    finish: &mut Finish,
) -> Result<Outcome, Stop> {
    if !exchange.state.rewritten {
        let path = path::normalise(exchange.parts.uri.path());
        exchange.state.path = path.ok_or(Refused::BadPath)?;
    }
    let site = exchange.site;
    let mut named = match entry {
        Entry::Location(route) => Some(route),
        Entry::Server => {
            script::run(exchange, &site.model.own.script)?;
            None
        }
    };
    loop {
        let (route, found) = match named.take() {
            Some(route) => (route, Found::new(0, exchange.state.path.len())),
            None => site.route(&exchange.state.path).ok_or(Refused::NotFound)?,
        };
        enter(exchange, route, found, finish);
        if found.lacks_slash() {
            return Err(with_slash(exchange));
        }
        if route.location.internal && !exchange.state.internal {
            return Err(Refused::NotFound.into());
        }
        let ran = script::run(exchange, &route.location.script)?;
        if !ran.changed {
            if let Some(branch) = ran.branch {
                enter(exchange, site.branch(route, branch), found, finish);
            }
            break;
        }
        exchange.state.change()?;
    }
    run(exchange, incoming, wants_upgrade, finish).await
}

/// Sends the client to the path with a slash at its end, as nginx does for what is proxied.
fn with_slash(exchange: &Exchange<'_>) -> Stop {
    let args = exchange.state.args(exchange.parts).map(|args| format!("?{args}"));
    let path = path::encode(&exchange.state.path);
    let location = format!("{path}/{}", args.unwrap_or_default());
    let response = respond::returned(StatusCode::MOVED_PERMANENTLY, location, true);
    Stop::Answer(Box::new((response, None)))
}

/// What holds from here on is the route's.
fn enter<'a>(exchange: &mut Exchange<'a>, route: &'a Route, found: Found, finish: &mut Finish) {
    let before = &exchange.route.location.real_ip;
    if route.location.real_ip != *before {
        let (connection, headers) = (exchange.connection, &exchange.parts.headers);
        exchange.client = Client::of(connection, headers, &route.location.real_ip);
        finish.record.remote_addr = exchange.client.text().into();
    }
    exchange.route = route;
    exchange.found = found;
    finish.log.clone_from(&route.log);
    finish.record.location = Arc::clone(&route.name);
    if let LocationPath::Regex(pattern) = &route.location.path
        && pattern.captures()
    {
        exchange.state.path_fits(pattern);
    }
}

/// Who is let in, and what is done.
async fn run(
    exchange: &mut Exchange<'_>,
    incoming: &mut Option<Incoming>,
    wants_upgrade: bool,
    finish: &mut Finish,
) -> Result<Outcome, Stop> {
    let route = exchange.route;
    if !exchange.client.is_allowed(&route.location.access) {
        return Err(Refused::Forbidden.into());
    }
    if rewrite::has_unknown_expectation(exchange.parts) {
        return Err(Refused::Expectation.into());
    }
    match (&route.location.action, &route.upstream) {
        (Action::Return(returned), _) => Err(script::returned(exchange, returned)),
        (Action::Proxy(proxy), Some(upstream)) => {
            finish.record.upstream = Some(Arc::clone(&upstream.name));
            if wants_upgrade && (proxy.websocket.enabled || proxy.refuse_upgrades) {
                return Ok(match upgrade(exchange, upstream, proxy, finish).await? {
                    Upgraded::Answered(answer) => Outcome::Answer(answer),
                    Upgraded::Switching(response, opening) => Outcome::Switching(response, opening),
                });
            }
            if exchange.state.body_is_gone && exchange.state.method.is_none() {
                // It went to a peer that failed, and is not there to be sent again.
                return Err(Refused::BadGateway.into());
            }
            let body = incoming.take();
            exchange.state.body_is_gone |= body.as_ref().is_some_and(has_bytes);
            Ok(Outcome::Answer(forward(exchange, upstream, proxy, body, finish).await?))
        }
        (Action::Proxy(_) | Action::Nothing, _) => Err(Refused::NotFound.into()),
    }
}

fn has_bytes(body: &Incoming) -> bool {
    !http_body::Body::is_end_stream(body)
}

/// What stands in for an error.
enum Page<'a> {
    /// What is found from there on.
    At(Entry<'a>),
    /// This answer.
    Answer(Box<Answer>),
}

/// `error_page`: where the request goes on; `None` when the error has no page.
fn page<'a>(exchange: &mut Exchange<'a>, error: StatusCode) -> Option<Page<'a>> {
    let location = &exchange.route.location;
    if exchange.state.in_error_page && !location.recursive_error_pages {
        return None;
    }
    let page = location.error_pages.iter().find(|page| page.codes.contains(&error.as_u16()))?;
    let to = page.to.expand(&exchange.facts(""));
    if !to.starts_with(['/', '@']) {
        let status = match page.status {
            PageStatus::Given(code @ (301 | 302 | 303 | 307 | 308)) => code,
            _ => 302,
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::FOUND);
        return Some(Page::Answer(Box::new((respond::returned(status, to, true), None))));
    }
    let site = exchange.site;
    let state = &mut exchange.state;
    state.in_error_page = true;
    state.internal = true;
    let named = to.starts_with('@').then(|| site.named(&to));
    if state.change().is_err() || named.is_some_and(|route| route.is_none()) {
        tracing::error!("no page stands in for an error: {to:?} leads nowhere");
        let error = Refused::Returned(StatusCode::INTERNAL_SERVER_ERROR);
        return Some(Page::Answer(Box::new(refusal(&error))));
    }
    state.status = match page.status {
        PageStatus::OfError => Some(error.as_u16()),
        PageStatus::OfPage => None,
        PageStatus::Given(code) => Some(code),
    };
    Some(Page::At(match named.flatten() {
        Some(route) => Entry::Location(route),
        None => {
            let (path, args) = to.split_once('?').unwrap_or((&to, ""));
            path.clone_into(&mut state.path);
            state.set_args(args.to_owned());
            state.rewritten = true;
            if exchange.parts.method != Method::HEAD {
                state.method = Some(Method::GET);
            }
            Entry::Server
        }
    }))
}
