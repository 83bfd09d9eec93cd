//! A worker's tunnels are closed: paced, or all at once.

use std::time::Duration;

use super::Worker;
use crate::drain::Pace;
use crate::ending::Cause;
use crate::relay::slab::Key;
use crate::ws::tunnel::Context;

/// A drain under way: who is still to be closed, and how fast.
#[derive(Debug)]
pub(super) struct Drain {
    pace: Pace,
    rest: Vec<Key>,
}

impl Worker {
    /// Tunnels that are there now, evenly over `window`.
    pub(super) fn begin_draining(&mut self, window: Duration) {
        let rest = self.tunnels.keys();
        let pace = Pace::new(self.now, window, rest.len());
        self.drain = Some(Drain { pace, rest });
    }

    pub(super) fn go_on_draining(&mut self) {
        let Some(drain) = &mut self.drain else { return };
        for _ in 0..drain.pace.due(self.now) {
            // Those that ended by themselves used up their share of the window.
            let Some(key) = self.drain.as_mut().and_then(|drain| drain.rest.pop()) else {
                return;
            };
            self.eject(key, Cause::Drain);
            self.care(key);
        }
    }

    pub(super) fn eject(&mut self, key: Key, cause: Cause) {
        if let Some(carried) = self.tunnels.get_mut(key) {
            let cells = carried.series.cells(self.index);
            let cx = Context { now: self.now, policy: &carried.policy, cells };
            carried.tunnel.eject(cause, &cx);
        }
    }

    /// Fast shutdown: every leg that can take it is told.
    pub(super) fn eject_all(&mut self) {
        for key in self.tunnels.keys() {
            self.eject(key, Cause::Shutdown);
            self.care(key);
        }
    }
}
