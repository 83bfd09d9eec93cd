//! `geo`: its lines are orders (`delete`, and what stands twice holds once); the table that TOML gives
//! has what is left of them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::super::source::{At, Place};
use super::super::tree::{Key, Kind, Node, Table};
use super::super::values::{AddrRange, network};
use super::emit::{Emit, node, text};
use super::mapper::Mapper;
use super::parse::Directive;

/// What the lines have said so far.
#[derive(Default)]
struct Lines {
    /// Lines name ranges rather than networks.
    ranges: bool,
    /// The networks; `default` is both that hold everything.
    networks: BTreeMap<IpNet, At<String>>,
    /// The ranges.
    pieces: Pieces,
    /// `default` beside ranges.
    default: Option<At<String>>,
    /// `proxy_recursive`
    recursive: Option<Place>,
}

impl Mapper<'_> {
    /// `geo [$address] $variable { … }`
    pub(super) fn geo(&mut self, geo: &Directive, top: &mut Emit) {
        let place = geo.place();
        if let Some(wrong) = geo.args.iter().find(|arg| arg.len() < 2 || !arg.starts_with('$')) {
            self.out.emerg(&wrong.place, format!("invalid variable name \"{}\"", wrong.value));
            return;
        }
        let mut out = Emit::default();
        if geo.args.len() > 1 {
            out.text("source", place, geo.arg(0));
        }
        out.text("variable", place, geo.arg(geo.args.len() - 1));
        let mut lines = Lines::default();
        for line in geo.children() {
            self.geo_line(line, &mut lines, &mut out);
        }
        match lines.recursive.take() {
            Some(place) if out.has("proxy") => out.flag("proxy_recursive", &place, true),
            Some(place) => self.out.note(&place, "\"proxy_recursive\" is left out: no \"proxy\""),
            None => {}
        }
        if let Some(default) = lines.take_default() {
            out.text("default", &default.place, default.value);
        }
        out.set("values", node(place, Kind::Table(lines.into_table())));
        top.push("geo", out.into_node(place));
    }

    fn geo_line(&mut self, line: &Directive, lines: &mut Lines, out: &mut Emit) {
        let (key, value, place) = (line.name.as_str(), line.arg(0), line.place());
        if line.block.is_some() {
            self.out.emerg(place, "unexpected \"{\"");
            return;
        }
        if ["${env:", "${file:"].iter().any(|mark| value.contains(mark)) {
            // the TOML could not say it
            self.out.refused(place, format!("a value with \"{value}\" is not supported"));
            return;
        }
        match (key, line.args.len()) {
            ("ranges", 0) if lines.networks.is_empty() => lines.ranges = true,
            ("ranges", 0) => {
                let message =
                    "the \"ranges\" directive must be the first directive inside \"geo\" block";
                self.out.emerg(place, message);
            }
            ("proxy_recursive", 0) => lines.recursive = Some(place.clone()),
            ("volatile", 0) => self.out.note(place, "\"volatile\" is left out: it is so here"),
            ("proxy", 1) => {
                if let Some(net) = self.geo_network(value, place) {
                    out.push("proxy", text(place, net.to_string()));
                }
            }
            ("default", 1) if lines.ranges => {
                if lines.default.replace(At::new(value.to_owned(), place)).is_some() {
                    self.out.differs(place, "duplicate default geo range value: the last holds");
                }
            }
            ("default", 1) => {
                for net in everything() {
                    self.geo_add(lines, net, key, At::new(value.to_owned(), place));
                }
            }
            ("delete", 1) if lines.ranges => self.geo_delete_range(lines, value, place),
            ("delete", 1) => {
                if let Some(net) = self.geo_network(value, place)
                    && lines.networks.remove(&net).is_none()
                {
                    self.out.differs(place, format!("no network \"{value}\" to delete"));
                }
            }
            (_, 1) if lines.ranges => {
                self.geo_range(lines, key, &At::new(value.to_owned(), place));
            }
            (_, 1) => {
                if let Some(net) = self.geo_network(key, place) {
                    self.geo_add(lines, net, key, At::new(value.to_owned(), place));
                }
            }
            _ => self.out.emerg(place, "invalid number of the geo parameters"),
        }
    }

    fn geo_network(&mut self, word: &str, place: &Place) -> Option<IpNet> {
        let Some(net) = network(word) else {
            self.out.emerg(place, format!("invalid network \"{word}\""));
            return None;
        };
        if net.network() != net.addr() {
            self.out.differs(place, format!("low address bits of {word} are meaningless"));
        }
        Some(net.trunc())
    }

    fn geo_add(&mut self, lines: &mut Lines, net: IpNet, word: &str, value: At<String>) {
        let place = value.place.clone();
        if lines.networks.insert(net, value).is_some() {
            self.out.differs(&place, format!("duplicate network \"{word}\": the last holds"));
        }
    }

    fn geo_range(&mut self, lines: &mut Lines, word: &str, value: &At<String>) {
        let Some((first, last)) = self.geo_addresses(word, &value.place) else {
            return;
        };
        match lines.pieces.add(first, last, value) {
            Ok(true) => {}
            Ok(false) => {
                let message = format!("duplicate range \"{word}\": the last holds");
                self.out.differs(&value.place, message);
            }
            Err(other) => {
                let message = format!("range \"{word}\" overlaps \"{other}\"");
                self.out.emerg(&value.place, message);
            }
        }
    }

    fn geo_delete_range(&mut self, lines: &mut Lines, word: &str, place: &Place) {
        if let Some((first, last)) = self.geo_addresses(word, place)
            && !lines.pieces.delete(first, last)
        {
            self.out.differs(place, format!("no address range \"{word}\" to delete"));
        }
    }

    fn geo_addresses(&mut self, word: &str, place: &Place) -> Option<(u32, u32)> {
        if let Some(AddrRange { first: IpAddr::V4(first), last: IpAddr::V4(last) }) =
            AddrRange::parse(word)
        {
            return Some((first.into(), last.into()));
        }
        self.out.emerg(place, format!("invalid range \"{word}\""));
        None
    }
}

