//! `limit_conn`: how many requests and tunnels of one key there are at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The keys of one zone that have somebody in.
#[derive(Debug)]
pub(super) struct Places {
    taken: Mutex<HashMap<Box<[u8]>, usize>>,
    /// How many keys there may be.
    capacity: usize,
}

/// A place; given back on drop. A tunnel keeps its own until it ends.
#[derive(Debug)]
pub struct Taken {
    places: Arc<Places>,
    key: Box<[u8]>,
}

impl Places {
    /// For so many keys at most.
    pub(super) fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self { taken: Mutex::default(), capacity: capacity.max(1) })
    }

    /// One more of this key; `None` when `limit` are in already, or the zone is full.
    pub(super) fn take(self: &Arc<Self>, key: &[u8], limit: usize) -> Option<Taken> {
        let mut taken = self.lock();
        let full = taken.len() >= self.capacity;
        match taken.get_mut(key) {
            Some(count) if *count >= limit => return None,
            Some(count) => *count += 1,
            None if full => return None,
            None => {
                taken.insert(key.into(), 1);
            }
        }
        Some(Taken { places: Arc::clone(self), key: key.into() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<[u8]>, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        if let Some(count) = taken.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_places() {
        let places = Places::new(9);
        let first = places.take(b"a", 1).unwrap();
        assert!(places.take(b"a", 1).is_none());
        let other = places.take(b"b", 1).unwrap();
        drop(first);
        assert!(places.take(b"a", 1).is_some());
        drop(other);
        assert!(places.lock().is_empty(), "a key that nobody holds is forgotten");
    }

    #[test]
    fn a_lower_limit_cuts_nobody() {
        let places = Places::new(9);
        let held: Vec<_> = (0..3).map(|_| places.take(b"a", 3).unwrap()).collect();
        assert!(places.take(b"a", 1).is_none());
        drop(held);
        assert!(places.take(b"a", 1).is_some());
    }

    #[test]
    fn a_full_zone_takes_no_new_key() {
        let places = Places::new(1);
        let held = places.take(b"a", 2).unwrap();
        assert!(places.take(b"b", 2).is_none());
        assert!(places.take(b"a", 2).is_some());
        drop(held);
    }
}
