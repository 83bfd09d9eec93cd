//! How many connections there may be, and how many requests and tunnels of one key, and how often.

mod places;
pub mod rate;
mod zones;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub use places::Taken;
pub use zones::{RateAsked, Zones};

/// `worker_connections`, counted over the process.
#[derive(Debug)]
pub struct Connections {
    max: AtomicUsize,
    active: AtomicUsize,
}

/// One connection's place; given back on drop.
#[derive(Debug)]
pub struct Permit(Arc<Connections>);

impl Connections {
    /// At most `max` at once.
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max: AtomicUsize::new(max), active: AtomicUsize::new(0) })
    }

    /// A reload changed the limit; those that are in stay.
    pub fn set_max(&self, max: usize) {
        self.max.store(max, Ordering::Relaxed);
    }

    /// Connections now.
    pub fn active(&self) -> usize {
        self.active.load(Ordering::Relaxed)
    }

    /// A place, or `None` when all are taken.
    pub fn admit(self: &Arc<Self>) -> Option<Permit> {
        let max = self.max.load(Ordering::Relaxed);
        self.active
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < max).then_some(n + 1))
            .ok()
            .map(|_| Permit(Arc::clone(self)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}
