//! Everything that is counted, declared once. Handles are resolved when a generation is built; the
//! relay adds to single-writer cells of its worker and nothing more, and a scrape sums them.
//! Names, labels and help texts: `shared METRICS.md`.

use std::sync::Arc;
use std::time::Duration;

use crate::ending::Ending;

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {}

/// How an upgrade request fared: `ws_upgrades_total{result}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum UpgradeResult {
    Accepted,
    BadRequest,
    Origin,
    Limit,
    NoPeer,
    Refused,
    UpstreamError,
    Timeout,
}

/// How a connect to a peer fared: `upstream_connects_total{result}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ConnectResult {
    Ok,
    Refused,
    Timeout,
    Reset,
    Tls,
    NoLocalPort,
}

/// Why a connection was turned away: `connections_rejected_total{reason}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum RejectReason {
    Limit,
    ProxyProtocol,
    Tls,
    Shutdown,
}

/// How a TLS handshake fared: `tls_handshakes_total{result}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum HandshakeResult {
    Full,
    Resumed,
    Failed,
    Timeout,
}

impl Metrics {
    /// For a process with `workers` relay threads.
    pub fn new(_workers: usize) -> Arc<Self> {
        todo!("helper metrics")
    }
    /// The page, `text/plain; version=0.0.4; charset=utf-8`.
    pub fn encode(&self) -> Vec<u8> {
        todo!("helper metrics")
    }
    /// Handles of a listener (label: its address).
    pub fn listener(&self, _addr: &str) -> Arc<ListenerSeries> {
        todo!("helper metrics")
    }
    /// Handles of a server.
    pub fn server(&self, _server: &str) -> Arc<ServerSeries> {
        todo!("helper metrics")
    }
    /// Handles of the tunnels of a (server, upstream) pair.
    pub fn tunnels(&self, _server: &str, _upstream: &str) -> Arc<TunnelSeries> {
        todo!("helper metrics")
    }
    /// Handles of an upstream.
    pub fn upstream(&self, _upstream: &str) -> Arc<UpstreamSeries> {
        todo!("helper metrics")
    }
    /// Handles of a peer; its series go when the last handle is dropped.
    pub fn peer(&self, _upstream: &str, _peer: &str) -> Arc<PeerSeries> {
        todo!("helper metrics")
    }
    /// The worker's own cells (`worker_busy_seconds_total`, `worker_tunnels_active`).
    pub fn worker(&self, _worker: usize) -> Arc<WorkerSeries> {
        todo!("helper metrics")
    }
    /// `config_reloads_total`, `config_last_reload_*`, `config_revision`.
    pub fn config_loaded(&self, _success: bool, _revision: u64) {
        todo!("helper metrics")
    }
    /// `tls_certificate_not_after_timestamp_seconds`, all of a generation at once:
    /// (server, subject, unix seconds).
    pub fn set_certificates(&self, _all: Vec<(String, String, i64)>) {
        todo!("helper metrics")
    }
    /// `draining`, `drain_tunnels_remaining`.
    pub fn set_draining(&self, _draining: bool, _remaining: usize) {
        todo!("helper metrics")
    }
    /// `access_log_dropped_total`
    pub fn access_log_dropped(&self, _lines: u64) {
        todo!("helper metrics")
    }
}

/// Of a listener.
#[derive(Debug)]
pub struct ListenerSeries {}

impl ListenerSeries {
    /// Counts a connection as accepted and active until the guard drops.
    pub fn accepted(self: &Arc<Self>) -> ActiveConnection {
        todo!("helper metrics")
    }
    /// Counts a rejection.
    pub fn rejected(&self, _reason: RejectReason) {
        todo!("helper metrics")
    }
    /// Counts a TLS handshake and how long it took.
    pub fn handshake(&self, _result: HandshakeResult, _took: Duration) {
        todo!("helper metrics")
    }
}

