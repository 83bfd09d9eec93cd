//! Sockets that are watched from their first byte by the thread that may carry them as a tunnel:
//! an opening needs no other thread, and each socket is put into one epoll, once. Not here: the
//! thread itself (`relay::worker`).

mod sockets;

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed, Ordering::SeqCst, fence};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Wake};

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

pub use sockets::{HomeListener, HomeStream};

thread_local! {
    static HERE: RefCell<Option<Arc<Home>>> = const { RefCell::new(None) };
}

/// How a thread with an epoll loop is called: it is woken only when it sleeps.
#[derive(Debug)]
pub struct Bell {
    asleep: AtomicBool,
    waker: mio::Waker,
    tasks: Mutex<Vec<Token>>,
}

impl Bell {
    /// Rings through `waker`.
    pub fn new(waker: mio::Waker) -> Self {
        Self { asleep: AtomicBool::new(false), waker, tasks: Mutex::default() }
    }

    /// There is something to look at, which was put down before.
    pub fn ring(&self) {
        // Against the fence of `rest`: either we see it asleep, or it sees what was put down.
        fence(SeqCst);
        if self.asleep.load(Relaxed)
            && self.asleep.swap(false, SeqCst)
            && let Err(error) = self.waker.wake()
        {
            tracing::error!("a relay thread cannot be woken: {error}");
        }
    }

    /// The thread is about to sleep; it looks once more after this.
    pub fn rest(&self) {
        self.asleep.store(true, SeqCst);
        fence(SeqCst);
    }

    /// The thread is awake, and will look.
    pub fn rise(&self) {
        self.asleep.store(false, Relaxed);
    }

    /// Whose tasks have been woken.
    pub fn woken(&self) -> Vec<Token> {
        std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A place for two sockets on a thread with an epoll loop, and for the task that needs them: the
/// thread polls it at each of their events.
#[derive(Debug)]
pub struct Home {
    worker: usize,
    tokens: [Token; 2],
    seats: [Readiness; 2],
    registry: Arc<Registry>,
    bell: Arc<Bell>,
}

#[derive(Debug, Default)]
struct Readiness {
    readable: AtomicBool,
    writable: AtomicBool,
    hung_up: AtomicBool,
}

/// Wakes the home's task.
impl Wake for Home {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let tasks = &self.bell.tasks;
        tasks.lock().unwrap_or_else(PoisonError::into_inner).push(self.tokens[0]);
        self.bell.ring();
    }
}

impl Home {
    /// A place on thread number `worker`, whose sockets have these tokens.
    pub fn new(
        worker: usize,
        tokens: [Token; 2],
        registry: &Arc<Registry>,
        bell: &Arc<Bell>,
    ) -> Arc<Self> {
        Arc::new(Self {
            worker,
            tokens,
            seats: Default::default(),
            registry: Arc::clone(registry),
            bell: Arc::clone(bell),
        })
    }

    /// That of the task that is polled now.
    pub fn here() -> Option<Arc<Self>> {
        HERE.with_borrow(Clone::clone)
    }

    /// Polls a task as this home's.
    pub fn within<T>(self: &Arc<Self>, poll: impl FnOnce() -> T) -> T {
        /// Nobody is at home behind a panic either.
        struct Leave;
        impl Drop for Leave {
            fn drop(&mut self) {
                HERE.take();
            }
        }
        HERE.set(Some(Arc::clone(self)));
        let _leave = Leave;
        poll()
    }

    /// The number of its thread.
    pub const fn worker(&self) -> usize {
        self.worker
    }

    /// The token of its first socket.
    pub const fn token(&self) -> Token {
        self.tokens[0]
    }

    /// Something has happened to a socket.
    pub fn tell(&self, side: usize, event: &Event) {
        let seat = &self.seats[side];
        if event.is_read_closed() || event.is_error() {
            seat.hung_up.store(true, Relaxed);
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            seat.readable.store(true, Relaxed);
        }
        if event.is_writable() || event.is_error() {
            seat.writable.store(true, Relaxed);
        }
    }

    /// Watches a socket, both ways, edge-triggered, once.
    fn watch(self: &Arc<Self>, fd: BorrowedFd<'_>, side: usize) -> io::Result<Seat> {
        let seat = &self.seats[side];
        for flag in [&seat.readable, &seat.writable, &seat.hung_up] {
            // What the socket before this one left.
            flag.store(false, Relaxed);
        }
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.registry.register(&mut SourceFd(&fd.as_raw_fd()), self.tokens[side], interest)?;
        Ok(Seat { home: Arc::clone(self), side })
    }
}

/// A socket's place in a home.
#[derive(Debug)]
pub struct Seat {
    home: Arc<Home>,
    side: usize,
}

impl Seat {
    /// Whose.
    pub const fn home(&self) -> &Arc<Home> {
        &self.home
    }

    fn readiness(&self) -> &Readiness {
        &self.home.seats[self.side]
    }

    /// Whether there may be something to read.
    pub fn is_readable(&self) -> bool {
        self.readiness().readable.load(Relaxed)
    }

    /// Whether the other end has hung up: no new edge may come.
    pub fn is_hung_up(&self) -> bool {
        self.readiness().hung_up.load(Relaxed)
    }

    /// Reads where there may be something. The task needs no waker: each event polls it.
    fn read<T>(&self, read: impl FnMut() -> io::Result<T>) -> Poll<io::Result<T>> {
        attempt(&self.readiness().readable, read)
    }

    fn write<T>(&self, write: impl FnMut() -> io::Result<T>) -> Poll<io::Result<T>> {
        attempt(&self.readiness().writable, write)
    }
}

fn attempt<T>(ready: &AtomicBool, mut io: impl FnMut() -> io::Result<T>) -> Poll<io::Result<T>> {
    while ready.load(Relaxed) {
        match io() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                ready.store(false, Relaxed);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return Poll::Ready(result),
        }
    }
    Poll::Pending
}
