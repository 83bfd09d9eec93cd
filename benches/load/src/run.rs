//! `run`: every connection has K messages in flight all the time, or messages go out at a rate.

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
/// How often the clock is looked at, at least, for messages that are due.
const TICK: Duration = Duration::from_millis(1);

pub fn run(options: &Run) -> io::Result<Outcome> {
    let target = &options.target;
    let account = || Account::take(&target.pid, target.echo_pid);
    let mut swarm = Swarm::new(target)?;
    swarm.open_all(options.conns, options.size, 128)?;
    if options.rate.is_none() {
        for slot in swarm.those(|_| true) {
            swarm.with(slot, |client| (0..options.inflight).for_each(|_| client.message()));
        }
    }
    let load = |swarm: &mut Swarm, time, seen: &mut Seen| match options.rate {
        None => ping_pong(swarm, time, seen),
        Some(rate) => paced(swarm, time, rate, seen),
    };
    load(&mut swarm, options.warmup, &mut Seen::new())?;
    let (before, mut seen) = (account()?, Seen::new());
    load(&mut swarm, options.seconds, &mut seen)?;
    let used = before.until(&account()?);
    let Seen { echoes, latency } = seen;
    drain(&mut swarm)?;
    swarm.close_all(usize::MAX)?;
    let per_second = echoes as f64 / used.seconds;
    let figures = json!({
        "conns": options.conns,
        "inflight": options.rate.is_none().then_some(options.inflight),
        "size": options.size,
        "rate": options.rate,
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

/// What came back in a time.
struct Seen {
    echoes: u64,
    latency: Histogram,
}

impl Seen {
    fn new() -> Self {
        Self { echoes: 0, latency: Histogram::new() }
    }

    fn echo(&mut self, took: Duration) {
        self.echoes += 1;
        self.latency.record(took);
    }
}

/// Answers every echo with the next message, for a time.
fn ping_pong(swarm: &mut Swarm, time: Duration, seen: &mut Seen) -> io::Result<()> {
    let end = Instant::now() + time;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        swarm.poll(left, |client, event| {
            if let Event::Echo(took) = event {
                seen.echo(took);
                client.message();
            }
        })?;
    }
}

/// Sends what is due by the clock, one connection after the other, for a time.
fn paced(swarm: &mut Swarm, time: Duration, rate: u32, seen: &mut Seen) -> io::Result<()> {
    let slots = swarm.those(|_| true);
    let begun = Instant::now();
    let mut turns = slots.iter().cycle();
    let mut sent = 0_u64;
    loop {
        let passed = begun.elapsed();
        if passed >= time {
            return Ok(());
        }
        let due = (passed.as_secs_f64() * f64::from(rate)) as u64;
        for slot in turns.by_ref().take((due - sent) as usize) {
            swarm.with(*slot, Client::message);
        }
        sent = due;
        swarm.poll(TICK, |_: &mut Client, event| {
            if let Event::Echo(took) = event {
                seen.echo(took);
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
