//! Who is let in, and who a client is.

use std::net::{IpAddr, SocketAddr};

use http::HeaderName;
use ipnet::IpNet;

use super::Assigned;
use crate::config::template::Template;

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

/// An entry of `X-Forwarded-For`: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`
pub fn forwarded_addr(entry: &str) -> Option<SocketAddr> {
    let bare = entry.trim_start_matches('[').trim_end_matches(']');
    entry.parse().ok().or_else(|| bare.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 0)))
}
