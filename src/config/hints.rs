//! What is said about keys that do not exist: where a misplaced one belongs, what an nginx word is
//! called here, what is not supported yet, and what was probably meant.

use super::diagnostic::{Diagnostic, quote};
use super::schema::{
    LocationSection, ServerKeys, ServerSection, TopSection, UpstreamSection, WebSocketSection,
};
use super::section::{Row, Section};
use super::tree::Key;
use super::values::PeerTable;

/// nginx's words that are written in another way here, or are not needed: (word, help).
const NGINX: &[(&str, &str)] = &[
    ("ssl", "write it behind the port: `listen = \"443 ssl\"`"),
    ("http2", "not supported yet: listeners speak HTTP/1.1"),
    (
        "upgrade",
        "leave it out: WebSockets are passed on by themselves",
    ),
    (
        "proxy_http_version",
        "leave it out: upstreams are always spoken to in HTTP/1.1",
    ),
    ("least_conn", "write `balance = \"least_conn\"`"),
    ("round_robin", "write `balance = \"round_robin\"`"),
    ("random", "write `balance = \"random\"`"),
    (
        "ip_hash",
        "there is no sticky hashing yet; a tunnel stays on its peer anyway",
    ),
    (
        "hash",
        "there is no sticky hashing yet; a tunnel stays on its peer anyway",
    ),
    (
        "sticky",
        "there is no sticky hashing yet; a tunnel stays on its peer anyway",
    ),
    (
        "zone",
        "leave it out: there is one process, its state is shared anyway",
    ),
    (
        "http",
        "leave the block out: its keys stand at the top of the file",
    ),
    (
        "events",
        "leave the block out: `worker_connections` stands at the top of the file",
    ),
    ("stream", "not supported: Wayhold speaks HTTP and WebSocket"),
    ("use", "leave it out: it is epoll"),
    ("multi_accept", "leave it out: there is nothing to tune"),
    ("accept_mutex", "leave it out: there is nothing to tune"),
    ("sendfile", "leave it out: there is nothing to tune"),
    ("tcp_nopush", "leave it out: there is nothing to tune"),
    ("tcp_nodelay", "leave it out: it is always on"),
    (
        "daemon",
        "leave it out: it runs in the foreground; a service manager keeps it",
    ),
    ("master_process", "leave it out: there is one process"),
    (
        "worker_cpu_affinity",
        "leave it out: there is nothing to tune",
    ),
    ("proxy_redirect", "not supported yet"),
    (
        "proxy_socket_keepalive",
        "leave it out: keepalive is always on",
    ),
    (
        "proxy_cache",
        "leave it out: answers are passed through, nothing is cached",
    ),
    (
        "proxy_cache_bypass",
        "leave it out: answers are passed through, nothing is cached",
    ),
    (
        "proxy_no_cache",
        "leave it out: answers are passed through, nothing is cached",
    ),
    (
        "proxy_buffering",
        "leave it out: answers are always streamed",
    ),
    (
        "proxy_request_buffering",
        "leave it out: bodies are always streamed",
    ),
    ("proxy_buffers", "leave it out: answers are always streamed"),
    (
        "proxy_buffer_size",
        "leave it out: answers are always streamed",
    ),
    (
        "client_body_buffer_size",
        "leave it out: bodies are always streamed",
    ),
    (
        "gzip",
        "leave it out: answers are passed through as they are",
    ),
    (
        "types",
        "leave it out: answers are passed through as they are",
    ),
    (
        "default_type",
        "leave it out: answers are passed through as they are",
    ),
    (
        "ssl_prefer_server_ciphers",
        "leave it out: the cipher suites are all good ones",
    ),
    (
        "ssl_session_cache",
        "leave it out: sessions are resumed with tickets",
    ),
    (
        "ssl_dhparam",
        "leave it out: key exchange is over elliptic curves",
    ),
    (
        "ssl_ecdh_curve",
        "leave it out: the curves are all good ones",
    ),
    (
        "server_names_hash_bucket_size",
        "leave it out: there is nothing to tune",
    ),
    (
        "server_names_hash_max_size",
        "leave it out: there is nothing to tune",
    ),
    (
        "map_hash_bucket_size",
        "leave it out: there is nothing to tune",
    ),
    (
        "types_hash_max_size",
        "leave it out: there is nothing to tune",
    ),
    ("lingering_close", "leave it out: there is nothing to tune"),
    (
        "proxy_pass_header",
        "leave it out: no header of an answer is hidden by default",
    ),
    (
        "set",
        "not supported yet; a `[[map]]` can compute a variable",
    ),
    (
        "default_server",
        "write it behind the port: `listen = \"443 ssl default_server\"`",
    ),
    (
        "proxy_protocol",
        "from clients, write it behind the port: `listen = \"443 ssl proxy_protocol\"`; towards \
         upstreams it is not supported yet",
    ),
];

