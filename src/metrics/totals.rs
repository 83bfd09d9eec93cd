//! What nginx's `stub_status` tells: sums over all listeners and servers.

use std::fmt;

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;

use super::Metrics;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Connections from clients that are open, tunnels among them.
    pub active: u64,
    /// Connections that were accepted.
    pub accepted: u64,
    /// Those of them that were not rejected.
    pub handled: u64,
    /// Requests that were answered.
    pub requests: u64,
    /// Tunnels that are open.
    pub tunnels: u64,
}

impl Metrics {
    /// Sums everything up.
    pub fn totals(&self) -> Totals {
        let families = &self.families;
        let accepted = sum(&families.accepted);
        Totals {
            active: sum(&families.active),
            accepted,
            handled: accepted.saturating_sub(sum(&families.rejected)),
            requests: sum(&families.requests),
            tunnels: sum(&families.tunnels_active),
        }
    }
}

#[expect(clippy::cast_sign_loss, reason = "counts are not below zero")]
fn sum(metric: &impl Collector) -> u64 {
    let families = metric.collect();
    let metrics = families.iter().flat_map(MetricFamily::get_metric);
    let values =
        metrics.map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value());
    values.sum::<f64>() as u64
}

/// nginx's page. A tunnel counts as writing, as it does there, and so does the request for the page;
/// other connections wait, whatever they do.
impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { active, accepted, handled, requests, tunnels } = self;
        let writing = tunnels + 1;
        let idle = active.saturating_sub(writing);
        write!(
            f,
            "Active connections: {active} \nserver accepts handled requests\n {accepted} {handled} {requests} \n\
             Reading: 0 Writing: {writing} Waiting: {idle} \n"
        )
    }
}
