//! A file of a log, and what waits to be written to it.

use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::file::ReopenableFile;
use crate::config::model::LogBuffer;

/// Bytes gathered before they are written, while more lines wait.
const BATCH: usize = 64 * 1024;

/// One that logs share.
pub(super) type Shared = Arc<Mutex<Target>>;

/// See the module.
#[derive(Debug)]
pub(super) struct Target {
    file: ReopenableFile,
    buffer: Option<LogBuffer>,
    batch: Vec<u8>,
    lines: u64,
    /// When the first line of the batch has to be written.
    due: Option<Instant>,
    /// The last write failed, and that has been said.
    failing: bool,
    /// The file ends in the middle of a line.
    torn: bool,
}

impl Target {
    pub(super) fn open(path: &Path, buffer: Option<LogBuffer>) -> io::Result<Self> {
        let file = ReopenableFile::open(path)?;
        Ok(Self {
            file,
            buffer,
            batch: Vec::new(),
            lines: 0,
            due: None,
            failing: false,
            torn: false,
        })
    }

    pub(super) fn is_clean(&self) -> bool {
        self.batch.is_empty()
    }

    /// Adds a line; whether the batch is as long as it may become.
    pub(super) fn add(&mut self, line: &str) -> bool {
        if self.batch.is_empty() {
            let flush = self.buffer.and_then(|buffer| buffer.flush);
            self.due = flush.map(|time| Instant::now() + time);
        }
        self.batch.extend_from_slice(line.as_bytes());
        self.lines += 1;
        self.batch.len() >= self.buffer.map_or(BATCH, |buffer| buffer.size)
    }

    /// Whether its lines are gathered still.
    pub(super) fn waits(&self) -> bool {
        self.buffer.is_some() && self.due.is_none_or(|due| Instant::now() < due)
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Opens the file again under its name.
    pub(super) fn reopen(&mut self) {
        if let Err(error) = self.file.reopen() {
            let path = self.file.path().display();
            tracing::error!("the access log cannot be opened again: {path}: {error}");
        } else if self.file.is_empty() {
            self.torn = false;
        }
    }

    /// Whether the file is still the one of its name.
    pub(super) fn is_current(&self) -> bool {
        self.file.is_current()
    }

    pub(super) fn write_out(&mut self, lost: &dyn Fn(u64)) {
        let lines = std::mem::take(&mut self.lines);
        let batch = std::mem::take(&mut self.batch);
        self.due = None;
        let (whole, result) = match self.buffer.and_then(|buffer| buffer.gzip) {
            Some(level) => (0, self.write_compressed(&batch, level)),
            None => self.write_lines(&batch),
        };
        match result {
            Ok(()) => self.failing = false,
            Err(error) => {
                lost(lines.saturating_sub(whole));
                if !std::mem::replace(&mut self.failing, true) {
                    let path = self.file.path().display();
                    tracing::error!("the access log cannot be written: {path}: {error}");
                }
            }
        }
    }

    /// Each batch is a member of its own (RFC 1952 §2.2).
    fn write_compressed(&mut self, batch: &[u8], level: u32) -> io::Result<()> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
        encoder.write_all(batch)?;
        self.file.write_all(&encoder.finish()?)
    }

    /// Writes lines; gives back how many came through whole.
    fn write_lines(&mut self, batch: &[u8]) -> (u64, io::Result<()>) {
        let (written, result) = self.write(batch);
        if written > 0 {
            self.torn = batch[written - 1] != b'\n';
        }
        let whole = batch[..written].split(|byte| *byte == b'\n').count() - 1;
        (whole as u64, result)
    }

    /// Writes behind what is there; a line that a full disk has torn is ended first. Gives back how
    /// far it came.
    fn write(&mut self, batch: &[u8]) -> (usize, io::Result<()>) {
        if self.torn && !batch.is_empty() {
            match self.file.write_all(b"\n") {
                Ok(()) => self.torn = false,
                Err(error) => return (0, Err(error)),
            }
        }
        let mut written = 0;
        while written < batch.len() {
            match self.file.write(&batch[written..]) {
                Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
                Ok(more) => written += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (written, Err(error)),
            }
        }
        (written, Ok(()))
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
