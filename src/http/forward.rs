//! Plain HTTP to an upstream: a page, its assets, long polling, uploads and downloads, streamed in
//! both directions.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderMap};
use http::{Request, Response, StatusCode, Uri};
use http_body::{Body as _, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::answer;
use super::attempt::{Attempts, Failure, ask, reach, speak};
use super::body::{Body, BodyFate, empty, full};
use super::exchange::Exchange;
use super::finish::Finish;
use super::generation::RouteUpstream;
use super::head_room::HeadRoom;
use super::request_body::RequestBody;
use super::respond::Refused;
use super::rewrite;
use crate::config::model::Proxy;
use crate::upstream::{ConnectError, Lease};

/// An answer, and how long its body may pause.
pub(super) type Answer = (Response<Body>, Option<Duration>);

/// Passes a request on, and gives back the answer. There is no body where hyper has not read the
/// request.
pub(super) async fn forward(
    exchange: &mut Exchange<'_>,
    upstream: &RouteUpstream,
    proxy: &Proxy,
    incoming: Option<Incoming>,
    finish: &mut Finish,
) -> Result<Answer, Refused> {
    let max = exchange.route.location.client_max_body_size;
    let announced =
        exchange.parts.headers.get(CONTENT_LENGTH).and_then(|n| n.to_str().ok()?.parse().ok());
    if max.is_some_and(|max| announced.is_some_and(|length: u64| length > max)) {
        return Err(Refused::BodyTooLarge);
    }
    let fate = BodyFate::new();
    let incoming = incoming.filter(|body| !body.is_end_stream());
    let mut kept = None;
    let mut request_body = incoming.map(|body| RequestBody::new(body, max, Arc::clone(&fate)));
    if exchange.site.asks_body
        && let Some(body) = &mut request_body
    {
        let max = exchange.route.location.client_body_buffer_size;
        let read = if proxy.request_buffering {
            body.hold(max).await.map(|held| exchange.state.body = held)
        } else {
            kept = Some(body.keep(max));
            body.read_ahead(max).await
        };
        match read {
            Ok(()) => {}
            Err(_) if fate.is_too_large() => return Err(Refused::BodyTooLarge),
            Err(_) => return Err(Refused::BodyBroken(exchange.refusal())),
        }
    }
    let result = ask_peers(exchange, upstream, proxy, request_body, &fate, finish).await;
    if let Some(kept) = kept {
        exchange.state.body = kept.whole();
    }
    result
}

async fn ask_peers(
    exchange: &Exchange<'_>,
    upstream: &RouteUpstream,
    proxy: &Proxy,
    request_body: Option<RequestBody>,
    fate: &Arc<BodyFate>,
    finish: &mut Finish,
) -> Result<Answer, Refused> {
    let no_body = request_body.is_none();
    // What is held can be sent again, and nothing even more so.
    let again = || match &exchange.state.body {
        Some(held) => Some(full(held.clone())),
        None => no_body.then(empty),
    };
    let without_body = no_body || exchange.state.body.is_some();
    let mut body = again().or_else(|| request_body.map(BodyExt::boxed_unsync));
    let names = exchange.site.model.field_names;
    let (uri, headers) = rewrite::request_head(&exchange.facts(""), proxy, exchange.found, names);
    let mut attempts = Attempts::new(upstream, proxy, exchange);
    let mut last = Refused::NoPeer;
    while let Some(lease) = attempts.next(finish) {
        let Some(body_now) = body.take().or_else(again) else {
            break;
        };
        let head = (&uri, &headers);
        let result =
            try_peer(exchange, upstream, proxy, head, body_now, &lease, fate, finish).await;
        let (failure, unsent_body) = match result {
            Ok(response) => {
                finish.told.answered(response.status(), Some(response.headers()));
                let failed = Failure::Status(response.status().as_u16());
                let method = exchange.method();
                if !attempts.may_go_on(&failed, method, without_body) {
                    lease.succeeded();
                    finish.keep(lease);
                    return Ok(finish_head(response, proxy, finish.told.traffic()));
                }
                (failed, None)
            }
            Err(failed) => {
                finish.told.failed(failed.0.refused().status());
                failed
            }
        };
        if fate.is_too_large() {
            return Err(Refused::BodyTooLarge);
        }
        if fate.is_broken() {
            return Err(Refused::BodyBroken(exchange.refusal()));
        }
        if failure.is_of_peer() {
            lease.failed();
        }
        exchange.complain(&lease, &failure);
        last = failure.refused();
        body = unsent_body;
        let repeatable = without_body || body.is_some();
        if !attempts.may_go_on(&failure, exchange.method(), repeatable) {
            break;
        }
    }
    Err(last)
}

#[expect(clippy::too_many_arguments, reason = "one turn of the loop above, apart to be readable")]
async fn try_peer(
    exchange: &Exchange<'_>,
    upstream: &RouteUpstream,
    proxy: &Proxy,
    (uri, headers): (&Uri, &HeaderMap),
    body: Body,
    lease: &Lease,
    fate: &Arc<BodyFate>,
    finish: &mut Finish,
) -> Result<Response<Incoming>, (Failure, Option<Body>)> {
    let keepalive = upstream.upstream.keepalive();
    let without_body = body.is_end_stream();
    let key = (lease.peer(), upstream.pool_key);
    let mut request = exchange.request(uri, headers, body);
    // A kept connection may have been closed meanwhile: a request that did not leave goes on a new
    // one, and that is nobody's failure.
    if let Some(mut idle) = exchange.shared.pool.take(key, keepalive) {
        finish.told.on(&idle.peer.head_room);
        match ask(&mut idle.peer, request, proxy.read_timeout, fate).await {
            Ok(response) => {
                let response = checked(response)?;
                exchange.shared.pool.keep(key, idle.peer, idle.requests + 1, keepalive);
                return Ok(response);
            }
            Err((Failure::Unsent, Some(unsent))) => request = unsent,
            Err((Failure::Broken(_), _)) if without_body && exchange.method().is_idempotent() => {
                request = exchange.request(uri, headers, empty());
            }
            Err((failure, _)) => return Err((failure, None)),
        }
    }
    let opened = async {
        let (conn, head_room) = reach(lease, upstream, proxy.send_timeout, finish).await?;
        // hyper's connections live on the runtime.
        let conn = conn.into_runtime().await;
        let conn = conn.map_err(|e| Failure::Connect(ConnectError::Refused(e)))?;
        speak(conn, head_room).await
    };
    let mut peer = match opened.await {
        Ok(peer) => peer,
        Err(failure) => return Err((failure, Some(request.into_body()))),
    };
    finish.told.on(&peer.head_room);
    match ask(&mut peer, request, proxy.read_timeout, fate).await {
        Ok(response) => {
            let response = checked(response)?;
            exchange.shared.pool.keep(key, peer, 1, keepalive);
            Ok(response)
        }
        Err((failure, unsent)) => Err((failure, unsent.map(Request::into_body))),
    }
}

/// Nobody asked for another protocol, and where the answer ends must be plain. A connection that
/// gave another answer is not kept.
fn checked(response: Response<Incoming>) -> Result<Response<Incoming>, (Failure, Option<Body>)> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err((Failure::Invalid("a 101 that nobody asked for".to_owned()), None));
    }
    if let Err(why) = answer::check(&response) {
        return Err((Failure::Invalid(why.to_owned()), None));
    }
    Ok(response)
}

/// The head of an answer on its way to the client; the bytes of its body are counted.
pub(super) fn finish_head(
    response: Response<Incoming>,
    proxy: &Proxy,
    traffic: Option<HeadRoom>,
) -> Answer {
    let count = move |frame: Frame<Bytes>| {
        if let (Some(traffic), Some(data)) = (&traffic, frame.data_ref()) {
            traffic.body(data.len());
        }
        frame
    };
    let mut response =
        response.map(|body| body.map_frame(count).map_err(Into::into).boxed_unsync());
    rewrite::response_head(response.headers_mut(), proxy);
    (response, Some(proxy.read_timeout))
}
