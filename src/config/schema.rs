//! The raw configuration: every section and key there is, with its type, default, nginx's word and
//! meaning. The reference page and the JSON Schema are printed from here. Not here: what values may
//! refer to (`validate`) and what becomes of them (`model`).
//!
//! The letters behind nginx's word say what a reload does: **N** new requests and tunnels only; **A**
//! at once, live tunnels too; **L** the set of listeners is compared, unchanged sockets are kept;
//! **R** needs a restart.

use std::net::IpAddr;
use std::path::PathBuf;

use http::HeaderName;

use super::model::{
    Balance, GzipProxied, LocationPath, LogCache, LogLevel, RealIpHeader, ServerName,
};
use super::section::section;
use super::values::{
    AccessLogValue, AddHeaders, Address, Assignments, Cidr, ErrorLog, ErrorPageValue, GeoValues,
    Headers, HttpVersion, Inherit, Int, LimitConn, LimitReq, List, Listen, LogFormats, MapValues,
    Named, NextWord, OriginValue, PeerValue, Percent, Rate, RedirectValue, ReturnValue, Satisfy,
    Sender, Size, SizeOrOff, Steps, Tables, Text, Time, TimeOrOff, Timeout, TlsVersion, Token,
    Types, VerifyWord, Workers, Written,
};

section! {
    /// The top of the file, above the first header.
    struct TopSection as "the top of the file" with server_keys: ServerKeys, keys: LocationKeys {
        /// Threads that carry tunnels, and as many that do everything else; `"auto"` is one per core.
        worker_processes: Workers { default("auto"); "worker_processes (threads here)"; R }
        /// Connections from clients at most, in the whole process.
        worker_connections: Int<1, 100_000_000> { unset("from RLIMIT_NOFILE: two descriptors each"); "same (for each process there)"; A }
        /// How long QUIT waits for tunnels before it closes them.
        worker_shutdown_timeout: TimeOrOff { unset("for ever"); "same"; A }
        /// How long TERM waits for tunnels before it closes them.
        shutdown_timeout: Time { default("25s"); "–"; A }
        /// Where the process id is written.
        pid: PathBuf { unset("nowhere"); "same"; R }
        /// Run in the background: the command ends when all is bound and the pid file is written.
        daemon: bool { default(false); "same (on)"; R }
        /// Where the error log goes.
        error_log: ErrorLog { default("stderr"); "error_log"; A }
        /// The least severe event that is logged.
        error_log_level: LogLevel { default("warn"); "error_log"; A }
        /// More files, as patterns: `"conf.d/*.toml"`, relative to this file, sorted. Arrays and
        /// upstreams add up; any other key may be set in one file only.
        include: List<Text> { default([]); "same"; A }
        /// Reload when a configuration file or a certificate changes.
        auto_reload: bool { default(true); "–"; A }
        /// How long nothing more may happen before that; at most ten times as long in all.
        auto_reload_delay: Time { default("300ms"); "–"; A }
        /// Lines of access logs by name: `{ short = "$remote_addr $status" }`.
        log_format: LogFormats { unset("none"); "same"; N }
        /// What `limit_req` counts in.
        limit_req_zone: Named<RateZoneSection> { unset("none"); "same"; N }
        /// What `limit_conn` counts in.
        limit_conn_zone: Named<PlaceZoneSection> { unset("none"); "same"; N }
        /// Variables computed from others.
        map: Tables<MapSection> { unset("none"); "map"; N }
        /// Variables that an address decides.
        geo: Tables<GeoSection> { unset("none"); "geo"; N }
        /// Prometheus' page.
        metrics: MetricsSection { unset("off"); "stub_status and an exporter"; L }
        /// What holds for every upstream, those that a `proxy_pass` address makes too.
        upstream_defaults: UpstreamKeys { unset("the defaults below"); "–"; A }
        /// Named groups of peers.
        upstream: Named<UpstreamSection> { unset("none"); "upstream"; A }
        /// Virtual servers.
        server: Tables<ServerSection> { required(); "server"; N }
    }
}

section! {
    /// A zone of `limit_req`: how often requests of one key may come.
    struct RateZoneSection as "[limit_req_zone.NAME]" {
        /// What tells clients apart, with variables; an empty one is not limited.
        key: Text { required(); "limit_req_zone"; N }
        /// How many keys are remembered.
        keys: Int<1, 10_000_000> { default(16_000); "zone=NAME:SIZE"; N }
        /// How often: `"10r/s"` or `"30r/m"`.
        rate: Rate { required(); "rate="; N }
    }
}

