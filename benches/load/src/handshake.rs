//! `handshake`: connect, TLS, upgrade, one message, close, over and over.

use std::io;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::Outcome;
use crate::args::Handshake;
use crate::client::{Client, End, Event};
use crate::histogram::Histogram;
use crate::processes::Account;
use crate::stream;
use crate::swarm::Swarm;

/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The one message.
const SIZE: usize = 64;

/// What the connections of a window came to.
struct Tally {
    done: u64,
    resumed: u64,
    to_echo: Histogram,
    whole: Histogram,
}

impl Tally {
    fn new() -> Self {
        Self { done: 0, resumed: 0, to_echo: Histogram::new(), whole: Histogram::new() }
    }

    /// Drives one connection through its life; true when it is over.
    fn on(&mut self, client: &mut Client, event: &Event) -> bool {
        match event {
            Event::Up => client.message(),
            Event::Echo(_) => {
                self.to_echo.record(client.begun.elapsed());
                client.close();
            }
            Event::Ended(End::Orderly) => {
                self.done += 1;
                self.resumed += u64::from(client.stream.is_resumed());
                self.whole.record(client.begun.elapsed());
                return true;
            }
            Event::Ended(End::Lost(_)) => return true,
        }
        false
    }
}

pub fn run(options: &Handshake) -> io::Result<Outcome> {
    let target = &options.target;
    let account = || Account::take(&target.pid, target.echo_pid);
    let mut swarm = Swarm::new(target)?;
    // Each resumes its own last session, not one that another is using.
    let configs: Vec<_> = (0..options.parallel)
        .map(|_| target.url.tls.then(|| stream::tls_config(options.resume)))
        .collect();
    for config in &configs {
        swarm.open_with(SIZE, config.as_ref())?;
    }
    let mut cycle = |time, refill: bool| -> io::Result<Tally> {
        let (mut tally, end) = (Tally::new(), Instant::now() + time);
        while Instant::now() < end && swarm.live() > 0 {
            let mut ended = 0;
            swarm.poll(Duration::from_millis(50), |client, event| {
                ended += usize::from(tally.on(client, &event));
            })?;
            // A slot that is free is taken again, and with it the configuration.
            for _ in 0..if refill { ended } else { 0 } {
                let slot = swarm.next_slot();
                swarm.open_with(SIZE, configs[slot].as_ref())?;
            }
            let late = swarm.those(|client| client.begun.elapsed() > PATIENCE);
            for slot in late {
                swarm.abandon(slot, "took too long");
                let slot = swarm.next_slot();
                swarm.open_with(SIZE, configs[slot].as_ref())?;
            }
        }
        Ok(tally)
    };
    cycle(options.warmup, true)?;
    let before = account()?;
    let tally = cycle(options.seconds, true)?;
    let used = before.until(&account()?);
    cycle(PATIENCE, false)?;
    let figures = json!({
        "handshakes": tally.done,
        "resumed": tally.resumed,
        "per_second": (tally.done as f64 / used.seconds).round(),
        "cpu_us_per_handshake": used.micros_each(tally.done),
        "to_echo_us": tally.to_echo.summary(),
        "whole_us": tally.whole.summary(),
        "cores": used.cores(),
        "integrity": swarm.integrity(),
    });
    Ok(Outcome { figures, clean: swarm.is_clean() && tally.done > 0 })
}
