//! The guard's state machine as `tests/fuzz` sees it. It is compiled by cargo-fuzz alone
//! (`--cfg fuzzing`), so that the library's own face stays as it is.

use super::framing::{self, Framing, Limits};

/// What to do with the bytes at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many bytes go on.
    Release(usize),
    /// So many bytes are left out.
    Skip(usize),
    /// More bytes are needed.
    More,
    /// A request for a WebSocket has been let through.
    Hold,
    /// The connection ends here.
    Refuse,
}

/// The framing of one connection.
#[derive(Clone, Debug)]
pub struct Guarded(Framing);

impl Guarded {
    /// With these limits of a head.
    pub const fn new(head_size: usize, fields: usize) -> Self {
        Self(Framing::new(Limits { head_size, fields, lenient: false, other_upgrades: false }))
    }

    /// Looks at the bytes that have come and not been released or skipped.
    pub fn step(&mut self, bytes: &[u8]) -> Step {
        match self.0.step(bytes) {
            framing::Step::Release(len) => Step::Release(len),
            framing::Step::Skip(len) => Step::Skip(len),
            framing::Step::More => Step::More,
            framing::Step::Hold => Step::Hold,
            framing::Step::Refuse(_) => Step::Refuse,
        }
    }
}
