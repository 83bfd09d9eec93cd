//! Who the client is: the other end of the socket, or whom a trusted sender names (nginx's realip).
//! Pure.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use http::HeaderMap;
use tokio::time::Instant;

use crate::config::model::{AccessRule, ListenAddr, RealIp, RealIpHeader, Who, forwarded_addr};
use crate::net::ClientAddr;
use crate::net::proxy_protocol::Header;
use crate::net::tls::{ClientAuth, TlsInfo, Verdict};

/// What is known of a connection before its first request.
#[derive(Debug)]
pub(super) struct Connection {
    /// The other end of the socket.
    pub(super) socket: ClientAddr,
    /// Its number.
    pub(super) serial: u64,
    /// Since when it is there.
    pub(super) since: Instant,
    /// Our end.
    pub(super) local: ListenAddr,
    /// What a PROXY protocol header said.
    pub(super) proxied: Option<Header>,
    /// What TLS settled on.
    pub(super) tls: Option<TlsInfo>,
    /// What became of the client's certificate, and by whose authorities.
    pub(super) verdict: Mutex<Option<(Arc<ClientAuth>, Verdict)>>,
}

/// The addresses of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Client {
    /// The client: `$remote_addr`.
    pub(super) addr: ClientAddr,
    /// Who sent the request to us: the client itself, or the last proxy before us.
    pub(super) sender: ClientAddr,
    /// The sender may speak for others: its `X-Forwarded-*` fields count.
    pub(super) trusted: bool,
}

impl Client {
    /// By `set_real_ip_from`, `real_ip_header` and `real_ip_recursive`. A listener with
    /// `proxy_protocol` believes its senders unless `set_real_ip_from` names others.
    pub(super) fn of(connection: &Connection, headers: &HeaderMap, config: &RealIp) -> Self {
        let by_default = config.from.is_empty() && config.proxied_is_client;
        let believed = by_default
            || (config.proxied_is_client || config.header == RealIpHeader::ProxyProtocol)
                && is_among(connection.socket, &config.from);
        let sender = match connection.proxied {
            Some(Header::Proxied { source, .. }) if believed => ClientAddr::from_ip(source),
            _ => connection.socket,
        };
        let trusted = is_among(sender, &config.from);
        let addr = match &config.header {
            RealIpHeader::Field(name) if trusted => {
                let values: Vec<&str> =
                    headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
                named(sender, &values, config)
            }
            _ => sender,
        };
        Self { addr, sender, trusted }
    }

    /// `$remote_addr`
    pub(super) fn text(&self) -> String {
        text(self.addr)
    }

    /// By `allow` and `deny`: the first that fits decides.
    pub(super) fn allowed(&self, rules: &[AccessRule]) -> Option<bool> {
        let fits = |rule: &&AccessRule| is_among(self.addr, std::slice::from_ref(&rule.who));
        rules.iter().find(fits).map(|rule| rule.allow)
    }
}

/// An address as nginx writes it.
pub(super) fn text(addr: ClientAddr) -> String {
    match addr.ip() {
        None => "unix:".to_owned(),
        Some(IpAddr::V4(ip)) => dotted(ip.octets()),
        Some(ip) => ip.to_string(),
    }
}

/// `192.0.2.1`: written for every request, several times, in a tenth of the time `fmt` takes.
fn dotted(octets: [u8; 4]) -> String {
    let mut text = String::with_capacity(15);
    for octet in octets {
        if !text.is_empty() {
            text.push('.');
        }
        for unit in [100, 10, 1] {
            if octet >= unit || unit == 1 {
                text.push(char::from(b'0' + octet / unit % 10));
            }
        }
    }
    text
}

/// From the right of the list, the first address that is not believed itself; without `recursive`
/// simply the last.
fn named(sender: ClientAddr, values: &[&str], config: &RealIp) -> ClientAddr {
    let mut client = sender;
    for entry in values.iter().rev().flat_map(|value| value.rsplit(',')) {
        let Some(addr) = forwarded_addr(entry.trim()) else {
            return client;
        };
        client = ClientAddr::from_ip(addr);
        if !config.recursive || !is_among(client, &config.from) {
            return client;
        }
    }
    client
}

