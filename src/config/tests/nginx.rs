//! nginx.conf: what is refused in which words, nginx's inheritance and defaults, and that the
//! converted TOML becomes the same model.

use std::path::Path;
use std::time::Duration;

use super::{Machine, proxy_of};
use crate::config::diagnostic::Diagnostics;
use crate::config::model::{AccessRule, Balance, Config, Location, ServerName, Who};
use crate::config::world::World;
use crate::config::{Converted, Format, Loaded, convert_files, load, load_str_on};

fn read_on(machine: &dyn World, text: &str) -> Result<Loaded, Diagnostics> {
    load_str_on(text, Format::Nginx, "nginx.conf", Path::new("/etc/nginx"), machine)
}

fn read(text: &str) -> Result<Loaded, Diagnostics> {
    read_on(&Machine::default(), text)
}

fn said(text: &str) -> String {
    match read(text) {
        Ok(loaded) => loaded.warnings.to_string(),
        Err(faults) => faults.to_string(),
    }
}

fn convert_on(machine: &dyn World, text: &str) -> Converted {
    let mut out = Diagnostics::default();
    let dir = Path::new("/etc/nginx");
    let files = load::from_text(text, Format::Nginx, "nginx.conf", dir, machine, &mut out);
    convert_files(files, machine, out).unwrap()
}

fn config(text: &str) -> Config {
    match read(text) {
        Ok(loaded) => loaded.config,
        Err(faults) => panic!("{faults}"),
    }
}

/// The first location of the first server of a fragment.
fn location(text: &str) -> Location {
    Location::clone(&config(text).servers[0].locations[0])
}

/// Both models, less the files they come from.
fn shown(mut config: Config) -> String {
    config.files.clear();
    config.include_dirs.clear();
    format!("{config:#?}")
}

const EXAMPLE: &str = include_str!("../../../conf/examples/nginx.conf");

#[test]
fn the_converted_toml_becomes_the_same_model() {
    let machine = Machine::default();
    for text in [
        EXAMPLE,
        "server { location / { proxy_pass http://localhost:1; } }",
        "geo $a { default x; 10.0.0.0/8 '$y \"'; ::/0 z; 10.1.0.0/16 q; delete 10.1.0.0/16; proxy ::1; proxy_recursive; }\n\
         geo $arg_ip $b { ranges; default d; 10.0.0.0-10.1.2.3 e; 10.0.0.1-10.0.0.1 ''; }\n\
         server { location / { return 200 $a$b; } }",
        "upstream a { server two.test:1 max_conns=5; random two; keepalive_requests 7; }\n\
         map $host $room { default \\n; ~^a\\.b $http_x; hostnames.test 1; }\n\
         set_real_ip_from 10.0.0.0/8; real_ip_header proxy_protocol; proxy_ssl_verify on;\n\
         server { listen [::]:1 proxy_protocol; server_name ~^x\\d+$ .y.test; keepalive_timeout 5 6;\n\
         large_client_header_buffers 8 16k; client_max_body_size 0; proxy_hide_header X-B;\n\
         location ^~ /a { deny 10.0.0.1; allow all; proxy_pass https://a/b; proxy_bind 127.0.0.1;\n\
         proxy_next_upstream error http_502; proxy_set_header X-A \"it's \\\"$room\\\"\";\n\
         add_header X-C d; add_header X-E \"\" always; }\n\
         location ~* \\.(a|b)$ { return 302 /c; } }\n\
         server { listen unix:/run/x.sock default_server; return 301 https://$host$request_uri; }",
    ] {
        let converted = convert_on(&machine, text);
        assert!(!converted.dropped, "{:?}", converted.remarks);
        let again = load_str_on(&converted.toml, Format::Toml, "a.toml", Path::new("/"), &machine);
        let again = again.unwrap_or_else(|faults| panic!("{}\n{faults}", converted.toml));
        assert_eq!(shown(again.config), shown(config(text)), "{}", converted.toml);
    }
}

