//! Handles: the series of one listener, server, upstream or peer, resolved once.

use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge};

use super::{Families, TunnelCells};
use crate::ending::{Ending, Initiator};

/// An enum whose variants are the values of a label.
macro_rules! label {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The label's value.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }
    };
}

label! {
    /// How an upgrade request fared: `ws_upgrades_total{result}`.
    UpgradeResult {
        /// It became a tunnel.
        Accepted = "accepted",
        /// It was no proper handshake.
        BadRequest = "bad_request",
        /// Its `Origin` is not allowed.
        Origin = "origin",
        /// A limit refused it.
        Limit = "limit",
        /// No peer was available.
        NoPeer = "no_peer",
        /// The upstream answered, but not with a 101.
        Refused = "refused",
        /// The upstream could not be reached, or its answer was wrong.
        UpstreamError = "upstream_error",
        /// The upstream took too long.
        Timeout = "timeout",
    }
}

label! {
    /// How a connect to a peer fared: `upstream_connects_total{result}`.
    ConnectResult {
        /// It is connected.
        Ok = "ok",
        /// Refused, or unreachable.
        Refused = "refused",
        /// It took too long.
        Timeout = "timeout",
        /// It broke while shaking hands.
        Reset = "reset",
        /// The TLS handshake failed.
        Tls = "tls",
        /// There was no local port left.
        NoLocalPort = "no_local_port",
        /// This process had no descriptor left.
        NoDescriptor = "no_descriptor",
    }
}

label! {
    /// Why a connection was turned away: `connections_rejected_total{reason}`.
    RejectReason {
        /// `worker_connections`.
        Limit = "limit",
        /// Its PROXY protocol header was missing or wrong.
        ProxyProtocol = "proxy_protocol",
        /// Its TLS handshake failed.
        Tls = "tls",
        /// The process is finishing.
        Shutdown = "shutdown",
    }
}

label! {
    /// How a TLS handshake fared: `tls_handshakes_total{result}`.
    HandshakeResult {
        /// A full handshake.
        Full = "full",
        /// A session was resumed.
        Resumed = "resumed",
        /// It failed.
        Failed = "failed",
        /// It took too long.
        Timeout = "timeout",
    }
}

/// Of a listener.
#[derive(Debug)]
pub struct ListenerSeries {
    accepted: IntCounter,
    active: IntGauge,
    rejected: Vec<IntCounter>,
    handshakes: Vec<IntCounter>,
    handshake_duration: Histogram,
}

/// One active connection of a listener, until dropped.
#[derive(Debug)]
pub struct ActiveConnection(IntGauge);

impl Drop for ActiveConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl ListenerSeries {
    pub(super) fn new(families: &Families, addr: &str) -> Self {
        let rejected =
            |reason: &RejectReason| families.rejected.with_label_values(&[addr, reason.as_str()]);
        let handshake = |result: &HandshakeResult| {
            families.tls_handshakes.with_label_values(&[addr, result.as_str()])
        };
        Self {
            accepted: families.accepted.with_label_values(&[addr]),
            active: families.active.with_label_values(&[addr]),
            rejected: RejectReason::ALL.iter().map(rejected).collect(),
            handshakes: HandshakeResult::ALL.iter().map(handshake).collect(),
            handshake_duration: families.tls_duration.with_label_values(&[addr]),
        }
    }

    /// Counts a connection as accepted, and as active until the guard drops.
    pub fn accepted(&self) -> ActiveConnection {
        self.accepted.inc();
        self.active.inc();
        ActiveConnection(self.active.clone())
    }

    /// Counts a rejection.
    pub fn rejected(&self, reason: RejectReason) {
        self.rejected[reason as usize].inc();
    }

    /// Counts a TLS handshake and how long it took.
    pub fn handshake(&self, result: HandshakeResult, took: Duration) {
        self.handshakes[result as usize].inc();
        self.handshake_duration.observe(took.as_secs_f64());
    }
}

