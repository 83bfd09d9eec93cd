//! The process: it starts whole or not at all, runs until it is told to stop, and follows its
//! configuration meanwhile. Not here: flags and verbs (`cli`).

mod accept;
mod endpoint;
mod error_log;
mod listeners;
mod pid;
mod reload;
mod signals;
mod start;
mod stop;
mod watch;

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch as channel;

pub use crate::config::model::NOTICE;
pub use start::{StartError, check, daemon, run};

use crate::config::Input;
use crate::config::model::Config;
use crate::http::{Generation, Shared};
use crate::limits::Connections;
use error_log::ErrorLog;
use listeners::Listeners;
use pid::PidFile;
use reload::Coming;
use watch::Watch;

/// A running process.
struct Process {
    /// The configuration file.
    source: Input,
    error_log: Arc<ErrorLog>,
    shared: Shared,
    generations: Arc<ArcSwap<Generation>>,
    connections: Arc<Connections>,
    listeners: Listeners,
    draining: channel::Sender<bool>,
    watch: Option<Watch>,
    /// What the watched files held when they were last read.
    fingerprint: u64,
    /// A new configuration on its way.
    coming: Coming,
    /// Configurations seen, the bad ones too.
    revision: u64,
    /// Removed at the end.
    pid: Option<PidFile>,
}

impl Process {
    fn config(&self) -> Arc<Config> {
        Arc::clone(self.generations.load().config())
    }
}
