//! The relay's clock, read once per batch of events. Hand-over relies on it being the kernel's
//! monotonic clock: it reads the same in every process.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::ws::Millis;

/// Microseconds of the monotonic clock.
pub(super) fn micros() -> u64 {
    // CLOCK_MONOTONIC exists on every Linux; an error would mean a broken kernel.
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
    now.as_secs() * 1_000_000 + u64::from(now.subsec_micros())
}

/// Milliseconds of the monotonic clock.
pub(super) fn millis() -> Millis {
    micros() / 1000
}
