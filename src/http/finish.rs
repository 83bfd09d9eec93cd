//! The end of a request: one log line, one count, whatever way it ends.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};

use tokio::time::Instant;

use super::guard::Verdicts;
use crate::access_log::{Log, Record};
use crate::limits::Taken;
use crate::metrics::ServerSeries;
use crate::upstream::Lease;

/// The status nginx logs when the client went away before its answer.
const CLIENT_GONE: u16 = 499;

/// What the peers that were asked said, for variables.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// `$upstream_status`
    pub(super) statuses: String,
    /// `$upstream_connect_time`
    pub(super) connect_times: String,
    /// `$upstream_header_time`
    pub(super) header_times: String,
    /// `$upstream_http_NAME`
    pub(super) headers: HeaderMap,
    /// When the last of them was asked.
    pub(super) asked: Option<Instant>,
}

impl Told {
    /// Another peer is asked.
    pub(super) fn ask(&mut self) {
        if self.asked.is_some() {
            for list in [&mut self.statuses, &mut self.connect_times, &mut self.header_times] {
                list.push_str(", ");
            }
        }
        self.asked = Some(Instant::now());
    }

    /// It is connected.
    pub(super) fn connected(&mut self) {
        if let Some(asked) = self.asked {
            self.connect_times += &seconds(asked.elapsed());
        }
    }

    /// It has answered.
    pub(super) fn answered(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.statuses += status.as_str();
        self.headers.clone_from(headers);
        if let Some(asked) = self.asked {
            self.header_times += &seconds(asked.elapsed());
        }
    }

    /// It has not, and this is what that counts as.
    pub(super) fn failed(&mut self, status: StatusCode) {
        self.statuses += status.as_str();
        self.header_times.push('-');
    }
}

/// nginx's times: `0.042`.
pub(super) fn seconds(time: Duration) -> String {
    format!("{}.{:03}", time.as_secs(), time.subsec_millis())
}

/// Does on drop what a request's end asks for. Until an answer is known, it is the client that
/// went away.
#[derive(Debug)]
pub(super) struct Finish {
    pub(super) started: Instant,
    pub(super) record: Box<Record>,
    pub(super) told: Told,
    pub(super) log: Option<Log>,
    pub(super) series: Option<Arc<ServerSeries>>,
    verdicts: Arc<Verdicts>,
    /// The peer is busy until the answer has been passed on.
    lease: Option<Lease>,
    /// Its places of `limit_conn`.
    pub(super) taken: Vec<Taken>,
    /// It asked for a WebSocket: its time is no request's latency.
    pub(super) upgrade: bool,
    passed_on: bool,
    /// It is for a part of an answer: neither counted nor logged.
    part: bool,
}

impl Finish {
    pub(super) fn new(verdicts: Arc<Verdicts>) -> Self {
        let record = Box::new(Record { status: CLIENT_GONE, ..Record::default() });
        Self {
            started: Instant::now(),
            record,
            told: Told::default(),
            log: None,
            series: None,
            verdicts,
            lease: None,
            taken: Vec::new(),
            upgrade: false,
            passed_on: false,
            part: false,
        }
    }

    /// That of a request made here for a part of an answer.
    pub(super) fn of_part(verdicts: Arc<Verdicts>) -> Self {
        let mut finish = Self::new(verdicts);
        finish.part = true;
        finish
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
        self.record.upstream_response_time = self.told.asked.map(|asked| asked.elapsed());
        let log = self.log.take()?;
        Some((log, std::mem::take(&mut self.record)))
    }
}

impl Drop for Finish {
    fn drop(&mut self) {
        if self.part {
            return;
        }
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
            self.record.upstream_response_time = self.told.asked.map(|asked| asked.elapsed());
            log.request(std::mem::take(&mut self.record));
        }
    }
}
