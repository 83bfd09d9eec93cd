//! Headers that are set, and nginx's WebSocket recipe among them: where a location sets `Upgrade` and
//! `Connection` for it, upgrades are served, and where it does not, they are not.

use std::collections::BTreeMap;

use super::super::source::Place;
use super::emit::{Emit, text};
use super::mapper::Mapper;
use super::parse::Directive;
use super::remark::Remarks;
use super::shared::{Block, Level};

/// `map`s, of which those that only tell `Connection` are not needed.
#[derive(Debug, Default)]
pub(super) struct Maps {
    /// Variables of maps of `$http_upgrade` with `upgrade` among their results, and where they stand.
    upgrading: BTreeMap<String, Place>,
    /// Variables that are used for more than `Connection`.
    used: Vec<String>,
}

impl Maps {
    /// Takes in every `map` of an `http` block, and what refers to them.
    pub(super) fn gather(&mut self, http: &[Directive]) {
        for map in http.iter().filter(|directive| directive.name.value == "map") {
            let upgrades =
                map.children().iter().any(|line| line.arg(0).eq_ignore_ascii_case("upgrade"));
            let of_upgrade = matches!(map.arg(0), "$http_upgrade" | "${http_upgrade}");
            if upgrades && of_upgrade && is_variable(map.arg(1)) {
                self.upgrading.insert(map.arg(1).to_owned(), map.place().clone());
            }
        }
        self.gather_uses(http);
    }

    fn gather_uses(&mut self, tree: &[Directive]) {
        for directive in tree {
            let is_connection = directive.name.value == "proxy_set_header"
                && directive.arg(0).eq_ignore_ascii_case("connection");
            // what a map defines is no use of it
            let looked_at = match directive.name.as_str() {
                "map" => 2,
                _ if is_connection => 0,
                _ => usize::MAX,
            };
            let words = std::iter::once(&directive.name).chain(directive.args.iter());
            for word in words.take(looked_at).filter(|word| word.contains('$')) {
                self.used.push(word.value.replace(['{', '}'], ""));
            }
            self.gather_uses(directive.children());
        }
    }

    /// Whether a map only tells `Connection`.
    fn is_spare(&self, variable: &str) -> bool {
        self.upgrading.contains_key(variable)
            && !self.used.iter().any(|word| word.contains(variable))
    }

    /// Tells which maps are left out.
    pub(super) fn report(&self, out: &mut Remarks) {
        for (variable, place) in &self.upgrading {
            if self.is_spare(variable) {
                let message =
                    format!("\"map\" of \"{variable}\" is left out: \"Connection\" goes by itself");
                out.note(place, message);
            }
        }
    }
}

/// A header's value has no lines.
fn one_line(value: &str) -> String {
    value.replace(|c: char| c.is_control() && c != '\t', "")
}

fn is_variable(word: &str) -> bool {
    word.len() > 1 && word.starts_with('$')
}

impl Mapper<'_> {
    pub(super) fn map(&mut self, map: &Directive, top: &mut Emit) {
        if self.maps.is_spare(map.arg(1)) {
            return;
        }
        let place = map.place();
        if !is_variable(map.arg(1)) {
            self.out.emerg(place, format!("invalid variable name \"{}\"", map.arg(1)));
            return;
        }
        let mut out = Emit::default();
        out.text("source", place, map.arg(0));
        out.text("variable", place, map.arg(1));
        for line in map.children() {
            self.map_line(line, &mut out);
        }
        top.push("map", out.into_node(place));
    }

    fn map_line(&mut self, line: &Directive, out: &mut Emit) {
        let (key, place) = (line.name.as_str(), line.place());
        match (key, line.args.len()) {
            ("volatile", 0) => self.out.note(place, "\"volatile\" is left out: it is so here"),
            ("hostnames", 0) => out.flag("hostnames", place, true),
            ("default", 1) => out.text("default", place, line.arg(0)),
            (_, 1) => {
                if !out.insert("values", key, text(place, line.arg(0))) {
                    self.out.emerg(place, format!("conflicting parameter \"{key}\""));
                }
            }
            _ => self.out.emerg(place, "invalid number of the map parameters"),
        }
    }

    /// `proxy_set_header` and `add_header` of a level: where it has any, it takes none from outside.
    pub(super) fn headers(&mut self, level: &Level<'_>, out: &mut Emit) {
        let named = |name: &'static str| level.own.iter().filter(move |d| d.name.value == name);
        for directive in named("proxy_set_header") {
            out.open("proxy_set_header", directive.place());
            let (name, value) = (directive.arg(0), directive.arg(1));
            if self.goes_by_itself(name, value) {
                continue;
            }
            if name.eq_ignore_ascii_case("connection") && value.contains('$') {
                out.text("proxy_connection", directive.place(), value);
                continue;
            }
            if matches!(name.to_ascii_lowercase().as_str(), "connection" | "upgrade") {
                let message = format!(
                    "\"{name}\" is left out: connections to peers are kept or closed by themselves"
                );
                self.out.differs(directive.place(), message);
                continue;
            }
            if !out.insert("proxy_set_header", name, text(directive.place(), value)) {
                let message = format!("header \"{name}\" is set twice in one block");
                self.out.refused(directive.place(), message);
            }
        }
        for directive in named("add_header") {
            out.open("add_header", directive.place());
            let (name, place) = (directive.arg(0), directive.place());
            let value = match directive.arg(2) {
                "" => text(place, one_line(directive.arg(1))),
                "always" => {
                    let mut table = Emit::default();
                    table.text("value", place, one_line(directive.arg(1)));
                    table.flag("always", place, true);
                    table.into_node(place)
                }
                other => {
                    self.out.emerg(place, format!("invalid parameter \"{other}\""));
                    continue;
                }
            };
            out.insert_more("add_header", name, value);
        }
    }

    /// Headers of the connection that Wayhold sets as the recipes for nginx do.
    fn goes_by_itself(&self, name: &str, value: &str) -> bool {
        let value = value.to_ascii_lowercase();
        match name.to_ascii_lowercase().as_str() {
            "upgrade" => {
                matches!(value.as_str(), "$http_upgrade" | "${http_upgrade}" | "websocket" | "")
            }
            "connection" => matches!(value.as_str(), "" | "close") || self.upgrades(&value),
            _ => false,
        }
    }

    /// A value of `Connection` that lets an upgrade through.
    fn upgrades(&self, value: &str) -> bool {
        let plain = value.replace(['{', '}'], "");
        matches!(plain.as_str(), "upgrade" | "$http_connection" | "$connection_upgrade")
            || self.maps.upgrading.keys().any(|variable| variable.eq_ignore_ascii_case(&plain))
    }

    /// Whether a location with `proxy_pass` serves upgrades.
    pub(super) fn websocket(&mut self, level: &Level<'_>, place: &Place, out: &mut Emit) {
        debug_assert!(matches!(level.block, Block::Location | Block::If));
        let value_of = |name: &str| {
            let mut headers = level.set_headers.iter();
            headers
                .find(|header| header.arg(0).eq_ignore_ascii_case(name))
                .map(|header| header.arg(1))
        };
        let upgrade = value_of("Upgrade").is_some_and(|value| !value.is_empty());
        let connection =
            value_of("Connection").is_some_and(|value| self.upgrades(&value.to_ascii_lowercase()));
        if upgrade && connection {
            let mut table = Emit::default();
            table.flag("enabled", place, true);
            out.set("websocket", table.into_node(place));
        } else if upgrade {
            let message =
                "WebSockets are not served: \"Connection\" does not let \"Upgrade\" through";
            self.out.differs(place, message);
        }
    }
}