#[test]
fn every_fault_is_told_at_once_in_nginx_s_words() {
    let text = "worker_procesess 2;\nevents { listen 80; }\nhttp {\n  server {\n    listen 80 x;\n    \
                proxy_read_timeout 1 2;\n    proxy_send_timeout 1;\n    proxy_send_timeout 2;\n    \
                tcp_nodelay maybe;\n    location / { proxy_pass http://127.0.0.1:1; send_timeout 1x; }\n    \
                location /b;\n    location + /c {}\n  }\n  upstream a { }\n  map $a b { }\n";
    let told = said(text);
    let lines: Vec<_> = told.lines().collect();
    assert_eq!(
        lines,
        [
            "wayhold: [emerg] unknown directive \"worker_procesess\" in nginx.conf:1",
            "wayhold: [emerg] \"listen\" directive is not allowed here in nginx.conf:2",
            "wayhold: [emerg] invalid parameter \"x\" in nginx.conf:5",
            "wayhold: [emerg] invalid number of arguments in \"proxy_read_timeout\" directive in nginx.conf:6",
            "wayhold: [emerg] \"proxy_send_timeout\" directive is duplicate in nginx.conf:8",
            "wayhold: [emerg] invalid value \"maybe\" in \"tcp_nodelay\" directive, it must be \"on\" or \"off\" in nginx.conf:9",
            "wayhold: [warn] \"send_timeout\" of a location is left out: that of the server holds in nginx.conf:10",
            "wayhold: [emerg] directive \"location\" has no opening \"{\" in nginx.conf:11",
            "wayhold: [emerg] invalid location modifier \"+\" in nginx.conf:12",
            "wayhold: [emerg] no servers are inside upstream \"a\" in nginx.conf:14",
            "wayhold: [emerg] invalid variable name \"b\" in nginx.conf:15",
            "wayhold: [emerg] unexpected end of file, expecting \"}\" in nginx.conf:15",
        ],
        "{told}"
    );
}

#[test]
fn what_cannot_be_carried_over_is_refused_by_name_with_the_reason() {
    let around = |inside: &str| {
        format!("server {{ location / {{ proxy_pass http://127.0.0.1:1; {inside} }} }}")
    };
    for (inside, reason) in [
        ("rewrite ^ /x lasst;", "invalid parameter \"lasst\""),
        ("if ($host) { unknown x; }", "unknown directive \"unknown\""),
        ("if $host { break; }", "invalid condition \"$host\""),
        ("if ($host is x) { break; }", "invalid condition \"($host\""),
        ("if (host) { break; }", "invalid condition \"(host)\""),
        ("set host x;", "`set` needs a variable: `host`"),
        ("set $host x;", "variable cannot be set: `$host`"),
        ("error_page 200 /x;", "value \"200\" must be between 300 and 599"),
        ("error_page 404 =x /x;", "invalid value \"=x\""),
        ("limit_req zone=a;", "unknown zone: `a`"),
        ("limit_conn a 0;", "needs a zone and a number"),
        ("expires soon;", "`expires` has an invalid value: `soon`"),
        ("access_log a.log missing;", "unknown log format: `missing`"),
        (
            "fastcgi_pass x;",
            "\"fastcgi_pass\" is not supported: only HTTP and WebSocket are proxied",
        ),
        ("autoindex on;", "\"autoindex\" is not supported"),
        ("auth_basic x;", "`auth_basic` has no file of users"),
        ("try_files $uri =900;", "`try_files` needs a status from 300 to 599: `=900`"),
        ("allow 10.0.0.1; deny 10.0.0.2; allow all;", "may take turns only once"),
        ("proxy_set_header A b; proxy_set_header a c;", "header \"a\" is set twice in one block"),
        ("add_header A ${env:HOME};", "the closing bracket in \"env\" variable is missing"),
        ("add_header A $nothing;", "unknown variable: `$nothing`"),
    ] {
        let faults = read(&around(inside)).expect_err(inside).to_string();
        let lines: Vec<_> = faults.lines().collect();
        assert_eq!(lines.len(), 1, "{faults}");
        assert!(lines[0].contains(reason) && lines[0].ends_with("in nginx.conf:1"), "{faults}");
    }
    for inside in ["auth_basic off;", "limit_rate 0;", "satisfy all;", "gzip off;", "root /srv;"] {
        assert_eq!(said(&around(inside)), "", "{inside}");
    }
    assert!(said(&around("gunzip on;")).starts_with("wayhold: [warn] \"gunzip\" is left out"));
}

