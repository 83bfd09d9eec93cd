//! Listening sockets.

use std::io;

use super::{ClientAddr, Stream};
use crate::config::model::ListenAddr;

/// A bound socket.
#[derive(Debug)]
pub struct Listener {}

impl Listener {
    /// Binds. A stale Unix socket file (nobody answers on it) is replaced.
    pub fn bind(_addr: &ListenAddr, _ipv6only: bool, _backlog: u32) -> io::Result<Self> {
        todo!("helper net")
    }
    /// The next connection, with the client's address and our own.
    pub async fn accept(&self) -> io::Result<(Stream, ClientAddr, ListenAddr)> {
        todo!("helper net")
    }
    /// The address that was bound (port 0 resolved).
    pub fn local_addr(&self) -> ListenAddr {
        todo!("helper net")
    }
}