/// Of a server.
#[derive(Debug)]
pub struct ServerSeries {
    /// 1xx to 5xx.
    requests: Vec<IntCounter>,
    duration: Histogram,
}

impl ServerSeries {
    pub(super) fn new(families: &Families, server: &str) -> Self {
        let class = |code| families.requests.with_label_values(&[server, code]);
        Self {
            requests: ["1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().map(class).collect(),
            duration: families.request_duration.with_label_values(&[server]),
        }
    }

    /// One plain request was answered.
    pub fn request(&self, status: u16, took: Duration) {
        self.upgrade_request(status);
        self.duration.observe(took.as_secs_f64());
    }

    /// One upgrade request was answered. Its time is not a request's latency.
    pub fn upgrade_request(&self, status: u16) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        self.requests[class].inc();
    }
}

/// Of a (server, upstream) pair.
#[derive(Debug)]
pub struct TunnelSeries {
    server: String,
    upstream: String,
    workers: Vec<TunnelCells>,
    upgrades: Vec<IntCounter>,
    handshake_duration: Histogram,
    active: IntGauge,
    duration: Histogram,
    closed: IntCounterVec,
    proxy_closes: IntCounterVec,
    ping_rtt: [Histogram; 2],
}

impl TunnelSeries {
    pub(super) fn new(families: &Families, workers: usize, server: &str, upstream: &str) -> Self {
        let pair = [server, upstream];
        let upgrade = |result: &UpgradeResult| {
            families.upgrades.with_label_values(&[server, upstream, result.as_str()])
        };
        let rtt = |side| families.ping_rtt.with_label_values(&[server, side]);
        Self {
            server: server.to_owned(),
            upstream: upstream.to_owned(),
            workers: (0..workers).map(|_| TunnelCells::default()).collect(),
            upgrades: UpgradeResult::ALL.iter().map(upgrade).collect(),
            handshake_duration: families.upgrade_duration.with_label_values(&pair),
            active: families.tunnels_active.with_label_values(&[server, upstream, "h1"]),
            duration: families.tunnel_duration.with_label_values(&pair),
            closed: families.tunnels_closed.clone(),
            proxy_closes: families.proxy_closes.clone(),
            ping_rtt: [rtt("client"), rtt("upstream")],
        }
    }

    /// The server's label.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The upstream's name.
    pub fn upstream(&self) -> &str {
        &self.upstream
    }

    /// `ws_upgrades_total`
    pub fn upgrade(&self, result: UpgradeResult) {
        self.upgrades[result as usize].inc();
    }

    /// `ws_handshake_duration_seconds`
    pub fn handshake(&self, took: Duration) {
        self.handshake_duration.observe(took.as_secs_f64());
    }

    /// `ws_tunnels_active`
    pub fn opened(&self) {
        self.active.inc();
    }

    /// `ws_tunnels_active`, `ws_tunnel_duration_seconds`, `ws_tunnels_closed_total`,
    /// `ws_proxy_closes_total`.
    pub fn closed(&self, ending: &Ending, lived: Duration) {
        self.active.dec();
        self.duration.observe(lived.as_secs_f64());
        let code = code_label(ending.code);
        let initiator = ending.initiator.as_str();
        self.closed.with_label_values(&[&*self.server, &self.upstream, initiator, &code]).inc();
        if ending.initiator == Initiator::Proxy {
            self.proxy_closes.with_label_values(&[&*self.server, ending.cause.as_str()]).inc();
        }
    }

    /// `ws_ping_rtt_seconds{side}`: side 0 is the client's, 1 the upstream's.
    pub fn ping_rtt(&self, side: usize, rtt: Duration) {
        self.ping_rtt[side].observe(rtt.as_secs_f64());
    }

    /// The cells of one worker.
    #[inline]
    pub fn cells(&self, worker: usize) -> &TunnelCells {
        &self.workers[worker]
    }

