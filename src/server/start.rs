//! From a file to a running process, in numbered steps; whatever fails, nothing is left half
//! started.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use std::{fmt, io};

use arc_swap::ArcSwap;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{oneshot, watch as channel};

use super::error_log::ErrorLog;
use super::listeners::Listeners;
use super::pid::PidFile;
use super::reload::Coming;
use super::signals::Signals;
use super::watch::{Watch, fingerprint};
use super::{NOTICE, Process};
use crate::access_log::Writer;
use crate::config::diagnostic::Diagnostics;
use crate::config::{self, Format, Input, Loaded};
use crate::http::{self, Generation, Pool, Shared};
use crate::limits::Connections;
use crate::metrics::Metrics;
use crate::net::tls;
use crate::relay::Engine;
use crate::upstream::Registry;

/// Why a process does not start.
#[derive(Debug)]
pub enum StartError {
    /// The configuration cannot be used.
    Config(Diagnostics),
    /// It is valid, but cannot run here.
    Cannot(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(diagnostics) => diagnostics.fmt(f),
            Self::Cannot(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for StartError {}

/// Reads a configuration with the environment of this process.
pub(super) fn load(source: &Input) -> Result<Loaded, Diagnostics> {
    config::load(source, &|name| std::env::var(name).ok())
}

/// A configuration that can be used.
#[derive(Debug)]
pub struct Checked {
    /// What is not quite right with it.
    pub warnings: Vec<String>,
    /// The language it is in.
    pub format: Format,
    /// The files it stands in, absolute.
    pub texts: Vec<PathBuf>,
}

/// What `wayhold check` does: everything but binding.
pub fn check(source: &Input) -> Result<Checked, StartError> {
    let Loaded { config, warnings: said, format, texts, .. } =
        load(source).map_err(StartError::Config)?;
    let mut warnings = Vec::new();
    if !said.is_empty() {
        warnings.push(said.to_string());
    }
    let certificates =
        http::check(&config).map_err(|error| StartError::Cannot(error.to_string()))?;
    for (server, facts) in certificates {
        warnings.extend(facts.warnings(now(), &config.servers[server].names));
    }
    Ok(Checked { warnings, format, texts })
}

/// Whether the configuration asks to run in the background, and its error log's file.
pub fn daemon(source: &Input) -> Result<(bool, Option<PathBuf>), StartError> {
    let config = load(source).map_err(StartError::Config)?.config;
    Ok((config.daemon, config.error_log))
}

/// Runs until it is told to stop. `ready` is called when everything is bound and served.
pub fn run(source: &Input, ready: impl FnOnce()) -> Result<(), StartError> {
    // 1. The configuration.
    let Loaded { config, warnings, .. } = load(source).map_err(StartError::Config)?;
    let config = Arc::new(config);
    // 2. As many descriptors as we may have.
    raise_limit();
    // 3. The error log.
    let error_log = ErrorLog::global();
    error_log
        .configure(&config)
        .map_err(|error| StartError::Cannot(format!("the error log cannot be opened: {error}")))?;
    if !warnings.is_empty() {
        tracing::warn!(lines = %warnings);
    }
    // 4. The runtime, and everything in it.
    let (handle, running) = start_runtime(config.worker_processes)
        .map_err(|error| StartError::Cannot(format!("the runtime cannot start: {error}")))?;
    let result = handle.block_on(async {
        // Before anything is served: whoever sees us ready may send a signal.
        let signals = Signals::new();
        let mut process = Process::start(source, &config, error_log)?;
        ready();
        process.serve(signals).await;
        Ok(())
    });
    drop(running);
    result
}

/// The runtime of everything but tunnels; it ends when what is returned beside it is dropped. One
/// worker takes events in the order in which they came, as nginx's does; each of several takes what
/// was woken last first.
fn start_runtime(workers: usize) -> io::Result<(Handle, oneshot::Sender<Infallible>)> {
    let mut builder = match workers {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    let runtime = builder.worker_threads(workers).enable_all().build()?;
    let handle = runtime.handle().clone();
    let (running, ended) = oneshot::channel();
    std::thread::Builder::new().name("runtime".to_owned()).spawn(move || {
        // What it says is that the other end is gone.
        let _gone = runtime.block_on(ended);
        // Tasks that still wait for a client or a peer end here.
        runtime.shutdown_background();
    })?;
    Ok((handle, running))
}

fn raise_limit() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!("the limit of descriptors stays at {soft}: {error}");
    }
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

impl Process {
    fn start(
        source: &Input,
        config: &Arc<config::model::Config>,
        error_log: Arc<ErrorLog>,
    ) -> Result<Self, StartError> {
        let cannot = |what: &str, error: &dyn fmt::Display| {
            StartError::Cannot(format!("{what} cannot start: {error}"))
        };
        let metrics = Metrics::new(config.worker_processes);
        let losses = Arc::clone(&metrics);
        let log_writer = Writer::start(move |lines| losses.access_log_dropped(lines))
            .map_err(|e| cannot("the access log", &e))?;
        let shared = Shared {
            registry: Arc::new(Registry::new(Arc::clone(&metrics))),
            engine: Engine::start(config.worker_processes, &metrics, &Handle::current())
                .map_err(|e| cannot("the relay", &e))?,
            log_writer,
            zones: Arc::default(),
            pool: Arc::new(Pool::default()),
            tickets: tls::tickets().map_err(|e| cannot("TLS", &e))?,
            metrics,
        };
        // 5. What the configuration becomes: certificates, logs, tables.
        let generation = Generation::build(Arc::clone(config), 1, &shared)
            .map_err(|error| StartError::Cannot(error.to_string()))?;
        // 6. Every socket, before anything is served.
        let listeners = Listeners::default();
        let bound =
            listeners.bind(config).map_err(|error| StartError::Cannot(error.to_string()))?;
        // 7. The pid file.
        let pid = config.pid.as_deref().map(PidFile::write).transpose();
        let pid = pid.map_err(|error| {
            StartError::Cannot(format!("the pid file cannot be written: {error}"))
        })?;
        let watch = config.auto_reload.and_then(|_| match Watch::new() {
            Ok(watch) => Some(watch),
            Err(error) => {
                tracing::warn!("files cannot be watched, reload by HUP: {error}");
                None
            }
        });
        let mut process = Self {
            source: source.clone(),
            error_log,
            connections: Connections::new(config.worker_connections),
            generations: Arc::new(ArcSwap::from_pointee(generation)),
            shared,
            listeners,
            draining: channel::Sender::new(false),
            watch,
            fingerprint: fingerprint(&config.files, &config.include_dirs),
            coming: Coming::default(),
            revision: 1,
            pid,
        };
        // 8. Serving.
        process.follow(config, bound);
        process.tell_certificates();
        process.shared.metrics.config_loaded(true, 1);
        process.watch_files(config);
        tracing::info!(target: NOTICE, "wayhold {} is running", env!("CARGO_PKG_VERSION"));
        Ok(process)
    }

    /// Puts the certificates into the metrics, and what is wrong with them into the log.
    pub(super) fn tell_certificates(&self) {
        let generation = self.generations.load();
        let mut all = Vec::new();
        for (server, facts) in generation.certificates() {
            for warning in facts.warnings(now(), &server.names) {
                tracing::warn!("{warning}");
            }
            all.push((server.label.clone(), facts.subject.clone(), facts.not_after));
        }
        self.shared.metrics.set_certificates(&all);
    }

    pub(super) fn watch_files(&mut self, config: &config::model::Config) {
        if let Some(watch) = &mut self.watch {
            watch.set(&config.files, &config.include_dirs);
        }
    }
}
