//! Upstreams: those that are named, and those that a `proxy_pass` address makes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use super::Context;
use crate::config::diagnostic::{Diagnostic, quote};
use crate::config::hints;
use crate::config::model::{Balance, Peer, PeerAddr, Upstream};
use crate::config::schema::{UpstreamKeys, UpstreamSection};
use crate::config::section::Section as _;
use crate::config::source::{At, Place};
use crate::config::values::{Address, Named, PeerValue};

/// Every upstream.
#[derive(Default)]
pub(super) struct Upstreams {
    /// In the order they were met.
    list: Vec<Arc<Upstream>>,
    /// Names of `[upstream.NAME]`, those with faults too.
    named: BTreeSet<String>,
    /// Names of those that an address made, those with faults too.
    implicit: BTreeSet<String>,
    /// What hosts resolved to.
    resolved: BTreeMap<(String, u16), Result<Vec<SocketAddr>, String>>,
}

impl Upstreams {
    /// Whether `[upstream.NAME]` exists.
    pub(super) fn is_named(&self, name: &str) -> bool {
        self.named.contains(name)
    }

    /// The named upstream that was probably meant.
    pub(super) fn closest(&self, name: &str) -> Option<&str> {
        hints::closest(name, self.named.iter().map(String::as_str))
    }

    /// Hands out what was gathered.
    pub(super) fn finish(&mut self) -> Vec<Arc<Upstream>> {
        std::mem::take(&mut self.list)
    }
}

/// Validates `[upstream.NAME]`.
pub(super) fn named(cx: &mut Context<'_>, sections: Option<&At<Named<UpstreamSection>>>) {
    for (name, section) in sections.into_iter().flat_map(|sections| &sections.0) {
        cx.upstreams.named.insert(name.clone());
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || !name.chars().all(fits) {
            let message = format!("upstream has a name that no URL can hold: {}", quote(name));
            cx.error(&section.name, message, "letters, digits, `-`, `_` and dots");
        }
        let UpstreamSection { keys: _, servers } = &section.value;
        let peers = match servers.get() {
            Some(servers) => servers.iter().flat_map(|peer| peers_of(cx, name, peer)).collect(),
            None => Vec::new(),
        };
        if servers.is_absent() || servers.get().is_some_and(|list| list.is_empty()) {
            let message = format!("upstream has no `servers`: {}", quote(name));
            cx.error(&section.name, message, "write `servers = [\"127.0.0.1:8888\"]`");
        }
        let peers = with_repeats_named(cx, peers);
        let upstream = build(cx, name, &section.value.keys.or(&cx.defaults.upstream), peers);
        cx.upstreams.list.push(Arc::new(upstream));
    }
}

/// The upstream of a `proxy_pass` address, and its name.
pub(super) fn implicit(cx: &mut Context<'_>, address: &Address, place: &Place) -> String {
    let address = match address {
        Address::Unix(path) => Address::Unix(place.resolve(path)),
        other => other.clone(),
    };
    let name = match &address {
        Address::Ip(addr) => addr.to_string(),
        Address::Host(host, port) => format!("{host}:{port}"),
        Address::Unix(path) => format!("unix:{}", path.display()),
    };
    if cx.upstreams.implicit.contains(&name) {
        return name;
    }
    let peer = At::new(PeerValue::plain(&name, address), place);
    let peers = peers_of(cx, &name, &peer).into_iter().map(|(peer, _)| peer).collect::<Vec<_>>();
    if peers.is_empty() {
        // reported: at each place that refers to it
        return name;
    }
    cx.upstreams.implicit.insert(name.clone());
    let keys = cx.defaults.upstream.clone();
    let upstream = build(cx, &name, &keys, peers);
    cx.upstreams.list.push(Arc::new(upstream));
    name
}

