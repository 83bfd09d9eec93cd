//! What stands between a connection and hyper. hyper forgives (it drops a Content-Length that comes
//! behind a Transfer-Encoding, takes a missing Host or a bare LF); where two readers of a request
//! could disagree, a proxy must not. The guard lets only unambiguous requests through, keeps the
//! clocks of reading and writing, and holds back what comes behind an upgrade request.
//!
//! A refused request still gets its answer in its turn: hyper is given a stand-in request, and the
//! service finds the refusal under the stand-in's number ([`Verdicts::of`]).

mod framing;
#[cfg(fuzzing)]
pub mod fuzzing;
mod head;
mod wording;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::clocked::{Clocked, poll_timer};
use crate::config::model::Server;
use crate::net::Conn;
use framing::{Framing, Limits, Step};
pub(super) use head::Refusal;

/// Bytes read at once.
const READ: usize = 16 * 1024;
/// Bytes kept behind an upgrade request until it is decided.
const HELD: usize = 64 * 1024;
/// What hyper sees in place of a refused request.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";
/// After a refusal the client's bytes are taken for a while, so that the answer is not lost to a
/// reset.
const LINGER: Duration = Duration::from_secs(2);
/// At most so many of them.
const LINGER_BYTES: usize = 4 * 1024 * 1024;

/// What the guard and the service of a connection tell each other.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    refused: Mutex<Option<(u64, Refusal)>>,
    /// How names in the head of the answer to come are spelt, where hyper spells them otherwise.
    spelling: Mutex<Option<Arc<[String]>>>,
    /// How long the connection is kept after the last answer, in milliseconds.
    keepalive: AtomicU64,
    /// Bytes of the last request; only the reader changes it.
    received: AtomicU64,
    /// Requests that have been answered in full.
    answered: AtomicU64,
    /// The reader, while nothing but the end of an answer starts its clock.
    reader: Mutex<Option<Waker>>,
}

impl Verdicts {
    /// The refusal of the connection's `number`th request (from 1), head or body.
    pub(super) fn of(&self, number: u64) -> Option<Refusal> {
        let refused = *self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.filter(|(at, _)| *at == number).map(|(_, refusal)| refusal)
    }

    /// Bytes of the last request that have been let through, head and body.
    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    fn receive(&self, len: usize, head: bool) {
        let before = if head { 0 } else { self.received() };
        self.received.store(before + len as u64, Ordering::Relaxed);
    }

    /// How names in the head of the answer are spelt.
    pub(super) fn spell(&self, names: &Arc<[String]>) {
        *self.spelling.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(names));
    }

    fn take_spelling(&self) -> Option<Arc<[String]>> {
        self.spelling.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// How long the connection is kept after this answer.
    pub(super) fn keep_for(&self, timeout: Duration) {
        let ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        self.keepalive.store(ms, Ordering::Relaxed);
    }

    fn keepalive(&self) -> Duration {
        Duration::from_millis(self.keepalive.load(Ordering::Relaxed))
    }

    fn refuse(&self, number: u64, refusal: Refusal) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some((number, refusal));
    }

    /// An answer has been given in full, or given up.
    pub(super) fn answered(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        // hyper may have looked for the next request before this.
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    fn wake_when_answered(&self, reader: &Waker) {
        *self.reader.lock().unwrap_or_else(PoisonError::into_inner) = Some(reader.clone());
    }
}

/// The clocks of a connection.
#[derive(Clone, Copy, Debug)]
struct Timeouts {
    header: Duration,
    body: Duration,
}

/// What is being waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The first byte of the next request.
    Idle,
    /// The rest of a head, or the first of the connection.
    Head,
    /// The rest of a body.
    Body,
    /// Nothing that has a clock of its own here.
    Untimed,
}

/// A connection, guarded.
#[derive(Debug)]
pub(super) struct Guard {
    conn: Clocked,
    framing: Framing,
    timeouts: Timeouts,
    verdicts: Arc<Verdicts>,
    /// Received and not given to hyper.
    raw: BytesMut,
    /// How much of it may be.
    released: usize,
    /// Requests let through.
    requests: u64,
    phase: Phase,
    read_timer: Option<Pin<Box<Sleep>>>,
    linger_timer: Option<Pin<Box<Sleep>>>,
    refused: bool,
    ended: bool,
    lingered: usize,
    /// Nothing of hyper's is unwritten, so that the next bytes begin with what it does next.
    flushed: bool,
    /// Bytes of an answer's head that hyper still counts as unwritten.
    head: BytesMut,
}

