//! `server` and `location`.

use super::super::source::Place;
use super::super::tree::Node;
use super::emit::{Emit, text};
use super::mapper::Mapper;
use super::parse::Directive;
use super::script::is_step;
use super::shared::{Block, Level};

impl Mapper<'_> {
    pub(super) fn server(&mut self, server: &Directive, http: &Level<'_>) -> Node {
        let level = http.inside(Block::Server, server.children());
        let mut out = Emit::default();
        let mut tls = false;
        for directive in server.children() {
            match directive.name.as_str() {
                "listen" => tls |= self.listen(directive, &mut out),
                "server_name" => self.server_name(directive, &mut out),
                // a script comes before the locations, wherever it stands
                "location" => {}
                step if is_step(step) => {}
                _ => self.shared(directive, &level, &mut out),
            }
        }
        if !out.has("listen") {
            out.push("listen", text(server.place(), "80"));
        }
        if tls {
            self.handshake_timeout(&level, server.place(), &mut out);
        }
        self.headers(&level, &mut out);
        self.script(&level, &mut out);
        for location in server.children().iter().filter(|d| d.name.value == "location") {
            if let Some(node) = self.location(location, &level) {
                out.push("location", node);
            }
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
    fn location(&mut self, location: &Directive, outer: &Level<'_>) -> Option<Node> {
        let place = location.place();
        let path = self.path(location)?;
        let level = outer.inside(Block::Location, location.children());
        let mut out = Emit::default();
        out.text("path", place, path.clone());
        let mut pass = None;
        for directive in location.children() {
            match directive.name.as_str() {
                "proxy_pass" => pass = Some(directive),
                "internal" | "stub_status" => out.flag(&directive.name, directive.place(), true),
                "location" => {
                    if let Some(node) = self.location(directive, &level) {
                        out.push("location", node);
                    }
                }
                "limit_except" => {}
                step if is_step(step) => {}
                _ => self.shared(directive, &level, &mut out),
            }
        }
        self.headers(&level, &mut out);
        self.script(&level, &mut out);
        if let Some(pass) = pass {
            if out.has("return") {
                let message = "\"proxy_pass\" is left out: \"return\" answers before it";
                self.out.note(pass.place(), message);
            } else {
                out.text("proxy_pass", pass.place(), pass.arg(0));
                self.websocket(&level, pass.place(), &mut out);
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
        Some(first.to_owned())
    }
}