/// Keys that are planned but do not work yet.
const NOT_YET: &[&str] = &[
    "worker_rlimit_nofile",
    "user",
    "group",
    "log_format",
    "resolver",
    "resolver_valid",
    "resolver_timeout",
    "server_tokens",
    "accept_rate",
    "max_memory",
    "admin",
    "token_file",
    "limit_conn_zone",
    "limit_req_zone",
    "slow_start",
    "drain",
    "discover",
    "health_check",
    "on_remove",
    "on_unhealthy",
    "rebalance",
    "sample",
    "ssl_ciphers",
    "ssl_verify_client",
    "ssl_client_certificate",
    "ssl_crl",
    "ssl_verify_depth",
    "ssl_session_tickets",
    "ssl_session_ticket_key",
    "ssl_session_timeout",
    "ssl_reject_handshake",
    "ssl_stapling",
    "limit_conn",
    "limit_req",
    "error_page",
    "root",
    "index",
    "try_files",
    "alias",
    "expires",
    "proxy_ssl_protocols",
    "proxy_ssl_ciphers",
    "proxy_ssl_verify_depth",
    "proxy_ssl_crl",
    "proxy_ssl_session_reuse",
    "proxy_cookie_path",
    "proxy_cookie_domain",
    "proxy_intercept_errors",
    "rewrite",
    "if",
    "auth_request",
    "auth_basic",
    "auth_basic_user_file",
    "auth_jwt",
    "stub_status",
    "messages_per_second",
    "bytes_per_second",
    "max_connections",
    "drain_spread",
    "internal",
    "satisfy",
];

/// A section that keys may be meant for.
struct Home {
    /// Its title among the sections.
    title: &'static str,
    /// How messages call it.
    shown: &'static str,
    /// How deep it is nested; `None` is beside the servers.
    depth: Option<u8>,
    rows: fn() -> Vec<Row>,
}

/// The sections in the order in which a key is looked for.
const HOMES: [Home; 7] = [
    Home {
        title: ServerSection::TITLE,
        shown: "`[[server]]`",
        depth: Some(1),
        rows: ServerSection::own_rows,
    },
    Home {
        title: ServerSection::TITLE,
        shown: "`[[server]]`",
        depth: Some(1),
        rows: ServerKeys::own_rows,
    },
    Home {
        title: LocationSection::TITLE,
        shown: "`[[server.location]]`",
        depth: Some(2),
        rows: LocationSection::rows,
    },
    Home {
        title: WebSocketSection::TITLE,
        shown: "`[server.location.websocket]`",
        depth: Some(3),
        rows: WebSocketSection::own_rows,
    },
    Home {
        title: UpstreamSection::TITLE,
        shown: "`[upstream.NAME]`",
        depth: None,
        rows: UpstreamSection::own_rows,
    },
    Home {
        title: TopSection::TITLE,
        shown: "the top of the file",
        depth: Some(0),
        rows: TopSection::own_rows,
    },
    Home {
        title: PeerTable::TITLE,
        shown: "a peer in `servers`",
        depth: None,
        rows: PeerTable::own_rows,
    },
];

