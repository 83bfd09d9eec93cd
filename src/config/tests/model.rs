//! What a text becomes.

use std::fmt::Write as _;
use std::time::Duration;

use super::{config, location_with, proxy_of, read};
use crate::config::model::{
    Action, Balance, ListenAddr, LocationPath, LogFormat, PeerAddr, RealIpHeader, Returned,
    ServerName, Who,
};
use crate::config::template::{Lookup, Var};

/// Answers every variable with its name.
struct Names;

impl Lookup for Names {
    fn lookup(&self, var: &Var, out: &mut String) {
        match var {
            Var::Header(name) => write!(out, "<{name}>").unwrap(),
            other => write!(out, "<{other:?}>").unwrap(),
        }
    }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn headers(keys: &str) -> Vec<(String, String)> {
    let location = location_with("", keys);
    let headers = proxy_of(&location).set_headers.iter();
    headers.map(|(name, value)| (name.to_string(), value.expand(&Names))).collect()
}

#[test]
fn the_smallest_one_has_every_default() {
    let config = config(
        "[[server]]\nlisten = \"80\"\n[[server.location]]\npath = \"/ws\"\nproxy_pass = \"http://127.0.0.1:8888\"\n",
    );
    assert_eq!((config.worker_processes, config.worker_connections), (4, 1000));
    assert_eq!((config.shutdown_timeout, config.worker_shutdown_timeout), (secs(25), None));
    assert_eq!(config.auto_reload, Some(Duration::from_millis(300)));
    assert!(config.metrics.is_none() && config.pid.is_none() && config.error_log.is_none());
    let server = &config.servers[0];
    assert_eq!(
        (server.label.as_str(), server.max_head_size, server.max_headers),
        ("_", 32 << 10, 100)
    );
    let listener = &config.listeners[0];
    assert_eq!(listener.addr, ListenAddr::Tcp("0.0.0.0:80".parse().unwrap()));
    assert!(!listener.tls && !listener.proxy_protocol && listener.ipv6only);
    let location = &server.locations[0];
    assert_eq!(location.client_max_body_size, Some(1 << 20));
    assert!(location.access_logs.is_empty() && location.access.is_empty());
    assert!(location.real_ip.from.is_empty() && location.real_ip.recursive);
    let proxy = proxy_of(location);
    assert_eq!(
        (proxy.upstream.as_str(), proxy.host.as_str()),
        ("127.0.0.1:8888", "127.0.0.1:8888")
    );
    assert_eq!((proxy.connect_timeout, proxy.read_timeout), (secs(5), secs(60)));
    assert_eq!((proxy.next_upstream.tries, proxy.next_upstream.timeout_total), (3, secs(15)));
    let upstream = &config.upstreams[0];
    assert_eq!((upstream.balance, upstream.keepalive), (Balance::LeastConn, 32));
    let policy = &proxy.websocket.policy;
    assert_eq!((policy.ping_interval, policy.idle_timeout), (Some(secs(25)), Some(secs(300))));
    assert_eq!((policy.pong_timeout, policy.max_age, policy.max_buffer), (secs(20), None, 65536));
    assert_eq!((policy.close_codes.drain, policy.close_codes.too_big), (1012, 1009));
}

#[test]
fn the_typical_one_becomes_what_it_says() {
    let config = config(include_str!("typical.toml"));
    let chat = &config.upstreams[0];
    let peers: Vec<_> = chat.peers.iter().map(|p| (p.name.as_str(), p.weight, p.backup)).collect();
    assert_eq!(
        peers,
        [
            ("127.0.0.1:8888", 3, false),
            ("127.0.0.3:8888", 1, true),
            ("10.0.0.1:9000", 2, false),
            ("10.0.0.2:9000", 2, false),
        ]
    );
    assert_eq!((chat.peers[0].max_conns, chat.peers[0].fail_timeout), (Some(500), secs(30)));
    let server = &config.servers[0];
    assert_eq!(server.certificates.len(), 2);
    assert_eq!(server.certificates[1].key.to_str(), Some("/etc/wayhold/rsa.key.pem"));
    assert!(matches!(&server.names[1], ServerName::Suffix(name) if name == ".test.test.net"));
    let location = &server.locations[0];
    let log = location.access_logs.first().unwrap();
    assert!(matches!(log.format, LogFormat::Json) && !log.open);
    let access: Vec<_> = location.access.iter().map(|rule| rule.allow).collect();
    assert_eq!(access, [true, false]);
    let proxy = proxy_of(location);
    assert_eq!((proxy.upstream.as_str(), proxy.uri.as_deref()), ("chat", Some("/ws")));
    assert_eq!(
        proxy.websocket.policy.idle_timeout,
        Some(secs(600)),
        "proxy_read_timeout, as in nginx"
    );
    assert_eq!(proxy.websocket.policy.send_timeout, secs(600));
    assert!(matches!(
        &server.locations[1].action,
        Action::Return(Returned { status: 200, redirect: false, .. })
    ));
    assert_eq!(config.metrics.unwrap().allow.len(), 2);
}

#[test]
fn idle_timeout_follows_proxy_read_timeout_from_wherever_it_is_set() {
    let idle = |above: &str, keys: &str| {
        let location = location_with(above, keys);
        proxy_of(&location).websocket.policy.idle_timeout
    };
    assert_eq!(idle("", ""), Some(secs(300)));
    assert_eq!(idle("proxy_read_timeout = \"7s\"", ""), Some(secs(7)));
    assert_eq!(idle("", "proxy_read_timeout = \"8s\""), Some(secs(8)));
    assert_eq!(
        idle("[websocket]\nidle_timeout = \"9s\"", "proxy_read_timeout = \"8s\""),
        Some(secs(9))
    );
    assert_eq!(idle("[websocket]\nidle_timeout = \"off\"", ""), None);
}

#[test]
fn websocket_keys_come_from_the_innermost_section_that_has_them() {
    let above = "[websocket]\nping_interval = \"1s\"\npong_timeout = \"2s\"\n\
                 [websocket.close_codes]\ndrain = 4000\nidle = 4001\n";
    let keys =
        "[server.location.websocket]\nping_interval = \"off\"\nclose_codes = { idle = 4002 }";
    let location = location_with(above, keys);
    let policy = &proxy_of(&location).websocket.policy;
    assert_eq!((policy.ping_interval, policy.pong_timeout), (None, secs(2)));
    assert_eq!((policy.close_codes.drain, policy.close_codes.idle), (4000, 4002));
}

#[test]
fn headers_add_to_the_defaults_and_override_by_name() {
    let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        headers(""),
        [
            own("host", "<host>"),
            own("x-real-ip", "<RemoteAddr>"),
            own("x-forwarded-for", "<ProxyAddXForwardedFor>"),
            own("x-forwarded-proto", "<ForwardedProto>"),
            own("x-forwarded-host", "<ForwardedHost>"),
        ]
    );
    let set = headers("proxy_set_header = { host = \"$host\", X-Real-IP = \"\", X-Own = \"1\" }");
    assert_eq!(set.len(), 6);
    assert!(set.contains(&own("host", "<Host>")) && set.contains(&own("x-real-ip", "")));
}

