//! Deadlines of many tunnels, coarse and lazy: a tunnel is filed once, and when its deadline comes
//! round its stamps are compared and it is filed again. Pure: the time is passed in.

use crate::ws::{Millis, NEVER};

/// Milliseconds of a slot.
const GRAIN: Millis = 50;
/// Slots: the wheel looks this many grains ahead. Later deadlines come by to be filed again.
const SLOTS: u64 = 2048;

/// A filed deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Which tunnel.
    pub(super) key: super::slab::Key,
    /// When; a tunnel that has been filed anew since then ignores this entry.
    pub(super) due: Millis,
}

/// The wheel.
#[derive(Debug)]
pub(super) struct Wheel {
    slots: Vec<Vec<Entry>>,
    /// The next grain to be looked at.
    next: u64,
    filed: usize,
}

impl Wheel {
    pub(super) fn new(now: Millis) -> Self {
        Self { slots: vec![Vec::new(); SLOTS as usize], next: now / GRAIN, filed: 0 }
    }

    /// Files a deadline; one that never comes is not filed.
    pub(super) fn file(&mut self, entry: Entry) {
        if entry.due == NEVER {
            return;
        }
        // Rounded up: a deadline is never looked at before its time.
        let grain = entry.due.div_ceil(GRAIN).clamp(self.next, self.next + SLOTS - 1);
        self.slots[(grain % SLOTS) as usize].push(entry);
        self.filed += 1;
    }

    /// Appends what is due to `due`.
    pub(super) fn expire(&mut self, now: Millis, due: &mut Vec<Entry>) {
        let last = now / GRAIN;
        while self.next <= last && self.filed > 0 {
            // Taken, not drained: an idle slot keeps no memory.
            let slot = std::mem::take(&mut self.slots[(self.next % SLOTS) as usize]);
            self.next += 1;
            self.filed -= slot.len();
            for entry in slot {
                if entry.due <= now {
                    due.push(entry);
                } else {
                    self.file(entry);
                }
            }
        }
        self.next = self.next.max(last + 1);
    }

    /// Milliseconds until there may be something due; `None` when nothing is filed.
    pub(super) fn wait(&self, now: Millis) -> Option<Millis> {
        if self.filed == 0 {
            return None;
        }
        let ahead = (0..SLOTS).find(|ahead| {
            let slot = (self.next + ahead) % SLOTS;
            !self.slots[slot as usize].is_empty()
        })?;
        Some(((self.next + ahead) * GRAIN).saturating_sub(now).max(1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::relay::slab::Key;

    proptest! {
        #[test]
        fn every_deadline_comes_once_and_never_early(
            dues in prop::collection::vec(0u64..500_000, 1..50),
            steps in prop::collection::vec(1u64..5_000, 1..400),
        ) {
            let mut wheel = Wheel::new(0);
            for (index, due) in (0..).zip(&dues) {
                wheel.file(Entry { key: Key { index, generation: 0 }, due: *due });
            }
            let (mut now, mut seen) = (0, vec![0; dues.len()]);
            for step in steps.iter().chain(&[600_000]) {
                now += step;
                let mut due = Vec::new();
                wheel.expire(now, &mut due);
                for entry in due {
                    prop_assert!(entry.due <= now);
                    prop_assert!(now - entry.due <= step + GRAIN);
                    seen[entry.key.index as usize] += 1;
                }
            }
            prop_assert!(seen.iter().all(|n| *n == 1));
            prop_assert_eq!(wheel.wait(now), None);
        }
    }

    #[test]
    fn the_wait_ends_at_the_first_deadline() {
        let mut wheel = Wheel::new(1_000);
        wheel.file(Entry { key: Key { index: 0, generation: 0 }, due: 3_010 });
        let wait = wheel.wait(1_000).unwrap();
        assert!((2_010..2_010 + 2 * GRAIN).contains(&wait), "{wait}");
    }
}