fn everything() -> [IpNet; 2] {
    [Ipv4Net::default().into(), Ipv6Net::default().into()]
}

impl Lines {
    /// What holds where nothing fits, if one result does for both families.
    fn take_default(&mut self) -> Option<At<String>> {
        let [v4, v6] = everything();
        let both = self.networks.get(&v4).zip(self.networks.get(&v6));
        if both.is_some_and(|(v4, v6)| v4.value == v6.value) {
            self.networks.remove(&v6);
            return self.networks.remove(&v4);
        }
        self.default.take()
    }

    fn into_table(self) -> Table {
        let entry = |name: String, At { value, place }: At<String>| -> (Key, Node) {
            (Key { name, place: place.clone() }, text(&place, value))
        };
        let networks = self.networks.into_iter().map(|(net, value)| entry(net.to_string(), value));
        let pieces = self.pieces.joined().into_iter();
        let ranges = pieces.map(|(first, last, value)| entry(shown(first, last), value));
        Table { entries: networks.chain(ranges).collect() }
    }
}

fn shown(first: u32, last: u32) -> String {
    format!("{}-{}", Ipv4Addr::from(first), Ipv4Addr::from(last))
}

/// Ranges as nginx keeps them: side by side, and cut wherever the upper half of the address changes.
/// What a range may be put into, and which ones `delete` finds, is decided for each piece.
#[derive(Default)]
struct Pieces(BTreeMap<u32, (u32, At<String>)>);

impl Pieces {
    /// Puts a range into the one around it; false where a piece of it stands there already, and an
    /// error where it overlaps another.
    fn add(&mut self, first: u32, last: u32, value: &At<String>) -> Result<bool, String> {
        let mut is_new = true;
        for (first, last) in cut(first, last) {
            let before = self.0.range(..=last).next_back();
            let around = before.map(|(start, (end, old))| (*start, *end, old.clone()));
            if let Some((start, end, old)) = around.filter(|(_, end, _)| *end >= first) {
                if start > first || end < last {
                    return Err(shown(start, end));
                }
                is_new &= (start, end) != (first, last);
                if end > last {
                    self.0.insert(last + 1, (end, old.clone()));
                }
                if start < first {
                    self.0.insert(start, (first - 1, old));
                }
            }
            self.0.insert(first, (last, value.clone()));
        }
        Ok(is_new)
    }

    /// Removes a range; false where a piece of it is no range of its own.
    fn delete(&mut self, first: u32, last: u32) -> bool {
        let mut found = true;
        for (first, last) in cut(first, last) {
            if self.0.get(&first).is_some_and(|(end, _)| *end == last) {
                self.0.remove(&first);
            } else {
                found = false;
            }
        }
        found
    }

    /// The ranges, those with one result joined where they meet.
    fn joined(self) -> Vec<(u32, u32, At<String>)> {
        let mut joined: Vec<(u32, u32, At<String>)> = Vec::new();
        for (first, (last, value)) in self.0 {
            match joined.last_mut() {
                Some((_, end, before))
                    if end.checked_add(1) == Some(first) && before.value == value.value =>
                {
                    *end = last;
                }
                _ => joined.push((first, last, value)),
            }
        }
        joined
    }
}

fn cut(first: u32, last: u32) -> impl Iterator<Item = (u32, u32)> {
    (first >> 16..=last >> 16)
        .map(move |upper| (first.max(upper << 16), last.min(upper << 16 | 0xffff)))
}