#[test]
fn nginx_s_upgrade_lines_are_dropped_with_a_warning() {
    let text = "[[server]]\nlisten = 80\n[[server.location]]\npath = \"/\"\nproxy_pass = \"http://127.0.0.1:1\"\n\
                [server.location.proxy_set_header]\nUpgrade = \"$http_upgrade\"\nConnection = \"Upgrade\"\n";
    let loaded = read(text).unwrap();
    assert_eq!(loaded.warnings.len(), 2);
    let proxy = proxy_of(&loaded.config.servers[0].locations[0]);
    assert!(proxy.set_headers.iter().all(|(name, _)| name != "upgrade" && name != "connection"));
}

#[test]
fn inner_access_rules_replace_outer_ones() {
    let location = location_with("deny = \"all\"", "allow = [\"unix:\", \"::1\"]");
    let rules: Vec<_> = location.access.iter().map(|rule| (rule.allow, rule.who.clone())).collect();
    assert_eq!(rules, [(true, Who::Unix), (true, Who::Net("::1/128".parse().unwrap()))]);
}

#[test]
fn every_form_of_proxy_pass() {
    let pass = |url: &str| {
        let text = format!(
            "[[server]]\nlisten = 80\n[[server.location]]\npath = \"/\"\nproxy_pass = \"{url}\"\n"
        );
        let config = config(&text);
        let proxy = proxy_of(&config.servers[0].locations[0]).clone();
        let peer = config.upstreams[0].peers[0].addr.to_string();
        (
            proxy.upstream,
            proxy.host,
            proxy.uri.unwrap_or_default(),
            peer,
            proxy.tls.map(|tls| tls.name.clone()),
        )
    };
    let plain = |upstream: &str, host: &str, uri: &str, peer: &str| {
        (upstream.to_owned(), host.to_owned(), uri.to_owned(), peer.to_owned(), None)
    };
    assert_eq!(
        pass("http://127.0.0.1:8888"),
        plain("127.0.0.1:8888", "127.0.0.1:8888", "", "127.0.0.1:8888")
    );
    assert_eq!(pass("http://localhost/"), plain("localhost:80", "localhost", "/", "127.0.0.1:80"));
    assert_eq!(pass("http://[::1]:81/a?b=c"), plain("[::1]:81", "[::1]:81", "/a?b=c", "[::1]:81"));
    assert_eq!(
        pass("http://unix:/run/a.sock"),
        plain("unix:/run/a.sock", "localhost", "", "unix:/run/a.sock")
    );
    assert_eq!(
        pass("http://unix:/run/a.sock:/ws"),
        plain("unix:/run/a.sock", "localhost", "/ws", "unix:/run/a.sock")
    );
    let https = pass("https://localhost:8443");
    assert_eq!((https.1.as_str(), https.4.as_deref()), ("localhost:8443", Some("localhost")));
    let https = pass("https://localhost");
    assert_eq!((https.0.as_str(), https.1.as_str()), ("localhost:443", "localhost"));
}

