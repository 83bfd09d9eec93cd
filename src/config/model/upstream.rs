//! Peers.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::template::Template;

/// `[upstream.NAME]`.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// The name; for a `proxy_pass` address, `host:port` or `unix:/path`.
    pub name: String,
    /// The peers, each with one address; never empty.
    pub peers: Vec<Peer>,
    /// How one is picked.
    pub balance: Balance,
    /// Idle HTTP connections kept, for each peer.
    pub keepalive: usize,
    /// How long they are kept.
    pub keepalive_timeout: Duration,
    /// Requests on one of them at most.
    pub keepalive_requests: u64,
    /// How old they may become.
    pub keepalive_time: Option<Duration>,
    /// When all peers have failed, one of them is tried all the same.
    pub last_resort: bool,
    /// The key of the two kinds of hash.
    pub hash: Option<Template>,
}

/// `balance`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// The fewest active tunnels and requests for its weight; equals in turn.
    LeastConn,
    /// Smooth weighted round robin.
    RoundRobin,
    /// The less busy of two taken at random by weight.
    Random,
    /// By a key: nginx's `hash`.
    Hash,
    /// By a key, so that a peer that comes or goes moves few: nginx's `hash … consistent`.
    ConsistentHash,
    /// By the client's address: nginx's `ip_hash`.
    IpHash,
}

/// One peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The label: the address as written, or what it resolved to where that is several.
    pub name: String,
    /// Where it is.
    pub addr: PeerAddr,
    /// Its share, at least 1.
    pub weight: u32,
    /// Failures within `fail_timeout` that make it unavailable; 0 never does.
    pub max_fails: u32,
    /// See `max_fails`; also how long it stays unavailable.
    pub fail_timeout: Duration,
    /// Active tunnels and requests at most.
    pub max_conns: Option<usize>,
    /// Picked only when no other peer is left.
    pub backup: bool,
    /// Never picked.
    pub down: bool,
}

/// The address of a peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PeerAddr {
    /// An IP address and port.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl std::fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(addr) => addr.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
