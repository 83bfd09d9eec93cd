//! Where a worker keeps its tunnels: in chunks, so that a growing number never moves them, and
//! under keys that go stale when a tunnel ends.

/// Slots of a chunk.
const CHUNK: usize = 256;

/// A tunnel's place; stale once the tunnel is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) index: u32,
    pub(super) generation: u32,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

/// The tunnels.
#[derive(Debug)]
pub(super) struct Slab<T> {
    chunks: Vec<Vec<Slot<T>>>,
    free: Vec<u32>,
}

impl<T> Slab<T> {
    pub(super) const fn new() -> Self {
        Self { chunks: Vec::new(), free: Vec::new() }
    }

    /// A place for what may come; nobody is there yet.
    pub(super) fn reserve(&mut self) -> Key {
        if let Some(index) = self.free.pop() {
            let slot = &self.chunks[index as usize / CHUNK][index as usize % CHUNK];
            return Key { index, generation: slot.generation };
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let chunks = self.chunks.len();
        let chunk = &mut self.chunks[chunks - 1];
        let index = ((chunks - 1) * CHUNK + chunk.len()) as u32;
        chunk.push(Slot { generation: 0, value: None });
        Key { index, generation: 0 }
    }

    /// Takes a place that was reserved.
    pub(super) fn fill(&mut self, key: Key, value: T) {
        if let Some(slot) = self.slot(key) {
            slot.value = Some(value);
        }
    }

    /// Gives a place back that was reserved, unless somebody is there, or was.
    pub(super) fn release(&mut self, key: Key) {
        if let Some(slot) = self.slot(key)
            && slot.value.is_none()
        {
            slot.generation = slot.generation.wrapping_add(1);
            self.free.push(key.index);
        }
    }

    fn slot(&mut self, key: Key) -> Option<&mut Slot<T>> {
        let index = key.index as usize;
        let slot = self.chunks.get_mut(index / CHUNK)?.get_mut(index % CHUNK)?;
        (slot.generation == key.generation).then_some(slot)
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        self.slot(key)?.value.as_mut()
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        let slot = self.slot(key)?;
        let value = slot.value.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(key.index);
        Some(value)
    }

    /// The keys of all, in no order that means anything.
    pub(super) fn keys(&self) -> Vec<Key> {
        let slots = self.chunks.iter().flatten().zip(0..);
        slots
            .filter(|(slot, _)| slot.value.is_some())
            .map(|(slot, index)| Key { index, generation: slot.generation })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl<T> Slab<T> {
        fn insert(&mut self, value: T) -> Key {
            let key = self.reserve();
            self.fill(key, value);
            key
        }
    }

    #[test]
    fn a_key_goes_stale_with_its_tunnel() {
        let mut slab = Slab::new();
        let first = slab.insert("a");
        assert_eq!(slab.remove(first), Some("a"));
        let second = slab.insert("b");
        assert_eq!(first.index, second.index);
        assert_eq!(slab.get_mut(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.get_mut(second), Some(&mut "b"));
    }

    #[test]
    fn a_place_is_kept_for_who_may_come() {
        let mut slab = Slab::new();
        let (came, stayed_away) = (slab.reserve(), slab.reserve());
        assert_eq!(slab.get_mut(came), None);
        slab.fill(came, "a");
        slab.release(came);
        slab.release(stayed_away);
        slab.release(stayed_away);
        assert_eq!(slab.get_mut(came), Some(&mut "a"));
        assert_eq!(slab.keys(), vec![came]);
        assert_eq!(slab.insert("b").index, stayed_away.index);
        assert_eq!(slab.insert("c").index, 2);
        slab.fill(stayed_away, "late");
        assert_eq!(slab.get_mut(stayed_away), None);
    }

    #[test]
    fn chunks_fill_up_and_places_are_used_again() {
        let mut slab = Slab::new();
        let keys: Vec<_> = (0..=CHUNK * 2).map(|n| slab.insert(n)).collect();
        for key in &keys[..10] {
            slab.remove(*key);
        }
        assert_eq!(slab.keys().len(), CHUNK * 2 - 9);
        assert!((slab.insert(0).index as usize) < CHUNK);
    }
}
