//! Everything one configuration became: tables, handles, acceptors. Immutable; a reload builds
//! another one beside it. Not here: when it is swapped (`server`).

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::Shared;
use super::dynamic::Targets;
use super::route::{Found, RouteTable};
use crate::access_log::Log;
use crate::config::model::{
    Action, Config, ListenAddr, Location, Pattern, Policy, Proxy, Server, ServerName,
};
use crate::config::names::NameTable;
use crate::metrics::{ServerSeries, TunnelSeries};
use crate::net::tls::{Acceptor, CertificateFacts, ClientAuth, Connector, TlsError, load_pair};
use crate::relay::RouteKey;
use crate::upstream::{ConnectOptions, Upstream};

/// Everything one configuration became, immutable.
#[derive(Debug)]
pub struct Generation {
    config: Arc<Config>,
    revision: u64,
    sites: Vec<Site>,
    entrances: BTreeMap<ListenAddr, Entrance>,
    certificates: Vec<(usize, CertificateFacts)>,
}

/// Why a configuration that is valid in itself cannot run here.
#[derive(Debug)]
pub enum BuildError {
    /// A certificate, key or trust anchor.
    Tls(TlsError),
    /// An access log cannot be opened.
    AccessLog {
        /// Its path.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

impl std::fmt::Display for BuildError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tls(error) => error.fmt(f),
            Self::AccessLog { path, error } => {
                writeln!(f, "{}: the access log cannot be opened: {error}", path.display())?;
                f.write_str("help: create the folder, or let the user of this process write there")
            }
        }
    }
}

impl std::error::Error for BuildError {}

/// Loads every certificate and key of a configuration, as [`Generation::build`] would; gives back
/// the facts of each certificate with its server's index.
pub fn check(config: &Config) -> Result<Vec<(usize, CertificateFacts)>, BuildError> {
    let mut certificates = Vec::new();
    for (index, server) in config.servers.iter().enumerate() {
        for pair in &server.certificates {
            let (_, facts) = load_pair(pair).map_err(BuildError::Tls)?;
            certificates.push((index, facts));
        }
        for location in server.every_location() {
            if let Action::Proxy(proxy) = &location.action
                && let Some(tls) = &proxy.tls
            {
                Connector::new(tls).map_err(BuildError::Tls)?;
            }
        }
    }
    Ok(certificates)
}

/// Whether a location's peers are reached without TLS, as far as is known before a request.
fn is_light(location: &Location) -> bool {
    match &location.action {
        Action::Proxy(proxy) => proxy.tls.is_none() && proxy.target.is_none(),
        _ => true,
    }
}

/// A server, running.
#[derive(Debug)]
pub(super) struct Site {
    /// Somebody asks for `$request_body`.
    pub(super) asks_body: bool,
    pub(super) label: Arc<str>,
    pub(super) model: Arc<Server>,
    pub(super) series: Arc<ServerSeries>,
    /// `ssl_verify_client`
    pub(super) clients: Option<Arc<ClientAuth>>,
    /// Some of its requests are logged.
    pub(super) logs: bool,
    /// The names with groups, whose variables a request may ask for.
    patterns: Vec<Pattern>,
    table: RouteTable,
    /// What holds outside of locations comes first.
    routes: Vec<Route>,
}

/// A location, running.
#[derive(Debug)]
pub(super) struct Route {
    /// How the names of headers that are added are spelt.
    pub(super) spelling: Arc<[String]>,
    pub(super) name: Arc<str>,
    pub(super) location: Arc<Location>,
    /// Where its requests go, where variables tell.
    pub(super) targets: Option<Targets>,
    /// What holds under an `if` of its script, by the number of the branch.
    branches: Vec<usize>,
    pub(super) logs: Vec<Log>,
    /// Of a `proxy_pass`.
    pub(super) upstream: Option<RouteUpstream>,
}

