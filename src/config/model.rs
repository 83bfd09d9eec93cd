//! The validated configuration: plain data, every default filled in, every reference resolved. It
//! is what the rest of the program sees. Not here: how it was written (`schema`) and what runs from
//! it (`http::Generation`).

use std::collections::BTreeMap;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use ipnet::IpNet;
use regex::Regex;

use super::template::{Template, Var};
use super::units;

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

/// nginx's levels of the error log, most severe last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// Life signs.
    Info,
    /// Normal but worth knowing.
    Notice,
    /// Something is off.
    Warn,
    /// Something failed.
    #[default]
    Error,
    /// Something failed that the operator must act on.
    Crit,
}

/// The target of messages of [`LogLevel::Notice`], which tracing does not have: they are INFO there.
pub const NOTICE: &str = "notice";

impl LogLevel {
    /// The level below, but no more than life signs.
    #[must_use]
    pub const fn below(self) -> Self {
        match self {
            Self::Debug => Self::Debug,
            Self::Info | Self::Notice => Self::Info,
            Self::Warn => Self::Notice,
            Self::Error => Self::Warn,
            Self::Crit => Self::Error,
        }
    }
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

/// A certificate file with its key file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificatePair {
    /// PEM: the leaf first, then its chain.
    pub certificate: PathBuf,
    /// PEM: the private key.
    pub key: PathBuf,
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

/// One `[[server.location]]`, with everything it inherits.
#[derive(Clone, Debug)]
pub struct Location {
    /// The location as written, for messages and as the route's name across reloads.
    pub name: String,
    /// What it matches.
    pub path: LocationPath,
    /// The locations in it, in the order of the file.
    pub nested: Vec<Arc<Location>>,
    /// Only what was redirected inside of here may come to it.
    pub internal: bool,
    /// `rewrite`: what happens before its action.
    pub script: Vec<Step>,
    /// What holds where an `if` of the script does, by the number that the step has.
    pub branches: Vec<Arc<Location>>,
    /// How long an idle connection is kept; zero closes after every answer.
    pub keepalive_timeout: Duration,
    /// The most requests on one connection.
    pub keepalive_requests: u64,
    /// How old a connection may become.
    pub keepalive_time: Option<Duration>,
    /// Answers say `Connection: keep-alive`, and `Keep-Alive` where it is not zero.
    pub keepalive_header: Option<Duration>,
    /// `error_page`
    pub error_pages: Vec<ErrorPage>,
    /// Pages of errors have such pages themselves.
    pub recursive_error_pages: bool,
    /// `limit_req` and `limit_conn`
    pub limits: Limits,
    /// Where its files lie, if it has any.
    pub files: Option<Files>,
    /// What is looked for before its action.
    pub try_files: Option<TryFiles>,
    /// What type an answer is of that is made here.
    pub types: Types,
    /// How a `Location` that is made here becomes a URL.
    pub redirects: Redirects,
    /// `expires`
    pub expires: Option<Template>,
    /// Errors have a page of HTML.
    pub html_errors: bool,
    /// `ssi`: its documents have commands in them.
    pub ssi: Option<Ssi>,
    /// `limit_rate`
    pub rate: Option<BodyRate>,
    /// `gzip`
    pub gzip: Option<Gzip>,
    /// What it does.
    pub action: Action,
    /// `auth_basic`, `auth_request`, `satisfy`
    pub auth: Auth,
    /// `allow` and `deny`, in order; the first that fits decides, none allows.
    pub access: Vec<AccessRule>,
    /// Who is believed about the client's address.
    pub real_ip: RealIp,
    /// `add_header`.
    pub add_headers: Vec<AddHeader>,
    /// The longest request body in bytes; `None` is unlimited.
    pub client_max_body_size: Option<u64>,
    /// How much of a body `$request_body` may be.
    pub client_body_buffer_size: u64,
    /// Where requests are logged.
    pub access_logs: Vec<AccessLog>,
}

/// Who is let in besides those whose addresses are.
#[derive(Clone, Debug, Default)]
pub struct Auth {
    /// `satisfy any`: one of the rules is enough.
    pub any: bool,
    /// Who knows a password.
    pub basic: Option<AuthBasic>,
    /// Whom another request says so of.
    pub request: Option<AuthRequest>,
}

/// `auth_basic`
#[derive(Clone, Debug)]
pub struct AuthBasic {
    /// What the password is for; `off` lets everybody in.
    pub realm: Template,
    /// The file of users.
    pub file: Template,
}

/// `auth_request`
#[derive(Clone, Debug)]
pub struct AuthRequest {
    /// The path that is asked for, with its arguments.
    pub uri: String,
    /// What is set once that is answered.
    pub set: Vec<(Assigned, Template)>,
}

/// How documents with commands in them are processed.
#[derive(Clone, Debug)]
pub struct Ssi {
    /// What types documents have; `*` is any.
    pub types: Vec<String>,
    /// What fails leaves no trace in the answer.
    pub silent_errors: bool,
    /// The date of the document is told.
    pub last_modified: bool,
    /// The variables of the configuration's own.
    pub own: Arc<BTreeMap<String, Var>>,
}

impl Ssi {
    /// What a name in a document stands for.
    pub fn variable(&self, name: &str) -> Option<Template> {
        self.own.get(name).cloned().or_else(|| Var::built_in(name)).map(Template::of)
    }
}

/// How fast the body of an answer goes.
#[derive(Clone, Debug)]
pub struct BodyRate {
    /// Bytes a second.
    pub rate: Template,
    /// Once so many have gone.
    pub after: Template,
}

impl BodyRate {
    /// A size as it is written; `None` when it is none.
    pub fn size(text: &str) -> Option<u64> {
        units::size(text).ok()
    }
}

/// How answers are compressed.
#[derive(Clone, Debug)]
pub struct Gzip {
    /// Of which types; `*` is any.
    pub types: Vec<String>,
    /// From how many bytes on.
    pub min_length: u64,
    /// How hard it is tried.
    pub level: u32,
    /// `Vary: Accept-Encoding` is told.
    pub vary: bool,
    /// What other proxies ask for is compressed when one of these holds.
    pub proxied: Vec<GzipProxied>,
    /// For HTTP/1.0 as well.
    pub http_1_0: bool,
}

/// When an answer for another proxy is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GzipProxied {
    /// Never.
    Off,
    /// It has an `Expires` that has passed.
    Expired,
    /// By `Cache-Control: no-cache`
    NoCache,
    /// By `Cache-Control: no-store`
    NoStore,
    /// By `Cache-Control: private`
    Private,
    /// It has no `Last-Modified`.
    NoLastModified,
    /// It has no `ETag`.
    NoEtag,
    /// The request has an `Authorization`.
    Auth,
    /// Always.
    Any,
}

