//! New connections to peers.

use std::io;

use super::{ConnectOptions, Lease};
use crate::net::Conn;

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
    /// No local port left for this peer.
    NoLocalPort(io::Error),
}

/// A new connection (`TCP_NODELAY`, keepalive 60/10/6, `IP_BIND_ADDRESS_NO_PORT`). Counts the result
/// in the peer's metrics. Does not call `Lease::failed`: the caller decides.
pub async fn connect(_lease: &Lease, _options: &ConnectOptions) -> Result<Conn, ConnectError> {
    todo!("helper upstream")
}