#[test]
fn what_one_block_lets_through_another_does_not_refuse() {
    let text = "upstream a { server 127.0.0.1:1; keepalive 1; keepalive_time 1m; }\n\
                server { keepalive_time 1m; location / { proxy_pass http://a; } }\n";
    assert_eq!(said(text), "");
}

#[test]
fn convert_lists_what_it_drops_and_goes_on() {
    let text = "server {\n  location / { proxy_pass http://127.0.0.1:1; mirror /x; }\n  \
                location /files/ { autoindex on; sendfile on; }\n}";
    let converted = convert_on(&Machine::default(), text);
    assert!(converted.dropped);
    let told = converted.remarks.join("\n");
    assert!(told.contains("nginx.conf:2: not carried over: \"mirror\" is not supported"), "{told}");
    assert!(told.contains("nginx.conf:3: not carried over: \"autoindex\""), "{told}");
    assert!(told.contains("nginx.conf:3: note: \"sendfile\" is left out"), "{told}");
    assert!(!converted.toml.contains("autoindex"), "{}", converted.toml);
}

#[test]
fn a_level_that_sets_headers_takes_none_from_outside() {
    let names = |text: &str| -> Vec<String> {
        let location = location(text);
        let headers = proxy_of(&location).set_headers.iter();
        headers.map(|(name, _)| name.to_string()).collect()
    };
    let within = |inside: &str| {
        format!(
            "proxy_set_header X-Outer 1; proxy_set_header Host a;\n\
             server {{ location / {{ proxy_pass http://127.0.0.1:1; {inside} }} }}"
        )
    };
    assert_eq!(names(&within("")), ["x-outer", "host"]);
    assert_eq!(names(&within("proxy_set_header X-Own 1;")), ["host", "x-own"]);
    assert_eq!(names(&within("proxy_set_header Upgrade $http_upgrade;")), ["host"]);
    let added = |inside: &str| {
        let text =
            format!("add_header A 1 always; server {{ location / {{ return 200; {inside} }} }}");
        let added = location(&text).add_headers;
        added.iter().map(|one| (one.name.to_string(), one.always)).collect::<Vec<_>>()
    };
    assert_eq!(added(""), [("a".to_owned(), true)]);
    assert_eq!(added("add_header B 2;"), [("b".to_owned(), false)]);
}

#[test]
fn defaults_are_nginx_s() {
    let config = config("server { location / { proxy_pass http://127.0.0.1:1; } }");
    let proxy = proxy_of(&config.servers[0].locations[0]).clone();
    let minute = Duration::from_secs(60);
    assert_eq!([proxy.connect_timeout, proxy.read_timeout, proxy.send_timeout], [minute; 3]);
    assert_eq!(proxy.set_headers.len(), 1, "Host, and nothing about the client");
    assert_eq!(proxy.websocket.policy.ping_interval, None);
    assert_eq!(proxy.websocket.policy.idle_timeout, Some(minute));
    assert!(proxy.pass_client_claims && !proxy.refuse_upgrades && !proxy.websocket.enabled);
    assert_eq!((proxy.next_upstream.tries, proxy.next_upstream.timeout_total), (0, Duration::ZERO));
    assert_eq!(config.upstreams[0].balance, Balance::RoundRobin);
    assert_eq!(config.upstreams[0].keepalive, 0);
    assert_eq!((config.worker_processes, config.auto_reload), (1, None));
    assert_eq!(config.shutdown_timeout, Duration::ZERO, "TERM is fast");
    assert!(!config.servers[0].locations[0].real_ip.recursive);
}

#[test]
fn the_recipe_lets_upgrades_through_in_all_its_spellings() {
    let enabled = |inside: &str| {
        let text = format!(
            "map $http_upgrade $conn {{ default Upgrade; '' ''; }}\n\
             server {{ location / {{ proxy_pass http://127.0.0.1:1; {inside} }} }}"
        );
        proxy_of(&location(&text)).websocket.enabled
    };
    let upgrade = "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection";
    for connection in ["upgrade", "\"Upgrade\"", "$conn", "${conn}", "$connection_upgrade"] {
        assert!(enabled(&format!("{upgrade} {connection};")), "{connection}");
    }
    assert!(!enabled(&format!("{upgrade} \"\";")));
    assert!(!enabled("proxy_set_header Connection upgrade;"));
    assert!(!enabled(""));
}

