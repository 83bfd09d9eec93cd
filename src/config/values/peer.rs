//! `servers` of an upstream: nginx's words, or a table.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Address, Int, Time};
use crate::config::hints;
use crate::config::read::{Fault, FromText as _, Read, Reader};
use crate::config::section::{Section, read_section, section};
use crate::config::source::At;
use crate::config::tree::{Kind, Node};

/// nginx's port of an upstream's server that names none.
const DEFAULT_PORT: u16 = 80;

/// What one of `servers` says.
#[derive(Clone, Debug)]
pub(in crate::config) struct PeerValue {
    /// As written.
    pub(in crate::config) written: String,
    pub(in crate::config) address: Address,
    pub(in crate::config) weight: u32,
    pub(in crate::config) max_fails: u32,
    pub(in crate::config) fail_timeout: Duration,
    pub(in crate::config) max_conns: Option<usize>,
    pub(in crate::config) backup: bool,
    pub(in crate::config) down: bool,
}

type Weight = Int<1, 65535>;
type MaxFails = Int<0, 1_000_000>;
type MaxConns = Int<0, { i64::MAX }>;

section! {
    /// One of an upstream's `servers` as a table; as a string, nginx's words work too:
    /// `"127.0.0.3:8888 weight=2 backup"`.
    struct PeerTable as "`servers` as a table" {
        /// `"host:port"`, `"[IPv6]:port"` or `"unix:/path"`; a host with several addresses becomes
        /// several peers.
        address: String { required(); "server"; A }
        /// Its share, compared to the others'.
        weight: Weight { default(1); "weight"; A }
        /// Failures within `fail_timeout` that make it unavailable; 0 never does.
        max_fails: MaxFails { default(1); "max_fails"; A }
        /// See `max_fails`; also how long it then stays unavailable.
        fail_timeout: Time { default("10s"); "fail_timeout"; A }
        /// Active tunnels and requests at most; 0 is no limit.
        max_conns: MaxConns { default(0); "max_conns"; A }
        /// Picked only when no other peer is left.
        backup: bool { default(false); "backup"; A }
        /// Never picked.
        down: bool { default(false); "down"; A }
    }
}

impl PeerValue {
    /// A peer at `address` with every default.
    pub(in crate::config) fn plain(written: &str, address: Address) -> Self {
        Self::from_table(written.to_owned(), address, &PeerTable::defaults())
    }

    /// `table` has to be merged with the defaults.
    fn from_table(written: String, address: Address, table: &PeerTable) -> Self {
        let PeerTable { address: _, weight, max_fails, fail_timeout, max_conns, backup, down } =
            table;
        let max_conns: usize = max_conns.with_default().get();
        Self {
            written,
            address,
            weight: weight.with_default().get(),
            max_fails: max_fails.with_default().get(),
            fail_timeout: fail_timeout.with_default().0,
            max_conns: (max_conns > 0).then_some(max_conns),
            backup: backup.with_default().value,
            down: down.with_default().value,
        }
    }

    /// nginx's words: `127.0.0.3:8888 weight=2 backup`.
    fn words(text: &str) -> Result<Self, Fault> {
        let mut words = text.split_whitespace();
        let written = words.next().unwrap_or_default();
        let address =
            Address::parse(written, DEFAULT_PORT).map_err(|fault| fault.word(text, written))?;
        let mut peer = Self::plain(written, address);
        for word in words {
            peer.option(word).map_err(|fault| fault.word(text, word))?;
        }
        Ok(peer)
    }

    fn option(&mut self, word: &str) -> Result<(), Fault> {
        match word.split_once('=') {
            Some(("weight", value)) => self.weight = Weight::parse(value)?.get(),
            Some(("max_fails", value)) => self.max_fails = MaxFails::parse(value)?.get(),
            Some(("fail_timeout", value)) => self.fail_timeout = nginx_time(value)?,
            Some(("max_conns", value)) => {
                let max: usize = MaxConns::parse(value)?.get();
                self.max_conns = (max > 0).then_some(max);
            }
            _ => match word {
                "backup" => self.backup = true,
                "down" => self.down = true,
                _ => return Err(unknown_option(word)),
            },
        }
        Ok(())
    }
}

/// In nginx's own words a time without a unit is in seconds.
fn nginx_time(text: &str) -> Result<Duration, Fault> {
    match text.parse::<u32>() {
        Ok(seconds) => Ok(Duration::from_secs(u64::from(seconds))),
        Err(_) => Time::from_text(text).map(|time| time.0),
    }
}

fn unknown_option(word: &str) -> Fault {
    let name = word.split('=').next().unwrap_or(word);
    let help = match name {
        "slow_start" | "drain" | "resolve" | "service" | "route" => "not supported yet".to_owned(),
        _ => {
            let known = ["weight", "max_fails", "fail_timeout", "max_conns", "backup", "down"];
            match hints::closest(name, known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the options are {}", known.map(|k| format!("`{k}`")).join(", ")),
            }
        }
    };
    Fault::new("has an unknown option").help(help)
}

impl Read for PeerValue {
    fn type_name() -> String {
        "string or table".to_owned()
    }

    fn read(node: &Node, cx: &mut Reader<'_>) -> Option<Self> {
        let result = match &node.kind {
            Kind::Text { value, .. } => Self::words(value),
            Kind::Table(_) => return table(node, cx),
            other => Err(Fault::new("needs an address such as `\"127.0.0.1:8888\"`")
                .cause(format!("found {}", other.name()))),
        };
        cx.check(node, result)
    }

    fn schema() -> Value {
        json!({ "anyOf": [{ "type": "string" }, PeerTable::schema()] })
    }
}

fn table(node: &Node, cx: &mut Reader<'_>) -> Option<PeerValue> {
    let table: PeerTable = read_section(node, cx)?;
    let Some(At { value, place }) = table.address.get() else {
        if table.address.is_absent() {
            let fault = Fault::new("needs an `address`").cause("the table has none");
            cx.fault(node, fault.help("write `{ address = \"127.0.0.1:8888\" }`"));
        }
        return None;
    };
    let at =
        Node { kind: Kind::Text { value: value.clone(), substituted: true }, place: place.clone() };
    let parsed = Address::parse(value, DEFAULT_PORT);
    let address = cx.with_key("address", |cx| cx.check(&at, parsed))?;
    let merged = table.or(&PeerTable::defaults());
    Some(PeerValue::from_table(value.clone(), address, &merged))
}