/// One header of `add_header`.
#[derive(Clone, Debug)]
pub struct AddHeader {
    /// Its name.
    pub name: HeaderName,
    /// Its name as written, which clients see.
    pub spelled: String,
    /// Its value; an empty one adds nothing.
    pub value: Template,
    /// It is added whatever the status is.
    pub always: bool,
}

/// nginx's forms of `location`.
#[derive(Clone, Debug)]
pub enum LocationPath {
    /// `= /p`
    Exact(String),
    /// `/p`, or with `^~` (`no_regex`): when it is the longest prefix, no regex is tried.
    Prefix {
        /// The prefix.
        path: String,
        /// It was written with `^~`.
        no_regex: bool,
    },
    /// `~ re` or `~* re`, compiled with its case rule.
    Regex(Pattern),
    /// `@name`: taken by name alone.
    Named(String),
}

/// A step of `rewrite`.
#[derive(Clone, Debug)]
pub enum Step {
    /// Changes the path where it fits.
    Rewrite(Box<Rewrite>),
    /// Gives a variable a value.
    Set {
        /// Which.
        variable: Assigned,
        /// Its value.
        value: Template,
    },
    /// Answers.
    Return(Returned),
    /// Nothing more.
    Break,
    /// Some steps under a condition.
    If(Box<Branch>),
}

/// What `set` can set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assigned {
    /// `$limit_rate`
    Rate,
    /// A variable of the configuration, by its number.
    Own(usize),
    /// `$args`
    Args,
}