section! {
    /// A zone of `limit_conn`: how many requests and tunnels of one key there may be at a time.
    struct PlaceZoneSection as "[limit_conn_zone.NAME]" {
        /// What tells clients apart, with variables; an empty one is not limited.
        key: Text { required(); "limit_conn_zone"; N }
        /// How many keys are remembered; beyond that new ones are refused.
        keys: Int<1, 10_000_000> { default(16_000); "zone=NAME:SIZE"; N }
    }
}

section! {
    /// Where metrics are served; `/healthz` and `/readyz` stand beside the page.
    struct MetricsSection as "[metrics]" {
        /// The address.
        listen: Address { required(); "–"; L }
        /// The path of the page.
        path: Text { default("/metrics"); "–"; L }
        /// Who may read it; clients of a Unix socket always may.
        allow: List<Cidr> { default(["127.0.0.0/8", "::1"]); "allow"; L }
    }
}

section! {
    /// A variable computed from others.
    struct MapSection as "[[map]]" {
        /// What is looked up, such as `"$http_upgrade"`.
        source: Text { required(); "map"; N }
        /// The variable that gets the result, such as `"$connection_upgrade"`.
        variable: Text { required(); "map"; N }
        /// Results by value. Case does not count; a key `"~re"` or `"~*re"` is a regular expression.
        /// Results may hold variables.
        values: MapValues { unset("none"); "map"; N }
        /// The result when nothing fits.
        default: Text { default(""); "default"; N }
        /// Values may be host names with `*`: `"*.example.org"`, `".example.org"`, `"example.*"`.
        hostnames: bool { unset("false"); "same"; N }
    }
}

section! {
    /// A variable that an address decides.
    struct GeoSection as "[[geo]]" {
        /// The address, such as `"$arg_ip"`; whatever is none counts as 255.255.255.255.
        source: Text { default("$remote_addr"); "geo"; N }
        /// The variable that gets the result, such as `"$place"`.
        variable: Text { required(); "geo"; N }
        /// Results by network or range: `{ "10.0.0.0/8" = "inside", "192.0.2.1-192.0.2.9" = "lab" }`. Of several
        /// that fit, the innermost holds. Results are text without variables.
        values: GeoValues { unset("none"); "geo"; N }
        /// The result when nothing fits.
        default: Text { default(""); "default"; N }
        /// Addresses and networks of proxies: instead of one of these, the last address of `X-Forwarded-For` is looked
        /// up.
        proxy: List<Cidr> { default([]); "same"; N }
        /// From the right of that list, addresses of `proxy` are skipped.
        proxy_recursive: bool { default(false); "same"; N }
    }
}

section! {
    /// A group of peers that `proxy_pass = "http://NAME"` refers to.
    struct UpstreamSection as "[upstream.NAME]" with keys: UpstreamKeys {
        /// The peers: `"host:port"`, nginx's words, or tables.
        servers: List<PeerValue> { required(); "server"; A }
    }
}

section! {
    /// Keys of an upstream that may also stand in `[upstream_defaults]`.
    struct UpstreamKeys as "[upstream.NAME], [upstream_defaults]" {
        /// How a peer is picked: the fewest active tunnels and requests for its weight, in turn, or
        /// the less busy of two taken at random. Or the one that a key belongs to: `"hash"` and
        /// `"consistent_hash"` of `hash`, `"ip_hash"` of the client's address.
        balance: Balance { default("least_conn"); "least_conn, random, hash, ip_hash"; A }
        /// The key, with variables.
        hash: Text { unset("needed for `hash` and `consistent_hash`"); "hash"; A }
        /// Idle HTTP connections kept, for each peer.
        keepalive: Int<0, 65535> { default(32); "same"; A }
        /// How long they are kept.
        keepalive_timeout: Time { default("60s"); "same"; A }
        /// Requests on one of them at most.
        keepalive_requests: Int<1, { i64::MAX }> { default(1000); "same"; A }
        /// How old one of them may become: then it is not kept any more.
        keepalive_time: Time { unset("any age"); "same (1h)"; A }
        /// When all peers have failed (`max_fails`), one of them is tried all the same; else the answer is 502 at once.
        last_resort: bool { default(true); "off"; A }
    }
}

