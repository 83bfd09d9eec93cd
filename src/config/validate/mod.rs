//! From raw sections to the model: defaults, inheritance, references, conflicts. Everything that is
//! asked of the machine goes through [`World`]. Every section is taken apart field by field, so that
//! a key nobody looks at does not compile.

mod auth;
mod bodies;
mod files;
mod geo;
mod headers;
mod limits;
mod listeners;
mod location;
mod logs;
mod proxy;
mod script;
mod server;
mod tls;
mod upstream;
mod variables;
mod websocket;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::diagnostic::{Diagnostic, Diagnostics, quote};
use super::model::{Config, CustomFormat, ListenAddr, MetricsEndpoint, Who};
use super::schema::{
    LocationKeys, MetricsSection, ServerKeys, ServerSection, TopSection, UpstreamKeys,
    WebSocketSection,
};
use super::section::Section as _;
use super::source::{At, Place};
use super::template::Template;
use super::values::{Address, Cidr, List};
use super::world::World;
use listeners::Listeners;
use upstream::Upstreams;
use variables::Variables;

/// Descriptors that are no connections: listeners, logs, epoll, pipes.
const SPARE_DESCRIPTORS: u64 = 64;

/// What validating needs and gathers on its way.
struct Context<'a> {
    world: &'a dyn World,
    out: &'a mut Diagnostics,
    variables: Variables,
    upstreams: Upstreams,
    log_formats: BTreeMap<String, Arc<CustomFormat>>,
    zones: limits::Zones,
    /// Files that are named, absolute.
    files: Vec<PathBuf>,
    /// Every default of the shared keys.
    defaults: Defaults,
}

/// The schema's defaults, read once.
struct Defaults {
    server: ServerSection,
    server_keys: ServerKeys,
    location: LocationKeys,
    /// With what the file has for every upstream.
    upstream: UpstreamKeys,
    websocket: WebSocketSection,
}

/// A value as messages show it: the content of a file may be a secret.
fn shown(text: &str, place: &Place) -> String {
    if place.is_from_file() { "a file's content".to_owned() } else { quote(text) }
}

impl Context<'_> {
    fn error(&mut self, place: &Place, message: impl Into<String>, help: &str) {
        self.out.push(Diagnostic::error(place, message).help(help));
    }

    fn warn(&mut self, place: &Place, message: impl Into<String>, help: &str) {
        self.out.push(Diagnostic::warning(place, message).help(help));
    }

    /// Parses a value with variables.
    fn template(&mut self, text: &At<String>) -> Template {
        self.variables.template(text, self.out)
    }

    /// The absolute path of a file that has to be readable.
    fn file(&mut self, path: &At<PathBuf>, what: &str) -> PathBuf {
        let absolute = path.place.resolve(path);
        if let Err(error) = self.world.check_file(&absolute) {
            let message =
                format!("{what} {} cannot be read: {error}", quote(&path.to_string_lossy()));
            let help = if path.is_absolute() {
                "check the path and its permissions".to_owned()
            } else {
                format!("it was looked for at {}", absolute.display())
            };
            self.error(&path.place, message, &help);
        }
        self.files.push(absolute.clone());
        absolute
    }

    /// The addresses of a listener; a host may have several.
    fn listen_addrs(&mut self, address: &Address, place: &Place) -> Vec<ListenAddr> {
        match address {
            Address::Ip(addr) => vec![ListenAddr::Tcp(*addr)],
            Address::Unix(path) => vec![ListenAddr::Unix(place.resolve(path))],
            Address::Host(host, port) => match self.world.resolve(host, *port) {
                Ok(found) => found.into_iter().map(ListenAddr::Tcp).collect(),
                Err(error) => {
                    let message = format!("host not found: {}: {error}", quote(host));
                    self.error(place, message, "write an address of this machine, or a port alone");
                    Vec::new()
                }
            },
        }
    }
}

/// Validates everything; `Some` unless there was an error.
pub(super) fn validate(
    top: &TopSection,
    start: &Place,
    world: &dyn World,
    out: &mut Diagnostics,
) -> Option<Config> {
    let defaults = Defaults {
        server: ServerSection::defaults(),
        server_keys: ServerKeys::defaults(),
        location: LocationKeys::defaults(),
        upstream: match top.upstream_defaults.get() {
            Some(keys) => keys.or(&UpstreamKeys::defaults()),
            None => UpstreamKeys::defaults(),
        },
        websocket: WebSocketSection::defaults(),
    };
    let mut variables = Variables::new(top.map.get(), top.geo.get(), out);
    script::declare(top, &mut |name| variables.declare(name));
    let mut cx = Context {
        world,
        out,
        variables,
        upstreams: Upstreams::default(),
        log_formats: BTreeMap::new(),
        zones: limits::Zones::default(),
        files: Vec::new(),
        defaults,
    };
    cx.variables.build_all(cx.out);
    for (name, (line, escape)) in top.log_format.get().into_iter().flat_map(|formats| &formats.0) {
        let format = CustomFormat { line: cx.template(line), escape: *escape };
        cx.log_formats.insert(name.clone(), Arc::new(format));
    }
    limits::zones(&mut cx, top);
    upstream::named(&mut cx, top.upstream.get());
    let config = whole(&mut cx, top, start);
    (!cx.out.has_errors()).then_some(config)
}

