//! What a request's variables stand for.

use std::sync::OnceLock;

use http::HeaderMap;
use http::header::{COOKIE, HOST};
use http::request::Parts;
use http::uri::Authority;
use tokio::time::Instant;

use super::client::{Client, Connection, text};
use super::more_vars as more;
use super::state::State;
use super::told::Told;
use crate::config::model::{Files, ListenAddr, Location, LocationPath, Proxy, Redirects};
use crate::config::template::{Lookup, Var};
use crate::net::tls::TlsInfo;

/// A request, as its variables see it.
pub(super) struct Facts<'a> {
    pub(super) parts: &'a Parts,
    pub(super) connection: &'a Connection,
    pub(super) client: Client,
    /// What the client says of where it comes from goes on, whoever it is.
    pub(super) pass_client_claims: bool,
    /// The server's label.
    pub(super) server: &'a str,
    /// What holds for it, and how much of the path that stands for.
    pub(super) location: &'a Location,
    pub(super) matched: usize,
    /// Its path, its arguments, and what has been set.
    pub(super) state: &'a State,
    /// `$proxy_host`
    pub(super) proxy_host: &'a str,
    /// `$upstream_addr`, as far as it is known.
    pub(super) upstream_addr: &'a str,
    /// The status of the answer, once there is one.
    pub(super) status: Option<u16>,
    /// What the peers said, once they have been asked.
    pub(super) told: Option<&'a Told>,
    /// When the request came, once there is an answer.
    pub(super) started: Option<Instant>,
    /// The headers of the answer, once there is one.
    pub(super) answer: Option<&'a HeaderMap>,
    /// Which request of the connection it is.
    pub(super) number: u64,
    /// Bytes that have come of it.
    pub(super) received: u64,
    /// Where it goes.
    pub(super) proxy: Option<&'a Proxy>,
    pub(super) request_id: &'a RequestId,
}

/// `$request_id`: made when somebody asks for it.
#[derive(Clone, Debug, Default)]
pub(super) struct RequestId(OnceLock<String>);

impl RequestId {
    pub(super) fn get(&self) -> &str {
        self.0.get_or_init(|| {
            let mut bytes = [0; 16];
            // Without the kernel's random numbers an id is not unique, but the request is served.
            let _filled = getrandom::fill(&mut bytes);
            format!("{:032x}", u128::from_be_bytes(bytes))
        })
    }
}

impl Facts<'_> {
    fn header(&self, name: &http::HeaderName) -> String {
        joined(&self.parts.headers, name)
    }

    /// The host the request is for, with its port.
    pub(super) fn http_host(&self) -> &str {
        http_host(self.parts)
    }

    /// The URL of a path of this server.
    pub(super) fn url_of(&self, path: &str, redirects: Redirects) -> String {
        let asked = host_name(self.http_host());
        let mut host = if redirects.server_name { self.server.to_owned() } else { asked };
        if host.is_empty() {
            self.lookup(&Var::ServerAddr, &mut host);
        }
        let (scheme, usual) = if self.is_https() { ("https", 443) } else { ("http", 80) };
        let port = match &self.connection.local {
            ListenAddr::Tcp(addr) if redirects.port && addr.port() != usual => {
                format!(":{}", addr.port())
            }
            _ => String::new(),
        };
        format!("{scheme}://{host}{port}{path}")
    }

    /// Where a path lies on the disk.
    pub(super) fn place(&self, files: &Files, path: &str) -> String {
        let root = files.root.expand(self);
        if !files.alias {
            return root + path;
        }
        // The alias of a regular expression is the whole of it.
        match &self.location.path {
            LocationPath::Regex(_) => root,
            _ => root + path.get(self.matched..).unwrap_or_default(),
        }
    }

    /// The arguments, as they are now.
    pub(super) fn args(&self) -> Option<&str> {
        self.state.args(self.parts)
    }

    fn arg(&self, name: &str) -> Option<&str> {
        self.args()?.split('&').find_map(|arg| {
            let (key, value) = arg.split_once('=')?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    fn cookie(&self, name: &str) -> Option<&str> {
        let cookies = self.parts.headers.get_all(COOKIE).iter();
        cookies.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';')).find_map(
            |pair| {
                let (key, value) = pair.trim().split_once('=')?;
                (key == name).then_some(value)
            },
        )
    }

    const fn is_https(&self) -> bool {
        self.connection.tls.is_some()
    }

    /// A trusted sender's own field, or what we know ourselves.
    fn forwarded(&self, name: &'static str, own: impl FnOnce() -> String) -> String {
        let told = self.client.trusted.then(|| self.parts.headers.get(name)).flatten();
        told.and_then(|value| value.to_str().ok()).map_or_else(own, str::to_owned)
    }

    fn forwarded_for(&self) -> String {
        // Where nobody is asked for trust, nginx adds what it takes for the client.
        let own = text(if self.pass_client_claims { self.client.addr } else { self.client.sender });
        let name = http::HeaderName::from_static("x-forwarded-for");
        let told = if self.client.trusted || self.pass_client_claims {
            self.header(&name)
        } else {
            String::new()
        };
        if told.is_empty() { own } else { format!("{told}, {own}") }
    }
}