section! {
    /// A virtual server.
    struct ServerSection as "[[server]]" with server_keys: ServerKeys, keys: LocationKeys {
        /// Where it listens: a port, `"443 ssl"`, `"[::]:443 ssl default_server"`,
        /// `"unix:/run/x.sock"`, a table, or a list of them. The options are `ssl`,
        /// `default_server`, `proxy_protocol`, `backlog=N` and `ipv6only=off`.
        listen: List<Listen> { required(); "listen"; L }
        /// Its names: exact, `"*.example.org"`, `"www.example.*"`, `".example.org"`, or `"~regex"`.
        server_name: List<Written<ServerName>> { default("_"); "same"; N }
        /// How long a TLS handshake may take.
        ssl_handshake_timeout: Timeout { default("10s"); "–"; N }
        /// Steps for every request, before its location is looked for: see the steps of a location.
        rewrite: Steps { unset("none"); "rewrite, set, if, return, break"; N }
        /// Paths that are looked for below `root`, where no location fits: see that of a location.
        try_files: List<Text> { unset("none"); "same"; N }
        /// The answer to every request, where there is no location.
        r#return: ReturnValue { unset("none"); "return"; N }
        /// What is served under which path.
        location: Tables<LocationSection> { unset("none"); "location"; N }
    }
}

section! {
    /// Keys of a server that may also stand at the top of the file, as defaults for all servers.
    struct ServerKeys as "[[server]], or the top" {
        /// PEM files with the certificate and its chain, several for several kinds of keys. With
        /// `$ssl_server_name`, `$remote_addr`, `$server_addr`, `$server_port` in the name, the file
        /// is read at each handshake.
        ssl_certificate: List<PathBuf> { unset("needed for `ssl`"); "same"; N }
        /// PEM files with the private keys, in the same order.
        ssl_certificate_key: List<PathBuf> { unset("needed for `ssl`"); "same"; N }
        /// A file with passwords of the private keys, one on each line.
        ssl_password_file: PathBuf { unset("none"); "same"; N }
        /// TLS versions that are offered.
        ssl_protocols: List<TlsVersion> { default(["TLSv1.2", "TLSv1.3"]); "same"; N }
        /// Clients keep their sessions themselves, as tickets.
        ssl_session_tickets: bool { default(true); "same"; N }
        /// Sessions of clients without tickets are kept here; those of the default server's
        /// listener for all of its names, as with the other keys of sessions.
        ssl_session_cache: bool { default(true); "same (off, none, builtin, shared)"; N }
        /// How long sessions may be resumed.
        ssl_session_timeout: Time { default("12h"); "same (5m)"; N }
        /// Whether clients are asked for a certificate: `"on"` refuses those without one that is
        /// trusted, `"optional"` takes those without any, `"optional_no_ca"` also those of unknown
        /// authorities (`$ssl_client_verify` says which it was).
        ssl_verify_client: VerifyWord { default("off"); "same"; N }
        /// PEM file with the authorities of clients' certificates, whose names clients are told.
        ssl_client_certificate: PathBuf { unset("none"); "same"; N }
        /// PEM file with more authorities of clients' certificates.
        ssl_trusted_certificate: PathBuf { unset("none"); "same"; N }
        /// The most certificates between a client's and its authority's root.
        ssl_verify_depth: Int<0, 100> { default(1); "same"; N }
        /// PEM file with lists of revoked certificates, one of every authority in use.
        ssl_crl: PathBuf { unset("none"); "same"; N }
        /// Every handshake for the server's names is refused; it needs no certificate.
        ssl_reject_handshake: bool { default(false); "same"; N }
        /// How long a request's head may take.
        client_header_timeout: Timeout { default("10s"); "same (60s)"; N }
        /// How long a pause in a request's body may be.
        client_body_timeout: Timeout { default("60s"); "same"; N }
        /// How long the client may take no byte of an answer.
        send_timeout: Timeout { default("60s"); "same"; N }
        /// The longest head of a request; longer ones are refused.
        large_client_header_buffers: Size<64, 16_777_216> { default("32k"); "same (4 8k)"; N }
        /// The most header fields of a request; more are refused.
        max_headers: Int<1, 10_000> { default(100); "same"; N }
        /// Several slashes of a path in a row count as one.
        merge_slashes: bool { default(true); "same"; N }
        /// Names of header fields that have an underscore go on to upstreams; else such fields are left out.
        underscores_in_headers: bool { default(false); "same"; N }
        /// Leave out header fields whose names have more than letters, digits and hyphens.
        ignore_invalid_headers: bool { default(false); "same (on)"; N }
        /// Requests to change to another protocol than WebSocket go where those for it go, and become tunnels whose
        /// bytes nobody looks at; those for `h2c` never do. Else they are plain requests.
        other_upgrades: bool { default(false); "always so"; N }
        /// Take what nginx takes and RFC 9112 lets a server take: lines of a head that end with LF alone (§2.2),
        /// and an absolute target beside another `Host`, which it replaces (§3.2.2); and PROXY protocol headers of
        /// families that nobody knows, which tell nothing then. Else these are refused.
        lenient_heads: bool { default(false); "always so"; N }
    }
}

