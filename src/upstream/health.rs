//! Passive health, as nginx keeps it: `max_fails` failures within `fail_timeout` make a peer
//! unavailable for `fail_timeout`, then one attempt tells. Pure: the time is passed in.

use std::time::Duration;

use tokio::time::Instant;

/// What is known of a peer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Health {
    fails: u32,
    /// The last failure that counted.
    failed_at: Option<Instant>,
    /// When it was last tried although failed.
    probed_at: Option<Instant>,
}

impl Health {
    /// Whether so many failures have marked it.
    pub(super) const fn is_marked(&self, max_fails: u32) -> bool {
        max_fails > 0 && self.fails >= max_fails
    }

    /// Whether it may be picked.
    pub(super) fn is_available(
        &self,
        max_fails: u32,
        fail_timeout: Duration,
        now: Instant,
    ) -> bool {
        if !self.is_marked(max_fails) {
            return true;
        }
        let since = |at: Option<Instant>| at.is_none_or(|at| now.duration_since(at) > fail_timeout);
        since(self.failed_at) && since(self.probed_at)
    }

    /// It is picked: if it has failed before, this is the attempt that tells.
    pub(super) fn picked(&mut self, max_fails: u32, now: Instant) {
        if self.is_marked(max_fails) {
            self.probed_at = Some(now);
        }
    }

    /// It failed. Says whether this made it unavailable.
    pub(super) fn failed(&mut self, max_fails: u32, fail_timeout: Duration, now: Instant) -> bool {
        if self.failed_at.is_some_and(|at| now.duration_since(at) > fail_timeout) {
            // Failures that are further apart do not add up; one that was marked stays so.
            self.fails = if self.fails >= max_fails { max_fails.saturating_sub(1) } else { 0 };
        }
        self.fails = self.fails.saturating_add(1);
        self.failed_at = Some(now);
        max_fails > 0 && self.fails == max_fails
    }

    /// It answered. Says whether this made it available again. Failures of the last `fail_timeout` that
    /// have not marked it count on, as in nginx.
    pub(super) fn succeeded(
        &mut self,
        max_fails: u32,
        fail_timeout: Duration,
        now: Instant,
    ) -> bool {
        let was_failed = self.is_marked(max_fails);
        let long_ago = self.failed_at.is_none_or(|at| now.duration_since(at) > fail_timeout);
        if was_failed || long_ago {
            *self = Self::default();
        }
        was_failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn failures_within_the_time_make_it_unavailable() {
        let mut health = Health::default();
        assert!(!health.failed(2, TIMEOUT, Instant::now()));
        tokio::time::advance(Duration::from_secs(9)).await;
        assert!(health.is_available(2, TIMEOUT, Instant::now()));
        assert!(health.failed(2, TIMEOUT, Instant::now()));
        assert!(!health.is_available(2, TIMEOUT, Instant::now()));
        tokio::time::advance(Duration::from_secs(11)).await;
        assert!(health.is_available(2, TIMEOUT, Instant::now()), "one attempt tells");
        health.picked(2, Instant::now());
        assert!(!health.is_available(2, TIMEOUT, Instant::now()), "and only one");
        assert!(health.failed(2, TIMEOUT, Instant::now()));
        assert!(!health.is_available(2, TIMEOUT, Instant::now()));
        assert!(health.succeeded(2, TIMEOUT, Instant::now()));
        assert!(health.is_available(2, TIMEOUT, Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_between_does_not_make_failures_forgotten() {
        let mut health = Health::default();
        for _ in 0..2 {
            assert!(!health.failed(3, TIMEOUT, Instant::now()));
            assert!(!health.succeeded(3, TIMEOUT, Instant::now()));
        }
        assert!(health.failed(3, TIMEOUT, Instant::now()));
        let mut health = Health::default();
        assert!(!health.failed(2, TIMEOUT, Instant::now()));
        tokio::time::advance(Duration::from_secs(11)).await;
        assert!(!health.succeeded(2, TIMEOUT, Instant::now()));
        assert!(!health.failed(2, TIMEOUT, Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn failures_far_apart_do_not_add_up() {
        let mut health = Health::default();
        for _ in 0..5 {
            assert!(!health.failed(2, TIMEOUT, Instant::now()));
            tokio::time::advance(Duration::from_secs(11)).await;
        }
        assert!(health.is_available(2, TIMEOUT, Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn zero_never_marks() {
        let mut health = Health::default();
        for _ in 0..9 {
            assert!(!health.failed(0, TIMEOUT, Instant::now()));
        }
        assert!(health.is_available(0, TIMEOUT, Instant::now()));
    }
}
