//! A WebSocket's opening: the handshake with the client is passed on to a peer, its answer passed
//! back; after the 101 both sockets go to the relay.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use http::Response;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderValue, SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use hyper::upgrade::{OnUpgrade, Parts as UpgradedParts};
use hyper_util::rt::TokioIo;

use super::answer;
use super::attempt::{Attempts, Failure};
use super::conn::Place;
use super::exchange::Exchange;
use super::finish::Finish;
use super::forward::{Answer, finish_head};
use super::generation::RouteUpstream;
use super::guard::Guard;
use super::head::Spelling;
use super::respond::Refused;
use super::rewrite;
use super::switching::{Asked, Switched, ask_to_switch};
use crate::access_log::WsRecord;
use crate::config::model::{Policy, Proxy};
use crate::metrics::{TunnelSeries, UpgradeResult};
use crate::net::{Conn, Parts};
use crate::relay::{Engine, Keep, Leg, NewTunnel, RouteKey};
use crate::upstream::Lease;
use crate::ws::handshake::{self, Accept, BadRequest};
use crate::ws::rules::Extensions;

/// What came of an upgrade request that was passed on.
pub(super) enum Upgraded {
    /// The peer answered without switching: its answer goes through whole.
    Answered(Answer),
    /// A tunnel: what the client is told, and what is to be done then.
    Switching(Response<()>, Box<Opening>),
}

/// A tunnel that opens as soon as the client has its 101.
pub(super) struct Opening {
    /// How the peer spelt the fields of its 101.
    pub(super) spelling: Spelling,
    upstream: Conn,
    /// What the peer has sent behind its 101.
    behind: BytesMut,
    lease: Lease,
    extensions: Extensions,
    policy: Arc<Policy>,
    route: RouteKey,
    series: Arc<TunnelSeries>,
    engine: Arc<Engine>,
}

/// Passes the handshake on.
pub(super) async fn upgrade(
    exchange: &Exchange<'_>,
    upstream: &RouteUpstream,
    proxy: &Proxy,
    finish: &mut Finish,
) -> Result<Upgraded, Refused> {
    let result = pass_on(exchange, upstream, proxy, finish).await;
    let took = finish.started.elapsed();
    upstream.tunnels.upgrade(match &result {
        Ok(Upgraded::Switching(..)) => {
            upstream.tunnels.handshake(took);
            UpgradeResult::Accepted
        }
        Ok(Upgraded::Answered(_)) => UpgradeResult::Refused,
        Err(Refused::Handshake(BadRequest::Origin)) => UpgradeResult::Origin,
        Err(Refused::Handshake(_) | Refused::NoWebSocket) => UpgradeResult::BadRequest,
        Err(Refused::NoPeer) => UpgradeResult::NoPeer,
        Err(Refused::GatewayTimeout) => UpgradeResult::Timeout,
        Err(Refused::Exhausted) => UpgradeResult::Limit,
        Err(_) => UpgradeResult::UpstreamError,
    });
    result
}

async fn pass_on(
    exchange: &Exchange<'_>,
    upstream: &RouteUpstream,
    proxy: &Proxy,
    finish: &mut Finish,
) -> Result<Upgraded, Refused> {
    let config = &proxy.websocket;
    if !config.enabled {
        return Err(Refused::NoWebSocket);
    }
    let parts = exchange.parts;
    // Another protocol's opening is its own affair.
    let accept = handshake::is_upgrade(&parts.headers)
        .then(|| handshake::check_request(&parts.method, parts.version, &parts.headers, config))
        .transpose()
        .map_err(Refused::Handshake)?;
    let names = exchange.site.model.field_names;
    let head = rewrite::opening_head(
        &exchange.facts(""),
        proxy,
        exchange.found,
        names,
        exchange.spelling,
        &protocol(&parts.headers, accept.is_some()),
    );
    let mut attempts = Attempts::new(upstream, proxy, exchange);
    let mut last = Refused::NoPeer;
    while let Some(lease) = attempts.next(finish) {
        let result = try_peer(exchange, upstream, proxy, &head, accept.as_ref(), &lease, finish);
        let failure = match result.await {
            Ok(asked) => {
                finish.told.answered(asked.status(), asked.refusal());
                let failed = Failure::Status(asked.status().as_u16());
                if !attempts.may_go_on(&failed, &parts.method, true) {
                    lease.succeeded();
                    let websocket = accept.is_some();
                    return Ok(conclude(
                        exchange, upstream, proxy, asked, websocket, lease, finish,
                    ));
                }
                failed
            }
            Err(failure) => {
                finish.told.failed(failure.refused().status());
                failure
            }
        };
        if failure.is_of_peer() {
            lease.failed();
        }
        exchange.complain(&lease, &failure);
        last = failure.refused();
        if !attempts.may_go_on(&failure, &parts.method, true) {
            break;
        }
    }
    Err(last)
}

