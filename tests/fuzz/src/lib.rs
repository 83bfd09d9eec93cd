//! What the fuzz targets share: bytes taken as decisions, and readers written a second time, as
//! plainly as can be, to compare the real ones with. Nothing here may use the code it judges.

pub mod digest;
pub mod http1;
pub mod places;
pub mod policy;
pub mod streams;
pub mod wire;

/// The fuzzer's bytes, taken one by one as decisions; zeroes when there are no more.
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    pub fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound
    }

    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// So many bytes, or what is left.
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Bytes with their length before them.
    pub fn short(&mut self, bound: usize) -> &'a [u8] {
        let len = self.below(bound);
        self.take(len)
    }

    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// The rest, with up to three bits of `trouble` put into it, or in place of a byte of it: where a
    /// good text must be spoilt at the right byte, random bytes seldom do it.
    pub fn spoilt(&mut self, trouble: &[&[u8]]) -> Vec<u8> {
        // Their place is taken even when they do nothing, so that a seed keeps its rest.
        let edits = [(); 3].map(|()| (self.below(3), usize::from(self.u16()), self.pick(trouble)));
        let mut bytes = self.rest().to_vec();
        for (how, at, trouble) in edits.into_iter().filter(|(how, ..)| *how > 0) {
            let at = at % (bytes.len() + 1);
            let end = (at + how - 1).min(bytes.len());
            bytes.splice(at..end, trouble.iter().copied());
        }
        bytes
    }
}

/// Cuts bytes into pieces of these sizes, over and over.
pub fn pieces<'a>(bytes: &'a [u8], sizes: &[u8]) -> Vec<&'a [u8]> {
    let mut rest = bytes;
    let mut sizes = sizes.iter().map(|size| usize::from(*size).max(1)).cycle();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let size = sizes.next().unwrap_or(1).min(rest.len());
        let (piece, later) = rest.split_at(size);
        found.push(piece);
        rest = later;
    }
    found
}