/// `rewrite REGEX REPLACEMENT`.
#[derive(Clone, Debug)]
pub struct Rewrite {
    /// What the decoded path must fit.
    pub pattern: Pattern,
    /// What it becomes, up to the first `?`.
    pub path: Template,
    /// What stands behind the `?`.
    pub args: Option<Template>,
    /// The arguments of the request are added.
    pub keep_args: bool,
    /// What follows.
    pub flag: Option<RewriteFlag>,
}

/// What follows a rewrite that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RewriteFlag {
    /// A location is looked for anew.
    Last,
    /// The location stays.
    Break,
    /// 302
    Redirect,
    /// 301
    Permanent,
}

/// An `if`.
#[derive(Clone, Debug)]
pub struct Branch {
    /// When.
    pub condition: Condition,
    /// What then.
    pub script: Vec<Step>,
    /// What holds then, among the branches of the location.
    pub location: Option<usize>,
}

/// The condition of an `if`.
#[derive(Clone, Debug)]
pub struct Condition {
    /// What is looked at.
    pub subject: Template,
    /// How.
    pub test: Test,
    /// It holds where the test fails.
    pub not: bool,
}

/// How a value is looked at.
#[derive(Clone, Debug)]
pub enum Test {
    /// It is neither empty nor `0`.
    Set,
    /// It is this.
    Equals(Template),
    /// It fits.
    Matches(Pattern),
    /// It is the path of such a file.
    File(FileTest),
}

/// What a file is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileTest {
    /// `-f`
    File,
    /// `-d`
    Directory,
    /// `-e`
    Exists,
    /// `-x`
    Executable,
}

/// One page of `error_page`.
#[derive(Clone, Debug)]
pub struct ErrorPage {
    /// The statuses it is for.
    pub codes: Vec<u16>,
    /// What the client gets as status.
    pub status: PageStatus,
    /// A path, `@name`, or a URL.
    pub to: Template,
}

/// The status of an error that has a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageStatus {
    /// The error's.
    OfError,
    /// The page's.
    OfPage,
    /// This.
    Given(u16),
}

/// `limit_req` and `limit_conn`
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// Zones that a request is counted in.
    pub requests: Vec<LimitReq>,
    /// The status of what comes too often.
    pub requests_status: u16,
    /// Everything is let through.
    pub requests_dry_run: bool,
    /// How that is logged.
    pub requests_level: LogLevel,
    /// Zones that a request or tunnel takes a place in.
    pub places: Vec<LimitConn>,
    /// The status where no place is left.
    pub places_status: u16,
    /// Everything is let through.
    pub places_dry_run: bool,
    /// How that is logged.
    pub places_level: LogLevel,
}

/// A zone of either.
#[derive(Clone, Debug)]
pub struct Zone {
    /// Its name.
    pub name: String,
    /// What tells clients apart.
    pub key: Template,
    /// How many keys it holds.
    pub keys: usize,
}

/// What one `limit_req` lets through, in thousandths of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Requests in a second.
    pub rate: i64,
    /// More than this is refused.
    pub burst: i64,
    /// More than this has to wait; `i64::MAX` is `nodelay`.
    pub delay: i64,
}

/// One `limit_req`.
#[derive(Clone, Debug)]
pub struct LimitReq {
    /// Where it counts.
    pub zone: Arc<Zone>,
    /// What it lets through.
    pub allowance: Allowance,
}

/// One `limit_conn`.
#[derive(Clone, Debug)]
pub struct LimitConn {
    /// Where it counts.
    pub zone: Arc<Zone>,
    /// How many at a time.
    pub limit: usize,
}

/// One `proxy_redirect`.
#[derive(Clone, Debug)]
pub struct Redirect {
    /// What is replaced.
    pub from: RedirectFrom,
    /// By what.
    pub to: Template,
}

/// What of a `Location` is replaced.
#[derive(Clone, Debug)]
pub enum RedirectFrom {
    /// This beginning.
    Start(Template),
    /// All of it, where this fits.
    Fitting(Pattern),
}

