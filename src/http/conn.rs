//! One connection: hyper over the guard, until it ends, is drained, or becomes a tunnel.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{HeaderMap, Method, Response, Version};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::Instant;

use super::body::Body;
use super::client::Connection;
use super::generation::Generation;
use super::guard::{Guard, Verdicts};
use super::service::{Handled, Switching};
use super::{Shared, head, respond, service};
use crate::config::model::{ListenAddr, Server};
use crate::limits::Permit;
use crate::metrics::ActiveConnection;
use crate::net::{ClientAddr, Conn, Stream, proxy_protocol};
use crate::ws::handshake;

/// Room in hyper's buffer beyond the longest head, which the guard has measured.
const SLACK: usize = 8 * 1024;
/// The number of the next connection.
static SERIAL: AtomicU64 = AtomicU64::new(1);
/// How long a client that speaks plain HTTP on a TLS port is listened to.
const HINT: Duration = Duration::from_secs(2);

/// A connection that is ready for HTTP.
#[derive(Debug)]
pub struct Accepted {
    /// The connection.
    pub conn: Conn,
    /// The listener it came through: picks the servers.
    pub listener: ListenAddr,
    /// Our address on it.
    pub local: ListenAddr,
    /// The other end of the socket.
    pub client: ClientAddr,
    /// What its PROXY protocol header said.
    pub proxied: Option<proxy_protocol::Header>,
    /// Its place among all.
    pub permit: Permit,
    /// Its count.
    pub active: ActiveConnection,
}

/// What a connection occupies; a tunnel takes it along.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) permit: Permit,
    pub(super) active: ActiveConnection,
}

/// What the requests of a connection share.
pub(super) struct Session {
    pub(super) connection: Connection,
    pub(super) listener: ListenAddr,
    pub(super) generations: Arc<ArcSwap<Generation>>,
    pub(super) shared: Shared,
    pub(super) verdicts: Arc<Verdicts>,
    pub(super) requests: AtomicU64,
    /// Upgrades to other protocols than WebSocket pass.
    pub(super) other_upgrades: bool,
    pub(super) place: Mutex<Option<Place>>,
    pub(super) draining: watch::Receiver<bool>,
}

impl Session {
    /// Whether a request asks for a tunnel; the guard has seen the same.
    pub(super) fn wants_upgrade(
        &self,
        method: &Method,
        version: Version,
        headers: &HeaderMap,
    ) -> bool {
        handshake::is_upgrade(headers)
            || self.other_upgrades && handshake::is_other_upgrade(method, version, headers)
    }
}

/// Serves a connection until it ends or becomes a tunnel. `generations` is asked anew for each
/// request, so a connection that is kept follows a reload. When `draining` turns true the connection
/// is closed after its current answer, or at once when idle.
pub async fn serve(
    accepted: Accepted,
    generations: Arc<ArcSwap<Generation>>,
    shared: Shared,
    draining: watch::Receiver<bool>,
) {
    let Accepted { conn, listener, local, client, proxied, permit, active } = accepted;
    let Some(server) = generations.load().default_server(&listener).cloned() else {
        return;
    };
    let tls = conn.tls_info().cloned();
    let verdicts = Arc::<Verdicts>::default();
    let mut guard = Guard::new(conn, &server, Arc::clone(&verdicts));
    let mut stop = draining.clone();
    let session = Arc::new(Session {
        connection: Connection {
            socket: client,
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            since: Instant::now(),
            local,
            proxied,
            tls,
            verdict: Mutex::default(),
        },
        listener,
        generations,
        shared,
        verdicts,
        requests: AtomicU64::new(0),
        other_upgrades: server.other_upgrades,
        place: Mutex::new(Some(Place { permit, active })),
        draining,
    });
    let answered = match open(&mut guard, &session, &mut stop).await {
        Ok(First::Http(answered)) => answered,
        Ok(First::WebSocket(switching)) => return switch(guard, switching).await,
        Ok(First::Gone) => return,
        Err(error) => {
            tracing::debug!("connection ended: {error}");
            return;
        }
    };
    if !guard.is_at_home() {
        // Apart: what an opening moves about stays small.
        return Box::pin(http(guard, &server, session, answered, stop)).await;
    }
    // What is no opening has no place on a thread that carries tunnels.
    tokio::spawn(async move {
        match guard.into_runtime().await {
            Ok(guard) => http(guard, &server, session, answered, stop).await,
            Err(error) => tracing::error!("a connection cannot be watched: {error}"),
        }
    });
}

