//! From checked directives to the tree that TOML gives: the process, `events`, `http`, and nginx's
//! own defaults where they are not Wayhold's.

use std::path::{Path, PathBuf};

use super::super::source::Place;
use super::super::tree::{Kind, Table};
use super::emit::{Emit, node, text};
use super::listens::Listens;
use super::names::{self, How};
use super::parse::Directive;
use super::recipe::Maps;
use super::remark::Remarks;
use super::shared::Level;

/// Headers that nginx takes for itself out of an answer.
const HIDDEN: [&str; 6] = [
    "X-Pad",
    "X-Accel-Expires",
    "X-Accel-Redirect",
    "X-Accel-Limit-Rate",
    "X-Accel-Buffering",
    "X-Accel-Charset",
];

/// What mapping needs and gathers on its way.
pub(super) struct Mapper<'a> {
    pub(super) out: &'a mut Remarks,
    /// What relative paths of logs and of the pid file are relative to.
    pub(super) prefix: &'a Path,
    /// Threads that can run at a time.
    pub(super) parallelism: usize,
    pub(super) maps: Maps,
    pub(super) listens: Listens,
}

impl Mapper<'_> {
    /// The tree of a whole file; a fragment is what stands in `http`.
    pub(super) fn table(
        mut self,
        tree: &[Directive],
        fragment: Option<&[Directive]>,
        start: &Place,
    ) -> Table {
        let mut top = Emit::default();
        let mut processes = 1;
        for directive in tree {
            match directive.name.as_str() {
                "http" | "events" => {}
                "worker_processes" => {
                    processes = self.worker_processes(directive, &mut top).unwrap_or(1);
                }
                "worker_shutdown_timeout" => {
                    if let Some(time) = self.time(directive) {
                        top.text("worker_shutdown_timeout", directive.place(), time);
                    }
                }
                "pid" => {
                    let path = self.log_path(directive.arg(0));
                    top.text("pid", directive.place(), path);
                }
                "daemon" => {
                    top.flag("daemon", directive.place(), directive.arg(0) == "on");
                }
                "error_log" => self.error_log(directive, &mut top),
                _ => self.by_table(directive),
            }
        }
        for events in tree.iter().filter(|directive| directive.name.value == "events") {
            self.events(events, processes, &mut top);
        }
        if let Some(fragment) = fragment {
            self.http(fragment, &mut top);
        }
        for http in tree.iter().filter(|directive| directive.name.value == "http") {
            self.http(http.children(), &mut top);
        }
        top.text("root", start, self.log_path("html"));
        defaults(&mut top, start);
        top.finish()
    }

    fn worker_processes(&mut self, directive: &Directive, top: &mut Emit) -> Option<usize> {
        if directive.arg(0) == "auto" {
            top.text("worker_processes", directive.place(), "auto");
            return Some(self.parallelism);
        }
        let number = self.count(directive)?;
        top.number("worker_processes", directive.place(), number);
        usize::try_from(number).ok()
    }

    /// nginx's limit is each worker's.
    fn events(&mut self, events: &Directive, processes: usize, top: &mut Emit) {
        for directive in events.children() {
            if directive.name.value != "worker_connections" {
                self.by_table(directive);
            } else if let Some(each) = self.count(directive) {
                let all = each.saturating_mul(i64::try_from(processes).unwrap_or(i64::MAX));
                top.number("worker_connections", directive.place(), all);
            }
        }
    }

    fn http(&mut self, tree: &[Directive], top: &mut Emit) {
        self.maps.gather(tree);
        self.listens.gather(tree);
        let level = Level::http(tree);
        for directive in tree {
            match directive.name.as_str() {
                "server" => {
                    let server = self.server(directive, &level);
                    top.push("server", server);
                }
                "upstream" => self.upstream(directive, top),
                "map" => self.map(directive, top),
                "geo" => self.geo(directive, top),
                "log_format" => self.log_format(directive, top),
                "limit_req_zone" | "limit_conn_zone" => self.limit_zone(directive, top),
                _ => self.shared(directive, &level, top),
            }
        }
        self.headers(&level, top);
        self.maps.report(&mut *self.out);
    }

    pub(super) fn error_log(&mut self, directive: &Directive, top: &mut Emit) {
        let (path, place) = (directive.arg(0), directive.place());
        if top.has("error_log") {
            self.out.differs(place, "there is one \"error_log\": the first is used");
            return;
        }
        if path.starts_with("syslog:") || path.starts_with("memory:") {
            self.out.refused(place, format!("\"error_log\" cannot write to {path}"));
            return;
        }
        let path = if path == "stderr" { path.to_owned() } else { self.log_path(path) };
        top.text("error_log", place, path);
        let level = match directive.arg(1) {
            "" => "error",
            "alert" | "emerg" => "crit",
            level => level.split('_').next().unwrap_or(level),
        };
        top.text("error_log_level", place, level);
    }

    /// What the table of names says of a directive that is not carried over.
    pub(super) fn by_table(&mut self, directive: &Directive) {
        let name = directive.name.as_str();
        let place = directive.place();
        let how = names::rows(name).next().map(|row| row.3);
        let value = directive.arg(0).to_ascii_lowercase();
        let off = matches!(value.as_str(), "off" | "0");
        match how {
            Some(How::Nothing(why)) => {
                self.out.note(place, format!("\"{name}\" is left out: {why}"));
            }
            Some(How::OffDiffers(_) | How::Off(_)) if off => self.as_here(directive),
            Some(How::On(_)) if value == "on" => self.as_here(directive),
            Some(How::Differs(why) | How::OffDiffers(why)) => {
                self.out.differs(place, format!("\"{name}\" is left out: {why}"));
            }
            Some(How::Refused(why) | How::Off(why) | How::On(why)) => {
                self.out.refused(place, format!("\"{name}\" is not supported: {why}"));
            }
            Some(How::Done) | None => {
                self.out.refused(place, format!("\"{name}\" is not supported in this block"));
            }
        }
    }

    fn as_here(&mut self, directive: &Directive) {
        let message = format!("\"{}\" is left out: it is so here", directive.name.value);
        self.out.note(directive.place(), message);
    }

    /// The path of files, absolute unless a variable begins it.
    pub(super) fn file_path(&self, path: &str) -> String {
        if path.starts_with('$') { path.to_owned() } else { self.log_path(path) }
    }

    /// The path of a log or of the pid file, absolute.
    pub(super) fn log_path(&self, path: &str) -> String {
        self.prefix.join(path).display().to_string()
    }
}

