//! Listening sockets. Not here: what is done with a connection (`server::accept`).

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockRef, Socket, Type};
use tokio::net::{TcpListener, UnixListener};

use super::home::{Home, HomeListener};
use super::{ClientAddr, Stream};
use crate::config::model::ListenAddr;

/// A bound socket.
#[derive(Debug)]
pub struct Listener {
    kind: Kind,
    local: ListenAddr,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    Home(HomeListener),
    /// The file is only kept for its end.
    Unix(UnixListener, #[expect(dead_code, reason = "it acts when dropped")] SocketFile),
}

/// A connection that has come in.
#[derive(Debug)]
pub enum Incoming {
    /// Watched by the runtime.
    Watched(Stream),
    /// Not watched by anybody yet.
    Socket(OwnedFd),
}

impl AsFd for Incoming {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Watched(stream) => stream.as_fd(),
            Self::Socket(socket) => socket.as_fd(),
        }
    }
}

impl Incoming {
    /// Watched by whoever polls this task, unless somebody does already.
    pub fn watch(self) -> io::Result<Stream> {
        match self {
            Self::Watched(stream) => Ok(stream),
            Self::Socket(socket) => Stream::accepted(socket),
        }
    }
}

/// A Unix socket's file, which goes with the listener as long as it is still its own.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if inode(&self.path) == Some(self.inode) {
            // Somebody may have removed it in between.
            let _gone = std::fs::remove_file(&self.path);
        }
    }
}

fn inode(path: &Path) -> Option<u64> {
    std::fs::symlink_metadata(path).ok().map(|meta| meta.ino())
}

impl Listener {
    /// Binds; must be called within the runtime. A Unix socket's file that nobody answers on is
    /// replaced.
    pub fn bind(addr: &ListenAddr, ipv6only: bool, backlog: u32) -> io::Result<Self> {
        match addr {
            ListenAddr::Tcp(addr) => Self::bind_tcp(*addr, ipv6only, backlog),
            ListenAddr::Unix(path) => Self::bind_unix(path, backlog),
        }
    }

    fn bind_tcp(addr: SocketAddr, ipv6only: bool, backlog: u32) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        if addr.is_ipv6() {
            socket.set_only_v6(ipv6only)?;
        }
        socket.set_nonblocking(true)?;
        // Accepted sockets inherit it: small frames are not held back.
        socket.set_tcp_nodelay(true)?;
        socket.bind(&addr.into())?;
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        let listener = TcpListener::from_std(socket.into())?;
        let local = ListenAddr::Tcp(listener.local_addr()?);
        Ok(Self { kind: Kind::Tcp(listener), local })
    }

    fn bind_unix(path: &Path, backlog: u32) -> io::Result<Self> {
        let addr = socket2::SockAddr::unix(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        if let Err(error) = socket.bind(&addr) {
            // Whatever else has this name is not ours to remove.
            let is_socket = path.symlink_metadata().is_ok_and(|m| m.file_type().is_socket());
            if error.kind() != io::ErrorKind::AddrInUse || !is_socket || is_answered(&addr)? {
                return Err(error);
            }
            std::fs::remove_file(path)?;
            socket.bind(&addr)?;
        }
        socket.set_nonblocking(true)?;
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        let listener = UnixListener::from_std(socket.into())?;
        let file = SocketFile { path: path.to_owned(), inode: inode(path).unwrap_or(0) };
        Ok(Self { kind: Kind::Unix(listener, file), local: ListenAddr::Unix(path.to_owned()) })
    }

    /// Moves a TCP socket from the runtime to the thread of the task that is polled now.
    pub fn at_home(self) -> io::Result<Self> {
        let Self { kind, local } = self;
        let kind = match (kind, Home::here()) {
            (Kind::Tcp(listener), Some(home)) => {
                Kind::Home(HomeListener::new(listener.into_std()?, &home)?)
            }
            (kind, _) => kind,
        };
        Ok(Self { kind, local })
    }

    /// The next connection, with the client's address and our own.
    ///
    /// # Cancel safety
    /// Cancel safe: a connection is either given back or still waiting.
    pub async fn accept(&self) -> io::Result<(Incoming, ClientAddr, ListenAddr)> {
        let (incoming, client) = match &self.kind {
            Kind::Tcp(listener) => {
                let (stream, client) = listener.accept().await?;
                (Incoming::Watched(Stream::Tcp(stream)), client)
            }
            Kind::Home(listener) => {
                let (socket, client) = listener.accept().await?;
                (Incoming::Socket(socket), client)
            }
            Kind::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                let incoming = Incoming::Watched(Stream::Unix(stream));
                return Ok((incoming, ClientAddr::Unix, self.local.clone()));
            }
        };
        let local = match self.local {
            ListenAddr::Tcp(local) if !local.ip().is_unspecified() => Some(local),
            _ => SockRef::from(&incoming).local_addr()?.as_socket(),
        };
        let local = local.ok_or(io::ErrorKind::AddrNotAvailable)?;
        let local = SocketAddr::new(local.ip().to_canonical(), local.port());
        Ok((incoming, ClientAddr::from_ip(client), ListenAddr::Tcp(local)))
    }

    /// The address that was bound (port 0 resolved).
    pub const fn local_addr(&self) -> &ListenAddr {
        &self.local
    }
}

/// Whether somebody listens on this socket file.
fn is_answered(addr: &socket2::SockAddr) -> io::Result<bool> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A full backlog is an answer too; it is not waited for.
    socket.set_nonblocking(true)?;
    match socket.connect(addr) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(false),
        _ => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stale_socket_file_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let addr = ListenAddr::Unix(path.clone());
        let listener = Listener::bind(&addr, true, 16).unwrap();
        let again = Listener::bind(&addr, true, 16).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AddrInUse);
        drop(listener);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn an_ordinary_file_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("precious");
        std::fs::write(&path, "data").unwrap();
        let error = Listener::bind(&ListenAddr::Unix(path.clone()), true, 16).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "data");
    }

    #[tokio::test]
    async fn a_socket_file_of_somebody_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.sock");
        let listener = Listener::bind(&ListenAddr::Unix(path.clone()), true, 16).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(folder.path().join("other"), "").unwrap();
        std::fs::write(&path, "somebody else's").unwrap();
        let before = inode(&path);
        drop(listener);
        assert_eq!(inode(&path), before);
    }

    #[tokio::test]
    async fn an_ipv4_client_of_an_ipv6_socket_is_written_as_ipv4() {
        let any: SocketAddr = "[::]:0".parse().unwrap();
        let listener = Listener::bind(&ListenAddr::Tcp(any), false, 16).unwrap();
        let ListenAddr::Tcp(local) = listener.local_addr() else { unreachable!() };
        let client = tokio::net::TcpStream::connect(("127.0.0.1", local.port())).await.unwrap();
        let (_, addr, ours) = listener.accept().await.unwrap();
        assert_eq!(addr, ClientAddr::Ip(client.local_addr().unwrap()));
        assert_eq!(ours.to_string(), format!("127.0.0.1:{}", local.port()));
    }
}