section! {
    /// What is served under a path. The longest prefix wins, unless a regular expression fits:
    /// nginx's order.
    struct LocationSection as "[[server.location]]" with keys: LocationKeys {
        /// `"/p"`, `"= /p"`, `"^~ /p"`, `"~ regex"` or `"~* regex"`; `"@name"` is for `error_page` alone.
        path: Written<LocationPath> { required(); "location"; N }
        /// Where requests go: `"http://host:port"`, `"https://…"`, `"http://UPSTREAM"` or
        /// `"http://unix:/path"`. A path behind it replaces the part that the location matched.
        proxy_pass: Text { unset("none"); "same"; N }
        /// An answer made here: a status, `"301 https://$host$request_uri"`, or a table. `444` answers
        /// nothing and closes the connection.
        r#return: ReturnValue { unset("none"); "return"; N }
        /// Steps before anything else, in nginx's words (`"^/old/(.*)$ /new/$1 last"`, `"break"`) or as
        /// tables (`{ set = "$limit", value = "5" }`, `{ if = "$slow", return = 403 }`).
        rewrite: Steps { unset("none"); "rewrite, set, if, return, break"; N }
        /// The file or folder that stands for the part of the path that the location matched, with
        /// variables (`$1` of a regular expression).
        alias: Text { unset("none"); "same"; N }
        /// Paths that are looked for below `root` or `alias`, with variables; one with a slash at its end is a
        /// folder. The first that is there becomes the path; else the last is a path to go on with, `"@name"` or a
        /// status: `"=404"`.
        try_files: List<Text> { unset("none"); "same"; N }
        /// Only what is redirected here inside of Wayhold is served; others get 404.
        internal: bool { default(false); "same"; N }
        /// Answers with how many connections and requests there are, in the form of nginx's module; `metrics` tells
        /// more.
        stub_status: bool { default(false); "same"; N }
        /// Locations in this one, which inherit from it.
        location: Tables<LocationSection> { unset("none"); "location"; N }
    }
}