    pub(super) fn workers(&self) -> &[TunnelCells] {
        &self.workers
    }
}

/// Few values, whatever endpoints invent.
pub(super) fn code_label(code: Option<u16>) -> String {
    match code {
        Some(code @ 1000..=1014) => code.to_string(),
        Some(3000..=3999) => "3xxx".to_owned(),
        Some(4000..=4999) => "4xxx".to_owned(),
        _ => "other".to_owned(),
    }
}

/// Of an upstream.
#[derive(Debug)]
pub struct UpstreamSeries {
    retries: IntCounter,
    connect_duration: Histogram,
}

impl UpstreamSeries {
    pub(super) fn new(families: &Families, upstream: &str) -> Self {
        Self {
            retries: families.retries.with_label_values(&[upstream]),
            connect_duration: families.connect_duration.with_label_values(&[upstream]),
        }
    }

    /// `upstream_retries_total`
    pub fn retried(&self) {
        self.retries.inc();
    }

    /// `upstream_connect_duration_seconds`
    pub fn connected(&self, took: Duration) {
        self.connect_duration.observe(took.as_secs_f64());
    }
}

/// Of a peer.
#[derive(Debug)]
pub struct PeerSeries {
    labels: [String; 2],
    up: IntGauge,
    weight: IntGauge,
    active: IntGauge,
    unavailable: IntCounter,
    connects: Vec<IntCounter>,
    remove: Box<Remove>,
}

/// The families a peer's series are removed from.
#[derive(Debug)]
struct Remove {
    gauges: [prometheus::IntGaugeVec; 3],
    counters: [IntCounterVec; 2],
}

impl PeerSeries {
    pub(super) fn new(families: &Families, upstream: &str, peer: &str) -> Self {
        let labels = [upstream, peer];
        let connect = |result: &ConnectResult| {
            families.connects.with_label_values(&[upstream, peer, result.as_str()])
        };
        Self {
            labels: labels.map(str::to_owned),
            up: families.peer_up.with_label_values(&labels),
            weight: families.peer_weight.with_label_values(&labels),
            active: families.peer_tunnels.with_label_values(&labels),
            unavailable: families.unavailable.with_label_values(&labels),
            connects: ConnectResult::ALL.iter().map(connect).collect(),
            remove: Box::new(Remove {
                gauges: [
                    families.peer_up.clone(),
                    families.peer_weight.clone(),
                    families.peer_tunnels.clone(),
                ],
                counters: [families.unavailable.clone(), families.connects.clone()],
            }),
        }
    }

    /// `upstream_connects_total`
    pub fn connect(&self, result: ConnectResult) {
        self.connects[result as usize].inc();
    }

    /// `upstream_peer_up`
    pub fn set_up(&self, up: bool) {
        self.up.set(i64::from(up));
    }

    /// `upstream_peer_weight`
    pub fn set_weight(&self, weight: u32) {
        self.weight.set(i64::from(weight));
    }

    /// `upstream_peer_tunnels_active`
    pub fn set_active(&self, active: usize) {
        self.active.set(i64::try_from(active).unwrap_or(i64::MAX));
    }

    /// `upstream_peer_unavailable_total`
    pub fn unavailable(&self) {
        self.unavailable.inc();
    }
}

impl Drop for PeerSeries {
    fn drop(&mut self) {
        let [upstream, peer] = [&*self.labels[0], &*self.labels[1]];
        let Remove { gauges, counters: [unavailable, connects] } = &*self.remove;
        // Removing what is not there is no error to anybody.
        for gauge in gauges {
            let _gone = gauge.remove_label_values(&[upstream, peer]);
        }
        let _gone = unavailable.remove_label_values(&[upstream, peer]);
        for result in ConnectResult::ALL {
            let _gone = connects.remove_label_values(&[upstream, peer, result.as_str()]);
        }
    }
}
