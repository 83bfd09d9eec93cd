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

    pub(super) fn insert(&mut self, value: T) -> Key {
        if let Some(index) = self.free.pop() {
            let slot = &mut self.chunks[index as usize / CHUNK][index as usize % CHUNK];
            slot.value = Some(value);
            return Key { index, generation: slot.generation };
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let chunks = self.chunks.len();
        let chunk = &mut self.chunks[chunks - 1];
        let index = ((chunks - 1) * CHUNK + chunk.len()) as u32;
        chunk.push(Slot { generation: 0, value: Some(value) });
        Key { index, generation: 0 }
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let index = key.index as usize;
        let slot = self.chunks.get_mut(index / CHUNK)?.get_mut(index % CHUNK)?;
        if slot.generation == key.generation { slot.value.as_mut() } else { None }
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        let index = key.index as usize;
        let slot = self.chunks.get_mut(index / CHUNK)?.get_mut(index % CHUNK)?;
        if slot.generation != key.generation {
            return None;
        }
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