/// One peer's answer: a proper 101, or anything else than a 101.
async fn try_peer(
    exchange: &Exchange<'_>,
    upstream: &RouteUpstream,
    proxy: &Proxy,
    head: &[u8],
    accept: Option<&Accept>,
    lease: &Lease,
    finish: &mut Finish,
) -> Result<Asked, Failure> {
    let asked = ask_to_switch(exchange, upstream, proxy, head, lease, finish).await?;
    match &asked {
        Asked::Switching(switched) => {
            let (request, answer) = (&exchange.parts.headers, switched.head.headers());
            let verify = proxy.websocket.verify_accept;
            let checked = match accept {
                Some(accept) => handshake::check_response(request, answer, accept, verify),
                None => handshake::check_other(request, answer),
            };
            checked.map_err(|bad| Failure::Invalid(format!("a 101, but {}", bad.as_str())))?;
        }
        Asked::Answered(response) => {
            answer::check(response).map_err(|why| Failure::Invalid(why.to_owned()))?;
        }
    }
    Ok(asked)
}

/// The value of `Upgrade` that is passed on.
fn protocol(headers: &HeaderMap, websocket: bool) -> HeaderValue {
    let other = headers.get(UPGRADE).filter(|_| !websocket);
    other.cloned().unwrap_or(HeaderValue::from_static("websocket"))
}

fn conclude(
    exchange: &Exchange<'_>,
    upstream: &RouteUpstream,
    proxy: &Proxy,
    asked: Asked,
    websocket: bool,
    lease: Lease,
    finish: &mut Finish,
) -> Upgraded {
    let Switched { head: mut answer, spelling, conn, behind } = match asked {
        Asked::Switching(switched) => *switched,
        Asked::Answered(response) => {
            finish.keep(lease);
            return Upgraded::Answered(finish_head(response, proxy, None));
        }
    };
    let field = |name| {
        let value = answer.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        Box::from(value.unwrap_or_default())
    };
    finish.record.ws = Some(Box::new(WsRecord {
        subprotocol: field(SEC_WEBSOCKET_PROTOCOL),
        extensions: field(SEC_WEBSOCKET_EXTENSIONS),
        handshake_time: finish.started.elapsed(),
    }));
    let extensions = if websocket {
        handshake::agreed_extensions(answer.headers())
    } else {
        Extensions::NoFrames
    };
    let protocol = protocol(answer.headers(), websocket);
    rewrite::response_head(answer.headers_mut(), proxy);
    // What follows a 101 is no body (RFC 9112 §6.3).
    answer.headers_mut().remove(CONTENT_LENGTH);
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    answer.headers_mut().insert(UPGRADE, protocol);
    let opening = Opening {
        spelling,
        upstream: conn,
        behind,
        lease,
        extensions,
        policy: Arc::clone(&proxy.websocket.policy),
        route: Arc::clone(&upstream.key),
        series: Arc::clone(&upstream.tunnels),
        engine: Arc::clone(&exchange.shared.engine),
    };
    Upgraded::Switching(answer, Box::new(opening))
}

impl Opening {
    /// Waits until hyper has sent the 101 and gives up the client's socket. A client that went away
    /// before its 101 leaves a request that was not answered.
    pub(super) async fn open(self: Box<Self>, client: OnUpgrade, place: Place, finish: Finish) {
        // The 101 is written at once or never: the clock of writing bounds it, this the rest.
        let Ok(Ok(client)) = tokio::time::timeout(Duration::from_secs(60), client).await else {
            return;
        };
        if let Ok(UpgradedParts { io, read_buf, .. }) = client.downcast::<TokioIo<Guard>>() {
            let (conn, behind) = io.into_inner().into_parts();
            self.carry(conn, &[&read_buf, &behind], place, finish);
        }
    }

    /// Gives both sockets to the relay: the client has its 101, and has sent `behind` since its
    /// request.
    pub(super) fn carry(
        self: Box<Self>,
        client: Conn,
        behind: &[&[u8]],
        place: Place,
        finish: Finish,
    ) {
        let client = leg(client, behind);
        let Self { upstream, behind, lease, extensions, policy, route, series, engine, .. } = *self;
        let Some((client, upstream)) = client.zip(leg(upstream, &[&behind])) else {
            tracing::error!("a tunnel's sockets cannot be taken over");
            return;
        };
        let mut finish = finish;
        let places = std::mem::take(&mut finish.taken).into_boxed_slice();
        let line = finish.pass_on();
        if let Some((log, record)) = &line {
            log.tunnel_opened(record);
        }
        let Place { permit, active } = place;
        let keep = Keep { line, lease, permit, places, connection: active };
        engine.adopt(NewTunnel {
            client,
            upstream,
            extensions,
            policy,
            route,
            series,
            keep: Box::new(keep),
        });
    }
}

/// A connection and what was read from it behind the handshake, in its order.
fn leg(conn: Conn, read: &[&[u8]]) -> Option<Leg> {
    let Parts { fd, seat, tls, early, unsent } = conn.into_parts().ok()?;
    Some(Leg { fd, seat, tls, early: [&read.concat()[..], &early].concat(), unsent })
}
