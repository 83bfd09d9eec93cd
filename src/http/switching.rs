//! Asking a peer to switch to WebSocket, without hyper: the request and a plain 101. Any other
//! answer is hyper's to read, from its first byte on.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::{Buf as _, BytesMut};
use http::{HeaderMap, Response, StatusCode, Uri};
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::Instant;

use super::attempt::{Failure, ask, reach, speak};
use super::body::{BodyFate, empty};
use super::clocked::Clocked;
use super::exchange::Exchange;
use super::finish::Finish;
use super::generation::RouteUpstream;
use super::head::{self, Heard, Spelling};
use crate::config::model::Proxy;
use crate::net::Conn;
use crate::upstream::{ConnectError, Lease};

/// Bytes read at once.
const READ: usize = 2048;
/// The longest head that is waited for here: hyper says what is wrong with a longer one.
const MAX_HEAD: usize = 408 * 1024;

/// What a peer answered.
pub(super) enum Asked {
    /// A 101, not yet checked.
    Switching(Box<Switched>),
    /// Another answer, to be passed on whole.
    Answered(Response<Incoming>),
}

/// A peer that has switched.
pub(super) struct Switched {
    /// Its 101.
    pub(super) head: Response<()>,
    /// How that spells its fields.
    pub(super) spelling: Spelling,
    pub(super) conn: Conn,
    /// What came behind the 101.
    pub(super) behind: BytesMut,
}

impl Asked {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Switching(_) => StatusCode::SWITCHING_PROTOCOLS,
            Self::Answered(response) => response.status(),
        }
    }

    /// The headers of an answer that opens nothing.
    pub(super) fn refusal(&self) -> Option<&HeaderMap> {
        match self {
            Self::Switching(_) => None,
            Self::Answered(response) => Some(response.headers()),
        }
    }
}

/// Connects to a peer, sends it the head of a request to switch, and waits for the head of its answer.
pub(super) async fn ask_to_switch(
    exchange: &Exchange<'_>,
    upstream: &RouteUpstream,
    proxy: &Proxy,
    head: &[u8],
    lease: &Lease,
    finish: &mut Finish,
) -> Result<Asked, Failure> {
    let (mut conn, head_room) = reach(lease, upstream, proxy.send_timeout, finish).await?;
    let started = Instant::now();
    head_room.start();
    let mut received = BytesMut::with_capacity(READ);
    let answer = hear(&mut conn, head, &mut received);
    let error = match tokio::time::timeout(proxy.read_timeout, answer).await {
        Err(_) => return Err(Failure::Timeout),
        Ok(Ok(Some((head, spelling)))) => {
            let conn = conn.into_inner();
            let switched = Switched { head, spelling, conn, behind: received };
            return Ok(Asked::Switching(Box::new(switched)));
        }
        Ok(Ok(None)) => None,
        Ok(Err(error)) => Some(error),
    };
    // hyper's connections live on the runtime.
    let conn = conn.into_runtime().await;
    let conn = conn.map_err(|e| Failure::Connect(ConnectError::Refused(e)))?;
    let replay = Replay { asked: false, reader: None, received, error, conn };
    let mut peer = speak(replay, head_room).await?;
    let left = proxy.read_timeout.saturating_sub(started.elapsed());
    let request = exchange.request(&Uri::default(), &HeaderMap::new(), empty());
    let answer = ask(&mut peer, request, left, &BodyFate::new()).await;
    let response = answer.map_err(|(failure, _)| failure)?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Failure::Invalid("a 101 with too many fields".to_owned()));
    }
    Ok(Asked::Answered(response))
}

/// Sends a request and takes the 101 from what comes; nothing when that is another answer. What has
/// been received otherwise stays in `received`.
async fn hear(
    conn: &mut Clocked,
    request: &[u8],
    received: &mut BytesMut,
) -> io::Result<Option<(Response<()>, Spelling)>> {
    conn.write_all(request).await?;
    conn.flush().await?;
    loop {
        let mut seen = received.len();
        if conn.read_buf(received).await? == 0 || received.len() > MAX_HEAD {
            return Ok(None);
        }
        // A head ends with a line.
        while received[seen..].contains(&b'\n') {
            match head::response(received) {
                Heard::More => break,
                Heard::Informational(len) => {
                    received.advance(len);
                    seen = 0;
                }
                Heard::Switching(head, spelling, len) => {
                    received.advance(len);
                    return Ok(Some((head, spelling)));
                }
                Heard::Other => return Ok(None),
            }
        }
        received.reserve(READ);
    }
}

/// A connection on which the request has been sent and the answer's beginning received: hyper
/// writes the request to nowhere and reads the answer from its start.
struct Replay {
    /// The request has been written: before, an answer would be one that nobody asked for.
    asked: bool,
    /// Who waits for that.
    reader: Option<Waker>,
    received: BytesMut,
    /// How the connection failed behind that.
    error: Option<io::Error>,
    conn: Clocked,
}

impl AsyncRead for Replay {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.asked {
            this.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if !this.received.is_empty() {
            let len = this.received.len().min(buf.remaining());
            buf.put_slice(&this.received.split_to(len));
            return Poll::Ready(Ok(()));
        }
        match this.error.take() {
            Some(error) => Poll::Ready(Err(error)),
            None => Pin::new(&mut this.conn).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Replay {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.asked = true;
        if let Some(reader) = this.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().conn).poll_shutdown(cx)
    }
}
