//! Idle HTTP/1.1 connections to peers, kept for the next request (nginx's `keepalive`). They outlive
//! generations. Not here: connections of tunnels, which are never shared.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use super::attempt::Asked;
use crate::upstream::{Keepalive, PeerId};

/// What a connection is good for: the peer, and the route's way of speaking TLS.
pub(super) type Key = (PeerId, u64);

/// The idle connections.
#[derive(Debug, Default)]
pub struct Pool {
    idle: Mutex<HashMap<Key, Vec<Idle>>>,
}

/// A connection and its history.
#[derive(Debug)]
pub(super) struct Idle {
    pub(super) peer: Asked,
    /// Requests it has had.
    pub(super) requests: u64,
    since: Instant,
}

impl Pool {
    /// The connection that was used last, if one is still good.
    pub(super) fn take(&self, key: Key, keepalive: Keepalive) -> Option<Idle> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = idle.get_mut(&key)?;
        while let Some(connection) = connections.pop() {
            if connection.is_good(keepalive) {
                return Some(connection);
            }
        }
        idle.remove(&key);
        None
    }

    /// Keeps a connection once its answer has been read whole. Returns at once.
    pub(super) fn keep(
        self: &Arc<Self>,
        key: Key,
        mut peer: Asked,
        requests: u64,
        keepalive: Keepalive,
    ) {
        let too_old = keepalive.age.is_some_and(|age| peer.born.elapsed() >= age);
        if keepalive.idle == 0 || requests >= keepalive.requests || too_old {
            return;
        }
        let pool = Arc::clone(self);
        tokio::spawn(async move {
            if peer.sender.ready().await.is_ok() {
                pool.put(key, Idle { peer, requests, since: Instant::now() }, keepalive);
                // Whatever has not been used by then is closed.
                tokio::time::sleep(keepalive.timeout).await;
                pool.sweep(key, keepalive);
            }
        });
    }

    fn put(&self, key: Key, connection: Idle, keepalive: Keepalive) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = idle.entry(key).or_default();
        if connections.len() >= keepalive.idle {
            // The oldest has waited longest in vain.
            connections.remove(0);
        }
        connections.push(connection);
    }

    fn sweep(&self, key: Key, keepalive: Keepalive) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connections) = idle.get_mut(&key) {
            connections.retain(|connection| connection.is_good(keepalive));
            if connections.is_empty() {
                idle.remove(&key);
            }
        }
    }
}

impl Idle {
    fn is_good(&self, keepalive: Keepalive) -> bool {
        !self.peer.sender.is_closed() && self.since.elapsed() < keepalive.timeout
    }
}
