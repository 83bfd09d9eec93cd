//! Asking peers, one after the other, while nothing is lost by it (nginx's `proxy_next_upstream`).

use std::error::Error as _;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::body::{Body, BodyFate};
use super::clocked::Clocked;
use super::exchange::Exchange;
use super::finish::Finish;
use super::generation::RouteUpstream;
use super::head_room::HeadRoom;
use super::respond::Refused;
use crate::config::model::{NextUpstream, Proxy};
use crate::upstream::{ConnectError, Lease, connect};

/// The most fields of an answer's head.
const MAX_FIELDS: usize = 256;

/// The peers asked for one request.
pub(super) struct Attempts<'a> {
    upstream: &'a RouteUpstream,
    rules: &'a NextUpstream,
    tried: Vec<usize>,
    addrs: String,
    /// What picks a peer, where a hash does.
    key: Vec<u8>,
    started: Instant,
}

impl<'a> Attempts<'a> {
    pub(super) fn new(
        upstream: &'a RouteUpstream,
        proxy: &'a Proxy,
        exchange: &Exchange<'_>,
    ) -> Self {
        let key = upstream.upstream.key(&exchange.facts(""), exchange.client.addr.ip());
        Self {
            key,
            upstream,
            rules: &proxy.next_upstream,
            tried: Vec::new(),
            addrs: String::new(),
            started: Instant::now(),
        }
    }

    /// The next peer; `None` when there is none left, or no try.
    pub(super) fn next(&mut self, finish: &mut Finish) -> Option<Lease> {
        let tries = self.tried.len();
        let out_of_tries = self.rules.tries > 0 && tries >= self.rules.tries as usize;
        let limit = self.rules.timeout_total;
        let out_of_time = tries > 0 && !limit.is_zero() && self.started.elapsed() >= limit;
        if out_of_tries || out_of_time {
            return None;
        }
        let lease = self.upstream.upstream.pick(&self.tried, &self.key);
        if tries > 0 && lease.is_some() {
            self.upstream.upstream.series().retried();
        }
        let Some(lease) = lease else {
            self.nobody(finish);
            return None;
        };
        self.separate();
        self.addrs.push_str(lease.addr());
        self.tried.push(lease.place());
        finish.record.upstream_addr = self.addrs.as_str().into();
        finish.record.upstream_tries = self.tried.len() as u32;
        finish.told.ask();
        Some(lease)
    }

    /// No peer may be asked, though not all have been: the upstream's name stands for that, as in nginx.
    fn nobody(&mut self, finish: &mut Finish) {
        if self.tried.is_empty() || self.upstream.upstream.has_other(&self.tried) {
            self.separate();
            self.addrs.push_str(self.upstream.upstream.name());
            finish.record.upstream_addr = self.addrs.as_str().into();
            finish.told.ask();
            finish.told.failed(Refused::NoPeer.status());
            tracing::error!("no live upstreams: \"{}\"", self.upstream.upstream.name());
        }
    }

    fn separate(&mut self) {
        if !self.addrs.is_empty() {
            self.addrs.push_str(", ");
        }
    }

    fn is_any_left(&self) -> bool {
        let tries = self.tried.len();
        let limit = self.rules.timeout_total;
        (self.rules.tries == 0 || tries < self.rules.tries as usize)
            && (limit.is_zero() || self.started.elapsed() < limit)
            && self.upstream.upstream.has_other(&self.tried)
    }

    /// Whether this failure may be another peer's success. `repeatable` says that the request can be
    /// sent again: nothing of its body has gone.
    pub(super) fn may_go_on(&self, failure: &Failure, method: &Method, repeatable: bool) -> bool {
        let unsent = matches!(failure, Failure::Connect(_) | Failure::Unsent);
        let rule = match failure {
            // No other peer would do.
            _ if failure.is_ours() => false,
            Failure::Connect(ConnectError::Timeout) | Failure::Timeout => self.rules.timeout,
            Failure::Connect(_) | Failure::Unsent | Failure::Broken(_) => self.rules.error,
            Failure::Invalid(_) => self.rules.invalid_header,
            // What the last peer says is the answer.
            Failure::Status(status) => self.rules.statuses.contains(status) && self.is_any_left(),
        };
        let idempotent = method.is_idempotent() || self.rules.non_idempotent;
        rule && (unsent || (repeatable && idempotent))
    }
}

