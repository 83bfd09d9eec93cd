//! The zones of `limit_req` and `limit_conn`, by name: they outlive reloads.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::places::{Places, Taken};
use super::rate::{Buckets, Verdict};
use crate::config::model::Allowance;

/// Every zone. Made once, handed to each generation.
#[derive(Debug, Default)]
pub struct Zones {
    /// One lock over asking and counting in several zones.
    rates: Mutex<HashMap<String, Buckets>>,
    places: Mutex<HashMap<String, Arc<Places>>>,
}

/// One `limit_req` for one request.
#[derive(Clone, Debug)]
pub struct RateAsked<'a> {
    /// The zone.
    pub zone: &'a str,
    /// How many keys it holds.
    pub capacity: usize,
    /// Who asks.
    pub key: Vec<u8>,
    /// What it lets through.
    pub allowance: Allowance,
}

impl Zones {
    /// Counts a request in every zone that it is asked in, or in none: then the zone that refuses it,
    /// and the excess in thousandths. Else how many milliseconds it has to wait.
    pub fn rate(&self, asked: &[RateAsked<'_>], now: i64) -> Result<i64, (usize, i64)> {
        let mut zones = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        let mut wait = 0;
        for (at, one) in asked.iter().enumerate() {
            if let Some(zone) = zones.get(one.zone) {
                match zone.ask(&one.key, one.allowance, now) {
                    (excess, Verdict::Refused) => return Err((at, excess)),
                    (_, Verdict::Wait(ms)) => wait = wait.max(ms),
                }
            }
        }
        for one in asked {
            if !zones.contains_key(one.zone) {
                zones.insert(one.zone.to_owned(), Buckets::new(one.capacity));
            }
            if let Some(zone) = zones.get_mut(one.zone) {
                zone.count(&one.key, one.allowance.rate, now);
            }
        }
        Ok(wait)
    }

    /// A place in a zone of `limit_conn`; `None` when `limit` of this key are in.
    pub fn place(&self, zone: &str, capacity: usize, key: &[u8], limit: usize) -> Option<Taken> {
        let mut zones = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let places = match zones.get(zone) {
            Some(places) => Arc::clone(places),
            None => {
                let places = Places::new(capacity);
                zones.insert(zone.to_owned(), Arc::clone(&places));
                places
            }
        };
        drop(zones);
        places.take(key, limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_counts_in_all_zones_or_in_none() {
        let zones = Zones::default();
        let asked = |zone: &'static str, burst: i64| RateAsked {
            zone,
            capacity: 9,
            key: b"a".to_vec(),
            allowance: Allowance { rate: 1000, burst: burst * 1000, delay: 0 },
        };
        let both = [asked("wide", 5), asked("narrow", 0)];
        assert_eq!(zones.rate(&both, 0), Ok(0));
        assert_eq!(zones.rate(&both, 0), Err((1, 1000)));
        assert_eq!(zones.rate(&both[..1], 0), Ok(1000), "the refused one did not count");
    }
}
