//! `limit_req`, `limit_conn`, and the zones they count in.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Context;
use crate::config::model::{Allowance, LimitConn, LimitReq, Limits, Zone};
use crate::config::schema::{LimitKeys, TopSection};
use crate::config::source::{At, Place};
use crate::config::values::Int;

/// The zones, by name, those of rates with the rate.
#[derive(Default)]
pub(super) struct Zones {
    rates: BTreeMap<String, (Arc<Zone>, i64)>,
    places: BTreeMap<String, Arc<Zone>>,
}

/// Takes in every zone.
pub(super) fn zones(cx: &mut Context<'_>, top: &TopSection) {
    for (name, section) in top.limit_req_zone.get().into_iter().flat_map(|zones| &zones.0) {
        let keys = keys_of(section.value.keys.copied());
        let zone = zone(cx, name, section.value.key.get(), keys, &section.name);
        if section.value.rate.is_absent() {
            cx.error(&section.name, "zone has no `rate`", "write `rate = \"10r/s\"`");
        }
        if let (Some(zone), Some(rate)) = (zone, section.value.rate.get()) {
            cx.zones.rates.insert(name.clone(), (zone, rate.value.0));
        }
    }
    for (name, section) in top.limit_conn_zone.get().into_iter().flat_map(|zones| &zones.0) {
        let keys = keys_of(section.value.keys.copied());
        if let Some(zone) = zone(cx, name, section.value.key.get(), keys, &section.name) {
            cx.zones.places.insert(name.clone(), zone);
        }
    }
}

/// How many keys a zone holds.
fn keys_of(keys: Option<Int<1, 10_000_000>>) -> usize {
    keys.map_or(16_000, Int::get)
}

fn zone(
    cx: &mut Context<'_>,
    name: &str,
    key: Option<&At<String>>,
    keys: usize,
    place: &Place,
) -> Option<Arc<Zone>> {
    let Some(key) = key else {
        cx.error(place, "zone has no `key`", "write `key = \"$remote_addr\"`");
        return None;
    };
    let key = cx.template(key);
    Some(Arc::new(Zone { name: name.to_owned(), key, keys }))
}

/// The limits of a location.
pub(super) fn limits(cx: &mut Context<'_>, keys: &LimitKeys) -> Limits {
    let LimitKeys {
        limit_req,
        limit_req_status,
        limit_req_dry_run,
        limit_conn,
        limit_conn_status,
        limit_conn_dry_run,
        limit_req_log_level,
        limit_conn_log_level,
    } = keys;
    let mut limits = Limits {
        requests_status: limit_req_status.with_default().get(),
        requests_dry_run: limit_req_dry_run.with_default().value,
        places_status: limit_conn_status.with_default().get(),
        places_dry_run: limit_conn_dry_run.with_default().value,
        requests_level: limit_req_log_level.with_default().value,
        places_level: limit_conn_log_level.with_default().value,
        ..Limits::default()
    };
    for limit in limit_req.get().into_iter().flat_map(|list| list.iter()) {
        let Some((zone, rate)) = cx.zones.rates.get(&limit.zone).cloned() else {
            unknown(cx, &limit.zone, &limit.place, "limit_req_zone");
            continue;
        };
        let delay = limit.delay.map_or(i64::MAX, |delay| i64::from(delay) * 1000);
        let allowance = Allowance { rate, burst: i64::from(limit.burst) * 1000, delay };
        limits.requests.push(LimitReq { zone, allowance });
    }
    for limit in limit_conn.get().into_iter().flat_map(|list| list.iter()) {
        let Some(zone) = cx.zones.places.get(&limit.zone).cloned() else {
            unknown(cx, &limit.zone, &limit.place, "limit_conn_zone");
            continue;
        };
        limits.places.push(LimitConn { zone, limit: limit.limit as usize });
    }
    limits
}

fn unknown(cx: &mut Context<'_>, zone: &str, place: &Place, section: &str) {
    let message = format!("unknown zone: {}", super::shown(zone, place));
    cx.error(place, message, &format!("define it: `[{section}.NAME]` with a `key`"));
}
