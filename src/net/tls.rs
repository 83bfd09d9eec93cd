//! TLS on both legs: the acceptor of a listener, made of its servers' certificates, and the
//! connector of an upstream.

use std::io;
use std::sync::Arc;

use super::{Conn, Stream};
use crate::config::model::{CertificatePair, ProxyTls, Server};

/// What a TLS session settled on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsInfo {
    /// `TLSv1.2` or `TLSv1.3`
    pub protocol: &'static str,
    /// OpenSSL's name of the cipher suite, as nginx's `$ssl_cipher`.
    pub cipher: &'static str,
    /// The SNI, in lower case.
    pub server_name: Option<String>,
    /// Full handshake, or a resumed session.
    pub resumed: bool,
}

/// Why certificates cannot be used.
#[derive(Debug)]
pub struct TlsError {
    /// The file.
    pub file: std::path::PathBuf,
    /// What is wrong, lower case, no full stop.
    pub message: String,
    /// What to do.
    pub help: String,
}

/// A certificate that was loaded.
#[derive(Clone, Debug)]
pub struct CertificateFacts {
    /// Names (SAN), in lower case.
    pub names: Vec<String>,
    /// The subject, for the metric.
    pub subject: String,
    /// Unix seconds.
    pub not_after: i64,
    /// Unix seconds.
    pub not_before: i64,
}

/// Loads a pair and checks that they belong together. `config::validate` must not call it (layer 1);
/// the Generation build does, and so does `check`.
pub fn load_pair(
    _pair: &CertificatePair,
) -> Result<(Arc<rustls::sign::CertifiedKey>, CertificateFacts), TlsError> {
    todo!("helper net")
}

/// Shakes hands with clients of one listener.
#[derive(Clone, Debug)]
pub struct Acceptor {}

impl Acceptor {
    /// Loads the certificates of `servers`, the default one first: SNI picks the server by name
    /// (exact, longest suffix, longest prefix, regex, default), the client's signature schemes pick
    /// ECDSA or RSA. `tickets` is kept over reloads so that sessions resume.
    pub fn new(
        _servers: &[Arc<Server>],
        _tickets: Arc<dyn rustls::server::ProducesTickets>,
    ) -> Result<(Self, Vec<(String, CertificateFacts)>), TlsError> {
        todo!("helper net")
    }
    /// On failure gives the plain stream back when the client spoke plain HTTP, so that the caller
    /// can tell it so; every other failure has been answered with an alert.
    pub async fn accept(&self, _stream: Stream) -> Result<Conn, AcceptError> {
        todo!("helper net")
    }
}

/// Why a handshake failed.
#[derive(Debug)]
pub enum AcceptError {
    /// The client speaks plain HTTP.
    PlainHttp(Stream),
    /// Anything else.
    Failed(io::Error),
}

/// Shakes hands with peers.
#[derive(Clone, Debug)]
pub struct Connector {}

impl Connector {
    /// Loads what the configuration names.
    pub fn new(_config: &ProxyTls) -> Result<Self, TlsError> {
        todo!("helper net")
    }
    /// Shakes hands.
    pub async fn connect(&self, _stream: Stream) -> io::Result<Conn> {
        todo!("helper net")
    }
}
