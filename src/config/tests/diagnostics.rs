//! What users read: every rule's diagnostic as it is printed. The snapshots are the specification of
//! the words; look at them when they change.

use super::said;

/// A whole configuration around keys of a server and of a location.
fn around(server: &str, location: &str) -> String {
    format!(
        "[[server]]\nlisten = \"80\"\n{server}\n[[server.location]]\npath = \"/ws\"\n\
         proxy_pass = \"http://127.0.0.1:8888\"\n{location}\n"
    )
}

macro_rules! snapshots {
    ($($name:ident: $text:expr;)*) => {
        $(#[test]
        fn $name() {
            insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
                insta::assert_snapshot!(stringify!($name), said(&$text));
            });
        })*
    };
}

snapshots! {
    empty: "";
    only_a_comment: "# nothing yet\n";
    unknown_key: around("", "proxy_read_timout = \"600s\"");
    not_supported_yet: around("auth_basic = \"x\"", "");
    nothing_like_it: around("", "frobnicate = true");
    server_key_below_location: around("", "ssl_certificate = \"/etc/a.pem\"\nserver_name = \"a\"");
    location_key_in_server: "[[server]]\nlisten = 80\nproxy_pass = \"http://127.0.0.1:1\"\n";
    top_key_in_metrics: format!("[metrics]\nlisten = \"127.0.0.1:9145\"\nshutdown_timeout = \"1s\"\n{}", around("", ""));
    location_key_below_websocket: around("", "[server.location.websocket]\nproxy_read_timeout = \"600s\"");
    key_among_headers: around("", "[server.location.proxy_set_header]\nHost = \"$host\"\nproxy_read_timeout = \"600s\"");
    location_outside_a_server: "[[location]]\npath = \"/\"\n[[server]]\nlisten = 80\nreturn = 404\n";
    single_brackets: "[server]\nlisten = 80\n";
    upstream_without_a_name: format!("[upstream]\nservers = [\"127.0.0.1:1\"]\n{}", around("", ""));
    nginx_words: around("ssl = true\nhttp2 = true", "proxy_http_version = \"1.1\"\nupgrade = true");
    nginx_balance: format!("[upstream.a]\nleast_conn = true\nip_hash = true\nserver = \"127.0.0.1:1\"\n{}", around("", ""));
    nginx_syntax: "server {\n    listen 80;\n}\n";
    nginx_directive: "worker_processes auto;\n";
    syntax: "[[server]]\nlisten = 80 ssl\nserver_name = [\"a\"\n";
    duplicate_key: "[[server]]\nlisten = \"80\"\nlisten = \"443 ssl\"\n";
    regex_escape: "[[server]]\nlisten = 80\n[[server.location]]\npath = \"~ \\.php$\"\nreturn = 404\n";
    bare_number_for_a_time: around("", "proxy_read_timeout = 600");
    bare_number_in_quotes: around("", "proxy_read_timeout = \"600\"");
    bare_number_for_a_size: around("client_max_body_size = 16", "");
    ambiguous_size: around("client_max_body_size = \"16MB\"", "");
    wrong_types: around("server_name = 5\nclient_header_timeout = true", "add_header = \"X-A: b\"\nproxy_ssl_verify = \"off\"\nproxy_next_upstream_tries = \"3\"");
    out_of_range: format!("worker_processes = 0\nworker_connections = 99999999999999999999\n{}", around("", "[server.location.websocket]\nping_jitter = 200"));
    close_codes: around("", "[server.location.websocket.close_codes]\ndrain = 1006\nidle = 2500\nmax_age = 99");
    host_not_found: "[upstream.chat]\nservers = [\"127.0.0.1:1\", \"nowhere.test:80\"]\n[[server]]\nlisten = 80\n[[server.location]]\npath = \"/\"\nproxy_pass = \"http://chatt\"\n[[server.location]]\npath = \"/b\"\nproxy_pass = \"http://backend\"\n";
    proxy_pass_forms: "[upstream.chat]\nservers = [\"127.0.0.1:1\"]\n[[server]]\nlisten = 80\n[[server.location]]\npath = \"/a\"\nproxy_pass = \"ws://127.0.0.1:1\"\n[[server.location]]\npath = \"/b\"\nproxy_pass = \"127.0.0.1:1\"\n[[server.location]]\npath = \"/c\"\nproxy_pass = \"http://chat:80\"\n[[server.location]]\npath = \"/d\"\nproxy_pass = \"http://$host\"\n[[server.location]]\npath = \"~ ^/e\"\nproxy_pass = \"http://chat/e\"\n";
    location_without_action: "[[server]]\nlisten = 80\n[[server.location]]\npath = \"/\"\n";
    return_and_proxy_pass: around("", "return = 404");
    duplicate_location: around("", "[[server.location]]\npath = \"^~ /ws\"\nreturn = 404");
    ssl_without_certificate: "[[server]]\nlisten = [\"80\", \"443 ssl\"]\nreturn = 404\n";
    certificates_and_keys: "[[server]]\nlisten = \"443 ssl\"\nssl_certificate = [\"a.pem\", \"b.pem\"]\nssl_certificate_key = \"a.key.pem\"\nreturn = 404\n";
    certificate_of_a_request: "[[server]]\nlisten = \"443 ssl\"\nssl_certificate = \"$host.pem\"\nssl_certificate_key = \"$ssl_server_name.key\"\nreturn = 404\n";
    missing_certificate: "[[server]]\nlisten = \"443 ssl\"\nssl_certificate = \"missing.pem\"\nssl_certificate_key = \"a.key.pem\"\nreturn = 404\n";
    forgotten_ssl: "[[server]]\nlisten = 443\nssl_certificate = \"a.pem\"\nssl_certificate_key = \"a.key.pem\"\nreturn = 404\n";
    listener_conflicts: "[[server]]\nlisten = \"443 ssl default_server\"\nssl_certificate = \"a.pem\"\nssl_certificate_key = \"a.pem\"\nserver_name = \"a\"\nreturn = 404\n[[server]]\nlisten = \"443 default_server\"\nserver_name = \"b\"\nreturn = 404\n[[server]]\nlisten = \"127.0.0.1:443\"\nserver_name = \"c\"\nreturn = 404\n";
    conflicting_names: "[[server]]\nlisten = 80\nserver_name = [\"a.test\", \"b.test\"]\nreturn = 404\n[[server]]\nlisten = 80\nserver_name = \"B.test\"\nreturn = 404\n";
    listen_options: "[[server]]\nlisten = [\"80 sssl\", \"81 reuseport\", \"99999\", \"82 83\", \"::1\", \"8000-8010\"]\nreturn = 404\n";
    server_names: around("server_name = [\"a b\", \"http://a\", \"a:80\", \"a.*.b\", \"~(\"]", "");
    unknown_variables: around("", "proxy_set_header = { X-A = \"a $remote_adr b ${nope} $\" }");
    headers_of_the_connection: around("", "proxy_set_header = { Upgrade = \"$http_upgrade\", Connection = \"$connection_upgrade\", Content-Length = \"0\", Sec-WebSocket-Key = \"x\" }\nadd_header = { Connection = \"close\" }");
    maps_in_a_circle: format!("[[map]]\nsource = \"$b\"\nvariable = \"$a\"\n[[map]]\nsource = \"$host\"\nvariable = \"b\"\nvalues = {{ x = \"$a\", default = \"y\" }}\n{}", around("", ""));
    geo: format!("[[geo]]\nvariable = \"$a\"\nproxy = \"10.0.0.0/33\"\nvalues = {{ \"10.0.0.0/33\" = \"x\", default = \"y\", \"10.0.0.9-10.0.0.1\" = \"z\", \"10.1.2.3/8\" = \"w\", \"1.1.1.1\" = 5 }}\n[[geo]]\nvalues = {{}}\n{}", around("", ""));
    geo_overlaps: format!("[[geo]]\nvariable = \"$a\"\nproxy = \"unix:\"\nproxy_recursive = true\n[geo.values]\n\"10.0.0.0/24\" = \"x\"\n\"10.0.0.9-10.0.1.9\" = \"y\"\n\"::1/128\" = \"v\"\n\"::1\" = \"w\"\n[[geo]]\nvariable = \"a\"\n[[geo]]\nsource = \"$c\"\nvariable = \"b\"\n[[map]]\nsource = \"$b\"\nvariable = \"c\"\n{}", around("", ""));
    substitutions: around("", "proxy_set_header = { X-A = \"${env:NOPE}\", X-B = \"${file:/missing}\", X-C = \"${env:OPEN\" }");
    low_bits_and_order: around("deny = \"all\"\nallow = \"10.1.2.3/8\"", "");
    origins: around("", "[server.location.websocket]\nallowed_origins = [\"example.org\", \"wss://a.test\", \"https://a.test/\", \"https://a*.test\"]");
    connections: format!("worker_connections = 200_000\n{}", around("", ""));
    https_to_a_group: "[upstream.chat]\nservers = [\"127.0.0.1:1\"]\n[[server]]\nlisten = 80\n[[server.location]]\npath = \"/\"\nproxy_pass = \"https://chat\"\n";
    metrics_on_a_server_port: format!("[metrics]\nlisten = \"127.0.0.1:80\"\npath = \"metrics\"\n{}", around("", ""));
    return_before_locations: around("return = 404", "");
    locations_out_of_place: "[[server]]\nlisten = 80\n[[server.location]]\npath = \"/a/\"\nreturn = 404\n[[server.location.location]]\npath = \"/b/\"\nreturn = 404\n[[server.location.location]]\npath = \"@x\"\nreturn = 404\n[[server.location]]\npath = \"= /c\"\nreturn = 404\n[[server.location.location]]\npath = \"/c/d\"\nreturn = 404\n";
    steps: around("", "rewrite = [\"^/a\", \"^/a /b lasst\", \"^/( /b\", { set = \"$a\" }, { set = \"b\", value = \"1\" }, { set = \"$host\" }, { regex = \"^/\" }, { if = \"host\", return = 403 }, { if = \"$a is b\", break = true }, { set = \"$c\", regex = \"x\" }, { flag = \"last\", break = true }]");
    error_pages: around("", "error_page = [\"/x\", \"200 /x\", \"404 =1 /x\", { codes = 404 }, { codes = 404, to = \"$nothing\" }]");
    everything_at_once: "shutdown_timeout = 25\n[[server]]\nlisten = \"80 sl\"\nserver_nam = \"a\"\n[[server.location]]\npath = \"ws\"\nproxy_pass = \"http://nowhere.test\"\n";
}
