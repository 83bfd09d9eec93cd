//! Everything that is counted, declared once. Handles are resolved when a generation is built; the
//! relay adds to single-writer cells of its worker and nothing more, and a scrape sums them.
//! Not here: serving the page (`server`).

mod cells;
mod page;
mod series;
mod totals;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

pub use cells::{Cell, TunnelCells, WorkerSeries};
pub use page::accepts_gzip;
pub use series::{
    ActiveConnection, ConnectResult, HandshakeResult, ListenerSeries, PeerSeries, RejectReason,
    ServerSeries, TunnelSeries, UpgradeResult, UpstreamSeries,
};
pub use totals::Totals;

/// Buckets of things that take milliseconds, in seconds: handshakes, connects, requests.
const SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];
/// Buckets of a tunnel's life, in seconds: up to a week.
const LIFE: &[f64] =
    &[1.0, 10.0, 60.0, 300.0, 900.0, 3600.0, 10_800.0, 43_200.0, 86_400.0, 604_800.0];

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    families: Families,
    workers: Vec<Arc<WorkerSeries>>,
    /// Kept for ever: a counter never goes back. There are as many as configurations have named.
    tunnels: Mutex<HashMap<(String, String), Arc<TunnelSeries>>>,
}

/// Every family but those of the workers' cells.
#[derive(Debug)]
struct Families {
    reloads: IntCounterVec,
    reload_ok: IntGauge,
    reload_at: IntGauge,
    revision: IntGauge,
    accepted: IntCounterVec,
    rejected: IntCounterVec,
    active: IntGaugeVec,
    tls_handshakes: IntCounterVec,
    tls_duration: HistogramVec,
    not_after: GaugeVec,
    requests: IntCounterVec,
    request_duration: HistogramVec,
    upgrades: IntCounterVec,
    upgrade_duration: HistogramVec,
    tunnels_active: IntGaugeVec,
    tunnel_duration: HistogramVec,
    tunnels_closed: IntCounterVec,
    proxy_closes: IntCounterVec,
    ping_rtt: HistogramVec,
    peer_up: IntGaugeVec,
    peer_weight: IntGaugeVec,
    peer_tunnels: IntGaugeVec,
    connects: IntCounterVec,
    connect_duration: HistogramVec,
    unavailable: IntCounterVec,
    retries: IntCounterVec,
    draining: IntGauge,
    drain_remaining: IntGauge,
    log_dropped: IntCounter,
}

/// Makes families and enters them into the registry.
struct Declare<'a>(&'a Registry);

impl Declare<'_> {
    fn enter<T: prometheus::core::Collector + Clone + 'static>(
        &self,
        made: prometheus::Result<T>,
    ) -> T {
        // Names and labels are the literals below; a test declares them all.
        let family = made.expect("a family's name and labels are valid");
        self.0.register(Box::new(family.clone())).expect("no family is declared twice");
        family
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.enter(IntCounterVec::new(opts(name, help), labels))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.enter(IntGaugeVec::new(opts(name, help), labels))
    }

    fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.enter(IntGauge::with_opts(opts(name, help)))
    }

    fn histograms(&self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
        let opts = HistogramOpts::from(opts(name, help)).buckets(buckets.to_vec());
        self.enter(HistogramVec::new(opts, labels))
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("wayhold")
}

impl Families {
    #[expect(clippy::too_many_lines, reason = "a list of declarations")]
    fn declare(registry: &Registry) -> Self {
        let d = Declare(registry);
        let build = d.gauges("build_info", "Which build this is.", &["version", "revision"]);
        let revision = option_env!("WAYHOLD_REVISION").unwrap_or("unknown");
        build.with_label_values(&[env!("CARGO_PKG_VERSION"), revision]).set(1);
        Self {
            reloads: d.counters(
                "config_reloads_total",
                "Reloads of the configuration.",
                &["result"],
            ),
            reload_ok: d.gauge("config_last_reload_successful", "Whether the last reload worked."),
            reload_at: d.gauge(
                "config_last_reload_success_timestamp_seconds",
                "When a configuration was last loaded.",
            ),
            revision: d.gauge("config_revision", "Which configuration of this process runs."),
            accepted: d.counters("connections_accepted_total", "Connections taken.", &["listener"]),
            rejected: d.counters(
                "connections_rejected_total",
                "Connections turned away.",
                &["listener", "reason"],
            ),
            active: d.gauges("connections_active", "Connections now.", &["listener"]),
            tls_handshakes: d.counters(
                "tls_handshakes_total",
                "TLS handshakes with clients.",
                &["listener", "result"],
            ),
            tls_duration: d.histograms(
                "tls_handshake_duration_seconds",
                "How long TLS handshakes with clients took.",
                &["listener"],
                SECONDS,
            ),
            not_after: d.enter(GaugeVec::new(
                opts("tls_certificate_not_after_timestamp_seconds", "When a certificate expires."),
                &["server", "subject"],
            )),
            requests: d.counters("http_requests_total", "Requests answered.", &["server", "code"]),
            request_duration: d.histograms(
                "http_request_duration_seconds",
                "How long plain requests took.",
                &["server"],
                SECONDS,
            ),
            upgrades: d.counters(
                "ws_upgrades_total",
                "WebSocket handshakes.",
                &["server", "upstream", "result"],
            ),
            upgrade_duration: d.histograms(
                "ws_handshake_duration_seconds",
                "From the request to the 101.",
                &["server", "upstream"],
                SECONDS,
            ),
            tunnels_active: d.gauges(
                "ws_tunnels_active",
                "Tunnels now.",
                &["server", "upstream", "transport"],
            ),
            tunnel_duration: d.histograms(
                "ws_tunnel_duration_seconds",
                "How long tunnels lived.",
                &["server", "upstream"],
                LIFE,
            ),
            tunnels_closed: d.counters(
                "ws_tunnels_closed_total",
                "Tunnels that ended, by who ended them and the close code.",
                &["server", "upstream", "initiator", "code"],
            ),
            proxy_closes: d.counters(
                "ws_proxy_closes_total",
                "Tunnels that Wayhold ended.",
                &["server", "cause"],
            ),
            ping_rtt: d.histograms(
                "ws_ping_rtt_seconds",
                "From a ping to its pong.",
                &["server", "side"],
                SECONDS,
            ),
            peer_up: d.gauges("upstream_peer_up", "Whether a peer is used.", &["upstream", "peer"]),
            peer_weight: d.gauges(
                "upstream_peer_weight",
                "A peer's weight.",
                &["upstream", "peer"],
            ),
            peer_tunnels: d.gauges(
                "upstream_peer_tunnels_active",
                "Tunnels and requests that a peer has.",
                &["upstream", "peer"],
            ),
            connects: d.counters(
                "upstream_connects_total",
                "Connections to peers.",
                &["upstream", "peer", "result"],
            ),
            connect_duration: d.histograms(
                "upstream_connect_duration_seconds",
                "How long connecting took.",
                &["upstream"],
                SECONDS,
            ),
            unavailable: d.counters(
                "upstream_peer_unavailable_total",
                "How often a peer was marked as failed.",
                &["upstream", "peer"],
            ),
            retries: d.counters(
                "upstream_retries_total",
                "How often another peer was tried.",
                &["upstream"],
            ),
            draining: d.gauge("draining", "Whether the process is finishing."),
            drain_remaining: d.gauge("drain_tunnels_remaining", "Tunnels that a drain waits for."),
            log_dropped: d.enter(IntCounter::with_opts(opts(
                "access_log_dropped_total",
                "Access log lines that could not be written.",
            ))),
        }
    }
}