/// `root` or `alias`, and `index`.
#[derive(Clone, Debug)]
pub struct Files {
    /// The folder, or what stands for the location's path.
    pub root: Template,
    /// It is an `alias`.
    pub alias: bool,
    /// What stands for a folder.
    pub index: Vec<Template>,
}

/// `try_files`
#[derive(Clone, Debug)]
pub struct TryFiles {
    /// What is looked for, and whether it is a folder.
    pub paths: Vec<(Template, bool)>,
    /// What happens when nothing is there.
    pub last: TryLast,
}

/// The last of `try_files`.
#[derive(Clone, Debug)]
pub enum TryLast {
    /// `=404`
    Status(u16),
    /// A path or `@name`.
    Path(Template),
}

/// How a `Location` that is made here becomes a URL.
#[derive(Clone, Copy, Debug, Default)]
pub struct Redirects {
    /// `absolute_redirect`
    pub absolute: bool,
    /// `port_in_redirect`
    pub port: bool,
    /// `server_name_in_redirect`
    pub server_name: bool,
}

/// `types` and `default_type`
#[derive(Clone, Debug, Default)]
pub struct Types {
    /// By extension, in lower case; `None` are the usual ones.
    pub by_extension: Option<Arc<BTreeMap<String, String>>>,
    /// Of all others.
    pub default: Option<String>,
}

/// What a location does.
#[derive(Clone, Debug)]
pub enum Action {
    /// `return`.
    Return(Returned),
    /// `proxy_pass`.
    Proxy(Box<Proxy>),
    /// Serves files.
    Files,
    /// `stub_status`: tells how many connections and requests there are.
    Status,
    /// None of them: 404.
    Nothing,
}

/// `return`: an answer made here.
#[derive(Clone, Debug)]
pub struct Returned {
    /// The status.
    pub status: u16,
    /// The body, or for 301, 302, 303, 307 and 308 the Location header's value.
    pub text: Option<Template>,
    /// `text` is the Location header's value.
    pub redirect: bool,
}

/// `proxy_pass` and all that goes with it.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of its own")]
pub struct Proxy {
    /// [`Upstream::name`] of the group.
    pub upstream: String,
    /// The peers speak TLS.
    pub tls: Option<Arc<ProxyTls>>,
    /// Where requests go, where variables tell: an `http://` URL. Then there is no upstream.
    pub target: Option<Template>,
    /// `uri` stands for the whole of the request's, arguments too.
    pub whole_uri: bool,
    /// `$proxy_host`: host and port as written, without the scheme's default port.
    pub host: String,
    /// Replaces the part of the path that the location matched.
    pub uri: Option<String>,
    /// `proxy_redirect`
    pub redirects: Vec<Redirect>,
    /// `proxy_connect_timeout`.
    pub connect_timeout: Duration,
    /// `proxy_read_timeout`: between two reads of an answer.
    pub read_timeout: Duration,
    /// `proxy_send_timeout`: between two writes of a request.
    pub send_timeout: Duration,
    /// What is set on the request, defaults included; an empty value removes the header.
    pub set_headers: Vec<(HeaderName, Template)>,
    /// What a client says of where it comes from goes on, whoever it is.
    pub pass_client_claims: bool,
    /// Answers with a status from 300 may become pages of errors.
    pub intercept_errors: bool,
    /// With `close` in it, a plain request is the last on its connection.
    pub connection: Option<Template>,
    /// What `$request_body` holds is read before the request is sent.
    pub request_buffering: bool,
    /// Removed from the answer.
    pub hide_headers: Vec<HeaderName>,
    /// When another peer is tried.
    pub next_upstream: NextUpstream,
    /// Source addresses, taken in turn.
    pub bind: Vec<IpAddr>,
    /// Upgrade requests that are not served get 426; else they go on as plain ones.
    pub refuse_upgrades: bool,
    /// `[server.location.websocket]`.
    pub websocket: WebSocket,
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

/// `proxy_next_upstream`.
#[expect(clippy::struct_excessive_bools, reason = "each is a word of the directive")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextUpstream {
    /// The connection failed, or broke before an answer.
    pub error: bool,
    /// Connecting or answering took too long.
    pub timeout: bool,
    /// The answer could not be read.
    pub invalid_header: bool,
    /// Requests that are not idempotent are sent again too.
    pub non_idempotent: bool,
    /// The peer answered with one of these.
    pub statuses: Vec<u16>,
    /// Peers tried at most; 0 is all.
    pub tries: u32,
    /// Time for all tries; zero is unlimited.
    pub timeout_total: Duration,
}

