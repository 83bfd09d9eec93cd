//! HTTP/1.1: from a connection's first byte to its last answer, or to the tunnel. Not here: sockets
//! and their acceptance (`server`, `net`), and the tunnel itself (`relay`).

mod answer;
mod attempt;
mod auth;
mod body;
mod certificates;
mod client;
mod clocked;
mod conn;
mod dynamic;
mod exchange;
mod file_answer;
mod files;
mod finish;
mod forward;
mod freshness;
mod generation;
mod guard;
mod gzip;
mod head;
mod head_room;
mod limiting;
mod more_vars;
mod pace;
mod pages;
mod path;
mod pool;
mod redirects;
mod request_body;
mod respond;
mod rewrite;
pub mod route;
mod script;
mod service;
mod ssi;
mod stages;
mod state;
mod subrequest;
mod switching;
mod told;
mod upgrade;
mod vars;

use std::sync::Arc;

#[cfg(fuzzing)]
#[doc(hidden)]
pub use guard::fuzzing;

pub use conn::{Accepted, plain_on_tls_port, serve};
pub use generation::{BuildError, Generation, check};
pub use pool::Pool;

use crate::access_log::Writer;
use crate::limits::Zones;
use crate::metrics::Metrics;
use crate::relay::Engine;
use crate::upstream::Registry;

/// What outlives generations and is handed to each: made once by `server`.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Everything that is counted.
    pub metrics: Arc<Metrics>,
    /// The peers, with their counts and health.
    pub registry: Arc<Registry>,
    /// The threads that carry tunnels.
    pub engine: Arc<Engine>,
    /// The access log's thread.
    pub log_writer: Arc<Writer>,
    /// Who has been let in how often.
    pub zones: Arc<Zones>,
    /// Idle upstream connections.
    pub pool: Arc<Pool>,
    /// Session tickets of every acceptor.
    pub tickets: Arc<dyn rustls::server::ProducesTickets>,
}