/// The path of a certificate, absolute: relative ones lie beside the main file.
pub(super) fn conf_path(place: &Place, path: &str) -> String {
    place.resolve(&PathBuf::from(path)).display().to_string()
}

/// What holds in nginx where nothing is written.
fn defaults(top: &mut Emit, start: &Place) {
    for (key, value) in [
        ("shutdown_timeout", "0"),
        ("error_log_level", "error"),
        ("client_header_timeout", "60s"),
        ("proxy_connect_timeout", "60s"),
        ("proxy_read_timeout", "60s"),
        ("proxy_send_timeout", "60s"),
        ("proxy_next_upstream_timeout", "0"),
        ("real_ip_header", "X-Real-IP"),
        ("proxy_set_header_inherit", "replace"),
        ("add_header_inherit", "replace"),
        ("default_type", "text/plain"),
        ("proxy_redirect", "default"),
        ("keepalive_header", "0"),
        ("keepalive_time", "1h"),
        ("ssl_session_timeout", "5m"),
    ] {
        top.text(key, start, value);
    }
    for (key, value) in [
        ("daemon", true),
        ("auto_reload", false),
        ("html_errors", true),
        ("absolute_redirect", true),
        ("real_ip_recursive", false),
        ("proxied_is_client", false),
        ("pass_client_claims", true),
        ("lenient_heads", true),
        ("ignore_invalid_headers", true),
        ("other_upgrades", true),
        ("proxy_ssl_verify", false),
        ("proxy_ssl_server_name", false),
        ("ssl_session_cache", false),
    ] {
        top.flag(key, start, value);
    }
    top.number("worker_processes", start, 1);
    top.number("max_headers", start, 10_000);
    top.number("proxy_next_upstream_tries", start, 0);
    let hidden = HIDDEN.iter().map(|name| text(start, *name)).collect();
    top.set("proxy_hide_header", node(start, Kind::Array(hidden)));
    let mut types = Emit::default();
    for (name, extension) in [("text/html", "html"), ("image/gif", "gif"), ("image/jpeg", "jpg")] {
        types.text(name, start, extension);
    }
    top.set("types", types.into_node(start));
    let mut websocket = Emit::default();
    websocket.flag("enabled", start, false);
    websocket.flag("refuse", start, false);
    websocket.text("ping_interval", start, "off");
    top.set("websocket", websocket.into_node(start));
    let mut upstreams = Emit::default();
    upstreams.text("balance", start, "round_robin");
    upstreams.number("keepalive", start, 0);
    upstreams.text("keepalive_time", start, "1h");
    upstreams.flag("last_resort", start, false);
    top.set("upstream_defaults", upstreams.into_node(start));
}

/// Headers that are hidden besides those that a level names.
pub(super) fn hidden() -> impl Iterator<Item = &'static str> {
    HIDDEN.into_iter()
}
