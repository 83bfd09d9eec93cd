//! Which of the available peers is next. Pure: loads and random numbers are passed in.

use crate::config::model::Balance;

/// A peer that may be picked.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// Its place among all peers of the upstream.
    pub index: usize,
    /// At least 1.
    pub weight: u32,
    /// Tunnels and requests it has now.
    pub active: usize,
}

/// What is remembered from pick to pick.
#[derive(Clone, Debug)]
pub struct Balancer {
    /// Smooth weighted round robin: how much each peer is owed.
    owed: Vec<i64>,
    random: u64,
}

impl Balancer {
    /// For so many peers; `seed` is for [`Balance::Random`].
    pub fn new(peers: usize, seed: u64) -> Self {
        Self { owed: vec![0; peers], random: seed | 1 }
    }

    /// Picks one; `None` when there is none.
    pub fn pick(&mut self, balance: Balance, candidates: &[Candidate]) -> Option<usize> {
        match balance {
            // A key that belongs to nobody who may be picked.
            Balance::Hash | Balance::ConsistentHash | Balance::IpHash | Balance::RoundRobin => {
                self.in_turn(candidates)
            }
            Balance::LeastConn => {
                let least = candidates.iter().copied().reduce(less_loaded)?;
                let equal = |c: &&Candidate| !is_less(&least, c);
                let equals: Vec<Candidate> = candidates.iter().filter(equal).copied().collect();
                self.in_turn(&equals)
            }
            Balance::Random => {
                let first = self.at_random(candidates)?;
                let others: Vec<Candidate> =
                    candidates.iter().filter(|c| c.index != first.index).copied().collect();
                let second = self.at_random(&others).unwrap_or(first);
                Some(less_loaded(first, second).index)
            }
        }
    }

    /// nginx's smooth weighted round robin: everybody is owed its weight, the most owed is picked
    /// and pays for all.
    fn in_turn(&mut self, candidates: &[Candidate]) -> Option<usize> {
        let mut best: Option<usize> = None;
        let mut total = 0;
        for candidate in candidates {
            let weight = i64::from(candidate.weight);
            total += weight;
            self.owed[candidate.index] += weight;
            if best.is_none_or(|best| self.owed[candidate.index] > self.owed[best]) {
                best = Some(candidate.index);
            }
        }
        self.owed[best?] -= total;
        best
    }

    /// One by weight.
    fn at_random(&mut self, candidates: &[Candidate]) -> Option<Candidate> {
        let total: u64 = candidates.iter().map(|c| u64::from(c.weight)).sum();
        if total == 0 {
            return None;
        }
        // xorshift64
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let mut point = self.random % total;
        candidates.iter().copied().find(|candidate| {
            let hit = point < u64::from(candidate.weight);
            point = point.saturating_sub(u64::from(candidate.weight));
            hit
        })
    }
}

/// Whether `a` has less for its weight than `b`.
fn is_less(a: &Candidate, b: &Candidate) -> bool {
    (a.active as u128) * u128::from(b.weight) < (b.active as u128) * u128::from(a.weight)
}

fn less_loaded(a: Candidate, b: Candidate) -> Candidate {
    if is_less(&b, &a) { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(weights: &[u32], active: &[usize]) -> Vec<Candidate> {
        let pairs = weights.iter().zip(active).enumerate();
        pairs.map(|(index, (w, a))| Candidate { index, weight: *w, active: *a }).collect()
    }

    #[test]
    fn round_robin_is_smooth() {
        let mut balancer = Balancer::new(3, 1);
        let peers = candidates(&[5, 1, 1], &[0, 0, 0]);
        let picks: Vec<_> = (0..7).map(|_| balancer.pick(Balance::RoundRobin, &peers)).collect();
        assert_eq!(picks, [0, 0, 1, 0, 2, 0, 0].map(Some));
    }

    #[test]
    fn least_conn_is_exact_by_weight() {
        let mut balancer = Balancer::new(3, 1);
        let mut active = [0; 3];
        for _ in 0..2_000 {
            let peers = candidates(&[2, 1, 1], &active);
            active[balancer.pick(Balance::LeastConn, &peers).unwrap()] += 1;
        }
        assert_eq!(active, [1_000, 500, 500]);
        // Half of them leave one peer: the next ones all go there until it is even again.
        active[1] = 250;
        for _ in 0..250 {
            let peers = candidates(&[2, 1, 1], &active);
            assert_eq!(balancer.pick(Balance::LeastConn, &peers), Some(1));
            active[1] += 1;
        }
    }

    #[test]
    fn equals_are_taken_in_turn() {
        let mut balancer = Balancer::new(3, 1);
        let peers = candidates(&[1, 1, 1], &[4, 4, 4]);
        let picks: Vec<_> = (0..6).map(|_| balancer.pick(Balance::LeastConn, &peers)).collect();
        assert_eq!(picks, [0, 1, 2, 0, 1, 2].map(Some));
    }

    #[test]
    fn two_choices_spread_evenly() {
        let mut balancer = Balancer::new(4, 42);
        let mut active = [0; 4];
        for _ in 0..4_000 {
            let peers = candidates(&[1; 4], &active);
            active[balancer.pick(Balance::Random, &peers).unwrap()] += 1;
        }
        let (min, max) = (active.iter().min().unwrap(), active.iter().max().unwrap());
        assert!(max - min < 20, "{active:?}");
    }

    #[test]
    fn nobody_to_pick() {
        let mut balancer = Balancer::new(1, 0);
        for balance in [Balance::RoundRobin, Balance::LeastConn, Balance::Random] {
            assert_eq!(balancer.pick(balance, &[]), None);
        }
    }
}
