//! The end of a request: one log line, one count, whatever way it ends.

use std::sync::Arc;

use tokio::time::Instant;

use super::guard::Verdicts;
use crate::access_log::{Log, Record};
use crate::metrics::ServerSeries;
use crate::upstream::Lease;

/// The status nginx logs when the client went away before its answer.
const CLIENT_GONE: u16 = 499;

/// Does on drop what a request's end asks for. Until an answer is known, it is the client that
/// went away.
#[derive(Debug)]
pub(super) struct Finish {
    pub(super) started: Instant,
    pub(super) record: Box<Record>,
    pub(super) log: Option<Log>,
    pub(super) series: Option<Arc<ServerSeries>>,
    verdicts: Arc<Verdicts>,
    /// The peer is busy until the answer has been passed on.
    lease: Option<Lease>,
    /// It asked for a WebSocket: its time is no request's latency.
    pub(super) upgrade: bool,
    passed_on: bool,
}

impl Finish {
    pub(super) fn new(verdicts: Arc<Verdicts>) -> Self {
        let record = Box::new(Record { status: CLIENT_GONE, ..Record::default() });
        Self {
            started: Instant::now(),
            record,
            log: None,
            series: None,
            verdicts,
            lease: None,
            upgrade: false,
            passed_on: false,
        }
    }

    /// The answer's status is known.
    pub(super) fn answered(&mut self, status: u16) {
        self.record.status = status;
    }

    /// Bytes of the answer's body.
    pub(super) fn sent(&mut self, bytes: u64) {
        self.record.body_bytes_sent += bytes;
    }

    /// Keeps the peer busy.
    pub(super) fn keep(&mut self, lease: Lease) {
        self.lease = Some(lease);
    }

    /// The request became a tunnel: its line is written when that ends.
    pub(super) fn pass_on(mut self) -> Option<(Log, Box<Record>)> {
        self.passed_on = true;
        self.record.request_time = self.started.elapsed();
        let log = self.log.take()?;
        Some((log, std::mem::take(&mut self.record)))
    }
}

impl Drop for Finish {
    fn drop(&mut self) {
        self.verdicts.answered();
        let took = self.started.elapsed();
        if let Some(series) = &self.series {
            if self.upgrade {
                series.upgrade_request(if self.passed_on { 101 } else { self.record.status });
            } else {
                series.request(self.record.status, took);
            }
        }
        if let (Some(log), false) = (&self.log, self.passed_on) {
            self.record.request_time = took;
            log.request(std::mem::take(&mut self.record));
        }
    }
}
