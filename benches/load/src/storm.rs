//! `storm`: all connections at once.

use std::io;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::Outcome;
use crate::args::Storm;
use crate::body::MARK;
use crate::client::{Client, Event};
use crate::histogram::Histogram;
use crate::processes::Account;
use crate::swarm::Swarm;

pub fn run(options: &Storm) -> io::Result<Outcome> {
    let target = &options.target;
    let mut swarm = Swarm::new(target)?;
    let (mut up, mut times) = (0, Histogram::new());
    let before = Account::take(&target.pid, target.echo_pid)?;
    let begun = Instant::now();
    for _ in 0..options.conns {
        swarm.open(MARK)?;
    }
    while up < swarm.live() && begun.elapsed() < options.patience {
        swarm.poll(Duration::from_millis(100), |_, event| {
            if matches!(event, Event::Up) {
                up += 1;
                times.record(begun.elapsed());
            }
        })?;
    }
    let all_up = begun.elapsed();
    let used = before.until(&Account::take(&target.pid, target.echo_pid)?);
    let late = swarm.those(|client| !client.is_open());
    for slot in &late {
        swarm.abandon(*slot, "not up in time");
    }
    let failed = options.conns - swarm.live();
    say_something(&mut swarm)?;
    swarm.close_all(256)?;
    let figures = json!({
        "conns": options.conns,
        "failed": failed,
        "all_up_s": (all_up.as_secs_f64() * 1000.0).round() / 1000.0,
        "up_us": times.summary(),
        "cpu_us_per_conn": used.micros_each(options.conns as u64),
        "cores": used.cores(),
        "integrity": swarm.integrity(),
    });
    Ok(Outcome { figures, clean: failed == 0 && swarm.is_clean() })
}

/// What is up has to carry a message too.
fn say_something(swarm: &mut Swarm) -> io::Result<()> {
    let all = swarm.those(Client::is_open);
    let (mut missing, patience) = (all.len(), Instant::now() + Duration::from_secs(10));
    for slot in all {
        swarm.with(slot, Client::message);
    }
    while missing > 0 && Instant::now() < patience {
        swarm.poll(Duration::from_millis(100), |_, event| {
            missing -= usize::from(matches!(event, Event::Echo(_)));
        })?;
    }
    Ok(())
}
