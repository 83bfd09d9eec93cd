//! A listener's loop: connections come in, get a place, say who they are (PROXY protocol), shake
//! hands (TLS), and go to `http`.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use crate::config::model::{self, ListenAddr};
use crate::http::{self, Accepted, Generation, Shared};
use crate::limits::{Connections, Permit};
use crate::metrics::{ActiveConnection, HandshakeResult, ListenerSeries, RejectReason};
use crate::net::listen::{Incoming, Listener};
use crate::net::tls::{AcceptError, Ends};
use crate::net::{ClientAddr, Conn, Stream, descriptors, proxy_protocol};

/// How long accepting rests when the process or the system has no descriptor left.
const REST: Duration = Duration::from_millis(100);
/// How often that is said.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Connections accepted before others have their turn: a relay thread has frames to carry.
const TURN: usize = 16;
/// The number of the next listener that relay threads share among them.
static NUMBER: AtomicUsize = AtomicUsize::new(0);

/// What every connection of a listener needs.
#[derive(Clone)]
pub(super) struct Entrance {
    /// The configured address: the key to servers and certificates.
    pub(super) addr: ListenAddr,
    pub(super) generations: Arc<ArcSwap<Generation>>,
    pub(super) shared: Shared,
    pub(super) connections: Arc<Connections>,
    pub(super) series: Arc<ListenerSeries>,
    pub(super) draining: watch::Receiver<bool>,
}

/// Accepts until it is dropped. Where a relay thread can open tunnels without keeping others'
/// frames waiting, it accepts too: a connection then needs no other thread.
pub(super) async fn run(listener: Listener, entrance: Entrance) {
    if !entrance.generations.load().opens_at_home(&entrance.addr) {
        return accept(listener, entrance).await;
    }
    let engine = Arc::clone(&entrance.shared.engine);
    let (here, gone) = oneshot::channel::<()>();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    engine.attend(number, async move {
        let accept = async {
            match listener.at_home() {
                Ok(listener) => accept(listener, entrance).await,
                Err(error) => tracing::error!("a listener cannot be watched: {error}"),
            }
        };
        tokio::select! {
            () = accept => {}
            _ = gone => {}
        }
    });
    // The other task ends with this one.
    std::future::pending::<()>().await;
    drop(here);
}

async fn accept(listener: Listener, entrance: Entrance) {
    for turn in 1_usize.. {
        if turn.is_multiple_of(TURN) {
            tokio::task::yield_now().await;
        }
        match listener.accept().await {
            Ok((incoming, client, local)) => {
                if descriptors::is_reserved(&incoming) {
                    entrance.series.rejected(RejectReason::Limit);
                    drop(incoming);
                    say_exhausted(&descriptors::none_left());
                    tokio::time::sleep(REST).await;
                    continue;
                }
                let Some(permit) = entrance.connections.admit() else {
                    entrance.series.rejected(RejectReason::Limit);
                    continue;
                };
                let active = entrance.series.accepted();
                let at_home = matches!(incoming, Incoming::Socket(_))
                    && entrance.generations.load().opens_at_home(&entrance.addr);
                let receive = receive(entrance.clone(), incoming, client, local, permit, active);
                if at_home {
                    entrance.shared.engine.open(receive);
                } else {
                    tokio::spawn(receive);
                }
            }
            Err(error) if descriptors::is_exhausted(&error) => {
                say_exhausted(&error);
                tokio::time::sleep(REST).await;
            }
            // A client that went away between its SYN and now.
            Err(error) => tracing::debug!("accept failed: {error}"),
        }
    }
}

/// Once a minute, with the number to set.
fn say_exhausted(error: &io::Error) {
    static SAID: Mutex<Option<Instant>> = Mutex::new(None);
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if said.is_none_or(|at| at.elapsed() >= SAY_EVERY) {
        *said = Some(Instant::now());
        tracing::error!(
            "no descriptor is left for connections: {error}; the limit is {}, a tunnel takes two: \
             raise LimitNOFILE (systemd) or `ulimit -n`, or lower `worker_connections`",
            descriptors::limit()
        );
    }
}

async fn receive(
    entrance: Entrance,
    incoming: Incoming,
    client: ClientAddr,
    local: ListenAddr,
    permit: Permit,
    active: ActiveConnection,
) {
    let mut stream = match incoming.watch() {
        Ok(stream) => stream,
        Err(error) => {
            tracing::error!("a connection cannot be watched: {error}");
            return;
        }
    };
    let generation = entrance.generations.load_full();
    let Some(options) = generation.config().listeners.iter().find(|l| l.addr == entrance.addr)
    else {
        return;
    };
    let proxied = match read_proxy_header(&entrance, &generation, options, &mut stream).await {
        Ok(header) => header,
        Err(error) => {
            entrance.series.rejected(RejectReason::ProxyProtocol);
            tracing::info!("no PROXY protocol header: {error}");
            return;
        }
    };
    let ends = Ends { client, local: local.clone() };
    let Some(conn) = shake_hands(&entrance, &generation, stream, ends).await else {
        return;
    };
    let accepted =
        Accepted { conn, listener: entrance.addr, local, client, proxied, permit, active };
    http::serve(accepted, entrance.generations, entrance.shared, entrance.draining).await;
}

async fn read_proxy_header(
    entrance: &Entrance,
    generation: &Generation,
    options: &model::Listener,
    stream: &mut Stream,
) -> io::Result<Option<proxy_protocol::Header>> {
    if !options.proxy_protocol {
        return Ok(None);
    }
    let server = generation.default_server(&entrance.addr);
    let timeout = server.map_or(Duration::from_secs(10), |server| server.client_header_timeout);
    let lenient = server.is_some_and(|server| server.lenient_heads);
    let header = tokio::time::timeout(timeout, proxy_protocol::read(stream, lenient)).await;
    header.map_err(io::Error::from)?.map(Some)
}

async fn shake_hands(
    entrance: &Entrance,
    generation: &Generation,
    stream: Stream,
    ends: Ends,
) -> Option<Conn> {
    let Some((acceptor, timeout)) = generation.acceptor(&entrance.addr) else {
        return Some(Conn::Plain(stream));
    };
    let started = Instant::now();
    // Apart: what a connection without TLS moves about stays small.
    let handshake = Box::pin(acceptor.accept(stream, ends));
    let result = tokio::time::timeout(timeout, handshake).await;
    let took = started.elapsed();
    let failed = |result| {
        entrance.series.handshake(result, took);
        entrance.series.rejected(RejectReason::Tls);
    };
    match result {
        Ok(Ok(conn)) => {
            let resumed = conn.tls_info().is_some_and(|tls| tls.resumed);
            let result = if resumed { HandshakeResult::Resumed } else { HandshakeResult::Full };
            entrance.series.handshake(result, took);
            Some(conn)
        }
        Ok(Err(AcceptError::PlainHttp(stream))) => {
            failed(HandshakeResult::Failed);
            http::plain_on_tls_port(stream).await;
            None
        }
        Ok(Err(AcceptError::Failed(error))) => {
            failed(HandshakeResult::Failed);
            tracing::info!("TLS handshake failed: {error}");
            None
        }
        Err(_) => {
            failed(HandshakeResult::Timeout);
            None
        }
    }
}
