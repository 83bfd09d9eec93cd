//! The validated configuration: plain data, every default filled in, every reference resolved. It
//! is what the rest of the program sees. Not here: how it was written (`schema`) and what runs from
//! it (`http::Generation`).

mod access;
mod bodies;
mod geo;
mod limits;
mod location;
mod logs;
mod proxy;
mod script;
mod tls;
mod upstream;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use regex::Regex;

use crate::config::template::Template;

pub use access::{
    AccessRule, Auth, AuthBasic, AuthRequest, RealIp, RealIpHeader, Who, forwarded_addr,
};
pub use bodies::{BodyRate, Gzip, GzipProxied, Ssi};
pub use geo::{Geo, Stretches, number};
pub use limits::{Allowance, LimitConn, LimitReq, Limits, Zone};
pub use location::{
    Action, AddHeader, Files, Location, LocationPath, Redirects, Returned, TryFiles, TryLast, Types,
};
pub use logs::{
    AccessLog, CustomFormat, Escape, LogBuffer, LogCache, LogFormat, LogLevel, LogPath, NOTICE,
};
pub use proxy::{CloseCodes, NextUpstream, Policy, Proxy, Redirect, RedirectFrom, WebSocket};
pub use script::{
    Assigned, Branch, Condition, ErrorPage, FileTest, PageStatus, Rewrite, RewriteFlag, Step, Test,
};
pub use tls::{
    CertificatePair, ClientCertificates, NamedPair, ProxyTls, Sessions, TlsVersions, VerifyClient,
};
pub use upstream::{Balance, Peer, PeerAddr, Upstream};

/// One whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Threads, of the relay and of the runtime each; at least 1.
    pub worker_processes: usize,
    /// Connections from clients at most, in the whole process.
    pub worker_connections: usize,
    /// How long QUIT waits for tunnels before it closes them; `None` waits for ever.
    pub worker_shutdown_timeout: Option<Duration>,
    /// How long TERM waits for tunnels before it closes them.
    pub shutdown_timeout: Duration,
    /// Where the process id is written.
    pub pid: Option<PathBuf>,
    /// Run in the background.
    pub daemon: bool,
    /// Where diagnostics go; `None` is standard error.
    pub error_log: Option<PathBuf>,
    /// The least severe event that is logged.
    pub error_log_level: LogLevel,
    /// How long to wait after a change of a watched file before reloading; `None` does not watch.
    pub auto_reload: Option<Duration>,
    /// Where metrics are served.
    pub metrics: Option<MetricsEndpoint>,
    /// Every upstream, those named and those a `proxy_pass` address made.
    pub upstreams: Vec<Arc<Upstream>>,
    /// Every listener, with the servers that share it.
    pub listeners: Vec<Listener>,
    /// How many variables the configuration has of its own.
    pub variables: usize,
    /// Some value has `$request_body` in it.
    pub asks_body: bool,
    /// Every server, in the order of the files.
    pub servers: Vec<Arc<Server>>,
    /// Every file that was read or named (configuration, includes, certificates, keys), absolute.
    pub files: Vec<PathBuf>,
    /// The directories that include patterns look into, absolute.
    pub include_dirs: Vec<PathBuf>,
}

/// `[metrics]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsEndpoint {
    /// The address it is served on.
    pub listen: ListenAddr,
    /// The path of the page, `/metrics` by default; `/healthz` and `/readyz` stand beside it.
    pub path: String,
    /// Who may read it; a Unix socket's clients always may.
    pub allow: Vec<IpNet>,
}

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ListenAddr {
    /// An IP address and port.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl std::fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(addr) => addr.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A listening socket and what is served on it.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Where.
    pub addr: ListenAddr,
    /// Connections start with a TLS handshake.
    pub tls: bool,
    /// Connections start with a PROXY protocol header.
    pub proxy_protocol: bool,
    /// An IPv6 wildcard takes no IPv4 connections.
    pub ipv6only: bool,
    /// Connections that may wait to be accepted.
    pub backlog: u32,
    /// The servers of this socket, as indexes into [`Config::servers`]; never empty.
    pub servers: Vec<usize>,
    /// The one that answers when no name fits, as an index into [`Config::servers`].
    pub default_server: usize,
}

