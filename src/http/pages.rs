//! The answer to a request, once the stages have said what it is: pages that stand in for errors, for
//! which the stages begin anew, headers that are added, and the lines of the logs.

use http::header::{ETAG, HeaderName, HeaderValue, LAST_MODIFIED, LOCATION, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, Response, StatusCode};
use hyper::body::Incoming;

use super::body::Body;
use super::certificates;
use super::exchange::Exchange;
use super::finish::Finish;
use super::forward::Answer;
use super::freshness;
use super::generation::Route;
use super::gzip;
use super::pace;
use super::respond::{self, Refused};
use super::rewrite;
use super::script::Stop;
use super::ssi;
use super::state::Cycle;
use super::vars::Facts;
use crate::access_log::{Also, escaping};
use crate::config::model::{LogFormat, LogPath, PageStatus};

use super::stages::{Entry, Outcome, process};

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
    let mut admitted = Some(certificates::admit(exchange));
    let mut outcome = loop {
        let result = match admitted.take() {
            Some(Err(refused)) => Err(refused.into()),
            _ => process(exchange, entry, &mut incoming, wants_upgrade, finish).await,
        };
        let (status, answer) = match result {
            Ok(Outcome::Answer(answer)) if is_intercepted(exchange, &answer) => {
                (answer.0.status(), answer)
            }
            Ok(outcome) => break outcome,
            Err(Stop::Answer(answer)) if !answer.0.status().is_redirection() => {
                break Outcome::Answer(*answer);
            }
            // What is told by itself is not told under the status of an error before it.
            Err(Stop::Answer(mut answer)) => {
                exchange.state.status = None;
                made_here(&mut answer.0, exchange);
                (answer.0.status(), *answer)
            }
            Err(Stop::Refused(refused)) => {
                exchange.state.status = None;
                (refused.page_status(), refusal(exchange, &refused))
            }
            Err(Stop::Close) => return None,
            Err(Stop::GoTo(to)) => match entry_at(exchange, &to) {
                Ok(next) => {
                    entry = next;
                    continue;
                }
                Err(refused) => break Outcome::Answer(refusal(exchange, &refused)),
            },
        };
        if finish.told.asked().is_some() {
            exchange.state.told = Some(Box::new(finish.told.clone()));
            exchange.state.upstream_addr.clone_from(&finish.record.upstream_addr);
        }
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
    if let Outcome::Answer(answer) = outcome {
        outcome = Outcome::Answer(ssi::process(exchange, answer).await);
    }
    if let Outcome::Answer((response, _)) = &mut outcome {
        if let Some(status) = exchange.state.status {
            *response.status_mut() = StatusCode::from_u16(status).unwrap_or(response.status());
        }
        keep(kept, response.status(), response.headers_mut());
    }
    tell(exchange, finish, &mut outcome);
    if let Outcome::Answer((response, _)) = &mut outcome {
        gzip::compress(exchange, response);
        pace::pace(exchange, response);
    }
    log(exchange, finish, &mut outcome);
    Some(outcome)
}

fn head(outcome: &mut Outcome) -> (StatusCode, &mut HeaderMap) {
    match outcome {
        Outcome::Answer((response, _)) => (response.status(), response.headers_mut()),
        Outcome::Switching(head, _) => (head.status(), head.headers_mut()),
    }
}

/// `add_header` and `expires`.
fn tell(exchange: &Exchange<'_>, finish: &Finish, outcome: &mut Outcome) {
    let (status, headers) = head(outcome);
    let facts = Facts { answer: Some(headers), ..answered(exchange, finish, status) };
    // What is refused here may still get a header that is always added.
    let expires = exchange.route.location.expires.as_ref().map(|value| value.expand(&facts));
    let added = rewrite::added_headers(&exchange.route.location.add_headers, &facts);
    for (name, value) in added {
        // There is one of these; an empty one takes it away.
        if matches!(name, ETAG | LAST_MODIFIED) {
            headers.remove(&name);
        }
        if !value.is_empty() {
            headers.append(name, value);
        }
    }
    if let Some(value) = expires {
        freshness::tell(&value, status, headers);
    }
}

/// `access_log`: as much of the lines as is known.
fn log(exchange: &Exchange<'_>, finish: &mut Finish, outcome: &mut Outcome) {
    if finish.log.is_some() {
        let (status, headers) = head(outcome);
        prepare(exchange, finish, status, Some(headers));
    }
}

/// The same where there is no answer, or none that a location has made: a client that went away, a
/// request that is none.
pub(super) fn give_up(exchange: &Exchange<'_>, finish: &mut Finish) {
    if finish.log.is_some()
        && let Ok(status) = StatusCode::from_u16(finish.record.status)
    {
        prepare(exchange, finish, status, None);
    }
}