/// `[server.location.websocket]`.
#[derive(Clone, Debug)]
pub struct WebSocket {
    /// Upgrade requests are served; else [`Proxy::refuse_upgrades`] counts.
    pub enabled: bool,
    /// `Origin` values let in, in lower case (`*.` may start the host; `none` stands for a request
    /// without one); `None` lets in any.
    pub allowed_origins: Option<Vec<String>>,
    /// Sub-protocols let in; `None` lets in any.
    pub allowed_subprotocols: Option<Vec<String>>,
    /// A 101 with a wrong `Sec-WebSocket-Accept` is a 502.
    pub verify_accept: bool,
    /// Clocks and limits of the live tunnel.
    pub policy: Arc<Policy>,
}

/// Clocks and limits of a tunnel. A reload gives live tunnels the new ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Silence of a leg after which it is pinged; `None` never pings.
    pub ping_interval: Option<Duration>,
    /// Each interval is shortened by up to this many percent.
    pub ping_jitter: u8,
    /// Silence after a ping that means the leg is dead.
    pub pong_timeout: Duration,
    /// The upstream leg is pinged too.
    pub ping_upstream: bool,
    /// No byte either way for so long ends the tunnel.
    pub idle_timeout: Option<Duration>,
    /// No data frame either way for so long ends the tunnel.
    pub data_idle_timeout: Option<Duration>,
    /// A leg that takes no byte for so long, while there is something to send, ends the tunnel.
    pub send_timeout: Duration,
    /// How long to wait for the Close that answers a Close.
    pub close_timeout: Duration,
    /// The longest life of a tunnel.
    pub max_age: Option<Duration>,
    /// Each `max_age` is shortened by up to this many percent.
    pub max_age_jitter: u8,
    /// The longest message in bytes.
    pub max_message_size: Option<u64>,
    /// The longest frame in bytes.
    pub max_frame_size: Option<u64>,
    /// Unwritten bytes a leg may have before the other leg is read no more.
    pub max_buffer: usize,
    /// Frames are held to the rules of RFC 6455.
    pub validate: bool,
    /// The codes Wayhold closes with.
    pub close_codes: CloseCodes,
}

/// `close_codes`: the code sent for each of Wayhold's own reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseCodes {
    /// The process is finishing: 1012.
    pub drain: u16,
    /// A leg is dead: 1001 to the other.
    pub dead_peer: u16,
    /// The upstream leg broke: 1011 to the client.
    pub upstream_lost: u16,
    /// The client leg broke: 1001 to the upstream.
    pub client_lost: u16,
    /// `idle_timeout` and `data_idle_timeout`: 1001.
    pub idle: u16,
    /// `max_age`: 1001.
    pub max_age: u16,
    /// `max_frame_size`, `max_message_size`: 1009.
    pub too_big: u16,
    /// A leg that takes no bytes: 1008.
    pub slow_consumer: u16,
    /// An impossible frame: 1002.
    pub protocol: u16,
}

/// One `allow` or `deny`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRule {
    /// It allows.
    pub allow: bool,
    /// Whom.
    pub who: Who,
}

/// A set of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// `all`
    All,
    /// An address or range.
    Net(IpNet),
    /// `unix:`, those that come over Unix sockets.
    Unix,
}

/// `set_real_ip_from`, `real_ip_header`, `real_ip_recursive`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RealIp {
    /// Who is believed.
    pub from: Vec<Who>,
    /// Where the address stands.
    pub header: RealIpHeader,
    /// Skip believed addresses from the right of the list.
    pub recursive: bool,
    /// Whom a PROXY protocol header names is the client, whatever the header that tells.
    pub proxied_is_client: bool,
}

/// `real_ip_header`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RealIpHeader {
    /// The PROXY protocol header.
    ProxyProtocol,
    /// A header field with one address, or a list of them.
    Field(HeaderName),
}

