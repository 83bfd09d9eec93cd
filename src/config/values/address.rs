//! Addresses: `host:port`, `[::1]:port`, `unix:/path`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::config::read::{Fault, FromText};

const NO_RANGES: &str = "ranges of ports are not supported: list the ports one by one";

/// An address as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) enum Address {
    /// An IP address and port.
    Ip(SocketAddr),
    /// A name that has to be resolved, and the port.
    Host(String, u16),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl Address {
    /// Parses an address; without a port it gets `port`.
    pub(in crate::config) fn parse(text: &str, port: u16) -> Result<Self, Fault> {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix(path);
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            let rest = rest.split('/').next().unwrap_or_default();
            return Err(Fault::new("needs an address without a scheme")
                .help(format!("write `\"{rest}\"`; `{scheme}://` stands in `proxy_pass`")));
        }
        if text.parse::<Ipv6Addr>().is_ok() {
            return Err(Fault::new("needs brackets around an IPv6 address")
                .help(format!("write `\"[{text}]:{port}\"`")));
        }
        if let Some((bracketed, rest)) = text.strip_prefix('[').and_then(|t| t.split_once(']')) {
            let ip: Ipv6Addr =
                bracketed.parse().map_err(|_| Fault::new("has no valid IPv6 address"))?;
            let port = match rest.strip_prefix(':') {
                Some(digits) => parse_port(digits)?,
                None if rest.is_empty() => port,
                None => return Err(Fault::new("has something behind the address")),
            };
            return Ok(Self::Ip(SocketAddr::new(IpAddr::V6(ip), port)));
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, digits)) => (host, parse_port(digits)?),
            None => (text, port),
        };
        Self::host(host, port)
    }

    fn host(host: &str, port: u16) -> Result<Self, Fault> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(Self::Ip(SocketAddr::new(ip, port)));
        }
        if host == "*" {
            return Ok(Self::Ip(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port)));
        }
        let numeric = host.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-'));
        if numeric && host.contains('-') {
            return Err(Fault::new("has no valid address").help(NO_RANGES));
        }
        if numeric || !is_host_name(host) {
            return Err(Fault::new("has no valid address")
                .help("write `\"host:port\"`, `\"[IPv6]:port\"` or `\"unix:/path\"`"));
        }
        Ok(Self::Host(host.to_ascii_lowercase(), port))
    }
}

fn unix(path: &str) -> Result<Address, Fault> {
    /// `sun_path`, less its NUL.
    const LONGEST: usize = 107;
    if path.is_empty() || path.contains('\0') {
        return Err(
            Fault::new("needs a path behind `unix:`").help("write `\"unix:/run/name.sock\"`")
        );
    }
    if path.len() > LONGEST {
        return Err(Fault::new("has a path longer than the 107 bytes a Unix socket may have"));
    }
    Ok(Address::Unix(PathBuf::from(path)))
}

fn parse_port(digits: &str) -> Result<u16, Fault> {
    let number = digits.parse::<u16>().ok().filter(|port| *port > 0);
    let plain = digits.bytes().all(|b| b.is_ascii_digit());
    number.filter(|_| plain).ok_or_else(|| {
        let fault = Fault::new("needs a port from 1 to 65535");
        if digits.contains('-') { fault.help(NO_RANGES) } else { fault }
    })
}

/// Whether `host` can be looked up: letters, digits, `-`, `_` and dots.
fn is_host_name(host: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    !host.is_empty() && host.len() <= 253 && host.bytes().all(fits) && !host.contains("..")
}

/// An address on its own, as in `[metrics]`.
impl FromText for Address {
    const TYPE: &'static str = "address";
    const NEEDS: &'static str = "an address such as `\"127.0.0.1:9145\"`";

    fn from_text(text: &str) -> Result<Self, Fault> {
        if !text.starts_with("unix:") && !text.trim_start_matches('[').contains(':') {
            return Err(Fault::new("needs an address with a port")
                .help("write `\"host:port\"` or `\"unix:/path\"`"));
        }
        Self::parse(text, 0)
    }

    fn from_number(number: &str) -> Result<Self, Fault> {
        Err(Fault::new("needs an address with a port")
            .help(format!("write `\"127.0.0.1:{number}\"`")))
    }

    fn schema() -> Value {
        json!({ "type": "string" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_read() {
        let ip = |text: &str| Address::Ip(text.parse().unwrap());
        for (text, address) in [
            ("127.0.0.1:8888", ip("127.0.0.1:8888")),
            ("127.0.0.1", ip("127.0.0.1:80")),
            ("*:81", ip("0.0.0.0:81")),
            ("[::1]:81", ip("[::1]:81")),
            ("[::]", ip("[::]:80")),
            ("Backend.local:1", Address::Host("backend.local".into(), 1)),
            ("unix:/run/a.sock", Address::Unix("/run/a.sock".into())),
        ] {
            assert_eq!(Address::parse(text, 80).ok(), Some(address), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            ":80",
            "a b:80",
            "host:0",
            "host:65536",
            "host:+80",
            "host:",
            "::1",
            "[::1",
            "[x]:1",
            "[::1]80",
            "1.2.3:80",
            "unix:",
            "http://a:1",
            "a..b",
            "127.0.0.1:8000-8010",
            "999.1.1.1:1",
        ] {
            assert!(Address::parse(text, 80).is_err(), "{text}");
        }
    }
}