/// One `[[server]]`.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of its own")]
pub struct Server {
    /// The first name as written: the `server` label.
    pub label: String,
    /// All names.
    pub names: Vec<ServerName>,
    /// Certificate and key pairs (ECDSA beside RSA); empty when no listener has `ssl`.
    pub certificates: Vec<CertificatePair>,
    /// Those that are read at each handshake.
    pub named_certificates: Vec<NamedPair>,
    /// TLS versions.
    pub protocols: TlsVersions,
    /// How its sessions are resumed.
    pub sessions: Sessions,
    /// `ssl_reject_handshake`
    pub reject_handshake: bool,
    /// `ssl_verify_client`, if it is not off.
    pub clients: Option<Arc<ClientCertificates>>,
    /// `ssl_handshake_timeout`.
    pub ssl_handshake_timeout: Duration,
    /// `client_header_timeout`.
    pub client_header_timeout: Duration,
    /// `client_body_timeout`: between two reads of a request body.
    pub client_body_timeout: Duration,
    /// `send_timeout`: between two writes of an answer.
    pub send_timeout: Duration,
    /// The longest request head, in bytes (`large_client_header_buffers`).
    pub max_head_size: usize,
    /// The most header fields (`max_headers`).
    pub max_headers: usize,
    /// `merge_slashes`
    pub merge_slashes: bool,
    /// Which fields go on to upstreams.
    pub field_names: FieldNames,
    /// Upgrades to other protocols than WebSocket become tunnels too.
    pub other_upgrades: bool,
    /// Lines of a head may end without CR, and an absolute target need not be the Host field's.
    pub lenient_heads: bool,
    /// What holds before a location is taken, and where none fits; it does nothing by itself.
    pub own: Arc<Location>,
    /// The locations, in the order of the file. A server without one answers 404.
    pub locations: Vec<Arc<Location>>,
}

impl Server {
    /// Its locations, with those in them and under their conditions.
    pub fn every_location(&self) -> Vec<&Arc<Location>> {
        let mut found = Vec::new();
        let mut waiting: Vec<_> = self.locations.iter().collect();
        while let Some(location) = waiting.pop() {
            waiting.extend(location.nested.iter().chain(&location.branches));
            found.push(location);
        }
        found
    }
}

/// Names of fields that go on, besides those of letters, digits and hyphens.
#[derive(Clone, Copy, Debug)]
pub struct FieldNames {
    /// `underscores_in_headers`
    pub underscores: bool,
    /// Those with any other character (`ignore_invalid_headers = false`).
    pub unusual: bool,
}

impl FieldNames {
    /// Whether a field of this name, which is a token, goes on.
    pub fn fit(self, name: &str) -> bool {
        name.bytes().all(|b| match b {
            b'_' => self.underscores,
            b'-' => true,
            other => self.unusual || other.is_ascii_alphanumeric(),
        })
    }
}

/// A name of a server, in lower case.
#[derive(Clone, Debug)]
pub enum ServerName {
    /// `example.org`; also `_` and the empty name, which match no real host.
    Exact(String),
    /// `*.example.org`, kept as `.example.org`; with nginx's `.example.org`, an `Exact` stands beside.
    Suffix(String),
    /// `www.example.*`, kept as `www.example.`.
    Prefix(String),
    /// `~^www\d+\.example\.org$`.
    Regex(Pattern),
}

/// A regular expression, and the variables that its named groups set.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// The expression.
    pub regex: Regex,
    /// The number of a group, and that of its variable.
    pub names: Vec<(usize, usize)>,
}

impl Pattern {
    /// Whether what its groups take may be asked for.
    pub fn captures(&self) -> bool {
        self.regex.captures_len() > 1
    }
}

impl From<Regex> for Pattern {
    fn from(regex: Regex) -> Self {
        Self { regex, names: Vec::new() }
    }
}

/// `map`: a variable computed from others.
#[derive(Clone, Debug)]
pub struct Map {
    /// What is looked up.
    pub source: Template,
    /// The variable's name, without `$`.
    pub variable: String,
    /// Exact values, in lower case, as nginx compares.
    pub exact: BTreeMap<String, Template>,
    /// Values may be host names with `*`.
    pub hostnames: bool,
    /// `~re` and `~*re`, tried in order when no exact value fits.
    pub patterns: Vec<(Regex, Template)>,
    /// When nothing fits.
    pub default: Template,
}
