//! One relay thread: its epoll loop, its tunnels, their deadlines, and what it is told. Not here:
//! moving bytes (`pump`).

mod drain;
mod tasks;

use std::collections::HashMap;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use drain::Drain;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use tokio::runtime::Handle;

use super::leg::Leg;
use super::openings::Openings;
use super::pump::{Buffers, Carried, Pumped};
use super::seeds::Seeds;
use super::slab::{Key, Slab};
use super::wheel::{Entry, Wheel};
use super::{Command, Counts, NewTunnel, RouteKey, clock};
use crate::config::model::Policy;
use crate::ending::Cause;
use crate::metrics::WorkerSeries;
use crate::net::home::Bell;
use crate::ws::tunnel::{Context, Tunnel};
use crate::ws::{Millis, NEVER, Side};

/// Events taken from epoll at once.
const BATCH: usize = 1024;
/// The token of the waker; no tunnel's, as those have an index of 31 bits.
const WAKE: Token = Token(usize::MAX);
/// How often a drain goes on.
const DRAIN_STEP: Millis = 50;

/// A relay thread.
#[derive(Debug)]
pub(super) struct Worker {
    index: usize,
    poll: Poll,
    registry: Arc<Registry>,
    bell: Arc<Bell>,
    commands: mpsc::Receiver<Command>,
    /// Seen by whoever hands out tunnels.
    counts: Arc<Counts>,
    series: Arc<WorkerSeries>,
    tunnels: Slab<Carried>,
    openings: Openings,
    wheel: Wheel,
    buffers: Buffers,
    seeds: Seeds,
    /// Legs whose turn was over before their bytes were.
    again: Vec<(Key, Side)>,
    drain: Option<Drain>,
    now: Millis,
    stopping: bool,
}

impl Worker {
    pub(super) fn new(
        index: usize,
        commands: mpsc::Receiver<Command>,
        counts: Arc<Counts>,
        series: Arc<WorkerSeries>,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let bell = Arc::new(Bell::new(Waker::new(poll.registry(), WAKE)?));
        let now = clock::millis();
        Ok(Self {
            index,
            registry: Arc::new(poll.registry().try_clone()?),
            poll,
            bell,
            commands,
            counts,
            series,
            tunnels: Slab::new(),
            openings: Openings::default(),
            wheel: Wheel::new(now),
            buffers: Buffers::new(),
            seeds: Seeds::new(),
            again: Vec::new(),
            drain: None,
            now,
            stopping: false,
        })
    }

    pub(super) fn bell(&self) -> Arc<Bell> {
        Arc::clone(&self.bell)
    }

    /// Runs until it is told to stop.
    pub(super) fn run(mut self, runtime: &Handle) {
        // Openings have their timers there.
        let _runtime = runtime.enter();
        let mut events = Events::with_capacity(BATCH);
        loop {
            self.bell.rest();
            self.heed();
            if self.stopping {
                break;
            }
            let wait = self.wait().map(Duration::from_millis);
            if let Err(error) = self.poll.poll(&mut events, wait) {
                if error.kind() != io::ErrorKind::Interrupted {
                    tracing::error!("epoll failed: {error}");
                }
                continue;
            }
            self.bell.rise();
            let woken = clock::micros();
            self.now = woken / 1000;
            self.events(&events);
            self.heed();
            self.open();
            self.leftovers();
            self.clocks();
            self.go_on_draining();
            self.series.busy_us.add(clock::micros().saturating_sub(woken));
        }
        self.openings.clear();
        for key in self.tunnels.keys() {
            self.end(key);
        }
    }

    /// How long epoll may wait.
    fn wait(&self) -> Option<Millis> {
        if !self.again.is_empty() || self.openings.wait() {
            return Some(0);
        }
        let drain = self.drain.as_ref().map(|_| DRAIN_STEP);
        [self.wheel.wait(self.now), drain].into_iter().flatten().min()
    }

    fn events(&mut self, events: &Events) {
        for event in events {
            if event.token() == WAKE {
                continue;
            }
            let (key, side) = from_token(event.token());
            let Some(carried) = self.tunnels.get_mut(key) else {
                self.openings.tell(to_token(key, Side::Client), side, event);
                continue;
            };
            let leg = &mut carried.legs[side as usize];
            let hung_up = event.is_read_closed() || event.is_error();
            leg.hung_up |= hung_up;
            leg.readable |= event.is_readable() || hung_up;
            if event.is_writable() && leg.is_blocked() {
                carried.flush(side, self.now, self.index, &mut self.buffers);
                if !carried.legs[side as usize].is_blocked() {
                    // Its source was not read meanwhile.
                    self.pump(key, side.other());
                }
            }
            self.pump(key, side);
        }
    }

    /// Those whose turn was over before their bytes were.
    fn leftovers(&mut self) {
        for (key, side) in std::mem::take(&mut self.again) {
            self.pump(key, side);
        }
    }

    fn pump(&mut self, key: Key, side: Side) {
        let Some(carried) = self.tunnels.get_mut(key) else {
            return;
        };
        if carried.pump(side, self.now, self.index, &mut self.buffers) == Pumped::Again {
            self.again.push((key, side));
        }
        if carried.needs_care() {
            self.care(key);
        }
    }

