//! Whatever variables stand for, a header value holds no CR, LF or NUL; less these, it is what a
//! plain second expansion makes of the text.

#![no_main]

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use http::HeaderValue;
use libfuzzer_sys::fuzz_target;
use regex::Regex;
use wayhold::config::fuzzing;
use wayhold::config::model::Map;
use wayhold::config::template::{Lookup, Template, Var};
use wayhold_fuzz::Input;

static PATTERNS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let patterns = ["^a", "(?i)b$", r"\n", "^$", "."];
    patterns.iter().filter_map(|pattern| Regex::new(pattern).ok()).collect()
});

/// A map as text: what the real one is made of.
#[derive(Debug)]
struct PlainMap {
    variable: String,
    source: String,
    exact: Vec<(String, String)>,
    patterns: Vec<(usize, String)>,
    default: String,
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let values = Values((0..4).map(|_| value(&mut input)).collect());
    let (mut maps, mut plain_maps) = (Vec::new(), Vec::new());
    for number in 0..input.below(3) {
        // Each may use those before it, as a configuration's maps may.
        if let Some((map, plain)) = map(&mut input, number, &maps, &plain_maps) {
            maps.push(Arc::new(map));
            plain_maps.push(plain);
        }
    }
    let text = String::from_utf8_lossy(input.rest());
    let expected = expand(&text, &plain_maps, &values);
    let template = fuzzing::template(&text, &maps);
    assert_eq!(template.is_some(), expected.is_some(), "{text:?}");
    let (Some(template), Some(expected)) = (template, expected) else {
        return;
    };
    check(&template, &expected, &values);
    let literal: String = text.chars().filter(|c| !"\r\n\0".contains(*c)).collect();
    assert_eq!(Template::literal(&text).expand(&values), literal);
});

fn check(template: &Template, expected: &str, values: &Values) {
    let header = template.expand(values);
    assert!(!header.contains(['\r', '\n', '\0']), "{header:?}");
    assert_eq!(header, clean(expected));
    assert_eq!(template.expand_text(values), expected);
    if let Ok(value) = HeaderValue::from_bytes(header.as_bytes()) {
        assert!(!value.as_bytes().iter().any(|byte| b"\r\n\0".contains(byte)));
    }
}

fn clean(text: &str) -> String {
    text.replace(['\r', '\n', '\0'], "")
}

/// What variables stand for: lines, quotes, whatever.
struct Values(Vec<String>);

impl Values {
    fn header(&self, name: &str) -> &str {
        &self.0[name.len() % 2]
    }
}

impl Lookup for Values {
    fn lookup(&self, var: &Var, out: &mut String) {
        match var {
            Var::Header(name) => out.push_str(self.header(name.as_str())),
            Var::Arg(name) => out.push_str(&format!("{name}={}", self.0[2])),
            Var::Cookie(name) => out.push_str(&format!("{name}:{}", self.0[2])),
            Var::Host => out.push_str(&self.0[3]),
            Var::Uri => out.push_str("/a\r\nb"),
            Var::Map(map) => panic!("${} was not resolved", map.variable),
            _ => out.push_str("other"),
        }
    }
}

fn value(input: &mut Input<'_>) -> String {
    String::from_utf8_lossy(input.short(12)).into_owned()
}

fn map(
    input: &mut Input<'_>,
    number: usize,
    maps: &[Arc<Map>],
    plain_maps: &[PlainMap],
) -> Option<(Map, PlainMap)> {
    let mut text = || {
        let text = match input.below(4) {
            0 => "$host".to_owned(),
            1 => "$m0".to_owned(),
            _ => value(input),
        };
        // Only what can be expanded can stand in a map.
        expand(&text, plain_maps, &Values(vec![String::new(); 4])).map(|_| text)
    };
    let plain = PlainMap {
        variable: format!("m{number}"),
        source: text()?,
        exact: vec![("ab".to_owned(), text()?), (String::new(), text()?)],
        patterns: vec![(number, text()?), (number + 2, text()?)],
        default: text()?,
    };
    let template = |text: &str| fuzzing::template(text, maps);
    let mut exact = BTreeMap::new();
    for (key, text) in &plain.exact {
        exact.insert(key.clone(), template(text)?);
    }
    let mut patterns = Vec::new();
    for (pattern, text) in &plain.patterns {
        patterns.push((PATTERNS[*pattern].clone(), template(text)?));
    }
    let map = Map {
        source: template(&plain.source)?,
        variable: plain.variable.clone(),
        exact,
        hostnames: false,
        patterns,
        default: template(&plain.default)?,
    };
    Some((map, plain))
}