#[test]
fn options_of_one_socket_are_put_together() {
    let config = config(
        "ssl_certificate a.pem; ssl_certificate_key a.key;\n\
         server { listen 443 ssl; server_name a; return 204; }\n\
         server { listen *:443 default_server; server_name b; return 204; }",
    );
    assert_eq!(config.listeners.len(), 1);
    assert!(config.listeners[0].tls);
    assert_eq!(config.listeners[0].default_server, 1);
    assert_eq!(config.servers[1].certificates[0].key, Path::new("/etc/nginx/a.key"));
}

#[test]
fn certificates_named_by_variables_begin_beside_the_main_file() {
    let config = config(
        "server { listen 443 ssl; ssl_password_file pass;\n\
         ssl_certificate $ssl_server_name.crt; ssl_certificate_key keys/$ssl_server_name.key;\n\
         ssl_certificate a.crt; ssl_certificate_key a.key; return 204; }",
    );
    let server = &config.servers[0];
    let passwords = Some(Path::new("/etc/nginx/pass"));
    assert_eq!(server.certificates[0].passwords.as_deref(), passwords);
    let [named] = &server.named_certificates[..] else { panic!("{server:?}") };
    assert_eq!(
        (named.dir.as_path(), named.passwords.as_deref()),
        (Path::new("/etc/nginx"), passwords)
    );
    assert!(format!("{:?}", named.key).contains("/etc/nginx/keys/"));
}

#[test]
fn rules_of_access_keep_their_order() {
    let closed = location("server { location ~ /\\. { deny all; } }");
    assert!(matches!(&closed.access[..], [AccessRule { allow: false, who: Who::All }]));
    let ordered = location(
        "server { location / { proxy_pass http://127.0.0.1:1; deny 10.0.0.1; allow all; } }",
    );
    let [AccessRule { allow: false, .. }, AccessRule { allow: true, who: Who::All }] =
        &ordered.access[..]
    else {
        panic!("{:?}", ordered.access)
    };
}

#[test]
fn includes_stand_for_their_line_and_are_found_beside_the_main_file() {
    let machine = Machine {
        files: [
            ("/etc/nginx/sites/a", "server { listen 81; include sites/inner; }"),
            ("/etc/nginx/sites/b", "server {\n listen 82; return 204;"),
            ("/etc/nginx/inner", "server_name inner.test; return 204;"),
        ]
        .into(),
        ..Machine::default()
    };
    let text = "http { include sites/*; include missing; }";
    let faults = read_on(&machine, text).unwrap_err().to_string();
    assert!(
        faults.contains(
            "open() \"/etc/nginx/missing\" failed (no such file or directory) in nginx.conf:1"
        ),
        "{faults}"
    );
    assert!(faults.contains("open() \"/etc/nginx/sites/inner\" failed"), "{faults}");
    assert!(faults.contains("expecting \"}\" in /etc/nginx/sites/b:2"), "{faults}");
    let text = "http { server { include inn*; } }";
    let loaded = read_on(&machine, text).unwrap();
    assert!(
        matches!(&loaded.config.servers[0].names[0], ServerName::Exact(n) if n == "inner.test")
    );
    assert!(loaded.config.files.iter().any(|file| file == Path::new("/etc/nginx/inner")));
    let circle =
        Machine { files: [("/etc/nginx/x", "include x; include x;")].into(), ..Machine::default() };
    assert!(
        read_on(&circle, "include x;").unwrap_err().to_string().contains("one include too many")
    );
}

#[test]
fn a_port_is_no_part_of_the_name_of_a_peer() {
    let with = |name: &str| {
        read(&format!(
            "events {{}} http {{ server {{ location / {{ proxy_pass https://127.0.0.1:1; proxy_ssl_name {name}; }} }} }}"
        ))
    };
    let config = with("backend:123").unwrap().config;
    let proxy = proxy_of(&config.servers[0].locations[0]);
    assert_eq!(proxy.tls.as_ref().unwrap().name, "backend");
    let faults = with("a/b").unwrap_err().to_string();
    assert!(faults.contains("no name that a certificate can have: `a/b`"), "{faults}");
}
