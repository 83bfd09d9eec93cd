//! Pacing of a drain: how many are due by now when so many are to be finished evenly over a window.
//! Not here: what is finished, and how (`relay`, `server`).

use std::time::Duration;

/// A drain under way.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    start: u64,
    window: u64,
    total: usize,
    done: usize,
}

impl Pace {
    /// `total` are to be finished within `window`, from `now` on (milliseconds).
    pub fn new(now: u64, window: Duration, total: usize) -> Self {
        let window = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        Self { start: now, window, total, done: 0 }
    }

    /// How many more are due now. Each is told once.
    pub fn due(&mut self, now: u64) -> usize {
        let elapsed = now.saturating_sub(self.start);
        let by_now = if elapsed >= self.window {
            self.total
        } else {
            let share = self.total as u128 * u128::from(elapsed) / u128::from(self.window);
            // The first at once: one tunnel alone need not wait for the end of the window.
            usize::try_from(share).map_or(self.total, |share| (share + 1).min(self.total))
        };
        let due = by_now - self.done;
        self.done = by_now;
        due
    }

    /// Whether all have been told.
    pub const fn is_done(&self) -> bool {
        self.done == self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_spread_evenly_and_none_is_forgotten() {
        let mut pace = Pace::new(1_000, Duration::from_secs(10), 1_000);
        assert_eq!(pace.due(1_000), 1);
        assert_eq!(pace.due(2_000), 100);
        assert_eq!(pace.due(2_000), 0);
        assert_eq!(pace.due(2_010), 1);
        assert_eq!(pace.due(60_000), 898);
        assert!(pace.is_done());
        assert_eq!(pace.due(70_000), 0);
    }

    #[test]
    fn no_window_means_all_at_once() {
        assert_eq!(Pace::new(5, Duration::ZERO, 7).due(5), 7);
    }
}
