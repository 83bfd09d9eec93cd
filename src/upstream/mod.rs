//! Upstreams and their peers: which is picked, what it has, what is known of its health. Counts and
//! health belong to a peer and outlive generations. Not here: idle HTTP connections (`http::pool`).

pub mod balance;
pub mod connect;
mod hash;
mod health;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::model::{self, PeerAddr};
use crate::config::template::{Lookup, Template};
use crate::metrics::{Metrics, PeerSeries, UpstreamSeries};
use balance::{Balancer, Candidate};
use hash::Ring;
use health::Health;

pub use connect::{ConnectError, ConnectOptions, connect};

/// Every upstream's peers, kept over reloads by (upstream name, address).
#[derive(Debug)]
pub struct Registry {
    metrics: Arc<Metrics>,
    /// By upstream and address; the number tells those apart that have one address.
    peers: Mutex<HashMap<(String, PeerAddr, usize), Weak<Peer>>>,
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
    /// The same in words.
    name: String,
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
            .enumerate()
            .map(|(place, peer)| Member {
                place,
                peer: self.peer(&config.name, peer, before(config, place)),
                config: peer.clone(),
            })
            .collect();
        let seed = getrandom::u64().unwrap_or(1);
        Arc::new(Upstream {
            name: config.name.clone(),
            balance: config.balance,
            balancer: Mutex::new(Balancer::new(members.len(), seed)),
            hash: config.hash.clone(),
            ring: ring(config),
            // A single peer is never marked: there is nobody else to go to.
            marks_failures: members.len() > 1,
            members,
            last_resort: config.last_resort,
            keepalive: Keepalive {
                idle: config.keepalive,
                timeout: config.keepalive_timeout,
                age: config.keepalive_time,
                requests: config.keepalive_requests,
            },
            series: self.metrics.upstream(&config.name),
        })
    }

    fn peer(&self, upstream: &str, config: &model::Peer, again: usize) -> Arc<Peer> {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        peers.retain(|_, peer| peer.strong_count() > 0);
        let key = (upstream.to_owned(), config.addr.clone(), again);
        let known = peers.get(&key).and_then(Weak::upgrade);
        let peer = known.unwrap_or_else(|| {
            let series = self.metrics.peer(upstream, &config.name);
            Arc::new(Peer {
                id: PeerId(self.next_id.fetch_add(1, Ordering::Relaxed)),
                addr: config.addr.clone(),
                name: config.addr.to_string(),
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

/// How many peers before this one have its address.
fn before(config: &model::Upstream, place: usize) -> usize {
    let (before, rest) = config.peers.split_at(place);
    before.iter().filter(|peer| rest.first().is_some_and(|this| this.addr == peer.addr)).count()
}

/// The ring of `hash … consistent`: the peers that are no backups, by the names they are written with.
fn ring(config: &model::Upstream) -> Ring {
    if config.balance != model::Balance::ConsistentHash {
        return Ring::default();
    }
    let primaries = config.peers.iter().filter(|peer| !peer.backup);
    // A number tells two of one address apart.
    let name = |peer: &model::Peer| {
        peer.name.rsplit_once('#').map_or(peer.name.clone(), |(name, _)| name.to_owned())
    };
    let named: Vec<_> = primaries.map(|peer| (name(peer), peer.weight)).collect();
    Ring::new(named.iter().map(|(name, weight)| (name.as_str(), *weight)))
}

/// One upstream of one generation.
#[derive(Debug)]
pub struct Upstream {
    name: String,
    balance: model::Balance,
    balancer: Mutex<Balancer>,
    hash: Option<Template>,
    ring: Ring,
    members: Vec<Member>,
    marks_failures: bool,
    last_resort: bool,
    keepalive: Keepalive,
    series: Arc<UpstreamSeries>,
}

/// A peer as this generation's configuration has it.
#[derive(Debug)]
struct Member {
    /// Its place among the peers of the upstream; two may be one address.
    place: usize,
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
    /// How old they may become.
    pub age: Option<Duration>,
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
    /// failed, one of those is tried all the same, unless `last_resort` is off.
    ///
    /// `key` is what [`Self::key`] gave; where it belongs to no peer that may be picked, whose turn it
    /// is.
    pub fn pick(&self, tried: &[usize], key: &[u8]) -> Option<Lease> {
        let now = Instant::now();
        if let Some(member) = self.pick_by_key(key, tried, now) {
            return Some(self.lease(member, now));
        }
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
        let index = pick(false, true).or_else(|| pick(true, true)).or_else(|| {
            let last = self.last_resort;
            last.then(|| pick(false, false).or_else(|| pick(true, false))).flatten()
        })?;
        // Counted before the lock is given back: two picks never see the same load.
        Some(self.lease(&self.members[index], now))
    }

    /// Whether there is another peer than those tried.
    pub fn has_other(&self, tried: &[usize]) -> bool {
        self.members.iter().any(|other| !other.config.down && !tried.contains(&other.place))
    }

    /// What picks a peer of this request, where something does: the hash's key, or for `ip_hash` the
    /// bytes of the client's address that count.
    pub fn key(&self, values: &dyn Lookup, client: Option<IpAddr>) -> Vec<u8> {
        match (self.balance, &self.hash) {
            (model::Balance::IpHash, _) => match client {
                Some(IpAddr::V4(ip)) => ip.octets()[..3].to_vec(),
                Some(IpAddr::V6(ip)) => ip.octets().to_vec(),
                None => vec![0; 3],
            },
            (_, Some(hash)) => hash.expand_text(values).into_bytes(),
            _ => Vec::new(),
        }
    }

    /// nginx's walks: another step for each peer that may not be picked, twenty at most. An empty key is
    /// nobody's.
    fn pick_by_key(&self, key: &[u8], tried: &[usize], now: Instant) -> Option<&Member> {
        const STEPS: u32 = 21;
        if key.is_empty() {
            return None;
        }
        let primaries: Vec<&Member> =
            self.members.iter().filter(|member| !member.config.backup).collect();
        let weights = primaries.iter().map(|member| member.config.weight);
        let fits = |member: &Member| self.may_be_picked(member, tried, true, now);
        match self.balance {
            model::Balance::Hash => {
                let mut sum = 0_u64;
                (0..STEPS).find_map(|again| {
                    sum += u64::from(hash::step(key, again));
                    let member = *primaries.get(hash::by_weight(weights.clone(), sum)?)?;
                    fits(member).then_some(member)
                })
            }
            model::Balance::IpHash => {
                let mut point = hash::IP_START;
                (0..STEPS).find_map(|_| {
                    point = hash::ip_step(point, key);
                    let place = hash::by_weight(weights.clone(), u64::from(point))?;
                    let member = *primaries.get(place)?;
                    fits(member).then_some(member)
                })
            }
            model::Balance::ConsistentHash => {
                let first = self.ring.find(key);
                (0..STEPS as usize).find_map(|further| {
                    let member = *primaries.get(self.ring.server(first + further)?)?;
                    fits(member).then_some(member)
                })
            }
            _ => None,
        }
    }

    fn may_be_picked(&self, member: &Member, tried: &[usize], healthy: bool, now: Instant) -> bool {
        let config = &member.config;
        let active = member.peer.active.load(Ordering::Relaxed);
        let full = config.max_conns.is_some_and(|max| active >= max);
        let available = || {
            let max_fails = if self.marks_failures { config.max_fails } else { 0 };
            member.peer.health().is_available(max_fails, config.fail_timeout, now)
        };
        !config.down && !full && !tried.contains(&member.place) && (!healthy || available())
    }

    fn lease(&self, member: &Member, now: Instant) -> Lease {
        let max_fails = if self.marks_failures { member.config.max_fails } else { 0 };
        member.peer.health().picked(max_fails, now);
        let active = member.peer.active.fetch_add(1, Ordering::Relaxed) + 1;
        member.peer.series.set_active(active);
        Lease {
            place: member.place,
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
    place: usize,
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

    /// Its place among the peers of its upstream.
    pub fn place(&self) -> usize {
        self.place
    }

    /// Its address, as `$upstream_addr` shows it.
    pub fn addr(&self) -> &str {
        &self.peer.name
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
        if self.peer.health().succeeded(self.max_fails, self.fail_timeout, Instant::now()) {
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
