//! TLS on both legs: certificates, the acceptor of a listener, the connector of an upstream.
//! Not here: what the relay does with a session (`relay::leg`).

mod accept;
mod certificate;
mod clients;
mod connect;
mod keys;
mod named;
mod resumption;
pub mod session;
mod signed;
mod stream;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::{CommonState, HandshakeKind, ProtocolVersion};

pub use accept::{AcceptError, Acceptor};
pub use certificate::{CertificateFacts, load_pair};
pub use clients::{ClientAuth, Verdict};
pub use connect::Connector;
pub use named::Ends;
pub use stream::{TlsParts, TlsStream};

/// What a TLS session settled on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsInfo {
    /// `TLSv1.2` or `TLSv1.3`
    pub protocol: &'static str,
    /// OpenSSL's name of the cipher suite, as nginx's `$ssl_cipher`.
    pub cipher: &'static str,
    /// The suites that the client offered, by their numbers.
    pub suites: Vec<u16>,
    /// The SNI, in lower case.
    pub server_name: Option<String>,
    /// A session was resumed.
    pub resumed: bool,
    /// The certificates that the other end sent, its own first.
    pub peer: Option<Arc<[CertificateDer<'static>]>>,
}

impl TlsInfo {
    fn of(common: &CommonState) -> Self {
        Self {
            protocol: match common.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
                _ => "TLSv1.3",
            },
            cipher: common
                .negotiated_cipher_suite()
                .map_or("", |suite| openssl_name(suite.suite())),
            // A server's acceptor knows both.
            suites: Vec::new(),
            server_name: None,
            resumed: common.handshake_kind() == Some(HandshakeKind::Resumed),
            peer: common.peer_certificates().map(Arc::from),
        }
    }
}

impl TlsInfo {
    /// nginx's `$ssl_ciphers`: names of the suites that are known here, numbers of the others.
    pub fn offered(&self) -> String {
        let shown = self.suites.iter().map(|number| match openssl_name((*number).into()) {
            "" => format!("{number:#06x}"),
            name => name.to_owned(),
        });
        shown.collect::<Vec<_>>().join(":")
    }
}

/// OpenSSL's names of the suites that rustls offers.
const fn openssl_name(suite: rustls::CipherSuite) -> &'static str {
    use rustls::CipherSuite as S;
    match suite {
        S::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        S::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        S::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        S::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        S::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        S::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-ECDSA-CHACHA20-POLY1305",
        S::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        S::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        S::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
        _ => "",
    }
}

/// Why certificates cannot be used.
#[derive(Debug)]
pub struct TlsError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: &'static str,
}

impl TlsError {
    fn new(file: &Path, message: impl Into<String>, help: &'static str) -> Self {
        Self { file: file.to_owned(), message: message.into(), help }
    }
}

impl TlsError {
    /// For the log.
    fn in_one_line(&self) -> String {
        format!("{}: {}", self.file.display(), self.message)
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\nhelp: {}", self.file.display(), self.message, self.help)
    }
}

impl std::error::Error for TlsError {}

/// The one implementation of cryptography, never the process's default.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Session tickets for every acceptor of the process, so that sessions outlive reloads. The keys
/// are rotated.
pub fn tickets() -> Result<Arc<dyn rustls::server::ProducesTickets>, rustls::Error> {
    rustls::crypto::aws_lc_rs::Ticketer::new()
}
