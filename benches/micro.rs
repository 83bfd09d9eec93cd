//! Micro benches of what a request or a message passes through: the frame tracker, the tunnel's
//! state machine, the route table, a template, the balancer, a counter.
//! `cargo bench --bench micro`

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use wayhold::config::load_str;
use wayhold::config::model::{Action, Balance, Config, Policy};
use wayhold::config::template::{Lookup, Template, Var};
use wayhold::http::route::RouteTable;
use wayhold::metrics::{Metrics, TunnelSeries};
use wayhold::upstream::balance::{Balancer, Candidate};
use wayhold::ws::Side;
use wayhold::ws::frame::{Event, Tracker};
use wayhold::ws::tunnel::{Context, Tunnel};

fn main() {
    divan::main();
}

/// Masked binary frames of this payload, as many as a read of 16 KiB might bring, but at least one.
fn frames(payload: usize) -> Vec<u8> {
    let mut frame = vec![0x82];
    match payload {
        0..126 => frame.push(0x80 | payload as u8),
        126..0x1_0000 => {
            frame.push(0xfe);
            frame.extend_from_slice(&(payload as u16).to_be_bytes());
        }
        _ => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(payload as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[1, 2, 3, 4]);
    frame.resize(frame.len() + payload, 0x55);
    frame.repeat((16 * 1024 / frame.len()).max(1))
}

/// A server with so many locations: prefixes, some of them exact, some regular expressions.
fn config(locations: usize) -> Config {
    let mut text = String::from("[[server]]\nlisten = \"127.0.0.1:80\"\n");
    for n in 0..locations {
        let path = match n % 10 {
            0 => format!("= /exact/{n}"),
            1 => format!("~ ^/regex/{n}/[a-z]+$"),
            _ => format!("/prefix/{n}"),
        };
        write!(
            text,
            "[[server.location]]\npath = '{path}'\nproxy_pass = \"http://127.0.0.1:8888\"\n\
             proxy_set_header = {{ X-Seen = \"$scheme://$host$request_uri from $remote_addr\" }}\n"
        )
        .expect("a string takes everything");
    }
    load_str(&text, "bench", Path::new("/")).expect("it is valid").config
}

/// The clocks and limits that a location has by default.
fn policy() -> Arc<Policy> {
    let config = config(1);
    match &config.servers[0].locations[0].action {
        Action::Proxy(proxy) => Arc::clone(&proxy.websocket.policy),
        _ => unreachable!("it has a proxy_pass"),
    }
}

fn series() -> Arc<TunnelSeries> {
    Metrics::new(1).tunnels("server", "upstream")
}

/// What came in one read, frame by frame.
#[divan::bench(args = [0, 64, 512, 65536])]
fn tracker(bencher: Bencher, payload: usize) {
    let bytes = frames(payload);
    bencher.counter(BytesCount::new(bytes.len())).bench_local(|| {
        let (mut tracker, mut at) = (Tracker::default(), 0);
        let mut ends = 0;
        while at < bytes.len() || tracker.in_frame() {
            let (used, event) = tracker.advance(&black_box(&bytes)[at..]);
            at += used;
            ends += usize::from(event == Event::End);
        }
        ends
    });
}

/// The same through the whole state machine, counters included: what a message costs in user space
/// beside the system calls.
#[divan::bench(args = [64, 512, 65536])]
fn tunnel(bencher: Bencher, payload: usize) {
    let (bytes, policy, series) = (frames(payload), policy(), series());
    let mut tunnel = Tunnel::new(0, [1, 2]);
    let mut scratch = Vec::new();
    let mut now = 0;
    bencher.counter(BytesCount::new(bytes.len())).bench_local(|| {
        now += 1;
        let cx = Context { now, policy: &policy, cells: series.cells(0) };
        let out = tunnel.receive(Side::Client, black_box(&bytes), &cx, &mut scratch);
        assert_eq!(out.len(), bytes.len());
    });
}

/// One message in one read, as it is when little is going on.
#[divan::bench]
fn tunnel_one_message(bencher: Bencher) {
    let (policy, series) = (policy(), series());
    let bytes = &frames(64)[..70];
    let mut tunnel = Tunnel::new(0, [1, 2]);
    let mut scratch = Vec::new();
    bencher.bench_local(|| {
        let cx = Context { now: 1, policy: &policy, cells: series.cells(0) };
        tunnel.receive(Side::Client, black_box(bytes), &cx, &mut scratch).len()
    });
}

#[divan::bench(args = [1, 10, 100, 1000])]
fn route_table(bencher: Bencher, locations: usize) {
    let config = config(locations);
    let mut table = RouteTable::default();
    for (number, location) in config.servers[0].locations.iter().enumerate() {
        table.add(&location.path, number, RouteTable::default());
    }
    // The last that was put in, so that nothing is found early by luck.
    let path = format!("/prefix/{}/room", locations.max(3) - 1);
    bencher.bench_local(|| table.find(black_box(&path)));
}

/// The values of a request that were made before, so that the template alone is measured.
struct Values;

impl Lookup for Values {
    fn lookup(&self, var: &Var, out: &mut String) {
        out.push_str(match var {
            Var::Scheme => "https",
            Var::Host => "example.org",
            Var::RequestUri => "/chat/room?id=7",
            _ => "192.0.2.1",
        });
    }
}

#[divan::bench]
fn template(bencher: Bencher) {
    let config = config(1);
    let Action::Proxy(proxy) = &config.servers[0].locations[0].action else {
        unreachable!("it has a proxy_pass");
    };
    let is_ours = |name: &http::HeaderName| name.as_str() == "x-seen";
    let found = proxy.set_headers.iter().find(|(name, _)| is_ours(name));
    let template: &Template = &found.expect("it was set").1;
    assert_eq!(template.expand(&Values), "https://example.org/chat/room?id=7 from 192.0.2.1");
    bencher.bench_local(|| black_box(template).expand(&Values));
}

#[divan::bench(args = ["least_conn", "round_robin", "random"], consts = [4, 64])]
fn balance<const PEERS: usize>(bencher: Bencher, which: &str) {
    let balance = match which {
        "least_conn" => Balance::LeastConn,
        "round_robin" => Balance::RoundRobin,
        _ => Balance::Random,
    };
    let mut candidates: Vec<Candidate> =
        (0..PEERS).map(|index| Candidate { index, weight: 1, active: 0 }).collect();
    let mut balancer = Balancer::new(PEERS, 7);
    bencher.bench_local(|| {
        let picked = balancer.pick(black_box(balance), &candidates);
        if let Some(index) = picked {
            candidates[index].active += 1;
        }
        picked
    });
}

/// What the relay does for each counter of each message.
#[divan::bench]
fn metrics_cell(bencher: Bencher) {
    let series = series();
    let cell = &series.cells(0).binary[0];
    bencher.bench_local(|| cell.add(black_box(1)));
}

/// What a scrape costs, with this many pairs of server and upstream.
#[divan::bench(args = [1, 100])]
fn metrics_page(bencher: Bencher, pairs: usize) {
    let metrics = Metrics::new(2);
    let _series: Vec<_> =
        (0..pairs).map(|n| metrics.tunnels(&format!("server{n}"), "upstream")).collect();
    bencher.bench_local(|| metrics.encode().len());
}