fn prepare(
    exchange: &Exchange<'_>,
    finish: &mut Finish,
    status: StatusCode,
    headers: Option<&HeaderMap>,
) {
    finish.record.request_id = exchange.request_id.get().into();
    let facts = Facts { answer: headers, ..answered(exchange, finish, status) };
    let mut lines = lines(exchange.route, &facts).into_iter();
    let first = lines.next();
    let also: Vec<_> = lines.collect();
    (finish.log, finish.record.line) = first.map_or((None, None), |(log, line)| (Some(log), line));
    finish.record.also = (!also.is_empty()).then(|| Box::new(also));
}

/// What variables stand for once there is an answer.
fn answered<'f>(exchange: &'f Exchange<'_>, finish: &'f Finish, status: StatusCode) -> Facts<'f> {
    Facts {
        status: Some(status.as_u16()),
        told: Some(&finish.told),
        started: Some(finish.started),
        ..exchange.facts(&finish.record.upstream_addr)
    }
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

/// The logs of a request, and their lines as far as they are known.
fn lines(route: &Route, facts: &Facts<'_>) -> Vec<Also> {
    let mut lines = Vec::new();
    for (config, log) in route.location.access_logs.iter().zip(&route.logs) {
        let condition = config.condition.as_ref().map(|condition| condition.expand(facts));
        if matches!(condition.as_deref(), Some("" | "0")) {
            continue;
        }
        let line = match &config.format {
            LogFormat::Custom(format) => {
                Some(Box::new(format.line.prepare(facts, escaping(format.escape))))
            }
            LogFormat::Combined | LogFormat::Json => None,
        };
        let log = match &config.path {
            LogPath::File(_) => log.clone(),
            LogPath::Told(path, _) => log.at(&path.expand(facts)),
        };
        lines.push((log, line));
    }
    lines
}

/// Gives an error or a redirect that is made here the body and the Location that its location wants.
fn made_here(response: &mut Response<Body>, exchange: &Exchange<'_>) {
    let location = &exchange.route.location;
    respond::as_page(response, location);
    let path = response.headers().get(LOCATION).filter(|value| value.as_bytes().starts_with(b"/"));
    if let Some(path) = path.filter(|_| location.redirects.absolute)
        && let Ok(path) = path.to_str()
    {
        let url = exchange.facts("").url_of(path, location.redirects);
        respond::set(response.headers_mut(), LOCATION, &url);
    }
}

fn refusal(exchange: &Exchange<'_>, refused: &Refused) -> Answer {
    tracing::info!("refused: {}: {}", refused.status(), refused.reason());
    let mut response = refused.response();
    if *refused == Refused::Unauthorized {
        for challenge in &exchange.state.challenge {
            response.headers_mut().append(WWW_AUTHENTICATE, challenge.clone());
        }
    }
    made_here(&mut response, exchange);
    (response, None)
}

/// Whether an upstream's answer may be replaced by a page.
fn is_intercepted(exchange: &Exchange<'_>, (response, _): &Answer) -> bool {
    response.status().as_u16() >= 300
        && exchange.route.proxy().is_some_and(|proxy| proxy.intercept_errors)
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
        let mut response = respond::returned(status, to, true);
        made_here(&mut response, exchange);
        return Some(Page::Answer(Box::new((response, None))));
    }
    let entry = match entry_at(exchange, &to) {
        Ok(entry) => entry,
        Err(refused) => {
            tracing::error!("no page stands in for an error: {to:?} leads nowhere");
            return Some(Page::Answer(Box::new(refusal(exchange, &refused))));
        }
    };
    let head = exchange.parts.method == Method::HEAD;
    let state = &mut exchange.state;
    state.in_error_page = true;
    state.status = match page.status {
        PageStatus::OfError => Some(error.as_u16()),
        PageStatus::OfPage => None,
        PageStatus::Given(code) => Some(code),
    };
    if matches!(entry, Entry::Server) && !head {
        state.method = Some(Method::GET);
    }
    Some(Page::At(entry))
}

/// Sends a request to a path or a location by name, inside of here.
fn entry_at<'a>(exchange: &mut Exchange<'a>, to: &str) -> Result<Entry<'a>, Refused> {
    exchange.state.change().map_err(|Cycle| Refused::Cycle)?;
    exchange.state.internal = true;
    if to.starts_with('@') {
        let nowhere = Refused::Returned(StatusCode::INTERNAL_SERVER_ERROR);
        return exchange.site.named(to).map(Entry::Location).ok_or(nowhere);
    }
    let (path, args) = to.split_once('?').unwrap_or((to, ""));
    path.clone_into(&mut exchange.state.path);
    exchange.state.set_args(args.to_owned());
    exchange.state.rewritten = true;
    Ok(Entry::Server)
}
