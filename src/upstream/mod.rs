//! Upstreams and their peers: what is picked, what it costs, what is known of its health. State
//! (counts, health) belongs to a peer and outlives generations.

pub mod balance;
pub mod connect;
pub mod health;

use std::sync::Arc;
use std::time::Duration;

use crate::config::model;
use crate::metrics::Metrics;

/// Every upstream's peers, kept over reloads by (upstream name, address).
#[derive(Debug)]
pub struct Registry {}

impl Registry {
    /// An empty one, for the life of the process.
    pub fn new(_metrics: Arc<Metrics>) -> Self {
        todo!("helper upstream")
    }
    /// The running form of `config`: peers known from before keep their counts and health; those gone are dropped with their last lease.
    pub fn upstream(&self, _config: &model::Upstream) -> Arc<Upstream> {
        todo!("helper upstream")
    }
}

/// One upstream of one generation.
#[derive(Debug)]
pub struct Upstream {}

impl Upstream {
    /// The name.
    pub fn name(&self) -> &str {
        todo!("helper upstream")
    }
    /// How many peers there are, backups included.
    pub fn len(&self) -> usize {
        todo!("helper upstream")
    }
    /// Whether there is none. Never.
    pub fn is_empty(&self) -> bool {
        false
    }
    /// Idle HTTP connections kept for each peer, how long, and for how many requests
    /// (the pool itself is `http::pool`, keyed by [`PeerId`]).
    pub fn keepalive(&self) -> (usize, Duration, u64) {
        todo!("helper upstream")
    }
    /// Picks a peer that is available and not in `tried`, and counts it as busy until the lease
    /// drops. `None` when there is none left. nginx's rules: `down` never, `backup` only when no
    /// other is left, `max_conns`, `max_fails` within `fail_timeout`; when all are failed, they are
    /// tried again once all have been marked (nginx resets the fails of the group when none is left).
    pub fn pick(&self, _tried: &[PeerId]) -> Option<Lease> {
        todo!("helper upstream")
    }
}

/// A peer's identity within its process, for `tried`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerId(pub u64);

/// The right to use a peer: counts as one active connection of it until dropped.
#[derive(Debug)]
pub struct Lease {}

impl Lease {
    /// Which peer.
    pub fn peer(&self) -> PeerId {
        todo!("helper upstream")
    }
    /// Its address as `$upstream_addr` shows it.
    pub fn addr(&self) -> String {
        todo!("helper upstream")
    }
    /// The peer failed (connect error, timeout, no answer, status that counts): passive health.
    pub fn failed(&self) {
        todo!("helper upstream")
    }
    /// The peer answered.
    pub fn succeeded(&self) {
        todo!("helper upstream")
    }
}

/// How to reach a peer.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// `proxy_connect_timeout`: TCP and TLS together.
    pub timeout: Duration,
    /// `proxy_bind`, taken in turn.
    pub bind: Vec<std::net::IpAddr>,
    /// The peers speak TLS.
    pub tls: Option<crate::net::tls::Connector>,
}