fn whole(cx: &mut Context<'_>, top: &TopSection, start: &Place) -> Config {
    let mut listeners = Listeners::default();
    let servers = servers(cx, top, start, &mut listeners);
    let metrics = top.metrics.get().and_then(|section| metrics(cx, section, &mut listeners));
    let TopSection {
        server_keys: _,
        keys: _,
        worker_processes,
        worker_connections: _,
        worker_shutdown_timeout,
        shutdown_timeout,
        pid,
        daemon,
        error_log,
        error_log_level,
        include: _,
        auto_reload,
        auto_reload_delay,
        // the context has them
        log_format: _,
        limit_req_zone: _,
        limit_conn_zone: _,
        map: _,
        geo: _,
        metrics: _,
        // `upstream` has it
        upstream_defaults: _,
        upstream: _,
        server: _,
    } = &top.or(&TopSection::defaults());
    let error_log = error_log.with_default();
    let delay = auto_reload_delay.with_default().0;
    Config {
        worker_processes: worker_processes
            .with_default()
            .0
            .unwrap_or_else(|| cx.world.parallelism()),
        worker_connections: worker_connections(cx, top),
        worker_shutdown_timeout: worker_shutdown_timeout.copied().and_then(|time| time.0),
        shutdown_timeout: shutdown_timeout.with_default().0,
        pid: pid.get().map(|path| path.place.resolve(path)),
        daemon: daemon.with_default().value,
        error_log: error_log.0.as_ref().map(|path| error_log.place.resolve(path)),
        error_log_level: error_log_level.with_default().value,
        auto_reload: auto_reload.with_default().then_some(delay),
        metrics,
        upstreams: cx.upstreams.finish(),
        listeners: listeners.finish(cx),
        variables: cx.variables.count(),
        asks_body: cx.variables.asks_body,
        servers,
        files: std::mem::take(&mut cx.files),
        include_dirs: Vec::new(),
    }
}

fn servers(
    cx: &mut Context<'_>,
    top: &TopSection,
    start: &Place,
    listeners: &mut Listeners,
) -> Vec<Arc<super::model::Server>> {
    let sections = top.server.get().map(|tables| tables.0.as_slice()).unwrap_or_default();
    if top.server.is_absent() || (sections.is_empty() && !cx.out.has_errors()) {
        cx.error(
            start,
            "the configuration has no `[[server]]`: there is nothing to serve",
            "the smallest one is\n\n[[server]]\nlisten = \"80\"\n\n[[server.location]]\npath = \"/\"\n\
             proxy_pass = \"http://127.0.0.1:8888\"",
        );
    }
    sections
        .iter()
        .enumerate()
        .map(|(index, section)| Arc::new(server::server(cx, index, section, top, listeners)))
        .collect()
}

/// Two descriptors for each connection; a limit that the system will not give is a warning.
fn worker_connections(cx: &mut Context<'_>, top: &TopSection) -> usize {
    let descriptors = cx.world.descriptors();
    let possible = usize::try_from(descriptors.saturating_sub(SPARE_DESCRIPTORS) / 2)
        .unwrap_or(usize::MAX)
        .max(1);
    let Some(wanted) = top.worker_connections.get() else {
        return possible;
    };
    let connections: usize = wanted.get();
    if connections > possible {
        let message = format!("`worker_connections` is more than the system allows: {connections}");
        let needed = connections as u64 * 2 + SPARE_DESCRIPTORS;
        let help = format!(
            "{descriptors} open files carry {possible} tunnels; raise the limit to {needed} \
             (`LimitNOFILE=` of systemd, `ulimit -n`)"
        );
        cx.warn(&wanted.place, message, &help);
    }
    connections
}

fn metrics(
    cx: &mut Context<'_>,
    section: &At<MetricsSection>,
    listeners: &mut Listeners,
) -> Option<MetricsEndpoint> {
    if section.listen.is_absent() {
        cx.error(
            &section.place,
            "`[metrics]` has no `listen`",
            "write `listen = \"127.0.0.1:9145\"`",
        );
    }
    let MetricsSection { listen, path, allow } = &section.or(&MetricsSection::defaults());
    let path = path.with_default();
    if !path.starts_with('/') || matches!(path.as_str(), "/healthz" | "/readyz") {
        let message = format!("`path` cannot be the page of metrics: {}", quote(path));
        cx.error(
            &path.place,
            message,
            "write such as `\"/metrics\"`; `/healthz` and `/readyz` are taken",
        );
    }
    let listen = listen.get()?;
    let addr = cx.listen_addrs(listen, &listen.place).into_iter().next()?;
    listeners.reserve(cx, &addr, &listen.place);
    Some(MetricsEndpoint {
        listen: addr,
        path: path.value.clone(),
        allow: networks(allow.with_default()),
    })
}

fn networks(list: &List<Cidr>) -> Vec<IpNet> {
    let everybody = [IpNet::from(Ipv4Net::default()), IpNet::from(Ipv6Net::default())];
    let mut networks = Vec::new();
    for cidr in list.iter() {
        match &cidr.0 {
            Who::All => networks.extend(everybody),
            Who::Net(net) => networks.push(*net),
            Who::Unix => {}
        }
    }
    networks
}
