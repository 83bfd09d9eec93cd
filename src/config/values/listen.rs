//! `listen`: a port, nginx's words, or a table.

use serde_json::{Value, json};

use super::{Address, Int};
use crate::config::read::{Fault, Read, Reader, one_of};
use crate::config::section::{read_section, section};
use crate::config::source::At;
use crate::config::tree::{Kind, Node};

/// What one `listen` asks for.
#[derive(Clone, Debug)]
pub(in crate::config) struct Listen {
    pub(in crate::config) address: Address,
    pub(in crate::config) ssl: bool,
    pub(in crate::config) proxy_protocol: bool,
    pub(in crate::config) default_server: bool,
    pub(in crate::config) backlog: Option<u32>,
    pub(in crate::config) ipv6only: Option<bool>,
}

type Backlog = Int<1, 1_000_000>;

section! {
    /// Where to listen, part by part; the parts mean what nginx's words mean.
    struct ListenTable as "`listen` as a table" {
        /// `"443"`, `"host:port"`, `"[IPv6]:port"` or `"unix:/path"`.
        address: String { required(); "listen"; L }
        /// Connections start with a TLS handshake.
        ssl: bool { default(false); "ssl"; L }
        /// Connections start with a PROXY protocol header, v1 or v2; those without one are closed.
        proxy_protocol: bool { default(false); "proxy_protocol"; L }
        /// This server answers on the address when no name fits; else it is the first.
        default_server: bool { default(false); "default_server"; L }
        /// Connections that may wait to be accepted.
        backlog: Backlog { default(1024); "backlog"; L }
        /// An IPv6 wildcard takes no IPv4 connections.
        ipv6only: bool { default(true); "ipv6only"; L }
    }
}

impl Read for Listen {
    fn type_name() -> String {
        "port, string or table".to_owned()
    }

    fn read(node: &Node, cx: &mut Reader<'_>) -> Option<Self> {
        let result = match &node.kind {
            Kind::Integer(_) => address_only(node.place.text()),
            Kind::Text { value, .. } => words(value),
            Kind::Table(_) => return table(node, cx),
            other => {
                Err(Fault::new("needs a port, such as `443`, or a string, such as `\"443 ssl\"`")
                    .cause(format!("found {}", other.name())))
            }
        };
        cx.check(node, result)
    }

    fn schema() -> Value {
        json!({ "anyOf": [
            { "type": "integer", "minimum": 1, "maximum": 65535 },
            { "type": "string" },
            ListenTable::schema(),
        ] })
    }
}

fn address_only(text: &str) -> Result<Listen, Fault> {
    let address = if text.bytes().all(|b| b.is_ascii_digit() || b == b'_') {
        Address::parse(&format!("*:{}", text.replace('_', "")), 80)
    } else {
        Address::parse(text, 80)
    };
    Ok(Listen {
        address: address?,
        ssl: false,
        proxy_protocol: false,
        default_server: false,
        backlog: None,
        ipv6only: None,
    })
}

/// nginx's words: `443 ssl default_server`.
fn words(text: &str) -> Result<Listen, Fault> {
    let mut words = text.split_whitespace();
    let address = words.next().unwrap_or_default();
    let mut listen = address_only(address).map_err(|fault| fault.word(text, address))?;
    for word in words {
        option(&mut listen, word).map_err(|fault| fault.word(text, word))?;
    }
    Ok(listen)
}

fn option(listen: &mut Listen, word: &str) -> Result<(), Fault> {
    match word.split_once('=') {
        Some(("backlog", value)) => listen.backlog = Some(Backlog::parse(value)?.get()),
        Some(("ipv6only", value)) => {
            listen.ipv6only = Some(one_of(value, &[("on", true), ("off", false)])?);
        }
        _ => match word {
            "ssl" => listen.ssl = true,
            "proxy_protocol" => listen.proxy_protocol = true,
            "default_server" | "default" => listen.default_server = true,
            _ => return Err(unknown_option(word)),
        },
    }
    Ok(())
}

fn unknown_option(word: &str) -> Fault {
    let name = word.split('=').next().unwrap_or(word);
    let help = match name {
        "http2" | "quic" => "not supported yet: listeners speak HTTP/1.1".to_owned(),
        "reuseport" | "deferred" | "bind" | "so_keepalive" | "fastopen" | "rcvbuf" | "sndbuf"
        | "setfib" | "accept_filter" | "multipath" => {
            "leave it out: there is one process, and it needs no such tuning".to_owned()
        }
        _ if word.parse::<u16>().is_ok() || word.contains(':') => {
            "several addresses are a list: `listen = [\"80\", \"443 ssl\"]`".to_owned()
        }
        _ => {
            let known = ["ssl", "proxy_protocol", "default_server", "backlog", "ipv6only"];
            match crate::config::hints::closest(name, known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the options are {}", known.map(|k| format!("`{k}`")).join(", ")),
            }
        }
    };
    Fault::new("has an unknown option").help(help)
}

fn table(node: &Node, cx: &mut Reader<'_>) -> Option<Listen> {
    let table: ListenTable = read_section(node, cx)?;
    let ListenTable { address, ssl, proxy_protocol, default_server, backlog, ipv6only } = &table;
    let Some(At { value, place }) = address.get() else {
        if address.is_absent() {
            let fault = Fault::new("needs an `address`").cause("the table has none");
            cx.fault(node, fault.help("write `{ address = \"443\", ssl = true }`"));
        }
        return None;
    };
    let at =
        Node { kind: Kind::Text { value: value.clone(), substituted: true }, place: place.clone() };
    let plain = cx.with_key("address", |cx| cx.check(&at, address_only(value)))?;
    Some(Listen {
        ssl: ssl.copied().unwrap_or(false),
        proxy_protocol: proxy_protocol.copied().unwrap_or(false),
        default_server: default_server.copied().unwrap_or(false),
        backlog: backlog.copied().map(Backlog::get),
        ipv6only: ipv6only.copied(),
        ..plain
    })
}
