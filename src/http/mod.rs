//! HTTP/1.1: from a connection's first byte to its last answer, or to the tunnel.

use std::collections::HashMap;
use std::sync::Arc;

use crate::access_log::Writer;
use crate::config::model::{Config, ListenAddr, Policy};
use crate::limits::Permit;
use crate::metrics::{ActiveConnection, Metrics};
use crate::net::tls::{Acceptor, CertificateFacts, TlsError};
use crate::net::{ClientAddr, Conn, proxy_protocol};
use crate::relay::{Engine, RouteKey};
use crate::upstream::Registry;

/// What outlives generations and is handed to each: made once by `server`.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Shared {
    pub metrics: Arc<Metrics>,
    pub registry: Arc<Registry>,
    pub engine: Arc<Engine>,
    pub log_writer: Arc<Writer>,
    /// Idle upstream connections.
    pub pool: Arc<pool::Pool>,
    /// Session tickets of every acceptor.
    pub tickets: Arc<dyn rustls::server::ProducesTickets>,
}

pub mod pool {
    //! Idle HTTP/1.1 connections to peers.
    /// See the module.
    #[derive(Debug, Default)]
    pub struct Pool {}
}

/// Everything one configuration became, immutable.
#[derive(Debug)]
pub struct Generation {}

/// Why a configuration that is valid in itself cannot run here.
#[derive(Debug)]
pub enum BuildError {
    /// A certificate, key or trust anchor.
    Tls(TlsError),
    /// An access log cannot be opened.
    AccessLog {
        /// Its path.
        path: std::path::PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

impl Generation {
    /// Builds the running form: route tables, upstreams, acceptors, handles. Changes nothing that is
    /// running, except that it opens new log files.
    pub fn build(
        _config: Arc<Config>,
        _revision: u64,
        _shared: &Shared,
    ) -> Result<Self, BuildError> {
        todo!("helper http")
    }
    /// The configuration.
    pub fn config(&self) -> &Arc<Config> {
        todo!("helper http")
    }
    /// The TLS acceptor of a listener, and the handshake timeout of its default server.
    pub fn acceptor(&self, _listener: &ListenAddr) -> Option<(Acceptor, std::time::Duration)> {
        todo!("helper http")
    }
    /// Every route's clocks and limits, for [`Engine::set_policies`].
    pub fn policies(&self) -> HashMap<RouteKey, Arc<Policy>> {
        todo!("helper http")
    }
    /// The certificates in use: (server label, facts).
    pub fn certificates(&self) -> Vec<(String, CertificateFacts)> {
        todo!("helper http")
    }
}

/// A connection that is ready for HTTP.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct Accepted {
    pub conn: Conn,
    /// The listener it came through: picks the servers.
    pub listener: ListenAddr,
    /// Our address on it.
    pub local: ListenAddr,
    /// The other end of the socket.
    pub client: ClientAddr,
    /// What its PROXY protocol header said.
    pub proxied: Option<proxy_protocol::Header>,
    pub permit: Permit,
    pub active: ActiveConnection,
}

/// Serves a connection until it ends or becomes a tunnel. `generations` is asked anew for each
/// request, so a kept-alive connection follows a reload. When `draining` turns true the connection
/// is closed after its current answer, or at once when idle.
pub async fn serve(
    _accepted: Accepted,
    _generations: Arc<arc_swap::ArcSwap<Generation>>,
    _shared: Shared,
    _draining: tokio::sync::watch::Receiver<bool>,
) {
    todo!("helper http")
}

/// Tells a client that speaks plain HTTP on a TLS port: 400 with a hint, then close.
pub async fn plain_on_tls_port(_stream: crate::net::Stream) {
    todo!("helper http")
}
