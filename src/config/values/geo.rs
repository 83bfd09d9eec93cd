//! `values` of a `geo`: results by network or by range of addresses.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Value, json};

use crate::config::diagnostic::{Diagnostic, quote};
use crate::config::read::{Fault, Read, Reader};
use crate::config::source::At;
use crate::config::tree::{Key, Kind, Node};

/// Addresses of one family, from the first to the last.
/// Invariant: the last is not below the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) struct AddrRange {
    pub(in crate::config) first: IpAddr,
    pub(in crate::config) last: IpAddr,
}

impl AddrRange {
    /// `FIRST-LAST`
    pub(in crate::config) fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-')?;
        let (first, last): (IpAddr, IpAddr) = (first.parse().ok()?, last.parse().ok()?);
        (first.is_ipv4() == last.is_ipv4() && first <= last).then_some(Self { first, last })
    }
}

impl From<IpNet> for AddrRange {
    fn from(net: IpNet) -> Self {
        Self { first: net.network(), last: net.broadcast() }
    }
}

/// An address, or one with a prefix.
pub(in crate::config) fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// Results in the order written.
#[derive(Clone, Debug)]
pub(in crate::config) struct GeoValues(pub(in crate::config) Vec<(At<AddrRange>, At<String>)>);

impl Read for GeoValues {
    fn type_name() -> String {
        "table of network = result".to_owned()
    }

    fn read(node: &Node, cx: &mut Reader<'_>) -> Option<Self> {
        let Kind::Table(table) = &node.kind else {
            cx.wrong_type(node, "a table such as `{ \"10.0.0.0/8\" = \"inside\" }`");
            return None;
        };
        let mut values = Vec::new();
        for (key, value) in &table.entries {
            let result = cx.with_key(&key.name, |cx| cx.text(value, "a string").map(str::to_owned));
            if let (Some(range), Some(text)) = (read_key(key, cx), result) {
                values.push((At::new(range, &key.place), At::new(text, &value.place)));
            }
        }
        Some(Self(values))
    }

    fn schema() -> Value {
        json!({ "type": "object", "additionalProperties": { "type": "string" } })
    }
}

fn read_key(key: &Key, cx: &mut Reader<'_>) -> Option<AddrRange> {
    if let Some(net) = network(&key.name) {
        if net.network() != net.addr() {
            let message = format!("low address bits of {} mean nothing", quote(&key.name));
            let help = format!("write `\"{}\"`", net.trunc());
            cx.out.push(Diagnostic::warning(&key.place, message).help(help));
        }
        return Some(net.into());
    }
    let range = AddrRange::parse(&key.name);
    if range.is_none() {
        let fault = Fault::new("needs networks or ranges").cause(quote(&key.name));
        let node = Node {
            kind: Kind::Text { value: key.name.clone(), substituted: true },
            place: key.place.clone(),
        };
        cx.fault(&node, fault.help(help_for(&key.name)));
    }
    range
}

fn help_for(name: &str) -> &'static str {
    match name {
        "default" => "write `default = \"…\"` beside `values`",
        "proxy" => "write `proxy = [\"…\"]` beside `values`",
        "proxy_recursive" => "write `proxy_recursive = true` beside `values`",
        "ranges" => "leave it out: networks and ranges may stand side by side",
        "include" | "delete" => "a table has neither: write the networks that are left",
        _ => "write such as `\"10.0.0.0/8\"`, `\"fd00::/8\"` or `\"10.0.0.1-10.0.0.9\"`",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_have_one_family_and_go_up() {
        for text in ["10.0.0.1-10.0.0.9", "::1-::ff", "0.0.0.0-255.255.255.255"] {
            assert!(AddrRange::parse(text).is_some(), "{text}");
        }
        for text in ["10.0.0.9-10.0.0.1", "10.0.0.1-::1", "10.0.0.1", "-", "10.0.0.1-10.0.0.256"] {
            assert!(AddrRange::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_network_is_the_range_from_its_first_address_to_its_last() {
        for (text, range) in [
            ("10.1.2.3/8", "10.0.0.0-10.255.255.255"),
            ("192.0.2.7", "192.0.2.7-192.0.2.7"),
            ("2001:db8::/32", "2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
        ] {
            let net = network(text).unwrap();
            assert_eq!(Some(AddrRange::from(net)), AddrRange::parse(range), "{text}");
        }
        for text in ["10.0.0.0/33", "10.0.0/8", "all", "", "a"] {
            assert!(network(text).is_none(), "{text}");
        }
    }
}
