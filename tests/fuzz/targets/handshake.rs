//! A request becomes a WebSocket, and a 101 is believed, exactly when a plain reading of RFC 6455
//! §4.2.1 and §4.2.2 says so; origins and sub-protocols count as the configuration has them.

#![no_main]

use std::sync::{Arc, LazyLock};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use libfuzzer_sys::fuzz_target;
use wayhold::config::model::WebSocket;
use wayhold::ws::handshake::{Accept, check_request, check_response, is_upgrade};
use wayhold_fuzz::policy::policy;
use wayhold_fuzz::{Input, digest};

/// Field names that matter, by the number that the input says.
const NAMES: [&str; 11] = [
    "upgrade",
    "connection",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-protocol",
    "sec-websocket-accept",
    "sec-websocket-extensions",
    "origin",
    "content-length",
    "transfer-encoding",
    "x-other",
];
/// Values that are right somewhere, and some that only look so.
const VALUES: [&str; 27] = [
    "websocket",
    "Upgrade",
    "keep-alive, Upgrade",
    "h2c,WebSocket",
    "dGhlIHNhbXBsZSBub25jZQ==",
    "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
    "AAAAAAAAAAAAAAAAAAAAAA==",
    "13",
    "8",
    "chat",
    "chat, mqtt",
    "mqtt",
    "https://app.example",
    "https://a.sub.example:443",
    "https://app.example.evil.test",
    "https://evil.test/.sub.example",
    "https://evil@a.sub.example",
    "https://.sub.example",
    "http://app.example:80",
    "null",
    "none",
    "permessage-deflate; client_max_window_bits",
    "x-frames, Permessage-Deflate ;a=1",
    "0",
    "5",
    "chunked",
    "",
];

type Fields = Vec<(usize, Vec<u8>)>;

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let method =
        input.pick(&[Method::GET, Method::GET, Method::GET, Method::POST, Method::HEAD].each_ref());
    let version =
        input.pick(&[Version::HTTP_11, Version::HTTP_11, Version::HTTP_10, Version::HTTP_2]);
    let config = &CONFIGS[input.below(CONFIGS.len())];
    let verify = input.flag();
    // A whole handshake to begin with, which the rest may spoil; or none.
    let mut fields = if input.flag() { good_request() } else { Fields::new() };
    spoil(&mut input, &mut fields);
    let request = headers(&fields);
    let upgrade = is_upgrade(&request);
    let checked = check_request(method, version, &request, config);
    let may =
        method == Method::GET && version == Version::HTTP_11 && plain_request(&fields, config);
    let accepted = upgrade && checked.is_ok();
    // Lists in a field with strange bytes are not read; else both must agree.
    assert!(!accepted || may, "accepted: {fields:?}");
    assert!(accepted || !may || has_strange_bytes(&fields), "refused: {checked:?} {fields:?}");
    let key = only(&fields, "sec-websocket-key").unwrap_or_default();
    let proof =
        digest::base64(&digest::sha1(&[key, b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"].concat()));
    if let Ok(accept) = checked {
        assert_eq!(accept.0, proof.as_bytes());
    }
    let accept = Accept::of(key);
    assert_eq!(accept.0, proof.as_bytes());
    let mut answer = if input.flag() { good_answer(&proof) } else { Fields::new() };
    spoil(&mut input, &mut answer);
    let believed = check_response(&request, &headers(&answer), &accept, verify).is_ok();
    let may = plain_answer(&fields, &answer, verify.then_some(proof.as_bytes()));
    let strange = has_strange_bytes(&fields) || has_strange_bytes(&answer);
    assert!(!believed || may, "believed: {answer:?} to {fields:?}");
    assert!(believed || !may || strange, "not believed: {answer:?} to {fields:?}");
});

fn number(name: &str) -> usize {
    NAMES.iter().position(|other| *other == name).unwrap_or(NAMES.len() - 1)
}

fn good_request() -> Fields {
    let good = [
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    good.iter().map(|(name, value)| (number(name), value.as_bytes().to_vec())).collect()
}

fn good_answer(proof: &str) -> Fields {
    let good =
        [("upgrade", "websocket"), ("connection", "upgrade"), ("sec-websocket-accept", proof)];
    good.iter().map(|(name, value)| (number(name), value.as_bytes().to_vec())).collect()
}

/// Takes fields away, puts others in.
fn spoil(input: &mut Input<'_>, fields: &mut Fields) {
    for _ in 0..input.below(6) {
        if input.below(4) == 0 && !fields.is_empty() {
            fields.remove(input.below(8) % fields.len());
        }
        let value = match input.below(3) {
            0 => input.short(40).to_vec(),
            1 => VALUES[input.below(VALUES.len())].as_bytes().to_vec(),
            _ => {
                let mut value = VALUES[input.below(VALUES.len())].as_bytes().to_vec();
                let at = input.below(value.len() + 1);
                value.splice(at..at, input.short(4).iter().copied());
                value
            }
        };
        if HeaderValue::from_bytes(&value).is_ok() {
            fields.push((input.below(NAMES.len()), value));
        }
    }
}

fn headers(fields: &Fields) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        let value = HeaderValue::from_bytes(value).expect("checked when it was made");
        map.append(HeaderName::from_static(NAMES[*name]), value);
    }
    map
}

