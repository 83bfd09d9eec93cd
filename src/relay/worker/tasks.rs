//! What a worker is called for: commands, tasks that were woken, openings whose turn it is.

use std::sync::atomic::Ordering;

use super::{Worker, from_token, to_token};
use crate::net::home::Home;
use crate::relay::openings::{Errand, Polled, Task};
use crate::ws::Side;

/// Openings that have their turn before frames have theirs.
const TURN: usize = 16;

impl Worker {
    /// What others have to say.
    pub(super) fn heed(&mut self) {
        self.commands();
        for token in self.bell.woken() {
            self.openings.call(token);
        }
    }

    /// Openings whose turn it is.
    pub(super) fn open(&mut self) {
        for _ in 0..TURN {
            let Some(token) = self.openings.next() else {
                return;
            };
            if let Polled::Over(errand) = self.openings.poll(token) {
                // It may have left a tunnel in its place.
                self.commands();
                self.tunnels.release(from_token(token).0);
                if errand == Errand::Opening {
                    self.counts.openings.fetch_sub(1, Ordering::Relaxed);
                }
            }
        }
    }

    pub(super) fn start(&mut self, task: Task, errand: Errand) {
        let key = self.tunnels.reserve();
        let tokens = Side::BOTH.map(|side| to_token(key, side));
        let home = Home::new(self.index, tokens, &self.registry, &self.bell);
        self.openings.add(home, task, errand);
    }
}