/// Lets hyper speak with a client; its first request may have been answered already.
async fn http(
    guard: Guard,
    server: &Server,
    session: Arc<Session>,
    answered: Option<Response<Body>>,
    mut stop: watch::Receiver<bool>,
) {
    let answered = Mutex::new(answered);
    let service = service_fn(move |request| {
        let session = Arc::clone(&session);
        let answered = answered.lock().unwrap_or_else(PoisonError::into_inner).take();
        async move {
            match answered {
                Some(response) => Ok(response),
                None => service::handle(&session, request).await,
            }
        }
    });
    let connection = http1::Builder::new()
        .preserve_header_case(true)
        .title_case_headers(true)
        .max_headers(server.max_headers)
        .max_buf_size(server.max_head_size + SLACK)
        .serve_connection(TokioIo::new(guard), service)
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = drained(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("connection ended: {error}");
    }
}

/// What a connection's first request is.
enum First {
    /// hyper's to read, and to answer where there is an answer already.
    Http(Option<Response<Body>>),
    /// A WebSocket's, which opens.
    WebSocket(Box<Switching>),
    /// Nobody's any more.
    Gone,
}

/// Waits for the first request. One that asks for a WebSocket is decided here: a tunnel needs
/// nothing of what hyper keeps for a connection.
async fn open(
    guard: &mut Guard,
    session: &Session,
    stop: &mut watch::Receiver<bool>,
) -> std::io::Result<First> {
    let request = tokio::select! {
        biased;
        upgrade = guard.first_upgrade() => upgrade?.and_then(head::request),
        // hyper ends this connection as it ends the others.
        () = drained(stop) => None,
    };
    let Some((parts, spelling)) = request else {
        return Ok(First::Http(None));
    };
    if !session.wants_upgrade(&parts.method, parts.version, &parts.headers) {
        return Ok(First::Http(None));
    }
    let handled = Box::pin(service::serve(session, &parts, &spelling, None, true));
    Ok(tokio::select! {
        biased;
        handled = handled => match handled {
            Handled::Answer(response) => First::Http(Some(response)),
            Handled::Switching(switching) => First::WebSocket(switching),
            Handled::Closed => First::Gone,
        },
        () = guard.gone() => First::Gone,
    })
}

/// Tells the client that the peer has switched; then the tunnel opens.
async fn switch(mut guard: Guard, mut switching: Box<Switching>) {
    let head = head::write_switching(switching.head.headers(), &switching.opening.spelling);
    switching.finish.record.switching_bytes = u32::try_from(head.len()).unwrap_or(u32::MAX);
    let told = async {
        let conn = guard.unguarded();
        conn.write_all(&head).await?;
        conn.flush().await
    };
    if let Err(error) = told.await {
        tracing::debug!("a client went away before its 101: {error}");
        return;
    }
    guard.skip_released();
    let (conn, behind) = guard.into_parts();
    let Switching { opening, place, finish, .. } = *switching;
    opening.carry(conn, &[&behind], place, finish);
}

/// Resolves when the process starts to finish.
async fn drained(draining: &mut watch::Receiver<bool>) {
    if draining.wait_for(|draining| *draining).await.is_err() {
        // The sender is gone: nothing will be drained any more.
        std::future::pending::<()>().await;
    }
}

/// Tells a client that speaks plain HTTP on a TLS port: 400 with a hint, then the end.
pub async fn plain_on_tls_port(mut stream: Stream) {
    let told = async {
        stream.write_all(respond::plain_on_tls().as_bytes()).await?;
        stream.shutdown().await?;
        // What the client still sends is taken, so that the answer is not lost to a reset.
        // Kept out of every connection's state.
        let mut sink = vec![0; 4096];
        while stream.read(&mut sink).await? > 0 {}
        Ok::<_, std::io::Error>(())
    };
    if let Ok(Err(error)) = tokio::time::timeout(HINT, told).await {
        tracing::debug!("a client of plain HTTP went away: {error}");
    }
}