section! {
    /// Keys of a location that may also stand in `[[server]]` and at the top of the file, as
    /// defaults.
    struct LocationKeys as "[[server.location]], [[server]], or the top" with proxy: ProxyKeys, proxy_ssl: ProxySslKeys, files: FileKeys, bodies: BodyKeys, auth: AuthKeys, limits: LimitKeys {
        /// Headers added to the answer, with variables; add to those of outer sections. A value may be a
        /// table, `{ value = "…", always = true }`: then the header is added whatever the status.
        add_header: AddHeaders { unset("none"); "same"; N }
        /// Whether `add_header` of an inner section adds to outer ones, or replaces them all.
        add_header_inherit: Inherit { default("merge"); "replace"; N }
        /// Clients let in, checked with `deny` in the order written; the first that fits decides.
        /// A section with either of the two takes nothing from outer ones.
        allow: List<Cidr> { unset("everybody"); "same"; N }
        /// Clients kept out with 403; see `allow`.
        deny: List<Cidr> { unset("nobody"); "same"; N }
        /// Proxies that are believed about the client's address; names are looked up when the configuration is
        /// read.
        set_real_ip_from: List<Sender> { default([]); "same"; N }
        /// The header that tells it, or `"proxy_protocol"`.
        real_ip_header: RealIpHeader { default("X-Forwarded-For"); "same (X-Real-IP)"; N }
        /// Skip believed addresses from the right of the header's list.
        real_ip_recursive: bool { default(true); "same (off)"; N }
        /// Behind `listen … proxy_protocol` the client is whom that header names, unless `set_real_ip_from`
        /// names other senders; else only with `real_ip_header = "proxy_protocol"`.
        proxied_is_client: bool { default(true); "never"; N }
        /// The longest body of a request; longer ones are refused. `"off"` is no limit.
        client_max_body_size: SizeOrOff { default("1m"); "same"; N }
        /// The longest body that `$request_body` holds. Where no value asks for that, bodies are streamed.
        client_body_buffer_size: Size<0, 1_073_741_824> { default("16k"); "same"; N }
        /// How long an idle connection from a client is kept after an answer; `"0"` closes it then.
        keepalive_timeout: Time { default("75s"); "same"; N }
        /// How old a connection from a client may become: then its next answer is the last.
        keepalive_time: Time { unset("any age"); "same (1h)"; N }
        /// Answers say `Connection: keep-alive`, which goes without saying in HTTP/1.1; a time is also told in
        /// `Keep-Alive`: `"0"` is none.
        keepalive_header: Time { unset("nothing is said"); "always so; keepalive_timeout's second argument"; N }
        /// The most requests on one connection from a client.
        keepalive_requests: Int<1, { i64::MAX }> { default(1000); "same"; N }
        /// What answers in place of errors: `"404 /404.html"`, `"502 504 =503 @sorry"`, or tables.
        error_page: List<ErrorPageValue> { unset("none"); "same"; N }
        /// Errors of such pages have pages themselves.
        recursive_error_pages: bool { default(false); "same"; N }
        /// Where requests and tunnels are logged.
        access_log: List<AccessLogValue> { default("off"); "same (on)"; N }
        /// How many log files that variables name stay open: `"max=1000 inactive=20s min_uses=2 valid=1m"`, of
        /// which `max` must be there.
        open_log_file_cache: LogCache { default("off"); "same"; N }
        /// What holds for WebSocket tunnels.
        websocket: WebSocketSection { unset("its defaults"); "–"; A }
    }
}

section! {
    /// Who is let in besides `allow` and `deny`. These keys too may stand further up, as defaults.
    struct AuthKeys as "[[server.location]], [[server]], or the top: who is let in" {
        /// Asks for a user and a password (RFC 7617), for this realm; with variables.
        auth_basic: Text { default("off"); "same"; N }
        /// The file of users, `name:hash` on each line, read for each request; with variables. Hashes are those of
        /// htpasswd (apr1, bcrypt, `{SHA}`) and crypt (`$1$`, `$5$`, `$6$`), `{SSHA}` and `{PLAIN}`.
        auth_basic_user_file: Text { unset("none"); "same"; N }
        /// A path that is asked for first, with the headers of the request: 2xx lets it in, 401 and 403 do not. Also
        /// for handshakes of tunnels.
        auth_request: Text { default("off"); "same"; N }
        /// Variables that are set once that is answered: `{ "$user" = "$upstream_http_x_user" }`.
        auth_request_set: Assignments { unset("none"); "same"; N }
        /// `"all"` of `allow` and `deny`, `auth_basic`, `auth_request` have to agree, or `"any"` is enough.
        satisfy: Satisfy { default("all"); "same"; N }
    }
}

section! {
    /// How often requests may come, and how many there may be. These keys too may stand further up, as
    /// defaults.
    struct LimitKeys as "[[server.location]], [[server]], or the top: limits" {
        /// Zones that a request is counted in, in nginx's words: `"zone=NAME burst=5 nodelay"` (`delay=2`).
        limit_req: List<LimitReq> { unset("none"); "same"; N }
        /// The status of what comes too often.
        limit_req_status: Int<400, 599> { default(503); "same"; N }
        /// Count, but let everything through.
        limit_req_dry_run: bool { default(false); "same"; N }
        /// The level of the error log for what comes too often; what waits is one below.
        limit_req_log_level: LogLevel { default("error"); "same"; N }
        /// Zones that a request or tunnel takes a place in until it ends: `"NAME 10"`.
        limit_conn: List<LimitConn> { unset("none"); "same"; N }
        /// The status where no place is left.
        limit_conn_status: Int<400, 599> { default(503); "same"; N }
        /// Count, but let everything through.
        limit_conn_dry_run: bool { default(false); "same"; N }
        /// The level of the error log for what finds no place.
        limit_conn_log_level: LogLevel { default("error"); "same"; N }
    }
}

