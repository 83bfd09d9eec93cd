//! Counters with one writer each: the relay's threads add to cells of their own, a scrape sums
//! them. A shared counter costs ten times as much, a label look-up fifty times.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

use super::series::TunnelSeries;

/// A counter with one writer: relaxed load and store, no locked instruction.
#[derive(Debug, Default)]
pub struct Cell(AtomicU64);

impl Cell {
    /// Adds. Only the owning thread may.
    #[inline]
    pub fn add(&self, n: u64) {
        let value = self.0.load(Ordering::Relaxed);
        self.0.store(value.wrapping_add(n), Ordering::Relaxed);
    }

    /// The value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one worker counts for one (server, upstream) pair; by direction, 0 is in and 1 is out.
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
#[repr(align(128))]
pub struct WorkerSeries {
    /// Microseconds spent outside `epoll_wait`.
    pub busy_us: Cell,
    /// Tunnels taken.
    pub opened: Cell,
    /// Tunnels ended.
    pub closed: Cell,
}

/// One family that is summed at scrape time.
struct Family {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    /// By label values, so that series which differ in a label left out are added up.
    metrics: BTreeMap<Vec<(&'static str, String)>, u64>,
    /// What the values are divided by.
    scale: f64,
}

impl Family {
    const fn new(name: &'static str, help: &'static str, kind: MetricType, scale: f64) -> Self {
        Self { name, help, kind, metrics: BTreeMap::new(), scale }
    }

    fn add(&mut self, labels: &[(&'static str, &str)], value: u64) {
        let labels = labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let sum = self.metrics.entry(labels).or_default();
        *sum = sum.wrapping_add(value);
    }

    #[expect(clippy::cast_precision_loss, reason = "the text format is floating point")]
    fn metric(&self, labels: &[(&str, String)], value: u64) -> Metric {
        let value = value as f64 / self.scale;
        let mut metric = Metric::from_label(labels.iter().map(|(k, v)| label(k, v)).collect());
        if self.kind == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        metric
    }

    fn finish(self) -> MetricFamily {
        let mut family = MetricFamily::default();
        family.set_name(self.name.to_owned());
        family.set_help(self.help.to_owned());
        family.set_field_type(self.kind);
        let metrics = self.metrics.iter();
        family.set_metric(metrics.map(|(labels, value)| self.metric(labels, *value)).collect());
        family
    }
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

/// The families of the workers' cells, summed now.
pub(super) fn families<'a>(
    tunnels: impl Iterator<Item = &'a TunnelSeries>,
    workers: impl Iterator<Item = &'a WorkerSeries>,
) -> Vec<MetricFamily> {
    use MetricType::{COUNTER, GAUGE};
    let family = Family::new;
    let mut messages =
        family("wayhold_ws_messages_total", "Messages that came from a leg.", COUNTER, 1.0);
    let mut payload =
        family("wayhold_ws_payload_bytes_total", "Payload bytes of data frames.", COUNTER, 1.0);
    let mut control =
        family("wayhold_ws_control_frames_total", "Control frames of a leg.", COUNTER, 1.0);
    let stalled_name = "wayhold_ws_backpressure_seconds_total";
    let mut stalled = family(stalled_name, "Time that bytes had to wait for a leg.", COUNTER, 1e3);
    let mut buffered =
        family("wayhold_ws_buffered_bytes", "Bytes that wait for a leg to take them.", GAUGE, 1.0);
    for series in tunnels {
        let (server, upstream) = (("server", series.server()), ("upstream", series.upstream()));
        for (i, direction) in ["in", "out"].into_iter().enumerate() {
            let direction = ("direction", direction);
            let sum = |cell: fn(&TunnelCells) -> &[Cell; 2]| {
                series.workers().iter().map(|cells| cell(cells)[i].get()).fold(0, u64::wrapping_add)
            };
            let pair = [server, upstream, direction];
            messages.add(&[pair[0], pair[1], pair[2], ("type", "text")], sum(|c| &c.text));
            messages.add(&[pair[0], pair[1], pair[2], ("type", "binary")], sum(|c| &c.binary));
            payload.add(&pair, sum(|c| &c.payload));
            control.add(&[server, direction, ("opcode", "ping")], sum(|c| &c.ping));
            control.add(&[server, direction, ("opcode", "pong")], sum(|c| &c.pong));
            control.add(&[server, direction, ("opcode", "close")], sum(|c| &c.close));
            stalled.add(&[server, direction], sum(|c| &c.stalled_ms));
            let held = sum(|c| &c.buffered_in).saturating_sub(sum(|c| &c.buffered_out));
            buffered.add(&[server, direction], held);
        }
    }
    let mut busy = family(
        "wayhold_worker_busy_seconds_total",
        "Time that a relay thread worked.",
        COUNTER,
        1e6,
    );
    let mut active =
        family("wayhold_worker_tunnels_active", "Tunnels of a relay thread.", GAUGE, 1.0);
    for (index, worker) in workers.enumerate() {
        let index = index.to_string();
        busy.add(&[("worker", &index)], worker.busy_us.get());
        let tunnels = worker.opened.get().saturating_sub(worker.closed.get());
        active.add(&[("worker", &index)], tunnels);
    }
    [messages, payload, control, stalled, buffered, busy, active]
        .into_iter()
        .filter(|family| !family.metrics.is_empty())
        .map(Family::finish)
        .collect()
}
