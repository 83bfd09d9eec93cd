//! Sockets at home: a connection and a listening socket.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use mio::unix::SourceFd;
use nix::sys::socket::{MsgFlags, recv};
use socket2::Socket;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Home, Seat};

/// Bytes read at once.
const READ: usize = 16 * 1024;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
}

/// A TCP connection at home.
#[derive(Debug)]
pub struct HomeStream {
    socket: Socket,
    seat: Seat,
}

impl HomeStream {
    /// Watches a client's connection.
    pub fn accepted(socket: OwnedFd, home: &Arc<Home>) -> io::Result<Self> {
        let seat = home.watch(socket.as_fd(), 0)?;
        seat.readiness().writable.store(true, Relaxed);
        Ok(Self { socket: socket.into(), seat })
    }

    /// Connects a non-blocking socket to a peer.
    ///
    /// # Cancel safety
    /// Not cancel safe: the connection is lost with the future.
    pub async fn connect(socket: Socket, addr: SocketAddr, home: &Arc<Home>) -> io::Result<Self> {
        match socket.connect(&addr.into()) {
            Err(error) if error.raw_os_error() == Some(nix::libc::EINPROGRESS) => {}
            result => result?,
        }
        let seat = home.watch(socket.as_fd(), 1)?;
        // A peer on this machine has answered already.
        if socket.peer_addr().is_err() {
            poll_fn(|_| seat.write(|| Ok(()))).await?;
            if let Some(error) = socket.take_error()? {
                return Err(error);
            }
        }
        seat.readiness().writable.store(true, Relaxed);
        Ok(Self { socket, seat })
    }

    /// The first byte, which stays where it is; `None` at the end.
    pub(in crate::net) async fn peek(&self) -> io::Result<Option<u8>> {
        let look = || {
            let mut byte = [0];
            let seen = recv(self.socket.as_raw_fd(), &mut byte, MsgFlags::MSG_PEEK)?;
            Ok((seen > 0).then_some(byte[0]))
        };
        poll_fn(|_| self.seat.read(look)).await
    }

    /// Takes it away from this thread, for another to watch.
    pub(in crate::net) fn leave(self) -> io::Result<OwnedFd> {
        self.seat.home.registry.deregister(&mut SourceFd(&self.socket.as_raw_fd()))?;
        Ok(self.socket.into())
    }

    /// The socket and its place, which stays.
    pub(in crate::net) fn into_parts(self) -> (OwnedFd, Seat) {
        (self.socket.into(), self.seat)
    }
}

impl AsFd for HomeStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsyncRead for HomeStream {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { socket, seat } = self.get_mut();
        SCRATCH.with_borrow_mut(|scratch| {
            let room = buf.remaining().min(READ);
            let read = seat.read(|| socket.read(&mut scratch[..room]))?;
            read.map(|len| {
                if len < room && !seat.is_hung_up() {
                    seat.readiness().readable.store(false, Relaxed);
                }
                buf.put_slice(&scratch[..len]);
                Ok(())
            })
        })
    }
}

impl AsyncWrite for HomeStream {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self { socket, seat } = self.get_mut();
        seat.write(|| socket.write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self { socket, seat } = self.get_mut();
        seat.write(|| socket.write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.shutdown(Shutdown::Write))
    }
}

/// A listening TCP socket at home.
#[derive(Debug)]
pub struct HomeListener {
    listener: mio::net::TcpListener,
    seat: Seat,
}

impl HomeListener {
    /// Watches a listening socket.
    pub fn new(listener: std::net::TcpListener, home: &Arc<Home>) -> io::Result<Self> {
        let seat = home.watch(listener.as_fd(), 0)?;
        Ok(Self { listener: mio::net::TcpListener::from_std(listener), seat })
    }

    /// The next connection, non-blocking.
    ///
    /// # Cancel safety
    /// Cancel safe: a connection is either given back or still waiting.
    pub async fn accept(&self) -> io::Result<(OwnedFd, SocketAddr)> {
        let (stream, client) = poll_fn(|_| self.seat.read(|| self.listener.accept())).await?;
        Ok((stream.into(), client))
    }
}
