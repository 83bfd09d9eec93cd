//! A log file that can be opened again under its name, after a rotation moved it away.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// An open log file.
#[derive(Debug)]
pub struct ReopenableFile {
    path: PathBuf,
    file: File,
}

impl ReopenableFile {
    /// Opens it for appending; creates it when it is missing.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: open(path)? })
    }

    /// Opens it again under its name. On failure the old file stays.
    pub fn reopen(&mut self) -> io::Result<()> {
        self.file = open(&self.path)?;
        Ok(())
    }

    /// Whether nothing stands in it.
    pub fn is_empty(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.len() == 0)
    }

    /// Whether its name still leads to it.
    pub(super) fn is_current(&self) -> bool {
        let same =
            |named: Metadata, own: Metadata| (named.dev(), named.ino()) == (own.dev(), own.ino());
        match (std::fs::metadata(&self.path), self.file.metadata()) {
            (Ok(named), Ok(own)) => same(named, own),
            _ => false,
        }
    }

    /// Its name.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Write for ReopenableFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}
