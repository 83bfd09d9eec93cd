//! Variables that few ask for: of the connection, the machine, the peers and the answer.

use std::net::{IpAddr, SocketAddr};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::auth;
use super::certificates;
use super::pace;
use super::told::seconds;
use super::vars::{Facts, joined};
use crate::config::model::Proxy;
use crate::config::template::{Lookup as _, Var};
use crate::net::proxy_protocol::Header;

/// The version of nginx whose configuration is read.
const NGINX: &str = "1.22.1";

pub(super) fn lookup(facts: &Facts<'_>, var: &Var, out: &mut String) {
    let value = match var {
        Var::Capture(group) => return out.push_str(facts.state.capture(*group)),
        Var::Own(number) => return out.push_str(facts.state.own(*number)),
        Var::UpstreamHttp(name) => facts.told.map(|told| told.header(name, facts.answer)),
        Var::SentHttp(name) => facts.answer.map(|answer| joined(answer, name)),
        Var::BinaryRemoteAddr => facts.client.addr.ip().map(binary),
        Var::RealipRemoteAddr | Var::RealipRemotePort => {
            let port = matches!(var, Var::RealipRemotePort);
            facts.connection.socket.socket_addr().map(|addr| part(addr, port))
        }
        Var::ProxyProtocolAddr => proxied(facts).map(|(source, _)| part(source, false)),
        Var::ProxyProtocolPort => proxied(facts).map(|(source, _)| part(source, true)),
        Var::ProxyProtocolServerAddr => proxied(facts).map(|(_, to)| part(to, false)),
        Var::ProxyProtocolServerPort => proxied(facts).map(|(_, to)| part(to, true)),
        Var::ProxyPort => facts.proxy.map(|proxy| port(proxy).to_owned()),
        Var::ServerProtocol => Some(protocol(facts).to_owned()),
        Var::Request => Some(request_line(facts)),
        Var::RequestFilename => {
            let files = facts.location.files.as_ref();
            files.map(|files| facts.place(files, &facts.state.path))
        }
        Var::DocumentRoot | Var::RealpathRoot => {
            let root = facts.location.files.as_ref().map(|files| files.root.expand(facts));
            match var {
                Var::RealpathRoot => root
                    .and_then(|root| Some(std::fs::canonicalize(root).ok()?.display().to_string())),
                _ => root,
            }
        }
        Var::RequestBody => {
            facts.state.body.as_ref().map(|body| String::from_utf8_lossy(body).into())
        }
        Var::Connection => Some(facts.connection.serial.to_string()),
        Var::ConnectionRequests => Some(facts.number.to_string()),
        Var::ConnectionTime => Some(seconds(facts.connection.since.elapsed())),
        Var::Msec | Var::TimeIso8601 | Var::TimeLocal => Some(now(var)),
        Var::Pid => Some(std::process::id().to_string()),
        Var::Hostname => nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()),
        Var::NginxVersion => Some(NGINX.to_owned()),
        Var::UpstreamStatus
        | Var::UpstreamConnectTime
        | Var::UpstreamHeaderTime
        | Var::UpstreamResponseTime
        | Var::UpstreamResponseLength
        | Var::UpstreamBytesReceived
        | Var::UpstreamBytesSent => facts.told.map(|told| told.value(var)),
        Var::RequestTime => facts.started.map(|started| seconds(started.elapsed())),
        Var::RemoteUser => auth::user(facts.parts),
        Var::LimitRate => Some(pace::rate(facts).to_string()),
        Var::Pipe => Some(".".to_owned()),
        Var::RequestLength => Some(facts.received.to_string()),
        Var::LimitReqStatus => Some(facts.state.limit_req_status.to_owned()),
        Var::LimitConnStatus => Some(facts.state.limit_conn_status.to_owned()),
        Var::SslSessionReused => {
            let tls = facts.connection.tls.as_ref();
            tls.map(|tls| if tls.resumed { "r" } else { "." }.to_owned())
        }
        Var::SslClientVerify | Var::SslClient(_) => certificates::lookup(facts.connection, var),
        _ => None,
    };
    out.push_str(&value.unwrap_or_default());
}

fn proxied(facts: &Facts<'_>) -> Option<(SocketAddr, SocketAddr)> {
    match facts.connection.proxied {
        Some(Header::Proxied { source, destination }) => Some((source, destination)),
        _ => None,
    }
}

fn part(addr: SocketAddr, port: bool) -> String {
    if port { addr.port().to_string() } else { addr.ip().to_string() }
}

/// What tells addresses apart, in digits.
fn binary(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => format!("{:08x}", u32::from(ip)),
        IpAddr::V6(ip) => format!("{:032x}", u128::from(ip)),
    }
}

fn port(proxy: &Proxy) -> &str {
    let after = proxy.host.rsplit(']').next().unwrap_or_default();
    let default = if proxy.tls.is_some() { "443" } else { "80" };
    after.rsplit_once(':').map_or(default, |(_, port)| port)
}

fn protocol(facts: &Facts<'_>) -> &'static str {
    if facts.parts.version == http::Version::HTTP_10 { "HTTP/1.0" } else { "HTTP/1.1" }
}

fn request_line(facts: &Facts<'_>) -> String {
    let mut line = format!("{} ", facts.parts.method);
    facts.lookup(&Var::RequestUri, &mut line);
    line + " " + protocol(facts)
}

/// The time, in one of nginx's forms.
pub(super) fn now(form: &Var) -> String {
    let at = Timestamp::now();
    let now = at.to_zoned_datetime(TimeZone::system());
    match form {
        Var::TimeIso8601 => now.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        Var::TimeLocal => now.strftime("%d/%b/%Y:%H:%M:%S %z").to_string(),
        _ => {
            let ms = at.as_millisecond();
            format!("{}.{:03}", ms / 1000, ms % 1000)
        }
    }
}
