//! `server` and `location`.

use super::super::source::Place;
use super::super::tree::Node;
use super::emit::{Emit, text};
use super::mapper::Mapper;
use super::parse::Directive;
use super::shared::{Block, Level};

/// Statuses whose text is a `Location`.
const REDIRECTS: [&str; 5] = ["301", "302", "303", "307", "308"];

impl Mapper<'_> {
    pub(super) fn server(&mut self, server: &Directive, http: &Level<'_>) -> Node {
        let level = http.inside(Block::Server, server.children());
        let mut out = Emit::default();
        let mut tls = false;
        for directive in server.children() {
            match directive.name.as_str() {
                "listen" => tls |= self.listen(directive, &mut out),
                "server_name" => self.server_name(directive, &mut out),
                // what a server answers by itself comes first, wherever it stands
                "return" | "location" => {}
                _ => self.shared(directive, &level, &mut out),
            }
        }
        if !out.has("listen") {
            out.push("listen", text(server.place(), "80"));
        }
        if tls {
            self.handshake_timeout(&level, server.place(), &mut out);
        }
        let answer = server.children().iter().find(|directive| directive.name.value == "return");
        if let Some(answer) = answer {
            self.returned(answer, &mut out);
        }
        self.headers(&level, &mut out);
        for location in server.children().iter().filter(|d| d.name.value == "location") {
            if answer.is_some() {
                let message =
                    "the location is left out: \"return\" of the server answers before it";
                self.out.note(location.place(), message);
            } else if let Some(node) = self.location(location, &level) {
                out.push("location", node);
            }
        }
        if !out.has("location") && answer.is_none() {
            let message =
                "\"server\" without a \"location\" that can be served: no files are served";
            self.out.refused(server.place(), message);
        }
        out.into_node(server.place())
    }

    /// nginx gives a handshake as much time as the head of a request.
    fn handshake_timeout(&mut self, level: &Level<'_>, place: &Place, out: &mut Emit) {
        let time = match level.header_timeout {
            Some(directive) => self.time(directive),
            None => Some("60s".to_owned()),
        };
        if let Some(time) = time {
            out.text("ssl_handshake_timeout", place, time);
        }
    }

    fn server_name(&mut self, directive: &Directive, out: &mut Emit) {
        for name in &directive.args {
            if name.contains("$hostname") {
                self.out.refused(&name.place, "\"$hostname\" in \"server_name\" is not supported");
            } else {
                out.push("server_name", text(&name.place, name.value.clone()));
            }
        }
    }

    /// `None` when nothing can be served under it.
    fn location(&mut self, location: &Directive, server: &Level<'_>) -> Option<Node> {
        let place = location.place();
        let path = self.path(location)?;
        let level = server.inside(Block::Location, location.children());
        let mut out = Emit::default();
        out.text("path", place, path.clone());
        let (mut pass, mut answer) = (None, None);
        for directive in location.children() {
            match directive.name.as_str() {
                "proxy_pass" => pass = Some(directive),
                "return" => answer = answer.or(Some(directive)),
                "location" => {
                    let message = "a \"location\" in a location is not supported: write it beside";
                    self.out.refused(directive.place(), message);
                }
                _ => self.shared(directive, &level, &mut out),
            }
        }
        self.headers(&level, &mut out);
        match (answer, pass) {
            (Some(answer), pass) => {
                self.returned(answer, &mut out);
                if let Some(pass) = pass {
                    let message = "\"proxy_pass\" is left out: \"return\" answers before it";
                    self.out.note(pass.place(), message);
                }
            }
            (None, Some(pass)) => {
                out.text("proxy_pass", pass.place(), pass.arg(0));
                self.websocket(&level, pass.place(), &mut out);
            }
            (None, None) if is_closed(location) => {
                let mut forbidden = Emit::default();
                forbidden.number("status", place, 403);
                out.set("return", forbidden.into_node(place));
            }
            (None, None) => {
                let message = format!("location \"{path}\" is not supported: no files are served");
                self.out.refused(place, message);
                return None;
            }
        }
        Some(out.into_node(place))
    }

    /// The location's modifier and path, in TOML's one string.
    fn path(&mut self, location: &Directive) -> Option<String> {
        let (first, second) = (location.arg(0), location.arg(1));
        if location.args.len() == 2 {
            if matches!(first, "=" | "^~" | "~" | "~*") {
                return Some(format!("{first} {second}"));
            }
            let message = format!("invalid location modifier \"{first}\"");
            self.out.emerg(location.place(), message);
            return None;
        }
        if first.starts_with('@') {
            let message = format!("location \"{first}\" is not supported: nothing can lead to it");
            self.out.refused(location.place(), message);
            return None;
        }
        Some(first.to_owned())
    }

    /// `return CODE [TEXT]` or `return URL`.
    fn returned(&mut self, directive: &Directive, out: &mut Emit) {
        let place = directive.place();
        let (first, second) = (directive.arg(0), directive.args.get(1));
        let mut answer = Emit::default();
        let is_url =
            ["http://", "https://", "$scheme"].iter().any(|start| first.starts_with(start));
        if second.is_none() && is_url {
            answer.text("location", place, first);
            out.set("return", answer.into_node(place));
            return;
        }
        let Some(status) = first.parse().ok().filter(|status| (0..=999).contains(status)) else {
            self.out.emerg(place, format!("invalid return code \"{first}\""));
            return;
        };
        if status == 444 {
            self.out.refused(place, "\"return 444\" is not supported: every request is answered");
            return;
        }
        answer.number("status", place, status);
        if let Some(text) = second.filter(|text| !text.is_empty()) {
            let key = if REDIRECTS.contains(&first) { "location" } else { "body" };
            answer.text(key, &text.place, text.value.clone());
        }
        out.set("return", answer.into_node(place));
    }
}

/// A location whose only rule keeps everybody out.
fn is_closed(location: &Directive) -> bool {
    let mut rules =
        location.children().iter().filter(|d| matches!(d.name.as_str(), "allow" | "deny"));
    rules.next().is_some_and(|rule| rule.name.value == "deny" && rule.arg(0) == "all")
}
