//! `geo`: a variable that an address decides.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ipnet::IpNet;

use super::access::forwarded_addr;
use crate::config::template::Template;

/// What nginx looks up for whatever is no IP address.
const NO_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::BROADCAST);

/// `geo`
#[derive(Clone, Debug)]
pub struct Geo {
    /// The address that is looked up.
    pub source: Template,
    /// The variable's name, without `$`.
    pub variable: String,
    /// Whose `X-Forwarded-For` is believed.
    pub proxies: Vec<IpNet>,
    /// Believed addresses of that list are skipped too.
    pub recursive: bool,
    /// Results of IPv4 addresses.
    pub v4: Stretches,
    /// Results of IPv6 addresses; those that stand for an IPv4 address are looked up as that.
    pub v6: Stretches,
    /// When nothing fits.
    pub default: String,
}

impl Geo {
    /// The result for `source`, behind which `forwarded` tells `X-Forwarded-For`.
    pub fn find(&self, source: &str, forwarded: impl FnOnce() -> String) -> &str {
        let addr = match source.parse() {
            Ok(addr) if self.believes(addr) => self.behind(addr, &forwarded()),
            Ok(addr) => addr,
            Err(_) => NO_ADDRESS,
        };
        let addr = addr.to_canonical();
        let stretches = if addr.is_ipv4() { &self.v4 } else { &self.v6 };
        stretches.find(number(addr)).unwrap_or(&self.default)
    }

    fn believes(&self, addr: IpAddr) -> bool {
        self.proxies.iter().any(|net| net.contains(&addr.to_canonical()))
    }

    /// From the right of the list, the first address that is not believed; without `recursive`
    /// simply the last. What is no address ends the list.
    fn behind(&self, sender: IpAddr, list: &str) -> IpAddr {
        let mut client = sender;
        for entry in list.rsplit(',') {
            let Some(addr) = forwarded_addr(entry.trim()) else {
                return client;
            };
            client = addr.ip();
            if !self.recursive || !self.believes(client) {
                return client;
            }
        }
        client
    }
}

/// Stretches of addresses in a row, each up to the next: nested networks are laid flat when the
/// configuration is read, so that a request costs one binary search however many there are.
/// Invariant: sorted by where they begin.
#[derive(Clone, Debug, Default)]
pub struct Stretches(pub Vec<(u128, Option<Arc<str>>)>);

impl Stretches {
    fn find(&self, addr: u128) -> Option<&str> {
        let behind = self.0.partition_point(|(first, _)| *first <= addr);
        self.0[..behind].last().and_then(|(_, result)| result.as_deref())
    }
}

/// An address as a number, for those of one family.
pub fn number(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(ip) => u32::from(ip).into(),
        IpAddr::V6(ip) => ip.into(),
    }
}