/// Where a route's requests go.
#[derive(Debug)]
pub(super) struct RouteUpstream {
    pub(super) key: RouteKey,
    pub(super) name: Arc<str>,
    pub(super) upstream: Arc<Upstream>,
    pub(super) connect: ConnectOptions,
    /// Tells routes apart that reach the same peers by other TLS settings.
    pub(super) pool_key: u64,
    pub(super) tunnels: Arc<TunnelSeries>,
}

/// A listener's servers.
#[derive(Debug)]
struct Entrance {
    names: NameTable,
    default: usize,
    acceptor: Option<Acceptor>,
    /// Nothing on the way to a tunnel keeps a thread long: no TLS on either leg.
    opens_at_home: bool,
}

impl Generation {
    /// Builds the running form. Changes nothing that is running, except that it opens new log files.
    pub fn build(config: Arc<Config>, revision: u64, shared: &Shared) -> Result<Self, BuildError> {
        let upstreams: HashMap<&str, Arc<Upstream>> = config
            .upstreams
            .iter()
            .map(|upstream| (upstream.name.as_str(), shared.registry.upstream(upstream)))
            .collect();
        let by_name = upstreams.iter();
        let by_name =
            by_name.map(|(name, upstream)| ((*name).to_owned(), Arc::clone(upstream))).collect();
        let keys = HashMap::new();
        let mut builder = Builder {
            asks_body: config.asks_body,
            shared,
            revision,
            upstreams,
            named: Arc::new(by_name),
            keys,
            connectors: Vec::new(),
        };
        let sites: Result<Vec<_>, _> =
            config.servers.iter().map(|server| builder.site(server)).collect();
        let mut certificates = Vec::new();
        let mut entrances = BTreeMap::new();
        for listener in &config.listeners {
            let servers: Vec<&Server> =
                listener.servers.iter().map(|index| config.servers[*index].as_ref()).collect();
            let default = listener.default_server;
            let position = listener.servers.iter().position(|index| *index == default);
            let acceptor = if listener.tls {
                let tickets = Arc::clone(&shared.tickets);
                let (acceptor, facts) = Acceptor::new(&servers, position.unwrap_or(0), tickets)
                    .map_err(BuildError::Tls)?;
                certificates
                    .extend(facts.into_iter().map(|(at, fact)| (listener.servers[at], fact)));
                Some(acceptor)
            } else {
                None
            };
            let names = listener.servers.iter().zip(&servers);
            let names = names.map(|(index, server)| (*index, server.names.as_slice()));
            let names = NameTable::new(names, default);
            let opens_at_home = !listener.tls
                && matches!(listener.addr, ListenAddr::Tcp(_))
                && servers
                    .iter()
                    .flat_map(|server| server.every_location())
                    .all(|location| is_light(location));
            let entrance = Entrance { names, default, acceptor, opens_at_home };
            entrances.insert(listener.addr.clone(), entrance);
        }
        certificates.dedup();
        Ok(Self { revision, sites: sites?, entrances, certificates, config })
    }

    /// The configuration.
    pub const fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// Which configuration of this process it is.
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// The server that answers on a listener when no name fits. Its limits hold before a name is
    /// known.
    pub fn default_server(&self, listener: &ListenAddr) -> Option<&Arc<Server>> {
        self.entrances.get(listener).map(|entrance| &self.sites[entrance.default].model)
    }

    /// Whether a listener's tunnels can be opened by the threads that carry them.
    pub fn opens_at_home(&self, listener: &ListenAddr) -> bool {
        self.entrances.get(listener).is_some_and(|entrance| entrance.opens_at_home)
    }

    /// The TLS acceptor of a listener, and how long a handshake may take.
    pub fn acceptor(&self, listener: &ListenAddr) -> Option<(Acceptor, Duration)> {
        let entrance = self.entrances.get(listener)?;
        let timeout = self.sites[entrance.default].model.ssl_handshake_timeout;
        entrance.acceptor.clone().map(|acceptor| (acceptor, timeout))
    }