/// The diagnostic for a key that `section`, with its `known` keys, does not have.
pub(super) fn unknown_key(section: &str, known: &[&str], key: &Key) -> Diagnostic {
    let name = key.name.as_str();
    let unknown = |help: String| {
        let message = format!("unknown key {} in {}", quote(name), shown_title(section));
        Diagnostic::error(&key.place, message).help(help)
    };
    if let Some((_, help)) = NGINX.iter().find(|(word, _)| *word == name) {
        return unknown((*help).to_owned());
    }
    if NOT_YET.contains(&name) {
        return unknown("not supported yet".to_owned());
    }
    // one letter more or less is a slip, even where another section has just this key
    if let Some(near) = known
        .iter()
        .find(|k| strsim::damerau_levenshtein(k, name) == 1)
    {
        return unknown(format!("did you mean `{near}`?"));
    }
    let has_it = |home: &&Home| (home.rows)().iter().any(|row| row.key == name);
    if let Some(home) = HOMES.iter().find(has_it) {
        let message = format!("{} belongs to {}", quote(name), home.shown);
        return Diagnostic::error(&key.place, message)
            .label(format!("here it stands in {}", shown_title(section)))
            .help(way_home(section, name, home));
    }
    unknown(match closest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`wayhold schema --markdown` prints every key there is".to_owned(),
    })
}

/// How to move `key` from `section` to where it belongs.
fn way_home(section: &str, key: &str, home: &Home) -> String {
    if home.title == PeerTable::TITLE {
        return format!("write it with its address: `\"127.0.0.1:8888 {key}=…\"`");
    }
    if home.depth == Some(0) {
        return "move it above the first header: below one, every key belongs to that header"
            .to_owned();
    }
    if key == "location" {
        return "write its header as `[[server.location]]`".to_owned();
    }
    let here = HOMES.iter().find(|h| h.title == section);
    let here = here.and_then(|h| h.depth.map(|depth| (depth, h.shown)));
    match (here, home.depth) {
        (Some((depth, shown)), Some(target)) if target < depth => {
            let first = if depth == 2 {
                "the first"
            } else {
                "the header"
            };
            format!("move it above {first} {shown}")
        }
        _ => format!("move it below a header {}", home.shown),
    }
}

/// A title in backticks; titles that are words have none.
fn shown_title(title: &str) -> String {
    let first = title.split(", ").next().unwrap_or(title);
    if first.starts_with('[') {
        quote(first)
    } else {
        first.to_owned()
    }
}

/// The key of a section that landed in a table of headers, because TOML puts every key into the
/// table whose header stands last.
pub(super) fn key_among_headers(table: &str, key: &Key) -> Option<Diagnostic> {
    let name = key.name.as_str();
    if !name.contains('_') && !matches!(name, "path" | "listen") {
        return None;
    }
    let inner_first = [2, 0, 1, 3].map(|at: usize| &HOMES[at]);
    let home = inner_first
        .into_iter()
        .find(|h| (h.rows)().iter().any(|row| row.key == name))?;
    let message = format!("{} belongs to {}", quote(name), home.shown);
    Some(
        Diagnostic::error(&key.place, message)
            .label(format!("here it is a header of `{table}`"))
            .help(format!("move it above the header of the `{table}` table")),
    )
}

/// The known word nearest to `word`, when it is near enough to be meant.
pub(super) fn closest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let word = word.to_ascii_lowercase().replace('-', "_");
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&word, &candidate.to_ascii_lowercase()),
                candidate,
            )
        })
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let known = ["proxy_pass", "path", "return"];
        assert_eq!(closest("proxy_passs", known), Some("proxy_pass"));
        assert_eq!(closest("proxy-pass", known), Some("proxy_pass"));
        assert_eq!(closest("Path", known), Some("path"));
        assert_eq!(closest("worker", known), None);
        assert_eq!(closest("", known), None);
    }

    #[test]
    fn no_hint_is_about_a_key_that_works() {
        let working: Vec<_> = [
            TopSection::rows(),
            ServerSection::rows(),
            LocationSection::rows(),
            UpstreamSection::rows(),
            WebSocketSection::rows(),
        ]
        .into_iter()
        .flatten()
        .map(|row| row.key)
        .collect();
        for word in NGINX.iter().map(|(word, _)| word).chain(NOT_YET) {
            assert!(!working.contains(word), "`{word}` works");
        }
    }
}
