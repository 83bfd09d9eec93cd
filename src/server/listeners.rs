//! The bound sockets, and how they follow a new configuration: new ones are bound before anything
//! changes, unchanged ones are kept, old ones are closed last.

use std::collections::HashMap;
use std::io;

use tokio::task::JoinHandle;

use crate::config::model::{Config, ListenAddr};
use crate::net::listen::Listener;

/// Waiting connections on the metrics socket.
const METRICS_BACKLOG: u32 = 128;

/// What a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Purpose {
    /// Servers.
    Service,
    /// The page of metrics.
    Metrics,
}

type Key = (Purpose, ListenAddr);

/// A socket and the task that accepts from it, which ends with it.
#[derive(Debug)]
struct Running {
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The sockets of the process.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    running: HashMap<Key, Running>,
}

/// Sockets that a new configuration needs and that are bound already.
#[derive(Debug)]
pub(super) struct Bound(Vec<(Key, Listener)>);

/// Why a socket cannot be bound.
#[derive(Debug)]
pub(super) struct BindError {
    addr: ListenAddr,
    error: io::Error,
}

impl std::fmt::Display for BindError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let help = match self.error.kind() {
            io::ErrorKind::AddrInUse => "stop the program that has it, or listen elsewhere",
            io::ErrorKind::PermissionDenied => {
                "ports below 1024 need CAP_NET_BIND_SERVICE (or root), sockets a writable folder"
            }
            io::ErrorKind::AddrNotAvailable => "this machine has no such address",
            _ => "see `listen`",
        };
        write!(f, "cannot listen on `{}`: {}\nhelp: {help}", self.addr, self.error)
    }
}

fn wanted(config: &Config) -> impl Iterator<Item = (Key, bool, u32)> {
    let services = config.listeners.iter().map(|listener| {
        ((Purpose::Service, listener.addr.clone()), listener.ipv6only, listener.backlog)
    });
    let metrics = config
        .metrics
        .iter()
        .map(|endpoint| ((Purpose::Metrics, endpoint.listen.clone()), true, METRICS_BACKLOG));
    services.chain(metrics)
}

impl Listeners {
    /// Binds what `config` needs and is not there yet. Changes nothing that runs.
    pub(super) fn bind(&self, config: &Config) -> Result<Bound, BindError> {
        let missing = wanted(config).filter(|(key, ..)| !self.running.contains_key(key));
        let bound = missing.map(|(key, ipv6only, backlog)| {
            match Listener::bind(&key.1, ipv6only, backlog) {
                Ok(listener) => Ok((key, listener)),
                Err(error) => Err(BindError { addr: key.1, error }),
            }
        });
        Ok(Bound(bound.collect::<Result<_, _>>()?))
    }

    /// Starts what was bound (`accept` gives the task's future) and closes what `config` does not
    /// need any more. Connections that are there live on.
    pub(super) fn follow<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        config: &Config,
        bound: Bound,
        accept: impl Fn(Purpose, ListenAddr, Listener) -> F,
    ) {
        for (key, listener) in bound.0 {
            tracing::info!("listening on {}", listener.local_addr());
            let task = tokio::spawn(accept(key.0, key.1.clone(), listener));
            self.running.insert(key, Running { task });
        }
        let keep: Vec<Key> = wanted(config).map(|(key, ..)| key).collect();
        self.running.retain(|key, _| {
            let kept = keep.contains(key);
            if !kept {
                tracing::info!("no longer listening on {}", key.1);
            }
            kept
        });
    }

    /// Accepts no more connections for servers; the metrics stay.
    pub(super) fn close_services(&mut self) {
        self.running.retain(|(purpose, _), _| *purpose == Purpose::Metrics);
    }
}
