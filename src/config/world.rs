//! What a configuration asks of the machine: variables, files, names, limits. Passed in, so that
//! reading and checking a configuration stay pure.

use std::io::Read as _;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

/// The longest file that is taken for a configuration or a secret, in bytes.
const LONGEST: u64 = 16 << 20;

/// Connections when the kernel sets no limit to descriptors.
const UNLIMITED_DESCRIPTORS: u64 = 1 << 21;

/// The machine a configuration is for. Errors are the system's words, in lower case.
pub(super) trait World {
    /// An environment variable.
    fn env(&self, name: &str) -> Option<String>;
    /// The whole of a file.
    fn read(&self, path: &Path) -> Result<Vec<u8>, String>;
    /// Whether a file can be read.
    fn check_file(&self, path: &Path) -> Result<(), String>;
    /// The files that fit a pattern, sorted.
    fn glob(&self, pattern: &str) -> Result<Vec<PathBuf>, String>;
    /// The addresses of a host.
    fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String>;
    /// File descriptors this process may have.
    fn descriptors(&self) -> u64;
    /// Threads that can run at a time.
    fn parallelism(&self) -> usize;
}

/// This machine, with the environment that the caller passes in.
pub(super) struct ThisMachine<'a> {
    pub(super) env: &'a dyn Fn(&str) -> Option<String>,
}

impl World for ThisMachine<'_> {
    fn env(&self, name: &str) -> Option<String> {
        (self.env)(name)
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, String> {
        let file = std::fs::File::open(path).map_err(|error| words(&error))?;
        let mut bytes = Vec::new();
        file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(|error| words(&error))?;
        if bytes.len() as u64 > LONGEST {
            return Err("longer than 16 MiB".to_owned());
        }
        Ok(bytes)
    }

    fn check_file(&self, path: &Path) -> Result<(), String> {
        let metadata = std::fs::metadata(path).map_err(|error| words(&error))?;
        if metadata.is_dir() {
            return Err("is a directory".to_owned());
        }
        if metadata.is_file() {
            std::fs::File::open(path).map_err(|error| words(&error))?;
        }
        Ok(())
    }

    fn glob(&self, pattern: &str) -> Result<Vec<PathBuf>, String> {
        let options = glob::MatchOptions {
            require_literal_leading_dot: true,
            require_literal_separator: true,
            ..glob::MatchOptions::default()
        };
        let paths = glob::glob_with(pattern, options).map_err(|error| error.msg.to_owned())?;
        let mut found = Vec::new();
        for path in paths {
            found.push(path.map_err(|error| {
                format!("{}: {}", error.path().display(), words(error.error()))
            })?);
        }
        found.sort();
        Ok(found)
    }

    fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        let found = (host, port).to_socket_addrs().map_err(|error| words(&error))?;
        Ok(found.collect())
    }

    fn descriptors(&self) -> u64 {
        use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
        match getrlimit(Resource::RLIMIT_NOFILE) {
            Ok((_, hard)) if hard != RLIM_INFINITY => hard.min(UNLIMITED_DESCRIPTORS),
            _ => UNLIMITED_DESCRIPTORS,
        }
    }

    fn parallelism(&self) -> usize {
        std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
    }
}

/// A system error the way messages are written here: lower case, without the number.
fn words(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let text = text.strip_prefix("failed to lookup address information: ").unwrap_or(text);
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(text.chars().skip(1)).collect()
        }
        _ => text.to_owned(),
    }
}