/// `access_log`.
#[derive(Clone, Debug)]
pub struct AccessLog {
    /// The file.
    pub path: LogPath,
    /// Lines are gathered before they are written.
    pub buffer: Option<LogBuffer>,
    /// The shape of a line.
    pub format: LogFormat,
    /// Tunnels are logged when they open too.
    pub open: bool,
    /// Only what this is neither empty nor `0` for is logged.
    pub condition: Option<Template>,
}

/// Which file a log is.
#[derive(Clone, Debug)]
pub enum LogPath {
    /// This one.
    File(PathBuf),
    /// One that variables name, and how many of those stay open.
    Told(Template, LogCache),
}

impl LogPath {
    /// The file, for a message.
    pub fn shown(&self) -> PathBuf {
        match self {
            Self::File(path) => path.clone(),
            Self::Told(..) => PathBuf::from("(told by variables)"),
        }
    }
}

/// `open_log_file_cache`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogCache {
    /// At most so many stay open; none with 0.
    pub max: usize,
    /// Until they have not been used for so long.
    pub inactive: Duration,
    /// From so many uses on.
    pub min_uses: u64,
    /// How long a file is believed to be the one of its name.
    pub valid: Duration,
}

/// How lines are gathered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogBuffer {
    /// Up to so many bytes,
    pub size: usize,
    /// and no longer than this.
    pub flush: Option<Duration>,
    /// They are compressed, so hard.
    pub gzip: Option<u32>,
}

/// `log_format`
#[derive(Clone, Debug)]
pub struct CustomFormat {
    /// The line.
    pub line: Template,
    /// How values are escaped in it.
    pub escape: Escape,
}

/// How values are escaped in a line of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Escape {
    /// Quotes, backslashes and what is not ASCII as `\xXX`.
    #[default]
    Default,
    /// As in a string of JSON.
    Json,
    /// Not at all.
    None,
}

/// Shapes of an access log line.
#[derive(Clone, Debug)]
pub enum LogFormat {
    /// nginx's `combined`.
    Combined,
    /// One JSON object.
    Json,
    /// A `log_format`.
    Custom(Arc<CustomFormat>),
}

/// `[upstream.NAME]`.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// The name; for a `proxy_pass` address, `host:port` or `unix:/path`.
    pub name: String,
    /// The peers, each with one address; never empty.
    pub peers: Vec<Peer>,
    /// How one is picked.
    pub balance: Balance,
    /// Idle HTTP connections kept, for each peer.
    pub keepalive: usize,
    /// How long they are kept.
    pub keepalive_timeout: Duration,
    /// Requests on one of them at most.
    pub keepalive_requests: u64,
    /// How old they may become.
    pub keepalive_time: Option<Duration>,
    /// When all peers have failed, one of them is tried all the same.
    pub last_resort: bool,
    /// The key of the two kinds of hash.
    pub hash: Option<Template>,
}

/// `balance`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// The fewest active tunnels and requests for its weight; equals in turn.
    LeastConn,
    /// Smooth weighted round robin.
    RoundRobin,
    /// The less busy of two taken at random by weight.
    Random,
    /// By a key: nginx's `hash`.
    Hash,
    /// By a key, so that a peer that comes or goes moves few: nginx's `hash … consistent`.
    ConsistentHash,
    /// By the client's address: nginx's `ip_hash`.
    IpHash,
}

/// One peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The label: the address as written, or what it resolved to where that is several.
    pub name: String,
    /// Where it is.
    pub addr: PeerAddr,
    /// Its share, at least 1.
    pub weight: u32,
    /// Failures within `fail_timeout` that make it unavailable; 0 never does.
    pub max_fails: u32,
    /// See `max_fails`; also how long it stays unavailable.
    pub fail_timeout: Duration,
    /// Active tunnels and requests at most.
    pub max_conns: Option<usize>,
    /// Picked only when no other peer is left.
    pub backup: bool,
    /// Never picked.
    pub down: bool,
}

/// The address of a peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PeerAddr {
    /// An IP address and port.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl std::fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(addr) => addr.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
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
