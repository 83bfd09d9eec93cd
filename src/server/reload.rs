//! A new configuration: read, built and bound beside the old one, then swapped. Whatever is wrong
//! with it, the old one keeps running. Live tunnels never notice, but for the clocks and limits that
//! they follow.

use std::fmt;
use std::future::pending;
use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::listeners::{Bound, Purpose};
use super::start::load;
use super::watch::fingerprint;
use super::{NOTICE, Process, accept, endpoint};
use crate::config::Loaded;
use crate::config::diagnostic::Diagnostics;
use crate::config::model::Config;
use crate::http::Generation;

/// Files that never rest are looked at after so many times `auto_reload_delay`.
const LONGEST: u32 = 10;

/// A configuration as it was read, or what is wrong with it.
type Read = Result<Loaded, Diagnostics>;

/// A new configuration on its way. Nothing else waits for it, signals least of all.
#[derive(Debug, Default)]
pub(super) struct Coming {
    /// Files have changed; when they are looked at.
    settled: Option<Instant>,
    /// The latest that may become, however often they change meanwhile.
    latest: Option<Instant>,
    /// Being read, on a thread of its own: a name may take long to look up.
    reading: Option<JoinHandle<Read>>,
    /// Asked for once more since that began.
    again: bool,
}

/// What comes of it.
#[derive(Debug)]
pub(super) enum News {
    /// Changed files have had the time to settle.
    Settled,
    /// The configuration has been read.
    Read(Box<Read>),
}

impl Coming {
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn news(&mut self) -> News {
        loop {
            tokio::select! {
                () = at(self.settled) => {
                    (self.settled, self.latest) = (None, None);
                    return News::Settled;
                }
                result = joined(&mut self.reading) => {
                    self.reading = None;
                    match result {
                        Ok(read) => return News::Read(Box::new(read)),
                        Err(error) => tracing::error!("the configuration was not read: {error}"),
                    }
                }
            }
        }
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

async fn joined<T>(task: &mut Option<JoinHandle<T>>) -> Result<T, tokio::task::JoinError> {
    match task {
        Some(task) => task.await,
        None => pending().await,
    }
}

impl Process {
    /// Reads the configuration again; [`Process::take_over`] goes on.
    pub(super) fn reload(&mut self) {
        if self.coming.reading.is_some() {
            self.coming.again = true;
            return;
        }
        let old = self.config();
        // Taken before anything is read: what is written from now on is news.
        self.fingerprint = fingerprint(&old.files, &old.include_dirs);
        let source = self.source.clone();
        self.coming.reading = Some(tokio::task::spawn_blocking(move || load(&source)));
    }

    /// A configuration has been read: it runs from now on, or the old one goes on running.
    pub(super) fn take_over(&mut self, read: Read) {
        self.revision += 1;
        let old = self.config();
        match self.try_take_over(read) {
            Ok(()) => {
                self.shared.metrics.config_loaded(true, self.revision);
                tracing::info!(target: NOTICE, "configuration {} is running", self.revision);
            }
            Err(_) if self.read_too_early(&old) => {
                tracing::info!("files changed while they were read: they are read once more");
                self.files_changed();
            }
            Err(error) => {
                self.shared.metrics.config_loaded(false, self.revision);
                tracing::error!(
                    lines = %error,
                    "the new configuration is not used, the old one keeps running:"
                );
            }
        }
        let new = self.config();
        if new.files != old.files || new.include_dirs != old.include_dirs {
            self.fingerprint = fingerprint(&new.files, &new.include_dirs);
        }
        // Anew even if nothing changed: a directory may have been replaced by another.
        self.watch_files(&new);
        if std::mem::take(&mut self.coming.again) {
            self.reload();
        }
    }

    /// Whether somebody was writing while we read, so that what we saw was no configuration. They
    /// will be looked at again, and then read in any case.
    fn read_too_early(&mut self, config: &Config) -> bool {
        let now = fingerprint(&config.files, &config.include_dirs);
        let early = self.watch.is_some() && config.auto_reload.is_some() && now != self.fingerprint;
        if early {
            // Like nothing that stands there now: a change even if the old text comes back.
            self.fingerprint = !now;
        }
        early
    }

    fn try_take_over(&mut self, read: Read) -> Result<(), Box<dyn fmt::Display>> {
        let loaded = read.map_err(|error| Box::new(error) as Box<dyn fmt::Display>)?;
        if !loaded.warnings.is_empty() {
            tracing::warn!(lines = %loaded.warnings);
        }
        let old = self.config();
        let config = Arc::new(keep_fixed(loaded.config, &old));
        let built = Generation::build(Arc::clone(&config), self.revision, &self.shared);
        let generation = built.map_err(|error| Box::new(error) as Box<dyn fmt::Display>)?;
        let bound = self.listeners.bind(&config);
        let bound = bound.map_err(|error| Box::new(error) as Box<dyn fmt::Display>)?;
        if let Err(error) = self.error_log.configure(&config) {
            return Err(Box::new(format!("the error log cannot be opened: {error}")));
        }
        // From here on nothing fails.
        let policies = Arc::new(generation.policies());
        self.generations.store(Arc::new(generation));
        self.connections.set_max(config.worker_connections);
        self.shared.engine.set_policies(&policies);
        self.follow(&config, bound);
        self.tell_certificates();
        Ok(())
    }

    /// Starts new listeners, closes old ones.
    pub(super) fn follow(&mut self, config: &Config, bound: Bound) {
        let generations = Arc::clone(&self.generations);
        let (shared, connections) = (self.shared.clone(), Arc::clone(&self.connections));
        let draining = self.draining.subscribe();
        self.listeners.follow(config, bound, |purpose, addr, listener| {
            let series = shared.metrics.listener(&addr.to_string());
            let entrance = accept::Entrance {
                addr,
                generations: Arc::clone(&generations),
                shared: shared.clone(),
                connections: Arc::clone(&connections),
                series,
                draining: draining.clone(),
            };
            async move {
                match purpose {
                    Purpose::Service => accept::run(listener, entrance).await,
                    Purpose::Metrics => {
                        let accept::Entrance { generations, shared, draining, .. } = entrance;
                        endpoint::run(listener, generations, shared.metrics, draining).await;
                    }
                }
            }
        });
    }

    /// Something has happened where the files are. Editors and tools write in several steps: they
    /// are looked at when nothing more has happened for a while.
    pub(super) fn files_changed(&mut self) {
        if let Some(delay) = self.config().auto_reload {
            let now = Instant::now();
            let latest = *self.coming.latest.get_or_insert(now + delay * LONGEST);
            self.coming.settled = Some(latest.min(now + delay));
        }
    }

    /// Reloads if the files hold something else now.
    pub(super) fn look_at_files(&mut self) {
        let config = self.config();
        if let Some(watch) = &mut self.watch {
            watch.settle();
        }
        // Watched before they are read: nothing falls between.
        self.watch_files(&config);
        if fingerprint(&config.files, &config.include_dirs) != self.fingerprint {
            self.reload();
        }
    }
}

/// What only a restart changes keeps its value.
fn keep_fixed(mut new: Config, old: &Config) -> Config {
    if new.worker_processes != old.worker_processes {
        tracing::warn!("`worker_processes` changes with a restart only: {}", old.worker_processes);
        new.worker_processes = old.worker_processes;
    }
    if new.pid != old.pid {
        tracing::warn!("`pid` changes with a restart only");
        new.pid.clone_from(&old.pid);
    }
    new
}
