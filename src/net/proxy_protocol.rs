//! PROXY protocol v1 and v2, as a receiver. Reads no byte behind the header.

use std::io;
use std::net::SocketAddr;

use tokio::io::AsyncRead;

/// What the header said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// `LOCAL` or `UNKNOWN`: the connection's own addresses count.
    Local,
    /// The client, and the address it connected to.
    Proxied {
        /// The client.
        source: SocketAddr,
        /// Where it connected to.
        destination: SocketAddr,
    },
}

/// Reads the header. `InvalidData` when it is none.
///
/// # Cancel safety
/// Not cancel safe: bytes read are lost with the future. Drop the connection with it.
pub async fn read(_stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Header> {
    todo!("helper net")
}
