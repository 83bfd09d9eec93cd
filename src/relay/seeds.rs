//! Random words for tunnels: ping payloads and masking keys. They are taken from the kernel many at
//! a time, as each call costs more than what a tunnel needs.

/// Words taken at once: 256 bytes come from the kernel uninterrupted.
const WORDS: usize = 32;

/// A worker's stock of random words, each given out once.
#[derive(Debug)]
pub(super) struct Seeds {
    words: [u64; WORDS],
    left: usize,
}

impl Seeds {
    pub(super) const fn new() -> Self {
        Self { words: [0; WORDS], left: 0 }
    }

    /// The next two.
    pub(super) fn next(&mut self) -> [u64; 2] {
        if self.left < 2 {
            let mut bytes = [0; WORDS * 8];
            // Without the kernel's random numbers the tunnel still works; its pings can be guessed.
            let _filled = getrandom::fill(&mut bytes);
            for (word, bytes) in self.words.iter_mut().zip(bytes.as_chunks::<8>().0) {
                *word = u64::from_ne_bytes(*bytes);
            }
            self.left = WORDS;
        }
        self.left -= 2;
        // What is given out is not kept.
        [std::mem::take(&mut self.words[self.left]), std::mem::take(&mut self.words[self.left + 1])]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_comes_twice() {
        let mut seeds = Seeds::new();
        let mut seen: Vec<u64> = (0..WORDS * 2).flat_map(|_| seeds.next()).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), WORDS * 4);
    }
}
