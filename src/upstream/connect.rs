//! New connections to peers. Not here: which peer, and what a failure means for it (the caller
//! marks it).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use socket2::{Domain, Socket, TcpKeepalive, Type};
use tokio::net::{TcpSocket, UnixStream};
use tokio::time::Instant;

use super::Lease;
use crate::config::model::PeerAddr;
use crate::metrics::ConnectResult;
use crate::net::home::{Home, HomeStream};
use crate::net::tls::Connector;
use crate::net::{Conn, Stream, descriptors};

/// How to reach the peers of a location.
#[derive(Debug)]
pub struct ConnectOptions {
    /// `proxy_connect_timeout`: TCP and TLS together.
    pub timeout: Duration,
    /// `proxy_bind`, taken in turn.
    pub bind: Vec<IpAddr>,
    /// Which source address is next.
    pub next_bind: AtomicUsize,
    /// The peers speak TLS.
    pub tls: Option<Connector>,
}

/// Why a connect failed.
#[derive(Debug)]
pub enum ConnectError {
    /// Refused or unreachable.
    Refused(io::Error),
    /// `proxy_connect_timeout`.
    Timeout,
    /// Reset while shaking hands.
    Reset(io::Error),
    /// The TLS handshake failed.
    Tls(io::Error),
    /// No local port is left for this peer.
    NoLocalPort(io::Error),
    /// No descriptor is left for any peer: nothing is known of this one.
    NoDescriptor(io::Error),
}

impl std::fmt::Display for ConnectError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(error) => write!(f, "connect failed: {error}"),
            Self::Timeout => f.write_str("connect timed out"),
            Self::Reset(error) => write!(f, "reset while shaking hands: {error}"),
            Self::Tls(error) => write!(f, "TLS handshake failed: {error}"),
            Self::NoLocalPort(error) => write!(f, "no local port is left: {error}"),
            Self::NoDescriptor(error) => write!(f, "no descriptor is left: {error}"),
        }
    }
}

/// A new connection: `TCP_NODELAY`, keepalive probes after 60 s, `IP_BIND_ADDRESS_NO_PORT`. Counts
/// the result in the peer's metrics.
///
/// # Cancel safety
/// Not cancel safe: the connection is lost with the future.
pub async fn connect(lease: &Lease, options: &ConnectOptions) -> Result<Conn, ConnectError> {
    let started = Instant::now();
    let attempt = tokio::time::timeout(options.timeout, attempt(&lease.peer.addr, options)).await;
    let result = attempt.unwrap_or(Err(ConnectError::Timeout));
    lease.peer.series.connect(match &result {
        Ok(_) => ConnectResult::Ok,
        Err(ConnectError::Refused(_)) => ConnectResult::Refused,
        Err(ConnectError::Timeout) => ConnectResult::Timeout,
        Err(ConnectError::Reset(_)) => ConnectResult::Reset,
        Err(ConnectError::Tls(_)) => ConnectResult::Tls,
        Err(ConnectError::NoLocalPort(_)) => ConnectResult::NoLocalPort,
        Err(ConnectError::NoDescriptor(_)) => ConnectResult::NoDescriptor,
    });
    if result.is_ok() {
        lease.upstream.connected(started.elapsed());
    }
    result
}

async fn attempt(addr: &PeerAddr, options: &ConnectOptions) -> Result<Conn, ConnectError> {
    let stream = match addr {
        PeerAddr::Tcp(addr) => tcp(*addr, options).await.map_err(classify)?,
        PeerAddr::Unix(path) => {
            Stream::Unix(leave_reserve(UnixStream::connect(path).await).map_err(classify)?)
        }
    };
    match &options.tls {
        None => Ok(Conn::Plain(stream)),
        // Apart: most have none, and what moves about stays small.
        Some(connector) => {
            Box::pin(connector.connect(stream)).await.map_err(|error| match error.kind() {
                io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof => {
                    ConnectError::Reset(error)
                }
                _ => ConnectError::Tls(error),
            })
        }
    }
}

fn classify(error: io::Error) -> ConnectError {
    match error.kind() {
        _ if descriptors::is_exhausted(&error) => ConnectError::NoDescriptor(error),
        io::ErrorKind::AddrNotAvailable => ConnectError::NoLocalPort(error),
        io::ErrorKind::ConnectionReset => ConnectError::Reset(error),
        io::ErrorKind::TimedOut => ConnectError::Timeout,
        _ => ConnectError::Refused(error),
    }
}

/// Closes a socket that has taken one of the last descriptors.
fn leave_reserve<S: AsFd>(socket: io::Result<S>) -> io::Result<S> {
    match socket {
        Ok(socket) if descriptors::is_reserved(&socket) => Err(descriptors::none_left()),
        socket => socket,
    }
}

async fn tcp(addr: SocketAddr, options: &ConnectOptions) -> io::Result<Stream> {
    let kind = Type::STREAM.nonblocking();
    let socket = leave_reserve(Socket::new(Domain::for_address(addr), kind, None))?;
    socket.set_tcp_nodelay(true)?;
    if let Some(source) = options.source(addr) {
        // The port is chosen at connect: as many connections as there are ports to each peer,
        // not in all.
        nix::sys::socket::setsockopt(
            &socket,
            nix::sys::socket::sockopt::IpBindAddressNoPort,
            &true,
        )?;
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    let probes = TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(10))
        .with_retries(6);
    socket.set_tcp_keepalive(&probes)?;
    match Home::here() {
        // A handshake with the peer would keep others' frames waiting there.
        Some(home) if options.tls.is_none() => {
            Ok(Stream::Home(HomeStream::connect(socket, addr, &home).await?))
        }
        _ => Ok(Stream::Tcp(TcpSocket::from_std_stream(socket.into()).connect(addr).await?)),
    }
}

impl ConnectOptions {
    /// The next source address of the peer's family.
    fn source(&self, addr: SocketAddr) -> Option<IpAddr> {
        let fitting = || self.bind.iter().filter(|ip| ip.is_ipv4() == addr.is_ipv4());
        let count = fitting().count();
        if count == 0 {
            return None;
        }
        let next = self.next_bind.fetch_add(1, Ordering::Relaxed);
        fitting().nth(next % count).copied()
    }
}
