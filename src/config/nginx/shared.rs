//! Directives that may stand in `http`, `server` and `location`, and how they are inherited.

use super::super::tree::Kind;
use super::emit::{Emit, node, text};
use super::groups::{auth, proxy_tls};
use super::mapper::{Mapper, hidden};
use super::parse::Directive;

/// A block and what it inherits.
#[derive(Clone, Debug)]
pub(super) struct Level<'t> {
    pub(super) block: Block,
    /// Its own directives.
    pub(super) own: &'t [Directive],
    /// `proxy_set_header` in force: of the innermost block that has any.
    pub(super) set_headers: Vec<&'t Directive>,
    /// `client_header_timeout` in force.
    pub(super) header_timeout: Option<&'t Directive>,
    /// `allow` or `deny` is in force.
    pub(super) has_rules: bool,
}

/// Which block it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Block {
    Http,
    Server,
    Location,
    /// In a location.
    If,
}

impl<'t> Level<'t> {
    pub(super) fn http(own: &'t [Directive]) -> Self {
        let none = Level {
            block: Block::Http,
            own: &[],
            set_headers: Vec::new(),
            header_timeout: None,
            has_rules: false,
        };
        none.inside(Block::Http, own)
    }

    /// A block in this one.
    pub(super) fn inside(&self, block: Block, own: &'t [Directive]) -> Self {
        let named = |name: &'static str| own.iter().filter(move |d| d.name.value == name);
        let headers: Vec<_> = named("proxy_set_header").collect();
        Level {
            block,
            own,
            set_headers: if headers.is_empty() { self.set_headers.clone() } else { headers },
            header_timeout: named("client_header_timeout").next().or(self.header_timeout),
            has_rules: self.has_rules || own.iter().any(is_rule),
        }
    }

    /// Whether a sole `return` may stand as such: it comes before all else in nginx, which a server's
    /// locations and rules of access would.
    pub(super) fn answers_alone(&self) -> bool {
        let has_locations = self.own.iter().any(|directive| directive.name.value == "location");
        !self.has_rules && !has_locations
    }
}

fn ignore_invalid(directive: &Directive, level: &Level<'_>, out: &mut Emit) {
    let place = directive.place();
    let on = directive.arg(0).eq_ignore_ascii_case("on");
    out.flag("ignore_invalid_headers", place, on);
    // An underscore is as invalid as the rest: where nothing is ignored, it goes on.
    if !on && !level.own.iter().any(|other| other.name.value == "underscores_in_headers") {
        out.flag("underscores_in_headers", place, true);
    }
}

