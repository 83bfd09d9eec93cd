//! Times by their size, within 1 %.

use std::time::Duration;

/// Each power of two of nanoseconds has this many steps.
const STEPS: u64 = 128;

pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    longest: u64,
}

impl Histogram {
    pub fn new() -> Self {
        Self { counts: vec![0; 64 * STEPS as usize], total: 0, longest: 0 }
    }

    pub fn record(&mut self, took: Duration) {
        let nanos = took.as_nanos() as u64;
        self.counts[slot(nanos)] += 1;
        self.total += 1;
        self.longest = self.longest.max(nanos);
    }

    /// Microseconds that this share of the times does not exceed.
    pub fn quantile(&self, share: f64) -> f64 {
        let rank = (self.total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (slot, count) in self.counts.iter().enumerate() {
            seen += count;
            if *count > 0 && seen >= rank {
                return start(slot + 1).min(self.longest) as f64 / 1000.0;
            }
        }
        0.0
    }

    /// The usual ones, rounded to a tenth of a microsecond.
    pub fn summary(&self) -> serde_json::Value {
        let round = |micros: f64| (micros * 10.0).round() / 10.0;
        serde_json::json!({
            "p50": round(self.quantile(0.5)),
            "p99": round(self.quantile(0.99)),
            "p999": round(self.quantile(0.999)),
            "max": round(self.longest as f64 / 1000.0),
        })
    }
}

fn slot(nanos: u64) -> usize {
    let nanos = nanos.max(STEPS);
    let power = u64::from(nanos.ilog2()) - u64::from(STEPS.ilog2());
    // The leading bit of `nanos >> power` is the power's own.
    (power * STEPS + (nanos >> power) - STEPS) as usize
}

/// The least time that falls into a slot.
fn start(slot: usize) -> u64 {
    let (power, step) = (slot as u64 / STEPS, slot as u64 % STEPS);
    (STEPS + step) << power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_falls_into_its_slot() {
        for nanos in (128..100_000).chain([1 << 40, (1 << 41) - 1]) {
            let slot = slot(nanos);
            assert!(start(slot) <= nanos && nanos < start(slot + 1), "{nanos}");
            assert!(start(slot + 1) - start(slot) <= nanos / 100, "{nanos}");
        }
    }

    #[test]
    fn quantiles() {
        let mut histogram = Histogram::new();
        assert!(histogram.quantile(0.5).abs() < f64::EPSILON);
        (1..=1000).for_each(|n| histogram.record(Duration::from_micros(n)));
        for (share, wanted) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = histogram.quantile(share);
            assert!((found / wanted - 1.0).abs() < 0.01, "{share}: {found}");
        }
    }
}