/// nginx's syntax, letter by letter; `None` when a `$` names nothing.
fn expand(text: &str, maps: &[PlainMap], values: &Values) -> Option<String> {
    let mut out = String::new();
    let mut rest: &str = text;
    while let Some(letter) = rest.chars().next() {
        rest = &rest[letter.len_utf8()..];
        if letter != '$' {
            out.push(letter);
            continue;
        }
        let braced = rest.starts_with('{');
        rest = rest.strip_prefix('{').unwrap_or(rest);
        let end =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let name = &rest[..end];
        rest = &rest[end..];
        if braced {
            rest = rest.strip_prefix('}')?;
        }
        out.push_str(&stands_for(name, maps, values)?);
    }
    Some(out)
}

fn stands_for(name: &str, maps: &[PlainMap], values: &Values) -> Option<String> {
    if let Some(number) = maps.iter().position(|map| map.variable == name) {
        return mapped(&maps[number], &maps[..number], values);
    }
    let parameter = |prefix| name.strip_prefix(prefix).filter(|rest: &&str| !rest.is_empty());
    if let Some(header) = parameter("http_") {
        return Some(values.header(header).to_owned());
    }
    if let "content_type" | "content_length" = name {
        return Some(values.header(name).to_owned());
    }
    if parameter("upstream_http_").or(parameter("sent_http_")).is_some()
        || matches!(name.as_bytes(), [b'1'..=b'9'])
    {
        return Some("other".to_owned());
    }
    if let Some(argument) = name.strip_prefix("arg_") {
        return Some(format!("{argument}={}", values.0[2]));
    }
    if let Some(cookie) = parameter("cookie_") {
        return Some(format!("{cookie}:{}", values.0[2]));
    }
    match name {
        "host" => Some(values.0[3].clone()),
        "uri" | "document_uri" => Some("/a\r\nb".to_owned()),
        "remote_addr"
        | "remote_port"
        | "server_addr"
        | "server_port"
        | "server_name"
        | "scheme"
        | "request_uri"
        | "args"
        | "query_string"
        | "is_args"
        | "request_method"
        | "proxy_add_x_forwarded_for"
        | "forwarded_host"
        | "forwarded_proto"
        | "proxy_host"
        | "upstream_addr"
        | "request_id"
        | "ssl_protocol"
        | "ssl_cipher"
        | "ssl_server_name"
        | "status"
        | "limit_req_status"
        | "limit_conn_status"
        | "request_body_file"
        | "ssl_ciphers"
        | "ssl_curves"
        | "ssl_early_data"
        | "pipe"
        | "request_length"
        | "limit_rate"
        | "remote_user"
        | "binary_remote_addr"
        | "realip_remote_addr"
        | "realip_remote_port"
        | "proxy_protocol_addr"
        | "proxy_protocol_port"
        | "proxy_protocol_server_addr"
        | "proxy_protocol_server_port"
        | "proxy_port"
        | "server_protocol"
        | "request"
        | "request_filename"
        | "document_root"
        | "realpath_root"
        | "request_body"
        | "connection"
        | "connection_requests"
        | "connection_time"
        | "msec"
        | "time_iso8601"
        | "time_local"
        | "pid"
        | "hostname"
        | "nginx_version"
        | "request_time"
        | "request_completion"
        | "bytes_sent"
        | "body_bytes_sent"
        | "upstream_status"
        | "upstream_connect_time"
        | "upstream_header_time"
        | "upstream_response_time"
        | "upstream_response_length"
        | "upstream_bytes_received"
        | "upstream_bytes_sent"
        | "gzip_ratio"
        | "ssl_session_reused"
        | "ssl_session_id"
        | "ssl_client_verify"
        | "ssl_client_cert"
        | "ssl_client_raw_cert"
        | "ssl_client_escaped_cert"
        | "ssl_client_s_dn"
        | "ssl_client_i_dn"
        | "ssl_client_s_dn_legacy"
        | "ssl_client_i_dn_legacy"
        | "ssl_client_serial"
        | "ssl_client_fingerprint"
        | "ssl_client_v_start"
        | "ssl_client_v_end"
        | "ssl_client_v_remain" => Some("other".to_owned()),
        _ => None,
    }
}

fn mapped(map: &PlainMap, before: &[PlainMap], values: &Values) -> Option<String> {
    let source = clean(&expand(&map.source, before, values)?);
    let exact = map.exact.iter().find(|(key, _)| *key == source.to_lowercase());
    let pattern = map.patterns.iter().find(|(pattern, _)| PATTERNS[*pattern].is_match(&source));
    let text = match (exact, pattern) {
        (Some((_, text)), _) | (None, Some((_, text))) => text,
        (None, None) => &map.default,
    };
    expand(text, before, values)
}
