//! A new configuration: read, built and bound beside the old one, then swapped. Whatever is wrong
//! with it, the old one keeps running. Live tunnels never notice, but for the clocks and limits that
//! they follow.

use std::fmt;
use std::sync::Arc;

use super::listeners::{Bound, Purpose};
use super::start::load;
use super::watch::fingerprint;
use super::{NOTICE, Process, accept, endpoint};
use crate::config::model::Config;
use crate::http::Generation;

impl Process {
    /// Reads the configuration again.
    pub(super) fn reload(&mut self) {
        self.revision += 1;
        let old = self.config();
        // Taken before anything is read: what is written from now on is news.
        self.fingerprint = fingerprint(&old.files, &old.include_dirs);
        match self.try_reload() {
            Ok(()) => {
                self.shared.metrics.config_loaded(true, self.revision);
                tracing::info!(target: NOTICE, "configuration {} is running", self.revision);
            }
            Err(error) => {
                self.shared.metrics.config_loaded(false, self.revision);
                tracing::error!(
                    "the new configuration is not used, the old one keeps running:\n{error}"
                );
            }
        }
        let new = self.config();
        if new.files != old.files || new.include_dirs != old.include_dirs {
            self.fingerprint = fingerprint(&new.files, &new.include_dirs);
        }
        // Anew even if nothing changed: a directory may have been replaced by another.
        self.watch_files(&new);
    }

    fn try_reload(&mut self) -> Result<(), Box<dyn fmt::Display>> {
        let loaded =
            load(&self.source).map_err(|error| Box::new(error) as Box<dyn fmt::Display>)?;
        if !loaded.warnings.is_empty() {
            tracing::warn!("{}", loaded.warnings);
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

    /// Something has happened where the files are: reloads if they hold something else now.
    pub(super) async fn look_at_files(&mut self) {
        let config = self.config();
        let Some(delay) = config.auto_reload else {
            return;
        };
        // Editors and tools write in several steps.
        tokio::time::sleep(delay).await;
        if let Some(watch) = &mut self.watch {
            watch.settle();
        }
        if fingerprint(&config.files, &config.include_dirs) == self.fingerprint {
            self.watch_files(&config);
        } else {
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