    /// Every route's clocks and limits, for `Engine::set_policies`.
    pub fn policies(&self) -> HashMap<RouteKey, Arc<Policy>> {
        let routes = self.sites.iter().flat_map(|site| &site.routes);
        routes
            .filter_map(|route| {
                let key = Arc::clone(&route.upstream.as_ref()?.key);
                Some((key, Arc::clone(&route.proxy()?.websocket.policy)))
            })
            .collect()
    }

    /// The certificates in use, each with its server.
    pub fn certificates(&self) -> impl Iterator<Item = (&Arc<Server>, &CertificateFacts)> {
        self.certificates.iter().map(|(server, facts)| (&self.config.servers[*server], facts))
    }

    /// The server of a host name on a listener; `None` when the listener is gone.
    pub(super) fn site(&self, listener: &ListenAddr, host: &str) -> Option<&Site> {
        self.entrances.get(listener).map(|entrance| &self.sites[entrance.names.find(host)])
    }
}

impl Site {
    /// The route of a normalised path.
    pub(super) fn route(&self, path: &str) -> Option<(&Route, Found)> {
        self.table.find(path).map(|found| (&self.routes[found.location], found))
    }

    /// The route of a location `@name`.
    pub(super) fn named(&self, name: &str) -> Option<&Route> {
        self.table.named(name).map(|index| &self.routes[index])
    }

    /// What holds outside of its locations.
    pub(super) fn own(&self) -> &Route {
        &self.routes[0]
    }

    /// What holds under an `if` of a route.
    pub(super) fn branch(&self, route: &Route, number: usize) -> &Route {
        &self.routes[route.branches[number]]
    }

    /// The pattern among its names that a host fits, when it has groups.
    pub(super) fn pattern(&self, host: &str) -> Option<&Pattern> {
        self.patterns.iter().find(|pattern| pattern.regex.is_match(host))
    }
}

impl Route {
    pub(super) fn proxy(&self) -> Option<&Proxy> {
        match &self.location.action {
            Action::Proxy(proxy) => Some(proxy),
            Action::Return(_) | Action::Files | Action::Status | Action::Nothing => None,
        }
    }
}

/// What is gathered while building.
struct Builder<'a> {
    asks_body: bool,
    shared: &'a Shared,
    revision: u64,
    upstreams: HashMap<&'a str, Arc<Upstream>>,
    /// The same, for those that variables pick.
    named: Arc<HashMap<String, Arc<Upstream>>>,
    /// How often a route's name has been given.
    keys: HashMap<String, usize>,
    /// By their settings: sessions and pools are shared by routes that speak TLS alike.
    connectors: Vec<(Arc<crate::config::model::ProxyTls>, Connector)>,
}