section! {
    /// Files, where a location neither proxies nor returns. These keys too may stand further up, as
    /// defaults.
    struct FileKeys as "[[server.location]], [[server]], or the top: files" {
        /// The folder that paths are looked for in, with variables.
        root: Text { unset("no files are served"); "same (html)"; N }
        /// What is served for a folder: the first of these that is there.
        index: List<Text> { default(["index.html"]); "same"; N }
        /// The type of what has none by its extension, and of the text of `return`.
        default_type: Text { unset("`application/octet-stream`, `text/plain` for `return`"); "same (text/plain)"; N }
        /// Types by extension: `{ "text/html" = ["html", "htm"] }`.
        types: Types { unset("those that are usual"); "same"; N }
        /// A `Location` made here is a URL, with scheme and host, not just a path.
        absolute_redirect: bool { default(false); "same (on)"; N }
        /// With the port, where it is not the scheme's own.
        port_in_redirect: bool { default(true); "same"; N }
        /// With the server's first name instead of the host that was asked for.
        server_name_in_redirect: bool { default(false); "same"; N }
        /// `Expires` and `Cache-Control` of answers: a time from now (`"1h"`, `"-1"`), `"modified 1h"` from the
        /// file's date, `"@15h30m"` of the day, `"epoch"`, `"max"` or `"off"`; with variables.
        expires: Text { default("off"); "same"; N }
        /// Errors and redirects have a body of HTML, as nginx's have, instead of plain text.
        html_errors: bool { default(false); "always so"; N }
    }
}

section! {
    /// What becomes of the bodies of answers. These keys too may stand further up, as defaults.
    struct BodyKeys as "[[server.location]], [[server]], or the top: bodies" {
        /// Commands in documents are run: `include`, `echo`, `set`, `if`, `config errmsg`.
        ssi: bool { default(false); "same"; N }
        /// The types of documents, besides `text/html`; `"*"` is any.
        ssi_types: List<Text> { default([]); "same"; N }
        /// A command that fails leaves no trace in the answer.
        ssi_silent_errors: bool { default(false); "same"; N }
        /// Documents keep their `Last-Modified` and `ETag`.
        ssi_last_modified: bool { default(false); "same"; N }
        /// Bytes of an answer's body a second, `"0"` is no bound; with variables. Tunnels have no such bound.
        limit_rate: Text { default("0"); "same"; N }
        /// From how many bytes on; with variables.
        limit_rate_after: Text { default("0"); "same"; N }
        /// Answers are compressed for clients that take that; those that come compressed stay as they are.
        gzip: bool { default(false); "same"; N }
        /// Of which types, besides `text/html`; `"*"` is any.
        gzip_types: List<Text> { default([]); "same"; N }
        /// From how many bytes on, where the length is known.
        gzip_min_length: Size<0, 1_073_741_824> { default("20"); "same"; N }
        /// From 1, fast, to 9, small.
        gzip_comp_level: Int<1, 9> { default(1); "same"; N }
        /// What could be compressed says `Vary: Accept-Encoding`.
        gzip_vary: bool { default(false); "same"; N }
        /// When answers for other proxies are (requests with `Via`): one of these holds.
        gzip_proxied: List<GzipProxied> { default(["off"]); "same"; N }
        /// The lowest version of HTTP that compressed answers go to.
        gzip_http_version: HttpVersion { default("1.1"); "same"; N }
    }
}

