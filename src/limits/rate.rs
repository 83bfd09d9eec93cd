//! `limit_req`: nginx's leaky bucket, to the thousandth of a request. Pure: the time is passed in, in
//! milliseconds since some moment that outlives reloads.

use std::collections::HashMap;

use crate::config::model::Allowance;

/// Requests are counted in thousandths.
const ONE: i64 = 1000;

/// A clock that went back further than this was set anew.
const BACK: i64 = -60_000;

/// What a bucket says of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may go on after so many milliseconds.
    Wait(i64),
    /// It is one too many.
    Refused,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    excess: i64,
    last: i64,
}

/// The buckets of one zone, by key. The zone forgets by halves: a key that is asked for moves to the
/// young half, and when that is full it becomes the old one, whose keys go.
#[derive(Debug)]
pub struct Buckets {
    young: HashMap<Box<[u8]>, Bucket>,
    old: HashMap<Box<[u8]>, Bucket>,
    /// How many there may be in a half.
    half: usize,
}

impl Buckets {
    /// For so many keys at most.
    pub fn new(capacity: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), half: (capacity / 2).max(1) }
    }

    /// The excess that one more request of this key would be, and whether it is let in. Nothing is
    /// counted yet: where several limits hold, a request counts in all of them or in none.
    pub fn ask(&self, key: &[u8], allowance: Allowance, now: i64) -> (i64, Verdict) {
        let bucket = self.young.get(key).or_else(|| self.old.get(key));
        let excess = bucket.map_or(0, |bucket| bucket.with_one(allowance.rate, now));
        if excess > allowance.burst {
            return (excess, Verdict::Refused);
        }
        let over = excess.saturating_sub(allowance.delay).max(0);
        (excess, Verdict::Wait(over.saturating_mul(1000) / allowance.rate.max(1)))
    }

    /// Counts a request that was let in.
    pub fn count(&mut self, key: &[u8], rate: i64, now: i64) {
        if !self.young.contains_key(key) {
            if self.young.len() >= self.half {
                self.old = std::mem::take(&mut self.young);
            }
            let fresh = Bucket { excess: -ONE, last: now };
            let bucket = self.old.remove(key).unwrap_or(fresh);
            self.young.insert(key.into(), bucket);
        }
        if let Some(bucket) = self.young.get_mut(key) {
            bucket.excess = bucket.with_one(rate, now);
            if bucket.elapsed(now) != 0 {
                bucket.last = now;
            }
        }
    }
}

impl Bucket {
    const fn elapsed(self, now: i64) -> i64 {
        match now - self.last {
            back if back < BACK => 1,
            back if back < 0 => 0,
            ms => ms,
        }
    }

    fn with_one(self, rate: i64, now: i64) -> i64 {
        (self.excess - rate.saturating_mul(self.elapsed(now)) / 1000 + ONE).max(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn allowance(rate: i64, burst: i64, delay: i64) -> Allowance {
        Allowance { rate: rate * ONE, burst: burst * ONE, delay: delay * ONE }
    }

    fn take(buckets: &mut Buckets, allowance: Allowance, now: i64) -> Verdict {
        let (_, verdict) = buckets.ask(b"key", allowance, now);
        if verdict != Verdict::Refused {
            buckets.count(b"key", allowance.rate, now);
        }
        verdict
    }

    #[test]
    fn one_at_a_time_without_a_burst() {
        let mut buckets = Buckets::new(9);
        let one = allowance(1, 0, 0);
        assert_eq!(take(&mut buckets, one, 0), Verdict::Wait(0));
        assert_eq!(take(&mut buckets, one, 500), Verdict::Refused);
        assert_eq!(take(&mut buckets, one, 1000), Verdict::Wait(0));
    }

    #[test]
    fn a_burst_waits_for_its_turn() {
        let mut buckets = Buckets::new(9);
        let two = allowance(2, 2, 0);
        let verdicts: Vec<_> = (0..4).map(|_| take(&mut buckets, two, 0)).collect();
        let waits = [0, 500, 1000].map(Verdict::Wait);
        assert_eq!(verdicts[..3], waits);
        assert_eq!(verdicts[3], Verdict::Refused);
    }

    #[test]
    fn delay_lets_the_first_of_a_burst_through() {
        let mut buckets = Buckets::new(9);
        let some = allowance(1, 3, 2);
        let verdicts: Vec<_> = (0..5).map(|_| take(&mut buckets, some, 0)).collect();
        let waits = [0, 0, 0, 1000].map(Verdict::Wait);
        assert_eq!(verdicts[..4], waits);
        assert_eq!(verdicts[4], Verdict::Refused);
    }

    #[test]
    fn nodelay_never_waits() {
        let mut buckets = Buckets::new(9);
        let nodelay = Allowance { delay: i64::MAX, ..allowance(1, 2, 0) };
        let verdicts: Vec<_> = (0..4).map(|_| take(&mut buckets, nodelay, 0)).collect();
        assert_eq!(verdicts[..3], [Verdict::Wait(0); 3]);
        assert_eq!(verdicts[3], Verdict::Refused);
    }

    #[test]
    fn a_refused_request_is_not_counted() {
        let mut buckets = Buckets::new(9);
        let one = allowance(1, 0, 0);
        take(&mut buckets, one, 0);
        for at in 1..900 {
            assert_eq!(take(&mut buckets, one, at), Verdict::Refused);
        }
        assert_eq!(take(&mut buckets, one, 1000), Verdict::Wait(0));
    }

    #[test]
    fn a_full_zone_forgets_those_that_do_not_come() {
        let mut buckets = Buckets::new(4);
        for round in 0..20_u8 {
            buckets.count(b"stays", ONE, 0);
            buckets.count(&[round], ONE, 0);
        }
        assert!(buckets.ask(b"stays", allowance(1, 0, 0), 0).0 >= 19 * ONE);
        assert_eq!(buckets.ask(&[0], allowance(1, 0, 0), 0).0, 0, "it is gone");
        assert!(buckets.young.len() + buckets.old.len() <= 4);
    }
}
