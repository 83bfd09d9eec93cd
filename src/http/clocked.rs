//! A connection whose writes must make progress: nginx's `send_timeout` towards clients and
//! `proxy_send_timeout` towards upstreams. Towards upstreams its reads have a bound too.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::head_room::HeadRoom;
use crate::net::Conn;

/// A connection with a clock on its writes.
#[derive(Debug)]
pub(super) struct Clocked {
    conn: Conn,
    timeout: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    head_room: Option<HeadRoom>,
}

impl Clocked {
    pub(super) const fn new(conn: Conn, timeout: Duration) -> Self {
        Self { conn, timeout, timer: None, head_room: None }
    }

    /// Bounds its reads.
    pub(super) fn within(self, head_room: HeadRoom) -> Self {
        Self { head_room: Some(head_room), ..self }
    }

    /// Gives its socket to the runtime, where it was at home elsewhere.
    pub(super) async fn into_runtime(self) -> io::Result<Self> {
        Ok(Self { conn: self.conn.into_runtime().await?, ..self })
    }

    /// Whether its socket is watched by the thread that may carry it.
    pub(super) const fn is_at_home(&self) -> bool {
        self.conn.is_at_home()
    }

    pub(super) fn into_inner(self) -> Conn {
        self.conn
    }

    /// Writes up to `len` bytes. They count before they are written: whoever has seen them may
    /// bring the request to its end, on another thread, before this one goes on.
    fn counted(
        &mut self,
        len: usize,
        write: impl FnOnce(Pin<&mut Conn>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let Some(room) = &self.head_room else {
            return write(Pin::new(&mut self.conn));
        };
        room.gave(len);
        let result = write(Pin::new(&mut self.conn));
        let taken = if let Poll::Ready(Ok(taken)) = &result { *taken } else { 0 };
        room.kept(len - taken.min(len));
        result
    }

    fn clock<T>(
        &mut self,
        cx: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.timer = None;
            return result;
        }
        ready!(poll_timer(&mut self.timer, self.timeout, false, cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the other end takes no bytes")))
    }
}

/// Polls a timer; starts it when it is not there, and anew when asked to.
pub(super) fn poll_timer(
    timer: &mut Option<Pin<Box<Sleep>>>,
    timeout: Duration,
    restart: bool,
    cx: &mut Context<'_>,
) -> Poll<()> {
    if let (Some(timer), true) = (timer.as_mut(), restart) {
        timer.as_mut().reset(Instant::now() + timeout);
    }
    timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout))).as_mut().poll(cx)
}

impl AsyncRead for Clocked {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.conn).poll_read(cx, buf))?;
        if let Some(room) = &this.head_room {
            room.take(buf.filled().len() - before)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Clocked {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = this.counted(bytes.len(), |conn| conn.poll_write(cx, bytes));
        this.clock(cx, result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let len = slices.iter().map(|slice| slice.len()).sum();
        let result = this.counted(len, |conn| conn.poll_write_vectored(cx, slices));
        this.clock(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.conn.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.conn).poll_flush(cx);
        this.clock(cx, result)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.conn).poll_shutdown(cx);
        this.clock(cx, result)
    }
}