impl Builder<'_> {
    fn site(&mut self, server: &Arc<Server>) -> Result<Site, BuildError> {
        let mut routes = Vec::new();
        self.route(server, &server.own, &mut routes)?;
        let table = self.table(server, &server.locations, &mut routes)?;
        let clients = server.clients.as_deref().map(ClientAuth::load);
        let patterns = server.names.iter().filter_map(|name| match name {
            ServerName::Regex(pattern) if pattern.captures() => Some(pattern.clone()),
            _ => None,
        });
        Ok(Site {
            asks_body: self.asks_body,
            label: server.label.as_str().into(),
            series: self.shared.metrics.server(&server.label),
            clients: clients.transpose().map_err(BuildError::Tls)?.map(Arc::new),
            patterns: patterns.collect(),
            table,
            logs: routes.iter().any(|route| !route.logs.is_empty()),
            routes,
            model: Arc::clone(server),
        })
    }

    /// Builds locations that stand beside each other, with all that stands in them.
    fn table(
        &mut self,
        server: &Server,
        locations: &[Arc<Location>],
        routes: &mut Vec<Route>,
    ) -> Result<RouteTable, BuildError> {
        let mut table = RouteTable::default();
        for location in locations {
            let index = self.route(server, location, routes)?;
            let nested = self.table(server, &location.nested, routes)?;
            table.add(&location.path, index, nested);
            if matches!(location.action, Action::Proxy(_)) {
                table.add_slash(&location.path, index);
            }
        }
        Ok(table)
    }

    /// Builds a location and the branches of its script; gives back its number.
    fn route(
        &mut self,
        server: &Server,
        location: &Arc<Location>,
        routes: &mut Vec<Route>,
    ) -> Result<usize, BuildError> {
        let open = |log| {
            self.shared
                .log_writer
                .open(log)
                .map_err(|error| BuildError::AccessLog { path: log.path.shown(), error })
        };
        let logs: Result<Vec<_>, _> = location.access_logs.iter().map(open).collect();
        let logs = logs?;
        let targets = match &location.action {
            Action::Proxy(proxy) if proxy.target.is_some() => Some(Targets {
                named: Arc::clone(&self.named),
                registry: Arc::clone(&self.shared.registry),
                key: self.key(format!("{}|{}|variable", server.label, location.name)),
                tunnels: self.shared.metrics.tunnels(&server.label, "variable"),
                made: Mutex::default(),
            }),
            _ => None,
        };
        let upstream = match &location.action {
            Action::Proxy(proxy) => self.upstream(server, location, proxy)?,
            Action::Return(_) | Action::Files | Action::Status | Action::Nothing => None,
        };
        let name = location.name.as_str().into();
        let index = routes.len();
        let branches = Vec::with_capacity(location.branches.len());
        let spelling = location.add_headers.iter().map(|header| header.spelled.clone()).collect();
        routes.push(Route {
            spelling,
            name,
            location: Arc::clone(location),
            branches,
            logs,
            targets,
            upstream,
        });
        for branch in &location.branches {
            let number = self.route(server, branch, routes)?;
            routes[index].branches.push(number);
        }
        Ok(index)
    }

    fn upstream(
        &mut self,
        server: &Server,
        location: &Location,
        proxy: &Proxy,
    ) -> Result<Option<RouteUpstream>, BuildError> {
        // Validation has made sure that it is there.
        let Some(upstream) = self.upstreams.get(proxy.upstream.as_str()).cloned() else {
            return Ok(None);
        };
        let tls = proxy.tls.as_ref().map(|config| self.connector(config)).transpose()?;
        // Certificates may have changed in the files: another generation's TLS connections are
        // not this one's.
        let pool_key = tls.as_ref().map_or(0, |(_, index)| (self.revision << 16) + index + 1);
        Ok(Some(RouteUpstream {
            key: self.key(format!("{}|{}|{}", server.label, location.name, proxy.upstream)),
            name: proxy.upstream.as_str().into(),
            connect: ConnectOptions {
                timeout: proxy.connect_timeout,
                bind: proxy.bind.clone(),
                next_bind: AtomicUsize::new(0),
                tls: tls.map(|(connector, _)| connector),
            },
            pool_key,
            tunnels: self.shared.metrics.tunnels(&server.label, &proxy.upstream),
            upstream,
        }))
    }

    fn connector(
        &mut self,
        config: &Arc<crate::config::model::ProxyTls>,
    ) -> Result<(Connector, u64), BuildError> {
        let known = self.connectors.iter().position(|(other, _)| other == config);
        let index = match known {
            Some(index) => index,
            None => {
                let connector = Connector::new(config).map_err(BuildError::Tls)?;
                self.connectors.push((Arc::clone(config), connector));
                self.connectors.len() - 1
            }
        };
        Ok((self.connectors[index].1.clone(), index as u64))
    }

    /// A name of its own for each route, the same in every generation.
    fn key(&mut self, name: String) -> RouteKey {
        let count = self.keys.entry(name.clone()).or_insert(0);
        *count += 1;
        if *count == 1 { name.into() } else { format!("{name}#{count}").into() }
    }
}
