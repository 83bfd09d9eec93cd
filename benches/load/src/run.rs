//! `run`: every connection has K messages in flight all the time.

use std::io;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::Outcome;
use crate::args::Run;
use crate::client::{Client, Event};
use crate::histogram::Histogram;
use crate::processes::Account;
use crate::swarm::Swarm;

/// How long what is still in flight may take at the end.
const DRAIN: Duration = Duration::from_secs(10);

pub fn run(options: &Run) -> io::Result<Outcome> {
    let target = &options.target;
    let account = || Account::take(&target.pid, target.echo_pid);
    let mut swarm = Swarm::new(target)?;
    swarm.open_all(options.conns, options.size, 128)?;
    for slot in swarm.those(|_| true) {
        swarm.with(slot, |client| (0..options.inflight).for_each(|_| client.message()));
    }
    let (mut echoes, mut latency) = (0, Histogram::new());
    ping_pong(&mut swarm, options.warmup, &mut echoes, &mut latency)?;
    (echoes, latency) = (0, Histogram::new());
    let before = account()?;
    ping_pong(&mut swarm, options.seconds, &mut echoes, &mut latency)?;
    let used = before.until(&account()?);
    drain(&mut swarm)?;
    swarm.close_all(usize::MAX)?;
    let per_second = echoes as f64 / used.seconds;
    let figures = json!({
        "conns": options.conns,
        "inflight": options.inflight,
        "size": options.size,
        "messages": echoes,
        "messages_per_second": per_second.round(),
        "mib_per_second": (per_second * options.size as f64 / f64::from(1 << 20)).round(),
        "cpu_us_per_message": used.micros_each(echoes),
        "latency_us": latency.summary(),
        "cores": used.cores(),
        "integrity": swarm.integrity(),
    });
    Ok(Outcome { figures, clean: swarm.is_clean() && echoes > 0 })
}

/// Answers every echo with the next message, for a time.
fn ping_pong(
    swarm: &mut Swarm,
    time: Duration,
    echoes: &mut u64,
    latency: &mut Histogram,
) -> io::Result<()> {
    let end = Instant::now() + time;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        swarm.poll(left, |client, event| {
            if let Event::Echo(took) = event {
                *echoes += 1;
                latency.record(took);
                client.message();
            }
        })?;
    }
}

fn drain(swarm: &mut Swarm) -> io::Result<()> {
    let patience = Instant::now() + DRAIN;
    while Instant::now() < patience && !swarm.those(|client| client.in_flight() > 0).is_empty() {
        swarm.poll(Duration::from_millis(20), |_: &mut Client, _| {})?;
    }
    Ok(())
}
