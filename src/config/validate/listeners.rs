//! Listeners: which servers share a socket, and whether they agree about it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::Context;
use crate::config::diagnostic::{Diagnostic, quote};
use crate::config::model::{ListenAddr, Listener, ServerName};
use crate::config::section::Section as _;
use crate::config::source::{At, Place};
use crate::config::values::{Listen, ListenTable};

/// A server's wish to be served on an address.
pub(super) struct Claim<'a> {
    pub(super) addr: ListenAddr,
    pub(super) listen: &'a At<Listen>,
    pub(super) server: usize,
    pub(super) names: &'a [(ServerName, Place)],
    /// The server has no certificate, and takes handshakes.
    pub(super) bare: bool,
}

/// Every listener so far.
#[derive(Default)]
pub(super) struct Listeners {
    sockets: Vec<Socket>,
    /// The address of the metrics.
    reserved: Option<(ListenAddr, Place)>,
}

/// One listener, with the place of whatever was said about it first.
struct Socket {
    addr: ListenAddr,
    place: Place,
    tls: bool,
    proxy_protocol: bool,
    backlog: Option<(u32, Place)>,
    ipv6only: Option<(bool, Place)>,
    servers: Vec<usize>,
    default_server: Option<(usize, Place)>,
    bare: Vec<(usize, Place)>,
    names: BTreeMap<String, Place>,
}

impl Listeners {
    /// Takes in a server's `listen`.
    pub(super) fn claim(&mut self, cx: &mut Context<'_>, claim: &Claim<'_>) {
        if let Some(socket) = self.sockets.iter_mut().find(|s| s.addr == claim.addr) {
            socket.join(cx, claim);
            return;
        }
        let mut socket = Socket::new(claim);
        socket.join(cx, claim);
        self.sockets.push(socket);
    }

    /// Keeps an address for the metrics.
    pub(super) fn reserve(&mut self, cx: &mut Context<'_>, addr: &ListenAddr, place: &Place) {
        let taken =
            self.sockets.iter().find(|socket| overlap(addr, &socket.addr, socket.ipv6only()));
        if let Some(socket) = taken {
            cx.out.push(
                Diagnostic::error(
                    place,
                    format!("address is taken by a server: {}", quote(&addr.to_string())),
                )
                .see(&socket.place, "the server listens here")
                .help("give the metrics a port of their own"),
            );
        }
        self.reserved = Some((addr.clone(), place.clone()));
    }

    /// The listeners, once all servers have claimed theirs.
    pub(super) fn finish(self, cx: &mut Context<'_>) -> Vec<Listener> {
        for (at, socket) in self.sockets.iter().enumerate() {
            let earlier = self.sockets[..at].iter().find(|other| other.overlaps(socket));
            if let Some(other) = earlier {
                let message =
                    format!("address is already covered: {}", quote(&socket.addr.to_string()));
                cx.out.push(
                    Diagnostic::error(&socket.place, message)
                        .see(&other.place, format!("`{}` takes its connections too", other.addr))
                        .help("listen on one of them only; names tell servers apart"),
                );
            }
        }
        self.sockets.iter().for_each(|socket| socket.report_bare(cx));
        self.sockets.into_iter().map(Socket::finish).collect()
    }
}

impl Socket {
    fn new(claim: &Claim<'_>) -> Self {
        Self {
            addr: claim.addr.clone(),
            place: claim.listen.place.clone(),
            tls: claim.listen.ssl,
            proxy_protocol: claim.listen.proxy_protocol,
            backlog: None,
            ipv6only: None,
            servers: Vec::new(),
            default_server: None,
            bare: Vec::new(),
            names: BTreeMap::new(),
        }
    }

    fn join(&mut self, cx: &mut Context<'_>, claim: &Claim<'_>) {
        let listen = claim.listen;
        if self.servers.contains(&claim.server) {
            let message = format!("server listens twice on {}", quote(&self.addr.to_string()));
            let diagnostic = Diagnostic::error(&listen.place, message);
            cx.out.push(diagnostic.see(&self.place, "the first is here").help("leave one out"));
            return;
        }
        for (option, own, other) in [
            ("ssl", self.tls, listen.ssl),
            ("proxy_protocol", self.proxy_protocol, listen.proxy_protocol),
        ] {
            if own != other {
                self.report_option(cx, option, &listen.place, &self.place);
            }
        }
        if let Some(backlog) = listen.backlog {
            let first = self.backlog.get_or_insert_with(|| (backlog, listen.place.clone()));
            if first.0 != backlog {
                let place = first.1.clone();
                self.report_option(cx, "backlog", &listen.place, &place);
            }
        }
        if let Some(ipv6only) = listen.ipv6only {
            let first = self.ipv6only.get_or_insert_with(|| (ipv6only, listen.place.clone()));
            if first.0 != ipv6only {
                let place = first.1.clone();
                self.report_option(cx, "ipv6only", &listen.place, &place);
            }
        }
        self.join_default(cx, claim);
        self.join_names(cx, claim.names);
        self.servers.push(claim.server);
        if claim.bare {
            self.bare.push((claim.server, listen.place.clone()));
        }
    }

