//! Sets of clients: `all`, an address, a range, `unix:`.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Value, json};

use crate::config::diagnostic::{Diagnostic, quote};
use crate::config::model::Who;
use crate::config::read::{Fault, FromText, Read, Reader};
use crate::config::tree::{Kind, Node};

/// An address or range of addresses, or `all`.
#[derive(Clone, Debug)]
pub(in crate::config) struct Cidr(pub(in crate::config) Who);

impl Read for Cidr {
    fn type_name() -> String {
        "address, range, \"unix:\" or \"all\"".to_owned()
    }

    fn read(node: &Node, cx: &mut Reader<'_>) -> Option<Self> {
        let text = cx.text(node, "an address or range such as `\"10.0.0.0/8\"`")?;
        let parsed = Who::from_text(text);
        let who = cx.check(node, parsed)?;
        if let Who::Net(net) = &who
            && net.network() != net.addr()
        {
            let message = format!("low address bits of {} mean nothing", quote(text));
            let help = format!("write `\"{}\"`", net.trunc());
            cx.out.push(Diagnostic::warning(&node.place, message).help(help));
            return Some(Self(Who::Net(net.trunc())));
        }
        Some(Self(who))
    }

    fn schema() -> Value {
        json!({ "type": "string" })
    }
}

/// A proxy that is believed: an address or range, or whatever a name stands for.
#[derive(Clone, Debug)]
pub(in crate::config) enum Sender {
    Of(Who),
    Named(String),
}

impl Read for Sender {
    fn type_name() -> String {
        "address, range, host name, \"unix:\" or \"all\"".to_owned()
    }

    fn read(node: &Node, cx: &mut Reader<'_>) -> Option<Self> {
        if let Kind::Text { value, .. } = &node.kind
            && Who::from_text(value).is_err()
            && is_name(value)
        {
            return Some(Self::Named(value.clone()));
        }
        Cidr::read(node, cx).map(|cidr| Self::Of(cidr.0))
    }

    fn schema() -> Value {
        json!({ "type": "string" })
    }
}

/// Whether it can be a host name: not one of digits alone, which is a broken address.
fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    text.split('.').all(is_label) && text.bytes().any(|b| b.is_ascii_alphabetic())
}

impl FromText for Who {
    const TYPE: &'static str = "address or range";

    fn from_text(text: &str) -> Result<Self, Fault> {
        match text {
            "all" => return Ok(Self::All),
            "unix:" => return Ok(Self::Unix),
            _ => {}
        }
        if let Ok(net) = text.parse::<IpNet>() {
            return Ok(Self::Net(net));
        }
        let ip: IpAddr = text.trim_matches(['[', ']']).parse().map_err(|_| {
            Fault::new("needs an address or range").help(
                "write such as `\"10.0.0.0/8\"`, `\"192.0.2.7\"`, `\"fd00::/8\"` or `\"all\"`",
            )
        })?;
        Ok(Self::Net(IpNet::from(ip)))
    }
}
