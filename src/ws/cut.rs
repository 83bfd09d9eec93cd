//! What becomes of a chunk on its way through: usually all of it goes on as it is, without a copy;
//! sometimes a range is left out or bytes of our own go in between.

/// A chunk, and the changes made to it so far.
///
/// Invariant: positions only grow from call to call.
#[derive(Debug)]
pub struct Cut<'a> {
    chunk: &'a [u8],
    /// What has been copied because of a change; empty until the first.
    out: &'a mut Vec<u8>,
    /// The run of the chunk that goes on and is not in `out` yet.
    run: std::ops::Range<usize>,
}

impl<'a> Cut<'a> {
    /// All of `chunk` goes on. `out` is scratch space, emptied.
    pub fn new(chunk: &'a [u8], out: &'a mut Vec<u8>) -> Self {
        out.clear();
        Self { chunk, out, run: 0..chunk.len() }
    }

    /// Bytes go in before position `at`.
    pub fn insert(&mut self, at: usize, bytes: &[u8]) {
        self.settle(at).extend_from_slice(bytes);
    }

    /// Settles everything before `at` and gives the buffer to append bytes of our own to.
    pub fn settle(&mut self, at: usize) -> &mut Vec<u8> {
        // The tail may have been removed already.
        let at = at.min(self.run.end);
        self.out.extend_from_slice(&self.chunk[self.run.start..at]);
        self.run.start = at;
        self.out
    }

    /// The bytes from `from` to `to` do not go on.
    pub fn remove(&mut self, from: usize, to: usize) {
        if from == to {
            return;
        }
        if to == self.run.end {
            self.run.end = from;
            return;
        }
        if from > self.run.start {
            self.settle(from);
        }
        self.run.start = to;
    }

    /// What goes on.
    pub fn finish(self) -> &'a [u8] {
        if self.out.is_empty() {
            return &self.chunk[self.run];
        }
        self.out.extend_from_slice(&self.chunk[self.run]);
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::Cut;

    #[test]
    fn an_untouched_chunk_is_not_copied() {
        let (chunk, mut out) = (b"abcdef".to_vec(), Vec::new());
        let kept = Cut::new(&chunk, &mut out).finish();
        assert_eq!(kept.as_ptr(), chunk.as_ptr());
        assert_eq!(kept, b"abcdef");
    }

    #[test]
    fn removing_at_either_end_does_not_copy() {
        let (chunk, mut out) = (b"abcdef".to_vec(), Vec::new());
        let mut cut = Cut::new(&chunk, &mut out);
        cut.remove(0, 2);
        cut.remove(5, 6);
        let kept = cut.finish();
        assert_eq!(kept.as_ptr(), chunk[2..].as_ptr());
        assert_eq!(kept, b"cde");
    }

    #[test]
    fn changes_in_the_middle_keep_the_order() {
        let mut out = b"left over".to_vec();
        let mut cut = Cut::new(b"abcdef", &mut out);
        cut.insert(1, b"XY");
        cut.remove(2, 3);
        cut.insert(4, b"Z");
        assert_eq!(cut.finish(), b"aXYbdZef");
    }

    #[test]
    fn bytes_may_go_in_behind_a_removed_tail() {
        let mut out = Vec::new();
        let mut cut = Cut::new(b"abcdef", &mut out);
        cut.remove(4, 6);
        cut.insert(6, b"X");
        cut.remove(6, 6);
        assert_eq!(cut.finish(), b"abcdX");
    }

    #[test]
    fn insertions_survive_the_removal_of_the_tail() {
        let mut out = Vec::new();
        let mut cut = Cut::new(b"abcdef", &mut out);
        cut.insert(3, b"X");
        cut.remove(3, 6);
        assert_eq!(cut.finish(), b"abcX");
    }
}
