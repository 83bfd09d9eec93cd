//! Upstreams and their peers: which is picked, what it has, what is known of its health. Counts and
//! health belong to a peer and outlive generations. Not here: idle HTTP connections (`http::pool`).

pub mod balance;
pub mod connect;
mod health;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::model::{self, PeerAddr};
use crate::metrics::{Metrics, PeerSeries, UpstreamSeries};
use balance::{Balancer, Candidate};
use health::Health;

pub use connect::{ConnectError, ConnectOptions, connect};

/// Every upstream's peers, kept over reloads by (upstream name, address).
#[derive(Debug)]
pub struct Registry {
    metrics: Arc<Metrics>,
    peers: Mutex<HashMap<(String, PeerAddr), Weak<Peer>>>,
    next_id: AtomicU64,
}

/// A peer's identity within its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerId(u64);

/// What is known of a peer, whatever the generation.
#[derive(Debug)]
struct Peer {
    id: PeerId,
    addr: PeerAddr,
    active: AtomicUsize,
    health: Mutex<Health>,
    series: Arc<PeerSeries>,
}

impl Peer {
    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    /// An empty one, for the life of the process.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, peers: Mutex::default(), next_id: AtomicU64::new(0) }
    }

    /// The running form of `config`: peers known from before keep their counts and health; those
    /// gone are dropped with their last lease.
    pub fn upstream(&self, config: &model::Upstream) -> Arc<Upstream> {
        let members: Vec<Member> = config
            .peers
            .iter()
            .map(|peer| Member { peer: self.peer(&config.name, peer), config: peer.clone() })
            .collect();
        let seed = getrandom::u64().unwrap_or(1);
        Arc::new(Upstream {
            name: config.name.clone(),
            balance: config.balance,
            balancer: Mutex::new(Balancer::new(members.len(), seed)),
            // A single peer is never marked: there is nobody else to go to.
            marks_failures: members.len() > 1,
            members,
            keepalive: Keepalive {
                idle: config.keepalive,
                timeout: config.keepalive_timeout,
                requests: config.keepalive_requests,
            },
            series: self.metrics.upstream(&config.name),
        })
    }

    fn peer(&self, upstream: &str, config: &model::Peer) -> Arc<Peer> {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        peers.retain(|_, peer| peer.strong_count() > 0);
        let key = (upstream.to_owned(), config.addr.clone());
        let known = peers.get(&key).and_then(Weak::upgrade);
        let peer = known.unwrap_or_else(|| {
            let series = self.metrics.peer(upstream, &config.name);
            Arc::new(Peer {
                id: PeerId(self.next_id.fetch_add(1, Ordering::Relaxed)),
                addr: config.addr.clone(),
                active: AtomicUsize::new(0),
                health: Mutex::default(),
                series,
            })
        });
        peer.series.set_up(!config.down && !peer.health().is_marked(config.max_fails));
        peer.series.set_weight(config.weight);
        peers.insert(key, Arc::downgrade(&peer));
        peer
    }
}

/// One upstream of one generation.
#[derive(Debug)]
pub struct Upstream {
    name: String,
    balance: model::Balance,
    balancer: Mutex<Balancer>,
    members: Vec<Member>,
    marks_failures: bool,
    keepalive: Keepalive,
    series: Arc<UpstreamSeries>,
}

/// A peer as this generation's configuration has it.
#[derive(Debug)]
struct Member {
    peer: Arc<Peer>,
    config: model::Peer,
}

/// How idle HTTP connections to a peer are kept.
#[derive(Clone, Copy, Debug)]
pub struct Keepalive {
    /// How many.
    pub idle: usize,
    /// How long.
    pub timeout: Duration,
    /// For how many requests.
    pub requests: u64,
}

impl Upstream {
    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many peers there are, backups included.
    pub const fn size(&self) -> usize {
        self.members.len()
    }

    /// How idle HTTP connections to its peers are kept.
    pub const fn keepalive(&self) -> Keepalive {
        self.keepalive
    }

    /// What counts for it.
    pub fn series(&self) -> &UpstreamSeries {
        &self.series
    }

    /// Picks a peer that is not in `tried`, and counts it as busy until the lease drops. nginx's
    /// rules: `down` never, `backup` only when no other is left. When every peer that is left has
    /// failed, one of those is tried all the same: an answer is worth more than a rule.
    pub fn pick(&self, tried: &[PeerId]) -> Option<Lease> {
        let now = Instant::now();
        let mut balancer = self.balancer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pick = |backup: bool, healthy: bool| {
            let candidates: Vec<Candidate> = self
                .members
                .iter()
                .enumerate()
                .filter(|(_, member)| member.config.backup == backup)
                .filter(|(_, member)| self.may_be_picked(member, tried, healthy, now))
                .map(|(index, member)| Candidate {
                    index,
                    weight: member.config.weight,
                    active: member.peer.active.load(Ordering::Relaxed),
                })
                .collect();
            balancer.pick(self.balance, &candidates)
        };
        let index = pick(false, true)
            .or_else(|| pick(true, true))
            .or_else(|| pick(false, false))
            .or_else(|| pick(true, false))?;
        // Counted before the lock is given back: two picks never see the same load.
        Some(self.lease(&self.members[index], now))
    }

    fn may_be_picked(
        &self,
        member: &Member,
        tried: &[PeerId],
        healthy: bool,
        now: Instant,
    ) -> bool {
        let config = &member.config;
        let active = member.peer.active.load(Ordering::Relaxed);
        let full = config.max_conns.is_some_and(|max| active >= max);
        let available = || {
            let max_fails = if self.marks_failures { config.max_fails } else { 0 };
            member.peer.health().is_available(max_fails, config.fail_timeout, now)
        };
        !config.down && !full && !tried.contains(&member.peer.id) && (!healthy || available())
    }

    fn lease(&self, member: &Member, now: Instant) -> Lease {
        let max_fails = if self.marks_failures { member.config.max_fails } else { 0 };
        member.peer.health().picked(max_fails, now);
        let active = member.peer.active.fetch_add(1, Ordering::Relaxed) + 1;
        member.peer.series.set_active(active);
        Lease {
            peer: Arc::clone(&member.peer),
            upstream: Arc::clone(&self.series),
            max_fails,
            fail_timeout: member.config.fail_timeout,
        }
    }
}

/// The right to use a peer: counts as one active connection of it until dropped.
#[derive(Debug)]
pub struct Lease {
    peer: Arc<Peer>,
    upstream: Arc<UpstreamSeries>,
    max_fails: u32,
    fail_timeout: Duration,
}

impl Lease {
    /// Which peer.
    pub fn peer(&self) -> PeerId {
        self.peer.id
    }

    /// Its address, as `$upstream_addr` shows it.
    pub fn addr(&self) -> &PeerAddr {
        &self.peer.addr
    }

    /// The peer failed: it could not be reached, took too long, or answered what counts as failure.
    pub fn failed(&self) {
        if self.peer.health().failed(self.max_fails, self.fail_timeout, Instant::now()) {
            self.peer.series.unavailable();
            self.peer.series.set_up(false);
            tracing::warn!("peer is unavailable for now: {}", self.peer.addr);
        }
    }

    /// The peer answered.
    pub fn succeeded(&self) {
        if self.peer.health().succeeded(self.max_fails) {
            self.peer.series.set_up(true);
            tracing::info!("peer is available again: {}", self.peer.addr);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let active = self.peer.active.fetch_sub(1, Ordering::Relaxed) - 1;
        self.peer.series.set_active(active);
    }
}
