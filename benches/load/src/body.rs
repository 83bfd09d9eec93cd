//! What messages are made of, so that each can be told from every other, and the check of what came
//! back. A body begins with a mark (the connection's number and the message's, 8 bytes each) and
//! goes on with a piece of one random pool; the mark chooses the piece.

use std::sync::LazyLock;

/// The least size of a body: its mark.
pub const MARK: usize = 16;

const POOL: usize = 1 << 20;
/// Pieces begin at one of this many places.
const STARTS: usize = 1 << 16;

/// Random bytes, the same in every run; longer by the longest offset, so that pieces of up to a
/// pool's length need not wrap.
static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes: Vec<u8> = Vec::with_capacity(POOL + STARTS);
    while bytes.len() < POOL {
        state = mix(state.wrapping_add(0x9e37_79b9_7f4a_7c15));
        bytes.extend_from_slice(&state.to_ne_bytes());
    }
    bytes.extend_from_within(..STARTS);
    bytes
});

fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn mark(conn: u64, number: u64) -> [u8; MARK] {
    let mut mark = [0; MARK];
    mark[..8].copy_from_slice(&conn.to_be_bytes());
    mark[8..].copy_from_slice(&number.to_be_bytes());
    mark
}

/// The slice of the pool at byte `at` of a body's second part, as long as it goes.
fn pool(conn: u64, number: u64, at: usize) -> &'static [u8] {
    let start = mix(conn << 32 ^ number) as usize % STARTS;
    &BYTES[start..start + POOL][at % POOL..]
}

/// Appends body `number` of connection `conn`.
pub fn put(out: &mut Vec<u8>, conn: u64, number: u64, size: usize) {
    out.extend_from_slice(&mark(conn, number));
    let mut at = 0;
    while at < size - MARK {
        let piece = pool(conn, number, at);
        let take = piece.len().min(size - MARK - at);
        out.extend_from_slice(&piece[..take]);
        at += take;
    }
}

/// Faults by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Wrong bytes, a wrong length, or another connection's message.
    pub corrupt: u64,
    /// Messages that were skipped when a later one came.
    pub skipped: u64,
    /// Messages that came again, or after a later one.
    pub repeated: u64,
}

impl Faults {
    pub fn add(&mut self, other: Self) {
        self.corrupt += other.corrupt;
        self.skipped += other.skipped;
        self.repeated += other.repeated;
    }

    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Checks the bodies that come back on one connection, in the pieces they come in.
pub struct Checker {
    conn: u64,
    size: usize,
    /// The message that is due.
    due: u64,
    /// The body under way: its mark, how much of it came, whether it was right so far.
    mark: [u8; MARK],
    at: usize,
    right: bool,
    pub faults: Faults,
}

impl Checker {
    pub fn new(conn: u64, size: usize) -> Self {
        Self { conn, size, due: 0, mark: [0; MARK], at: 0, right: true, faults: Faults::default() }
    }

    pub fn piece(&mut self, mut bytes: &[u8]) {
        if self.at < MARK {
            let take = (MARK - self.at).min(bytes.len());
            self.mark[self.at..self.at + take].copy_from_slice(&bytes[..take]);
            self.at += take;
            bytes = &bytes[take..];
        }
        while !bytes.is_empty() {
            let piece = pool(self.conn, self.number(), self.at - MARK);
            let take = piece.len().min(bytes.len());
            self.right &= piece[..take] == bytes[..take];
            self.at += take;
            bytes = &bytes[take..];
        }
    }

    /// The body is complete: true when it was the one that was due.
    pub fn end(&mut self) -> bool {
        let number = self.number();
        let right = self.right && self.at == self.size && self.mark[..8] == self.conn.to_be_bytes();
        (self.at, self.right) = (0, true);
        if !right {
            self.faults.corrupt += 1;
            // It stands for the one that was due.
            self.due += 1;
            return false;
        }
        if number < self.due {
            self.faults.repeated += 1;
            return false;
        }
        self.faults.skipped += number - self.due;
        let in_order = number == self.due;
        self.due = number + 1;
        in_order
    }

    /// The number that the mark claims.
    fn number(&self) -> u64 {
        let mut number = [0; 8];
        number.copy_from_slice(&self.mark[8..]);
        u64::from_be_bytes(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(conn: u64, number: u64, size: usize) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, conn, number, size);
        out
    }

    fn feed(checker: &mut Checker, body: &[u8], step: usize) -> bool {
        body.chunks(step).for_each(|piece| checker.piece(piece));
        checker.end()
    }

    #[test]
    fn what_was_sent_is_right_in_any_pieces() {
        for size in [MARK, MARK + 1, 64, 1000, POOL, 2 * POOL + 77] {
            let mut checker = Checker::new(7, size);
            for (number, step) in [1021, 16, size].into_iter().enumerate() {
                assert!(feed(&mut checker, &body(7, number as u64, size), step), "{size} {step}");
            }
            assert!(checker.faults.is_none());
        }
    }

    #[test]
    fn one_wrong_byte_anywhere_is_found() {
        for at in 0..64 {
            let mut wrong = body(7, 0, 64);
            wrong[at] ^= 1;
            let mut checker = Checker::new(7, 64);
            assert!(!feed(&mut checker, &wrong, 64));
            assert_eq!(checker.faults.corrupt, 1, "byte {at}");
        }
    }

    #[test]
    fn wrong_lengths_and_other_connections_are_corrupt() {
        let mut checker = Checker::new(7, 64);
        assert!(!feed(&mut checker, &body(7, 0, 64)[..63], 64));
        assert!(!feed(&mut checker, &body(7, 1, 65), 64));
        assert!(!feed(&mut checker, &[], 64));
        assert!(!feed(&mut checker, &body(8, 3, 64), 64));
        assert_eq!(checker.faults, Faults { corrupt: 4, ..Faults::default() });
        assert!(feed(&mut checker, &body(7, 4, 64), 64));
    }

    #[test]
    fn order_and_completeness_are_checked() {
        let mut checker = Checker::new(7, 64);
        let mut right = |number| feed(&mut checker, &body(7, number, 64), 64);
        assert!(right(0));
        assert!(!right(3), "1 and 2 were skipped");
        assert!(!right(1), "late");
        assert!(!right(3), "again");
        assert!(right(4));
        assert_eq!(checker.faults, Faults { corrupt: 0, skipped: 2, repeated: 2 });
    }

    #[test]
    fn bodies_differ() {
        assert_ne!(body(1, 0, 256)[MARK..], body(1, 1, 256)[MARK..]);
        assert_ne!(body(1, 0, 256)[MARK..], body(2, 0, 256)[MARK..]);
    }
}
