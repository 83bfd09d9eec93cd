//! Sockets of either kind as one type, and connections that may carry TLS.

pub mod listen;
pub mod proxy_protocol;
pub mod tls;

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

/// Where a connection comes from, once PROXY protocol and `real_ip` have had their say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAddr {
    /// An IP address and port.
    Ip(SocketAddr),
    /// A Unix socket: nginx writes `unix:`.
    Unix,
}

/// A connected socket.
#[derive(Debug)]
pub enum Stream {
    /// TCP, with `TCP_NODELAY`.
    Tcp(tokio::net::TcpStream),
    /// Unix.
    Unix(tokio::net::UnixStream),
}

impl Stream {
    /// Takes the socket away from the runtime.
    pub fn into_fd(self) -> io::Result<OwnedFd> {
        todo!("helper net")
    }
}

/// A connection, with TLS or without.
#[derive(Debug)]
pub enum Conn {
    /// Without.
    Plain(Stream),
    /// With; the session can be taken out.
    Tls(Box<tokio_rustls::TlsStream<Stream>>),
}

impl Conn {
    /// Takes socket and TLS session apart, for the relay.
    pub fn into_parts(self) -> io::Result<(OwnedFd, Option<Box<rustls::Connection>>)> {
        todo!("helper net")
    }
    /// The TLS session's facts, for variables.
    pub fn tls_info(&self) -> Option<tls::TlsInfo> {
        todo!("helper net")
    }
}
// helper net: impl AsyncRead + AsyncWrite for Stream and Conn (with vectored writes)
