//! `limit_req` and `limit_conn`: a request is counted once, on its first location that limits it.

use std::sync::OnceLock;
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use super::exchange::Exchange;
use super::finish::Finish;
use super::respond::Refused;
use crate::config::model::{Limits, LogLevel, NOTICE};
use crate::limits::RateAsked;

/// Lets a request in, after a while perhaps.
pub(super) async fn admit(exchange: &mut Exchange<'_>, finish: &mut Finish) -> Result<(), Refused> {
    let limits = &exchange.route.location.limits;
    if !limits.requests.is_empty() && exchange.state.limit_req_status.is_empty() {
        rate(exchange, limits).await?;
    }
    if !limits.places.is_empty() && exchange.state.limit_conn_status.is_empty() {
        places(exchange, limits, finish)?;
    }
    Ok(())
}

async fn rate(exchange: &mut Exchange<'_>, limits: &Limits) -> Result<(), Refused> {
    let mut asked = Vec::new();
    for limit in &limits.requests {
        let key = limit.zone.key.expand_text(&exchange.facts("")).into_bytes();
        if !key.is_empty() {
            let (zone, capacity) = (limit.zone.name.as_str(), limit.zone.keys);
            asked.push(RateAsked { zone, capacity, key, allowance: limit.allowance });
        }
    }
    let dry = limits.requests_dry_run;
    match exchange.shared.zones.rate(&asked, now()) {
        Ok(0) => exchange.state.limit_req_status = "PASSED",
        Ok(ms) if dry => {
            exchange.state.limit_req_status = "DELAYED_DRY_RUN";
            say(limits.requests_level.below(), &format!("delaying request, dry run, by {ms} ms"));
        }
        Ok(ms) => {
            exchange.state.limit_req_status = "DELAYED";
            say(limits.requests_level.below(), &format!("delaying request by {ms} ms"));
            tokio::time::sleep(Duration::from_millis(ms.unsigned_abs())).await;
        }
        Err((at, excess)) => {
            let run = if dry { ", dry run" } else { "" };
            let (whole, part) = (excess / 1000, excess % 1000);
            let (zone, client) = (asked[at].zone, exchange.client.text());
            let what = format!(
                "limiting requests{run}, excess: {whole}.{part:03} by zone \"{zone}\", client: {client}"
            );
            say(limits.requests_level, &what);
            if !dry {
                exchange.state.limit_req_status = "REJECTED";
                return Err(refused(limits.requests_status));
            }
            exchange.state.limit_req_status = "REJECTED_DRY_RUN";
        }
    }
    Ok(())
}

fn places(
    exchange: &mut Exchange<'_>,
    limits: &Limits,
    finish: &mut Finish,
) -> Result<(), Refused> {
    for limit in &limits.places {
        let key = limit.zone.key.expand_text(&exchange.facts("")).into_bytes();
        if key.is_empty() {
            continue;
        }
        let zone = &limit.zone;
        exchange.state.limit_conn_status = "PASSED";
        if let Some(taken) = exchange.shared.zones.place(&zone.name, zone.keys, &key, limit.limit) {
            finish.taken.push(taken);
            continue;
        }
        let dry = limits.places_dry_run;
        let run = if dry { ", dry run" } else { "" };
        let client = exchange.client.text();
        let what = format!("limiting connections{run} by zone \"{}\", client: {client}", zone.name);
        say(limits.places_level, &what);
        if !dry {
            exchange.state.limit_conn_status = "REJECTED";
            finish.taken.clear();
            return Err(refused(limits.places_status));
        }
        exchange.state.limit_conn_status = "REJECTED_DRY_RUN";
        return Ok(());
    }
    Ok(())
}

fn say(level: LogLevel, what: &str) {
    match level {
        LogLevel::Debug => tracing::debug!("{what}"),
        LogLevel::Info => tracing::info!("{what}"),
        LogLevel::Notice => tracing::info!(target: NOTICE, "{what}"),
        LogLevel::Warn => tracing::warn!("{what}"),
        LogLevel::Error | LogLevel::Crit => tracing::error!("{what}"),
    }
}

fn refused(status: u16) -> Refused {
    Refused::Returned(StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE))
}

/// Milliseconds since the process first asked.
fn now() -> i64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = *START.get_or_init(Instant::now);
    i64::try_from(start.elapsed().as_millis()).unwrap_or(i64::MAX)
}
