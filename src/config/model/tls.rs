//! Certificates and versions, towards clients and peers.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::template::Template;

/// A certificate file with its key file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificatePair {
    /// PEM: the leaf first, then its chain.
    pub certificate: PathBuf,
    /// PEM: the private key.
    pub key: PathBuf,
    /// `ssl_password_file`, `proxy_ssl_password_file`: what opens the key, one on each line.
    pub passwords: Option<PathBuf>,
}

/// A pair whose files are named by variables: what they are is known when a client says hello.
#[derive(Clone, Debug)]
pub struct NamedPair {
    /// Where names begin that are not absolute.
    pub dir: PathBuf,
    /// Of the certificate's file.
    pub certificate: Template,
    /// Of the key's.
    pub key: Template,
    /// As in [`CertificatePair`].
    pub passwords: Option<PathBuf>,
}

/// How TLS sessions are resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sessions {
    /// `ssl_session_tickets`
    pub tickets: bool,
    /// `ssl_session_cache`: sessions without tickets are kept.
    pub cache: bool,
    /// `ssl_session_timeout`
    pub timeout: Duration,
}

/// `ssl_verify_client`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifyClient {
    /// A client without a certificate that is trusted is refused.
    On,
    /// One without any is served.
    Optional,
    /// One whose authority is not known is served too.
    OptionalNoCa,
}

/// Certificates of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificates {
    /// `ssl_verify_client`
    pub mode: VerifyClient,
    /// `ssl_client_certificate`: authorities that clients are told.
    pub authorities: Option<PathBuf>,
    /// `ssl_trusted_certificate`: others.
    pub trusted: Option<PathBuf>,
    /// `ssl_verify_depth`: certificates between the client's and the root.
    pub depth: usize,
    /// `ssl_crl`
    pub crl: Option<PathBuf>,
}

/// `ssl_protocols`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsVersions {
    /// TLS 1.2 is offered.
    pub tls12: bool,
    /// TLS 1.3 is offered.
    pub tls13: bool,
}

/// `proxy_ssl_*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyTls {
    /// Check the certificate.
    pub verify: bool,
    /// The name that is sent (SNI) and checked.
    pub name: String,
    /// Send the name (SNI).
    pub server_name: bool,
    /// PEM of the trust anchors; `None` is the system's.
    pub trusted_certificate: Option<PathBuf>,
    /// Our own certificate.
    pub certificate: Option<CertificatePair>,
    /// Sessions are resumed.
    pub session_reuse: bool,
}
