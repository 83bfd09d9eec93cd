//! The relay: threads that carry tunnels, one epoll loop each. Give it a tunnel, tell it things.
//! Not here: what a frame means (`ws`), and everything before the 101 (`http`).

mod clock;
mod leg;
mod openings;
mod pump;
mod seeds;
mod slab;
mod splice;
mod wheel;
mod worker;

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Handle;

use openings::{Errand, Task};

use crate::access_log::{Log, Record};
use crate::config::model::Policy;
use crate::limits::{Permit, Taken};
use crate::metrics::{ActiveConnection, Metrics, TunnelSeries};
use crate::net::home::{Bell, Seat};
use crate::net::tls::session::Session;
use crate::upstream::Lease;
use crate::ws::rules::Extensions;

/// One leg, as it is given to the relay.
#[derive(Debug)]
pub struct Leg {
    /// The connected socket, non-blocking.
    pub fd: OwnedFd,
    /// Its place on the thread that opened the tunnel, where it has one.
    pub seat: Option<Seat>,
    /// Its TLS session, when it has one.
    pub tls: Option<Box<Session>>,
    /// Bytes already read from it behind the handshake (plaintext).
    pub early: Vec<u8>,
    /// Bytes for it that its socket has not taken yet.
    pub unsent: Vec<u8>,
}

/// A route's name, the same in every generation: server label, location, upstream.
pub type RouteKey = Arc<str>;

/// A tunnel to carry: both sockets right behind the 101, and what must live as long.
#[derive(Debug)]
pub struct NewTunnel {
    /// The client's leg.
    pub client: Leg,
    /// The upstream's leg.
    pub upstream: Leg,
    /// What both have agreed on.
    pub extensions: Extensions,
    /// Clocks and limits.
    pub policy: Arc<Policy>,
    /// Under which a reload finds the new policy.
    pub route: RouteKey,
    /// What counts for it.
    pub series: Arc<TunnelSeries>,
    /// What is kept for its end.
    pub keep: Box<Keep>,
}

/// What a tunnel holds until it ends, and its worker does not look at before.
#[derive(Debug)]
pub struct Keep {
    /// The access log line, written at the end, and where; nothing when there is no log.
    pub line: Option<(Log, Box<Record>)>,
    /// The peer's.
    pub lease: Lease,
    /// The connection's place.
    pub permit: Permit,
    /// Its places of `limit_conn`.
    pub places: Box<[Taken]>,
    /// The connection's count.
    pub connection: ActiveConnection,
}

/// What a worker is told.
enum Command {
    Adopt(Box<NewTunnel>),
    /// To run a task: an opening, or what accepts connections.
    Run(Task, Errand),
    Policies(Arc<HashMap<RouteKey, Arc<Policy>>>),
    Drain(Duration),
    Stop,
}

/// What a worker has, those on their way to it included.
#[derive(Debug, Default)]
struct Counts {
    tunnels: AtomicUsize,
    openings: AtomicUsize,
}

/// A worker, from outside.
#[derive(Debug)]
struct Worker {
    commands: mpsc::Sender<Command>,
    bell: Arc<Bell>,
    counts: Arc<Counts>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Worker {
    fn tell(&self, command: Command) {
        // A worker that has stopped takes nothing more; the command is dropped, and with it a
        // tunnel's sockets.
        if self.commands.send(command).is_ok() {
            self.bell.ring();
        }
    }

    /// How much it has to carry.
    fn load(&self) -> usize {
        let Counts { tunnels, openings } = &*self.counts;
        tunnels.load(Ordering::Relaxed) + openings.load(Ordering::Relaxed)
    }
}

/// The threads.
#[derive(Debug)]
pub struct Engine {
    workers: Vec<Worker>,
}

impl Engine {
    /// Starts `workers` threads. What their tasks need besides the two sockets of a tunnel,
    /// `runtime` has.
    pub fn start(workers: usize, metrics: &Metrics, runtime: &Handle) -> io::Result<Arc<Self>> {
        let start = |index| {
            let (commands, receiver) = mpsc::channel();
            let counts = Arc::<Counts>::default();
            let series = metrics.worker(index);
            let worker = worker::Worker::new(index, receiver, Arc::clone(&counts), series)?;
            let (bell, runtime) = (worker.bell(), runtime.clone());
            let thread = std::thread::Builder::new()
                .name(format!("relay-{index}"))
                .spawn(move || worker.run(&runtime))?;
            Ok(Worker { commands, bell, counts, thread: Mutex::new(Some(thread)) })
        };
        Ok(Arc::new(Self { workers: (0..workers.max(1)).map(start).collect::<io::Result<_>>()? }))
    }

    /// Runs the opening of a tunnel on the thread with the fewest of both, where the tunnel stays.
    /// A task must not keep the thread long: others' frames wait.
    pub fn open(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(worker) = self.idlest() {
            worker.counts.openings.fetch_add(1, Ordering::Relaxed);
            worker.tell(Command::Run(Box::pin(task), Errand::Opening));
        }
    }

    /// Runs a task that accepts connections; `number` spreads them over the threads.
    pub fn attend(&self, number: usize, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(worker) = self.workers.get(number % self.workers.len()) {
            worker.tell(Command::Run(Box::pin(task), Errand::Accepting));
        }
    }

    fn idlest(&self) -> Option<&Worker> {
        self.workers.iter().min_by_key(|worker| worker.load())
    }

    /// Carries a tunnel, on the thread that opened it or on the one with the fewest. Counts it as
    /// opened.
    pub fn adopt(&self, tunnel: NewTunnel) {
        let worker = match &tunnel.client.seat {
            Some(seat) => self.workers.get(seat.home().worker()),
            None => self.idlest(),
        };
        if let Some(worker) = worker {
            worker.counts.tunnels.fetch_add(1, Ordering::Relaxed);
            tunnel.series.opened();
            worker.tell(Command::Adopt(Box::new(tunnel)));
        }
    }

    /// Tunnels now.
    pub fn tunnels(&self) -> usize {
        self.workers.iter().map(|worker| worker.counts.tunnels.load(Ordering::Relaxed)).sum()
    }

    /// A reload: live tunnels follow the new clocks and limits of their route; those whose route is
    /// gone keep the old ones.
    pub fn set_policies(&self, policies: &Arc<HashMap<RouteKey, Arc<Policy>>>) {
        for worker in &self.workers {
            worker.tell(Command::Policies(Arc::clone(policies)));
        }
    }

    /// Closes every tunnel with the drain code (1012), paced evenly over `window`. Returns at once.
    /// Tunnels that come later are closed as they come.
    pub fn drain(&self, window: Duration) {
        for worker in &self.workers {
            worker.tell(Command::Drain(window));
        }
    }

    /// Ends every tunnel at once, and the threads; each tunnel still gets its Ending and log line.
    pub fn stop(&self) {
        for worker in &self.workers {
            worker.tell(Command::Stop);
        }
        for worker in &self.workers {
            let thread = worker.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
            if thread.is_some_and(|thread| thread.join().is_err()) {
                tracing::error!("a relay thread ended by a panic");
            }
        }
    }
}
