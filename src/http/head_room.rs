//! How many bytes a peer may send before the end of its answer's head. hyper bounds a head, but skips
//! informational answers (1xx) for as long as they come, and does nothing else on its thread meanwhile.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// More than hyper's longest head (408 KiB) and what it reads ahead behind one.
const ROOM: usize = 1024 * 1024;
/// No answer is waited for, or it is there: bodies have no bound.
const UNBOUNDED: usize = usize::MAX;

/// Shared by a connection and whoever asks on it.
#[derive(Clone, Debug)]
pub(super) struct HeadRoom(Arc<AtomicUsize>);

impl HeadRoom {
    pub(super) fn new() -> Self {
        Self(Arc::new(AtomicUsize::new(UNBOUNDED)))
    }

    /// A request goes out: its answer's head has to fit.
    pub(super) fn start(&self) {
        self.0.store(ROOM, Ordering::Relaxed);
    }

    /// The head is there.
    pub(super) fn stop(&self) {
        self.0.store(UNBOUNDED, Ordering::Relaxed);
    }

    /// Bytes have been read; an error when there was no room for them.
    pub(super) fn take(&self, len: usize) -> io::Result<()> {
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| match room {
            UNBOUNDED => Some(UNBOUNDED),
            room => room.checked_sub(len),
        });
        let endless = |_| io::Error::new(io::ErrorKind::InvalidData, "answers (1xx) without end");
        taken.map(|_| ()).map_err(endless)
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
