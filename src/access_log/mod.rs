//! The access log: records of requests and tunnels, written by a thread of its own that can reopen
//! its files. A record never waits for the disk: when the queue is full it is dropped and counted.
//! Secrets never reach a line (METRICS.md).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::config::model;
use crate::ending::Ending;
use crate::metrics::Metrics;

/// The thread that writes, and its open files. Lives as long as the process.
#[derive(Debug)]
pub struct Writer {}

impl Writer {
    /// Starts the thread.
    pub fn start(_metrics: Arc<Metrics>) -> Arc<Self> {
        todo!("helper access_log")
    }
    /// A handle to the log of a location; opens the file now, so that a reload can fail. Logs of
    /// equal path share one file.
    pub fn open(self: &Arc<Self>, _log: &model::AccessLog) -> io::Result<Log> {
        todo!("helper access_log")
    }
    /// USR1: every file is opened again.
    pub fn reopen(&self) {
        todo!("helper access_log")
    }
    /// Waits until everything queued so far is written.
    pub fn flush(&self) {
        todo!("helper access_log")
    }
}

/// Where the records of a location go. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Log {}

/// One request, or the request that opened a tunnel. Filled by `http` as it learns.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Record {
    /// Milliseconds of the Unix clock when the request's head was complete.
    pub at_ms: u64,
    pub remote_addr: String,
    pub remote_user: String,
    pub method: String,
    /// As received; redacted when written.
    pub request_uri: String,
    pub protocol: &'static str,
    pub host: String,
    pub server: String,
    pub location: String,
    pub status: u16,
    pub body_bytes_sent: u64,
    pub referer: String,
    pub user_agent: String,
    pub request_id: String,
    pub request_time: Duration,
    pub upstream: String,
    /// Peers tried, separated by commas.
    pub upstream_addr: String,
    pub upstream_connect_time: Option<Duration>,
    pub upstream_tries: u32,
    pub config_revision: u64,
    pub ssl_protocol: &'static str,
    pub traceparent: String,
    /// Present on an upgrade request that became a tunnel.
    pub ws: Option<Box<WsRecord>>,
}

/// What only tunnels have.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct WsRecord {
    pub subprotocol: String,
    pub extensions: String,
    pub handshake_time: Duration,
}

/// A tunnel's own figures, at its end. Index 0 is in, 1 is out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct TunnelStats {
    pub messages: [u64; 2],
    /// Payload bytes of data frames.
    pub bytes: [u64; 2],
    pub duration: Duration,
    pub ping_rtt_last: Option<Duration>,
    pub ping_rtt_max: Option<Duration>,
    pub stalled: Duration,
}

impl Log {
    /// Writes a finished request.
    pub fn request(&self, _record: Record) {
        todo!("helper access_log")
    }
    /// Writes the line of a tunnel's opening, when the log asks for it.
    pub fn tunnel_opened(&self, _record: &Record) {
        todo!("helper access_log")
    }
    /// Writes the line of a tunnel that ended.
    pub fn tunnel_ended(&self, _record: Record, _ending: &Ending, _stats: &TunnelStats) {
        todo!("helper access_log")
    }
}
