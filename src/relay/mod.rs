//! The relay: threads that carry tunnels, one epoll loop each. Give it a tunnel, tell it things.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use crate::access_log::{Log, Record};
use crate::config::model::Policy;
use crate::limits::Permit;
use crate::metrics::{ActiveConnection, Metrics, TunnelSeries};
use crate::upstream::Lease;

/// One leg, as it is given to the relay.
#[derive(Debug)]
pub struct Leg {
    /// The connected socket, non-blocking.
    pub fd: OwnedFd,
    /// Its TLS session, when it has one.
    pub tls: Option<Box<rustls::Connection>>,
    /// Bytes already read from it behind the handshake (plaintext).
    pub early: Vec<u8>,
}

/// A route's name, the same in every generation: server label, location, upstream.
pub type RouteKey = Arc<str>;

/// A tunnel to carry: both sockets right behind the 101, and what must live as long.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct NewTunnel {
    pub client: Leg,
    pub upstream: Leg,
    /// Clocks and limits.
    pub policy: Arc<Policy>,
    /// Under which a reload finds the new policy.
    pub route: RouteKey,
    /// The access log line, written at the end.
    pub record: Box<Record>,
    pub log: Option<Log>,
    pub series: Arc<TunnelSeries>,
    pub lease: Lease,
    pub permit: Permit,
    pub connection: ActiveConnection,
}

/// The threads.
#[derive(Debug)]
pub struct Engine {}

impl Engine {
    /// Starts `workers` threads.
    pub fn start(_workers: usize, _metrics: Arc<Metrics>) -> io::Result<Arc<Self>> {
        todo!("lead")
    }
    /// Carries a tunnel, on the thread with the fewest. Counts it as opened.
    pub fn adopt(&self, _tunnel: NewTunnel) {
        todo!("lead")
    }
    /// Tunnels now.
    pub fn tunnels(&self) -> usize {
        todo!("lead")
    }
    /// A reload: live tunnels follow the new clocks and limits of their route; those whose route is
    /// gone keep the old ones.
    pub fn set_policies(&self, _policies: Arc<HashMap<RouteKey, Arc<Policy>>>) {
        todo!("lead")
    }
    /// Closes every tunnel with the drain code (1012), paced evenly over `window`. Returns at once.
    pub fn drain(&self, _window: Duration) {
        todo!("lead")
    }
    /// Ends every tunnel at once, and the threads; each tunnel still gets its Ending and log line.
    pub fn stop(&self) {
        todo!("lead")
    }
}