impl Guard {
    /// Guards a connection by the limits of the listener's default server.
    pub(super) fn new(conn: Conn, server: &Server, verdicts: Arc<Verdicts>) -> Self {
        let limits = Limits {
            head_size: server.max_head_size,
            fields: server.max_headers,
            lenient: server.lenient_heads,
            other_upgrades: server.other_upgrades,
        };
        Self {
            conn: Clocked::new(conn, server.send_timeout),
            framing: Framing::new(limits),
            timeouts: Timeouts {
                header: server.client_header_timeout,
                body: server.client_body_timeout,
            },
            verdicts,
            raw: BytesMut::new(),
            released: 0,
            requests: 0,
            phase: Phase::Untimed,
            read_timer: None,
            linger_timer: None,
            refused: false,
            ended: false,
            lingered: 0,
            flushed: true,
            head: BytesMut::new(),
        }
    }

    /// Waits until the first request's head is decided. Gives it back when it asks for a WebSocket;
    /// everything, that head too, is still to be read.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is given out.
    pub(super) async fn first_upgrade(&mut self) -> io::Result<Option<&[u8]>> {
        let mut progress = false;
        poll_fn(|cx| {
            while !self.advance()? && !self.ended && !self.refused {
                match self.poll_receive(cx)? {
                    Poll::Ready(len) => {
                        progress = true;
                        self.ended = len == 0;
                    }
                    Poll::Pending => {
                        ready!(self.poll_clock(cx, std::mem::take(&mut progress)));
                        self.time_out()?;
                    }
                }
            }
            Poll::Ready(Ok::<_, io::Error>(()))
        })
        .await?;
        Ok(self.framing.is_holding().then(|| &self.raw[..self.released]))
    }

    /// Resolves when the client goes away while its request for a WebSocket is decided; what it
    /// sends meanwhile is kept.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is given out.
    pub(super) async fn gone(&mut self) {
        poll_fn(|cx| {
            while self.raw.len() < HELD && !self.ended {
                match ready!(self.poll_receive(cx)) {
                    Ok(len) => self.ended = len == 0,
                    Err(_) => self.ended = true,
                }
            }
            if self.ended { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Whether its socket is watched by the thread that may carry it.
    pub(super) const fn is_at_home(&self) -> bool {
        self.conn.is_at_home()
    }

    /// Gives its socket to the runtime.
    pub(super) async fn into_runtime(self) -> io::Result<Self> {
        Ok(Self { conn: self.conn.into_runtime().await?, ..self })
    }

    /// The request that was waited for needs no reading any more.
    pub(super) fn skip_released(&mut self) {
        self.raw.advance(std::mem::take(&mut self.released));
    }

    /// The connection itself, to write what hyper has not: there is nothing to reword.
    pub(super) const fn unguarded(&mut self) -> &mut Clocked {
        &mut self.conn
    }

    /// Gives up guarding: the connection, and what came behind the upgrade request.
    pub(super) fn into_parts(self) -> (Conn, BytesMut) {
        (self.conn.into_inner(), self.raw)
    }

    /// Moves on as far as the bytes at hand allow. Says whether there is something to give out.
    fn advance(&mut self) -> io::Result<bool> {
        while self.released == 0 && !self.refused {
            let in_head = self.framing.is_between_requests();
            match self.framing.step(&self.raw) {
                Step::Release(len) => {
                    self.released = len;
                    self.requests += u64::from(in_head);
                    self.verdicts.receive(len, in_head);
                }
                Step::Skip(len) => self.raw.advance(len),
                Step::More | Step::Hold => return Ok(false),
                Step::Refuse(refusal) => self.refuse(refusal)?,
            }
        }
        Ok(self.released > 0)
    }

    fn refuse(&mut self, refusal: Refusal) -> io::Result<()> {
        self.refused = true;
        self.raw.clear();
        if self.framing.is_between_requests() {
            self.requests += 1;
            self.verdicts.refuse(self.requests, refusal);
            self.raw.extend_from_slice(STAND_IN);
            self.released = STAND_IN.len();
            return Ok(());
        }
        self.verdicts.refuse(self.requests, refusal);
        Err(io::Error::new(io::ErrorKind::InvalidData, "the request's body is malformed"))
    }

    /// What is being waited for now.
    fn waiting_for(&self) -> Phase {
        let in_flight = self.requests > self.verdicts.answered.load(Ordering::Relaxed);
        if self.framing.is_holding() {
            Phase::Untimed
        } else if !self.framing.is_between_requests() {
            Phase::Body
        } else if in_flight {
            Phase::Untimed
        } else if self.raw.is_empty() && self.requests > 0 {
            Phase::Idle
        } else {
            Phase::Head
        }
    }

    /// Runs the clock of what is being waited for; ready when it has run out. `progress` says that
    /// bytes have come since it was last asked.
    fn poll_clock(&mut self, cx: &mut Context<'_>, progress: bool) -> Poll<()> {
        // Left before looking, so that no answer ends unseen in between.
        self.verdicts.wake_when_answered(cx.waker());
        let phase = self.waiting_for();
        let timeout = match phase {
            Phase::Idle => self.verdicts.keepalive(),
            Phase::Head => self.timeouts.header,
            Phase::Body => self.timeouts.body,
            Phase::Untimed => {
                self.phase = phase;
                return Poll::Pending;
            }
        };
        let restart = phase != self.phase || (progress && phase == Phase::Body);
        self.phase = phase;
        poll_timer(&mut self.read_timer, timeout, restart, cx)
    }

    /// The clock has run out: what has come of a head gets a 408, an idle connection just ends.
    fn time_out(&mut self) -> io::Result<()> {
        match self.phase {
            Phase::Head if !self.raw.is_empty() => self.refuse(Refusal::Timeout),
            Phase::Body => {
                self.refused = true;
                self.verdicts.refuse(self.requests, Refusal::Timeout);
                Err(io::Error::new(io::ErrorKind::TimedOut, "the request's body came too slowly"))
            }
            _ => {
                self.ended = true;
                Ok(())
            }
        }
    }

    /// Takes bytes from the connection; zero at its end.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = [std::mem::MaybeUninit::uninit(); READ];
        let mut buf = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.conn).poll_read(cx, &mut buf))?;
        self.raw.extend_from_slice(buf.filled());
        Poll::Ready(Ok(buf.filled().len()))
    }
}

impl AsyncRead for Guard {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let mut progress = false;
        loop {
            if this.advance()? {
                let len = this.released.min(buf.remaining());
                buf.put_slice(&this.raw[..len]);
                this.raw.advance(len);
                this.released -= len;
                return Poll::Ready(Ok(()));
            }
            if this.ended {
                return Poll::Ready(Ok(()));
            }
            let full = this.framing.is_holding() && this.raw.len() >= HELD;
            if this.refused || full {
                // Nothing is read any more: the service decides how this connection goes on.
                return Poll::Pending;
            }
            match this.poll_receive(cx)? {
                Poll::Ready(len) => {
                    progress = true;
                    this.ended = len == 0;
                }
                Poll::Pending => {
                    ready!(this.poll_clock(cx, progress));
                    this.time_out()?;
                }
            }
        }
    }
}