impl Mapper<'_> {
    /// One directive of a level; `proxy_set_header` and `add_header` are [`Mapper::headers`]'.
    pub(super) fn shared(&mut self, directive: &Directive, level: &Level<'_>, out: &mut Emit) {
        let (name, place) = (directive.name.as_str(), directive.place());
        match name {
            "proxy_set_header" | "add_header" => {}
            "proxy_connect_timeout"
            | "proxy_read_timeout"
            | "proxy_send_timeout"
            | "keepalive_time"
            | "proxy_next_upstream_timeout" => self.timed(directive, out),
            "client_header_timeout" | "client_body_timeout" | "send_timeout" => {
                self.server_wide(directive, level, out, |cx, out| cx.timed(directive, out));
            }
            "keepalive_timeout" => {
                self.timed(directive, out);
                if let Some(second) = directive.args.get(1) {
                    out.text("keepalive_header", &second.place, in_seconds(second));
                }
            }
            "large_client_header_buffers" => self.header_buffers(directive, out),
            "keepalive_requests"
            | "proxy_next_upstream_tries"
            | "limit_req_status"
            | "limit_conn_status" => self.counted(directive, out),
            "client_max_body_size" | "client_body_buffer_size" => {
                if let Some(size) = self.size(directive) {
                    out.text(name, place, size);
                }
            }
            "proxy_hide_header" => {
                if !out.has(name) {
                    let always = hidden().map(|header| text(place, header)).collect();
                    out.set(name, node(place, Kind::Array(always)));
                }
                out.push(name, text(place, directive.arg(0)));
            }
            "proxy_next_upstream" => {
                for word in directive.args.iter().filter(|word| word.value != "updating") {
                    out.push(name, text(&word.place, word.value.clone()));
                }
            }
            "proxy_bind" => self.proxy_bind(directive, out),
            "proxy_http_version" => match directive.arg(0) {
                "1.1" => {
                    self.out.note(place, "\"proxy_http_version\" is left out: it is always 1.1");
                }
                "1.0" => self.out.differs(place, "upstreams are asked in HTTP/1.1"),
                _ => self.out.emerg(place, format!("invalid value \"{}\"", directive.arg(0))),
            },
            "error_page" => self.error_page(directive, out),
            "root" | "alias" => out.text(name, place, self.file_path(directive.arg(0))),
            "expires" | "open_log_file_cache" => {
                let words: Vec<_> = directive.args.iter().map(|arg| arg.as_str()).collect();
                out.text(name, place, words.join(" "));
            }
            "limit_req" | "limit_conn" | "proxy_redirect" => {
                let words: Vec<_> = directive.args.iter().map(|arg| arg.as_str()).collect();
                out.push(name, text(place, words.join(" ")));
            }
            "index" | "try_files" => {
                for arg in &directive.args {
                    out.push(name, text(&arg.place, arg.value.clone()));
                }
            }
            "types" => types(directive, out),
            "real_ip_recursive"
            | "recursive_error_pages"
            | "absolute_redirect"
            | "limit_req_dry_run"
            | "limit_conn_dry_run"
            | "merge_slashes"
            | "underscores_in_headers"
            | "port_in_redirect"
            | "server_name_in_redirect"
            | "proxy_intercept_errors"
            | "proxy_request_buffering" => {
                out.flag(name, place, directive.arg(0).eq_ignore_ascii_case("on"));
            }
            "ignore_invalid_headers" => ignore_invalid(directive, level, out),
            "real_ip_header" | "default_type" | "limit_req_log_level" | "limit_conn_log_level" => {
                out.text(name, place, directive.arg(0));
            }
            "allow" | "deny" => self.access(directive, level, out),
            "set_real_ip_from" => out.push(name, text(place, directive.arg(0))),
            "access_log" => self.access_log(directive, out),
            "error_log" if level.block == Block::Http => self.error_log(directive, out),
            "error_log" => {
                self.out.differs(place, "\"error_log\" is left out: there is one for the process");
            }
            _ if self.tls(directive, out)
                || auth(directive, out)
                || proxy_tls(directive, out)
                || self.bodies(directive, out) => {}
            _ => self.by_table(directive),
        }
    }

    pub(super) fn timed(&mut self, directive: &Directive, out: &mut Emit) {
        if let Some(time) = self.time(directive) {
            out.text(&directive.name, directive.place(), time);
        }
    }

    pub(super) fn counted(&mut self, directive: &Directive, out: &mut Emit) {
        if let Some(number) = self.count(directive) {
            out.number(&directive.name, directive.place(), number);
        }
    }

    /// What holds for a connection cannot differ between locations here.
    fn server_wide(
        &mut self,
        directive: &Directive,
        level: &Level<'_>,
        out: &mut Emit,
        set: impl FnOnce(&mut Self, &mut Emit),
    ) {
        if matches!(level.block, Block::Location | Block::If) {
            let message = format!(
                "\"{}\" of a location is left out: that of the server holds",
                directive.name.value
            );
            self.out.differs(directive.place(), message);
        } else {
            set(self, out);
        }
    }

    /// `4 8k`: a head may be as long as all of them.
    fn header_buffers(&mut self, directive: &Directive, out: &mut Emit) {
        let number = directive.arg(0).parse::<u64>().ok();
        let size = super::super::units::size(directive.arg(1)).ok();
        match number.zip(size).and_then(|(number, size)| number.checked_mul(size)) {
            Some(bytes) => out.text(&directive.name, directive.place(), bytes.to_string()),
            None => {
                let message = "\"large_client_header_buffers\" directive invalid value";
                self.out.emerg(directive.place(), message);
            }
        }
    }

    fn proxy_bind(&mut self, directive: &Directive, out: &mut Emit) {
        let (value, place) = (directive.arg(0), directive.place());
        if directive.args.len() > 1 || value.contains('$') {
            self.out.refused(
                place,
                "\"proxy_bind\" is not supported with variables or \"transparent\"",
            );
        } else if value == "off" {
            out.set("proxy_bind", node(place, Kind::Array(Vec::new())));
        } else {
            out.push("proxy_bind", text(place, value));
        }
    }

    pub(super) fn ssl_protocols(&mut self, directive: &Directive, out: &mut Emit) {
        let known: Vec<_> = directive.args.iter().filter(|arg| is_offered(arg)).collect();
        if known.is_empty() {
            let message = "\"ssl_protocols\" names none that is supported: TLSv1.2 and TLSv1.3 are";
            self.out.refused(directive.place(), message);
            return;
        }
        for arg in directive.args.iter().filter(|arg| !is_offered(arg)) {
            let message = format!("\"{}\" is left out: it is broken and not offered", arg.value);
            self.out.differs(&arg.place, message);
        }
        for arg in known {
            out.push("ssl_protocols", text(&arg.place, arg.value.clone()));
        }
    }

    /// The order of the two lists is the order of the rules: it may change once.
    fn access(&mut self, directive: &Directive, level: &Level<'_>, out: &mut Emit) {
        let rules = level.own.iter().filter(|directive| is_rule(directive));
        let before = rules.take_while(|rule| rule.place().order() < directive.place().order());
        let names: Vec<_> = before.map(|rule| rule.name.as_str()).collect();
        let changes = names.windows(2).filter(|pair| pair[0] != pair[1]).count();
        let name = directive.name.as_str();
        if changes > 0 && names.last() != Some(&name) {
            let message =
                "\"allow\" and \"deny\" may take turns only once: the rule is not carried over";
            self.out.refused(directive.place(), message);
            return;
        }
        out.push(name, text(directive.place(), directive.arg(0)));
    }
}

/// `types { text/html html htm; }`
fn types(directive: &Directive, out: &mut Emit) {
    let mut table = Emit::default();
    for line in directive.children() {
        for extension in &line.args {
            table.push(&line.name, text(&extension.place, extension.value.clone()));
        }
    }
    out.set("types", table.into_node(directive.place()));
}

/// A time of nginx's: without a unit it is in seconds.
pub(super) fn in_seconds(written: &str) -> String {
    let bare = written != "0" && written.ends_with(|c: char| c.is_ascii_digit());
    if bare { format!("{written}s") } else { written.to_owned() }
}

/// Whether it is a rule of access.
pub(super) fn is_rule(directive: &Directive) -> bool {
    matches!(directive.name.as_str(), "allow" | "deny")
}

fn is_offered(version: &str) -> bool {
    matches!(version, "TLSv1.2" | "TLSv1.3")
}
