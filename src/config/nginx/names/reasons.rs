//! Why a directive changes nothing here, or cannot be carried over: what stands behind its name in a
//! message.

pub(super) const AS_IT_CAME: &str =
    "answers go to the client as they came, neither compressed nor recoded";
pub(super) const BUFFERS: &str = "requests and answers are streamed, within limits of their own";
pub(super) const CACHE: &str = "nothing is cached or stored";
pub(super) const EXACT: &str = "files are new unless their date is the one that was told before";
pub(super) const FILES: &str = "files are read as they are: there is nothing to tune";
pub(super) const FILES_NEEDED: &str = "files are served as they are";
pub(super) const ONE_RANGE: &str = "of several ranges the whole is sent";
pub(super) const HTTP2: &str =
    "clients are answered in HTTP/1.1, which they fall back to by themselves";
pub(super) const IN_MEMORY: &str = "bodies are not written to files";
pub(super) const NOT_YET: &str = "there is nothing like it yet";
pub(super) const NO_SUCH: &str = "it only serves a directive that is refused";
pub(super) const OTHER_FILTER: &str = "answers are passed on unchanged";
pub(super) const OTHER_MODULE: &str = "it only serves a module that is not here";
pub(super) const OTHER_PROTOCOL: &str = "only HTTP and WebSocket are proxied";
pub(super) const PASSED: &str = "headers of the answer pass unless `proxy_hide_header` names them";
pub(super) const PROCESS: &str = "one process with threads of its own needs no such setting";
pub(super) const RESOLVER: &str =
    "names are looked up by the system when the configuration is read";
pub(super) const SSL_ON: &str = "write `listen … ssl` instead";
pub(super) const STAPLING: &str = "no OCSP answers are stapled";
pub(super) const SUITES: &str = "suites and groups are rustls': all with forward secrecy";
pub(super) const TABLES: &str = "tables grow by themselves";
pub(super) const TLS_OWN: &str = "sessions, records and versions are rustls' own";
pub(super) const UNNEEDED: &str = "it changes nothing here";
pub(super) const USER: &str = "the process stays the user that started it: name the user there";
pub(super) const X_ACCEL: &str = "`X-Accel-*` of an answer has no effect";