section! {
    /// How requests go to peers. These keys too may stand further up, as defaults.
    struct ProxyKeys as "[[server.location]], [[server]], or the top: to peers" {
        /// How long connecting to a peer may take, its TLS handshake included.
        proxy_connect_timeout: Timeout { default("5s"); "same (60s)"; N }
        /// How long a pause in an answer may be. Tunnels: see `websocket.idle_timeout`.
        proxy_read_timeout: Timeout { default("60s"); "same"; A }
        /// How long the other side may take no byte: of a request, and of a tunnel either way.
        proxy_send_timeout: Timeout { default("60s"); "same"; A }
        /// Headers set on the request; an empty value removes one. These add to the defaults and to
        /// those of outer sections, and override them by name (in nginx one entry replaces them
        /// all). `Upgrade` and `Connection` go by themselves.
        proxy_set_header: Headers { default({ Host = "$http_host", "X-Real-IP" = "$remote_addr", "X-Forwarded-For" = "$proxy_add_x_forwarded_for", "X-Forwarded-Proto" = "$forwarded_proto", "X-Forwarded-Host" = "$forwarded_host" }); "same (Host $proxy_host)"; N }
        /// Whether `proxy_set_header` of an inner section adds to the defaults and to outer ones, or
        /// replaces them all, so that only `Host = "$proxy_host"` is a default.
        proxy_set_header_inherit: Inherit { default("merge"); "replace"; N }
        /// `X-Forwarded-*`, `X-Real-IP` and the like go on from clients too that `set_real_ip_from` does
        /// not name, and `$proxy_add_x_forwarded_for` adds to them: whoever stands behind must not
        /// believe them.
        pass_client_claims: bool { default(false); "always so"; N }
        /// Answers with a status from 300 become pages of `error_page`, where it names them.
        proxy_intercept_errors: bool { default(false); "same"; N }
        /// `Connection` of plain requests to peers, with variables: with `close` in it, the connection is closed after
        /// the answer; what else it says means nothing.
        proxy_connection: Text { unset("the upstream's `keepalive` decides"); "proxy_set_header Connection"; N }
        /// A body that `$request_body` is asked of is read before the request is sent; else it is kept while it goes,
        /// and told once it has gone. Other bodies are streamed in any case.
        proxy_request_buffering: bool { default(true); "same (for all bodies)"; N }
        /// How `Location` and `Refresh` of the answer change: `"FROM TO"` (a beginning, or with `~` or `~*` in
        /// front an expression without spaces), with variables; the first that fits counts. `"default"` makes the
        /// location's path of what `proxy_pass` names.
        proxy_redirect: List<RedirectValue> { default("off"); "same (default)"; N }
        /// A body that peers get in place of the client's, with variables; opening a tunnel takes none.
        proxy_set_body: Text { unset("the client's"); "same"; N }
        /// Headers of the answer that the client does not get.
        proxy_hide_header: List<HeaderName> { default([]); "same"; N }
        /// When another peer is tried: `error`, `timeout`, `invalid_header`, `http_500` (501, 502, 503,
        /// 504, 403, 404, 429), `non_idempotent`, or `off`. Never once the answer has begun, and never
        /// after a 101.
        proxy_next_upstream: List<NextWord> { default(["error", "timeout"]); "same"; N }
        /// Peers tried at most; 0 is all.
        proxy_next_upstream_tries: Int<0, 1_000_000> { default(3); "same (0)"; N }
        /// Time for all tries; `"0"` is no limit.
        proxy_next_upstream_timeout: Time { default("15s"); "same (0)"; N }
        /// Source addresses of connections to peers, taken in turn.
        proxy_bind: List<IpAddr> { default([]); "same"; N }
    }
}

section! {
    /// TLS to peers, where `proxy_pass` says `https://`. These keys too may stand further up, as
    /// defaults.
    struct ProxySslKeys as "[[server.location]], [[server]], or the top: TLS to peers" {
        /// Check the certificates of https peers.
        proxy_ssl_verify: bool { default(true); "same (off)"; N }
        /// The name their certificates are checked for, and that is sent as SNI.
        proxy_ssl_name: Text { unset("the host of `proxy_pass`"); "same"; N }
        /// Send the name (SNI).
        proxy_ssl_server_name: bool { default(true); "same (off)"; N }
        /// A PEM file with the trust anchors.
        proxy_ssl_trusted_certificate: PathBuf { unset("the system's"); "same"; N }
        /// A PEM file with our own certificate.
        proxy_ssl_certificate: PathBuf { unset("none"); "same"; N }
        /// A PEM file with its private key.
        proxy_ssl_certificate_key: PathBuf { unset("none"); "same"; N }
        /// A file with passwords of the private key, one on each line.
        proxy_ssl_password_file: PathBuf { unset("none"); "same"; N }
        /// Sessions with the peers are resumed.
        proxy_ssl_session_reuse: bool { default(true); "same"; N }
    }
}