/// Why a peer did not do.
#[derive(Debug)]
pub(super) enum Failure {
    /// It could not be reached.
    Connect(ConnectError),
    /// The connection was gone before the request was on it.
    Unsent,
    /// The connection broke before an answer.
    Broken(hyper::Error),
    /// No answer in time.
    Timeout,
    /// The answer was malformed, or not what was asked for.
    Invalid(String),
    /// It answered with a status that counts as a failure.
    Status(u16),
}

impl Failure {
    /// Whether it says nothing about the peer.
    pub(super) const fn is_ours(&self) -> bool {
        matches!(self, Self::Connect(ConnectError::NoDescriptor(_)))
    }

    /// Whether the peer is the worse for it: it has answered a 403 or 404 as it should.
    pub(super) const fn is_of_peer(&self) -> bool {
        !self.is_ours() && !matches!(self, Self::Status(403 | 404))
    }

    /// What it becomes when nobody else is asked.
    pub(super) const fn refused(&self) -> Refused {
        match self {
            Self::Connect(ConnectError::NoDescriptor(_)) => Refused::Exhausted,
            Self::Connect(ConnectError::Timeout) | Self::Timeout => Refused::GatewayTimeout,
            _ => Refused::BadGateway,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => error.fmt(f),
            Self::Unsent => f.write_str("the connection was closed"),
            Self::Broken(error) => match error.source() {
                Some(cause) => write!(f, "no answer: {error}: {cause}"),
                None => write!(f, "no answer: {error}"),
            },
            Self::Timeout => f.write_str("no answer in time"),
            Self::Invalid(what) => write!(f, "invalid answer: {what}"),
            Self::Status(status) => write!(f, "answered with {status}"),
        }
    }
}

/// A connection to a peer that speaks HTTP.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) sender: http1::SendRequest<Body>,
    pub(super) head_room: HeadRoom,
    pub(super) born: Instant,
}

/// Connects to a peer.
pub(super) async fn reach(
    lease: &Lease,
    upstream: &RouteUpstream,
    send_timeout: Duration,
    finish: &mut Finish,
) -> Result<(Clocked, HeadRoom), Failure> {
    let started = Instant::now();
    let conn = connect(lease, &upstream.connect).await.map_err(Failure::Connect)?;
    finish.record.upstream_connect_time = Some(started.elapsed());
    finish.told.connected();
    let head_room = HeadRoom::new();
    Ok((Clocked::new(conn, send_timeout).within(head_room.clone()), head_room))
}

/// Lets hyper speak on a connection whose reads `head_room` bounds.
pub(super) async fn speak<T>(conn: T, head_room: HeadRoom) -> Result<Asked, Failure>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = http1::Builder::new()
        .preserve_header_case(true)
        .title_case_headers(true)
        .max_headers(MAX_FIELDS)
        .handshake(TokioIo::new(conn))
        .await
        .map_err(Failure::Broken)?;
    // Errors reach whoever waits for the answer.
    tokio::spawn(async { drop(connection.await) });
    Ok(Asked { sender, head_room, born: Instant::now() })
}

/// Sends a request and waits for the head of the answer, `timeout` at most since bytes of its body
/// last moved. A request that never left comes back.
pub(super) async fn ask(
    peer: &mut Asked,
    request: Request<Body>,
    timeout: Duration,
    body: &Arc<BodyFate>,
) -> Result<Response<Incoming>, (Failure, Option<Request<Body>>)> {
    let started = Instant::now();
    peer.head_room.start();
    let answer = peer.sender.try_send_request(request);
    tokio::pin!(answer);
    loop {
        let deadline = started.max(body.moved()) + timeout;
        match tokio::time::timeout_at(deadline, &mut answer).await {
            Ok(Ok(response)) => {
                peer.head_room.stop();
                return Ok(response);
            }
            Ok(Err(mut error)) => {
                if let Some(request) = error.take_message() {
                    return Err((Failure::Unsent, Some(request)));
                }
                let error = error.into_error();
                let failure = if error.is_parse() {
                    Failure::Invalid(error.to_string())
                } else {
                    Failure::Broken(error)
                };
                return Err((failure, None));
            }
            Err(_) if started.max(body.moved()) + timeout > Instant::now() => {}
            Err(_) => return Err((Failure::Timeout, None)),
        }
    }
}
