//! Words of nginx that are no keys here, and keys that are to come.

/// nginx's words that are written in another way here, or are not needed: (word, help).
pub(super) const NGINX: &[(&str, &str)] = &[
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
pub(super) const NOT_YET: &[&str] = &[
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
];