#[test]
fn locations_of_one_address_share_an_upstream() {
    let config = config(
        "[[server]]\nlisten = 80\n[[server.location]]\npath = \"/a\"\nproxy_pass = \"http://127.0.0.1:1\"\n\
         [[server.location]]\npath = \"/b\"\nproxy_pass = \"http://127.0.0.1:1/x\"\n",
    );
    assert_eq!(config.upstreams.len(), 1);
}

#[test]
fn every_form_of_location() {
    let path = |path: &str| {
        let text = format!(
            "[[server]]\nlisten = 80\n[[server.location]]\npath = '{path}'\nreturn = 404\n"
        );
        config(&text).servers[0].locations[0].path.clone()
    };
    assert!(matches!(path("/a"), LocationPath::Prefix { path, no_regex: false } if path == "/a"));
    assert!(matches!(path("^~ /a"), LocationPath::Prefix { path, no_regex: true } if path == "/a"));
    assert!(matches!(path("= /a"), LocationPath::Exact(path) if path == "/a"));
    assert!(matches!(path("=/a"), LocationPath::Exact(path) if path == "/a"));
    assert!(
        matches!(path(r"~ \.php$"), LocationPath::Regex(p) if p.regex.is_match("/a.php") && !p.regex.is_match("/a.PHP"))
    );
    assert!(matches!(path(r"~* \.php$"), LocationPath::Regex(p) if p.regex.is_match("/a.PHP")));
}

