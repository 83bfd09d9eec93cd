//! `hold`: small messages over a long time; every loss is reported.

use std::io;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::Outcome;
use crate::args::Hold;
use crate::client::{Client, End, Event};
use crate::histogram::Histogram;
use crate::processes::Account;
use crate::swarm::Swarm;

pub fn run(options: &Hold) -> io::Result<Outcome> {
    let target = &options.target;
    let mut swarm = Swarm::new(target)?;
    swarm.open_all(options.conns, options.size, 128)?;
    let before = Account::take(&target.pid, target.echo_pid)?;
    let (begun, mut latency) = (Instant::now(), Histogram::new());
    let (mut echoes, mut late, mut churned, mut spoken) = (0_u64, 0_u64, 0_u64, 0_u64);
    while begun.elapsed() < options.seconds {
        swarm.poll(Duration::from_millis(5), |_, event| match event {
            Event::Echo(took) => {
                echoes += 1;
                latency.record(took);
            }
            Event::Ended(End::Orderly | End::Lost(_)) | Event::Up => {}
        })?;
        // Spread evenly: each slot has its own time within the interval.
        let due = turns(begun.elapsed(), options.interval, options.conns);
        for turn in spoken..due {
            swarm.with((turn % options.conns as u64) as usize, |client| {
                if client.is_open() {
                    late += u64::from(client.in_flight() > 0);
                    client.message();
                }
            });
        }
        spoken = due;
        while (churned as f64) < begun.elapsed().as_secs_f64() * options.churn {
            let open = swarm.those(|client| client.is_open() && client.in_flight() == 0);
            let Some(slot) = open.get(churned as usize % open.len().max(1)) else { break };
            swarm.with(*slot, Client::close);
            swarm.open(options.size)?;
            churned += 1;
        }
    }
    let used = before.until(&Account::take(&target.pid, target.echo_pid)?);
    let patience = Instant::now() + Duration::from_secs(10);
    while Instant::now() < patience && !swarm.those(|client| client.in_flight() > 0).is_empty() {
        swarm.poll(Duration::from_millis(20), |_, _| {})?;
    }
    swarm.close_all(256)?;
    let figures = json!({
        "conns": options.conns,
        "seconds": used.seconds,
        "messages": echoes,
        "late": late,
        "churned": churned,
        "cpu_us_per_message": used.micros_each(echoes),
        "latency_us": latency.summary(),
        "cores": used.cores(),
        "losses": swarm.broken,
        "integrity": swarm.integrity(),
    });
    Ok(Outcome { figures, clean: swarm.is_clean() && echoes > 0 })
}

/// How many messages are due after this time, over all connections.
fn turns(elapsed: Duration, interval: Duration, conns: usize) -> u64 {
    (elapsed.as_secs_f64() / interval.as_secs_f64().max(0.001) * conns as f64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_spread_over_the_interval() {
        let second = Duration::from_secs(1);
        assert_eq!(turns(second / 2, second, 10), 5);
        assert_eq!(turns(second * 3, second, 10), 30);
    }
}
