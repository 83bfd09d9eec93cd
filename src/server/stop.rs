//! The end: graceful (QUIT), drained (TERM) or fast (INT).

use std::time::Duration;

use tokio::time::Instant;

use super::{NOTICE, Process};

/// How often it is looked at whether all is done.
pub(super) const STEP: Duration = Duration::from_millis(50);
/// Of the time that a drain has, the part over which Closes are spread (percent).
const SPREAD: u32 = 80;
/// What tunnels have to answer a Close that comes at the very end.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A stop under way.
#[derive(Debug)]
pub(super) struct Stopping {
    /// When tunnels that are left are told to close.
    close_at: Option<Instant>,
    /// When whatever is left is ended.
    end_at: Option<Instant>,
}

impl Process {
    /// QUIT: no new connections, requests finish, tunnels stay until they end by themselves, or
    /// until `worker_shutdown_timeout`.
    pub(super) fn stop_gracefully(&mut self) -> Stopping {
        tracing::info!(target: NOTICE, "stopping gracefully");
        self.close_entrance();
        let timeout = self.config().worker_shutdown_timeout;
        let close_at = timeout.map(|timeout| Instant::now() + timeout);
        Stopping { close_at, end_at: close_at.map(|at| at + LAST_WORDS) }
    }

    /// TERM: no new connections, requests finish, tunnels are closed one after the other within
    /// `shutdown_timeout`.
    pub(super) fn drain(&mut self) -> Stopping {
        tracing::info!(target: NOTICE, "draining");
        self.close_entrance();
        let timeout = self.config().shutdown_timeout;
        self.shared.engine.drain(timeout * SPREAD / 100);
        Stopping { close_at: None, end_at: Some(Instant::now() + timeout) }
    }

    /// `/readyz` fails first, then nobody comes in any more.
    fn close_entrance(&mut self) {
        self.draining.send_replace(true);
        self.listeners.close_services();
    }

    /// Whether a stop has come to its end.
    pub(super) fn is_done(&self, stopping: &mut Stopping) -> bool {
        let now = Instant::now();
        self.shared.metrics.set_draining(true, self.shared.engine.tunnels());
        if stopping.close_at.is_some_and(|at| now >= at) {
            stopping.close_at = None;
            self.shared.engine.drain(Duration::ZERO);
        }
        self.connections.active() == 0 || stopping.end_at.is_some_and(|at| now >= at)
    }

    /// Ends what is left, writes what is to be written.
    pub(super) fn finish(&mut self) {
        self.listeners.close_services();
        self.shared.engine.stop();
        self.shared.log_writer.flush();
        self.pid = None;
    }
}
