//! Descriptors: when none is left, and a few that connections leave to everything else.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};

/// What connections leave to metrics, logs and reloads: a process whose `/healthz` does not answer
/// is killed, and all its tunnels with it.
const RESERVE: u64 = 16;

/// The limit of descriptors.
pub fn limit() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft)
}

/// Whether a connection has got one of the reserve: the kernel gives the lowest number that is
/// free, so the last ones mean that nearly all are taken.
pub fn is_reserved(connection: &impl AsFd) -> bool {
    // Asked for near the limit alone, where somebody may have raised it: a limit that was lowered
    // meanwhile shows when the kernel refuses.
    static KNOWN: AtomicU64 = AtomicU64::new(0);
    let fd = connection.as_fd().as_raw_fd();
    if !reaches(fd, KNOWN.load(Ordering::Relaxed)) {
        return false;
    }
    let limit = limit();
    KNOWN.store(limit, Ordering::Relaxed);
    reaches(fd, limit)
}

fn reaches(fd: i32, limit: u64) -> bool {
    u64::try_from(fd).is_ok_and(|fd| fd.saturating_add(RESERVE) >= limit)
}

/// The error of a connection that would take one of the reserve.
pub fn none_left() -> io::Error {
    Errno::EMFILE.into()
}

/// Whether an error says that the process or the system has no descriptor, or no memory for one.
pub fn is_exhausted(error: &io::Error) -> bool {
    let exhausted = [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM];
    error.raw_os_error().is_some_and(|code| exhausted.contains(&Errno::from_raw(code)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_reserved() {
        assert!(!reaches(1000, 1024));
        assert!(reaches(1008, 1024));
        assert!(!reaches(i32::MAX, u64::MAX));
        assert!(is_exhausted(&none_left()));
        assert!(!is_exhausted(&io::ErrorKind::ConnectionRefused.into()));
    }
}