/// One active connection of a listener.
#[derive(Debug)]
pub struct ActiveConnection(#[expect(dead_code)] Arc<ListenerSeries>);

/// Of a server.
#[derive(Debug)]
pub struct ServerSeries {}

impl ServerSeries {
    /// One plain request was answered.
    pub fn request(&self, _status: u16, _took: Duration) {
        todo!("helper metrics")
    }
    /// One upgrade request was decided; counts in `http_requests_total` too, not in its histogram.
    pub fn upgrade_request(&self, _status: u16) {
        todo!("helper metrics")
    }
}

/// Of a (server, upstream) pair.
#[derive(Debug)]
pub struct TunnelSeries {}

impl TunnelSeries {
    /// `ws_upgrades_total`
    pub fn upgrade(&self, _result: UpgradeResult) {
        todo!("helper metrics")
    }
    /// `ws_handshake_duration_seconds`
    pub fn handshake(&self, _took: Duration) {
        todo!("helper metrics")
    }
    /// `ws_tunnels_active`
    pub fn opened(&self) {
        todo!("helper metrics")
    }
    /// `ws_tunnels_active`, `ws_tunnel_duration_seconds`, `ws_tunnels_closed_total`,
    /// `ws_proxy_closes_total`.
    pub fn closed(&self, _ending: &Ending, _lived: Duration) {
        todo!("helper metrics")
    }
    /// `ws_ping_rtt_seconds{side}`: side 0 is the client's, 1 the upstream's.
    pub fn ping_rtt(&self, _side: usize, _rtt: Duration) {
        todo!("helper metrics")
    }
    /// The cells of one worker. Direction 0 is in, 1 is out.
    pub fn cells(&self, _worker: usize) -> &TunnelCells {
        todo!("helper metrics")
    }
}

/// A counter with one writer: relaxed load and store, no locked instruction.
#[derive(Debug, Default)]
pub struct Cell(std::sync::atomic::AtomicU64);

impl Cell {
    /// Adds. Only the owning thread may.
    #[inline]
    pub fn add(&self, n: u64) {
        use std::sync::atomic::Ordering::Relaxed;
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }
    /// The value.
    pub fn get(&self) -> u64 {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

/// What one worker counts for one (server, upstream) pair; by direction.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct TunnelCells {
    /// `ws_messages_total{type="text"}`
    pub text: [Cell; 2],
    /// `ws_messages_total{type="binary"}`
    pub binary: [Cell; 2],
    /// `ws_payload_bytes_total`
    pub payload: [Cell; 2],
    /// `ws_control_frames_total{opcode="ping"}`
    pub ping: [Cell; 2],
    /// `ws_control_frames_total{opcode="pong"}`
    pub pong: [Cell; 2],
    /// `ws_control_frames_total{opcode="close"}`
    pub close: [Cell; 2],
    /// `ws_backpressure_seconds_total`, in milliseconds
    pub stalled_ms: [Cell; 2],
    /// `ws_buffered_bytes`: bytes put into remainder buffers
    pub buffered_in: [Cell; 2],
    /// `ws_buffered_bytes`: bytes taken out again; the gauge is the difference
    pub buffered_out: [Cell; 2],
}

/// Of a worker.
#[derive(Debug, Default)]
pub struct WorkerSeries {
    /// Microseconds spent outside `epoll_wait`.
    pub busy_us: Cell,
    /// Tunnels taken.
    pub opened: Cell,
    /// Tunnels ended.
    pub closed: Cell,
}

/// Of an upstream.
#[derive(Debug)]
pub struct UpstreamSeries {}

impl UpstreamSeries {
    /// `upstream_retries_total`
    pub fn retried(&self) {
        todo!("helper metrics")
    }
    /// `upstream_connect_duration_seconds`
    pub fn connected(&self, _took: Duration) {
        todo!("helper metrics")
    }
}

/// Of a peer.
#[derive(Debug)]
pub struct PeerSeries {}

impl PeerSeries {
    /// `upstream_connects_total`
    pub fn connect(&self, _result: ConnectResult) {
        todo!("helper metrics")
    }
    /// `upstream_peer_up`
    pub fn set_up(&self, _up: bool) {
        todo!("helper metrics")
    }
    /// `upstream_peer_weight`
    pub fn set_weight(&self, _weight: u32) {
        todo!("helper metrics")
    }
    /// `upstream_peer_tunnels_active` (active leases of tunnels)
    pub fn set_active(&self, _active: usize) {
        todo!("helper metrics")
    }
    /// `upstream_peer_unavailable_total`
    pub fn unavailable(&self) {
        todo!("helper metrics")
    }
}