    /// What a tunnel needs besides moving bytes; ends it when it is over.
    fn care(&mut self, key: Key) {
        let Some(carried) = self.tunnels.get_mut(key) else {
            return;
        };
        carried.settle(self.now, self.index, &mut self.buffers);
        for side in Side::BOTH {
            // A write that failed: the leg's last bytes and its end are to be read.
            if carried.legs[side as usize].is_broken() && !carried.tunnel.has_ended(side) {
                self.again.push((key, side));
            }
        }
        if carried.is_over(self.now) {
            self.end(key);
            return;
        }
        let due = carried.tunnel.deadline(self.now, &carried.policy);
        if due < carried.filed {
            carried.filed = due;
            self.wheel.file(Entry { key, due });
        }
    }

    /// Deadlines that have come.
    fn clocks(&mut self) {
        let mut due = Vec::new();
        self.wheel.expire(self.now, &mut due);
        for entry in due {
            let Some(carried) = self.tunnels.get_mut(entry.key) else {
                continue;
            };
            if carried.filed != entry.due {
                continue;
            }
            carried.filed = NEVER;
            let cells = carried.series.cells(self.index);
            let cx = Context { now: self.now, policy: &carried.policy, cells };
            let within = millis(carried.policy.pong_timeout);
            let legs = &carried.legs;
            carried.tunnel.tick(&cx, |side| legs[side as usize].takes_bytes(within));
            self.care(entry.key);
        }
    }

    fn commands(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Adopt(tunnel) => self.adopt(*tunnel),
                Command::Run(task, errand) => self.start(task, errand),
                Command::Policies(policies) => self.set_policies(&policies),
                Command::Drain(window) => self.begin_draining(window),
                Command::Stop => {
                    self.eject_all();
                    self.stopping = true;
                }
            }
        }
    }

    fn adopt(&mut self, new: NewTunnel) {
        let NewTunnel { mut client, mut upstream, extensions, policy, route, series, keep } = new;
        let early = [&mut client, &mut upstream].map(|leg| std::mem::take(&mut leg.early));
        let seated = [&client, &upstream].map(|leg| leg.seat.is_some());
        let home = client.seat.as_ref().map(|seat| from_token(seat.home().token()).0);
        let carried = Carried {
            tunnel: Tunnel::new(self.now, self.seeds.next()).with_extensions(extensions),
            legs: [client, upstream].map(Leg::new),
            policy,
            route,
            series,
            filed: NEVER,
            keep,
        };
        self.series.opened.add(1);
        let key = home.unwrap_or_else(|| self.tunnels.reserve());
        self.tunnels.fill(key, carried);
        for (side, early) in Side::BOTH.into_iter().zip(early) {
            let Some(carried) = self.tunnels.get_mut(key) else {
                return;
            };
            carried.take_over(side, self.now, self.index);
            if !early.is_empty() {
                carried.early(side, &early, self.now, self.index, &mut self.buffers);
            }
            if !seated[side as usize]
                && let Err(error) = register(&self.poll, &carried.legs[side as usize], key, side)
            {
                tracing::error!("a tunnel cannot be watched: {error}");
                self.end(key);
                return;
            }
        }
        if self.stopping {
            // Its client had the 101 just before.
            self.eject(key, Cause::Shutdown);
        } else if self.drain.is_some() {
            self.eject(key, Cause::Drain);
        }
        for side in Side::BOTH {
            self.pump(key, side);
        }
        self.care(key);
    }

    fn set_policies(&mut self, policies: &HashMap<RouteKey, Arc<Policy>>) {
        for key in self.tunnels.keys() {
            let Some(carried) = self.tunnels.get_mut(key) else {
                continue;
            };
            if let Some(policy) = policies.get(&carried.route) {
                carried.policy = Arc::clone(policy);
                self.care(key);
            }
        }
    }

    /// Takes a tunnel out: its one Ending, its one log line; its sockets close.
    fn end(&mut self, key: Key) {
        let Some(mut carried) = self.tunnels.remove(key) else {
            return;
        };
        let cells = carried.series.cells(self.index);
        for (side, leg) in Side::BOTH.into_iter().zip(&carried.legs) {
            let direction = side.other() as usize;
            cells.buffered_out[direction].add(leg.left_over() as u64);
            // What was never taken has waited until now.
            cells.stalled_ms[direction].add(carried.tunnel.drained(side, self.now));
        }
        let ending = carried.tunnel.ending();
        let stats = carried.tunnel.stats(self.now);
        carried.series.closed(&ending, stats.duration);
        self.series.closed.add(1);
        self.counts.tunnels.fetch_sub(1, Ordering::Relaxed);
        if let Some((log, record)) = carried.keep.line {
            log.tunnel_ended(record, &ending, &stats);
        }
    }
}

/// Both ways, edge-triggered, once: never modified.
fn register(poll: &Poll, leg: &Leg, key: Key, side: Side) -> io::Result<()> {
    let fd = leg.socket().as_raw_fd();
    let interest = Interest::READABLE | Interest::WRITABLE;
    poll.registry().register(&mut SourceFd(&fd), to_token(key, side), interest)
}

/// Generation, index and side in one word.
const fn to_token(key: Key, side: Side) -> Token {
    Token((key.generation as usize) << 32 | (key.index as usize) << 1 | side as usize)
}

const fn from_token(Token(word): Token) -> (Key, Side) {
    let side = if word & 1 == 0 { Side::Client } else { Side::Upstream };
    let index = (word as u32) >> 1;
    (Key { index, generation: (word >> 32) as u32 }, side)
}

fn millis(duration: Duration) -> Millis {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
