//! What happens to a request between its head and its answer, in nginx's order: the server's script,
//! the location, the location's script, who is let in, the action.

use std::sync::Arc;

use http::{Method, Response, StatusCode};
use hyper::body::Incoming;

use super::auth;
use super::client::Client;
use super::dynamic::{self, Url};
use super::exchange::Exchange;
use super::files;
use super::finish::Finish;
use super::forward::{Answer, forward};
use super::generation::{Route, RouteUpstream};
use super::limiting;
use super::path;
use super::redirects;
use super::respond::{self, Refused};
use super::rewrite;
use super::route::Found;
use super::script::{self, Stop};
use super::state::Cycle;
use super::upgrade::{Opening, Upgraded, upgrade};
use crate::config::model::{Action, LocationPath, Proxy};

/// What the action of a route gives.
pub(super) enum Outcome {
    Answer(Answer),
    Switching(Response<()>, Box<Opening>),
}

/// Where a request begins.
pub(super) enum Entry<'a> {
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

/// Sends a request through the stages.
pub(super) async fn process<'a>(
    exchange: &mut Exchange<'a>,
    entry: Entry<'a>,
    incoming: &mut Option<Incoming>,
    wants_upgrade: bool,
    finish: &mut Finish,
) -> Result<Outcome, Stop> {
    if !exchange.state.rewritten {
        let merge = exchange.site.model.merge_slashes;
        let path = path::normalise(exchange.parts.uri.path(), merge);
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
            None => match site.route(&exchange.state.path) {
                Some(found) => found,
                None if matches!(site.model.own.action, Action::Files) => {
                    (site.own(), Found::new(0, 0))
                }
                None => return Err(Refused::NotFound.into()),
            },
        };
        enter(exchange, route, found, finish);
        if found.lacks_slash() {
            return Err(files::with_slash(exchange));
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

/// What holds from here on is the route's.
fn enter<'a>(exchange: &mut Exchange<'a>, route: &'a Route, found: Found, finish: &mut Finish) {
    let before = &exchange.route.location.real_ip;
    let is_found = exchange.client.addr != exchange.connection.socket;
    if route.location.real_ip != *before && !is_found {
        let (connection, headers) = (exchange.connection, &exchange.parts.headers);
        exchange.client = Client::of(connection, headers, &route.location.real_ip);
        finish.record.remote_addr = exchange.client.text().into();
    }
    exchange.route = route;
    exchange.found = found;
    finish.log = route.logs.first().cloned();
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
    limiting::admit(exchange, finish).await?;
    if auth::asks(route) {
        // apart, as few requests need it: the rest of this stays small
        Box::pin(auth::admit(exchange)).await?;
    } else {
        auth::admit_address(exchange)?;
    }
    if let Some(tries) = &route.location.try_files {
        let path = files::try_files(exchange, route.location.files.as_ref(), tries).await?;
        exchange.state.rewritten |= path != exchange.state.path;
        exchange.state.path = path;
    }
    if rewrite::has_unknown_expectation(exchange.parts) {
        return Err(Refused::Expectation.into());
    }
    match (&route.location.action, &route.upstream) {
        (Action::Return(returned), _) => Err(script::returned(exchange, returned)),
        (Action::Proxy(proxy), Some(upstream)) => {
            pass(exchange, upstream, proxy, incoming, wants_upgrade, finish).await
        }
        (Action::Proxy(proxy), None) => {
            let (Some(targets), Some(target)) = (&route.targets, &proxy.target) else {
                return Err(Refused::NotFound.into());
            };
            let url = target.expand(&exchange.facts(""));
            let Some(Url { authority, uri }) = dynamic::parse(&url) else {
                tracing::error!("invalid URL in \"proxy_pass\": {url:?}");
                return Err(Refused::Returned(StatusCode::INTERNAL_SERVER_ERROR).into());
            };
            let upstream = targets.find(authority, proxy).await?;
            let host = if authority.starts_with("unix:") { "localhost" } else { authority };
            exchange.state.proxy_host = Some(host.to_owned());
            let proxy = Proxy {
                uri: uri.map(str::to_owned),
                whole_uri: uri.is_some(),
                ..(**proxy).clone()
            };
            pass(exchange, &upstream, &proxy, incoming, wants_upgrade, finish).await
        }
        (Action::Files, _) => match &route.location.files {
            Some(files) => Ok(Outcome::Answer(files::serve(exchange, files).await?)),
            None => Err(Refused::NotFound.into()),
        },
        (Action::Status, _) => Ok(Outcome::Answer(status(exchange)?)),
        (Action::Nothing, _) => Err(Refused::NotFound.into()),
    }
}

/// How many connections and requests there are.
fn status(exchange: &Exchange<'_>) -> Result<Answer, Refused> {
    if !matches!(*exchange.method(), Method::GET | Method::HEAD) {
        return Err(Refused::Returned(StatusCode::METHOD_NOT_ALLOWED));
    }
    let totals = exchange.shared.metrics.totals();
    Ok((respond::text(StatusCode::OK, totals.to_string()), None))
}

/// Passes a request on to an upstream.
async fn pass(
    exchange: &mut Exchange<'_>,
    upstream: &RouteUpstream,
    proxy: &Proxy,
    incoming: &mut Option<Incoming>,
    wants_upgrade: bool,
    finish: &mut Finish,
) -> Result<Outcome, Stop> {
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
    // Apart: what an opening moves about stays small.
    let mut answer = Box::pin(forward(exchange, upstream, proxy, body, finish)).await?;
    redirects::rewrite(exchange, proxy, answer.0.headers_mut());
    Ok(Outcome::Answer(answer))
}

fn has_bytes(body: &Incoming) -> bool {
    !http_body::Body::is_end_stream(body)
}
