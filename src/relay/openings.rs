//! The tasks of a relay thread: openings, whose tunnels stay where they open, and what accepts
//! connections. Not here: what a task does (`http`, `server`).

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use mio::Token;
use mio::event::Event;

use crate::net::home::Home;
use crate::ws::Side;

/// A task.
pub(super) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What a task is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    /// To open a tunnel.
    Opening,
    /// To accept connections.
    Accepting,
}

/// What came of polling a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Polled {
    /// It waits for something.
    Waits,
    /// It is over.
    Over(Errand),
}

struct Opening {
    home: Arc<Home>,
    waker: Waker,
    task: Task,
    errand: Errand,
    called: bool,
}

/// Tokens are told apart by their low bits, and nobody else chooses them.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 | u64::from(*byte);
        }
    }

    fn write_usize(&mut self, word: usize) {
        self.0 = word as u64;
    }
}

/// The tasks, by the tokens of their homes.
#[derive(Default)]
pub(super) struct Openings {
    tasks: HashMap<Token, Opening, BuildHasherDefault<AsIs>>,
    /// Whose turn it is.
    called: VecDeque<Token>,
}

impl std::fmt::Debug for Openings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Openings").field("tasks", &self.tasks.len()).finish_non_exhaustive()
    }
}

impl Openings {
    /// A task that is at home there; it is called at once.
    pub(super) fn add(&mut self, home: Arc<Home>, task: Task, errand: Errand) {
        let (token, waker) = (home.token(), Waker::from(Arc::clone(&home)));
        self.tasks.insert(token, Opening { home, waker, task, errand, called: false });
        self.call(token);
    }

    /// Something has happened to a socket.
    pub(super) fn tell(&mut self, token: Token, side: Side, event: &Event) {
        if let Some(opening) = self.tasks.get(&token) {
            opening.home.tell(side as usize, event);
            self.call(token);
        }
    }

    /// Puts a task among those whose turn it is.
    pub(super) fn call(&mut self, token: Token) {
        if let Some(opening) = self.tasks.get_mut(&token)
            && !std::mem::replace(&mut opening.called, true)
        {
            self.called.push_back(token);
        }
    }

    /// Whether one waits for its turn.
    pub(super) fn wait(&self) -> bool {
        !self.called.is_empty()
    }

    /// Whose turn it is.
    pub(super) fn next(&mut self) -> Option<Token> {
        self.called.pop_front()
    }

    /// Polls a task. One that panics is over; the thread has others to carry.
    pub(super) fn poll(&mut self, token: Token) -> Polled {
        let Some(opening) = self.tasks.get_mut(&token) else {
            return Polled::Waits;
        };
        opening.called = false;
        let Opening { home, waker, task, errand, .. } = opening;
        let mut cx = Context::from_waker(waker);
        let poll = || home.within(|| task.as_mut().poll(&mut cx));
        match catch_unwind(AssertUnwindSafe(poll)) {
            Ok(Poll::Pending) => return Polled::Waits,
            Ok(Poll::Ready(())) => {}
            Err(_) => tracing::error!("an opening ended by a panic"),
        }
        let errand = *errand;
        self.tasks.remove(&token);
        Polled::Over(errand)
    }

    /// Drops all.
    pub(super) fn clear(&mut self) {
        self.tasks.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::runtime::Handle;
    use tokio::sync::oneshot;

    use crate::metrics::Metrics;
    use crate::net::home::Home;
    use crate::relay::Engine;

    fn thread() -> String {
        std::thread::current().name().unwrap_or_default().to_owned()
    }

    #[tokio::test]
    async fn a_task_stays_on_its_thread_whoever_wakes_it() {
        let engine = Engine::start(2, &Metrics::new(2), &Handle::current()).unwrap();
        let ((go, gone), (tell, told)) = (oneshot::channel(), oneshot::channel());
        engine.attend(1, async move {
            let mut seen = vec![thread()];
            gone.await.unwrap();
            seen.push(thread());
            tokio::time::sleep(Duration::from_millis(5)).await;
            seen.push(thread());
            tell.send((seen, Home::here().map(|home| home.worker()))).unwrap();
        });
        go.send(()).unwrap();
        let expected = (vec!["relay-1".to_owned(); 3], Some(1));
        assert_eq!(told.await.unwrap(), expected);
        engine.stop();
    }

    #[tokio::test]
    async fn a_panic_ends_its_task_alone() {
        let engine = Engine::start(1, &Metrics::new(1), &Handle::current()).unwrap();
        engine.open(async { panic!("as expected") });
        let (tell, told) = oneshot::channel();
        engine.open(async move {
            tell.send(Home::here().is_some()).unwrap();
        });
        assert_eq!(told.await, Ok(true));
        assert_eq!(engine.tunnels(), 0);
        engine.stop();
    }
}