/// `keys` have to be merged with the defaults.
fn build(cx: &mut Context<'_>, name: &str, keys: &UpstreamKeys, peers: Vec<Peer>) -> Upstream {
    let UpstreamKeys {
        balance,
        hash,
        keepalive,
        keepalive_timeout,
        keepalive_requests,
        keepalive_time,
        last_resort,
    } = keys;
    let by_key = matches!(balance.with_default().value, Balance::Hash | Balance::ConsistentHash);
    let method = balance.with_default();
    match hash.get() {
        None if by_key => cx.error(
            &method.place,
            "`balance` by hash needs a `hash`",
            "write `hash = \"$arg_room\"`",
        ),
        Some(key) if !by_key => cx.error(
            &key.place,
            "`hash` does nothing without `balance = \"hash\"`",
            "write that, or take it out",
        ),
        _ => {}
    }
    let hash = hash.get().map(|key| cx.template(key));
    Upstream {
        name: name.to_owned(),
        peers,
        balance: balance.with_default().value,
        keepalive: keepalive.with_default().get(),
        keepalive_timeout: keepalive_timeout.with_default().0,
        keepalive_requests: keepalive_requests.with_default().get(),
        keepalive_time: keepalive_time.copied().map(|time| time.0),
        last_resort: last_resort.with_default().value,
        hash,
    }
}

/// The peers of one address: a host may have several.
fn peers_of(cx: &mut Context<'_>, upstream: &str, peer: &At<PeerValue>) -> Vec<(Peer, Place)> {
    let (addrs, several) = match &peer.address {
        Address::Ip(addr) => (vec![PeerAddr::Tcp(*addr)], false),
        Address::Unix(path) => (vec![PeerAddr::Unix(peer.place.resolve(path))], false),
        Address::Host(host, port) => {
            let found = resolve(cx, host, *port);
            match found {
                Ok(found) => {
                    let several = found.len() > 1;
                    (found.into_iter().map(PeerAddr::Tcp).collect(), several)
                }
                Err(error) => {
                    report_unknown_host(cx, upstream, host, &error, &peer.place);
                    (Vec::new(), false)
                }
            }
        }
    };
    let peer_at = |addr: PeerAddr| Peer {
        name: if several { addr.to_string() } else { peer.written.clone() },
        addr,
        weight: peer.weight,
        max_fails: peer.max_fails,
        fail_timeout: peer.fail_timeout,
        max_conns: peer.max_conns,
        backup: peer.backup,
        down: peer.down,
    };
    addrs.into_iter().map(|addr| (peer_at(addr), peer.place.clone())).collect()
}

/// The addresses of a host, each once; asked only once for the whole configuration.
pub(super) fn resolve(
    cx: &mut Context<'_>,
    host: &str,
    port: u16,
) -> Result<Vec<SocketAddr>, String> {
    let key = (host.to_owned(), port);
    if let Some(known) = cx.upstreams.resolved.get(&key) {
        return known.clone();
    }
    let found = cx.world.resolve(host, port).and_then(|found| {
        let mut unique = Vec::new();
        for addr in found {
            if !unique.contains(&addr) {
                unique.push(addr);
            }
        }
        if unique.is_empty() {
            return Err("it has no address".to_owned());
        }
        Ok(unique)
    });
    cx.upstreams.resolved.insert(key, found.clone());
    found
}

fn report_unknown_host(
    cx: &mut Context<'_>,
    upstream: &str,
    host: &str,
    error: &str,
    place: &Place,
) {
    let message = format!("host not found in upstream: {}: {error}", quote(host));
    let help = if cx.upstreams.is_named(upstream) {
        "write an address, or a name that this machine can look up".to_owned()
    } else {
        match cx.upstreams.closest(host) {
            Some(near) => format!("did you mean the upstream `{near}`?"),
            None => format!("define `[upstream.{host}]`, or write a host that can be looked up"),
        }
    };
    cx.error(place, message, &help);
}

/// Two peers with one address have their counts and health apart, but in metrics they are told apart by a
/// number.
fn with_repeats_named(cx: &mut Context<'_>, peers: Vec<(Peer, Place)>) -> Vec<Peer> {
    let mut named: Vec<(Peer, Place)> = Vec::new();
    for (mut peer, place) in peers {
        let same: Vec<_> = named.iter().filter(|(other, _)| other.addr == peer.addr).collect();
        if let Some((_, first)) = same.first() {
            let message = format!("peer is listed twice: {}", quote(&peer.addr.to_string()));
            cx.out.push(
                Diagnostic::warning(&place, message)
                    .see(first, "the first is here")
                    .help("for a larger share, give it a `weight`"),
            );
            peer.name = format!("{}#{}", peer.name, same.len() + 1);
        }
        named.push((peer, place));
    }
    named.into_iter().map(|(peer, _)| peer).collect()
}
