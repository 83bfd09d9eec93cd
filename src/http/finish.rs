//! The end of a request: one log line, one count, whatever way it ends.

use std::sync::Arc;

use tokio::time::Instant;

use super::guard::Verdicts;
use super::told::Told;
use crate::access_log::{Log, Record};
use crate::config::template::Piece;
use crate::limits::Taken;
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

    /// What was still to be told of the peers is known.
    fn settle(&mut self) {
        self.told.end();
        self.record.upstream_response_time = self.told.asked().map(|asked| asked.elapsed());
        let also = self.record.also.iter_mut().flat_map(|also| also.iter_mut());
        let lines = also.map(|(_, line)| line).chain([&mut self.record.line]);
        for piece in lines.flatten().flat_map(|line| line.iter_mut()) {
            if let Piece::Late(var) = piece
                && var.is_of_peers()
            {
                let value = self.told.value(var);
                *piece = Piece::Text(if value.is_empty() { "-".to_owned() } else { value });
            }
        }
    }

    /// The request became a tunnel: its line is written when that ends.
    pub(super) fn pass_on(mut self) -> Option<(Log, Box<Record>)> {
        self.passed_on = true;
        self.record.request_time = self.started.elapsed();
        self.settle();
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
            let log = log.clone();
            self.record.request_time = took;
            self.settle();
            log.request(std::mem::take(&mut self.record));
        }
    }
}
