//! `proxy_pass` with variables: where a request goes is found when it comes. A named upstream is that;
//! anything else is an address, which is looked up by the system and remembered for a while.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::generation::RouteUpstream;
use super::respond::Refused;
use crate::config::model::{self, Balance, PeerAddr, Proxy};
use crate::config::url;
use crate::metrics::TunnelSeries;
use crate::relay::RouteKey;
use crate::upstream::{ConnectOptions, Registry, Upstream};

/// Addresses that are remembered; beyond it all are forgotten.
const REMEMBERED: usize = 1024;
/// How long what a name stands for is believed.
const BELIEVED: Duration = Duration::from_secs(30);
/// What peers are called in metrics: their addresses may be anybody's choice.
const LABEL: &str = "variable";

/// Where the requests of one location may go.
pub(super) struct Targets {
    pub(super) named: Arc<HashMap<String, Arc<Upstream>>>,
    pub(super) registry: Arc<Registry>,
    pub(super) key: RouteKey,
    pub(super) tunnels: Arc<TunnelSeries>,
    pub(super) made: Mutex<HashMap<String, (Arc<RouteUpstream>, Instant)>>,
}

impl fmt::Debug for Targets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Targets").finish_non_exhaustive()
    }
}

/// A URL, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Url<'u> {
    /// `host:port` or `unix:/path`
    pub(super) authority: &'u str,
    /// The path and what follows it.
    pub(super) uri: Option<&'u str>,
}

/// Takes an `http://` URL apart.
pub(super) fn parse(text: &str) -> Option<Url<'_>> {
    let rest = text.strip_prefix("http://")?;
    let (authority, uri) = url::split(rest);
    (!authority.is_empty()).then_some(Url { authority, uri })
}

impl Targets {
    /// The upstream of an authority.
    pub(super) async fn find(
        &self,
        authority: &str,
        proxy: &Proxy,
    ) -> Result<Arc<RouteUpstream>, Refused> {
        if let Some(upstream) = self.remembered(authority) {
            return Ok(upstream);
        }
        let upstream = match self.named.get(authority) {
            Some(upstream) => Arc::clone(upstream),
            None => self.registry.upstream(&group(addresses(authority).await?)),
        };
        let upstream = Arc::new(RouteUpstream {
            key: self.key.clone(),
            name: upstream.name().into(),
            connect: ConnectOptions {
                timeout: proxy.connect_timeout,
                bind: proxy.bind.clone(),
                next_bind: AtomicUsize::new(0),
                tls: None,
            },
            pool_key: 0,
            tunnels: Arc::clone(&self.tunnels),
            upstream,
        });
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.len() >= REMEMBERED {
            made.clear();
        }
        made.insert(authority.to_owned(), (Arc::clone(&upstream), Instant::now()));
        Ok(upstream)
    }

    fn remembered(&self, authority: &str) -> Option<Arc<RouteUpstream>> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let (upstream, at) = made.get(authority)?;
        (at.elapsed() < BELIEVED).then(|| Arc::clone(upstream))
    }
}

/// What an authority stands for.
async fn addresses(authority: &str) -> Result<Vec<PeerAddr>, Refused> {
    if let Some(path) = authority.strip_prefix("unix:") {
        return Ok(vec![PeerAddr::Unix(PathBuf::from(path))]);
    }
    if let Ok(addr) = authority.parse::<SocketAddr>() {
        return Ok(vec![PeerAddr::Tcp(addr)]);
    }
    let bare = authority.trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(vec![PeerAddr::Tcp(SocketAddr::new(ip, 80))]);
    }
    let with_port =
        if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
    let found: Vec<_> = match tokio::net::lookup_host(&with_port).await {
        Ok(found) => found.map(PeerAddr::Tcp).collect(),
        Err(error) => {
            tracing::error!("host not found in upstream \"{authority}\": {error}");
            return Err(Refused::BadGateway);
        }
    };
    if found.is_empty() { Err(Refused::BadGateway) } else { Ok(found) }
}

fn group(addrs: Vec<PeerAddr>) -> model::Upstream {
    let peer = |addr| model::Peer {
        name: LABEL.to_owned(),
        addr,
        weight: 1,
        max_fails: 1,
        fail_timeout: Duration::from_secs(10),
        max_conns: None,
        backup: false,
        down: false,
    };
    model::Upstream {
        name: LABEL.to_owned(),
        peers: addrs.into_iter().map(peer).collect(),
        balance: Balance::RoundRobin,
        keepalive: 0,
        keepalive_timeout: Duration::ZERO,
        keepalive_requests: 1,
        keepalive_time: None,
        last_resort: true,
        hash: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let url = |authority, uri| Some(Url { authority, uri });
        assert_eq!(parse("http://a:1"), url("a:1", None));
        assert_eq!(parse("http://a/b?c"), url("a", Some("/b?c")));
        assert_eq!(parse("http://unix:/s:/b"), url("unix:/s", Some("/b")));
        assert_eq!(parse("http://unix:/s"), url("unix:/s", None));
        for bad in ["", "http://", "http:/a", "https://a", "a"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