impl Metrics {
    /// For a process with `workers` relay threads.
    pub fn new(workers: usize) -> Arc<Self> {
        let registry = Registry::new();
        let families = Families::declare(&registry);
        for result in ["success", "rejected"] {
            families.reloads.with_label_values(&[result]);
        }
        let process = prometheus::process_collector::ProcessCollector::for_self();
        // Declared once, in a registry of our own.
        registry.register(Box::new(process)).expect("no other process series");
        Arc::new(Self {
            registry,
            families,
            workers: (0..workers).map(|_| Arc::default()).collect(),
            tunnels: Mutex::default(),
        })
    }

    /// Handles of a listener (label: its address).
    pub fn listener(&self, addr: &str) -> Arc<ListenerSeries> {
        Arc::new(ListenerSeries::new(&self.families, addr))
    }

    /// Handles of a server.
    pub fn server(&self, server: &str) -> Arc<ServerSeries> {
        Arc::new(ServerSeries::new(&self.families, server))
    }

    /// Handles of the tunnels of a (server, upstream) pair: always the same for the same pair.
    pub fn tunnels(&self, server: &str, upstream: &str) -> Arc<TunnelSeries> {
        let mut all = self.tunnels.lock().unwrap_or_else(PoisonError::into_inner);
        let series = all.entry((server.to_owned(), upstream.to_owned())).or_insert_with(|| {
            Arc::new(TunnelSeries::new(&self.families, self.workers.len(), server, upstream))
        });
        Arc::clone(series)
    }

    /// Handles of an upstream.
    pub fn upstream(&self, upstream: &str) -> Arc<UpstreamSeries> {
        Arc::new(UpstreamSeries::new(&self.families, upstream))
    }

    /// Handles of a peer; its series go when they are dropped. Ask once for each peer.
    pub fn peer(&self, upstream: &str, peer: &str) -> Arc<PeerSeries> {
        Arc::new(PeerSeries::new(&self.families, upstream, peer))
    }

    /// The cells of a worker.
    ///
    /// # Panics
    /// When there are not as many workers.
    pub fn worker(&self, worker: usize) -> Arc<WorkerSeries> {
        Arc::clone(&self.workers[worker])
    }

    /// `config_reloads_total`, `config_last_reload_*`, `config_revision`. The first load counts as
    /// no reload.
    pub fn config_loaded(&self, success: bool, revision: u64) {
        let families = &self.families;
        families.reload_ok.set(i64::from(success));
        if revision > 1 {
            let result = if success { "success" } else { "rejected" };
            families.reloads.with_label_values(&[result]).inc();
        }
        if success {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            families.reload_at.set(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
            families.revision.set(i64::try_from(revision).unwrap_or(i64::MAX));
        }
    }

    /// `tls_certificate_not_after_timestamp_seconds`, all of a generation at once:
    /// (server, subject, unix seconds).
    #[expect(clippy::cast_precision_loss, reason = "the text format is floating point")]
    pub fn set_certificates(&self, all: &[(String, String, i64)]) {
        self.families.not_after.reset();
        for (server, subject, not_after) in all {
            self.families.not_after.with_label_values(&[server, subject]).set(*not_after as f64);
        }
    }

    /// `draining`, `drain_tunnels_remaining`.
    pub fn set_draining(&self, draining: bool, remaining: usize) {
        self.families.draining.set(i64::from(draining));
        self.families.drain_remaining.set(i64::try_from(remaining).unwrap_or(i64::MAX));
    }

    /// `access_log_dropped_total`
    pub fn access_log_dropped(&self, lines: u64) {
        self.families.log_dropped.inc_by(lines);
    }
}

#[cfg(test)]
mod tests;
