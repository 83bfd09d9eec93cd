//! How long sessions may be resumed, and where they are kept: `ssl_session_timeout`,
//! `ssl_session_tickets`, `ssl_session_cache`. rustls keeps them for as long as its keys live.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::server::{
    NoServerSessionStorage, ProducesTickets, ServerConfig, ServerSessionMemoryCache,
    StoresServerSessions,
};

use crate::config::model::Sessions;

/// Sessions without tickets that are remembered.
const SESSIONS: usize = 4096;
/// Bytes of each number in front of what is kept.
const STAMP: usize = 8;

/// Tickets or sessions that end, and belong to a context.
#[derive(Debug)]
struct Ending<T: ?Sized> {
    inner: Arc<T>,
    timeout: Duration,
    context: u64,
}

/// Sets up what a listener remembers of its clients.
pub(super) fn resume(
    config: &mut ServerConfig,
    sessions: Sessions,
    tickets: Arc<dyn ProducesTickets>,
    context: u64,
) {
    let timeout = sessions.timeout;
    if sessions.tickets {
        config.ticketer = Arc::new(Ending { inner: tickets, timeout, context });
    }
    config.session_storage = if sessions.cache {
        let inner: Arc<dyn StoresServerSessions> = ServerSessionMemoryCache::new(SESSIONS);
        Arc::new(Ending { inner, timeout, context })
    } else {
        Arc::new(NoServerSessionStorage {})
    };
    // One ticket is what clients use; each costs time in every handshake.
    config.send_tls13_tickets = usize::from(sessions.tickets || sessions.cache);
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

impl<T: ?Sized> Ending<T> {
    fn stamped(&self, bytes: &[u8]) -> Vec<u8> {
        [&self.context.to_be_bytes()[..], &now().to_be_bytes(), bytes].concat()
    }

    fn fresh(&self, stamped: &[u8]) -> Option<Vec<u8>> {
        let (context, rest) = stamped.split_first_chunk::<STAMP>()?;
        let (stamp, rest) = rest.split_first_chunk::<STAMP>()?;
        let age = now().saturating_sub(u64::from_be_bytes(*stamp));
        let own = u64::from_be_bytes(*context) == self.context;
        (own && age <= self.timeout.as_secs()).then(|| rest.to_vec())
    }
}

impl ProducesTickets for Ending<dyn ProducesTickets> {
    fn enabled(&self) -> bool {
        self.inner.enabled()
    }

    fn lifetime(&self) -> u32 {
        let own = u32::try_from(self.timeout.as_secs()).unwrap_or(u32::MAX);
        self.inner.lifetime().min(own)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.inner.encrypt(&self.stamped(plain))
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.fresh(&self.inner.decrypt(cipher)?)
    }
}

impl StoresServerSessions for Ending<dyn StoresServerSessions> {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.inner.put(key, self.stamped(&value))
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.fresh(&self.inner.get(key)?)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.fresh(&self.inner.take(key)?)
    }

    fn can_cache(&self) -> bool {
        self.inner.can_cache()
    }
}