fn has_strange_bytes(fields: &Fields) -> bool {
    fields.iter().any(|(_, value)| value.iter().any(|b| !matches!(b, b'\t' | b' '..=b'~')))
}

fn values<'a>(fields: &'a Fields, name: &str) -> Vec<&'a [u8]> {
    let name = number(name);
    fields.iter().filter(|(other, _)| *other == name).map(|(_, value)| &value[..]).collect()
}

fn only<'a>(fields: &'a Fields, name: &str) -> Option<&'a [u8]> {
    match values(fields, name)[..] {
        [value] => Some(value),
        _ => None,
    }
}

fn members(fields: &Fields, name: &str) -> Vec<String> {
    let mut members = Vec::new();
    for value in values(fields, name) {
        for member in String::from_utf8_lossy(value).split(',') {
            members.push(member.trim_matches([' ', '\t']).to_owned());
        }
    }
    members.retain(|member| !member.is_empty());
    members
}

fn has_member(fields: &Fields, name: &str, wanted: &str) -> bool {
    members(fields, name).iter().any(|member| member.to_ascii_lowercase() == wanted)
}

/// RFC 6455 §4.2.1, less what the method and the version say, and what the configuration adds.
fn plain_request(fields: &Fields, config: &WebSocket) -> bool {
    let handshake = has_member(fields, "upgrade", "websocket")
        && has_member(fields, "connection", "upgrade")
        && only(fields, "sec-websocket-key").is_some_and(digest::is_nonce)
        && only(fields, "sec-websocket-version") == Some(b"13");
    let body = !values(fields, "transfer-encoding").is_empty()
        || values(fields, "content-length").iter().any(|length| *length != b"0");
    let origin = config.allowed_origins.as_ref().is_none_or(|allowed| {
        let none = values(fields, "origin").is_empty() && allowed.iter().any(|o| o == "none");
        none || only(fields, "origin").is_some_and(plain_origin)
    });
    let offered = members(fields, "sec-websocket-protocol");
    let protocol = config.allowed_subprotocols.is_none()
        || offered.is_empty()
        || offered.iter().any(|protocol| protocol == "mqtt");
    handshake && !body && origin && protocol
}

/// RFC 6455 §4.2.2, as the client of §4.1 checks it.
fn plain_answer(request: &Fields, answer: &Fields, proof: Option<&[u8]>) -> bool {
    let chosen = values(answer, "sec-websocket-protocol");
    let offered = members(request, "sec-websocket-protocol");
    let protocol = match chosen[..] {
        [] => true,
        [chosen] => offered.iter().any(|protocol| protocol.as_bytes() == chosen),
        _ => false,
    };
    only(answer, "upgrade").is_some_and(|value| value.to_ascii_lowercase() == b"websocket")
        && has_member(answer, "connection", "upgrade")
        && proof.is_none_or(|proof| only(answer, "sec-websocket-accept") == Some(proof))
        && protocol
        && extensions(answer).iter().all(|name| extensions(request).contains(name))
}

/// What comes before the parameters.
fn extensions(fields: &Fields) -> Vec<String> {
    let members = members(fields, "sec-websocket-extensions");
    let names = members.iter().filter_map(|member| member.split(';').next());
    names.map(|name| name.trim_matches([' ', '\t']).to_ascii_lowercase()).collect()
}

/// `https://app.example` itself, or a host below `sub.example`, on https's port.
fn plain_origin(origin: &[u8]) -> bool {
    let origin = String::from_utf8_lossy(origin).to_ascii_lowercase();
    let Some(host) = origin.strip_prefix("https://") else {
        return false;
    };
    let host = host.strip_suffix(":443").unwrap_or(host);
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let below = host.ends_with(".sub.example") && host.len() > ".sub.example".len();
    host == "app.example" || (below && host.chars().all(is_name))
}

static CONFIGS: LazyLock<Vec<WebSocket>> = LazyLock::new(|| {
    let origins = ["https://app.example", "https://*.sub.example", "none"].map(str::to_owned);
    let mut configs = Vec::new();
    // None, and with and without a word for requests that have no origin.
    for allowed_origins in [None, Some(origins[..2].to_vec()), Some(origins.to_vec())] {
        for allowed_subprotocols in [None, Some(vec!["mqtt".to_owned()])] {
            configs.push(WebSocket {
                enabled: true,
                allowed_origins: allowed_origins.clone(),
                allowed_subprotocols,
                verify_accept: true,
                policy: Arc::new(policy(&mut Input::new(&[]))),
            });
        }
    }
    configs
});
