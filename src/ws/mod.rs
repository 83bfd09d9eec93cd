//! One WebSocket without any I/O: bytes, ticks and commands in; bytes to write and an Ending out.
//! Whoever drives it (`relay`) owns the sockets and the clock.

pub mod cut;
pub mod frame;
pub mod handshake;
pub mod rules;
pub mod tunnel;

/// Milliseconds of a monotonic clock: the driver's, the same for both legs.
pub type Millis = u64;

/// A stamp that has not happened, or a deadline that never comes.
pub const NEVER: Millis = u64::MAX;

/// A leg of a tunnel. The stream that comes *from* a leg has the leg's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Side {
    /// The client's: its stream is direction *in*.
    Client = 0,
    /// The upstream's: its stream is direction *out*.
    Upstream = 1,
}

impl Side {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Client, Self::Upstream];

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Upstream,
            Self::Upstream => Self::Client,
        }
    }
}
