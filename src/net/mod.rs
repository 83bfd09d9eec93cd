//! Sockets of either kind as one type, and connections that may carry TLS. Not here: who connects
//! where (`upstream`), and what is said over them (`http`, `relay`).

pub mod descriptors;
pub mod home;
pub mod listen;
pub mod proxy_protocol;
pub mod tls;

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use nix::sys::socket::{MsgFlags, recv};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use self::home::{Home, HomeStream, Seat};
use self::tls::session::Session;
use self::tls::{TlsInfo, TlsParts, TlsStream};

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAddr {
    /// An IP address and port; an IPv4 address that came in IPv6's clothes is written as IPv4.
    Ip(SocketAddr),
    /// A Unix socket: nginx writes `unix:`.
    Unix,
}

impl ClientAddr {
    /// From what the kernel says.
    pub fn from_ip(addr: SocketAddr) -> Self {
        Self::Ip(SocketAddr::new(addr.ip().to_canonical(), addr.port()))
    }

    /// The address and port, when it has them.
    pub const fn socket_addr(self) -> Option<SocketAddr> {
        match self {
            Self::Ip(addr) => Some(addr),
            Self::Unix => None,
        }
    }

    /// The IP address, when it has one.
    pub const fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Ip(addr) => Some(addr.ip()),
            Self::Unix => None,
        }
    }
}

/// A connected socket.
#[derive(Debug)]
pub enum Stream {
    /// TCP, with `TCP_NODELAY`.
    Tcp(TcpStream),
    /// Unix.
    Unix(UnixStream),
    /// TCP, with `TCP_NODELAY`, watched by the thread that may carry it.
    Home(HomeStream),
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
            Self::Home(stream) => stream.as_fd(),
        }
    }
}

impl Stream {
    /// The first byte, which stays where it is; `None` at the end.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is taken.
    pub async fn peek(&self) -> io::Result<Option<u8>> {
        let look = |fd| {
            let mut byte = [0];
            let seen = recv(fd, &mut byte, MsgFlags::MSG_PEEK)?;
            Ok((seen > 0).then_some(byte[0]))
        };
        loop {
            let seen = match self {
                Self::Tcp(stream) => {
                    stream.readable().await?;
                    stream.try_io(Interest::READABLE, || look(stream.as_raw_fd()))
                }
                Self::Unix(stream) => {
                    stream.readable().await?;
                    stream.try_io(Interest::READABLE, || look(stream.as_raw_fd()))
                }
                Self::Home(stream) => return stream.peek().await,
            };
            match seen {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                seen => return seen,
            }
        }
    }

    /// A client's TCP connection, non-blocking, watched by whoever polls this task.
    pub fn accepted(socket: OwnedFd) -> io::Result<Self> {
        Ok(match Home::here() {
            Some(home) => Self::Home(HomeStream::accepted(socket, &home)?),
            None => Self::Tcp(TcpStream::from_std(socket.into())?),
        })
    }

    /// Gives a socket that is at home elsewhere to the runtime, and waits until that knows it.
    async fn into_runtime(self) -> io::Result<Self> {
        match self {
            Self::Home(stream) => {
                let stream = TcpStream::from_std(stream.leave()?.into())?;
                // hyper drops an answer that it cannot write at once when the client has ended its
                // side.
                stream.writable().await?;
                Ok(Self::Tcp(stream))
            }
            stream => Ok(stream),
        }
    }

    /// Takes the socket away from the runtime, or leaves it at home; it stays non-blocking.
    fn into_fd(self) -> io::Result<(OwnedFd, Option<Seat>)> {
        Ok(match self {
            Self::Tcp(stream) => (stream.into_std()?.into(), None),
            Self::Unix(stream) => (stream.into_std()?.into(), None),
            Self::Home(stream) => {
                let (fd, seat) = stream.into_parts();
                (fd, Some(seat))
            }
        })
    }
}

/// A connection, with TLS or without.
#[derive(Debug)]
pub enum Conn {
    /// Without.
    Plain(Stream),
    /// With; the session can be taken out.
    Tls(Box<TlsStream>),
}

/// A connection taken apart.
#[derive(Debug)]
pub struct Parts {
    /// The socket, non-blocking.
    pub fd: OwnedFd,
    /// Its place, where it has one.
    pub seat: Option<Seat>,
    /// The TLS session, when there is one.
    pub tls: Option<Box<Session>>,
    /// Plaintext that came and was not read.
    pub early: Vec<u8>,
    /// Bytes of the connection that are still to be sent, before any others.
    pub unsent: Vec<u8>,
}

impl Conn {
    /// Takes it apart, for the relay.
    pub fn into_parts(self) -> io::Result<Parts> {
        match self {
            Self::Plain(stream) => {
                let (fd, seat) = stream.into_fd()?;
                Ok(Parts { fd, seat, tls: None, early: Vec::new(), unsent: Vec::new() })
            }
            Self::Tls(stream) => {
                let TlsParts { stream, session, early, unsent } = stream.into_parts();
                let (fd, seat) = stream.into_fd()?;
                Ok(Parts { fd, seat, tls: Some(session), early, unsent })
            }
        }
    }

    /// Whether its socket is watched by the thread that may carry it.
    pub const fn is_at_home(&self) -> bool {
        matches!(self, Self::Plain(Stream::Home(_)))
    }

    /// Gives its socket to the runtime: nothing but an opening stays at home.
    pub async fn into_runtime(self) -> io::Result<Self> {
        match self {
            Self::Plain(stream) => Ok(Self::Plain(stream.into_runtime().await?)),
            Self::Tls(stream) => Ok(Self::Tls(stream)),
        }
    }

    /// What the TLS session settled on.
    pub fn tls_info(&self) -> Option<&TlsInfo> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(stream) => Some(stream.info()),
        }
    }
}

/// Hands every poll of an enum's variants to what is inside, which is `Unpin`.
macro_rules! delegate_io {
    ($name:ident: $($variant:ident),+) => {
        impl AsyncRead for $name {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    $(Self::$variant(inner) => Pin::new(inner).poll_read(cx, buf),)+
                }
            }
        }

        impl AsyncWrite for $name {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                match self.get_mut() {
                    $(Self::$variant(inner) => Pin::new(inner).poll_write(cx, bytes),)+
                }
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                slices: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                match self.get_mut() {
                    $(Self::$variant(inner) => Pin::new(inner).poll_write_vectored(cx, slices),)+
                }
            }

            fn is_write_vectored(&self) -> bool {
                match self {
                    $(Self::$variant(inner) => inner.is_write_vectored(),)+
                }
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    $(Self::$variant(inner) => Pin::new(inner).poll_flush(cx),)+
                }
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    $(Self::$variant(inner) => Pin::new(inner).poll_shutdown(cx),)+
                }
            }
        }
    };
}

delegate_io!(Stream: Tcp, Unix, Home);
delegate_io!(Conn: Plain, Tls);
