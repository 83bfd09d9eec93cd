//! How often requests may come, and how many there may be.

use std::sync::Arc;

use super::LogLevel;
use crate::config::template::Template;

/// `limit_req` and `limit_conn`
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// Zones that a request is counted in.
    pub requests: Vec<LimitReq>,
    /// The status of what comes too often.
    pub requests_status: u16,
    /// Everything is let through.
    pub requests_dry_run: bool,
    /// How that is logged.
    pub requests_level: LogLevel,
    /// Zones that a request or tunnel takes a place in.
    pub places: Vec<LimitConn>,
    /// The status where no place is left.
    pub places_status: u16,
    /// Everything is let through.
    pub places_dry_run: bool,
    /// How that is logged.
    pub places_level: LogLevel,
}

/// A zone of either.
#[derive(Clone, Debug)]
pub struct Zone {
    /// Its name.
    pub name: String,
    /// What tells clients apart.
    pub key: Template,
    /// How many keys it holds.
    pub keys: usize,
}

/// What one `limit_req` lets through, in thousandths of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Requests in a second.
    pub rate: i64,
    /// More than this is refused.
    pub burst: i64,
    /// More than this has to wait; `i64::MAX` is `nodelay`.
    pub delay: i64,
}

/// One `limit_req`.
#[derive(Clone, Debug)]
pub struct LimitReq {
    /// Where it counts.
    pub zone: Arc<Zone>,
    /// What it lets through.
    pub allowance: Allowance,
}

/// One `limit_conn`.
#[derive(Clone, Debug)]
pub struct LimitConn {
    /// Where it counts.
    pub zone: Arc<Zone>,
    /// How many at a time.
    pub limit: usize,
}