#[test]
fn every_form_of_return() {
    let answer = |value: &str| {
        let config = config(&format!("[[server]]\nlisten = 80\nreturn = {value}\n"));
        assert_eq!(config.servers[0].locations.len(), 1);
        match &config.servers[0].locations[0].action {
            Action::Return(Returned { status, text, redirect }) => (
                *status,
                text.as_ref().map_or_else(String::new, |text| text.expand(&Names)),
                *redirect,
            ),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(answer("404"), (404, String::new(), false));
    assert_eq!(answer("\"200 ok\""), (200, "ok".into(), false));
    assert_eq!(
        answer("\"301 https://$host$request_uri\""),
        (301, "https://<Host><RequestUri>".into(), true)
    );
    assert_eq!(answer("\"https://a/\""), (302, "https://a/".into(), true));
    assert_eq!(answer("{ body = \"hi\" }"), (200, "hi".into(), false));
    assert_eq!(answer("{ status = 308, location = \"/x\" }"), (308, "/x".into(), true));
    for bad in [
        "{}",
        "{ status = 200, location = \"/x\" }",
        "{ body = \"\", location = \"\" }",
        "99",
        "\"abc\"",
        "true",
    ] {
        assert!(read(&format!("[[server]]\nlisten = 80\nreturn = {bad}\n")).is_err(), "{bad}");
    }
}

#[test]
fn every_form_of_listen() {
    let listener = |listen: &str| {
        let text = format!(
            "[[server]]\nlisten = {listen}\nssl_certificate = \"a\"\nssl_certificate_key = \"a\"\nreturn = 404\n"
        );
        let loaded = read(&text).unwrap();
        let listener = loaded.config.listeners[0].clone();
        (listener.addr.to_string(), listener.tls, listener.proxy_protocol, listener.ipv6only)
    };
    let of = |addr: &str, tls, proxy_protocol, ipv6only| {
        (addr.to_owned(), tls, proxy_protocol, ipv6only)
    };
    assert_eq!(listener("8080"), of("0.0.0.0:8080", false, false, true));
    assert_eq!(listener("\"443 ssl proxy_protocol\""), of("0.0.0.0:443", true, true, true));
    assert_eq!(
        listener("\"[::]:443 ssl ipv6only=off backlog=9\""),
        of("[::]:443", true, false, false)
    );
    assert_eq!(listener("\"unix:/run/a.sock\""), of("unix:/run/a.sock", false, false, true));
    assert_eq!(listener("\"localhost:81\""), of("127.0.0.1:81", false, false, true));
    assert_eq!(listener("{ address = \"443\", ssl = true }"), of("0.0.0.0:443", true, false, true));
}

#[test]
fn the_default_server_is_the_marked_one_or_the_first() {
    let server = |listen: &str, name: &str| {
        format!("[[server]]\nlisten = \"{listen}\"\nserver_name = \"{name}\"\nreturn = 404\n")
    };
    let one = config(&(server("80", "a") + &server("80", "b")));
    assert_eq!(
        (one.listeners[0].servers.as_slice(), one.listeners[0].default_server),
        (&[0, 1][..], 0)
    );
    let two = config(&(server("80", "a") + &server("80 default_server", "b")));
    assert_eq!(two.listeners[0].default_server, 1);
    let three = config(&(server("80", "a") + &server("[::]:80", "a")));
    assert_eq!(three.listeners.len(), 2);
}

#[test]
fn a_name_with_a_leading_dot_is_two_names() {
    let config = config("[[server]]\nlisten = 80\nserver_name = \".Example.org\"\nreturn = 404\n");
    let server = &config.servers[0];
    assert_eq!(server.label, "Example.org");
    assert!(matches!(&server.names[..], [ServerName::Exact(a), ServerName::Suffix(b)]
        if a == "example.org" && b == ".example.org"));
}

#[test]
fn real_ip_and_the_rest_of_a_location() {
    let location = location_with(
        "set_real_ip_from = \"unix:\"\nreal_ip_header = \"proxy_protocol\"",
        "client_max_body_size = \"off\"\nproxy_hide_header = [\"X-A\"]\nadd_header = { X-B = \"$scheme\" }\n\
         proxy_bind = \"192.0.2.7\"\nproxy_next_upstream = [\"error\", \"http_502\", \"non_idempotent\"]",
    );
    assert_eq!(
        (location.real_ip.from.as_slice(), &location.real_ip.header),
        (&[Who::Unix][..], &RealIpHeader::ProxyProtocol)
    );
    assert_eq!(location.client_max_body_size, None);
    assert_eq!(location.add_headers[0].value.expand(&Names), "<Scheme>");
    let proxy = proxy_of(&location);
    assert_eq!((proxy.hide_headers.len(), proxy.bind.len()), (1, 1));
    let next = &proxy.next_upstream;
    assert!(next.error && !next.timeout && next.non_idempotent);
    assert_eq!(next.statuses, [502]);
}

#[test]
fn a_name_that_is_believed_is_every_address_of_it() {
    let location = location_with("set_real_ip_from = [\"two.test\", \"10.1.0.0/16\"]", "");
    let from: Vec<_> = location.real_ip.from.iter().map(|who| format!("{who:?}")).collect();
    assert_eq!(from, ["Net(10.0.0.1/32)", "Net(10.0.0.2/32)", "Net(10.1.0.0/16)"]);
}

#[test]
fn unix_peers_and_relative_paths_are_absolute() {
    let config = config(
        "pid = \"wayhold.pid\"\n[upstream.a]\nservers = \"unix:run/a.sock\"\n\
         [[server]]\nlisten = 80\n[[server.location]]\npath = \"/\"\nproxy_pass = \"http://a\"\n",
    );
    assert_eq!(config.pid.unwrap().to_str(), Some("/etc/wayhold/wayhold.pid"));
    assert_eq!(config.upstreams[0].peers[0].addr, PeerAddr::Unix("/etc/wayhold/run/a.sock".into()));
}