section! {
    /// Clocks and limits of tunnels. Each key is taken from the innermost section that has it.
    struct WebSocketSection as "[server.location.websocket], [server.websocket], [websocket]" {
        /// Upgrade requests are served.
        enabled: bool { default(true); "–"; N }
        /// Where they are not, they get 426; when `false`, they go on as plain requests, without
        /// `Upgrade`.
        refuse: bool { default(true); "false"; N }
        /// Silence from the client after which it is pinged.
        ping_interval: TimeOrOff { default("25s"); "–"; A }
        /// Each interval is shortened by up to this many percent.
        ping_jitter: Percent { default(10); "–"; A }
        /// Silence after a ping that means the pinged side is dead.
        pong_timeout: Timeout { default("20s"); "–"; A }
        /// The upstream side is pinged too.
        ping_upstream: bool { default(false); "–"; A }
        /// No byte either way for so long ends the tunnel; answers to pings are bytes too.
        idle_timeout: TimeOrOff { unset("`proxy_read_timeout` where it is set, else \"5m\""); "proxy_read_timeout"; A }
        /// No data frame either way for so long ends the tunnel.
        data_idle_timeout: TimeOrOff { default("off"); "–"; A }
        /// How long to wait for the Close that answers a Close.
        close_timeout: Time { default("5s"); "–"; A }
        /// The longest life of a tunnel.
        max_age: TimeOrOff { default("off"); "–"; A }
        /// Each `max_age` is shortened by up to this many percent.
        max_age_jitter: Percent { default(10); "–"; A }
        /// The longest message; a longer one ends the tunnel with 1009.
        max_message_size: SizeOrOff { default("off"); "–"; A }
        /// The longest frame; a longer one ends the tunnel with 1009.
        max_frame_size: SizeOrOff { default("off"); "–"; A }
        /// Unwritten bytes a side may have before the other is read no more.
        max_buffer: Size<1024, 1_073_741_824> { default("64k"); "proxy_buffer_size"; N }
        /// Values of `Origin` that are let in, others get 403: `"https://example.org"`,
        /// `"https://*.example.org"`, or `"*"`. Clients that send no `Origin` are no browsers; `"none"`
        /// lets them in too.
        allowed_origins: List<OriginValue> { unset("any"); "–"; N }
        /// Sub-protocols that are let in.
        allowed_subprotocols: List<Token> { unset("any"); "–"; N }
        /// A 101 whose Sec-WebSocket-Accept is wrong becomes a 502.
        verify_accept: bool { default(true); "–"; N }
        /// Frames that break RFC 6455's rules go nowhere and end the tunnel with 1002: reserved bits and
        /// opcodes that no agreed extension may use, wrong masking, lengths not in their shortest form,
        /// control frames in fragments or over 125 bytes, fragments out of order, close codes that may
        /// not be sent. UTF-8 is not checked. When `false`, all of them pass as they came. A 64-bit
        /// length with its highest bit set ends the tunnel either way.
        validate: bool { default(false); "–"; A }
        /// The codes Wayhold closes with.
        close_codes: CloseCodesSection { unset("its defaults"); "–"; A }
    }
}

/// A code that may go on the wire: RFC 6455 §7.4 and the registry behind it.
pub(super) type CloseCode = Int<1000, 4999>;

section! {
    /// The codes Wayhold closes with, each for one of its own reasons: 1000 to 1003, 1007 to 1014,
    /// or 3000 to 4999.
    struct CloseCodesSection as "[server.location.websocket.close_codes]" {
        /// The process is finishing.
        drain: CloseCode { default(1012); "–"; A }
        /// To the other side of one that is dead.
        dead_peer: CloseCode { default(1001); "–"; A }
        /// To the client, when the upstream side broke.
        upstream_lost: CloseCode { default(1011); "–"; A }
        /// To the upstream, when the client side broke.
        client_lost: CloseCode { default(1001); "–"; A }
        /// `idle_timeout` and `data_idle_timeout`.
        idle: CloseCode { default(1001); "–"; A }
        /// `max_age`.
        max_age: CloseCode { default(1001); "–"; A }
        /// `max_frame_size` and `max_message_size`.
        too_big: CloseCode { default(1009); "–"; A }
        /// A side that takes no bytes.
        slow_consumer: CloseCode { default(1008); "–"; A }
        /// A frame that cannot be, or with `validate` may not be.
        protocol: CloseCode { default(1002); "–"; A }
    }
}