fn is_among(addr: ClientAddr, set: &[Who]) -> bool {
    set.iter().any(|who| match who {
        Who::All => true,
        Who::Unix => addr == ClientAddr::Unix,
        Who::Net(net) => addr.ip().is_some_and(|ip| net.contains(&ip)),
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn connection(proxied: Option<Header>) -> Connection {
        Connection {
            socket: ClientAddr::Ip("10.0.0.1:5000".parse().unwrap()),
            serial: 1,
            since: Instant::now(),
            local: ListenAddr::Tcp("10.0.0.9:80".parse().unwrap()),
            proxied,
            tls: None,
            verdict: Mutex::default(),
        }
    }

    fn config(from: &[&str], recursive: bool) -> RealIp {
        RealIp {
            from: from.iter().map(|net| Who::Net(net.parse().unwrap())).collect(),
            header: RealIpHeader::Field("x-forwarded-for".parse().unwrap()),
            recursive,
            proxied_is_client: true,
        }
    }

    fn client(from: &[&str], recursive: bool, fields: &[&'static str]) -> (String, bool) {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append("x-forwarded-for", HeaderValue::from_static(field));
        }
        let client = Client::of(&connection(None), &headers, &config(from, recursive));
        (client.text(), client.trusted)
    }

    #[test]
    fn addresses_are_written_in_full() {
        for octet in 0..=255 {
            let ip = std::net::Ipv4Addr::new(octet, 0, 10, 255 - octet);
            assert_eq!(dotted(ip.octets()), ip.to_string());
        }
    }

    #[test]
    fn only_trusted_senders_are_believed() {
        assert_eq!(client(&[], true, &["1.1.1.1"]), ("10.0.0.1".to_owned(), false));
        assert_eq!(client(&["10.9.0.0/16"], true, &["1.1.1.1"]), ("10.0.0.1".to_owned(), false));
        assert_eq!(client(&["10.0.0.0/24"], true, &["1.1.1.1"]), ("1.1.1.1".to_owned(), true));
    }

    #[test]
    fn the_last_address_that_is_not_our_own_is_the_client() {
        let fields = &["6.6.6.6, 1.1.1.1", "10.0.0.7"];
        assert_eq!(client(&["10.0.0.0/24"], true, fields).0, "1.1.1.1");
        assert_eq!(client(&["10.0.0.0/24"], false, fields).0, "10.0.0.7");
        assert_eq!(client(&["10.0.0.0/24"], true, &["6.6.6.6, junk, 10.0.0.7"]).0, "10.0.0.7");
        assert_eq!(client(&["10.0.0.0/24"], true, &["[2001:db8::1]:99"]).0, "2001:db8::1");
        assert_eq!(client(&["10.0.0.0/24"], true, &[]).0, "10.0.0.1");
    }

    #[test]
    fn a_proxy_protocol_header_names_the_sender() {
        let proxied = Header::Proxied {
            source: "192.0.2.1:1".parse().unwrap(),
            destination: "192.0.2.2:2".parse().unwrap(),
        };
        let of = |from: &[&str]| {
            Client::of(&connection(Some(proxied)), &HeaderMap::new(), &config(from, true)).text()
        };
        assert_eq!(of(&[]), "192.0.2.1");
        assert_eq!(of(&["10.0.0.0/24"]), "192.0.2.1");
        assert_eq!(of(&["10.9.0.0/24"]), "10.0.0.1", "a stranger's header says nothing");
    }

    #[test]
    fn nginx_takes_a_client_from_it_where_it_is_told_to() {
        let proxied = Header::Proxied {
            source: "192.0.2.1:1".parse().unwrap(),
            destination: "192.0.2.2:2".parse().unwrap(),
        };
        let of = |from: &[&str], header| {
            let config = RealIp { header, proxied_is_client: false, ..config(from, true) };
            Client::of(&connection(Some(proxied)), &HeaderMap::new(), &config).text()
        };
        let field = || RealIpHeader::Field("x-real-ip".parse().unwrap());
        assert_eq!(of(&[], field()), "10.0.0.1");
        assert_eq!(of(&["10.0.0.0/24"], field()), "10.0.0.1");
        assert_eq!(of(&[], RealIpHeader::ProxyProtocol), "10.0.0.1");
        assert_eq!(of(&["10.0.0.0/24"], RealIpHeader::ProxyProtocol), "192.0.2.1");
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let rule = |allow, who| AccessRule { allow, who };
        let net = |net: &str| Who::Net(net.parse().unwrap());
        let client = Client::of(&connection(None), &HeaderMap::new(), &config(&[], true));
        assert_ne!(client.allowed(&[]), Some(false));
        assert_ne!(
            client.allowed(&[rule(true, net("10.0.0.0/8")), rule(false, Who::All)]),
            Some(false)
        );
        assert_eq!(
            client.allowed(&[rule(false, net("10.0.0.1/32")), rule(true, Who::All)]),
            Some(false)
        );
        assert_eq!(client.allowed(&[rule(true, Who::Unix), rule(false, Who::All)]), Some(false));
    }
}
