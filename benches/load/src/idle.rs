//! `idle`: what an idle connection costs in the proxy's memory.

use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Outcome;
use crate::args::Idle;
use crate::client::{Client, Event};
use crate::processes::Memory;
use crate::swarm::Swarm;

pub fn run(options: &Idle) -> io::Result<Outcome> {
    let memory = || Memory::of(&options.target.pid);
    let mut swarm = Swarm::new(&options.target)?;
    let before = memory()?;
    swarm.open_all(options.conns, options.touch, options.parallel)?;
    rest(&mut swarm, options.hold)?;
    let idle = memory()?;
    touch(&mut swarm, options.parallel)?;
    rest(&mut swarm, options.hold)?;
    let touched = memory()?;
    swarm.close_all(options.parallel)?;
    sleep(options.hold);
    let closed = memory()?;
    let each = |now: Memory| each(before, now, options.conns);
    let figures = json!({
        "conns": options.conns,
        "touch": options.touch,
        "before": { "rss": before.rss, "pss": before.pss },
        "idle": { "rss": idle.rss, "pss": idle.pss },
        "touched": { "rss": touched.rss, "pss": touched.pss },
        "closed": { "rss": closed.rss, "pss": closed.pss },
        "bytes_per_conn": { "idle": each(idle), "touched": each(touched), "closed": each(closed) },
        "integrity": swarm.integrity(),
    });
    Ok(Outcome { figures, clean: swarm.is_clean() })
}

fn each(before: Memory, now: Memory, conns: usize) -> Value {
    let conns = conns as i64;
    json!({ "rss": (now.rss - before.rss) / conns, "pss": (now.pss - before.pss) / conns })
}

/// Lets time pass; pings are answered meanwhile.
fn rest(swarm: &mut Swarm, time: Duration) -> io::Result<()> {
    let end = Instant::now() + time;
    while Instant::now() < end {
        swarm.poll(Duration::from_millis(50), |_, _| {})?;
    }
    Ok(())
}

/// One message there and back on every connection, `parallel` of them at once.
fn touch(swarm: &mut Swarm, parallel: usize) -> io::Result<()> {
    let patience = Instant::now() + Duration::from_secs(300);
    let mut left = swarm.those(Client::is_open);
    let mut under_way = 0;
    while under_way > 0 || !left.is_empty() {
        while under_way < parallel
            && let Some(slot) = left.pop()
        {
            swarm.with(slot, Client::message);
            under_way += 1;
        }
        swarm.poll(Duration::from_millis(100), |client, event| {
            if let Event::Echo(_) = event {
                client.release();
                under_way -= 1;
            }
        })?;
        if Instant::now() > patience || !swarm.broken.is_empty() {
            return Err(io::Error::other(format!(
                "{under_way} messages missing: {:?}",
                swarm.broken
            )));
        }
    }
    Ok(())
}
