//! How many bytes a peer may send before the end of its answer's head. hyper bounds a head, but skips
//! informational answers (1xx) for as long as they come, and does nothing else on its thread meanwhile.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// More than hyper's longest head (408 KiB) and what it reads ahead behind one.
const ROOM: usize = 1024 * 1024;
/// No answer is waited for, or it is there: bodies have no bound.
const UNBOUNDED: usize = usize::MAX;

/// Shared by a connection and whoever asks on it.
#[derive(Clone, Debug)]
pub(super) struct HeadRoom(Arc<Room>);

#[derive(Debug)]
struct Room {
    left: AtomicUsize,
    /// Bytes of the current request and answer: received, sent, and of the answer's body.
    bytes: [AtomicU64; 3],
}

impl HeadRoom {
    pub(super) fn new() -> Self {
        let left = AtomicUsize::new(UNBOUNDED);
        Self(Arc::new(Room { left, bytes: Default::default() }))
    }

    /// A request goes out: its answer's head has to fit.
    pub(super) fn start(&self) {
        self.0.left.store(ROOM, Ordering::Relaxed);
        for bytes in &self.0.bytes {
            bytes.store(0, Ordering::Relaxed);
        }
    }

    /// The head is there.
    pub(super) fn stop(&self) {
        self.0.left.store(UNBOUNDED, Ordering::Relaxed);
    }

    /// Bytes have been read; an error when there was no room for them.
    pub(super) fn take(&self, len: usize) -> io::Result<()> {
        self.0.bytes[0].fetch_add(len as u64, Ordering::Relaxed);
        let taken =
            self.0.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| match room {
                UNBOUNDED => Some(UNBOUNDED),
                room => room.checked_sub(len),
            });
        let endless = |_| io::Error::new(io::ErrorKind::InvalidData, "answers (1xx) without end");
        taken.map(|_| ()).map_err(endless)
    }

    /// Bytes are written.
    pub(super) fn gave(&self, len: usize) {
        self.0.bytes[1].fetch_add(len as u64, Ordering::Relaxed);
    }

    /// So many of them were not taken.
    pub(super) fn kept(&self, len: usize) {
        self.0.bytes[1].fetch_sub(len as u64, Ordering::Relaxed);
    }

    /// Bytes of the answer's body have been read.
    pub(super) fn body(&self, len: usize) {
        self.0.bytes[2].fetch_add(len as u64, Ordering::Relaxed);
    }

    /// Received, sent, of the body.
    pub(super) fn bytes(&self) -> [u64; 3] {
        std::array::from_fn(|at| self.0.bytes[at].load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_heads_are_bounded() {
        let room = HeadRoom::new();
        assert!(room.take(ROOM * 2).is_ok());
        room.start();
        assert!(room.take(ROOM).is_ok());
        assert!(room.take(1).is_err());
        room.stop();
        assert!(room.take(usize::MAX).is_ok());
        room.start();
        assert!(room.take(ROOM + 1).is_err());
    }
}
