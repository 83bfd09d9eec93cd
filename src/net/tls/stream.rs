//! A TLS session over a socket of the runtime: the handshake and HTTP. Its buffers are its thread's;
//! behind the 101 it is taken apart for the relay.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::TlsInfo;
use super::session::{Ended, MAX_REST, Sealed, Session, SessionError};
use crate::net::Stream;

/// Bytes read, or sealed, at once.
const CHUNK: usize = 16 * 1024;

struct Scratch {
    records: Vec<u8>,
    sealed: Sealed,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> =
        RefCell::new(Scratch { records: vec![0; MAX_REST + CHUNK], sealed: Sealed::default() });
}

/// The connection.
#[derive(Debug)]
pub struct TlsStream {
    stream: Stream,
    session: Box<Session>,
    /// Opened, not yet read.
    plain: Vec<u8>,
    /// Sealed, not yet taken by the socket.
    unsent: Vec<u8>,
    info: TlsInfo,
}

/// A connection taken apart.
#[derive(Debug)]
pub struct TlsParts {
    /// The socket.
    pub stream: Stream,
    /// The session.
    pub session: Box<Session>,
    /// Plaintext that came and was not read.
    pub early: Vec<u8>,
    /// Records that are still to be sent, before any others.
    pub unsent: Vec<u8>,
}

impl TlsStream {
    /// Shakes hands.
    ///
    /// # Cancel safety
    /// Not cancel safe: the connection is lost with the future.
    pub(super) async fn handshake(stream: Stream, session: Session) -> io::Result<Self> {
        let mut this = Self {
            stream,
            session: Box::new(session),
            plain: Vec::new(),
            unsent: Vec::new(),
            info: TlsInfo::default(),
        };
        // A client speaks first.
        SCRATCH.with_borrow_mut(|scratch| {
            this.open(&mut [], &mut ReadBuf::new(&mut []), &mut scratch.sealed)
        })?;
        poll_fn(|cx| this.poll_send(cx)).await?;
        while this.session.common().is_handshaking() {
            poll_fn(|cx| this.poll_receive(cx, &mut ReadBuf::new(&mut []))).await?;
            poll_fn(|cx| this.poll_send(cx)).await?;
            if this.session.ended().is_some() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        this.info = TlsInfo::of(this.session.common());
        Ok(this)
    }

    /// What the handshake settled on.
    pub const fn info(&self) -> &TlsInfo {
        &self.info
    }

    pub(super) const fn info_mut(&mut self) -> &mut TlsInfo {
        &mut self.info
    }

    #[cfg(test)]
    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// Takes it apart.
    pub fn into_parts(self) -> TlsParts {
        let Self { stream, session, plain, unsent, .. } = self;
        TlsParts { stream, session, early: plain, unsent }
    }

    /// Reads records and opens them. Plaintext goes to `buf`; what does not fit is kept.
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let opened = SCRATCH.with_borrow_mut(|Scratch { records, sealed }| {
            let rest = self.session.rest(records);
            let mut read = ReadBuf::new(&mut records[rest..rest + CHUNK]);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
            let received = read.filled().len();
            if received == 0 {
                // Without a close_notify somebody may have cut the stream.
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            Poll::Ready(self.open(&mut records[..rest + received], buf, sealed))
        });
        let opened = ready!(opened);
        if !self.unsent.is_empty() {
            // An alert, or the answer to a key update; what the socket does not take goes later.
            let _sent = self.poll_send(cx);
        }
        Poll::Ready(opened)
    }

    fn open(
        &mut self,
        records: &mut [u8],
        buf: &mut ReadBuf<'_>,
        sealed: &mut Sealed,
    ) -> io::Result<()> {
        let Self { session, plain, unsent, .. } = self;
        sealed.clear();
        let take = |bytes: &[u8]| {
            let fits = buf.remaining().min(bytes.len());
            buf.put_slice(&bytes[..fits]);
            plain.extend_from_slice(&bytes[fits..]);
        };
        let opened = session.open(records, take, sealed);
        unsent.extend_from_slice(sealed.as_slice());
        opened.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    fn seal(
        &mut self,
        seal: impl FnOnce(&mut Session, &mut Sealed) -> Result<(), SessionError>,
    ) -> io::Result<()> {
        SCRATCH.with_borrow_mut(|Scratch { sealed, .. }| {
            sealed.clear();
            seal(&mut self.session, sealed).map_err(io::Error::other)?;
            self.unsent.extend_from_slice(sealed.as_slice());
            Ok(())
        })
    }

    /// Sends what is unsent.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut sent = 0;
        let result = loop {
            if sent == self.unsent.len() {
                break Poll::Ready(Ok(()));
            }
            match Pin::new(&mut self.stream).poll_write(cx, &self.unsent[sent..]) {
                Poll::Ready(Ok(0)) => break Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(more)) => sent += more,
                Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                Poll::Pending => break Poll::Pending,
            }
        };
        if sent == self.unsent.len() {
            self.unsent = Vec::new();
        } else {
            self.unsent.drain(..sent);
        }
        result
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.plain.is_empty() {
            let fits = buf.remaining().min(this.plain.len());
            buf.put_slice(&this.plain[..fits]);
            this.plain.drain(..fits);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        while buf.filled().len() == before {
            match this.session.ended() {
                Some(Ended::Closed) => break,
                Some(Ended::Failed) => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
                None => {}
            }
            match ready!(this.poll_receive(cx, buf)) {
                // What came before the bad record counts; the next read fails.
                Err(_) if buf.filled().len() > before => break,
                received => received?,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        let bytes = &bytes[..bytes.len().min(CHUNK)];
        this.seal(|session, sealed| session.seal(bytes, sealed))?;
        // Taken, whether or not the socket has it already.
        if let Poll::Ready(Err(error)) = this.poll_send(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.seal(|session, sealed| {
            session.close(sealed);
            Ok(())
        })?;
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}