impl Guard {
    /// Where hyper begins with the head of an answer, that is taken over, in our words.
    fn take_head(&mut self, bytes: &[u8]) {
        if std::mem::take(&mut self.flushed) && bytes.starts_with(b"HTTP/1.") {
            let is_last = bytes.get(9) != Some(&b'1');
            let names = is_last.then(|| self.verdicts.take_spelling()).flatten();
            self.head = wording::reworded(bytes, names.as_deref().unwrap_or_default());
        }
    }

    fn poll_write_head(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut taken = self.head.len();
        let mut all = vec![io::IoSlice::new(&self.head)];
        for slice in slices {
            let behind = slice.get(taken..).unwrap_or_default();
            taken = taken.saturating_sub(slice.len());
            all.push(io::IoSlice::new(behind));
        }
        let len = ready!(Pin::new(&mut self.conn).poll_write_vectored(cx, &all))?;
        self.head.advance(len.min(self.head.len()));
        Poll::Ready(Ok(len))
    }
}

impl AsyncWrite for Guard {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.take_head(bytes);
        if this.head.is_empty() {
            return Pin::new(&mut this.conn).poll_write(cx, bytes);
        }
        this.poll_write_head(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let first = slices.iter().find(|slice| !slice.is_empty());
        this.take_head(first.map_or(&[], |slice| slice));
        if this.head.is_empty() {
            return Pin::new(&mut this.conn).poll_write_vectored(cx, slices);
        }
        this.poll_write_head(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.conn.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // hyper asks for this when it has written all it had.
        this.flushed = true;
        Pin::new(&mut this.conn).poll_flush(cx)
    }

    /// Ends our side; where the client may still be sending, its bytes are taken for a while.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.conn).poll_shutdown(cx))?;
        let at_rest = this.framing.is_between_requests() && this.raw.is_empty() && !this.refused;
        if at_rest || this.ended {
            return Poll::Ready(Ok(()));
        }
        while this.lingered < LINGER_BYTES {
            this.raw.clear();
            match this.poll_receive(cx) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(len)) => this.lingered += len,
                Poll::Pending => {
                    ready!(poll_timer(&mut this.linger_timer, LINGER, false, cx));
                    return Poll::Ready(Ok(()));
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}