/// A header's values; several are joined as one list.
pub(super) fn joined(headers: &HeaderMap, name: &http::HeaderName) -> String {
    let separator = if *name == COOKIE { "; " } else { ", " };
    let values = headers.get_all(name);
    let values: Vec<_> = values.iter().map(|v| String::from_utf8_lossy(v.as_bytes())).collect();
    values.join(separator)
}

/// The host a request is for: of an absolute-form target, else of the `Host` field.
pub(super) fn http_host(parts: &Parts) -> &str {
    let authority = parts.uri.authority().map(Authority::as_str);
    let field = || parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    authority.or_else(field).unwrap_or_default()
}

/// A host without its port, in lower case, without a final dot.
pub(super) fn host_name(host: &str) -> String {
    let end = if host.ends_with(']') { None } else { host.rfind(':') };
    let name = end.map_or(host, |end| &host[..end]);
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

impl Lookup for Facts<'_> {
    fn lookup(&self, var: &Var, out: &mut String) {
        let tls = || self.connection.tls.as_ref();
        match var {
            Var::Host => {
                let name = host_name(self.http_host());
                out.push_str(if name.is_empty() { self.server } else { &name });
            }
            Var::Header(name) if *name == HOST => out.push_str(self.http_host()),
            Var::Header(name) => out.push_str(&self.header(name)),
            Var::Arg(name) => out.push_str(self.arg(name).unwrap_or_default()),
            Var::Cookie(name) => out.push_str(self.cookie(name).unwrap_or_default()),
            Var::RemoteAddr => out.push_str(&self.client.text()),
            Var::RemotePort => {
                if let crate::net::ClientAddr::Ip(addr) = self.client.addr {
                    out.push_str(&addr.port().to_string());
                }
            }
            Var::ServerAddr => match &self.connection.local {
                ListenAddr::Tcp(addr) => out.push_str(&addr.ip().to_string()),
                unix @ ListenAddr::Unix(_) => out.push_str(&unix.to_string()),
            },
            Var::ServerPort => {
                if let ListenAddr::Tcp(addr) = &self.connection.local {
                    out.push_str(&addr.port().to_string());
                }
            }
            Var::ServerName => out.push_str(self.server),
            Var::Scheme => out.push_str(if self.is_https() { "https" } else { "http" }),
            Var::RequestUri => {
                out.push_str(self.parts.uri.path_and_query().map_or("/", |target| target.as_str()));
            }
            Var::Uri => out.push_str(&self.state.path),
            Var::Args => out.push_str(self.args().unwrap_or_default()),
            Var::IsArgs => out.push_str(if self.args().is_some() { "?" } else { "" }),
            Var::RequestMethod => out.push_str(self.parts.method.as_str()),
            Var::ProxyAddXForwardedFor => out.push_str(&self.forwarded_for()),
            Var::ForwardedProto => {
                let own = || if self.is_https() { "https" } else { "http" }.to_owned();
                out.push_str(&self.forwarded("x-forwarded-proto", own));
            }
            Var::ForwardedHost => {
                out.push_str(&self.forwarded("x-forwarded-host", || self.http_host().to_owned()));
            }
            Var::ProxyHost => out.push_str(self.proxy_host),
            Var::UpstreamAddr => out.push_str(self.upstream_addr),
            Var::RequestId => out.push_str(self.request_id.get()),
            Var::SslProtocol => out.push_str(tls().map_or("", |tls| tls.protocol)),
            Var::SslCipher => out.push_str(tls().map_or("", |tls| tls.cipher)),
            Var::SslCiphers => {
                out.push_str(&tls().map(TlsInfo::offered).unwrap_or_default());
            }
            Var::SslServerName => {
                out.push_str(tls().and_then(|tls| tls.server_name.as_deref()).unwrap_or_default());
            }
            Var::Status => {
                if let Some(status) = self.status {
                    out.push_str(&status.to_string());
                }
            }
            other => more::lookup(self, other, out),
        }
    }
}
