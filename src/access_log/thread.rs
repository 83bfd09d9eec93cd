//! The thread that makes and writes the lines. They are gathered while more wait, and written when
//! none does, unless their log gathers them for longer.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, Weak};

use tokio::time::Instant;

use super::target::{Shared, Target, lock};
use super::told::Told;
use super::writer::{Job, Log, Place, Task};

/// The open files: those of fixed names, of which logs of equal path share one, and others.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) fixed: HashMap<PathBuf, Weak<Mutex<Target>>>,
    pub(super) told: Vec<Weak<Mutex<Told>>>,
}

pub(super) struct Thread<'t> {
    pub(super) files: &'t Mutex<Files>,
    /// See `Writer::reopen`.
    pub(super) again: &'t AtomicBool,
    pub(super) lost: &'t dyn Fn(u64),
    /// Files with lines that are not written.
    pub(super) dirty: Vec<Shared>,
}

impl Thread<'_> {
    pub(super) fn run(mut self, tasks: &Receiver<Task>) {
        loop {
            let first = match self.due() {
                None => tasks.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(due) => tasks.recv_timeout(due.saturating_duration_since(Instant::now())),
            };
            let mut next = match first {
                Ok(task) => Some(task),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            while let Some(task) = next {
                self.task(task);
                next = tasks.try_recv().ok();
            }
            self.write_out(false);
        }
        self.write_out(true);
    }

    /// When lines have waited for long enough.
    fn due(&self) -> Option<Instant> {
        self.dirty.iter().filter_map(|target| lock(target).due()).min()
    }

    fn task(&mut self, task: Task) {
        let overdue = self.again.swap(false, Ordering::Acquire);
        if overdue || matches!(task, Task::Reopen) {
            self.write_out(true);
            self.reopen();
        }
        match task {
            Task::Line(log, job) => self.add(&log, &job),
            Task::Reopen => {}
            Task::Flush(done) => {
                self.write_out(true);
                // Whoever asked may have stopped waiting.
                let _gone = done.send(());
            }
        }
    }

    fn add(&mut self, log: &Log, job: &Job) {
        let shared = match log.place() {
            Place::File(target) => Arc::clone(target),
            Place::Told(_, None) => return,
            Place::Told(files, Some(path)) => match lock(files).get(path) {
                Ok(target) => target,
                Err(error) => {
                    (self.lost)(1);
                    let path = path.display();
                    tracing::error!("the access log cannot be opened: {path}: {error}");
                    return;
                }
            },
        };
        let line = log.line(job);
        let mut target = lock(&shared);
        if target.is_clean() {
            self.dirty.push(Arc::clone(&shared));
        }
        if target.add(&line) {
            target.write_out(self.lost);
            self.dirty.retain(|other| !Arc::ptr_eq(other, &shared));
        }
    }

    /// Writes what waits; without `all` not what is gathered for a log that still needs its file.
    fn write_out(&mut self, all: bool) {
        let lost = self.lost;
        self.dirty.retain(|shared| {
            let mut target = lock(shared);
            let keep = !all && Arc::strong_count(shared) > 1 && target.waits();
            if !keep {
                target.write_out(lost);
            }
            keep
        });
    }

    fn reopen(&self) {
        let files = lock(self.files);
        let fixed: Vec<_> = files.fixed.values().filter_map(Weak::upgrade).collect();
        let told: Vec<_> = files.told.iter().filter_map(Weak::upgrade).collect();
        drop(files);
        for target in fixed {
            lock(&target).reopen();
        }
        for files in told {
            lock(&files).forget();
        }
    }
}