    /// Without certificates a server answers under those of the default server, as in nginx.
    fn report_bare(&self, cx: &mut Context<'_>) {
        let default = self.default_server();
        for (server, place) in self.bare.iter().filter(|_| self.tls) {
            if *server != default {
                let message =
                    "server has no certificate: that of the port's default server is shown";
                cx.warn(place, message, "write `ssl_certificate` and `ssl_certificate_key`");
                continue;
            }
            cx.error(
                place,
                "`ssl` needs a certificate: the server has no `ssl_certificate`",
                "write `ssl_certificate = \"/path/to/fullchain.pem\"` and `ssl_certificate_key = \
                 \"/path/to/key.pem\"`",
            );
        }
    }

    fn default_server(&self) -> usize {
        let first = self.servers.first().copied().unwrap_or_default();
        self.default_server.as_ref().map_or(first, |(server, _)| *server)
    }

    fn report_option(&self, cx: &mut Context<'_>, option: &str, place: &Place, first: &Place) {
        let message =
            format!("servers on {} do not agree about `{option}`", quote(&self.addr.to_string()));
        cx.out.push(
            Diagnostic::error(place, message)
                .see(first, "the first to listen there")
                .help("one socket has one set of options: write the same in every server"),
        );
    }

    fn join_default(&mut self, cx: &mut Context<'_>, claim: &Claim<'_>) {
        if !claim.listen.default_server {
            return;
        }
        let place = &claim.listen.place;
        if let Some((_, first)) = &self.default_server {
            let message = format!("two default servers on {}", quote(&self.addr.to_string()));
            cx.out.push(
                Diagnostic::error(place, message)
                    .see(first, "the first is here")
                    .help("take `default_server` out of one of them"),
            );
            return;
        }
        self.default_server = Some((claim.server, place.clone()));
    }

    /// A name that is taken on this socket is a warning, as in nginx: the first server keeps it.
    fn join_names(&mut self, cx: &mut Context<'_>, names: &[(ServerName, Place)]) {
        for (name, place) in names {
            let shown = shown(name);
            if let Some(first) = self.names.get(&shown) {
                let addr = quote(&self.addr.to_string());
                let message =
                    format!("conflicting server name {} on {addr}, ignored", quote(&shown));
                cx.out.push(
                    Diagnostic::warning(place, message)
                        .see(first, "the server that answers")
                        .help("give one of them another `server_name`, or join the two"),
                );
            } else {
                self.names.insert(shown, place.clone());
            }
        }
    }

    fn ipv6only(&self) -> bool {
        let default = || ListenTable::defaults().ipv6only.copied().unwrap_or(true);
        self.ipv6only.as_ref().map_or_else(default, |(value, _)| *value)
    }

    fn overlaps(&self, other: &Self) -> bool {
        overlap(&self.addr, &other.addr, other.ipv6only())
            || overlap(&other.addr, &self.addr, self.ipv6only())
    }

    fn finish(self) -> Listener {
        let defaults = ListenTable::defaults();
        let ipv6only = self.ipv6only();
        let default_server = self.default_server();
        Listener {
            addr: self.addr,
            tls: self.tls,
            proxy_protocol: self.proxy_protocol,
            ipv6only,
            backlog: match self.backlog {
                Some((backlog, _)) => backlog,
                None => defaults.backlog.with_default().get(),
            },
            servers: self.servers,
            default_server,
        }
    }
}

/// Whether a listener on `wide` takes connections to `addr`, so that both cannot be bound.
fn overlap(addr: &ListenAddr, wide: &ListenAddr, ipv6only: bool) -> bool {
    match (addr, wide) {
        (ListenAddr::Tcp(addr), ListenAddr::Tcp(wide)) => {
            let covers = wide.ip().is_unspecified()
                && match (addr, wide) {
                    (SocketAddr::V4(_), SocketAddr::V6(_)) => !ipv6only,
                    (SocketAddr::V6(_), SocketAddr::V4(_)) => false,
                    _ => true,
                };
            addr == wide || (covers && addr.port() == wide.port())
        }
        _ => addr == wide,
    }
}

/// A name as nginx writes it.
fn shown(name: &ServerName) -> String {
    match name {
        ServerName::Exact(name) => name.clone(),
        ServerName::Suffix(suffix) => format!("*{suffix}"),
        ServerName::Prefix(prefix) => format!("{prefix}*"),
        ServerName::Regex(pattern) => format!("~{}", pattern.regex.as_str()),
    }
}
